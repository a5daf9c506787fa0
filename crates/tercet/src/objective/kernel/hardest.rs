//! Batch-hard: the farthest positive and the nearest negative of an anchor. Eq. 5 of "In Defense of
//! the Triplet Loss" (arXiv 1703.07737). Ties go to the lowest index.

use super::nearest::{nearest_beyond, position_of};
use crate::objective::row::{AnchorRow, RowGradient};
use crate::simd::largest;

pub(super) fn compute(row: &AnchorRow, gradient: &mut RowGradient) {
    gradient.clear();
    let most = row.positive_distances().map(largest).into_iter().fold(f32::NEG_INFINITY, f32::max);
    let farthest = row.lowest_at(row.positive_ranges(), most);
    let [nearest] = nearest_beyond(row, [-1.0]);
    if let (Some(positive), Some(negative)) = (farthest, position_of(row, nearest)) {
        gradient.select(row, positive, negative);
    }
}
