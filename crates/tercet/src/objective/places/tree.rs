//! A search tree in registers, descended by sixteen numbers at a time.
//!
//! The tree is stored level by level: entry i has its children at 2i and 2i + 1, and entry 1 is the
//! root. A level of up to 32 entries lies in two registers, of which one permutation picks any
//! sixteen; deeper ones take a few permutations.

#[cfg(target_arch = "x86_64")]
use crate::simd::{LANES, has_avx512_vbmi2};

/// The most thresholds: [`LEVELS`] levels.
pub(super) const MOST: usize = (1 << LEVELS) - 1;

const LEVELS: usize = 9;

/// Levels of the smallest tree: two registers.
const FEWEST: usize = 5;

/// Whether this machine descends trees faster than it looks into tables.
pub(super) fn is_fast() -> bool {
    #[cfg(target_arch = "x86_64")]
    return has_avx512_vbmi2();
    #[cfg(not(target_arch = "x86_64"))]
    false
}

#[derive(Debug, Default)]
pub(super) struct Tree {
    levels: usize,
    /// 2^levels entries, the first of no use; infinite behind the thresholds.
    entries: Vec<f32>,
    /// The entry of each threshold in rising order.
    layout: Vec<u32>,
}

impl Tree {
    /// Takes up to [`MOST`] thresholds in rising order.
    pub(super) fn set(&mut self, rising: impl ExactSizeIterator<Item = f32>) {
        let levels = ((rising.len() + 1).next_power_of_two().trailing_zeros() as usize).max(FEWEST);
        if levels != self.levels {
            self.levels = levels;
            self.layout.clear();
            self.layout.extend((1..1 << levels).map(|rank: u32| {
                // The lowest level holds every second threshold, the one above every fourth …
                let above = rank.trailing_zeros();
                (rank >> (above + 1)) + (1 << (levels as u32 - 1 - above))
            }));
        }
        self.entries.clear();
        self.entries.resize(1 << levels, f32::INFINITY);
        for (&entry, threshold) in self.layout.iter().zip(rising) {
            // Below 0 all are alike, since no value is.
            self.entries[entry as usize] = threshold.max(0.0);
        }
    }

    /// How many of the thresholds are ≤ each value, which is not negative.
    pub(super) fn find(&self, values: &[f32], places: &mut [u32]) {
        #[cfg(target_arch = "x86_64")]
        if has_avx512_vbmi2() {
            let places = &mut places[..values.len()];
            // SAFETY: the machine has the instructions, as just asked.
            #[allow(unsafe_code)]
            return unsafe {
                match self.levels {
                    5 => descend::<5>(&self.entries, values, places),
                    6 => descend::<6>(&self.entries, values, places),
                    7 => descend::<7>(&self.entries, values, places),
                    8 => descend::<8>(&self.entries, values, places),
                    _ => descend::<9>(&self.entries, values, places),
                }
            };
        }
        self.find_one_by_one(values, places);
    }

    /// The same, one number at a time: the reference.
    fn find_one_by_one(&self, values: &[f32], places: &mut [u32]) {
        for (value, place) in values.iter().zip(places) {
            let mut entry = 1;
            for _ in 0..self.levels {
                entry = 2 * entry + usize::from(self.entries[entry] <= *value);
            }
            *place = (entry - (1 << self.levels)) as u32;
        }
    }
}

