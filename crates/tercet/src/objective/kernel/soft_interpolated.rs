//! Every triplet with a soft penalty and many positives: a few interpolation nodes replace the
//! positives.
//!
//! As a function of the threshold u = d_ap + m, the slope of a positive G(u) = Σ_n σ(u − d_an) is
//! smooth. Its poles are at least π away from the real axis, so the error of its Chebyshev
//! interpolation falls by a constant factor with every node, and faster if the thresholds are
//! closer together. With the number of nodes that [`nodes_needed`] computes, every slope is exact
//! to about seven digits, the precision of f32:
//!
//! - the slope of a positive is the interpolation of G at its own threshold;
//! - the weight of a negative is −Σ_i ω_i σ(u_i − d_an), where ω_i is the sum over all positives of
//!   the i-th Lagrange polynomial at their thresholds;
//! - the value Σ_p Σ_n ln(1 + e^{u_p − d_an}) follows from its value at one threshold by integrating
//!   the interpolation, since σ is its derivative.

use crate::simd::{LANES, total, vectorised};

/// The relative error that a slope may have.
const TOLERANCE: f64 = 1e-7;

/// The share of the distance π to the nearest pole that the computed convergence relies on.
const SHARE: f64 = 0.85;

/// The smallest half range of thresholds that is used, so that none is 0.
const LEAST_HALF: f64 = 1e-3;

/// The number of nodes for thresholds that differ by up to `half` from their centre.
///
/// Let ρ be the sum of the half axes of an ellipse with the foci −1 and 1, the ends of the scaled
/// thresholds, in which G has no pole. Then the error of an interpolation with r nodes falls as
/// ρ^{1−r} (Trefethen, "Approximation Theory and Approximation Practice", 2013, theorem 8.2). It is
/// relative to the largest slope, which is at most e^{2·half} times the smallest.
pub(super) fn nodes_needed(half: f64) -> usize {
    let axis = SHARE * std::f64::consts::PI / half.max(LEAST_HALF);
    let rate = (axis + axis.hypot(1.0)).ln();
    2 + ((2.0 * half + (4.0 / TOLERANCE).ln()) / rate).ceil() as usize
}

/// Chebyshev nodes over a range of thresholds, and the interpolation between them.
#[derive(Debug, Default)]
pub(super) struct Nodes {
    /// The number of nodes for which the cosines were computed.
    count: usize,
    /// The matrix of T_j at node i with a row for each j, and its transpose.
    cosines: Vec<f64>,
    turned: Vec<f64>,
    centre: f64,
    half: f64,
    /// The thresholds, scaled to −1..1.
    scaled: Vec<f64>,
    /// Σ over the thresholds of T_j, for j up to and including the number of nodes.
    moments: Vec<f64>,
    lanes: Vec<[f64; LANES]>,
    /// The coefficients of the interpolation of G in T_j.
    series: Vec<f64>,
    /// Σ moments·T_j at each node.
    combined: Vec<f64>,
}

impl Nodes {
    /// Places `count` nodes in the range `low`..`high` of the thresholds d + `margin`.
    pub(super) fn place(
        &mut self,
        count: usize,
        distances: [&[f32]; 2],
        margin: f32,
        low: f32,
        high: f32,
    ) {
        let (low, high) = (f64::from(low), f64::from(high));
        self.centre = (low + high) / 2.0;
        self.half = ((high - low) / 2.0).max(LEAST_HALF);
        if count != self.count {
            self.count = count;
            let cosine = |j: usize, i: usize| {
                ((j * (2 * i + 1)) as f64 * std::f64::consts::PI / (2 * count) as f64).cos()
            };
            let all = (0..count).flat_map(|row| (0..count).map(move |column| (row, column)));
            self.cosines = all.clone().map(|(j, i)| cosine(j, i)).collect();
            self.turned = all.map(|(i, j)| cosine(j, i)).collect();
        }
        self.scaled.clear();
        let (centre, scale) = (self.centre, 1.0 / self.half);
        for distances in distances {
            let thresholds = distances.iter().map(|&d| f64::from(d + margin));
            self.scaled.extend(thresholds.map(|u| (u - centre) * scale));
        }
        self.lanes.resize(count + 1, [0.0; LANES]);
        sum_polynomials(&self.scaled, &mut self.lanes);
        self.moments.clear();
        self.moments.extend(self.lanes.iter().map(total));
    }

