//! Batch-all with a soft penalty: an exponential for each item instead of one for each triplet.
//!
//! e^{d_ap + m − d_an} is a product of a factor of the positive and one of the negative. The slope
//! of a triplet is then z/(1 + z) with z that product, and the sum of the values ln(1 + z) is the
//! logarithm of one long product, of which f64 keeps the digits and an integer the exponent. Where
//! many positives lie close together, a few nodes stand for all of them: see [`super::soft_nodes`].

use super::penalty::{SOFT_ACTIVE_FROM, exp_below_0};
use super::places::Reach;
use super::ranked::{self, Span};
use super::row::{Row, weigh_positives};
use super::soft_nodes::{Nodes, needed, slopes_of_nodes};
use crate::simd::{LANES, fold, vectorised};

/// The most that the distances of a row may differ for z ≥ e^−20 to be seen beside 1.
const SPREAD: f32 = 20.0;

/// Factors up to 1 + e^20 that f64 surely holds the product of.
const FACTORS: usize = 16;

/// Negatives over which slopes are added in f32.
const STRETCH: usize = 64 * LANES;

/// Nodes cost about as much as so many positives each. Measured by `examples/crossover.rs` on Zen 5
/// with AVX-512, one thread, in ns a negative, with eight or nine nodes: 4 positives 0.97 met, 1.12 by nodes;
/// 6 positives 1.21 and 1.15. (Triplet by triplet 1 positive takes 1.06, by factors 0.70.)
const NODE: f64 = 0.6;

/// Room for what a row comes to, used again by the next.
#[derive(Debug, Default)]
pub(super) struct Room {
    nodes: Nodes,
    /// Factors of the positives, or of the nodes that stand for them, and of the negatives.
    left: Vec<f32>,
    right: Vec<f32>,
    /// Of the nodes.
    weights: Vec<f32>,
    /// Slopes of the nodes, or of the positives, and the lanes that they are the sums of.
    slopes: Vec<f64>,
    lanes: Vec<[f32; LANES]>,
}

/// Every triplet of a row; false, and nothing done, if its distances differ too much.
pub(super) fn weigh(row: &mut Row) -> bool {
    let span = Span::of(row);
    let thresholds = Thresholds::of(row, span);
    if thresholds.high.max(span.far) - thresholds.low.min(span.near) > SPREAD {
        return false;
    }
    let (nodes, count) = (thresholds.nodes(), (row.class.len() - 1) as f64);
    weigh_within(row, span, (nodes as f64 * NODE < count).then_some(nodes));
    true
}

/// [`weigh`] either way, for a row whose distances differ little enough.
#[cfg(any(test, feature = "reference"))]
pub(super) fn weigh_by(row: &mut Row, by_nodes: bool) {
    let span = Span::of(row);
    let nodes = by_nodes.then(|| Thresholds::of(row, span).nodes());
    weigh_within(row, span, nodes);
}

/// Where the thresholds of a row lie, from `low` to `high`, and the nearest negative.
#[derive(Clone, Copy)]
struct Thresholds {
    low: f32,
    high: f32,
    near: f32,
}

impl Thresholds {
    fn of(row: &Row, span: Span) -> Self {
        let margin = row.penalty.margin();
        Self { low: span.low + margin, high: span.high + margin, near: span.near }
    }

    /// How many nodes stand for the thresholds.
    fn nodes(self) -> usize {
        needed(f64::from(self.high - self.low) / 2.0)
    }
}

/// By way of so many nodes, or each positive for itself.
fn weigh_within(row: &mut Row, span: Span, nodes: Option<usize>) {
    let thresholds = Thresholds::of(row, span);
    let margin = row.penalty.margin();
    let mut room = std::mem::take(&mut row.ranks.soft);
    let negatives = row.distances.len() - row.class.len();
    room.right.resize(negatives.next_multiple_of(LANES), 0.0);
    let mut from = 0;
    for range in row.negatives() {
        let right = &mut room.right[from..][..range.len()];
        from += range.len();
        factors(&row.distances[range], span.near, right);
    }
    // Zeros, which add nothing anywhere, round up to whole vectors.
    room.right[from..].fill(0.0);

    match nodes {
        Some(nodes) => by_nodes(row, &mut room, thresholds, nodes),
        None => one_by_one(row, &mut room, thresholds),
    }
    row.weights[row.anchor] = 0.0;
    let mut from = 0;
    for range in row.negatives() {
        let slopes = &room.right[from..][..range.len()];
        from += range.len();
        negate(slopes, &mut row.weights[range]);
    }
    row.ranks.soft = room;
    let reach = (f64::from(margin) - SOFT_ACTIVE_FROM) as f32;
    row.tally.active += ranked::within(row, span, Reach::By(reach));
    row.tally.violated += ranked::violated(row, span);
}

