//! The positions of many values among sorted numbers.
//!
//! [`SortedLookup::sort`] sorts numbers, [`SortedLookup::set_thresholds`] chooses the threshold of
//! each number, and [`SortedLookup::find`] returns for each value its position: how many thresholds
//! are ≤ the value. All numbers and values are finite and not negative, as distances are. The
//! results are exact, with ties and with any rounding too.
//!
//! A few numbers fit into registers, where AVX-512 descends a [`search_tree`] with sixteen values
//! at a time. For more numbers, and without AVX-512, a [`bucket_table`] is used.

mod bucket_table;
mod search_tree;
mod small_sort;
mod threshold;

pub(crate) use threshold::Threshold;

use crate::simd::{LANES, values_below};
use bucket_table::BucketTable;
use search_tree::SearchTree;

/// The largest number of values that [`SortedLookup::find`] takes at a time.
pub(crate) const CHUNK: usize = 512;

/// The number of separate counters for each position in callers that count values by position.
/// Neighbouring values often have the same position, and additions to one counter would wait for
/// each other.
pub(crate) const WAYS: usize = 4;

/// The largest number of numbers that are sorted by comparisons and searched by a tree. Measured by
/// `examples/crossover.rs` on Zen 5, batch-all with a hinge, in ns per negative: 128 positives take
/// 1.9 by a tree and 2.6 by a bucket table. With 409 positives a tree of nine levels takes 7 %
/// longer than a table.
const SEARCHED_BY_TREE: usize = 255;

/// Up to this many numbers (a tree of seven levels), searching all values costs less than first
/// selecting those that need a search. Measured on 1024 rows of 922 values, half of which need no
/// search: a tree of 7 levels takes 299 µs without and 343 µs with selection; on 4096 rows of 3686
/// values, a tree of 9 levels takes 22 ms without and 10 ms with it.
const SEARCHED_WITHOUT_SELECTION: usize = 127;

/// When pairs are counted and the numbers are in a table, this many of the largest numbers, as many
/// as two registers hold, have a tree of their own: most values are below the thresholds of none
/// but these.
const LARGEST_NUMBERS: usize = search_tree::SMALLEST;

/// Sorted numbers with their thresholds. Its buffers are reused from one set of numbers to the
/// next.
#[derive(Debug, Default)]
pub(crate) struct SortedLookup {
    given: Vec<f32>,
    sorted: Vec<f32>,
    ranks: Vec<u32>,
    table: BucketTable,
    tree: SearchTree,
    threshold: Threshold,
    by_tree: bool,
}

impl SortedLookup {
    /// Sorts the numbers of both slices (finite and not negative).
    pub(crate) fn sort(&mut self, numbers: [&[f32]; 2]) {
        self.given.clear();
        numbers.iter().for_each(|numbers| self.given.extend_from_slice(numbers));
        if self.given.len() <= SEARCHED_BY_TREE && search_tree::is_fast() {
            small_sort::sort(&mut self.given, &mut self.sorted, &mut self.ranks);
        } else {
            self.table.sort(&self.given, &mut self.sorted, &mut self.ranks);
        }
    }

    /// The numbers in rising order.
    pub(crate) fn sorted(&self) -> &[f32] {
        &self.sorted
    }

    /// The rank of each number, in the order given: how many numbers are smaller. Equal numbers
    /// have either the same rank, or ranks in their order.
    pub(crate) fn ranks(&self) -> &[u32] {
        &self.ranks
    }

    /// Sets the thresholds that values are compared with, until the next call.
    pub(crate) fn set_thresholds(&mut self, threshold: Threshold) {
        let count = self.sorted.len();
        self.by_tree = search_tree::is_fast() && count <= SEARCHED_BY_TREE;
        if !self.by_tree {
            let useless = self.table.set_thresholds(&self.sorted, threshold);
            self.by_tree = useless && search_tree::is_fast() && count <= search_tree::LARGEST;
        }
        if self.by_tree {
            self.tree.set(&self.sorted, threshold);
        }
        self.threshold = threshold;
    }

    /// For each of up to [`CHUNK`] values, how many thresholds are ≤ it: its position.
    pub(crate) fn find(&mut self, values: &[f32], positions: &mut [u32]) {
        if self.by_tree {
            self.tree.find(values, positions);
        } else {
            self.table.find(&self.sorted, values, positions);
        }
    }

    /// The number of pairs of a number and a value below the threshold of the number.
    pub(crate) fn count_pairs_below(&mut self, values: [&[f32]; 2]) -> u64 {
        let count = self.sorted.len();
        // Most values are below the thresholds of none but the largest numbers. A small tree for
        // these leaves few values for the table of the other numbers.
        let last = if self.by_tree || !search_tree::is_fast() { 0 } else { LARGEST_NUMBERS };
        let others = count - last;
        if last > 0 {
            self.tree.set(&self.sorted[others..], self.threshold);
        }
        // Values from this limit on are below no threshold of the other numbers.
        let farthest = self.sorted.get(others).or(self.sorted.last());
        let limit = farthest.map_or(0.0, |&number| self.threshold.of(number));
        let mut below = [0.0; CHUNK + LANES];
        let mut pairs = 0;
        for mut values in values.into_iter().flat_map(|values| values.chunks(CHUNK)) {
            if last > 0 {
                pairs += (last * values.len()) as u64 - self.tree.total(values);
            }
            if count > SEARCHED_WITHOUT_SELECTION {
                let selected = values_below(values, limit, &mut below);
                values = &below[..selected];
            }
            pairs += (others * values.len()) as u64 - self.total(values);
        }
        pairs
    }