    /// The centre of the range of thresholds.
    pub(super) fn centre(&self) -> f64 {
        self.centre
    }

    /// The thresholds u_i of the nodes.
    pub(super) fn thresholds(&self) -> impl Iterator<Item = f64> + '_ {
        (0..self.count).map(|i| match self.cosines.get(self.count + i) {
            Some(cosine) => self.centre + self.half * cosine,
            None => self.centre,
        })
    }

    /// The weights ω_i of the nodes.
    pub(super) fn weights(&mut self, out: &mut Vec<f32>) {
        let (count, first) = (self.count as f64, self.moments[0]);
        self.combined.resize(self.count, 0.0);
        combine(&self.moments[..self.count], &self.cosines, &mut self.combined);
        out.clear();
        out.extend(self.combined.iter().map(|sum| ((2.0 * sum - first) / count) as f32));
    }

    /// Interpolates G, given its values at the nodes.
    pub(super) fn interpolate(&mut self, slopes: &[f64]) {
        self.series.resize(self.count, 0.0);
        combine(slopes, &self.turned, &mut self.series);
        let scale = 2.0 / self.count as f64;
        self.series.iter_mut().for_each(|coefficient| *coefficient *= scale);
        if let Some(first) = self.series.first_mut() {
            *first /= 2.0;
        }
    }

    /// The interpolated G at every threshold, in the order of the distances.
    pub(super) fn slopes(&self, out: &mut Vec<f64>) {
        out.resize(self.scaled.len(), 0.0);
        evaluate(&self.series, &self.scaled, out);
    }

    /// Σ over the thresholds u of ∫ G from the centre to u.
    pub(super) fn integral(&self) -> f64 {
        let c = |j: usize| self.series.get(j).copied().unwrap_or(0.0);
        let integrals = (1..=self.count).map(|j| {
            let before = if j == 1 { 2.0 * c(0) } else { c(j - 1) };
            let coefficient = (before - c(j + 1)) / (2 * j) as f64;
            let at_centre = [1.0, 0.0, -1.0, 0.0][j % 4];
            coefficient * (self.moments[j] - at_centre * self.scaled.len() as f64)
        });
        self.half * integrals.sum::<f64>()
    }
}

vectorised! {
    /// Σ_k factors_k · row_k over the rows of a square matrix.
    fn combine(factors: &[f64], rows: &[f64], out: &mut [f64]) {
        out.fill(0.0);
        for (factor, row) in factors.iter().zip(rows.chunks_exact(out.len())) {
            for (sum, value) in out.iter_mut().zip(row) {
                *sum += factor * value;
            }
        }
    }
}

vectorised! {
    /// Σ_x T_j(x) for every j, in separate lanes.
    fn sum_polynomials(values: &[f64], sums: &mut [[f64; LANES]]) {
        sums.fill([0.0; LANES]);
        let (blocks, rest) = values.as_chunks::<LANES>();
        for x in blocks {
            let (mut last, mut own) = ([1.0; LANES], *x);
            for sums in sums.iter_mut() {
                for lane in 0..LANES {
                    sums[lane] += last[lane];
                    let next = 2.0 * x[lane] * own[lane] - last[lane];
                    last[lane] = own[lane];
                    own[lane] = next;
                }
            }
        }
        for &x in rest {
            let (mut last, mut own) = (1.0, x);
            for sums in sums.iter_mut() {
                sums[0] += last;
                (last, own) = (own, 2.0 * x * own - last);
            }
        }
    }
}

vectorised! {
    /// Σ_j series_j T_j(x) for every x, by Clenshaw's recurrence.
    fn evaluate(series: &[f64], values: &[f64], out: &mut [f64]) {
        for (values, out) in values.chunks(LANES).zip(out.chunks_mut(LANES)) {
            let mut x = [0.0; LANES];
            x[..values.len()].copy_from_slice(values);
            // Terms that do not depend on the previous step are computed first, which shortens the
            // chain of dependent operations.
            let twice = x.map(|x| 2.0 * x);
            let (mut own, mut before) = ([0.0; LANES], [0.0; LANES]);
            for &coefficient in series[1..].iter().rev() {
                for lane in 0..LANES {
                    let next = (coefficient - before[lane]) + twice[lane] * own[lane];
                    before[lane] = own[lane];
                    own[lane] = next;
                }
            }
            for (lane, out) in out.iter_mut().enumerate() {
                *out = series[0] + x[lane] * own[lane] - before[lane];
            }
        }
    }
}

