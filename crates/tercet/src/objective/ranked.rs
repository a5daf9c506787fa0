//! Batch-all with many positives: each negative finds its place among the sorted thresholds.
//!
//! Let t_p = d_ap + m. A triplet is active where t_p > d_an, so a negative's active triplets are
//! those with the thresholds behind its place, and a positive's are those with the negatives whose
//! place is not behind its own. Counting the negatives by place, and summing over places, gives
//! value, counts and both gradients without meeting a single triplet.

use super::row::Row;
use crate::simd::{largest, smallest, vectorised};

/// Positives from which ranking beats comparing with each of them.
const MANY: usize = 12;

/// Counters for each place: neighbours often share a place, and would wait for each other's count.
const WAYS: usize = 4;

/// The thresholds of a row in rising order, twice: t_p, and the smallest number above d_ap, which
/// is > d_an exactly where the triplet is violated.
///
/// Entry `id` < P is the threshold of positive `id`; entry P + `id` tells its violated triplets.
fn thresholds(row: &mut Row) -> Vec<usize> {
    let margin = row.penalty.margin();
    let positives: Vec<usize> = row.positives().collect();
    row.places.sort_reaches(positives.iter().map(|&place| row.distances[place]), margin);
    positives
}

/// φ = max(0, t_p − d_an), with Σ φ = Σ_p t_p·A_p − Σ_n d_an·R_n over the counts of active triplets.
pub(super) fn hinge(row: &mut Row) {
    let positives = thresholds(row);
    let count = positives.len();
    let ids = &row.places.ids;
    // active[k]: thresholds that are still > d from place k on.
    let mut active = vec![0_u32; ids.len() + 1];
    for k in (0..ids.len()).rev() {
        active[k] = active[k + 1] + u32::from((ids[k] as usize) < count);
    }
    let slopes: Vec<f32> = active.iter().map(|&count| -(count as f32)).collect();
    let mut histogram = vec![[0_u32; WAYS]; active.len()];
    let mut value = 0.0;
    for range in row.negatives() {
        let (distances, weights) = (&row.distances[range.clone()], &mut row.weights[range]);
        row.places.each(distances, |index, k| {
            histogram[k][index % WAYS] += 1;
            weights[index] = slopes[k];
        });
        value += crate::simd::dot(distances, weights);
    }
    let mut negatives = 0_u64;
    for (k, &id) in row.places.ids.iter().enumerate() {
        negatives += histogram[k].iter().map(|&count| u64::from(count)).sum::<u64>();
        let id = id as usize;
        if id < count {
            row.weights[positives[id]] = negatives as f32;
            row.tally.active += negatives;
            value += f64::from(row.places.sorted[k]) * negatives as f64;
        } else {
            row.tally.violated += negatives;
        }
    }
    row.tally.value += value;
}

/// φ = max(0, t_p − d_an)². With f64 slopes w = ∂Σφ/∂d, 2 Σ φ = Σ_p t_p·w_p + Σ_n d_an·w_n.
pub(super) fn squared_hinge(row: &mut Row) {
    let positives = thresholds(row);
    let count = positives.len();
    let length = row.places.ids.len();
    // Of the thresholds that are still > d from place k on: their number and their sum.
    let mut behind = vec![(0.0_f64, 0.0_f64); length + 1];
    for k in (0..length).rev() {
        let (number, sum) = behind[k + 1];
        behind[k] = if (row.places.ids[k] as usize) < count {
            (number + 1.0, sum + f64::from(row.places.sorted[k]))
        } else {
            (number, sum)
        };
    }
    let mut histogram = vec![[(0.0_f64, 0.0_f64); 2]; length + 1];
    let mut value = 0.0;
    for range in row.negatives() {
        let (distances, weights) = (&row.distances[range.clone()], &mut row.weights[range]);
        row.places.each(distances, |index, k| {
            let d = f64::from(distances[index]);
            let bin = &mut histogram[k][index & 1];
            bin.0 += 1.0;
            bin.1 += d;
            let (number, sum) = behind[k];
            let slope = -2.0 * (sum - number * d);
            value += slope * d;
            weights[index] = slope as f32;
        });
    }
    let (mut negatives, mut sum) = (0.0, 0.0);
    for (k, &id) in row.places.ids.iter().enumerate() {
        let [even, odd] = histogram[k];
        negatives += even.0 + odd.0;
        sum += even.1 + odd.1;
        let id = id as usize;
        if id < count {
            let threshold = f64::from(row.places.sorted[k]);
            let slope = 2.0 * (threshold * negatives - sum);
            row.weights[positives[id]] = slope as f32;
            row.tally.active += negatives as u64;
            value += threshold * slope;
        } else {
            row.tally.violated += negatives as u64;
        }
    }
    row.tally.value += value / 2.0;
}

/// The number of an anchor's triplets with d_an ≤ d_ap.
pub(super) fn violated(row: &mut Row) -> u64 {
    within(row, f32::next_up)
}

/// The number of an anchor's triplets with d_an < `reach`(d_ap).
pub(super) fn within(row: &mut Row, reach: impl Fn(f32) -> f32) -> u64 {
    let reaches: Vec<f32> = row.positives().map(|place| reach(row.distances[place])).collect();
    let negatives = row.negatives().map(|range| &row.distances[range]);
    let pairs = reaches.len() * (negatives[0].len() + negatives[1].len());
    let least = smallest(&reaches);
    if negatives.iter().all(|distances| largest(distances) < least) {
        return pairs as u64;
    }
    if reaches.len() < MANY {
        let each = |&reach: &f32| negatives.map(|distances| count_below(distances, reach));
        return reaches.iter().flat_map(each).sum();
    }
    row.places.sort(reaches.into_iter());
    let mut beyond = 0;
    for distances in negatives {
        row.places.each(distances, |_, k| beyond += k);
    }
    (pairs - beyond) as u64
}

vectorised! {
    /// How many values are < `limit`.
    fn count_below(values: &[f32], limit: f32) -> u64 {
        let count = values.iter().fold(0_u32, |n, &v| n.wrapping_add(u32::from(v < limit)));
        u64::from(count)
    }
}
