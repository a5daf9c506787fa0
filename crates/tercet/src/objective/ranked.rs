//! Batch-all with many positives: each negative finds its place among the sorted thresholds.
//!
//! Let t_p = d_ap + m. A triplet is active where t_p > d_an, so a negative's active triplets are
//! those with the thresholds behind its place, and a positive's are those with the negatives whose
//! place is not behind its own. Counting the negatives by place, and summing over places, gives
//! value, counts and both gradients without meeting a single triplet.

use super::places::{CHUNK, Places, Rising};
use super::row::Row;
use super::soft_nodes::Nodes;
use crate::simd::{LANES, dot, largest, smallest, vectorised};

/// Positives from which ranking beats comparing with each of them.
const MANY: usize = 12;

/// Counters for each place: neighbours often share a place, and would wait for each other's count.
pub(super) const WAYS: usize = 4;

/// An anchor's positives in rising order of distance, and buffers for what is ranked among them.
#[derive(Debug, Default)]
pub(super) struct Ranks {
    pub(super) rising: Rising,
    pub(super) places: Places,
    /// Negatives by place.
    counts: Vec<[u32; WAYS]>,
    /// Σ d of the negatives by place.
    sums: Vec<[f64; WAYS]>,
    /// For each place the sum of the thresholds behind it.
    behind: Vec<f64>,
    /// The least key of the negatives by place.
    pub(super) nearest: Vec<[u64; WAYS]>,
    /// What stands for the positives of a soft penalty, their slopes, and factors of negatives.
    pub(super) nodes: Nodes,
    pub(super) slopes: Vec<f64>,
    pub(super) factors: Vec<f32>,
}

impl Row<'_> {
    /// Sorts the positives' distances.
    pub(super) fn sort_positives(&mut self) {
        let distances = self.positive_ranges().map(|range| &self.distances[range]);
        self.ranks.rising.sort(distances);
    }
}

/// φ = max(0, t_p − d_an), with Σ φ = Σ_p t_p·A_p − Σ_n d_an·R_n over the counts of active triplets.
pub(super) fn hinge(row: &mut Row) {
    row.sort_positives();
    let margin = row.penalty.margin();
    let Ranks { rising, places, counts, .. } = &mut *row.ranks;
    let count = rising.sorted.len();
    places.set(rising.sorted.iter().map(|d| d + margin));
    counts.clear();
    counts.resize(count + 1, [0; WAYS]);
    let mut value = 0.0;
    let mut found = [0; CHUNK];
    for range in [0..row.class.start, row.class.end..row.distances.len()] {
        let distances = row.distances[range.clone()].chunks(CHUNK);
        for (distances, weights) in distances.zip(row.weights[range].chunks_mut(CHUNK)) {
            let found = &mut found[..distances.len()];
            places.find(distances, found);
            for (index, &place) in found.iter().enumerate() {
                counts[place as usize][index % WAYS] += 1;
            }
            take_behind(found, count as u32, weights);
            value += dot(distances, weights);
        }
    }
    // From here on counts[k][0] is the number of negatives at places up to k.
    let mut total = 0;
    for (ways, rank) in counts.iter_mut().zip(0..) {
        total += ways.iter().sum::<u32>();
        ways[0] = total;
        if let Some(d) = rising.sorted.get(rank) {
            row.tally.active += u64::from(total);
            value += f64::from(d + margin) * f64::from(total);
        }
    }
    let [before, after] = row.positive_ranges();
    let row_places = before.chain(after);
    for (place, &rank) in row_places.zip(&row.ranks.rising.ranks) {
        row.weights[place] = row.ranks.counts[rank as usize][0] as f32;
    }
    row.tally.value += value;
    row.tally.violated += violated_of_sorted(row);
}

vectorised! {
    /// Minus the number of thresholds behind each place.
    fn take_behind(places: &[u32], count: u32, weights: &mut [f32]) {
        for (&place, weight) in places.iter().zip(weights) {
            *weight = place as i32 as f32 - count as f32;
        }
    }
}

