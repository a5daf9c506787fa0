//! One anchor's distances, and what its triplets add up to.

use std::ops::Range;

use super::Penalty;
use super::ranked::Ranks;
use crate::distance::Points;
use crate::labels::ClassOrder;
use crate::simd::each_equal;

/// Sums over triplets, in f64 and u64.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Tally {
    /// Σ φ over the selected triplets.
    pub(super) value: f64,
    pub(super) selected: u64,
    pub(super) active: u64,
    pub(super) violated: u64,
    /// Anchors whose term is above 0, where an objective has a term for each anchor.
    pub(super) teaching_anchors: u64,
    /// Σ d(a,p) and Σ d(a,n) over all pairs.
    pub(super) positive_distances: f64,
    pub(super) negative_distances: f64,
}

impl Tally {
    pub(super) fn total(parts: &[Self]) -> Self {
        parts.iter().fold(Self::default(), |mut total, part| {
            total.add(part);
            total
        })
    }

    pub(super) fn add(&mut self, other: &Self) {
        self.value += other.value;
        self.selected += other.selected;
        self.active += other.active;
        self.violated += other.violated;
        self.teaching_anchors += other.teaching_anchors;
        self.positive_distances += other.positive_distances;
        self.negative_distances += other.negative_distances;
    }
}

/// Writes weights of positives in their order; `ranges` as [`Row::positive_ranges`] has them.
pub(super) fn weigh_positives(
    weights: &mut [f32],
    ranges: [Range<usize>; 2],
    mut values: impl Iterator<Item = f32>,
) {
    for range in ranges {
        weights[range].iter_mut().zip(&mut values).for_each(|(weight, value)| *weight = value);
    }
}

/// What an objective makes of the distances of each anchor.
pub(super) struct Rule<'a> {
    pub(super) penalty: Penalty,
    /// Any weight of a row may differ from 0; otherwise only those of the touched places do.
    pub(super) dense: bool,
    /// Turns a row's distances into weights. It meets only anchors that have triplets.
    pub(super) weigh: &'a (dyn Fn(&mut Row, &Points) + Sync),
}

/// One anchor with its distances to the whole batch in class order.
pub(super) struct Row<'a> {
    /// The anchor's place in class order.
    pub(super) anchor: usize,
    /// d(anchor, ·).
    pub(super) distances: &'a [f32],
    /// Where the anchor's class lies, the anchor included.
    pub(super) class: Range<usize>,
    /// Original index of each place, and back: ties go to the lowest index.
    pub(super) order: &'a ClassOrder,
    pub(super) penalty: Penalty,
    /// ∂(Σ φ)/∂d(anchor, ·): to be written as a whole, or [cleared](Self::clear) first.
    pub(super) weights: &'a mut [f32],
    /// The places that got a weight, where the selection is sparse; possibly repeated.
    pub(super) touched: Option<&'a mut Vec<u32>>,
    pub(super) tally: &'a mut Tally,
    /// Room for the order of a row with many positives.
    pub(super) ranks: &'a mut Ranks,
}

impl Row<'_> {
    /// Makes every weight 0. Those of a sparse selection are, since its touched places are taken
    /// back.
    pub(super) fn clear(&mut self) {
        if self.touched.is_none() {
            self.weights.fill(0.0);
        }
    }

    /// The places of the anchor's positives, in rising order.
    pub(super) fn positives(&self) -> impl Iterator<Item = usize> + use<> {
        let anchor = self.anchor;
        self.class.clone().filter(move |&place| place != anchor)
    }

    /// Where the anchor's positives lie: before and after itself.
    pub(super) fn positive_ranges(&self) -> [Range<usize>; 2] {
        [self.class.start..self.anchor, self.anchor + 1..self.class.end]
    }

    /// The places of the anchor's negatives: before and after its class.
    pub(super) fn negatives(&self) -> [Range<usize>; 2] {
        [0..self.class.start, self.class.end..self.distances.len()]
    }

    /// Whether the anchor is part of any valid triplet.
    pub(super) fn has_triplets(&self) -> bool {
        self.class.len() > 1 && self.class.len() < self.distances.len()
    }

    /// Of the places whose distance is `distance`, that of the lowest original index.
    pub(super) fn lowest_at(
        &self,
        ranges: impl IntoIterator<Item = Range<usize>>,
        distance: f32,
    ) -> Option<usize> {
        let mut lowest: Option<usize> = None;
        for range in ranges {
            each_equal(&self.distances[range.clone()], distance, |at| {
                let place = range.start + at;
                if lowest.is_none_or(|lowest| self.order.items[place] < self.order.items[lowest]) {
                    lowest = Some(place);
                }
            });
        }
        lowest
    }

    /// Counts one triplet and weighs its two distances.
    #[inline]
    pub(super) fn select(&mut self, positive: usize, negative: usize) {
        let (d_ap, d_an) = (self.distances[positive], self.distances[negative]);
        let (value, slope) = self.penalty.of(d_ap + self.penalty.margin() - d_an);
        self.tally.value += f64::from(value);
        self.tally.selected += 1;
        self.tally.active += u64::from(value > self.penalty.active_above());
        self.tally.violated += u64::from(d_an <= d_ap);
        if slope != 0.0 {
            self.weights[positive] += slope;
            self.weights[negative] -= slope;
            if let Some(touched) = &mut self.touched {
                touched.extend([positive as u32, negative as u32]);
            }
        }
    }
}
