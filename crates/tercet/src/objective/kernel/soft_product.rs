//! Every triplet with a soft penalty: one exponential per item instead of one per triplet.
//!
//! z = e^{d_ap + m − d_an} is the product of a factor of the positive and a factor of the negative.
//! The slope of a triplet is z/(1 + z), and the sum of the values ln(1 + z) is the logarithm of one
//! long product, with its digits in an f64 and its exponent in an integer. With many positives a
//! few interpolation nodes replace them: see [`super::soft_interpolated`].

use super::extent::{Extent, count_below, count_violated};
use super::pairwise;
use super::soft_interpolated::{Nodes, nodes_needed, slopes_of_nodes};
use crate::objective::from_positives::PER_NODE;
use crate::objective::row::{AnchorRow, RowGradient};
use crate::objective::rule::{SOFT_ACTIVE_FROM, exp_below_0};
use crate::simd::{LANES, fold, vectorised};
use crate::sorted_lookup::{SortedLookup, Threshold};

/// The largest difference between distances of a row for which products are used. It implies
/// e^−20 ≤ z ≤ e^20, so that z still changes 1 + z in f64.
const LARGEST_DIFFERENCE: f32 = 20.0;

/// The number of factors, each up to 1 + e^20, whose product always fits into an f64.
const FACTORS: usize = 16;

/// Negatives whose slopes are added in f32 before the sum continues in f64.
const STRETCH: usize = 64 * LANES;

/// Buffers of the kernel, which are reused from row to row.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    nodes: Nodes,
    /// Factors of the positives, or of the nodes that replace them.
    left: Vec<f32>,
    /// Factors of the negatives, which are replaced by their slopes.
    right: Vec<f32>,
    /// Weights of the nodes.
    weights: Vec<f32>,
    /// Slopes of the nodes or of the positives, and the partial sums from which they are added up.
    slopes: Vec<f64>,
    lanes: Vec<[f32; LANES]>,
}

/// The range of a row's thresholds d_ap + m, and the nearest negative.
#[derive(Clone, Copy)]
struct Thresholds {
    low: f32,
    high: f32,
    nearest_negative: f32,
}

impl Thresholds {
    fn of(row: &AnchorRow, extent: Extent) -> Self {
        let margin = row.penalty.margin();
        Self {
            low: extent.nearest_positive + margin,
            high: extent.farthest_positive + margin,
            nearest_negative: extent.nearest_negative,
        }
    }

    /// The number of nodes that replace the thresholds.
    fn nodes(self) -> usize {
        nodes_needed(f64::from(self.high - self.low) / 2.0)
    }
}

/// Value and slopes of a row. If its distances differ too much for products of exponentials, each
/// triplet is computed separately.
pub(super) fn compute(
    row: &AnchorRow,
    lookup: &mut SortedLookup,
    scratch: &mut Scratch,
    gradient: &mut RowGradient,
) {
    let extent = Extent::of(row);
    let thresholds = Thresholds::of(row, extent);
    let highest = thresholds.high.max(extent.farthest_negative);
    if highest - thresholds.low.min(extent.nearest_negative) > LARGEST_DIFFERENCE {
        return pairwise::any_penalty(row, gradient);
    }
    let nodes = thresholds.nodes();
    let fewer = nodes as f64 * PER_NODE < row.positive_count() as f64;
    compute_by(row, extent, fewer.then_some(nodes), lookup, scratch, gradient);
}

/// Value and slopes by nodes or by positives, for a row whose distances differ little enough.
/// `crossover` measures both.
#[cfg(any(test, feature = "reference"))]
pub(super) fn compute_either_way(
    row: &AnchorRow,
    by_nodes: bool,
    lookup: &mut SortedLookup,
    scratch: &mut Scratch,
    gradient: &mut RowGradient,
) {
    let extent = Extent::of(row);
    let nodes = by_nodes.then(|| Thresholds::of(row, extent).nodes());
    compute_by(row, extent, nodes, lookup, scratch, gradient);
}

