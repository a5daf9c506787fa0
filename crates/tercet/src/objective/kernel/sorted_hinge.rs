//! Every triplet with a hinge and many positives: O(N log P) instead of O(N·P) for a row.
//!
//! Let t_p = d_ap + m be the threshold of a positive. A triplet is active where t_p > d_an. A
//! negative has position k among the sorted thresholds if k of them are ≤ d_an. The active triplets
//! of this negative are those with the thresholds from rank k on, and the active triplets of a
//! positive of rank r are those with the negatives at positions up to r. So the number of negatives
//! at each position, and prefix sums over positions, give value, counts and all weights without
//! computing a single triplet. The method is that of Joachims (2006) and Airola et al. (2011) for
//! pairwise hinge losses.

use crate::objective::row::{AnchorRow, RowGradient};
use crate::simd::{LANES, total, vectorised};
use crate::sorted_lookup::{CHUNK, SortedLookup, Threshold, WAYS};

/// Sums over the negatives at each position among the sorted thresholds. There are [`WAYS`]
/// separate counters for each position, because neighbouring negatives often have the same
/// position, and additions to one counter would wait for each other.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    counts: Vec<[u32; WAYS]>,
    sums: Vec<[Sum; WAYS]>,
    /// For each position the sum of the thresholds from this rank on; later the slopes of the
    /// positives.
    thresholds_from: Vec<f64>,
}

/// The number of negatives at one position and the sum of their distances. The number is an f64, so
/// that one SIMD addition of two values adds a negative.
#[derive(Debug, Clone, Copy, Default)]
struct Sum {
    count: f64,
    distances: f64,
}

impl Sum {
    #[inline(always)]
    fn plus(self, other: Self) -> Self {
        Self { count: self.count + other.count, distances: self.distances + other.distances }
    }
}

/// φ = max(0, t_p − d_an), with Σ φ = Σ_p t_p·A_p − Σ_n d_an·R_n, where A_p and R_n are the numbers
/// of active triplets of a positive and of a negative.
pub(super) fn hinge(
    row: &AnchorRow,
    lookup: &mut SortedLookup,
    scratch: &mut Scratch,
    gradient: &mut RowGradient,
) {
    let margin = row.penalty.margin();
    let counts = &mut scratch.counts;
    let count = row.positive_count();
    lookup.sort(row.positive_distances());
    lookup.set_thresholds(Threshold::Plus(margin));
    counts.clear();
    counts.resize(count + 1, [0; WAYS]);
    let mut products = [0.0; LANES];
    let mut found = [0; CHUNK];
    for range in row.negative_ranges() {
        let distances = row.distances[range.clone()].chunks(CHUNK);
        for (distances, weights) in distances.zip(gradient.weights[range].chunks_mut(CHUNK)) {
            let found = &mut found[..distances.len()];
            lookup.find(distances, found);
            count_positions(found, counts);
            weigh_negatives(distances, found, count as u32, weights, &mut products);
        }
    }
    // From here on counts[k][0] is the number of negatives at positions up to k.
    let mut value = total(&products);
    let mut negatives = 0;
    for (ways, rank) in counts.iter_mut().zip(0..) {
        negatives += ways.iter().sum::<u32>();
        ways[0] = negatives;
        if let Some(d) = lookup.sorted().get(rank) {
            gradient.sums.active += u64::from(negatives);
            value += f64::from(d + margin) * f64::from(negatives);
        }
    }
    let slopes = lookup.ranks().iter().map(|&rank| counts[rank as usize][0] as f32);
    gradient.set_positives(row, slopes);
    finish(row, lookup, gradient, value);
}

/// Adds the value and the counts that do not depend on the penalty.
fn finish(row: &AnchorRow, lookup: &mut SortedLookup, gradient: &mut RowGradient, value: f64) {
    gradient.clear_own(row);
    gradient.sums.value += value;
    gradient.sums.selected += row.positive_count() as u64 * row.negative_count() as u64;
    lookup.set_thresholds(Threshold::Itself);
    gradient.sums.violated += lookup.count_pairs_below(row.negative_distances());
}

/// Counts the values at each position.
fn count_positions(found: &[u32], counts: &mut [[u32; WAYS]]) {
    let (groups, rest) = found.as_chunks::<WAYS>();
    for group in groups {
        for (way, &position) in group.iter().enumerate() {
            counts[position as usize][way] += 1;
        }
    }
    for &position in rest {
        counts[position as usize][0] += 1;
    }
}

vectorised! {
    /// Writes the weight w of each negative, which is minus the number of thresholds from its
    /// position on, and adds d·w to the sums, which [`total`] adds up.
    fn weigh_negatives(
        distances: &[f32],
        positions: &[u32],
        count: u32,
        weights: &mut [f32],
        sums: &mut [f64; LANES],
    ) {
        let term = |d: f32, position: u32, weight: &mut f32| {
            *weight = position as i32 as f32 - count as f32;
            f64::from(d) * f64::from(*weight)
        };
        let mut products = *sums;
        let (distances, last_distances) = distances.as_chunks::<LANES>();
        let (positions, last_positions) = positions.as_chunks::<LANES>();
        let (weights, last_weights) = weights.as_chunks_mut::<LANES>();
        for ((distances, positions), weights) in distances.iter().zip(positions).zip(weights) {
            for lane in 0..LANES {
                products[lane] += term(distances[lane], positions[lane], &mut weights[lane]);
            }
        }
        let last = last_distances.iter().zip(last_positions).zip(last_weights);
        for (product, ((&d, &position), weight)) in products.iter_mut().zip(last) {
            *product += term(d, position, weight);
        }
        *sums = products;
    }
}

