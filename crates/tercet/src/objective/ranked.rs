//! Batch-all with many positives: each negative finds its place among the sorted thresholds.
//!
//! Let t_p = d_ap + m. A triplet is active where t_p > d_an, so a negative's active triplets are
//! those with the thresholds behind its place, and a positive's are those with the negatives whose
//! place is not behind its own. Counting the negatives by place, and summing over places, gives
//! value, counts and both gradients without meeting a single triplet.

use super::places::{CHUNK, Places, Reach};
use super::row::{Row, weigh_positives};
use super::soft;
use crate::simd::{LANES, extremes, total, vectorised};

/// Positives from which ranking beats comparing with each of them.
const MANY: usize = 12;

/// Counters for each place: neighbours often share a place, and would wait for each other's count.
pub(super) const WAYS: usize = 4;

/// An anchor's positives in rising order of distance, and buffers for what is ranked among them.
#[derive(Debug, Default)]
pub(super) struct Ranks {
    pub(super) places: Places,
    /// Negatives by place.
    counts: Vec<[u32; WAYS]>,
    /// The negatives by place, with their distances.
    sums: Vec<[Sum; WAYS]>,
    /// For each place the sum of the thresholds behind it.
    behind: Vec<f64>,
    /// The least key of the negatives by place.
    pub(super) nearest: Vec<[u64; WAYS]>,
    /// What a soft penalty needs.
    pub(super) soft: soft::Room,
}

/// Negatives at a place; counted in f64, so that one addition of two numbers takes a negative in.
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

impl Row<'_> {
    /// Sorts the positives' distances.
    pub(super) fn sort_positives(&mut self) {
        let distances = self.positive_ranges().map(|range| &self.distances[range]);
        self.ranks.places.sort(distances);
    }
}

/// φ = max(0, t_p − d_an), with Σ φ = Σ_p t_p·A_p − Σ_n d_an·R_n over the counts of active triplets.
pub(super) fn hinge(row: &mut Row) {
    row.sort_positives();
    let margin = row.penalty.margin();
    let Ranks { places, counts, .. } = &mut *row.ranks;
    let count = places.sorted().len();
    places.aim(Reach::By(margin));
    counts.clear();
    counts.resize(count + 1, [0; WAYS]);
    let mut products = [0.0; LANES];
    let mut found = [0; CHUNK];
    for range in [0..row.class.start, row.class.end..row.distances.len()] {
        let distances = row.distances[range.clone()].chunks(CHUNK);
        for (distances, weights) in distances.zip(row.weights[range].chunks_mut(CHUNK)) {
            let found = &mut found[..distances.len()];
            places.find(distances, found);
            count_places(found, counts);
            take_behind(distances, found, count as u32, weights, &mut products);
        }
    }
    // From here on counts[k][0] is the number of negatives at places up to k.
    let mut value = total(&products);
    let mut behind = 0;
    for (ways, rank) in counts.iter_mut().zip(0..) {
        behind += ways.iter().sum::<u32>();
        ways[0] = behind;
        if let Some(d) = places.sorted().get(rank) {
            row.tally.active += u64::from(behind);
            value += f64::from(d + margin) * f64::from(behind);
        }
    }
    let ranges = row.positive_ranges();
    let Ranks { places, counts, .. } = &*row.ranks;
    let weights = places.ranks().iter().map(|&rank| counts[rank as usize][0] as f32);
    weigh_positives(row.weights, ranges, weights);
    row.weights[row.anchor] = 0.0;
    row.tally.value += value;
    row.tally.violated += violated_of_sorted(row);
}

/// Counts how often each place was found.
fn count_places(found: &[u32], counts: &mut [[u32; WAYS]]) {
    let (groups, rest) = found.as_chunks::<WAYS>();
    for group in groups {
        for (way, &place) in group.iter().enumerate() {
            counts[place as usize][way] += 1;
        }
    }
    for &place in rest {
        counts[place as usize][0] += 1;
    }
}

