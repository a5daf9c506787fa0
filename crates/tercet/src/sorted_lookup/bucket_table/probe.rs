//! The positions of values among the numbers of a bucket table.

use super::super::{CHUNK, Threshold};
use super::{BucketTable, KeyScale};
use crate::simd::LANES;
#[cfg(target_arch = "x86_64")]
use crate::simd::has_avx512;

/// The largest error in the difference of two keys if a margin was added to one of the numbers:
/// each key is rounded twice from 30 to 24 bits, and truncated.
const ROUNDING: f32 = 260.0;

/// How values are compared with the numbers.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Comparison {
    threshold: Threshold,
    /// The thresholds of the first and of the last number.
    first: f32,
    last: f32,
    /// Keys within a bucket do not decide if they differ by no more than this.
    tolerance: u32,
    /// Whether the table decides no position, so that the sorted numbers are searched instead.
    useless: bool,
}

/// The entries of the buckets of sixteen values, and the bits of the values' keys within the
/// buckets. It is aligned to a cache line, because a vector that crosses two lines takes two loads.
#[derive(Debug, Clone, Copy, Default)]
#[repr(align(64))]
pub(super) struct Probe {
    entries: [u32; LANES],
    within: [u32; LANES],
}

impl Comparison {
    fn new(scale: KeyScale, crowded: bool, sorted: &[f32], threshold: Threshold) -> Self {
        let [first, last] = [sorted.first(), sorted.last()]
            .map(|number| number.map_or(f32::INFINITY, |&number| threshold.of(number)));
        let error = match (threshold, sorted.last()) {
            // Without a margin nothing is added to a number, so there is no rounding error.
            (Threshold::Itself, _) | (_, None) => 0.0,
            (Threshold::Plus(margin), Some(last)) => {
                ROUNDING + (last.abs() + margin.abs()) * f32::EPSILON * scale.factor
            }
        };
        let KeyScale { shift, fine, .. } = scale;
        let useless = crowded || error >= (1_u32 << (shift - 1)) as f32;
        let tolerance = if error > 0.0 { (error as u32 >> (shift - fine)) + 1 } else { 0 };
        Self { threshold, first, last, tolerance, useless }
    }
}

impl BucketTable {
    /// Sets the thresholds that values are compared with. Returns whether the table is useless for
    /// them: either it is crowded, or the margin is so large compared with the range of the numbers
    /// that its rounding error exceeds half a bucket.
    pub(in super::super) fn set_thresholds(
        &mut self,
        sorted: &[f32],
        threshold: Threshold,
    ) -> bool {
        self.comparison = Comparison::new(self.scale, self.crowded, sorted, threshold);
        self.probes.resize(CHUNK / LANES, Probe::default());
        self.undecided.resize(CHUNK + LANES, 0);
        self.comparison.useless
    }

    /// For each value, how many thresholds of the sorted numbers are ≤ it.
    pub(in super::super) fn find(&mut self, sorted: &[f32], values: &[f32], positions: &mut [u32]) {
        #[cfg(target_arch = "x86_64")]
        if has_avx512() && !self.comparison.useless {
            for (values, positions) in values.chunks(CHUNK).zip(positions.chunks_mut(CHUNK)) {
                // SAFETY: the machine has the instructions, as just checked.
                #[allow(unsafe_code)]
                unsafe {
                    self.avx512_find(sorted, values, positions);
                }
            }
            return;
        }
        self.find_one_by_one(sorted, values, positions);
    }

    /// [`find`](Self::find) for one value at a time: the reference for tests.
    pub(super) fn find_one_by_one(&self, sorted: &[f32], values: &[f32], positions: &mut [u32]) {
        for (&value, position) in values.iter().zip(positions) {
            *position = if value < self.comparison.first {
                0
            } else if value >= self.comparison.last {
                sorted.len() as u32
            } else {
                self.position_among(sorted, value)
            };
        }
    }

