//! Easy positives (Xuan, Stylianou, Pless: "Improved Embeddings with Easy Positive Triplet Mining",
//! WACV 2020): only the nearest positive is selected, so that a class may form several clusters.

use crate::objective::row::AnchorRow;

/// Selects the nearest positive and the nearest negative (`EPHN` of the paper).
pub(super) fn with_hard_negative(row: &AnchorRow, take: &mut dyn FnMut(usize, usize)) {
    let positive = row.nearest(row.positives());
    let negative = row.nearest(row.negatives());
    if let (Some(positive), Some(negative)) = (positive, negative) {
        take(positive, negative);
    }
}

/// Selects the nearest positive p and the nearest negative with d_an > d_ap (`EPSHN` of the paper).
pub(super) fn with_semi_hard_negative(row: &AnchorRow, take: &mut dyn FnMut(usize, usize)) {
    let Some(positive) = row.nearest(row.positives()) else { return };
    if let Some(negative) = row.nearest_negative_above(row.distances[positive]) {
        take(positive, negative);
    }
}
