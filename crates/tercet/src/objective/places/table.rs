//! A table of cells, looked into for one number after the other in constant time each.
//!
//! A number's key is its distance from the first threshold in fixed point, a monotone function of it
//! also in floating point: of two numbers with different keys the larger has the larger key. The high
//! bits of a key name a cell. A cell's entry tells how many thresholds lie in lower cells, and the low
//! bits of its own threshold, if it has just one: with them a number finds its place by one look into
//! the table. Where keys are equal, or a cell holds several thresholds, the thresholds themselves
//! decide.

#[cfg(target_arch = "x86_64")]
use crate::simd::has_avx512;
use crate::simd::{LANES, vectorised};

/// Bits of a key, but for the last, which is one more.
const KEY_BITS: u32 = 30;

/// Cells per threshold, as a power of two: few then hold more than one.
const SPACE_BITS: u32 = 3;

/// The most cells, as a power of two.
const MOST_BITS: u32 = 22;

/// The most thresholds whose numbers fit the entries. Even more have no cells.
const MOST: usize = (1 << MOST_BITS) - 1;

/// Cells behind that of a threshold that are written in one go.
const STRETCH: usize = 2 * LANES;

/// Marks an entry of several thresholds.
const CROWDED: u32 = 1 << 31;

#[derive(Debug, Default)]
pub(super) struct Table {
    /// The thresholds in rising order.
    sorted: Vec<f32>,
    keys: Vec<u32>,
    /// By cell: the thresholds in lower cells, above `shift + 1` bits for those of its own threshold;
    /// without one they are 2^shift, which no number has.
    entries: Vec<u32>,
    low: f32,
    last: f32,
    /// Keys per unit.
    scale: f32,
    /// Bits of a key below those of its cell.
    shift: u32,
    /// Thresholds that share a cell with one before them.
    crowded: usize,
}

impl Table {
    /// Takes thresholds in rising order.
    pub(super) fn set(&mut self, rising: impl ExactSizeIterator<Item = f32>) {
        self.sorted.clear();
        self.sorted.extend(rising);
        let count = self.sorted.len();
        self.entries.clear();
        if count > MOST {
            return;
        }
        let wanted = count.next_power_of_two().trailing_zeros() + SPACE_BITS;
        let cell_bits = wanted.min(MOST_BITS);
        self.shift = KEY_BITS - cell_bits;
        (self.low, self.last) = match self.sorted[..] {
            [low, .., last] => (low, last),
            [one] => (one, one),
            [] => (f32::INFINITY, f32::INFINITY),
        };
        let scale = (1_u32 << KEY_BITS) as f32 / (self.last - self.low);
        // Between equal thresholds, or none, no number is looked for.
        self.scale = if scale.is_finite() { scale } else { 0.0 };
        self.keys.resize(count, 0);
        keys(&self.sorted, self.low, self.scale, &mut self.keys);
        self.entries.resize((1 << cell_bits) + 2 + STRETCH, 0);
        self.crowded = fill(&self.keys, self.shift, &mut self.entries);
    }

    /// Whether so many thresholds share a cell that looking into the table is slow.
    pub(super) fn is_crowded(&self) -> bool {
        self.crowded > self.sorted.len() / 4
    }

    pub(super) fn sorted(&self) -> &[f32] {
        &self.sorted
    }

    /// How many of the thresholds are ≤ each value.
    pub(super) fn find(&self, values: &[f32], places: &mut [u32]) {
        #[cfg(target_arch = "x86_64")]
        if has_avx512() && !self.entries.is_empty() {
            let (blocks, rest) = values.as_chunks::<LANES>();
            let (place_blocks, place_rest) = places[..values.len()].as_chunks_mut::<LANES>();
            let (mut last, mut last_places) = ([[0.0; LANES]], [[0; LANES]]);
            last[0][..rest.len()].copy_from_slice(rest);
            // SAFETY: the machine has the instructions, as just asked.
            #[allow(unsafe_code)]
            unsafe {
                self.avx512_find(blocks, place_blocks);
                self.avx512_find(&last[..rest.len().min(1)], &mut last_places);
            }
            place_rest.copy_from_slice(&last_places[0][..rest.len()]);
            return;
        }
        self.find_one_by_one(values, places);
    }

