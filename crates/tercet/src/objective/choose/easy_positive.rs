//! Easy positives (Xuan, Stylianou, Pless: "Improved Embeddings with Easy Positive Triplet Mining",
//! WACV 2020): only the nearest positive is selected, so that a class may form several clusters.

use crate::objective::row::AnchorRow;

/// The negative is the nearest one (`EPHN` of the paper).
pub(super) fn with_hard_negative(row: &AnchorRow, take: &mut dyn FnMut(usize, usize)) {
    let positive = row.nearest(row.positives());
    let negative = row.nearest(row.negatives());
    if let (Some(positive), Some(negative)) = (positive, negative) {
        take(positive, negative);
    }
}

/// The negative is the nearest one farther than the positive (`EPSHN` of the paper).
pub(super) fn with_semi_hard_negative(row: &AnchorRow, take: &mut dyn FnMut(usize, usize)) {
    let Some(positive) = row.nearest(row.positives()) else { return };
    if let Some(negative) = row.nearest_negative_above(row.distances[positive]) {
        take(positive, negative);
    }
}
