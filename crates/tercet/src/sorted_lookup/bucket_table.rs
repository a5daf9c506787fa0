//! A table of equally wide buckets, which sorts many numbers and finds the position of a value
//! among them in constant time.
//!
//! The key of a number is its difference from the smallest number, in fixed point. Keys are
//! monotone in the numbers, with floating-point rounding too: of two numbers with different keys,
//! the larger has the larger key. The high bits of a key are the index of a bucket. The entry of a
//! bucket holds the count of numbers in lower buckets and, if the bucket itself has one or two
//! numbers, the next bits of their keys. So a single read of the table gives the position of a
//! value. Where keys are too close to decide, or a bucket holds more numbers, the numbers
//! themselves are compared.

mod probe;

#[cfg(target_arch = "x86_64")]
use crate::simd::has_avx512;
use crate::simd::{LANES, largest, smallest, vectorised};
use probe::{Comparison, Probe};

/// Bits of a key.
const KEY_BITS: u32 = 30;

/// The largest key, the last f32 below 2^[`KEY_BITS`].
const TOP: f32 = ((1_u32 << KEY_BITS) - 64) as f32;

/// Buckets per number, as a power of two: with so many, few buckets hold more than two numbers.
const BUCKETS_PER_NUMBER_BITS: u32 = 3;

/// The largest number of buckets, as a power of two. Counts of numbers in an entry must be below
/// it.
const LARGEST_BITS: u32 = 22;

/// Marks the entry of a bucket with more than two numbers.
const CROWDED: u32 = 1 << 31;

#[derive(Debug, Default)]
pub(super) struct BucketTable {
    /// For each number, in the order given: its key.
    keys: Vec<u32>,
    /// For each number, in the order given: how many numbers before it are in the same bucket.
    earlier: Vec<u32>,
    /// The numbers in rising order, as indices into the order given.
    indices: Vec<u32>,
    /// For each bucket, from the highest bits on: [`CROWDED`], the count of numbers in lower
    /// buckets, and two fields for the numbers of the bucket itself. A field holds the next bits of
    /// a key, or 2^`fine` if it is empty, a value that no key has.
    entries: Vec<u32>,
    scale: KeyScale,
    /// Whether so many numbers share buckets that reading the table is slow.
    crowded: bool,
    comparison: Comparison,
    probes: Vec<Probe>,
    /// The indices of the values whose position the table does not decide.
    undecided: Vec<u32>,
}

/// How keys and buckets are computed from numbers.
#[derive(Debug, Clone, Copy, Default)]
struct KeyScale {
    low: f32,
    /// Keys per unit.
    factor: f32,
    /// The number of bits of a key below those of its bucket.
    shift: u32,
    /// The number of these bits that an entry holds, the highest ones.
    fine: u32,
}

impl KeyScale {
    #[inline(always)]
    fn key(self, number: f32) -> u32 {
        ((number - self.low) * self.factor).clamp(0.0, TOP) as u32
    }

    #[inline(always)]
    fn bucket(self, key: u32) -> usize {
        (key >> self.shift) as usize
    }

    /// The highest bits of a key within its bucket, as many as an entry holds.
    #[inline(always)]
    fn within(self, key: u32) -> u32 {
        key >> (self.shift - self.fine) & ((1 << self.fine) - 1)
    }

    /// The number of bits of an entry below the count of numbers in lower buckets.
    fn own_bits(self) -> u32 {
        2 * (self.fine + 1)
    }

    /// The count of numbers in lower buckets.
    #[inline(always)]
    fn lower(self, entry: u32) -> usize {
        ((entry & !CROWDED) >> self.own_bits()) as usize
    }

    /// The low bits of the entry of an empty bucket: two empty fields.
    fn none(self) -> u32 {
        1 << self.fine | 1 << (2 * self.fine + 1)
    }
}

