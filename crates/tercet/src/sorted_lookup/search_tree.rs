//! A search tree in registers, which sixteen values descend at a time.
//!
//! The tree is stored level by level: entry i has its children at 2i and 2i + 1, and entry 1 is the
//! root. A level of up to 32 entries fits into two registers, from which one permutation reads any
//! sixteen; deeper levels need a few permutations.

use super::Threshold;
use crate::simd::vectorised;
#[cfg(target_arch = "x86_64")]
use crate::simd::{LANES, has_avx512_vbmi2};

/// The largest number of thresholds, those of a tree of [`LEVELS`] levels.
pub(super) const LARGEST: usize = (1 << LEVELS) - 1;

const LEVELS: usize = 9;

/// The number of levels of the smallest tree, which fills two registers.
const FEWEST: usize = 5;

/// The number of thresholds of the smallest tree.
pub(super) const SMALLEST: usize = (1 << FEWEST) - 1;

/// Whether this machine descends a tree faster than it reads a table.
pub(super) fn is_fast() -> bool {
    #[cfg(target_arch = "x86_64")]
    return has_avx512_vbmi2();
    #[cfg(not(target_arch = "x86_64"))]
    false
}

vectorised! {
    /// Writes the thresholds of the numbers, and infinity after them. No value is below 0, so
    /// negative thresholds can be replaced by 0.
    fn thresholds(sorted: &[f32], threshold: Threshold, out: &mut [f32]) {
        let (own, behind) = out.split_at_mut(sorted.len());
        for (out, &number) in own.iter_mut().zip(sorted) {
            *out = threshold.of(number).max(0.0);
        }
        behind.fill(f32::INFINITY);
    }
}

#[derive(Debug, Default)]
pub(super) struct SearchTree {
    levels: usize,
    /// 2^levels entries, of which the first is not used. Those after the thresholds are infinite.
    entries: Vec<f32>,
    /// The rank of the threshold of each entry. The first is not used.
    layout: Vec<u32>,
    /// The thresholds in rising order, filled up with infinity to the size of the tree.
    rising: Vec<f32>,
}

impl SearchTree {
    /// Sets the thresholds of up to [`LARGEST`] numbers, which are in rising order.
    pub(super) fn set(&mut self, sorted: &[f32], threshold: Threshold) {
        let levels = ((sorted.len() + 1).next_power_of_two().trailing_zeros() as usize).max(FEWEST);
        if levels != self.levels {
            self.levels = levels;
            self.layout.clear();
            self.layout.resize(1 << levels, 0);
            for rank in 1..1 << levels {
                // The lowest level holds every second threshold, the level above every fourth, and
                // so on.
                let above = usize::trailing_zeros(rank);
                let entry = (rank >> (above + 1)) + (1 << (levels as u32 - 1 - above));
                self.layout[entry] = rank as u32 - 1;
            }
        }
        self.rising.resize(1 << levels, f32::INFINITY);
        thresholds(sorted, threshold, &mut self.rising);
        self.entries.clear();
        self.entries.extend(self.layout.iter().map(|&rank| self.rising[rank as usize]));
    }

    /// For each value, which is not negative: how many thresholds are ≤ it.
    pub(super) fn find(&self, values: &[f32], positions: &mut [u32]) {
        #[cfg(target_arch = "x86_64")]
        if has_avx512_vbmi2() {
            let positions = &mut positions[..values.len()];
            // SAFETY: the machine has the instructions, as just checked.
            #[allow(unsafe_code)]
            return unsafe {
                match self.levels {
                    5 => descend::<5>(&self.entries, values, positions),
                    6 => descend::<6>(&self.entries, values, positions),
                    7 => descend::<7>(&self.entries, values, positions),
                    8 => descend::<8>(&self.entries, values, positions),
                    _ => descend::<9>(&self.entries, values, positions),
                }
            };
        }
        self.find_one_by_one(values, positions);
    }

    /// The sum of the positions of up to 2^20 values.
    pub(super) fn total(&self, values: &[f32]) -> u64 {
        #[cfg(target_arch = "x86_64")]
        if has_avx512_vbmi2() {
            // SAFETY: the machine has the instructions, as just checked.
            #[allow(unsafe_code)]
            return unsafe {
                match self.levels {
                    5 => total_of::<5>(&self.entries, values),
                    6 => total_of::<6>(&self.entries, values),
                    7 => total_of::<7>(&self.entries, values),
                    8 => total_of::<8>(&self.entries, values),
                    _ => total_of::<9>(&self.entries, values),
                }
            };
        }
        values.iter().map(|&value| u64::from(self.position(value))).sum()
    }

    fn position(&self, value: f32) -> u32 {
        let mut entry = 1;
        for _ in 0..self.levels {
            entry = 2 * entry + usize::from(self.entries[entry] <= value);
        }
        (entry - (1 << self.levels)) as u32
    }

    /// [`find`](Self::find) for one value at a time: the reference for tests.
    fn find_one_by_one(&self, values: &[f32], positions: &mut [u32]) {
        for (&value, position) in values.iter().zip(positions) {
            *position = self.position(value);
        }
    }
}

