//! Batch-all: "In Defense", eq. 6. Every positive against every negative.
//!
//! With few positives an anchor's negatives are compared with each of them in straight vectorised
//! loops, O(B·P) comparisons. With many, the thresholds d(a,p) + m are ranked once and each
//! negative finds its place among them, O(B + P log P): see [`super::ranked`]. A soft penalty meets
//! every triplet, but needs only an exponential for each item: see [`super::soft`].

use super::row::Row;
use super::{Penalty, ranked, soft};
use crate::simd::{LANES, dot, vectorised};

/// Positives from which ranking beats comparing for a hinge. Measured by `examples/crossover.rs` on
/// Zen 5 with AVX-512, one thread, the row kernel in ns a negative: 12 positives 0.75 compared, 0.79
/// ranked; 16 positives 0.96 and 0.79.
const MANY_FOR_HINGE: usize = 13;

/// The same for a squared hinge: 2 positives 0.68 compared, 1.08 ranked; 4 positives 1.35 and 1.09.
const MANY_FOR_SQUARED_HINGE: usize = 4;

/// Positives compared at a time: their thresholds stay in registers.
const GROUP: usize = 4;

pub(super) fn weigh(row: &mut Row) {
    let positives = row.class.len() - 1;
    let negatives = row.distances.len() - row.class.len();
    row.tally.selected += positives as u64 * negatives as u64;
    match row.penalty {
        Penalty::Hinge { .. } if positives < MANY_FOR_HINGE => hinge(row),
        Penalty::Hinge { .. } => ranked::hinge(row),
        Penalty::SquaredHinge { .. } if positives >= MANY_FOR_SQUARED_HINGE => {
            ranked::squared_hinge(row)
        }
        Penalty::SquaredHinge { .. } => one_by_one(row),
        Penalty::Soft { .. } => {
            if !soft::weigh(row) {
                one_by_one(row);
            }
        }
    }
}

/// φ = max(0, d_ap + m − d_an) by counting: a positive's weight is the number A_p of its active
/// triplets, a negative's is −R_n, and Σ φ = Σ_p (d_ap + m)·A_p − Σ_n d_an·R_n.
pub(super) fn hinge(row: &mut Row) {
    row.clear();
    let margin = row.penalty.margin();
    let places: Vec<usize> = row.positives().collect();
    for group in places.chunks(GROUP) {
        let d_ap = group.iter().map(|&place| row.distances[place]).collect::<Vec<f32>>();
        let mut counts = [0_u64; GROUP];
        for range in row.negatives() {
            let (distances, weights) = (&row.distances[range.clone()], &mut row.weights[range]);
            let violated = match d_ap[..] {
                [a] => count([a], margin, distances, weights, &mut counts),
                [a, b] => count([a, b], margin, distances, weights, &mut counts),
                [a, b, c] => count([a, b, c], margin, distances, weights, &mut counts),
                [a, b, c, d] => count([a, b, c, d], margin, distances, weights, &mut counts),
                _ => 0,
            };
            row.tally.violated += violated;
        }
        for (&place, &active) in group.iter().zip(&counts) {
            row.weights[place] += active as f32;
            row.tally.active += active;
            row.tally.value += f64::from(row.distances[place] + margin) * active as f64;
        }
    }
    for range in row.negatives() {
        row.tally.value += dot(&row.distances[range.clone()], &row.weights[range]);
    }
}

vectorised! {
    /// Takes from each negative's weight the number of its active triplets, adds to `active` those
    /// of each positive, and returns the number of violated ones.
    fn count<const N: usize>(
        d_ap: [f32; N],
        margin: f32,
        distances: &[f32],
        weights: &mut [f32],
        active: &mut [u64; GROUP],
    ) -> u64 {
        let reach = d_ap.map(|d| d + margin);
        let mut counts = [[0_u32; LANES]; N];
        let mut violated = [0_u32; LANES];
        let (chunks, rest) = distances.as_chunks::<LANES>();
        let (weight_chunks, weight_rest) = weights.as_chunks_mut::<LANES>();
        for (distances, weights) in chunks.iter().zip(weight_chunks) {
            for lane in 0..LANES {
                let d_an = distances[lane];
                let mut own = 0_i32;
                for p in 0..N {
                    let hit = u32::from(reach[p] > d_an);
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
                let hit = u32::from(reach[p] > d_an);
                *weight -= hit as f32;
                active[p] += u64::from(hit);
                total += u64::from(d_an <= d_ap[p]);
            }
        }
        total
    }
}

/// Any penalty, triplet by triplet.
pub(super) fn one_by_one(row: &mut Row) {
    row.clear();
    for positive in row.positives() {
        let mut weight = 0.0;
        for range in row.negatives() {
            let d_ap = row.distances[positive];
            let (distances, weights) = (&row.distances[range.clone()], &mut row.weights[range]);
            let sums = match row.penalty {
                Penalty::Soft { margin } => soft_penalty(d_ap, margin, distances, weights),
                penalty => squared_hinge(d_ap, penalty.margin(), distances, weights),
            };
            weight += sums.slopes;
            row.tally.value += sums.value;
            row.tally.active += sums.active;
            row.tally.violated += sums.violated;
        }
        row.weights[positive] += weight as f32;
    }
}

/// Of one positive against a range of negatives.
struct Sums {
    value: f64,
    /// Σ φ'.
    slopes: f64,
    active: u64,
    violated: u64,
}

vectorised! {
    fn squared_hinge(d_ap: f32, margin: f32, distances: &[f32], weights: &mut [f32]) -> Sums {
        against(d_ap, Penalty::SquaredHinge { margin }, distances, weights)
    }
}

vectorised! {
    fn soft_penalty(d_ap: f32, margin: f32, distances: &[f32], weights: &mut [f32]) -> Sums {
        against(d_ap, Penalty::Soft { margin }, distances, weights)
    }
}

#[inline(always)]
fn against(d_ap: f32, penalty: Penalty, distances: &[f32], weights: &mut [f32]) -> Sums {
    /// Terms that a lane adds in f32 before the sum moves on in f64.
    const DEPTH: usize = 4;

    let reach = d_ap + penalty.margin();
    let threshold = penalty.active_above();
    let mut sums = Sums { value: 0.0, slopes: 0.0, active: 0, violated: 0 };
    let long = distances.chunks(DEPTH * LANES).zip(weights.chunks_mut(DEPTH * LANES));
    for (distances, weights) in long {
        let mut values = [0.0_f32; LANES];
        let mut gains = [0.0_f32; LANES];
        let mut active = [0_u32; LANES];
        let mut violated = [0_u32; LANES];
        let mut term = |lane: usize, d_an: f32, weight: &mut f32| {
            let (value, slope) = penalty.of(reach - d_an);
            values[lane] += value;
            gains[lane] += slope;
            active[lane] += u32::from(value > threshold);
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
        sums.slopes += f64::from(gains.iter().sum::<f32>());
        sums.active += u64::from(active.iter().sum::<u32>());
        sums.violated += u64::from(violated.iter().sum::<u32>());
    }
    sums
}