/// Adds value and slopes of the positives, and leaves those of the negatives in place of their
/// factors: each positive meets each negative.
fn one_by_one(row: &mut Row, room: &mut Room, Thresholds { high, near, .. }: Thresholds) {
    let margin = row.penalty.margin();
    let Room { left, right, lanes, slopes, .. } = room;
    left.clear();
    left.extend(row.positives().map(|place| row.distances[place] + margin - high));
    exponentials(left);
    let between = (f64::from(high) - f64::from(near)).exp() as f32;
    left.iter_mut().for_each(|factor| *factor *= between);

    let mut product = Product { digits: [1.0; LANES], exponents: [0; LANES] };
    slopes.clear();
    slopes.resize(left.len(), 0.0);
    by_stretches(right, lanes, slopes, |right, lanes| {
        multiply(left, right, lanes, &mut product);
    });
    row.tally.value += product.ln();
    weigh_positives(row.weights, row.positive_ranges(), slopes.iter().map(|&slope| slope as f32));
}

/// The same by way of a few nodes between the positives: see [`super::soft_nodes`].
fn by_nodes(row: &mut Row, room: &mut Room, thresholds: Thresholds, count: usize) {
    let Thresholds { low, high, near } = thresholds;
    let Room { nodes, left, right, weights, lanes, slopes } = room;
    let ranges = row.positive_ranges();
    let distances = ranges.clone().map(|range| &row.distances[range]);
    nodes.spread(count, distances, row.penalty.margin(), low, high);
    left.clear();
    left.extend(nodes.thresholds().map(|u| (u - f64::from(near)).exp() as f32));
    nodes.weights(weights);
    let central = (nodes.centre() - f64::from(near)).exp() as f32;
    let positives = (row.class.len() - 1) as f64;
    row.tally.value += positives * sum_of_logarithms(central, right);

    slopes.clear();
    slopes.resize(count, 0.0);
    by_stretches(right, lanes, slopes, |right, lanes| {
        slopes_of_nodes(left, weights, right, lanes);
    });
    nodes.interpolate(slopes);
    row.tally.value += nodes.integral();
    nodes.slopes(slopes);
    weigh_positives(row.weights, ranges, slopes.iter().map(|&slope| slope as f32));
}

/// Adds up the slopes that `multiply` gives a stretch of negatives at a time, in f64.
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
    /// Adds all lanes of each to a sum.
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

/// For each lane a product of factors from 1 on: `digits · 2^exponents`, with digits below 2.
struct Product {
    digits: [f64; LANES],
    exponents: [i64; LANES],
}

impl Product {
    /// Takes over digits that have grown, in part as exponents.
    #[inline(always)]
    fn take(&mut self, digits: [f64; LANES]) {
        const FRACTION: u64 = (1 << 52) - 1;
        let kept = self.digits.iter_mut().zip(&mut self.exponents);
        for (digits, (kept, exponent)) in digits.iter().zip(kept) {
            let bits = digits.to_bits();
            *exponent = exponent.wrapping_add((bits >> 52) as i64 - 1023);
            *kept = f64::from_bits(bits & FRACTION | 1023 << 52);
        }
    }

    fn ln(&self) -> f64 {
        let exponents: i64 = self.exponents.iter().sum();
        self.digits.iter().product::<f64>().ln() + exponents as f64 * std::f64::consts::LN_2
    }
}

vectorised! {
    /// Multiplies all 1 + z into `product`, adds the slopes of each positive to its lanes, and
    /// leaves those of each negative in the place of its factor (whole vectors of them).
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
            right[LANES + 3] = 0.0; // as behind the last negative
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
