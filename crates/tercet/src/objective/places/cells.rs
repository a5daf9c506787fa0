//! A table of cells, by which many numbers are sorted, and others find their place among them in
//! constant time each.
//!
//! A number's key is its distance from the smallest in fixed point, a monotone function of it also in
//! floating point: of two numbers with different keys the larger has the larger key. The high bits of
//! a key name a cell. A cell's entry tells how many numbers lie in lower cells, and the next bits of
//! the keys of its own, if they are one or two: with them another number finds its place by one look
//! into the table. Where keys are too near each other to tell, or a cell holds more, the numbers
//! themselves decide.

mod look;

#[cfg(target_arch = "x86_64")]
use crate::simd::has_avx512;
use crate::simd::{LANES, largest, smallest, vectorised};
use look::{Aim, Look};

/// Bits of a key.
const KEY_BITS: u32 = 30;

/// The largest key, the last f32 below 2^[`KEY_BITS`].
const TOP: f32 = ((1_u32 << KEY_BITS) - 64) as f32;

/// Cells per number, as a power of two: few then hold more than two.
const SPACE_BITS: u32 = 3;

/// The most cells, as a power of two. An entry has room for numbers of lower ones below that.
const MOST_BITS: u32 = 22;

/// Marks an entry of more numbers than it has room for.
const CROWDED: u32 = 1 << 31;

#[derive(Debug, Default)]
pub(super) struct Cells {
    /// Of the numbers in the order given: keys, and how many came before in the same cell.
    keys: Vec<u32>,
    later: Vec<u32>,
    /// The numbers in rising order, by their places in the order given.
    ids: Vec<u32>,
    /// By cell, from the highest bits on: [`CROWDED`], the numbers in lower cells, and twice the next
    /// bits of a key that lies here, or 2^`fine`, which no key has.
    entries: Vec<u32>,
    ruler: Ruler,
    /// Whether so many numbers share a cell that looking into the table is slow.
    crowded: bool,
    aim: Aim,
    looks: Vec<Look>,
    /// Where among the values looked up those are that need a closer look.
    open: Vec<u32>,
}

/// From numbers to keys and cells.
#[derive(Debug, Clone, Copy, Default)]
struct Ruler {
    low: f32,
    /// Keys per unit.
    scale: f32,
    /// Bits of a key below those of its cell.
    shift: u32,
    /// The highest of them, which an entry has room for.
    fine: u32,
}

impl Ruler {
    #[inline(always)]
    fn key(self, number: f32) -> u32 {
        ((number - self.low) * self.scale).clamp(0.0, TOP) as u32
    }

    #[inline(always)]
    fn cell(self, key: u32) -> usize {
        (key >> self.shift) as usize
    }

    /// The bits that tell a key from others of its cell.
    #[inline(always)]
    fn within(self, key: u32) -> u32 {
        key >> (self.shift - self.fine) & ((1 << self.fine) - 1)
    }

    /// Bits of an entry below the numbers in lower cells.
    fn own_bits(self) -> u32 {
        2 * (self.fine + 1)
    }

    /// The numbers in lower cells.
    #[inline(always)]
    fn lower(self, entry: u32) -> usize {
        ((entry & !CROWDED) >> self.own_bits()) as usize
    }

    /// What an entry says of its own numbers, where there are none.
    fn none(self) -> u32 {
        1 << self.fine | 1 << (2 * self.fine + 1)
    }
}

impl Cells {
    /// Sorts numbers, and writes for each how many are smaller; equal ones may also be counted in
    /// their order.
    pub(super) fn sort(&mut self, given: &[f32], sorted: &mut Vec<f32>, ranks: &mut Vec<u32>) {
        let count = given.len();
        sorted.resize(count, 0.0);
        ranks.resize(count, 0);
        self.ids.resize(count, 0);
        self.set_up(given);
        let crowd = if count < 1 << MOST_BITS { self.distribute(given, sorted) } else { count };
        self.crowded = crowd > count / 4;
        if self.crowded {
            let number = |&id: &u32| given[id as usize];
            self.ids.iter_mut().zip(0..).for_each(|(id, at)| *id = at);
            self.ids.sort_by(|left, right| number(left).total_cmp(&number(right)));
            for (sorted, id) in sorted.iter_mut().zip(&self.ids) {
                *sorted = number(id);
            }
        } else {
            self.sort_within_cells(sorted);
        }
        for (&id, rank) in self.ids.iter().zip(0..) {
            ranks[id as usize] = rank;
        }
    }