/// [`Tree::find_one_by_one`] for sixteen numbers at a time.
///
/// Numbers that are not negative compare as their bits do, so that the sign of a difference tells
/// left from right; a shift moves it in behind the entry.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi2,avx2,fma")]
fn descend<const LEVELS: usize>(entries: &[f32], values: &[f32], places: &mut [u32]) {
    use std::arch::x86_64::*;

    #[inline]
    #[target_feature(enable = "avx512f")]
    fn load(values: &[f32; LANES]) -> __m512i {
        // SAFETY: the array holds the 16 numbers that are read.
        #[allow(unsafe_code)]
        unsafe {
            _mm512_loadu_si512(values.as_ptr().cast())
        }
    }

    let (registers, _) = entries.as_chunks::<LANES>();
    let registers = &registers[..(1 << LEVELS) / LANES];
    let block = |values: &[f32; LANES]| -> [u32; LANES] {
        let one = _mm512_set1_epi32(1);
        let above = _mm512_add_epi32(_mm512_max_epi32(load(values), _mm512_setzero_si512()), one);
        let mut entry = one;

        // Macros, since closures this large are not inlined.
        macro_rules! step {
            ($pivots:expr) => {
                entry = _mm512_shldi_epi32::<1>(entry, _mm512_sub_epi32($pivots, above))
            };
        }
        // The lowest bits of an entry's number are its place within its level; those above the
        // lowest five choose between pairs of registers.
        macro_rules! two {
            ($first:expr) => {
                _mm512_permutex2var_epi32(
                    load(&registers[$first]),
                    entry,
                    load(&registers[$first + 1]),
                )
            };
        }
        macro_rules! choose {
            ($bit:expr, $even:expr, $odd:expr) => {{
                let odd = _mm512_test_epi32_mask(entry, _mm512_set1_epi32(1 << $bit));
                _mm512_mask_blend_epi32(odd, $even, $odd)
            }};
        }
        macro_rules! four {
            ($first:expr) => {
                choose!(5, two!($first), two!($first + 2))
            };
        }
        macro_rules! eight {
            ($first:expr) => {
                choose!(6, four!($first), four!($first + 4))
            };
        }

        step!(_mm512_permutexvar_epi32(entry, load(&registers[0])));
        step!(_mm512_permutexvar_epi32(entry, load(&registers[0])));
        step!(_mm512_permutexvar_epi32(entry, load(&registers[0])));
        step!(_mm512_permutexvar_epi32(entry, load(&registers[0])));
        step!(_mm512_permutexvar_epi32(entry, load(&registers[1])));
        if LEVELS > 5 {
            step!(two!(2));
        }
        if LEVELS > 6 {
            step!(four!(4));
        }
        if LEVELS > 7 {
            step!(eight!(8));
        }
        if LEVELS > 8 {
            step!(choose!(7, eight!(16), eight!(24)));
        }
        let found = _mm512_sub_epi32(entry, _mm512_set1_epi32(1 << LEVELS));
        let mut places = [0; LANES];
        // SAFETY: the array has room for the 16 numbers that are written.
        #[allow(unsafe_code)]
        unsafe {
            _mm512_storeu_si512(places.as_mut_ptr().cast(), found);
        }
        places
    };

    let (blocks, rest) = values.as_chunks::<LANES>();
    let (place_blocks, place_rest) = places.as_chunks_mut::<LANES>();
    for (values, places) in blocks.iter().zip(place_blocks) {
        *places = block(values);
    }
    if !rest.is_empty() {
        let mut values = [0.0; LANES];
        values[..rest.len()].copy_from_slice(rest);
        place_rest.copy_from_slice(&block(&values)[..rest.len()]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn registers_agree_with_the_reference() {
        for count in 0..=MOST {
            let thresholds: Vec<f32> = (0..count).map(|i| (i / 3) as f32).collect();
            let values: Vec<f32> = (0..(count + 37)).map(|i| i as f32 / 4.0).collect();
            let mut tree = Tree::default();
            tree.set(thresholds.iter().copied());
            let mut found = vec![0; values.len()];
            let mut expected = found.clone();
            tree.find(&values, &mut found);
            tree.find_one_by_one(&values, &mut expected);
            assert_eq!(found, expected, "{count} thresholds");
            for (&value, &place) in values.iter().zip(&found) {
                assert_eq!(place as usize, thresholds.partition_point(|&t| t <= value));
            }
        }
    }
}
