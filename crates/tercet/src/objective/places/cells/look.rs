//! Where values lie among the numbers of a table.

use super::super::{CHUNK, Reach};
use super::{Cells, Ruler};
use crate::simd::LANES;
#[cfg(target_arch = "x86_64")]
use crate::simd::has_avx512;

/// By how much the keys of two numbers may be off, each twice rounded to 24 of 30 bits and cut off,
/// where a margin has moved one of them.
const ROUNDING: f32 = 260.0;

/// How values are compared with the numbers.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Aim {
    reach: Reach,
    /// What the first number does not reach, and what the last does not.
    first: f32,
    last: f32,
    /// Bits within a cell no farther apart than this tell nothing.
    blur: u32,
    /// Whether nothing in the table tells anything.
    blind: bool,
}

/// What is looked up of sixteen values: the entries of their cells, and their bits within these. At the
/// beginning of cache lines, since vectors that cross them take two loads.
#[derive(Debug, Clone, Copy, Default)]
#[repr(align(64))]
pub(super) struct Look {
    entries: [u32; LANES],
    within: [u32; LANES],
}

impl Aim {
    fn new(ruler: Ruler, crowded: bool, sorted: &[f32], reach: Reach) -> Self {
        let [first, last] = [sorted.first(), sorted.last()]
            .map(|number| number.map_or(f32::INFINITY, |&number| reach.of(number)));
        let blur = match (reach, sorted.last()) {
            // Numbers are compared with numbers as they are.
            (Reach::Itself, _) | (_, None) => 0.0,
            (Reach::By(margin), Some(last)) => {
                ROUNDING + (last.abs() + margin.abs()) * f32::EPSILON * ruler.scale
            }
        };
        let Ruler { shift, fine, .. } = ruler;
        let blind = crowded || blur >= (1_u32 << (shift - 1)) as f32;
        let blur = if blur > 0.0 { (blur as u32 >> (shift - fine)) + 1 } else { 0 };
        Self { reach, first, last, blur, blind }
    }
}

impl Cells {
    /// From now on values are placed among what the sorted numbers reach. Returns whether the table
    /// is of no use for that: it is crowded, or a margin so large beside the numbers' span that its
    /// rounding reaches over half a cell.
    pub(in super::super) fn aim(&mut self, sorted: &[f32], reach: Reach) -> bool {
        self.aim = Aim::new(self.ruler, self.crowded, sorted, reach);
        self.looks.resize(CHUNK / LANES, Look::default());
        self.open.resize(CHUNK + LANES, 0);
        self.aim.blind
    }

    /// For each value how many of the sorted numbers do not reach beyond it.
    pub(in super::super) fn find(&mut self, sorted: &[f32], values: &[f32], places: &mut [u32]) {
        #[cfg(target_arch = "x86_64")]
        if has_avx512() && !self.aim.blind {
            for (values, places) in values.chunks(CHUNK).zip(places.chunks_mut(CHUNK)) {
                // SAFETY: the machine has the instructions, as just asked.
                #[allow(unsafe_code)]
                unsafe {
                    self.avx512_find(sorted, values, places);
                }
            }
            return;
        }
        self.find_one_by_one(sorted, values, places);
    }

    /// The reference, one number at a time.
    pub(super) fn find_one_by_one(&self, sorted: &[f32], values: &[f32], places: &mut [u32]) {
        for (&value, place) in values.iter().zip(places) {
            *place = if value < self.aim.first {
                0
            } else if value >= self.aim.last {
                sorted.len() as u32
            } else {
                self.place_among(sorted, value)
            };
        }
    }

    /// The place of a value between what the first and what the last number reach.
    fn place_among(&self, sorted: &[f32], value: f32) -> u32 {
        let Self { ruler, entries, aim, .. } = self;
        let not_reached = |&number: &f32| aim.reach.of(number) <= value;
        if aim.blind {
            return sorted.partition_point(not_reached) as u32;
        }
        let cell = ruler.cell(ruler.key(value - aim.reach.margin()));
        // The numbers of this cell and of its neighbours.
        let start = ruler.lower(entries[cell.saturating_sub(1)]);
        let end = entries.get(cell + 2).map_or(sorted.len(), |&entry| ruler.lower(entry));
        (start + sorted[start..end].partition_point(not_reached)) as u32
    }

    /// [`find_one_by_one`](Self::find_one_by_one) for up to [`CHUNK`] numbers, sixteen at a time. Those
    /// that need a closer look wait until the end.
    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,popcnt")]
    fn avx512_find(&mut self, sorted: &[f32], values: &[f32], places: &mut [u32]) {
        self.look_up(values);
        let open = self.read_off(sorted.len(), values, places);
        for &at in &self.open[..open] {
            places[at as usize] = self.place_among(sorted, values[at as usize]);
        }
    }

