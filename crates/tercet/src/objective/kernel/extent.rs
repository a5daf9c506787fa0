//! The range of a row's distances, and the number of its triplets below a threshold.

use crate::objective::from_positives::SORTED_COUNT;
use crate::objective::row::{AnchorRow, RowGradient};
use crate::simd::{extremes, vectorised};
use crate::sorted_lookup::{SortedLookup, Threshold};

/// The smallest and the largest distance of an anchor to its positives and to its negatives.
#[derive(Clone, Copy)]
pub(super) struct Extent {
    pub(super) nearest_positive: f32,
    pub(super) farthest_positive: f32,
    pub(super) nearest_negative: f32,
    pub(super) farthest_negative: f32,
}

impl Extent {
    pub(super) fn of(row: &AnchorRow) -> Self {
        let both = |[before, behind]: [&[f32]; 2]| {
            let ([low, high], [other_low, other_high]) = (extremes(before), extremes(behind));
            [low.min(other_low), high.max(other_high)]
        };
        let [nearest_positive, farthest_positive] = both(row.positive_distances());
        let [nearest_negative, farthest_negative] = both(row.negative_distances());
        Self { nearest_positive, farthest_positive, nearest_negative, farthest_negative }
    }
}

/// The number of an anchor's triplets with d_an below the threshold of their positive.
pub(super) fn count_below(
    row: &AnchorRow,
    extent: Extent,
    threshold: Threshold,
    lookup: &mut SortedLookup,
) -> u64 {
    if extent.farthest_negative < threshold.of(extent.nearest_positive) {
        return row.positive_count() as u64 * row.negative_count() as u64;
    }
    if extent.nearest_negative >= threshold.of(extent.farthest_positive) {
        return 0;
    }
    if row.positive_count() < SORTED_COUNT {
        let thresholds = row.positive_distances().into_iter().flatten().map(|&d| threshold.of(d));
        let count = |limit: f32| row.negative_distances().map(|d| count_smaller(d, limit));
        return thresholds.flat_map(count).sum();
    }
    lookup.sort(row.positive_distances());
    lookup.set_thresholds(threshold);
    lookup.count_pairs_below(row.negative_distances())
}

/// Counts all triplets of an anchor as selected, and those with d_an ≤ d_ap as violated: for objectives
/// over all pairs. Returns the number of triplets.
pub(super) fn count_all(
    row: &AnchorRow,
    extent: Extent,
    lookup: &mut SortedLookup,
    gradient: &mut RowGradient,
) -> u64 {
    let triplets = row.positive_count() as u64 * row.negative_count() as u64;
    gradient.sums.selected += triplets;
    gradient.sums.violated += count_violated(row, extent, lookup);
    triplets
}

/// The number of an anchor's triplets with d_an ≤ d_ap.
pub(super) fn count_violated(row: &AnchorRow, extent: Extent, lookup: &mut SortedLookup) -> u64 {
    count_below(row, extent, Threshold::Itself, lookup)
}

vectorised! {
    /// How many values are < `limit`.
    fn count_smaller(values: &[f32], limit: f32) -> u64 {
        let count = values.iter().fold(0_u32, |n, &v| n.wrapping_add(u32::from(v < limit)));
        u64::from(count)
    }
}
