//! The triplets that a selection takes of one anchor, listed one by one.
//!
//! [`triplets`] defines every selection. A kernel that computes value and gradient of a selection
//! without listing (see [`super::kernel`]) must take the same triplets; a test compares them.

pub(super) mod distance_weighted;
mod easy_positive;
mod filtered;
mod n_hard;
pub(super) mod random;
mod semi_hard_all;
mod semi_hard_fallback;
mod violating_random;

pub(super) use semi_hard_all::in_band;

use rand::SeedableRng;
use rand::rngs::ChaCha8Rng;

use super::row::AnchorRow;
use super::rule::Selection;

/// Calls `take(positive, negative)` with the positions of each selected triplet of an anchor.
pub(super) fn triplets(selection: Selection, row: &AnchorRow, take: &mut dyn FnMut(usize, usize)) {
    if let Some(rule) = row.false_negatives {
        return filtered::triplets(selection, row, rule, take);
    }
    match selection {
        Selection::All => {
            for positive in row.positives() {
                row.negatives().for_each(|negative| take(positive, negative));
            }
        }
        Selection::Hard => {
            let positive = row.farthest(row.positives());
            let negative = row.nearest(row.negatives());
            if let (Some(positive), Some(negative)) = (positive, negative) {
                take(positive, negative);
            }
        }
        Selection::SemiHard => {
            for positive in row.positives() {
                let d_ap = row.distances[positive];
                let in_band = |&at: &usize| row.distances[at] < d_ap + row.penalty.margin();
                if let Some(negative) = row.nearest_negative_above(d_ap).filter(in_band) {
                    take(positive, negative);
                }
            }
        }
        Selection::SemiHardAll => semi_hard_all::triplets(row, take),
        Selection::SemiHardFallback => semi_hard_fallback::triplets(row, take),
        Selection::ViolatingRandom { seed } => violating_random::triplets(row, seed, take),
        Selection::EasyPositive => easy_positive::with_hard_negative(row, take),
        Selection::EasyPositiveSemiHard => easy_positive::with_semi_hard_negative(row, take),
        Selection::DistanceWeighted { cutoff, nonzero_loss_cutoff, seed } => {
            distance_weighted::triplets(row, cutoff, nonzero_loss_cutoff, seed, take);
        }
        Selection::NHard { positives, negatives } => {
            n_hard::triplets(row, positives, negatives, take);
        }
        Selection::Random { triplets, seed } => random::triplets(row, triplets, seed, take),
    }
}

/// The number of valid triplets of an anchor whose negative is ignored as probably false.
pub(super) fn false_negatives(row: &AnchorRow) -> u64 {
    row.false_negatives.map_or(0, |rule| filtered::ignored(row, rule))
}

impl AnchorRow<'_> {
    /// The positions of the negatives in rising order of index in the input.
    fn negatives_by_item(&self) -> Vec<usize> {
        let mut negatives: Vec<usize> = self.negatives().collect();
        negatives.sort_unstable_by_key(|&position| self.order.items[position]);
        negatives
    }

    /// The positions of the negatives from the nearest to the farthest; ties by index in the input.
    fn negatives_by_distance(&self) -> Vec<usize> {
        // Distances are not negative, so their bits as integers have the order of their values, and
        // one integer sorts by distance and then by index.
        let key = |position: usize| {
            u64::from(self.distances[position].to_bits()) << 32
                | u64::from(self.order.items[position])
        };
        let mut keyed: Vec<(u64, usize)> =
            self.negatives().map(|position| (key(position), position)).collect();
        keyed.sort_unstable();
        keyed.into_iter().map(|(_, position)| position).collect()
    }

    /// The nearest of the given positions; ties go to the lowest index in the input.
    fn nearest(&self, positions: impl Iterator<Item = usize>) -> Option<usize> {
        positions.min_by(|&x, &y| {
            self.distances[x]
                .total_cmp(&self.distances[y])
                .then_with(|| self.order.items[x].cmp(&self.order.items[y]))
        })
    }

    /// The farthest of the given positions; ties go to the lowest index in the input.
    fn farthest(&self, positions: impl Iterator<Item = usize>) -> Option<usize> {
        positions.min_by(|&x, &y| {
            self.distances[y]
                .total_cmp(&self.distances[x])
                .then_with(|| self.order.items[x].cmp(&self.order.items[y]))
        })
    }

    /// The nearest negative strictly farther than `above`.
    fn nearest_negative_above(&self, above: f32) -> Option<usize> {
        self.nearest(self.negatives().filter(|&position| self.distances[position] > above))
    }

    /// The random stream of this anchor and one of its positives (by position). Each pair has its
    /// own stream, so that draws depend neither on the number of threads nor on the order of the
    /// work.
    fn stream(&self, seed: u64, purpose: Purpose, positive: Option<usize>) -> ChaCha8Rng {
        stream(seed, purpose, self.item, positive.map(|position| self.order.items[position]))
    }
}

/// What random numbers are drawn for. Each purpose has its own streams.
#[derive(Debug, Clone, Copy)]
pub(super) enum Purpose {
    ViolatingRandom = 2, // 0 and 1 belong to the sampler
    DistanceWeighted = 3,
    Random = 4,
}

/// The random stream of an anchor and a positive, given by their indices in the input.
pub(super) fn stream(
    seed: u64,
    purpose: Purpose,
    anchor: u32,
    positive: Option<u32>,
) -> ChaCha8Rng {
    let mut key = [0; 32];
    key[..8].copy_from_slice(&seed.to_le_bytes());
    key[8] = purpose as u8;
    key[16..20].copy_from_slice(&anchor.to_le_bytes());
    key[20..24].copy_from_slice(&positive.unwrap_or(u32::MAX).to_le_bytes());
    ChaCha8Rng::from_seed(key)
}