/// φ = max(0, t_p − d_an)². With f64 slopes w = ∂Σφ/∂d, 2 Σ φ = Σ_p t_p·w_p + Σ_n d_an·w_n.
pub(super) fn squared_hinge(row: &mut Row) {
    row.sort_positives();
    let margin = row.penalty.margin();
    let Ranks { rising, places, counts, sums, behind, .. } = &mut *row.ranks;
    let count = rising.sorted.len();
    places.set(rising.sorted.iter().map(|d| d + margin));
    counts.clear();
    counts.resize(count + 1, [0; WAYS]);
    sums.clear();
    sums.resize(count + 1, [0.0; WAYS]);
    behind.clear();
    behind.resize(count + 1, 0.0);
    for k in (0..count).rev() {
        behind[k] = behind[k + 1] + f64::from(rising.sorted[k] + margin);
    }
    let mut value = 0.0;
    let mut found = [0; CHUNK];
    let mut rest = [0.0; CHUNK];
    for range in [0..row.class.start, row.class.end..row.distances.len()] {
        let distances = row.distances[range.clone()].chunks(CHUNK);
        for (distances, weights) in distances.zip(row.weights[range].chunks_mut(CHUNK)) {
            let (found, rest) = (&mut found[..distances.len()], &mut rest[..distances.len()]);
            places.find(distances, found);
            for (index, ((&place, &d), rest)) in
                found.iter().zip(distances).zip(&mut *rest).enumerate()
            {
                let place = place as usize;
                counts[place][index % WAYS] += 1;
                sums[place][index % WAYS] += f64::from(d);
                *rest = behind[place];
            }
            value += slopes_behind(distances, found, rest, count as u32, weights);
        }
    }
    // From here on sums[k][0] is the slope of the positive of rank k.
    let (mut negatives, mut sum) = (0, 0.0);
    for ((counts, sums), &d) in counts.iter().zip(sums).zip(&rising.sorted) {
        negatives += counts.iter().sum::<u32>();
        sum += sums.iter().sum::<f64>();
        let threshold = f64::from(d + margin);
        sums[0] = 2.0 * (threshold * f64::from(negatives) - sum);
        row.tally.active += u64::from(negatives);
        value += threshold * sums[0];
    }
    let [before, after] = row.positive_ranges();
    for (place, &rank) in before.chain(after).zip(&row.ranks.rising.ranks) {
        row.weights[place] = row.ranks.sums[rank as usize][0] as f32;
    }
    row.tally.value += value / 2.0;
    row.tally.violated += violated_of_sorted(row);
}

vectorised! {
    /// Writes a negative's slope w = −2 Σ (t_p − d) over the thresholds behind its place, whose sum
    /// is `rest`, and returns Σ d·w.
    fn slopes_behind(
        distances: &[f32],
        places: &[u32],
        rest: &[f64],
        count: u32,
        weights: &mut [f32],
    ) -> f64 {
        let count = f64::from(count);
        let mut sums = [0.0_f64; LANES];
        let blocks = distances.chunks(LANES).zip(places.chunks(LANES));
        let out = rest.chunks(LANES).zip(weights.chunks_mut(LANES));
        for ((distances, places), (rest, weights)) in blocks.zip(out) {
            for lane in 0..distances.len() {
                let d = f64::from(distances[lane]);
                let slope = -2.0 * (rest[lane] - (count - f64::from(places[lane])) * d);
                weights[lane] = slope as f32;
                sums[lane] += slope * d;
            }
        }
        sums.iter().sum()
    }
}

/// The number of triplets with d_an ≤ d_ap, once the positives are sorted.
fn violated_of_sorted(row: &mut Row) -> u64 {
    within_sorted(row, f32::next_up)
}

fn within_sorted(row: &mut Row, reach: impl Fn(f32) -> f32) -> u64 {
    let Ranks { rising, places, .. } = &mut *row.ranks;
    places.set(rising.sorted.iter().map(|&d| reach(d)));
    let count = rising.sorted.len() as u64;
    let [before, after] = row.negatives().map(|range| &row.distances[range]);
    count * (before.len() + after.len()) as u64
        - row.ranks.places.total(before)
        - row.ranks.places.total(after)
}

/// The number of an anchor's triplets with d_an ≤ d_ap.
pub(super) fn violated(row: &mut Row) -> u64 {
    within(row, f32::next_up)
}

/// The number of an anchor's triplets with d_an < `reach`(d_ap), a rising function.
pub(super) fn within(row: &mut Row, reach: impl Fn(f32) -> f32) -> u64 {
    let positives = row.positive_ranges().map(|range| &row.distances[range]);
    let negatives = row.negatives().map(|range| &row.distances[range]);
    let count = positives[0].len() + positives[1].len();
    let least = reach(smallest(positives[0]).min(smallest(positives[1])));
    if negatives.iter().all(|distances| largest(distances) < least) {
        return count as u64 * (negatives[0].len() + negatives[1].len()) as u64;
    }
    if count < MANY {
        let reaches = positives.into_iter().flatten().map(|&d| reach(d));
        let each = |reach: f32| negatives.map(|distances| count_below(distances, reach));
        return reaches.flat_map(each).sum();
    }
    row.sort_positives();
    within_sorted(row, reach)
}

vectorised! {
    /// How many values are < `limit`.
    fn count_below(values: &[f32], limit: f32) -> u64 {
        let count = values.iter().fold(0_u32, |n, &v| n.wrapping_add(u32::from(v < limit)));
        u64::from(count)
    }
}
