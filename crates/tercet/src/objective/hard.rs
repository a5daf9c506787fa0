//! Batch-hard: "In Defense", eq. 5.

use super::row::Row;
use crate::simd::largest;

pub(super) fn weigh(row: &mut Row) {
    let positives = [row.class.start..row.anchor, row.anchor + 1..row.class.end];
    let most = positives
        .iter()
        .map(|range| largest(&row.distances[range.clone()]))
        .fold(f32::NEG_INFINITY, f32::max);
    let farthest = row.lowest_at(positives, most);
    let [nearest] = row.nearest_beyond([-1.0]);
    if let (Some(positive), Some(negative)) = (farthest, row.place_of(nearest)) {
        row.select(positive, negative);
    }
}
