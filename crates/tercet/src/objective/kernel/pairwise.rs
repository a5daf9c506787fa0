//! Every triplet, by comparing each positive with each negative: O(P·N) comparisons in simple
//! vectorised loops. This is the fastest way for the few positives of a P×K batch.
//!
//! Batch-all is eq. 6 of "In Defense of the Triplet Loss" (arXiv 1703.07737).

use crate::objective::row::{AnchorRow, RowGradient};
use crate::objective::rule::Penalty;
use crate::simd::{LANES, dot, vectorised};

/// Positives that are compared at a time. Their thresholds stay in registers.
const GROUP: usize = 4;

/// φ = max(0, d_ap + m − d_an), by counting: the weight of a positive is the number A_p of its
/// active triplets, that of a negative is −R_n, the negative of the number of its active triplets,
/// and Σ φ = Σ_p (d_ap + m)·A_p − Σ_n d_an·R_n.
pub(super) fn hinge(row: &AnchorRow, gradient: &mut RowGradient) {
    gradient.clear();
    count_selected(row, gradient);
    let margin = row.penalty.margin();
    let mut positives = row.positives();
    loop {
        let mut group = [0; GROUP];
        let taken = group.iter_mut().zip(&mut positives).map(|(slot, p)| *slot = p).count();
        let group = &group[..taken];
        let mut d_ap = [0.0; GROUP];
        d_ap.iter_mut().zip(group).for_each(|(d, &positive)| *d = row.distances[positive]);
        let mut counts = [0_u64; GROUP];
        for range in row.negative_ranges() {
            let (distances, weights) =
                (&row.distances[range.clone()], &mut gradient.weights[range]);
            let violated = match d_ap[..taken] {
                [a] => count([a], margin, distances, weights, &mut counts),
                [a, b] => count([a, b], margin, distances, weights, &mut counts),
                [a, b, c] => count([a, b, c], margin, distances, weights, &mut counts),
                [a, b, c, d] => count([a, b, c, d], margin, distances, weights, &mut counts),
                _ => 0,
            };
            gradient.sums.violated += violated;
        }
        for (&positive, &active) in group.iter().zip(&counts) {
            gradient.weights[positive] += active as f32;
            gradient.sums.active += active;
            gradient.sums.value += f64::from(row.distances[positive] + margin) * active as f64;
        }
        if taken < GROUP {
            break;
        }
    }
    for range in row.negative_ranges() {
        gradient.sums.value += dot(&row.distances[range.clone()], &gradient.weights[range]);
    }
}

/// Counts every valid triplet of the row as selected.
fn count_selected(row: &AnchorRow, gradient: &mut RowGradient) {
    gradient.sums.selected += row.positive_count() as u64 * row.negative_count() as u64;
}

vectorised! {
    /// Subtracts the number of active triplets of each negative from its weight, adds that of each
    /// positive to `active`, and returns the number of violated triplets.
    fn count<const N: usize>(
        d_ap: [f32; N],
        margin: f32,
        distances: &[f32],
        weights: &mut [f32],
        active: &mut [u64; GROUP],
    ) -> u64 {
        let thresholds = d_ap.map(|d| d + margin);
        let mut counts = [[0_u32; LANES]; N];
        let mut violated = [0_u32; LANES];
        let (chunks, rest) = distances.as_chunks::<LANES>();
        let (weight_chunks, weight_rest) = weights.as_chunks_mut::<LANES>();
        for (distances, weights) in chunks.iter().zip(weight_chunks) {
            for lane in 0..LANES {
                let d_an = distances[lane];
                let mut own = 0_i32;
                for p in 0..N {
                    let hit = u32::from(thresholds[p] > d_an);
                    own += hit as i32;
                    counts[p][lane] += hit;
                    violated[lane] += u32::from(d_an <= d_ap[p]);
                }
                weights[lane] -= own as f32;
            }
        }
        let mut total = violated.iter().map(|&count| u64::from(count)).sum();
        for p in 0..N {
            active[p] += counts[p].iter().map(|&count| u64::from(count)).sum::<u64>();
        }
        for (&d_an, weight) in rest.iter().zip(weight_rest) {
            for p in 0..N {
                let hit = u32::from(thresholds[p] > d_an);
                *weight -= hit as f32;
                active[p] += u64::from(hit);
                total += u64::from(d_an <= d_ap[p]);
            }
        }
        total
    }
}

