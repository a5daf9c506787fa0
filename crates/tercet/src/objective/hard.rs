//! Batch-hard: "In Defense", eq. 5.

use super::row::Row;

pub(super) fn weigh(row: &mut Row) {
    let mut farthest: Option<usize> = None;
    for positive in row.positives() {
        if farthest.is_none_or(|best| row.distances[positive] > row.distances[best]) {
            farthest = Some(positive);
        }
    }
    if let (Some(positive), Some((negative, _))) = (farthest, row.nearest_negative(-1.0)) {
        row.select(positive, negative);
    }
}