    /// The position of a value that is between the first and the last threshold.
    fn position_among(&self, sorted: &[f32], value: f32) -> u32 {
        let Self { scale, entries, comparison, .. } = self;
        let at_most = |&number: &f32| comparison.threshold.of(number) <= value;
        if comparison.useless {
            return sorted.partition_point(at_most) as u32;
        }
        let bucket = scale.bucket(scale.key(value - comparison.threshold.margin()));
        // Only the numbers of this bucket and of its neighbours are compared.
        let start = scale.lower(entries[bucket.saturating_sub(1)]);
        let end = entries.get(bucket + 2).map_or(sorted.len(), |&entry| scale.lower(entry));
        (start + sorted[start..end].partition_point(at_most)) as u32
    }

    /// [`find_one_by_one`](Self::find_one_by_one) for up to [`CHUNK`] values, sixteen at a time.
    /// Values that the table does not decide are compared at the end.
    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,popcnt")]
    fn avx512_find(&mut self, sorted: &[f32], values: &[f32], positions: &mut [u32]) {
        self.read_entries(values);
        let undecided = self.decide(sorted.len(), values, positions);
        for &at in &self.undecided[..undecided] {
            positions[at as usize] = self.position_among(sorted, values[at as usize]);
        }
    }

    /// Reads the entries of the buckets of up to [`CHUNK`] values.
    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,popcnt")]
    fn read_entries(&mut self, values: &[f32]) {
        use super::TOP;
        use std::arch::x86_64::*;

        let KeyScale { low, factor, shift, fine } = self.scale;
        let (low, margin) =
            (_mm512_set1_ps(low), _mm512_set1_ps(self.comparison.threshold.margin()));
        let (factor, top) = (_mm512_set1_ps(factor), _mm512_set1_ps(TOP));
        let within_bits = _mm512_set1_epi32((1_i32 << fine) - 1);
        let by = |bits: u32| _mm_cvtsi32_si128(bits as i32);
        let (to_bucket, to_within) = (by(shift), by(shift - fine));
        let probes = &mut self.probes[..values.len().div_ceil(LANES)];
        for (values, probe) in values.chunks(LANES).zip(&mut *probes) {
            let own: __mmask16 = u16::MAX >> (LANES - values.len());
            // SAFETY: only the numbers of the slice are read.
            #[allow(unsafe_code)]
            let numbers = unsafe { _mm512_maskz_loadu_ps(own, values.as_ptr()) };
            let along = _mm512_sub_ps(_mm512_sub_ps(numbers, margin), low);
            let along = _mm512_min_ps(_mm512_mul_ps(along, factor), top);
            let key = _mm512_cvttps_epi32(_mm512_max_ps(along, _mm512_setzero_ps()));
            let within = _mm512_and_si512(_mm512_srl_epi32(key, to_within), within_bits);
            // SAFETY: the arrays have space for the 16 numbers that are written.
            #[allow(unsafe_code)]
            unsafe {
                let bucket = _mm512_srl_epi32(key, to_bucket);
                _mm512_storeu_si512(probe.entries.as_mut_ptr().cast(), bucket);
                _mm512_storeu_si512(probe.within.as_mut_ptr().cast(), within);
            }
        }
        // The entries are read one by one, because a gather instruction takes longer.
        for probe in probes {
            for entry in &mut probe.entries {
                *entry = self.entries[*entry as usize];
            }
        }
    }

