//! Batch-all: "In Defense", eq. 6. Every positive against every negative.

use std::ops::Range;

use super::Penalty;
use super::row::{Row, Tally};

pub(super) fn weigh(row: &mut Row) {
    let negatives = row.negatives();
    let count: u64 = negatives.iter().map(|range| range.len() as u64).sum();
    for positive in row.positives() {
        let mut weight = 0.0;
        for range in &negatives {
            // A loop for each penalty, so that the hinge's stays free of calls and vectorises.
            weight += match row.penalty {
                Penalty::Hinge { .. } => against(row, positive, range, |excess| {
                    (excess.max(0.0), if excess > 0.0 { 1.0 } else { 0.0 })
                }),
                penalty => against(row, positive, range, |excess| penalty.of(excess)),
            };
        }
        row.weights[positive] += weight as f32;
        row.tally.selected += count;
    }
}

/// One positive against a range of negatives; returns Σ φ'.
#[inline(always)]
fn against(
    row: &mut Row,
    positive: usize,
    negatives: &Range<usize>,
    penalty: impl Fn(f32) -> (f32, f32),
) -> f64 {
    /// Terms added in f32 before the sum moves on in f64.
    const CHUNK: usize = 64;
    const LANES: usize = 16;

    let d_ap = row.distances[positive];
    let reach = d_ap + row.penalty.margin();
    let threshold = row.penalty.active_above();
    let mut slopes = 0.0;
    let mut tally = Tally::default();
    let distances = row.distances[negatives.clone()].chunks(CHUNK);
    let weights = row.weights[negatives.clone()].chunks_mut(CHUNK);
    for (distances, weights) in distances.zip(weights) {
        let mut values = [0.0_f32; LANES];
        let mut gains = [0.0_f32; LANES];
        let mut active = [0_u32; LANES];
        let mut violated = [0_u32; LANES];
        for (distances, weights) in distances.chunks(LANES).zip(weights.chunks_mut(LANES)) {
            for (lane, (&d_an, weight)) in distances.iter().zip(weights).enumerate() {
                let (value, slope) = penalty(reach - d_an);
                values[lane] += value;
                gains[lane] += slope;
                active[lane] += u32::from(value > threshold);
                violated[lane] += u32::from(d_an <= d_ap);
                *weight -= slope;
            }
        }
        tally.value += f64::from(values.iter().sum::<f32>());
        slopes += f64::from(gains.iter().sum::<f32>());
        tally.active += u64::from(active.iter().sum::<u32>());
        tally.violated += u64::from(violated.iter().sum::<u32>());
    }
    row.tally.add(&tally);
    slopes
}