vectorised! {
    /// Writes a negative's weight w, minus the number of thresholds behind its place, and adds the
    /// d·w to sums that [`total`] adds up.
    fn take_behind(
        distances: &[f32],
        places: &[u32],
        count: u32,
        weights: &mut [f32],
        sums: &mut [f64; LANES],
    ) {
        let term = |d: f32, place: u32, weight: &mut f32| {
            *weight = place as i32 as f32 - count as f32;
            f64::from(d) * f64::from(*weight)
        };
        let mut products = *sums;
        let (distances, last_distances) = distances.as_chunks::<LANES>();
        let (places, last_places) = places.as_chunks::<LANES>();
        let (weights, last_weights) = weights.as_chunks_mut::<LANES>();
        for ((distances, places), weights) in distances.iter().zip(places).zip(weights) {
            for lane in 0..LANES {
                products[lane] += term(distances[lane], places[lane], &mut weights[lane]);
            }
        }
        let last = last_distances.iter().zip(last_places).zip(last_weights);
        for (product, ((&d, &place), weight)) in products.iter_mut().zip(last) {
            *product += term(d, place, weight);
        }
        *sums = products;
    }
}

/// φ = max(0, t_p − d_an)². With f64 slopes w = ∂Σφ/∂d, 2 Σ φ = Σ_p t_p·w_p + Σ_n d_an·w_n.
pub(super) fn squared_hinge(row: &mut Row) {
    row.sort_positives();
    let margin = row.penalty.margin();
    let Ranks { places, sums, behind, .. } = &mut *row.ranks;
    let count = places.sorted().len();
    places.aim(Reach::By(margin));
    sums.clear();
    sums.resize(count + 1, [Sum::default(); WAYS]);
    behind.clear();
    behind.resize(count + 1, 0.0);
    let mut thresholds = 0.0;
    for (behind, d) in behind.iter_mut().zip(places.sorted()).rev() {
        thresholds += f64::from(d + margin);
        *behind = thresholds;
    }
    let mut products = [0.0; LANES];
    let mut found = [0; CHUNK];
    let mut rest = [0.0; CHUNK];
    for range in [0..row.class.start, row.class.end..row.distances.len()] {
        let distances = row.distances[range.clone()].chunks(CHUNK);
        for (distances, weights) in distances.zip(row.weights[range].chunks_mut(CHUNK)) {
            let (found, rest) = (&mut found[..distances.len()], &mut rest[..distances.len()]);
            places.find(distances, found);
            take_in(found, distances, behind, sums, rest);
            slopes_behind(distances, found, rest, count as u32, weights, &mut products);
        }
    }
    // From here on behind[k] is the slope of the positive of rank k.
    let mut value = total(&products);
    let (mut negatives, mut active) = (Sum::default(), 0.0);
    for ((ways, slope), &d) in sums.iter().zip(behind).zip(places.sorted()) {
        let [first, second, third, fourth] = *ways;
        negatives = negatives.plus(first.plus(second).plus(third.plus(fourth)));
        let threshold = f64::from(d + margin);
        *slope = 2.0 * (threshold * negatives.count - negatives.distances);
        active += negatives.count;
        value += threshold * *slope;
    }
    row.tally.active += active as u64;
    let ranges = row.positive_ranges();
    let Ranks { places, behind, .. } = &*row.ranks;
    let weights = places.ranks().iter().map(|&rank| behind[rank as usize] as f32);
    weigh_positives(row.weights, ranges, weights);
    row.weights[row.anchor] = 0.0;
    row.tally.value += value / 2.0;
    row.tally.violated += violated_of_sorted(row);
}

vectorised! {
    /// Adds each negative to the others of its place, and writes what is behind that.
    fn take_in(
        found: &[u32],
        distances: &[f32],
        behind: &[f64],
        sums: &mut [[Sum; WAYS]],
        rest: &mut [f64],
    ) {
        let behind = &behind[..sums.len()];
        let mut add = |way: usize, place: u32, d: f64, rest: &mut f64| {
            let sum = &mut sums[place as usize][way];
            *sum = sum.plus(Sum { count: 1.0, distances: d });
            *rest = behind[place as usize];
        };
        let (groups, last_found) = found.as_chunks::<WAYS>();
        let (distance_groups, last_distances) = distances.as_chunks::<WAYS>();
        let (rest_groups, last_rest) = rest.as_chunks_mut::<WAYS>();
        for ((places, distances), rest) in groups.iter().zip(distance_groups).zip(rest_groups) {
            let distances = distances.map(f64::from);
            for way in 0..WAYS {
                add(way, places[way], distances[way], &mut rest[way]);
            }
        }
        for ((&place, &d), rest) in last_found.iter().zip(last_distances).zip(last_rest) {
            add(0, place, f64::from(d), rest);
        }
    }
}

