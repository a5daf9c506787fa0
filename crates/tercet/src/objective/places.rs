//! Where numbers lie among sorted thresholds, in constant time each.
//!
//! The thresholds' span is cut into many equal bins. The bin of a number is a monotone function of
//! it, also in floating point, so every threshold in a lower bin is smaller and every one in a
//! higher bin larger; only those in the same bin need a comparison, and most bins hold none.

use crate::simd::{LANES, largest, smallest, vectorised};

/// Bins per threshold, at least: few bins then hold more than [`WINDOW`] thresholds.
const BINS_PER_THRESHOLD: usize = 4;

/// Thresholds that every number is compared with; only bins that hold more take a second look.
const WINDOW: usize = 3;

/// Marks a bin with more thresholds than [`WINDOW`].
const CROWDED: u32 = 1 << 31;

/// The most bins: their numbers must fit the fraction of an f32.
const MOST_BINS: usize = 1 << 22;

/// Thresholds in rising order with a table of bins. Its buffers serve one row after the other.
#[derive(Debug, Default)]
pub(super) struct Places {
    /// The thresholds in rising order, and then infinities.
    pub(super) sorted: Vec<f32>,
    /// `ids[k]` is the index that `sorted[k]` had before.
    pub(super) ids: Vec<u32>,
    /// `first[b]` is the number of thresholds in bins below `b`, perhaps with [`CROWDED`].
    first: Vec<u32>,
    low: f32,
    scale: f32,
    given: Vec<f32>,
    bins: Vec<u32>,
}

impl Places {
    /// Sorts thresholds (none of them NaN).
    pub(super) fn sort(&mut self, thresholds: impl Iterator<Item = f32>) {
        self.rise(thresholds);
        self.tabulate();
    }

    /// Sorts d + `margin` and the number behind d, for every distance d (finite, not negative).
    ///
    /// The id of the first is the index i of d, that of the second the number of distances + i.
    pub(super) fn sort_reaches(&mut self, distances: impl Iterator<Item = f32>, margin: f32) {
        self.rise(distances);
        // Rounding keeps the order, so that both sequences rise as d does and need only a merge. An
        // infinity ends each.
        let count = self.ids.len();
        let rising = &self.sorted[..=count];
        self.given.clear();
        self.given.extend(rising.iter().map(|d| d + margin));
        self.given.extend(rising.iter().map(|d| d.next_up()));
        self.bins.clear();
        self.bins.extend_from_slice(&self.ids);
        self.bins.push(0);
        self.sorted.resize(2 * count + WINDOW, f32::INFINITY);
        self.ids.resize(2 * count, 0);
        let (reaches, behind) = self.given.split_at(count + 1);
        let [mut reached, mut passed] = [0; 2];
        for (threshold, id) in self.sorted.iter_mut().zip(&mut self.ids) {
            let (reach, next) = (reaches[reached], behind[passed]);
            let pass = next < reach;
            *threshold = if pass { next } else { reach };
            *id = self.bins[if pass { passed } else { reached }]
                + if pass { count as u32 } else { 0 };
            passed += usize::from(pass);
            reached += usize::from(!pass);
        }
        self.sorted[2 * count..].fill(f32::INFINITY);
        self.tabulate();
    }

    /// Fills `sorted` and `ids`.
    fn rise(&mut self, thresholds: impl Iterator<Item = f32>) {
        self.given.clear();
        self.given.extend(thresholds);
        let count = self.given.len();
        let (low, high) = (smallest(&self.given), largest(&self.given));
        let bins = (count * 2).next_power_of_two().min(MOST_BINS);
        self.bins.resize(count, 0);
        bins_of(&self.given, low, scale(low, high, bins), bins as f32, &mut self.bins);
        // Counting sort by bin. Counts lie two entries on, so that once every threshold has moved
        // its bin's entry, each has become the start of the bin that it belongs to.
        self.first.clear();
        self.first.resize(bins + 3, 0);
        for &bin in &self.bins {
            self.first[bin as usize + 2] += 1;
        }
        let mut total = 0;
        for first in &mut self.first {
            total += *first;
            *first = total;
        }
        self.sorted.clear();
        self.sorted.resize(count + WINDOW, f32::INFINITY);
        self.ids.clear();
        self.ids.resize(count, 0);
        for (id, (&bin, &threshold)) in self.bins.iter().zip(&self.given).enumerate() {
            let next = &mut self.first[bin as usize + 1];
            self.sorted[*next as usize] = threshold;
            self.ids[*next as usize] = id as u32;
            *next += 1;
        }
        self.sort_within_bins();
    }

    fn sort_within_bins(&mut self) {
        for end in 1..self.ids.len() {
            let (threshold, id) = (self.sorted[end], self.ids[end]);
            let mut at = end;
            while at > 0 && self.sorted[at - 1] > threshold {
                self.sorted[at] = self.sorted[at - 1];
                self.ids[at] = self.ids[at - 1];
                at -= 1;
            }
            self.sorted[at] = threshold;
            self.ids[at] = id;
        }
    }