/// φ = max(0, t_p − d_an)². With the weights w = ∂(Σ φ)/∂d in f64,
/// 2 Σ φ = Σ_p t_p·w_p + Σ_n d_an·w_n.
pub(super) fn squared_hinge(
    row: &AnchorRow,
    lookup: &mut SortedLookup,
    scratch: &mut Scratch,
    gradient: &mut RowGradient,
) {
    let margin = row.penalty.margin();
    let Scratch { sums, thresholds_from, .. } = scratch;
    let count = row.positive_count();
    lookup.sort(row.positive_distances());
    lookup.set_thresholds(Threshold::Plus(margin));
    sums.clear();
    sums.resize(count + 1, [Sum::default(); WAYS]);
    thresholds_from.clear();
    thresholds_from.resize(count + 1, 0.0);
    let mut thresholds = 0.0;
    for (from, d) in thresholds_from.iter_mut().zip(lookup.sorted()).rev() {
        thresholds += f64::from(d + margin);
        *from = thresholds;
    }
    let mut products = [0.0; LANES];
    let mut found = [0; CHUNK];
    let mut rest = [0.0; CHUNK];
    for range in row.negative_ranges() {
        let distances = row.distances[range.clone()].chunks(CHUNK);
        for (distances, weights) in distances.zip(gradient.weights[range].chunks_mut(CHUNK)) {
            let (found, rest) = (&mut found[..distances.len()], &mut rest[..distances.len()]);
            lookup.find(distances, found);
            add_negatives(found, distances, thresholds_from, sums, rest);
            write_slopes(distances, found, rest, count as u32, weights, &mut products);
        }
    }
    // From here on thresholds_from[k] is the slope of the positive of rank k.
    let slopes = thresholds_from;
    let mut value = total(&products);
    let (mut negatives, mut active) = (Sum::default(), 0.0);
    for ((ways, slope), &d) in sums.iter().zip(&mut *slopes).zip(lookup.sorted()) {
        let [first, second, third, fourth] = *ways;
        negatives = negatives.plus(first.plus(second).plus(third.plus(fourth)));
        let threshold = f64::from(d + margin);
        *slope = 2.0 * (threshold * negatives.count - negatives.distances);
        active += negatives.count;
        value += threshold * *slope;
    }
    gradient.sums.active += active as u64;
    let slopes = lookup.ranks().iter().map(|&rank| slopes[rank as usize] as f32);
    gradient.set_positives(row, slopes);
    finish(row, lookup, gradient, value / 2.0);
}

vectorised! {
    /// Adds each negative to the sums at its position, and writes the sum of the thresholds from
    /// this position on to `rest`.
    fn add_negatives(
        found: &[u32],
        distances: &[f32],
        thresholds_from: &[f64],
        sums: &mut [[Sum; WAYS]],
        rest: &mut [f64],
    ) {
        let thresholds_from = &thresholds_from[..sums.len()];
        let mut add = |way: usize, position: u32, d: f64, rest: &mut f64| {
            let sum = &mut sums[position as usize][way];
            *sum = sum.plus(Sum { count: 1.0, distances: d });
            *rest = thresholds_from[position as usize];
        };
        let (groups, last_found) = found.as_chunks::<WAYS>();
        let (distance_groups, last_distances) = distances.as_chunks::<WAYS>();
        let (rest_groups, last_rest) = rest.as_chunks_mut::<WAYS>();
        for ((positions, distances), rest) in groups.iter().zip(distance_groups).zip(rest_groups) {
            let distances = distances.map(f64::from);
            for way in 0..WAYS {
                add(way, positions[way], distances[way], &mut rest[way]);
            }
        }
        for ((&position, &d), rest) in last_found.iter().zip(last_distances).zip(last_rest) {
            add(0, position, f64::from(d), rest);
        }
    }
}

vectorised! {
    /// Writes the weight w = −2 Σ (t_p − d) of each negative, a sum over the thresholds from its
    /// position on, where `rest` is the sum of these thresholds. Adds d·w to the sums, which
    /// [`total`] adds up.
    fn write_slopes(
        distances: &[f32],
        positions: &[u32],
        rest: &[f64],
        count: u32,
        weights: &mut [f32],
        sums: &mut [f64; LANES],
    ) {
        let count = f64::from(count);
        let term = |d: f32, position: u32, rest: f64, weight: &mut f32| {
            let d = f64::from(d);
            let slope = -2.0 * (rest - (count - f64::from(position as i32)) * d);
            *weight = slope as f32;
            slope * d
        };
        let mut products = *sums;
        let (distances, last_distances) = distances.as_chunks::<LANES>();
        let (positions, last_positions) = positions.as_chunks::<LANES>();
        let (rest, last_rest) = rest.as_chunks::<LANES>();
        let (weights, last_weights) = weights.as_chunks_mut::<LANES>();
        let blocks = distances.iter().zip(positions).zip(rest.iter().zip(weights));
        for ((distances, positions), (rest, weights)) in blocks {
            for lane in 0..LANES {
                products[lane] +=
                    term(distances[lane], positions[lane], rest[lane], &mut weights[lane]);
            }
        }
        let last = last_distances.iter().zip(last_positions).zip(last_rest.iter().zip(last_weights));
        for (product, ((&d, &position), (&rest, weight))) in products.iter_mut().zip(last) {
            *product += term(d, position, rest, weight);
        }
        *sums = products;
    }
}
