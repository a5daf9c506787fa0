//! Semi-hard with a fallback, as in TensorFlow Addons (`triplet_semihard_loss`) and
//! sentence-transformers (`BatchSemiHardTripletLoss`): the nearest negative farther than the
//! positive, however far, and the farthest negative where none is.

use super::candidates::Candidates;

pub(super) fn choose(candidates: &Candidates, take: &mut dyn FnMut(usize, usize)) {
    let farthest = candidates.farthest(candidates.negatives());
    for positive in candidates.positives() {
        let above = candidates.nearest_negative_above(candidates.distances[positive]);
        if let Some(negative) = above.or(farthest) {
            take(positive, negative);
        }
    }
}