/// Any penalty: computes φ and φ' of each triplet.
pub(super) fn any_penalty(row: &AnchorRow, gradient: &mut RowGradient) {
    gradient.clear();
    count_selected(row, gradient);
    for positive in row.positives() {
        let mut weight = 0.0;
        for range in row.negative_ranges() {
            let d_ap = row.distances[positive];
            let (distances, weights) =
                (&row.distances[range.clone()], &mut gradient.weights[range]);
            let sums = match row.penalty {
                Penalty::Soft { margin } => soft_penalty(d_ap, margin, distances, weights),
                penalty => squared_hinge(d_ap, penalty.margin(), distances, weights),
            };
            weight += sums.slopes;
            gradient.sums.value += sums.value;
            gradient.sums.active += sums.active;
            gradient.sums.violated += sums.violated;
        }
        gradient.weights[positive] += weight as f32;
    }
}

/// Sums over the triplets of one positive with a range of negatives.
struct Sums {
    value: f64,
    /// Σ φ'.
    slopes: f64,
    active: u64,
    violated: u64,
}

vectorised! {
    fn squared_hinge(d_ap: f32, margin: f32, distances: &[f32], weights: &mut [f32]) -> Sums {
        losses_and_slopes(d_ap, Penalty::SquaredHinge { margin }, distances, weights)
    }
}

vectorised! {
    fn soft_penalty(d_ap: f32, margin: f32, distances: &[f32], weights: &mut [f32]) -> Sums {
        losses_and_slopes(d_ap, Penalty::Soft { margin }, distances, weights)
    }
}

#[inline(always)]
fn losses_and_slopes(d_ap: f32, penalty: Penalty, distances: &[f32], weights: &mut [f32]) -> Sums {
    /// Terms that a lane adds in f32 before the sum continues in f64, to limit rounding errors.
    const DEPTH: usize = 4;

    let threshold = d_ap + penalty.margin();
    let active_above = penalty.active_above();
    let mut sums = Sums { value: 0.0, slopes: 0.0, active: 0, violated: 0 };
    let long = distances.chunks(DEPTH * LANES).zip(weights.chunks_mut(DEPTH * LANES));
    for (distances, weights) in long {
        let mut values = [0.0_f32; LANES];
        let mut slopes = [0.0_f32; LANES];
        let mut active = [0_u32; LANES];
        let mut violated = [0_u32; LANES];
        let mut term = |lane: usize, d_an: f32, weight: &mut f32| {
            let (value, slope) = penalty.of(threshold - d_an);
            values[lane] += value;
            slopes[lane] += slope;
            active[lane] += u32::from(value > active_above);
            violated[lane] += u32::from(d_an <= d_ap);
            *weight -= slope;
        };
        let (chunks, rest) = distances.as_chunks::<LANES>();
        let (weight_chunks, weight_rest) = weights.as_chunks_mut::<LANES>();
        for (distances, weights) in chunks.iter().zip(weight_chunks) {
            for lane in 0..LANES {
                term(lane, distances[lane], &mut weights[lane]);
            }
        }
        for (lane, (&d_an, weight)) in rest.iter().zip(weight_rest).enumerate() {
            term(lane, d_an, weight);
        }
        sums.value += f64::from(values.iter().sum::<f32>());
        sums.slopes += f64::from(slopes.iter().sum::<f32>());
        sums.active += u64::from(active.iter().sum::<u32>());
        sums.violated += u64::from(violated.iter().sum::<u32>());
    }
    sums
}