vectorised! {
    /// With z = left_i · right_n and the slope z/(1 + z) = σ(u_i − d_an): adds the slopes of each
    /// node i to its lanes of `slopes`, and replaces right_n by Σ_i ω_i z/(1 + z). The length of
    /// `right` is a whole number of vectors.
    pub(super) fn slopes_of_nodes(
        left: &[f32],
        weights: &[f32],
        right: &mut [f32],
        slopes: &mut [[f32; LANES]],
    ) {
        let (blocks, _) = right.as_chunks_mut::<LANES>();
        // Two vectors at a time, so that each node is loaded once for both.
        let (pairs, last) = blocks.as_chunks_mut::<2>();
        pairs.iter_mut().for_each(|pair| multiply_nodes(left, weights, pair, slopes));
        let (last, _) = last.as_chunks_mut::<1>();
        last.iter_mut().for_each(|block| multiply_nodes(left, weights, block, slopes));
    }
}

#[inline(always)]
fn multiply_nodes<const VECTORS: usize>(
    left: &[f32],
    weights: &[f32],
    block: &mut [[f32; LANES]; VECTORS],
    slopes: &mut [[f32; LANES]],
) {
    let factors = *block;
    let mut sums = [[0.0_f32; LANES]; VECTORS];
    for ((&left, &weight), slopes) in left.iter().zip(weights).zip(slopes) {
        for lane in 0..LANES {
            let mut added = 0.0;
            for vector in 0..VECTORS {
                let z = left * factors[vector][lane];
                let slope = z / (1.0 + z);
                sums[vector][lane] += weight * slope;
                added += slope;
            }
            slopes[lane] += added;
        }
    }
    *block = sums;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_nodes_replace_many_thresholds() {
        // Thresholds that are equal, and thresholds that differ more and more, up to the largest
        // difference that is allowed.
        for (low, high) in [(0.9_f32, 0.9), (0.4, 0.9), (0.0, 2.0), (1.0, 5.0), (0.0, 12.0)] {
            let thresholds: Vec<f32> =
                (0..300).map(|i| low + (high - low) * (i as f32 / 299.0).powi(2)).collect();
            let distances: Vec<f64> = (0..200).map(|n| f64::from(n) / 20.0).collect();
            let slope =
                |u: f64| -> f64 { distances.iter().map(|d| 1.0 / (1.0 + (d - u).exp())).sum() };
            let value = |u: f64| -> f64 { distances.iter().map(|d| (u - d).exp().ln_1p()).sum() };

            let mut nodes = Nodes::default();
            let count = nodes_needed(f64::from(high - low) / 2.0);
            nodes.place(count, [&thresholds, &[]], 0.0, low, high);
            let at: Vec<f64> = nodes.thresholds().collect();
            assert!(at.len() < 120, "{} nodes from {low} to {high}", at.len());
            let slopes: Vec<f64> = at.iter().map(|&u| slope(u)).collect();
            nodes.interpolate(&slopes);

            let mut got = Vec::new();
            nodes.slopes(&mut got);
            for (&u, &got) in thresholds.iter().zip(&got) {
                let expected = slope(f64::from(u));
                assert!((got / expected - 1.0).abs() < 1e-6, "{u}: {got}, not {expected}");
            }
            let count = thresholds.len() as f64;
            let got = count * value(nodes.centre()) + nodes.integral();
            let expected: f64 = thresholds.iter().map(|&u| value(f64::from(u))).sum();
            assert!((got / expected - 1.0).abs() < 1e-7, "{got}, not {expected}");

            let mut weights = Vec::new();
            nodes.weights(&mut weights);
            for &d in &distances {
                let sigma = |u: f64| 1.0 / (1.0 + (d - u).exp());
                let got: f64 =
                    weights.iter().zip(&at).map(|(&weight, &u)| f64::from(weight) * sigma(u)).sum();
                let expected: f64 = thresholds.iter().map(|&u| sigma(f64::from(u))).sum();
                assert!((got / expected - 1.0).abs() < 1e-6, "{d}: {got}, not {expected}");
            }
        }
    }
}
