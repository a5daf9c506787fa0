//! Semi-hard with a fallback, as in TensorFlow Addons (`triplet_semihard_loss`) and
//! sentence-transformers (`BatchSemiHardTripletLoss`): the nearest negative farther than the
//! positive, however far, and the farthest negative where none is.

use super::candidates::Candidates;

/// From so many positives on it pays to sort the negatives once.
const MANY: usize = 16;

pub(super) fn choose(candidates: &Candidates, take: &mut dyn FnMut(usize, usize)) {
    let d = candidates.distances;
    if candidates.class.len() > MANY {
        let sorted = candidates.negatives_by_distance();
        // Of several farthest ones the lowest index: the first of the last run of equals.
        let farthest = sorted.last().map(|&last| d[last]);
        for positive in candidates.positives() {
            let above = sorted.partition_point(|&place| d[place] <= d[positive]);
            let negative = sorted.get(above).copied().or_else(|| {
                let last = sorted.partition_point(|&place| Some(d[place]) < farthest);
                sorted.get(last).copied()
            });
            if let Some(negative) = negative {
                take(positive, negative);
            }
        }
        return;
    }
    let farthest = candidates.farthest(candidates.negatives());
    for positive in candidates.positives() {
        let above = candidates.nearest_negative_above(d[positive]);
        if let Some(negative) = above.or(farthest) {
            take(positive, negative);
        }
    }
}