impl BucketTable {
    /// Sorts numbers and writes the rank of each. Equal numbers have ranks in the order given.
    pub(super) fn sort(&mut self, given: &[f32], sorted: &mut Vec<f32>, ranks: &mut Vec<u32>) {
        let count = given.len();
        sorted.resize(count, 0.0);
        ranks.resize(count, 0);
        self.indices.resize(count, 0);
        self.set_up(given);
        let crowd = if count < 1 << LARGEST_BITS { self.distribute(given, sorted) } else { count };
        self.crowded = crowd > count / 4;
        if self.crowded {
            let number = |&index: &u32| given[index as usize];
            self.indices.iter_mut().zip(0..).for_each(|(index, at)| *index = at);
            self.indices.sort_by(|left, right| number(left).total_cmp(&number(right)));
            for (sorted, index) in sorted.iter_mut().zip(&self.indices) {
                *sorted = number(index);
            }
        } else {
            self.sort_within_buckets(sorted);
        }
        for (&index, rank) in self.indices.iter().zip(0..) {
            ranks[index as usize] = rank;
        }
    }

    /// Computes the keys, and counts the numbers of each bucket.
    fn set_up(&mut self, given: &[f32]) {
        let count_bits = usize::BITS - given.len().leading_zeros();
        let bucket_bits =
            (count_bits + BUCKETS_PER_NUMBER_BITS).clamp(LANES.trailing_zeros(), LARGEST_BITS);
        let shift = KEY_BITS - bucket_bits;
        let low = smallest(given);
        let factor = TOP / (largest(given) - low);
        self.scale = KeyScale {
            low,
            // Equal or very close numbers then share one bucket.
            factor: if factor.is_finite() { factor } else { 0.0 },
            shift,
            fine: (31_u32.saturating_sub(count_bits) / 2).saturating_sub(1).min(shift),
        };
        self.keys.resize(given.len(), 0);
        keys(given, self.scale, &mut self.keys);
        self.entries.clear();
        self.entries.resize(1 << bucket_bits, 0);
        self.earlier.resize(given.len(), 0);
        for (&key, earlier) in self.keys.iter().zip(&mut self.earlier) {
            let count = &mut self.entries[self.scale.bucket(key)];
            *earlier = *count;
            *count += 1;
        }
    }

    /// Writes the numbers in the order of their buckets, and the entries. Returns how many numbers
    /// do not fit into the fields of their entry.
    fn distribute(&mut self, given: &[f32], sorted: &mut [f32]) -> usize {
        let scale = self.scale;
        sum_up(&mut self.entries, scale.own_bits(), scale.none());
        let none = 1 << scale.fine;
        let mut crowd = 0;
        let numbers = given.iter().zip(&self.keys).zip(&self.earlier);
        for (((&number, &key), &earlier), index) in numbers.zip(0..) {
            let entry = &mut self.entries[scale.bucket(key)];
            let at = scale.lower(*entry) + earlier as usize;
            sorted[at] = number;
            self.indices[at] = index;
            // The bits of the key replace the mark of the first or of the second empty field.
            let within = none ^ scale.within(key);
            let field = if earlier == 0 { within } else { within << (scale.fine + 1) };
            *entry = if earlier < 2 { *entry ^ field } else { *entry | CROWDED };
            crowd += usize::from(earlier >= 2);
        }
        crowd
    }

    fn sort_within_buckets(&mut self, sorted: &mut [f32]) {
        for end in 1..sorted.len() {
            let (number, index) = (sorted[end], self.indices[end]);
            let mut at = end;
            while at > 0 && sorted[at - 1] > number {
                sorted[at] = sorted[at - 1];
                self.indices[at] = self.indices[at - 1];
                at -= 1;
            }
            sorted[at] = number;
            self.indices[at] = index;
        }
    }
}

vectorised! {
    fn keys(numbers: &[f32], scale: KeyScale, keys: &mut [u32]) {
        for (&number, key) in numbers.iter().zip(keys) {
            *key = scale.key(number);
        }
    }
}