/// The positions of sixteen values.
///
/// Numbers that are not negative have the order of their bits as integers, so the sign of a
/// difference decides between the left and the right child, and a shift appends it to the number of
/// the entry. This is a macro because functions of this size are not inlined.
#[cfg(target_arch = "x86_64")]
macro_rules! descend {
    ($levels:expr, $registers:expr, $values:expr) => {{
        use std::arch::x86_64::*;

        let registers: &[[f32; LANES]] = $registers;
        let one = _mm512_set1_epi32(1);
        let above = _mm512_add_epi32(_mm512_max_epi32($values, _mm512_setzero_si512()), one);
        let mut entry = one;

        macro_rules! step {
            ($pivots:expr) => {
                entry = _mm512_shldi_epi32::<1>(entry, _mm512_sub_epi32($pivots, above))
            };
        }
        // The lowest bits of the number of an entry are its position within its level. Five of them
        // select within a pair of registers, and the bits above choose between pairs.
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
        if $levels > 5 {
            step!(two!(2));
        }
        if $levels > 6 {
            step!(four!(4));
        }
        if $levels > 7 {
            step!(eight!(8));
        }
        if $levels > 8 {
            step!(choose!(7, eight!(16), eight!(24)));
        }
        _mm512_sub_epi32(entry, _mm512_set1_epi32(1 << $levels))
    }};
}

#[cfg(target_arch = "x86_64")]
#[inline]
#[target_feature(enable = "avx512f")]
fn load(values: &[f32; LANES]) -> std::arch::x86_64::__m512i {
    // SAFETY: the array holds the 16 numbers that are read.
    #[allow(unsafe_code)]
    unsafe {
        std::arch::x86_64::_mm512_loadu_si512(values.as_ptr().cast())
    }
}

#[cfg(target_arch = "x86_64")]
#[inline]
#[target_feature(enable = "avx512f")]
fn store(positions: std::arch::x86_64::__m512i, out: &mut [u32; LANES]) {
    // SAFETY: the array has space for the 16 numbers that are written.
    #[allow(unsafe_code)]
    unsafe {
        std::arch::x86_64::_mm512_storeu_si512(out.as_mut_ptr().cast(), positions);
    }
}

/// [`SearchTree::find_one_by_one`] for sixteen values at a time.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi2,avx2,fma")]
fn descend<const LEVELS: usize>(entries: &[f32], values: &[f32], positions: &mut [u32]) {
    let (registers, _) = entries.as_chunks::<LANES>();
    let registers = &registers[..(1 << LEVELS) / LANES];
    let (blocks, rest) = values.as_chunks::<LANES>();
    let (position_blocks, position_rest) = positions.as_chunks_mut::<LANES>();
    for (values, positions) in blocks.iter().zip(position_blocks) {
        store(descend!(LEVELS, registers, load(values)), positions);
    }
    if !rest.is_empty() {
        let (mut values, mut positions) = ([0.0; LANES], [0; LANES]);
        values[..rest.len()].copy_from_slice(rest);
        store(descend!(LEVELS, registers, load(&values)), &mut positions);
        position_rest.copy_from_slice(&positions[..rest.len()]);
    }
}

/// The sum of the positions that [`descend`] finds.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi2,avx2,fma")]
fn total_of<const LEVELS: usize>(entries: &[f32], values: &[f32]) -> u64 {
    use std::arch::x86_64::{_mm512_add_epi32, _mm512_setzero_si512};

    let (registers, _) = entries.as_chunks::<LANES>();
    let registers = &registers[..(1 << LEVELS) / LANES];
    let (blocks, rest) = values.as_chunks::<LANES>();
    let mut sums = _mm512_setzero_si512();
    for values in blocks {
        sums = _mm512_add_epi32(sums, descend!(LEVELS, registers, load(values)));
    }
    let mut lanes = [0; LANES];
    store(sums, &mut lanes);
    let mut total = lanes.iter().map(|&sum| u64::from(sum)).sum::<u64>();
    if !rest.is_empty() {
        let mut values = [0.0; LANES];
        values[..rest.len()].copy_from_slice(rest);
        store(descend!(LEVELS, registers, load(&values)), &mut lanes);
        total += lanes[..rest.len()].iter().map(|&position| u64::from(position)).sum::<u64>();
    }
    total
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn registers_agree_with_the_reference() {
        for count in 0..=LARGEST {
            let thresholds: Vec<f32> = (0..count).map(|i| (i / 3) as f32).collect();
            let values: Vec<f32> = (0..(count + 37)).map(|i| i as f32 / 4.0).collect();
            let mut tree = SearchTree::default();
            tree.set(&thresholds, Threshold::Plus(0.0));
            let mut found = vec![0; values.len()];
            let mut expected = found.clone();
            tree.find(&values, &mut found);
            tree.find_one_by_one(&values, &mut expected);
            assert_eq!(found, expected, "{count} thresholds");
            let sum = expected.iter().map(|&position| u64::from(position)).sum::<u64>();
            assert_eq!(tree.total(&values), sum, "{count} thresholds");
            for (&value, &position) in values.iter().zip(&found) {
                assert_eq!(position as usize, thresholds.partition_point(|&t| t <= value));
            }
        }
    }
}
