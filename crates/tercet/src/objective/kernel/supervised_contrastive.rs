//! Supervised contrastive: the term 1/|P| Σ_p d_ap/τ + ln Σ_{k≠a} e^{−d_ak/τ} of an anchor (arXiv
//! 2004.11362, eq. 2).
//!
//! With the shares q_k = e^{−d_ak/τ} / Σ e^{−d_ak/τ}, the weight of a positive is (1/|P| − q_p)/τ and
//! that of a negative −q_n/τ.

use super::exponentials::exponentials;
use super::extent::{Extent, count_all};
use crate::distance::multiply;
use crate::objective::row::{AnchorRow, RowGradient};
use crate::simd::sum;
use crate::sorted_lookup::SortedLookup;

pub(super) fn compute(
    row: &AnchorRow,
    temperature: f32,
    lookup: &mut SortedLookup,
    gradient: &mut RowGradient,
) {
    let extent = Extent::of(row);
    let nearest = extent.nearest_positive.min(extent.nearest_negative);
    gradient.sums.active += count_all(row, extent, lookup, gradient);
    gradient.sums.active_anchors += 1;
    gradient.clear_own(row);

    // The terms e^{(nearest − d)/τ} do not overflow, and one of them is 1.
    let factor = -1.0 / temperature;
    let ranges = || row.positive_ranges().into_iter().chain(row.negative_ranges());
    let mut total = 0.0;
    for range in ranges() {
        let out = &mut gradient.weights[range.clone()];
        total += exponentials(&row.distances[range], nearest, factor, out);
    }
    let temperature = f64::from(temperature);
    let positives = row.positive_count() as f64;
    let distances: f64 = row.positive_distances().into_iter().map(sum).sum();
    gradient.sums.value += (distances / positives - f64::from(nearest)) / temperature + total.ln();

    for range in ranges() {
        multiply(&mut gradient.weights[range], -1.0 / (temperature * total));
    }
    let attraction = (1.0 / (positives * temperature)) as f32;
    for range in row.positive_ranges() {
        gradient.weights[range].iter_mut().for_each(|weight| *weight += attraction);
    }
}
