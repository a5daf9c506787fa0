//! Multi-similarity: the term 1/α·ln(1 + Σ_p e^{α(d_ap − λ)}) + 1/β·ln(1 + Σ_n e^{β(λ − d_an)}) of
//! an anchor (arXiv 1904.06627, eq. 15).
//!
//! The weight of a positive is e^{α(d_ap − λ)} / (1 + Σ_p e^{α(d_ap − λ)}), that of a negative
//! −e^{β(λ − d_an)} / (1 + Σ_n e^{β(λ − d_an)}).

use std::ops::Range;

use super::exponentials::exponentials;
use super::extent::{Extent, count_all};
use crate::distance::multiply;
use crate::objective::row::{AnchorRow, RowGradient};
use crate::sorted_lookup::SortedLookup;

pub(super) fn compute(
    row: &AnchorRow,
    [alpha, beta, base]: [f32; 3],
    lookup: &mut SortedLookup,
    gradient: &mut RowGradient,
) {
    let extent = Extent::of(row);
    gradient.sums.active += count_all(row, extent, lookup, gradient);
    gradient.sums.active_anchors += 1;
    gradient.clear_own(row);
    let positive =
        side(row, row.positive_ranges(), extent.farthest_positive, alpha, base, gradient);
    let negative = side(row, row.negative_ranges(), extent.nearest_negative, -beta, base, gradient);
    gradient.sums.value += positive + negative;
}

/// 1/|factor|·ln(1 + Σ e^{factor·(d − base)}) over some distances, whose largest exponent is that of
/// `extreme`; writes the derivatives with respect to the distances.
fn side(
    row: &AnchorRow,
    ranges: [Range<usize>; 2],
    extreme: f32,
    factor: f32,
    base: f32,
    gradient: &mut RowGradient,
) -> f64 {
    let highest = f64::from(factor) * (f64::from(extreme) - f64::from(base));
    // With the terms e^{factor·(d − extreme)} ≤ 1, the sum 1 + Σ e^{factor·(d − base)} is
    // e^highest · (e^{−highest} + Σ terms), or 1 + e^highest · Σ terms: whichever does not overflow.
    let mut sum = 0.0;
    for range in ranges.clone() {
        let out = &mut gradient.weights[range.clone()];
        sum += exponentials(&row.distances[range], extreme, factor, out);
    }
    let (logarithm, scale) = if highest > 0.0 {
        let sum = (-highest).exp() + sum;
        (highest + sum.ln(), 1.0 / sum)
    } else {
        let largest = highest.exp();
        let sum = largest * sum;
        (sum.ln_1p(), largest / (1.0 + sum))
    };
    let scale = scale * f64::from(factor.signum());
    for range in ranges {
        multiply(&mut gradient.weights[range], scale);
    }
    logarithm / f64::from(factor.abs())
}
