//! Generalised lifted structure: the term [log Σ_p e^{d_ap} + log Σ_n e^{m − d_an}]₊ of an anchor.
//! Eq. 7 of "In Defense of the Triplet Loss" (arXiv 1703.07737).
//!
//! The weight of a positive is e^{d_ap} / Σ_p e^{d_ap}, that of a negative
//! −e^{−d_an} / Σ_n e^{−d_an}.

use super::exponentials::exponentials;
use super::extent::{Extent, count_all};
use crate::distance::multiply;
use crate::objective::row::{AnchorRow, RowGradient};
use crate::sorted_lookup::SortedLookup;

pub(super) fn compute(row: &AnchorRow, lookup: &mut SortedLookup, gradient: &mut RowGradient) {
    let extent = Extent::of(row);
    let (far, near) = (extent.farthest_positive, extent.nearest_negative);
    let triplets = count_all(row, extent, lookup, gradient);

    // With far = max d_ap and near = min d_an, the terms e^{d_ap − far} and e^{near − d_an} do not
    // overflow. The weights hold these terms until their sum is known.
    let [mut positive_sum, mut negative_sum] = [0.0; 2];
    for range in row.positive_ranges() {
        let out = &mut gradient.weights[range.clone()];
        positive_sum += exponentials(&row.distances[range], far, 1.0, out);
    }
    for range in row.negative_ranges() {
        let out = &mut gradient.weights[range.clone()];
        negative_sum += exponentials(&row.distances[range], near, -1.0, out);
    }
    let term = f64::from(far) + positive_sum.ln() + f64::from(row.penalty.margin())
        - f64::from(near)
        + negative_sum.ln();
    gradient.clear_own(row);
    if term > 0.0 {
        gradient.sums.value += term;
        gradient.sums.active += triplets;
        gradient.sums.active_anchors += 1;
        for range in row.positive_ranges() {
            multiply(&mut gradient.weights[range], 1.0 / positive_sum);
        }
        for range in row.negative_ranges() {
            multiply(&mut gradient.weights[range], -1.0 / negative_sum);
        }
    } else {
        gradient.weights.fill(0.0);
    }
}