    /// Writes the positions that the entries decide. Lists the values that they do not decide, and
    /// returns the number of these.
    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,popcnt")]
    fn decide(&mut self, count: usize, values: &[f32], positions: &mut [u32]) -> usize {
        use std::arch::x86_64::*;

        let (fine, own_bits) = (self.scale.fine, self.scale.own_bits());
        let low_bits = |bits: u32| _mm512_set1_epi32((1_i32 << bits) - 1);
        let (number_bits, lower_bits) = (low_bits(fine + 1), low_bits(31 - own_bits));
        let by = |bits: u32| _mm_cvtsi32_si128(bits as i32);
        let (to_second, to_lower) = (by(fine + 1), by(own_bits));
        let one = _mm512_set1_epi32(1);
        let tolerance = self.comparison.tolerance as i32;
        let (tolerance, twice) = (_mm512_set1_epi32(tolerance), _mm512_set1_epi32(2 * tolerance));
        let clear = _mm512_sub_epi32(_mm512_set1_epi32(1 << fine), twice);
        let count = _mm512_set1_epi32(count as i32);
        let (first_limit, last_limit) =
            (_mm512_set1_ps(self.comparison.first), _mm512_set1_ps(self.comparison.last));
        let blocks = values.chunks(LANES).zip(positions.chunks_mut(LANES));
        let mut ids = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
        let mut listed = 0;
        for (probe, (values, positions)) in self.probes.iter().zip(blocks) {
            let own: __mmask16 = u16::MAX >> (LANES - values.len());
            // SAFETY: the arrays hold the 16 numbers that are read; of the slice, only the numbers
            // in the mask `own` are read.
            #[allow(unsafe_code)]
            let (numbers, entry, within) = unsafe {
                let Probe { entries, within } = probe;
                let entry = _mm512_loadu_si512(entries.as_ptr().cast());
                let within = _mm512_loadu_si512(within.as_ptr().cast());
                (_mm512_maskz_loadu_ps(own, values.as_ptr()), entry, within)
            };
            let above = _mm512_cmp_ps_mask::<_CMP_GE_OQ>(numbers, last_limit);
            let among = _mm512_cmp_ps_mask::<_CMP_GE_OQ>(numbers, first_limit) & !above & own;
            let first = _mm512_and_si512(entry, number_bits);
            let second = _mm512_and_si512(_mm512_srl_epi32(entry, to_second), number_bits);
            let position = _mm512_and_si512(_mm512_srl_epi32(entry, to_lower), lower_bits);
            let behind_first = _mm512_cmpgt_epu32_mask(within, first);
            let position = _mm512_mask_add_epi32(position, behind_first, position, one);
            let behind_second = _mm512_cmpgt_epu32_mask(within, second);
            let position = _mm512_mask_add_epi32(position, behind_second, position, one);
            let position =
                _mm512_mask_mov_epi32(_mm512_maskz_mov_epi32(among, position), above, count);
            // SAFETY: only numbers of the slice are written.
            #[allow(unsafe_code)]
            unsafe {
                _mm512_mask_storeu_epi32(positions.as_mut_ptr().cast(), own, position);
            }
            // Undecided are values too close to a number of the bucket or to a neighbouring bucket,
            // and those in crowded buckets.
            let above_tolerance = _mm512_add_epi32(within, tolerance);
            let near_first =
                _mm512_cmple_epu32_mask(_mm512_sub_epi32(above_tolerance, first), twice);
            let near_second =
                _mm512_cmple_epu32_mask(_mm512_sub_epi32(above_tolerance, second), twice);
            let edge = _mm512_cmpge_epu32_mask(_mm512_sub_epi32(within, tolerance), clear);
            let crowd = _mm512_movepi32_mask(entry);
            let undecided_here = (near_first | near_second | edge | crowd) & among;
            let list = &mut self.undecided[listed..][..LANES];
            // SAFETY: the slice has space for the 16 numbers that are written.
            #[allow(unsafe_code)]
            unsafe {
                let list_here = _mm512_maskz_compress_epi32(undecided_here, ids);
                _mm512_storeu_si512(list.as_mut_ptr().cast(), list_here);
            }
            listed += undecided_here.count_ones() as usize;
            ids = _mm512_add_epi32(ids, _mm512_set1_epi32(LANES as i32));
        }
        listed
    }
}