    /// Makes the table of bins of what is sorted.
    fn tabulate(&mut self) {
        let count = self.ids.len();
        let sorted = &self.sorted[..count];
        let low = sorted.first().copied().unwrap_or(f32::INFINITY);
        let high = sorted.last().copied().unwrap_or(f32::NEG_INFINITY);
        let bins = (count * BINS_PER_THRESHOLD).next_power_of_two().min(MOST_BINS);
        (self.low, self.scale) = (low, scale(low, high, bins));
        self.bins.resize(count, 0);
        bins_of(sorted, self.low, self.scale, bins as f32, &mut self.bins);

        self.first.clear();
        self.first.resize(bins + 2, 0);
        for &bin in &self.bins {
            self.first[bin as usize] += 1;
        }
        let mut total = 0;
        for first in &mut self.first {
            let own = *first;
            *first = total | if own as usize > WINDOW { CROWDED } else { 0 };
            total += own;
        }
    }

    /// Calls `found(index, k)` for every value in turn: k of the thresholds are ≤ the value.
    #[inline(always)]
    pub(super) fn each(&self, values: &[f32], mut found: impl FnMut(usize, usize)) {
        const CHUNK: usize = 8 * LANES;
        let mut bins = [0_u32; CHUNK];
        let top = (self.first.len() - 2) as f32;
        for (chunk, values) in values.chunks(CHUNK).enumerate() {
            bins_of(values, self.low, self.scale, top, &mut bins);
            for (index, (&value, &bin)) in values.iter().zip(&bins).enumerate() {
                let entry = self.first[bin as usize];
                let start = (entry & !CROWDED) as usize;
                let window = &self.sorted[start..][..WINDOW];
                let mut k = start + window.iter().map(|&t| usize::from(t <= value)).sum::<usize>();
                if entry & CROWDED != 0 {
                    let end = (self.first[bin as usize + 1] & !CROWDED) as usize;
                    let within = &self.sorted[start..end];
                    k = start + within.partition_point(|&threshold| threshold <= value);
                }
                found(chunk * CHUNK + index, k);
            }
        }
    }
}

/// Bins per unit. With one value, or none, everything falls into bin 0, which is slow but right.
fn scale(low: f32, high: f32, bins: usize) -> f32 {
    let scale = (bins - 1) as f32 / (high - low);
    if scale.is_finite() { scale } else { 0.0 }
}

vectorised! {
    /// The bin of each value: below the span 0, above it `top`.
    fn bins_of(values: &[f32], low: f32, scale: f32, top: f32, bins: &mut [u32]) {
        for (&value, bin) in values.iter().zip(bins) {
            let place = ((value - low) * scale).max(0.0).min(top);
            // Adding 2^23 rounds to an integer and leaves it in the lowest bits.
            *bin = (place + 8_388_608.0).to_bits() & 0x007f_ffff;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(thresholds: &[f32], values: &[f32]) {
        let mut places = Places::default();
        // A used table must not leak into the next.
        places.sort([3.0, -1.0, 7.5, 7.5].into_iter());
        places.sort(thresholds.iter().copied());
        let mut sorted = thresholds.to_vec();
        sorted.sort_by(f32::total_cmp);
        assert_eq!(places.sorted[..thresholds.len()], sorted);
        for (&threshold, &id) in places.sorted.iter().zip(&places.ids) {
            assert_eq!(threshold, thresholds[id as usize]);
        }
        each_is_exact(&places, thresholds, values);
    }

    fn each_is_exact(places: &Places, thresholds: &[f32], values: &[f32]) {
        let mut seen = 0;
        places.each(values, |index, k| {
            assert_eq!(index, seen);
            let expected = thresholds.iter().filter(|&&t| t <= values[index]).count();
            assert_eq!(k, expected, "{} among {thresholds:?}", values[index]);
            seen += 1;
        });
        assert_eq!(seen, values.len());
    }

    #[test]
    fn extremes_have_a_place() {
        check(&[], &[1.0]);
        check(&[2.0], &[1.0, 2.0, 3.0]);
        check(&[2.0; 50], &[1.0, 2.0, 3.0]);
        check(&[0.0, 1e-45, 1.0, 1e38], &[0.0, 1e-45, 3e-45, 0.5, 1.0, 9e37, 1e38, f32::MAX]);
    }

    proptest! {
        #[test]
        fn places_are_exact(
            thresholds in prop::collection::vec(0.0_f32..2.0, 0..200),
            values in prop::collection::vec(-0.5_f32..2.5, 0..300),
            steps in prop::sample::select(vec![4.0_f32, 1e3, 1e9]),
            outlier in prop::sample::select(vec![1.0_f32, 1e6]),
        ) {
            // Coarse steps make ties, an outlier crowds all others into one bin.
            let coarse = |x: &f32| (x * steps).round() / steps;
            let mut thresholds: Vec<f32> = thresholds.iter().map(coarse).collect();
            thresholds.push(outlier);
            let mut values: Vec<f32> = values.iter().map(coarse).collect();
            values.extend(&thresholds);
            check(&thresholds, &values);

            let distances: Vec<f32> = thresholds.iter().map(|t| t.abs()).collect();
            let margin = 1.0 / 3.0;
            let mut places = Places::default();
            places.sort_reaches(distances.iter().copied(), margin);
            let both: Vec<f32> = distances
                .iter()
                .map(|d| d + margin)
                .chain(distances.iter().map(|d| d.next_up()))
                .collect();
            prop_assert!(places.sorted.is_sorted());
            for (&threshold, &id) in places.sorted.iter().zip(&places.ids) {
                prop_assert_eq!(threshold, both[id as usize]);
            }
            values.extend(&both);
            each_is_exact(&places, &both, &values);
        }
    }
}