/// Value and slopes by the given number of nodes, or by each positive if there is none.
fn compute_by(
    row: &AnchorRow,
    extent: Extent,
    nodes: Option<usize>,
    lookup: &mut SortedLookup,
    scratch: &mut Scratch,
    gradient: &mut RowGradient,
) {
    let thresholds = Thresholds::of(row, extent);
    scratch.right.resize(row.negative_count().next_multiple_of(LANES), 0.0);
    let mut from = 0;
    for distances in row.negative_distances() {
        let right = &mut scratch.right[from..][..distances.len()];
        from += distances.len();
        factors(distances, extent.nearest_negative, right);
    }
    // The last vector is filled with zeros, which add nothing to any sum.
    scratch.right[from..].fill(0.0);

    match nodes {
        Some(nodes) => by_nodes(row, scratch, thresholds, nodes, gradient),
        None => by_positives(row, scratch, thresholds, gradient),
    }
    gradient.clear_own(row);
    let mut from = 0;
    for range in row.negative_ranges() {
        let slopes = &scratch.right[from..][..range.len()];
        from += range.len();
        negate(slopes, &mut gradient.weights[range]);
    }
    let active_from = (f64::from(row.penalty.margin()) - SOFT_ACTIVE_FROM) as f32;
    gradient.sums.selected += row.positive_count() as u64 * row.negative_count() as u64;
    gradient.sums.active += count_below(row, extent, Threshold::Plus(active_from), lookup);
    gradient.sums.violated += count_violated(row, extent, lookup);
}

/// Adds the value and the slopes of the positives, and replaces the factors of the negatives by
/// their slopes. Each positive is combined with each negative.
fn by_positives(
    row: &AnchorRow,
    scratch: &mut Scratch,
    Thresholds { high, nearest_negative, .. }: Thresholds,
    gradient: &mut RowGradient,
) {
    let margin = row.penalty.margin();
    let Scratch { left, right, lanes, slopes, .. } = scratch;
    left.clear();
    left.extend(row.positives().map(|positive| row.distances[positive] + margin - high));
    exponentials(left);
    let between = (f64::from(high) - f64::from(nearest_negative)).exp() as f32;
    left.iter_mut().for_each(|factor| *factor *= between);

    let mut product = Product { digits: [1.0; LANES], exponents: [0; LANES] };
    slopes.clear();
    slopes.resize(left.len(), 0.0);
    by_stretches(right, lanes, slopes, |right, lanes| {
        multiply(left, right, lanes, &mut product);
    });
    gradient.sums.value += product.ln();
    gradient.set_positives(row, slopes.iter().map(|&slope| slope as f32));
}

/// The same by interpolation nodes among the thresholds: see [`super::soft_interpolated`].
fn by_nodes(
    row: &AnchorRow,
    scratch: &mut Scratch,
    thresholds: Thresholds,
    count: usize,
    gradient: &mut RowGradient,
) {
    let Thresholds { low, high, nearest_negative } = thresholds;
    let nearest_negative = f64::from(nearest_negative);
    let Scratch { nodes, left, right, weights, lanes, slopes } = scratch;
    nodes.place(count, row.positive_distances(), row.penalty.margin(), low, high);
    left.clear();
    left.extend(nodes.thresholds().map(|u| (u - nearest_negative).exp() as f32));
    nodes.weights(weights);
    let central = (nodes.centre() - nearest_negative).exp() as f32;
    gradient.sums.value += row.positive_count() as f64 * sum_of_logarithms(central, right);

    slopes.clear();
    slopes.resize(count, 0.0);
    by_stretches(right, lanes, slopes, |right, lanes| {
        slopes_of_nodes(left, weights, right, lanes);
    });
    nodes.interpolate(slopes);
    gradient.sums.value += nodes.integral();
    nodes.slopes(slopes);
    gradient.set_positives(row, slopes.iter().map(|&slope| slope as f32));
}

/// Calls `multiply` for one stretch of negatives at a time and adds its slopes in f64.
fn by_stretches(
    right: &mut [f32],
    lanes: &mut Vec<[f32; LANES]>,
    slopes: &mut [f64],
    mut multiply: impl FnMut(&mut [f32], &mut [[f32; LANES]]),
) {
    for stretch in right.chunks_mut(STRETCH) {
        lanes.clear();
        lanes.resize(slopes.len(), [0.0; LANES]);
        multiply(stretch, lanes);
        add_lanes(lanes, slopes);
    }
}

vectorised! {
    /// Adds all lanes of each element to its sum.
    fn add_lanes(lanes: &[[f32; LANES]], sums: &mut [f64]) {
        for (lanes, sum) in lanes.iter().zip(sums) {
            *sum += fold(lanes.map(f64::from), |x, y| x + y);
        }
    }
}

vectorised! {
    /// e^{near − d}.
    fn factors(distances: &[f32], near: f32, out: &mut [f32]) {
        for (out, &d) in out.iter_mut().zip(distances) {
            *out = exp_below_0(near - d);
        }
    }
}

vectorised! {
    fn negate(values: &[f32], out: &mut [f32]) {
        out.iter_mut().zip(values).for_each(|(out, value)| *out = -value);
    }
}

vectorised! {
    fn exponentials(values: &mut [f32]) {
        values.iter_mut().for_each(|value| *value = exp_below_0(*value));
    }
}