    /// Σ of the positions of up to [`CHUNK`] values.
    fn total(&mut self, values: &[f32]) -> u64 {
        if self.by_tree {
            return self.tree.total(values);
        }
        let mut positions = [0; CHUNK];
        self.find(values, &mut positions);
        positions[..values.len()].iter().map(|&position| u64::from(position)).sum()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::simd::levels;

    fn check(numbers: &[f32], values: &[f32], threshold: Threshold) {
        let mut sorted = numbers.to_vec();
        sorted.sort_by(f32::total_cmp);
        let position = |value: &f32| {
            numbers.iter().filter(|&&number| threshold.of(number) <= *value).count() as u32
        };
        let expected: Vec<u32> = values.iter().map(position).collect();
        for (level, found) in levels::on_each(|| {
            let mut lookup = SortedLookup::default();
            // Nothing of an earlier set of numbers may have an effect.
            lookup.sort([&[7.5, 3.0, 1.0], &[7.5; 600]]);
            lookup.set_thresholds(Threshold::Plus(3.0));
            let (before, after) = numbers.split_at(numbers.len() / 3);
            lookup.sort([before, after]);
            assert_eq!(lookup.sorted(), sorted);
            for (&rank, number) in lookup.ranks().iter().zip(numbers) {
                let equal = sorted.partition_point(|other| other < number)
                    ..=sorted.partition_point(|other| other <= number);
                assert!(equal.contains(&(rank as usize)));
            }
            lookup.set_thresholds(threshold);
            let mut found = vec![0; values.len()];
            for (values, found) in values.chunks(CHUNK).zip(found.chunks_mut(CHUNK)) {
                lookup.find(values, found);
            }
            let sum = found.iter().map(|&position| u64::from(position)).sum::<u64>();
            let all = (values.len() * numbers.len()) as u64;
            assert_eq!(
                lookup.count_pairs_below(values.split_at(values.len() / 2).into()),
                all - sum
            );
            found
        }) {
            assert_eq!(found, expected, "{level:?}, {threshold:?}: {values:?} among {numbers:?}");
        }
    }

    #[test]
    fn extremes_have_a_position() {
        let itself = Threshold::Itself;
        check(&[], &[1.0], itself);
        check(&[2.0], &[1.0, 2.0, 3.0], itself);
        check(&[2.0; 50], &[1.0, 2.0, 3.0], itself);
        check(&[2.0; 700], &[1.0, 2.0, 3.0], Threshold::Plus(1.0));
        check(&[0.0, 1e-45, 1.0, 1e38], &[0.0, 1e-45, 3e-45, 0.5, 1.0, 9e37, 1e38, 2e38], itself);
    }

    #[test]
    fn any_number_of_numbers_is_exact() {
        for count in [0, 1, 2, 3, 7, 8, 31, 32, 63, 64, 127, 128, 255, 256, 511, 512, 1500] {
            let numbers: Vec<f32> = (0..count).map(|i| ((i * 37) % 1009) as f32).collect();
            let values: Vec<f32> = (0..2030).map(|i| i as f32 / 2.0).collect();
            check(&numbers, &values, Threshold::Itself);
            check(&numbers, &values, Threshold::Plus(0.5));
        }
    }

    proptest! {
        #[test]
        fn positions_are_exact(
            numbers in prop::collection::vec(0.0_f32..2.0, 0..700),
            values in prop::collection::vec(0.0_f32..2.5, 0..300),
            steps in prop::sample::select(vec![4.0_f32, 1e3, 1e9]),
            outlier in prop::sample::select(vec![1.0_f32, 1e6]),
            // With a negative margin some thresholds are below 0, and no value is.
            margin in prop::sample::select(vec![None, Some(0.2_f32), Some(0.0), Some(-0.5), Some(1e3)]),
        ) {
            // Coarse steps make ties, and an outlier puts all other numbers into one bucket.
            let coarse = |x: &f32| (x * steps).round() / steps;
            let mut numbers: Vec<f32> = numbers.iter().map(coarse).collect();
            numbers.push(outlier);
            let threshold = margin.map_or(Threshold::Itself, Threshold::Plus);
            let mut values: Vec<f32> = values.iter().map(coarse).collect();
            values.extend(numbers.iter().map(|&number| threshold.of(number)).filter(|&d| d >= 0.0));
            check(&numbers, &values, threshold);
        }
    }
}