/// Replaces the count of each bucket by the entry of an empty bucket with the sum of the counts of
/// all lower buckets.
fn sum_up(entries: &mut [u32], shift: u32, none: u32) {
    #[cfg(target_arch = "x86_64")]
    if has_avx512() {
        // SAFETY: the machine has the instructions, as just checked.
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

/// [`sum_up_one_by_one`] for sixteen buckets at a time. It is written with intrinsics because the
/// compiler does not generate this form.
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
        // SAFETY: the array has space for the 16 numbers that are written.
        #[allow(unsafe_code)]
        unsafe {
            _mm512_storeu_si512(row.as_mut_ptr().cast(), entries);
        }
        lower = _mm512_add_epi32(lower, _mm512_permutexvar_epi32(last, sums));
    }
}

#[cfg(test)]
mod tests {
    use super::super::Threshold;
    use super::*;

    fn check(numbers: &[f32], values: &[f32]) -> bool {
        let mut table = BucketTable::default();
        let (mut sorted, mut ranks) = (Vec::new(), Vec::new());
        table.sort(&[1.0, 2.0, 2.0], &mut sorted, &mut ranks);
        table.sort(numbers, &mut sorted, &mut ranks);
        let mut expected = numbers.to_vec();
        expected.sort_by(f32::total_cmp);
        assert_eq!(sorted, expected);
        for (&number, &rank) in numbers.iter().zip(&ranks) {
            assert_eq!(sorted[rank as usize], number);
        }
        let margins = [0.0, 0.2, -0.1, 1e3, 12345.678].map(Threshold::Plus);
        for threshold in margins.into_iter().chain([Threshold::Itself]) {
            let (mut found, mut one_by_one) = (vec![0; values.len()], vec![0; values.len()]);
            table.set_thresholds(&sorted, threshold);
            table.find(&sorted, values, &mut found);
            table.find_one_by_one(&sorted, values, &mut one_by_one);
            assert_eq!(found, one_by_one, "{threshold:?}");
            for (&value, &position) in values.iter().zip(&found) {
                let expected = sorted.partition_point(|&number| threshold.of(number) <= value);
                assert_eq!(position as usize, expected, "{value} with {threshold:?}");
            }
        }
        table.crowded
    }

    fn around(numbers: &[f32]) -> Vec<f32> {
        let near = |&number: &f32| {
            [0.0, 0.2, -0.1, 1e3, 12345.678].into_iter().flat_map(move |margin| {
                let near = number + margin;
                [near.next_down().max(0.0), near.max(0.0), near.next_up(), near + 0.05]
            })
        };
        numbers.iter().flat_map(near).collect()
    }

    #[test]
    fn sums_agree_with_the_reference() {
        for buckets in [16, 64, 1024] {
            let mut sums: Vec<u32> = (0..buckets).map(|i| (i * 37) % 5).collect();
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
            // Far from 0, floating-point numbers are farther apart than buckets, and sums have
            // large rounding errors.
            for offset in [30.0, 3e3, 3e4] {
                let far: Vec<f32> = numbers.iter().map(|number| number + offset).collect();
                check(&far, &around(&far));
            }
        }
    }

    #[test]
    fn crowded_buckets_are_reported_and_exact() {
        let mut numbers: Vec<f32> = (0..300).map(|i| 1.0 + i as f32 * 1e-6).collect();
        numbers.push(1e18);
        assert!(check(&numbers, &around(&numbers)));
        assert!(check(&[2.0; 40], &[1.0, 2.0, 3.0]));
        let near = [1.0, 1.0 + f32::EPSILON, 1.0 + 2.0 * f32::EPSILON];
        check(&near, &around(&near));
        check(&[0.0, 1e-45, 3e-45], &[0.0, 1e-45, 3e-45, 1e-44]);
    }
}