/// Σ ln(1 + left·right).
fn sum_of_logarithms(left: f32, right: &[f32]) -> f64 {
    let mut product = Product { digits: [1.0; LANES], exponents: [0; LANES] };
    for stretch in right.chunks(FACTORS * LANES) {
        multiply_one(left, stretch, &mut product);
    }
    product.ln()
}

vectorised! {
    /// Multiplies 1 + left·right into `product`, for up to [`FACTORS`] whole vectors.
    fn multiply_one(left: f32, right: &[f32], product: &mut Product) {
        let mut digits = product.digits;
        let (blocks, _) = right.as_chunks::<LANES>();
        for block in blocks {
            for lane in 0..LANES {
                digits[lane] *= 1.0 + f64::from(left * block[lane]);
            }
        }
        product.take(digits);
    }
}

/// For each lane a product of factors ≥ 1: `digits · 2^exponents`, with 1 ≤ digits < 2.
struct Product {
    digits: [f64; LANES],
    exponents: [i64; LANES],
}

impl Product {
    /// Replaces the digits by the given larger ones, and moves their powers of two into the
    /// exponents.
    #[inline(always)]
    fn take(&mut self, digits: [f64; LANES]) {
        const FRACTION: u64 = (1 << 52) - 1;
        let own = self.digits.iter_mut().zip(&mut self.exponents);
        for (digits, (own, exponent)) in digits.iter().zip(own) {
            let bits = digits.to_bits();
            *exponent = exponent.wrapping_add((bits >> 52) as i64 - 1023);
            *own = f64::from_bits(bits & FRACTION | 1023 << 52);
        }
    }

    fn ln(&self) -> f64 {
        let exponents: i64 = self.exponents.iter().sum();
        self.digits.iter().product::<f64>().ln() + exponents as f64 * std::f64::consts::LN_2
    }
}

vectorised! {
    /// With z = left_p · right_n: multiplies all 1 + z into `product`, adds the slopes z/(1 + z) of
    /// each positive to its lanes, and replaces right_n by the sum of the slopes of the negative.
    /// The length of `right` is a whole number of vectors.
    fn multiply(left: &[f32], right: &mut [f32], slopes: &mut [[f32; LANES]], product: &mut Product) {
        let (blocks, _) = right.as_chunks_mut::<LANES>();
        for block in blocks {
            let factors = *block;
            let mut sums = [0.0_f32; LANES];
            for (left, slopes) in left.chunks(FACTORS).zip(slopes.chunks_mut(FACTORS)) {
                let mut digits = product.digits;
                for (&left, slopes) in left.iter().zip(slopes) {
                    for lane in 0..LANES {
                        let z = left * factors[lane];
                        let slope = z / (1.0 + z);
                        sums[lane] += slope;
                        slopes[lane] += slope;
                        digits[lane] *= 1.0 + f64::from(z);
                    }
                }
                product.take(digits);
            }
            *block = sums;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_long_product_is_the_sum_of_the_logarithms() {
        for (count, spread) in [(1, 0.5_f32), (5, 2.0), (40, 8.0), (70, 19.0)] {
            let left: Vec<f32> =
                (0..count).map(|p| (p as f32 / count as f32 * spread).exp()).collect();
            let factors: Vec<f32> =
                (0..3 * LANES).map(|n| (-(n as f32) / 48.0 * spread).exp()).collect();
            let mut right = factors.clone();
            right[LANES + 3] = 0.0; // as in the padding after the last negative
            let mut slopes = vec![[0.0; LANES]; left.len()];
            let mut product = Product { digits: [1.0; LANES], exponents: [0; LANES] };
            multiply(&left, &mut right, &mut slopes, &mut product);

            let z = |p: usize, n: usize| {
                if n == LANES + 3 { 0.0 } else { f64::from(left[p]) * f64::from(factors[n]) }
            };
            let slope = |p, n| z(p, n) / (1.0 + z(p, n));
            let (positives, negatives) = (left.len(), factors.len());
            let value: f64 = (0..positives)
                .flat_map(|p| (0..negatives).map(move |n| (p, n)))
                .map(|(p, n)| z(p, n).ln_1p())
                .sum();
            assert!((product.ln() / value - 1.0).abs() < 1e-6);
            for (p, lanes) in slopes.iter().enumerate() {
                let expected: f64 = (0..negatives).map(|n| slope(p, n)).sum();
                let sum: f64 = lanes.iter().map(|&lane| f64::from(lane)).sum();
                assert!((sum / expected - 1.0).abs() < 1e-5);
            }
            for (n, &sum) in right.iter().enumerate() {
                let expected: f64 = (0..positives).map(|p| slope(p, n)).sum();
                assert!((f64::from(sum) - expected).abs() <= 1e-5 * expected);
            }
        }
    }
}
