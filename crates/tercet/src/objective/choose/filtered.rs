//! The triplets of a selection among the negatives that are not ignored as probably false.
//!
//! The negatives that are left depend on the positive. Where none is ignored, the triplets are
//! those of the selection itself; a test compares them.

use rand::RngExt;

use super::distance_weighted::{self, euclidean};
use super::{Purpose, in_band, n_hard, random};
use crate::objective::row::AnchorRow;
use crate::objective::rule::{FalseNegatives, Selection};

/// One anchor with the rule by which negatives are ignored.
struct Filtered<'a> {
    row: &'a AnchorRow<'a>,
    rule: FalseNegatives,
}

/// Calls `take(positive, negative)` with the positions of each selected triplet.
pub(super) fn triplets(
    selection: Selection,
    row: &AnchorRow,
    rule: FalseNegatives,
    take: &mut dyn FnMut(usize, usize),
) {
    let filtered = Filtered { row, rule };
    let (d, margin) = (row.distances, row.penalty.margin());
    match selection {
        Selection::All => {
            for positive in row.positives() {
                filtered.negatives(positive).for_each(|negative| take(positive, negative));
            }
        }
        Selection::Hard => {
            filtered.take_nearest(row.farthest(row.positives()), f32::NEG_INFINITY, take);
        }
        Selection::EasyPositive => {
            filtered.take_nearest(row.nearest(row.positives()), f32::NEG_INFINITY, take);
        }
        Selection::EasyPositiveSemiHard => {
            let positive = row.nearest(row.positives());
            let above = positive.map_or(0.0, |positive| d[positive]);
            filtered.take_nearest(positive, above, take);
        }
        Selection::SemiHard => {
            for positive in row.positives() {
                let nearest = filtered.nearest_above(positive, d[positive]);
                if let Some(negative) = nearest.filter(|&at| d[at] < d[positive] + margin) {
                    take(positive, negative);
                }
            }
        }
        Selection::SemiHardAll => {
            for positive in row.positives() {
                let band = |&at: &usize| in_band(d[positive], d[at], margin);
                filtered.negatives(positive).filter(band).for_each(|at| take(positive, at));
            }
        }
        Selection::SemiHardFallback => {
            for positive in row.positives() {
                let above = filtered.nearest_above(positive, d[positive]);
                let chosen = above.or_else(|| row.farthest(filtered.negatives(positive)));
                if let Some(negative) = chosen {
                    take(positive, negative);
                }
            }
        }
        Selection::ViolatingRandom { seed } => {
            let later = |&at: &usize| row.own.is_none() || row.order.items[at] > row.item;
            let by_distance = row.negatives_by_distance();
            for positive in row.positives().filter(later) {
                let violators: Vec<usize> = by_distance
                    .iter()
                    .copied()
                    .filter(|&at| filtered.keeps(positive, at) && d[at] - d[positive] < margin)
                    .collect();
                if !violators.is_empty() {
                    let mut stream = row.stream(seed, Purpose::ViolatingRandom, Some(positive));
                    take(positive, violators[stream.random_range(0..violators.len())]);
                }
            }
        }
        Selection::DistanceWeighted { cutoff, nonzero_loss_cutoff, seed } => {
            let limit = f64::from(nonzero_loss_cutoff);
            let mut near = row.negatives_by_item();
            near.retain(|&at| euclidean(row, at) < limit);
            for positive in row.positives() {
                let eligible: Vec<usize> =
                    near.iter().copied().filter(|&at| filtered.keeps(positive, at)).collect();
                distance_weighted::draw(row, &eligible, f64::from(cutoff), seed, [positive], take);
            }
        }
        Selection::NHard { positives, negatives } => {
            for positive in n_hard::farthest(row, positives) {
                let left = filtered.negatives(positive).collect();
                n_hard::nearest(row, negatives, left).into_iter().for_each(|at| take(positive, at));
            }
        }
        Selection::Random { triplets, seed } => {
            let by_item = row.negatives_by_item();
            let mut pairs: Vec<(usize, usize)> = Vec::new();
            for positive in row.positives() {
                let left = by_item.iter().filter(|&&at| filtered.keeps(positive, at));
                pairs.extend(left.map(|&at| (positive, at)));
            }
            let mut stream = row.stream(seed, Purpose::Random, None);
            for number in random::distinct(&mut stream, pairs.len() as u64, u64::from(triplets)) {
                let (positive, negative) = pairs[number as usize];
                take(positive, negative);
            }
        }
    }
}

/// The number of pairs of a positive and a negative that are ignored.
pub(super) fn ignored(row: &AnchorRow, rule: FalseNegatives) -> u64 {
    let filtered = Filtered { row, rule };
    let left: usize = row.positives().map(|positive| filtered.negatives(positive).count()).sum();
    (row.positive_count() * row.negative_count() - left) as u64
}

impl Filtered<'_> {
    /// The distance below which negatives are ignored with this positive.
    fn limit(&self, positive: usize) -> f32 {
        self.rule.nearest_kept(self.row.points.distance(), self.row.distances[positive])
    }

    fn keeps(&self, positive: usize, negative: usize) -> bool {
        self.row.distances[negative] >= self.limit(positive)
    }

    /// The negatives that are left with this positive, in rising order of position.
    fn negatives(&self, positive: usize) -> impl Iterator<Item = usize> {
        let limit = self.limit(positive);
        self.row.negatives().filter(move |&at| self.row.distances[at] >= limit)
    }

    /// The nearest negative left that is strictly farther than `above`.
    fn nearest_above(&self, positive: usize, above: f32) -> Option<usize> {
        self.row.nearest(self.negatives(positive).filter(|&at| self.row.distances[at] > above))
    }

    fn take_nearest(
        &self,
        positive: Option<usize>,
        above: f32,
        take: &mut dyn FnMut(usize, usize),
    ) {
        if let Some(positive) = positive
            && let Some(negative) = self.nearest_above(positive, above)
        {
            take(positive, negative);
        }
    }
}