    /// Counts the numbers of each cell.
    fn set_up(&mut self, given: &[f32]) {
        let count_bits = usize::BITS - given.len().leading_zeros();
        let cell_bits = (count_bits + SPACE_BITS).clamp(LANES.trailing_zeros(), MOST_BITS);
        let shift = KEY_BITS - cell_bits;
        let low = smallest(given);
        let scale = TOP / (largest(given) - low);
        self.ruler = Ruler {
            low,
            // Equal numbers, or very near ones, share a cell.
            scale: if scale.is_finite() { scale } else { 0.0 },
            shift,
            fine: (31_u32.saturating_sub(count_bits) / 2).saturating_sub(1).min(shift),
        };
        self.keys.resize(given.len(), 0);
        keys(given, self.ruler, &mut self.keys);
        self.entries.clear();
        self.entries.resize(1 << cell_bits, 0);
        self.later.resize(given.len(), 0);
        for (&key, later) in self.keys.iter().zip(&mut self.later) {
            let count = &mut self.entries[self.ruler.cell(key)];
            *later = *count;
            *count += 1;
        }
    }

    /// Puts the numbers in the order of their cells, and makes the entries. Returns how many find no
    /// room in one.
    fn distribute(&mut self, given: &[f32], sorted: &mut [f32]) -> usize {
        let ruler = self.ruler;
        sum_up(&mut self.entries, ruler.own_bits(), ruler.none());
        let none = 1 << ruler.fine;
        let mut crowd = 0;
        let numbers = given.iter().zip(&self.keys).zip(&self.later);
        for (((&number, &key), &later), id) in numbers.zip(0..) {
            let entry = &mut self.entries[ruler.cell(key)];
            let at = ruler.lower(*entry) + later as usize;
            sorted[at] = number;
            self.ids[at] = id;
            // Instead of the mark of an empty room, the first or the second.
            let within = none ^ ruler.within(key);
            let room = if later == 0 { within } else { within << (ruler.fine + 1) };
            *entry = if later < 2 { *entry ^ room } else { *entry | CROWDED };
            crowd += usize::from(later >= 2);
        }
        crowd
    }

    fn sort_within_cells(&mut self, sorted: &mut [f32]) {
        for end in 1..sorted.len() {
            let (number, id) = (sorted[end], self.ids[end]);
            let mut at = end;
            while at > 0 && sorted[at - 1] > number {
                sorted[at] = sorted[at - 1];
                self.ids[at] = self.ids[at - 1];
                at -= 1;
            }
            sorted[at] = number;
            self.ids[at] = id;
        }
    }
}

vectorised! {
    fn keys(numbers: &[f32], ruler: Ruler, keys: &mut [u32]) {
        for (&number, key) in numbers.iter().zip(keys) {
            *key = ruler.key(number);
        }
    }
}

/// Turns the count of each cell into the sum of all lower ones, as an entry without numbers.
fn sum_up(entries: &mut [u32], shift: u32, none: u32) {
    #[cfg(target_arch = "x86_64")]
    if has_avx512() {
        // SAFETY: the machine has the instructions, as just asked.
        #[allow(unsafe_code)]
        return unsafe { avx512_sum_up(entries, shift, none) };
    }
    sum_up_one_by_one(entries, shift, none);
}

fn sum_up_one_by_one(entries: &mut [u32], shift: u32, none: u32) {
    let mut lower = 0;
    for entry in entries {
        let count = *entry;
        *entry = lower << shift | none;
        lower += count;
    }
}

/// [`sum_up_one_by_one`] for sixteen cells at a time; no loop is compiled to that.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
fn avx512_sum_up(entries: &mut [u32], shift: u32, none: u32) {
    use std::arch::x86_64::*;

    let (zero, last) = (_mm512_setzero_si512(), _mm512_set1_epi32(LANES as i32 - 1));
    let (none, by_shift) = (_mm512_set1_epi32(none as i32), _mm_cvtsi32_si128(shift as i32));
    let mut lower = zero;
    let (rows, _) = entries.as_chunks_mut::<LANES>();
    for row in rows {
        // SAFETY: the array holds the 16 numbers that are read.
        #[allow(unsafe_code)]
        let counts = unsafe { _mm512_loadu_si512(row.as_ptr().cast()) };
        let sums = _mm512_add_epi32(counts, _mm512_alignr_epi32::<15>(counts, zero));
        let sums = _mm512_add_epi32(sums, _mm512_alignr_epi32::<14>(sums, zero));
        let sums = _mm512_add_epi32(sums, _mm512_alignr_epi32::<12>(sums, zero));
        let sums = _mm512_add_epi32(sums, _mm512_alignr_epi32::<8>(sums, zero));
        let before = _mm512_add_epi32(lower, _mm512_sub_epi32(sums, counts));
        let entries = _mm512_or_si512(_mm512_sll_epi32(before, by_shift), none);
        // SAFETY: the array has room for the 16 numbers that are written.
        #[allow(unsafe_code)]
        unsafe {
            _mm512_storeu_si512(row.as_mut_ptr().cast(), entries);
        }
        lower = _mm512_add_epi32(lower, _mm512_permutexvar_epi32(last, sums));
    }
}