    /// The same, one number at a time: the reference.
    fn find_one_by_one(&self, values: &[f32], places: &mut [u32]) {
        for (&value, place) in values.iter().zip(places) {
            *place = if self.entries.is_empty() {
                self.sorted.partition_point(|&threshold| threshold <= value) as u32
            } else if value < self.low {
                0
            } else if value >= self.last {
                self.sorted.len() as u32
            } else {
                self.among(value)
            };
        }
    }

    /// The place of a value between the first and the last threshold.
    fn among(&self, value: f32) -> u32 {
        let cell = (key(value, self.low, self.scale) >> self.shift) as usize;
        let [start, end] = [cell, cell + 1].map(|cell| self.lower(cell));
        (start + self.sorted[start..end].partition_point(|&threshold| threshold <= value)) as u32
    }

    /// The number of thresholds in cells below this one.
    fn lower(&self, cell: usize) -> usize {
        ((self.entries[cell] & !CROWDED) >> (self.shift + 1)) as usize
    }

    /// [`find_one_by_one`](Self::find_one_by_one) for sixteen numbers at a time.
    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")]
    fn avx512_find(&self, values: &[[f32; LANES]], places: &mut [[u32; LANES]]) {
        use std::arch::x86_64::*;

        let (low, last) = (_mm512_set1_ps(self.low), _mm512_set1_ps(self.last));
        let (scale, top) = (_mm512_set1_ps(self.scale), _mm512_set1_ps(TOP));
        let count = _mm512_set1_epi32(self.sorted.len() as i32);
        let rest = _mm512_set1_epi32((1 << self.shift) - 1);
        let own = _mm512_set1_epi32((2 << self.shift) - 1);
        let uncrowded = _mm512_set1_epi32(!CROWDED as i32);
        let one = _mm512_set1_epi32(1);
        let cell_shift = _mm_cvtsi32_si128(self.shift as i32);
        let count_shift = _mm_cvtsi32_si128(self.shift as i32 + 1);
        for (values, places) in values.iter().zip(places) {
            // SAFETY: the array holds the 16 numbers that are read.
            #[allow(unsafe_code)]
            let numbers = unsafe { _mm512_loadu_ps(values.as_ptr()) };
            let above = _mm512_cmp_ps_mask::<_CMP_GE_OQ>(numbers, last);
            let among = _mm512_cmp_ps_mask::<_CMP_GE_OQ>(numbers, low) & !above;
            let key = _mm512_mul_ps(_mm512_sub_ps(numbers, low), scale);
            let key = _mm512_maskz_cvttps_epi32(among, _mm512_min_ps(key, top));
            let cell = _mm512_srl_epi32(key, cell_shift);
            // SAFETY: a key is at most 2^30, so that its cell has an entry.
            #[allow(unsafe_code)]
            let entry = unsafe { _mm512_i32gather_epi32::<4>(cell, self.entries.as_ptr().cast()) };
            let (rest, own) = (_mm512_and_si512(key, rest), _mm512_and_si512(entry, own));
            let lower = _mm512_srl_epi32(_mm512_and_si512(entry, uncrowded), count_shift);
            let behind = _mm512_cmpgt_epu32_mask(rest, own);
            let place = _mm512_maskz_mov_epi32(among, _mm512_mask_add_epi32(lower, behind, lower, one));
            let place = _mm512_mask_mov_epi32(place, above, count);
            // SAFETY: the array has room for the 16 numbers that are written.
            #[allow(unsafe_code)]
            unsafe {
                _mm512_storeu_si512(places.as_mut_ptr().cast(), place);
            }
            let equal = _mm512_cmpeq_epu32_mask(rest, own);
            let mut open = (equal | _mm512_movepi32_mask(entry)) & among;
            while open != 0 {
                let lane = open.trailing_zeros() as usize;
                places[lane] = self.among(values[lane]);
                open &= open - 1;
            }
        }
    }
}