    /// Looks up to [`CHUNK`] values up.
    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,popcnt")]
    fn look_up(&mut self, values: &[f32]) {
        use super::TOP;
        use std::arch::x86_64::*;

        let Ruler { low, scale, shift, fine } = self.ruler;
        let (low, margin) = (_mm512_set1_ps(low), _mm512_set1_ps(self.aim.reach.margin()));
        let (scale, top) = (_mm512_set1_ps(scale), _mm512_set1_ps(TOP));
        let within_bits = _mm512_set1_epi32((1_i32 << fine) - 1);
        let by = |bits: u32| _mm_cvtsi32_si128(bits as i32);
        let (to_cell, to_within) = (by(shift), by(shift - fine));
        let looks = &mut self.looks[..values.len().div_ceil(LANES)];
        for (values, look) in values.chunks(LANES).zip(&mut *looks) {
            let own: __mmask16 = u16::MAX >> (LANES - values.len());
            // SAFETY: only the numbers of the slice are read.
            #[allow(unsafe_code)]
            let numbers = unsafe { _mm512_maskz_loadu_ps(own, values.as_ptr()) };
            let along = _mm512_sub_ps(_mm512_sub_ps(numbers, margin), low);
            let along = _mm512_min_ps(_mm512_mul_ps(along, scale), top);
            let key = _mm512_cvttps_epi32(_mm512_max_ps(along, _mm512_setzero_ps()));
            let within = _mm512_and_si512(_mm512_srl_epi32(key, to_within), within_bits);
            // SAFETY: the arrays have room for the 16 numbers that are written.
            #[allow(unsafe_code)]
            unsafe {
                let cell = _mm512_srl_epi32(key, to_cell);
                _mm512_storeu_si512(look.entries.as_mut_ptr().cast(), cell);
                _mm512_storeu_si512(look.within.as_mut_ptr().cast(), within);
            }
        }
        // One by one, since gathering them takes longer.
        for look in looks {
            for entry in &mut look.entries {
                *entry = self.entries[*entry as usize];
            }
        }
    }

    /// The places that looks tell. Lists those that they do not tell, and returns how many these are.
    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,popcnt")]
    fn read_off(&mut self, count: usize, values: &[f32], places: &mut [u32]) -> usize {
        use std::arch::x86_64::*;

        let (fine, own_bits) = (self.ruler.fine, self.ruler.own_bits());
        let low_bits = |bits: u32| _mm512_set1_epi32((1_i32 << bits) - 1);
        let (number_bits, lower_bits) = (low_bits(fine + 1), low_bits(31 - own_bits));
        let by = |bits: u32| _mm_cvtsi32_si128(bits as i32);
        let (to_second, to_lower) = (by(fine + 1), by(own_bits));
        let one = _mm512_set1_epi32(1);
        let blur = self.aim.blur as i32;
        let (blur, blurs) = (_mm512_set1_epi32(blur), _mm512_set1_epi32(2 * blur));
        let clear = _mm512_sub_epi32(_mm512_set1_epi32(1 << fine), blurs);
        let count = _mm512_set1_epi32(count as i32);
        let (first_limit, last_limit) =
            (_mm512_set1_ps(self.aim.first), _mm512_set1_ps(self.aim.last));
        let blocks = values.chunks(LANES).zip(places.chunks_mut(LANES));
        let mut ids = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
        let mut listed = 0;
        for (look, (values, places)) in self.looks.iter().zip(blocks) {
            let own: __mmask16 = u16::MAX >> (LANES - values.len());
            // SAFETY: the arrays hold the 16 numbers that are read; of the slice only its own are.
            #[allow(unsafe_code)]
            let (numbers, entry, within) = unsafe {
                let Look { entries, within } = look;
                let entry = _mm512_loadu_si512(entries.as_ptr().cast());
                let within = _mm512_loadu_si512(within.as_ptr().cast());
                (_mm512_maskz_loadu_ps(own, values.as_ptr()), entry, within)
            };
            let above = _mm512_cmp_ps_mask::<_CMP_GE_OQ>(numbers, last_limit);
            let among = _mm512_cmp_ps_mask::<_CMP_GE_OQ>(numbers, first_limit) & !above & own;
            let first = _mm512_and_si512(entry, number_bits);
            let second = _mm512_and_si512(_mm512_srl_epi32(entry, to_second), number_bits);
            let place = _mm512_and_si512(_mm512_srl_epi32(entry, to_lower), lower_bits);
            let behind_first = _mm512_cmpgt_epu32_mask(within, first);
            let place = _mm512_mask_add_epi32(place, behind_first, place, one);
            let behind_second = _mm512_cmpgt_epu32_mask(within, second);
            let place = _mm512_mask_add_epi32(place, behind_second, place, one);
            let place = _mm512_mask_mov_epi32(_mm512_maskz_mov_epi32(among, place), above, count);
            // SAFETY: only numbers of the slice are written.
            #[allow(unsafe_code)]
            unsafe {
                _mm512_mask_storeu_epi32(places.as_mut_ptr().cast(), own, place);
            }
            // Too near to a number of the cell, or to a neighbouring cell.
            let blurred = _mm512_add_epi32(within, blur);
            let near_first = _mm512_cmple_epu32_mask(_mm512_sub_epi32(blurred, first), blurs);
            let near_second = _mm512_cmple_epu32_mask(_mm512_sub_epi32(blurred, second), blurs);
            let edge = _mm512_cmpge_epu32_mask(_mm512_sub_epi32(within, blur), clear);
            let crowd = _mm512_movepi32_mask(entry);
            let open_here = (near_first | near_second | edge | crowd) & among;
            let list = &mut self.open[listed..][..LANES];
            // SAFETY: the slice has room for the 16 numbers that are written.
            #[allow(unsafe_code)]
            unsafe {
                let list_here = _mm512_maskz_compress_epi32(open_here, ids);
                _mm512_storeu_si512(list.as_mut_ptr().cast(), list_here);
            }
            listed += open_here.count_ones() as usize;
            ids = _mm512_add_epi32(ids, _mm512_set1_epi32(LANES as i32));
        }
        listed
    }
}
