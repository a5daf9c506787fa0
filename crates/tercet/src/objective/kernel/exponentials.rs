//! Exponentials of the distances of a row, without overflow.

use crate::objective::rule::exp_below_0;
use crate::simd::{sum, vectorised};

vectorised! {
    /// Writes e^{factor·(d − extreme)}, where no exponent is positive, and returns the sum.
    pub(super) fn exponentials(
        distances: &[f32],
        extreme: f32,
        factor: f32,
        out: &mut [f32],
    ) -> f64 {
        for (&d, out) in distances.iter().zip(&mut *out) {
            *out = exp_below_0(factor * (d - extreme));
        }
        sum(out)
    }
}