vectorised! {
    /// Writes the entries, and returns how many thresholds share a cell with one before them. It asks
    /// nothing that cannot be foretold: behind each threshold it writes what most gaps need, and the
    /// next one writes over it.
    fn fill(keys: &[u32], shift: u32, entries: &mut [u32]) -> usize {
        let none = 1 << shift;
        let before = |count: usize| (count as u32) << (shift + 1) | none;
        let mut crowded = 0;
        // The first cell that is not written yet, the last that is for good, and its entry.
        let (mut next, mut last, mut entry) = (0, usize::MAX, 0);
        for (&key, count) in keys.iter().zip(0..) {
            let cell = (key >> shift) as usize;
            if cell > next {
                entries[next..cell].fill(before(count));
            }
            let alone = before(count) - none + (key & (none - 1));
            entry = if cell == last { entry | CROWDED } else { alone };
            crowded += usize::from(cell == last);
            if let Some(stretch) = entries[cell..].first_chunk_mut::<{ 1 + STRETCH }>() {
                *stretch = [before(count + 1); 1 + STRETCH];
                stretch[0] = entry;
            }
            (last, next) = (cell, cell + 1 + STRETCH);
        }
        let rest = next.min(entries.len());
        entries[rest..].fill(before(keys.len()));
        crowded
    }
}

/// The largest key.
const TOP: f32 = (1_u32 << KEY_BITS) as f32;

/// The key of a number from `low` on.
#[inline(always)]
fn key(value: f32, low: f32, scale: f32) -> u32 {
    ((value - low) * scale).min(TOP) as i32 as u32
}

vectorised! {
    fn keys(values: &[f32], low: f32, scale: f32, keys: &mut [u32]) {
        for (&value, out) in values.iter().zip(keys) {
            *out = key(value, low, scale);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(thresholds: &[f32], values: &[f32]) -> Table {
        let mut table = Table::default();
        table.set([1.0, 2.0, 2.0].into_iter());
        table.set(thresholds.iter().copied());
        let (mut found, mut expected) = (vec![0; values.len()], vec![0; values.len()]);
        table.find(values, &mut found);
        table.find_one_by_one(values, &mut expected);
        assert_eq!(found, expected);
        for (&value, &place) in values.iter().zip(&found) {
            assert_eq!(place as usize, thresholds.partition_point(|&t| t <= value), "{value}");
        }
        table
    }

    #[test]
    fn registers_agree_with_the_reference() {
        for count in [0, 1, 2, 3, 17, 100, 1000] {
            let thresholds: Vec<f32> = (0..count).map(|i| 0.3 + (i * i) as f32 / 997.0).collect();
            let near = |&t: &f32| [t.next_down(), t, t.next_up(), t + 0.1];
            let mut values: Vec<f32> = thresholds.iter().flat_map(near).collect();
            values.extend([0.0, 1e-40, 0.25, 1e9]);
            assert!(!check(&thresholds, &values).is_crowded() || count < 3);
        }
    }

    #[test]
    fn a_crowd_is_told_and_still_exact() {
        let mut thresholds: Vec<f32> = (0..300).map(|i| 1.0 + i as f32 * 1e-6).collect();
        thresholds.push(1e20);
        let values: Vec<f32> = (0..400).map(|i| 1.0 + i as f32 * 1e-6).collect();
        assert!(check(&thresholds, &values).is_crowded());
        assert!(check(&[2.0; 40], &[1.0, 2.0, 3.0]).is_crowded());
        check(&[1.0, 1.0 + f32::EPSILON, 1.0 + 2.0 * f32::EPSILON], &[1.0, 1.0 + f32::EPSILON, 2.0]);
        check(&[0.0, 1e-45, 3e-45], &[0.0, 1e-45, 3e-45, 1e-44]);
    }
}
