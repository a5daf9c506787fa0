//! Input and output of a row kernel.
//!
//! A kernel turns the distances of one anchor ([`AnchorRow`]) into the derivatives of the anchor's
//! penalties with respect to these distances ([`RowGradient`]).

use std::ops::Range;

use super::rule::{FalseNegatives, Penalty};
use crate::distance::Points;
use crate::labels::ClassOrder;
use crate::simd::each_equal;

/// One anchor with its distances to all candidates in class order.
pub(super) struct AnchorRow<'a> {
    /// The anchor's index in the input, which is part of the key of its random draws.
    pub(super) item: u32,
    /// The anchor's own position among the candidates, if it is one of them.
    pub(super) own: Option<usize>,
    /// d(anchor, ·), one value for each candidate.
    pub(super) distances: &'a [f32],
    /// The positions of the candidates of the anchor's class, including the anchor's own position.
    pub(super) class: Range<usize>,
    /// The class order of the candidates: position → index in the input. Of candidates at the same
    /// distance, the one with the lowest index is selected.
    pub(super) order: &'a ClassOrder,
    /// The candidates' vectors.
    pub(super) points: &'a Points,
    pub(super) penalty: Penalty,
    /// Which negatives are ignored as probably false.
    pub(super) false_negatives: Option<FalseNegatives>,
}

impl AnchorRow<'_> {
    /// The positions of the anchor's positives, in rising order.
    pub(super) fn positives(&self) -> impl Iterator<Item = usize> + use<> {
        let own = self.own;
        self.class.clone().filter(move |&position| Some(position) != own)
    }

    /// The positions of the positives as two ranges: before and after the anchor's own position.
    pub(super) fn positive_ranges(&self) -> [Range<usize>; 2] {
        match self.own {
            Some(own) => [self.class.start..own, own + 1..self.class.end],
            None => [self.class.clone(), self.class.end..self.class.end],
        }
    }

    /// The positions of the anchor's negatives, in rising order.
    pub(super) fn negatives(&self) -> impl Iterator<Item = usize> + use<> {
        (0..self.class.start).chain(self.class.end..self.distances.len())
    }

    /// The positions of the negatives as two ranges: before and after the anchor's class.
    pub(super) fn negative_ranges(&self) -> [Range<usize>; 2] {
        [0..self.class.start, self.class.end..self.distances.len()]
    }

    pub(super) fn positive_count(&self) -> usize {
        self.class.len() - usize::from(self.own.is_some())
    }

    pub(super) fn negative_count(&self) -> usize {
        self.distances.len() - self.class.len()
    }

    /// Whether the anchor is part of any valid triplet.
    pub(super) fn has_triplets(&self) -> bool {
        self.positive_count() > 0 && self.negative_count() > 0
    }

    /// The distances of the positives: before and after the anchor's own position.
    pub(super) fn positive_distances(&self) -> [&[f32]; 2] {
        self.positive_ranges().map(|range| &self.distances[range])
    }

    /// The distances of the negatives: before and after the anchor's class.
    pub(super) fn negative_distances(&self) -> [&[f32]; 2] {
        self.negative_ranges().map(|range| &self.distances[range])
    }

    /// Of the positions in `ranges` whose distance is `distance`, the one with the lowest index in
    /// the input.
    pub(super) fn lowest_at(
        &self,
        ranges: impl IntoIterator<Item = Range<usize>>,
        distance: f32,
    ) -> Option<usize> {
        let mut lowest: Option<usize> = None;
        for range in ranges {
            each_equal(&self.distances[range.clone()], distance, |at| {
                let position = range.start + at;
                let items = &self.order.items;
                if lowest.is_none_or(|lowest| items[position] < items[lowest]) {
                    lowest = Some(position);
                }
            });
        }
        lowest
    }
}

/// ∂(Σ φ)/∂d of one anchor, and the sums to which its triplets are added.
pub(super) struct RowGradient<'a> {
    /// ∂(Σ φ)/∂d(anchor, ·). A kernel writes every weight, or [clears](Self::clear) all of them
    /// first.
    pub(super) weights: &'a mut [f32],
    /// For sparse kernels: the positions to which a weight was added, possibly repeated. All other
    /// weights are 0 already.
    pub(super) touched: Option<&'a mut Vec<u32>>,
    pub(super) sums: &'a mut TripletSums,
}

impl RowGradient<'_> {
    /// Sets every weight to 0. The weights of a sparse kernel are 0 already, because the engine
    /// resets those that were touched.
    pub(super) fn clear(&mut self) {
        if self.touched.is_none() {
            self.weights.fill(0.0);
        }
    }

    /// Sets the weight of the anchor's own position to 0.
    pub(super) fn clear_own(&mut self, row: &AnchorRow) {
        if let Some(own) = row.own {
            self.weights[own] = 0.0;
        }
    }

    /// Writes the weights of the positives, in the order of their positions.
    pub(super) fn set_positives(&mut self, row: &AnchorRow, mut values: impl Iterator<Item = f32>) {
        for range in row.positive_ranges() {
            let weights = self.weights[range].iter_mut();
            weights.zip(&mut values).for_each(|(weight, value)| *weight = value);
        }
    }

    /// Adds one triplet: φ and its counts to the sums, φ' to the weight of the positive and −φ' to
    /// that of the negative.
    #[inline]
    pub(super) fn select(&mut self, row: &AnchorRow, positive: usize, negative: usize) {
        let (d_ap, d_an) = (row.distances[positive], row.distances[negative]);
        let (value, slope) = row.penalty.of(d_ap + row.penalty.margin() - d_an);
        self.sums.value += f64::from(value);
        self.sums.selected += 1;
        self.sums.active += u64::from(value > row.penalty.active_above());
        self.sums.violated += u64::from(d_an <= d_ap);
        if slope != 0.0 {
            self.weights[positive] += slope;
            self.weights[negative] -= slope;
            if let Some(touched) = &mut self.touched {
                touched.extend([positive as u32, negative as u32]);
            }
        }
    }
}

/// Sums over triplets, in f64 and u64.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct TripletSums {
    /// Σ φ over the selected triplets.
    pub(super) value: f64,
    pub(super) selected: u64,
    pub(super) active: u64,
    pub(super) violated: u64,
    /// Valid triplets whose negative is ignored as probably false.
    pub(super) filtered: u64,
    /// Anchors whose term is above 0, for an objective with one term per anchor.
    pub(super) active_anchors: u64,
    /// Σ d(a,p) and Σ d(a,n) over all pairs, whether they are selected or not.
    pub(super) positive_distances: f64,
    pub(super) negative_distances: f64,
}

impl TripletSums {
    /// The sum of the parts, added in their order.
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
        self.filtered += other.filtered;
        self.active_anchors += other.active_anchors;
        self.positive_distances += other.positive_distances;
        self.negative_distances += other.negative_distances;
    }
}
