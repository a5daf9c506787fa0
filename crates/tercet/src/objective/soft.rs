//! Batch-all with a soft penalty: an exponential for each item instead of one for each triplet.
//!
//! e^{d_ap + m − d_an} is a product of a factor of the positive and one of the negative. The slope
//! of a triplet is then z/(1 + z) with z that product, and the sum of the values ln(1 + z) is the
//! logarithm of one long product, of which f64 keeps the digits and an integer the exponent.

use super::penalty::exp_below_0;
use super::ranked;
use super::row::Row;
use crate::simd::{LANES, largest, smallest, vectorised};

/// The most that the distances of a row may differ for z ≥ e^−20 to be seen beside 1.
const SPREAD: f32 = 20.0;

/// Factors up to 1 + e^20 that f64 surely holds the product of.
const FACTORS: usize = 16;

/// Negatives over which slopes are added in f32.
const STRETCH: usize = 64 * LANES;

/// The factors of a row: e^{d_ap + m − d_an} = `positives[p] · negatives[n]`.
struct Factors {
    positives: Vec<f32>,
    /// Rounded up to whole vectors by zeros, which add nothing anywhere.
    negatives: Vec<f32>,
}

/// Every triplet of a row; false, and nothing done, if its distances differ too much.
pub(super) fn weigh(row: &mut Row) -> bool {
    let positives: Vec<usize> = row.positives().collect();
    let d_ap: Vec<f32> = positives.iter().map(|&place| row.distances[place]).collect();
    let Some(Factors { positives: left, negatives: mut right }) = factors(row, &d_ap) else {
        return false;
    };
    let mut slopes = vec![0.0_f64; positives.len()];
    let mut lanes = vec![[0.0_f32; LANES]; positives.len()];
    let mut product = Product { digits: [1.0; LANES], exponents: [0; LANES] };
    for stretch in right.chunks_mut(STRETCH) {
        lanes.fill([0.0; LANES]);
        multiply(&left, stretch, &mut lanes, &mut product);
        for (slope, lanes) in slopes.iter_mut().zip(&lanes) {
            *slope += lanes.iter().map(|&lane| f64::from(lane)).sum::<f64>();
        }
    }
    row.tally.value += product.ln();
    for (&place, &slope) in positives.iter().zip(&slopes) {
        row.weights[place] += slope as f32;
    }
    let mut from = 0;
    for range in row.negatives() {
        let sums = &right[from..][..range.len()];
        row.weights[range.clone()].iter_mut().zip(sums).for_each(|(weight, sum)| *weight -= sum);
        from += range.len();
    }
    // ln(1 + e^x) exceeds the threshold where x exceeds this.
    let least = f64::from(row.penalty.active_above()).exp_m1().ln();
    let reach = (f64::from(row.penalty.margin()) - least) as f32;
    row.tally.active += ranked::within(row, |d_ap| d_ap + reach);
    row.tally.violated += ranked::violated(row);
    true
}

fn factors(row: &Row, d_ap: &[f32]) -> Option<Factors> {
    let margin = row.penalty.margin();
    let negatives = row.negatives().map(|range| &row.distances[range]);
    let near = smallest(negatives[0]).min(smallest(negatives[1]));
    let far = largest(negatives[0]).max(largest(negatives[1]));
    let (least, most) = (smallest(d_ap) + margin, largest(d_ap) + margin);
    if most.max(far) - least.min(near) > SPREAD {
        return None;
    }
    let mut left: Vec<f32> = d_ap.iter().map(|d| d + margin - most).collect();
    exponentials(&mut left);
    let between = (f64::from(most) - f64::from(near)).exp() as f32;
    left.iter_mut().for_each(|factor| *factor *= between);

    let count = negatives[0].len() + negatives[1].len();
    let mut right = Vec::with_capacity(count.next_multiple_of(LANES));
    right.extend(negatives.into_iter().flatten().map(|d| near - d));
    exponentials(&mut right);
    right.resize(count.next_multiple_of(LANES), 0.0);
    Some(Factors { positives: left, negatives: right })
}

vectorised! {
    fn exponentials(values: &mut [f32]) {
        values.iter_mut().for_each(|value| *value = exp_below_0(*value));
    }
}

/// For each lane a product of factors from 1 on: `digits · 2^exponents`, with digits below 2.
struct Product {
    digits: [f64; LANES],
    exponents: [i64; LANES],
}

impl Product {
    fn ln(&self) -> f64 {
        let exponents: i64 = self.exponents.iter().sum();
        self.digits.iter().map(|digits| digits.ln()).sum::<f64>()
            + exponents as f64 * std::f64::consts::LN_2
    }
}

vectorised! {
    /// Multiplies all 1 + z into `product`, adds the slopes of each positive to its lanes, and
    /// leaves those of each negative in the place of its factor (whole vectors of them).
    fn multiply(left: &[f32], right: &mut [f32], slopes: &mut [[f32; LANES]], product: &mut Product) {
        const FRACTION: u64 = (1 << 52) - 1;
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
                let kept = product.digits.iter_mut().zip(&mut product.exponents);
                for (digits, (kept, exponent)) in digits.iter().zip(kept) {
                    let bits = digits.to_bits();
                    *exponent = exponent.wrapping_add((bits >> 52) as i64 - 1023);
                    *kept = f64::from_bits(bits & FRACTION | 1023 << 52);
                }
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
