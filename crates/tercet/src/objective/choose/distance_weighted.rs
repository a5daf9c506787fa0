//! Distance-weighted sampling (Wu et al.: "Sampling Matters in Deep Embedding Learning", ICCV 2017),
//! with the conventions of pytorch-metric-learning's `DistanceWeightedMiner`.
//!
//! On the unit sphere of D dimensions the distances of random pairs have the density
//! q(d) ∝ d^{D−2} (1 − d²/4)^{(D−3)/2}, which has a sharp peak near √2. If negatives are drawn with
//! weight 1/q(d), all distances are about equally likely. Below `cutoff` the weight is constant,
//! because very hard negatives have noisy gradients; from `nonzero_loss_cutoff` on it is 0, because
//! such negatives have no gradient.

use rand::RngExt;

use super::Purpose;
use crate::Distance;
use crate::objective::row::AnchorRow;

/// ln(1/q(d)) up to a constant, for a Euclidean distance below 2 between unit vectors.
pub(in crate::objective) fn log_weight(distance: f64, dimensions: f64, cutoff: f64) -> f64 {
    let d = distance.max(cutoff);
    (2.0 - dimensions) * d.ln() - (dimensions - 3.0) / 2.0 * (-0.25 * d * d).ln_1p()
}

pub(super) fn triplets(
    row: &AnchorRow,
    cutoff: f32,
    nonzero_loss_cutoff: f32,
    seed: u64,
    take: &mut dyn FnMut(usize, usize),
) {
    let mut eligible = row.negatives_by_item();
    let limit = f64::from(nonzero_loss_cutoff);
    eligible.retain(|&position| euclidean(row, position) < limit);
    draw(row, &eligible, f64::from(cutoff), seed, row.positives(), take);
}

/// The Euclidean distance of the anchor to a candidate, both of length 1.
pub(super) fn euclidean(row: &AnchorRow, position: usize) -> f64 {
    let d = f64::from(row.distances[position]);
    match row.points.distance() {
        Distance::Euclidean => d,
        Distance::SquaredEuclidean => d.sqrt(),
        Distance::Cosine => (2.0 * d).sqrt(),
    }
}

/// Draws one of the eligible negatives for each of the positives.
pub(super) fn draw(
    row: &AnchorRow,
    eligible: &[usize],
    cutoff: f64,
    seed: u64,
    positives: impl IntoIterator<Item = usize>,
    take: &mut dyn FnMut(usize, usize),
) {
    let dimensions = row.points.dimensions() as f64;
    let logs: Vec<f64> = eligible
        .iter()
        .map(|&position| log_weight(euclidean(row, position), dimensions, cutoff))
        .collect();
    let highest = logs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let mut total = 0.0;
    let sums: Vec<f64> = logs
        .iter()
        .map(|log| {
            total += (log - highest).exp();
            total
        })
        .collect();
    let Some(last) = eligible.len().checked_sub(1) else { return };
    for positive in positives {
        let mut stream = row.stream(seed, Purpose::DistanceWeighted, Some(positive));
        let drawn = stream.random::<f64>() * total;
        let negative = sums.partition_point(|&sum| sum <= drawn).min(last);
        take(positive, eligible[negative]);
    }
}
