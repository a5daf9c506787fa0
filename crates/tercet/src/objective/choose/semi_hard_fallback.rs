//! Semi-hard triplets with a fallback, as in TensorFlow Addons (`triplet_semihard_loss`) and
//! sentence-transformers (`BatchSemiHardTripletLoss`): for each positive the nearest negative with
//! d_an > d_ap, whatever the margin, or the farthest negative if there is none.

use crate::objective::from_positives::SORTED_FALLBACK;
use crate::objective::row::AnchorRow;

pub(super) fn triplets(row: &AnchorRow, take: &mut dyn FnMut(usize, usize)) {
    let d = row.distances;
    if row.positive_count() >= SORTED_FALLBACK {
        let sorted = row.negatives_by_distance();
        // Of several farthest negatives the one with the lowest index: the first of the last run of
        // equal distances.
        let farthest = sorted.last().map(|&last| d[last]);
        for positive in row.positives() {
            let above = sorted.partition_point(|&at| d[at] <= d[positive]);
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
    let farthest = row.farthest(row.negatives());
    for positive in row.positives() {
        let above = row.nearest_negative_above(d[positive]);
        if let Some(negative) = above.or(farthest) {
            take(positive, negative);
        }
    }
}