vectorised! {
    /// Writes a negative's slope w = −2 Σ (t_p − d) over the thresholds behind its place, whose sum
    /// is `rest`, and adds the d·w to sums that [`total`] adds up.
    fn slopes_behind(
        distances: &[f32],
        places: &[u32],
        rest: &[f64],
        count: u32,
        weights: &mut [f32],
        sums: &mut [f64; LANES],
    ) {
        let count = f64::from(count);
        let term = |d: f32, place: u32, rest: f64, weight: &mut f32| {
            let d = f64::from(d);
            let slope = -2.0 * (rest - (count - f64::from(place as i32)) * d);
            *weight = slope as f32;
            slope * d
        };
        let mut products = *sums;
        let (distances, last_distances) = distances.as_chunks::<LANES>();
        let (places, last_places) = places.as_chunks::<LANES>();
        let (rest, last_rest) = rest.as_chunks::<LANES>();
        let (weights, last_weights) = weights.as_chunks_mut::<LANES>();
        let blocks = distances.iter().zip(places).zip(rest.iter().zip(weights));
        for ((distances, places), (rest, weights)) in blocks {
            for lane in 0..LANES {
                products[lane] +=
                    term(distances[lane], places[lane], rest[lane], &mut weights[lane]);
            }
        }
        let last = last_distances.iter().zip(last_places).zip(last_rest.iter().zip(last_weights));
        for (product, ((&d, &place), (&rest, weight))) in products.iter_mut().zip(last) {
            *product += term(d, place, rest, weight);
        }
        *sums = products;
    }
}

/// The number of triplets with d_an ≤ d_ap, once the positives are sorted.
fn violated_of_sorted(row: &mut Row) -> u64 {
    within_sorted(row, Reach::Itself)
}

fn within_sorted(row: &mut Row, reach: Reach) -> u64 {
    row.ranks.places.aim(reach);
    row.ranks.places.reached(row.negatives().map(|range| &row.distances[range]))
}

/// The number of an anchor's triplets with d_an ≤ d_ap.
pub(super) fn violated(row: &mut Row, span: Span) -> u64 {
    within(row, span, Reach::Itself)
}

/// Where an anchor's positives lie, from `low` to `high`, and its negatives, from `near` to `far`.
#[derive(Clone, Copy)]
pub(super) struct Span {
    pub(super) low: f32,
    pub(super) high: f32,
    pub(super) near: f32,
    pub(super) far: f32,
}

impl Span {
    pub(super) fn of(row: &Row) -> Self {
        let positives = row.positive_ranges().map(|range| extremes(&row.distances[range]));
        let negatives = row.negatives().map(|range| extremes(&row.distances[range]));
        let [low, high] =
            [positives[0][0].min(positives[1][0]), positives[0][1].max(positives[1][1])];
        let [near, far] =
            [negatives[0][0].min(negatives[1][0]), negatives[0][1].max(negatives[1][1])];
        Self { low, high, near, far }
    }
}

/// The number of an anchor's triplets whose positive reaches beyond the negative.
pub(super) fn within(row: &mut Row, span: Span, reach: Reach) -> u64 {
    let positives = row.positive_ranges().map(|range| &row.distances[range]);
    let negatives = row.negatives().map(|range| &row.distances[range]);
    let count = positives[0].len() + positives[1].len();
    if span.far < reach.of(span.low) {
        return count as u64 * (negatives[0].len() + negatives[1].len()) as u64;
    }
    if span.near >= reach.of(span.high) {
        return 0;
    }
    if count < MANY {
        let reaches = positives.into_iter().flatten().map(|&d| reach.of(d));
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