#[cfg(test)]
mod tests {
    use super::super::Reach;
    use super::*;

    fn check(numbers: &[f32], values: &[f32]) -> bool {
        let mut cells = Cells::default();
        let (mut sorted, mut ranks) = (Vec::new(), Vec::new());
        cells.sort(&[1.0, 2.0, 2.0], &mut sorted, &mut ranks);
        cells.sort(numbers, &mut sorted, &mut ranks);
        let mut expected = numbers.to_vec();
        expected.sort_by(f32::total_cmp);
        assert_eq!(sorted, expected);
        for (&number, &rank) in numbers.iter().zip(&ranks) {
            assert_eq!(sorted[rank as usize], number);
        }
        let margins = [0.0, 0.2, -0.1, 1e3, 12345.678].map(Reach::By);
        for reach in margins.into_iter().chain([Reach::Itself]) {
            let (mut found, mut one_by_one) = (vec![0; values.len()], vec![0; values.len()]);
            cells.aim(&sorted, reach);
            cells.find(&sorted, values, &mut found);
            cells.find_one_by_one(&sorted, values, &mut one_by_one);
            assert_eq!(found, one_by_one, "{reach:?}");
            for (&value, &place) in values.iter().zip(&found) {
                let expected = sorted.partition_point(|&number| reach.of(number) <= value);
                assert_eq!(place as usize, expected, "{value} with {reach:?}");
            }
        }
        cells.crowded
    }

    fn around(numbers: &[f32]) -> Vec<f32> {
        let near = |&number: &f32| {
            [0.0, 0.2, -0.1, 1e3, 12345.678].into_iter().flat_map(move |margin| {
                let reached = number + margin;
                [reached.next_down().max(0.0), reached.max(0.0), reached.next_up(), reached + 0.05]
            })
        };
        numbers.iter().flat_map(near).collect()
    }

    #[test]
    fn sums_agree_with_the_reference() {
        for cells in [16, 64, 1024] {
            let mut sums: Vec<u32> = (0..cells).map(|i| (i * 37) % 5).collect();
            let mut expected = sums.clone();
            sum_up(&mut sums, 7, 9);
            sum_up_one_by_one(&mut expected, 7, 9);
            assert_eq!(sums, expected);
        }
    }

    #[test]
    fn numbers_are_sorted_and_found() {
        for count in [0, 1, 2, 3, 17, 100, 1000] {
            let numbers: Vec<f32> =
                (0..count).map(|i| 0.3 + ((i * 37) % 1009) as f32 / 997.0).collect();
            let mut values = around(&numbers);
            values.extend([0.0, 1e-40, 0.25, 1e9]);
            assert!(!check(&numbers, &values) || count < 4);
            // Far from 0 the steps of floating point are wider than cells, and sums far off.
            for offset in [30.0, 3e3, 3e4] {
                let far: Vec<f32> = numbers.iter().map(|number| number + offset).collect();
                check(&far, &around(&far));
            }
        }
    }

    #[test]
    fn a_crowd_is_told_and_still_exact() {
        let mut numbers: Vec<f32> = (0..300).map(|i| 1.0 + i as f32 * 1e-6).collect();
        numbers.push(1e18);
        assert!(check(&numbers, &around(&numbers)));
        assert!(check(&[2.0; 40], &[1.0, 2.0, 3.0]));
        let near = [1.0, 1.0 + f32::EPSILON, 1.0 + 2.0 * f32::EPSILON];
        check(&near, &around(&near));
        check(&[0.0, 1e-45, 3e-45], &[0.0, 1e-45, 3e-45, 1e-44]);
    }
}
