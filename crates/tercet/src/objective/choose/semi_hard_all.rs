//! Every triplet of the semi-hard band, 0 < d_an − d_ap ≤ margin, as the `TripletMarginMiner` of
//! type `semihard` of pytorch-metric-learning selects them.

use crate::objective::row::AnchorRow;

/// Whether 0 < d_an − d_ap ≤ margin. The difference of two close floats is exact, while the sum
/// d_ap + margin would be rounded.
#[inline(always)]
pub(in crate::objective) fn in_band(d_ap: f32, d_an: f32, margin: f32) -> bool {
    let gap = d_an - d_ap;
    gap > 0.0 && gap <= margin
}

pub(super) fn triplets(row: &AnchorRow, take: &mut dyn FnMut(usize, usize)) {
    let margin = row.penalty.margin();
    for positive in row.positives() {
        let d_ap = row.distances[positive];
        for negative in row.negatives() {
            if in_band(d_ap, row.distances[negative], margin) {
                take(positive, negative);
            }
        }
    }
}
