//! Easy positives (Xuan, Stylianou, Pless: "Improved Embeddings with Easy Positive Triplet Mining",
//! WACV 2020): only the nearest positive is pulled, so that a class may keep several clusters.

use super::candidates::Candidates;

/// The negative is the nearest one (`EPHN` of the paper).
pub(super) fn choose_hard(candidates: &Candidates, take: &mut dyn FnMut(usize, usize)) {
    let positive = candidates.nearest(candidates.positives());
    let negative = candidates.nearest(candidates.negatives());
    if let (Some(positive), Some(negative)) = (positive, negative) {
        take(positive, negative);
    }
}

/// The negative is the nearest one farther than the positive (`EPSHN` of the paper).
pub(super) fn choose_semi_hard(candidates: &Candidates, take: &mut dyn FnMut(usize, usize)) {
    let Some(positive) = candidates.nearest(candidates.positives()) else { return };
    if let Some(negative) = candidates.nearest_negative_above(candidates.distances[positive]) {
        take(positive, negative);
    }
}
