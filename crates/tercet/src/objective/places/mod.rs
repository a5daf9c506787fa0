//! An anchor's positives in rising order, and where other distances lie among them.
//!
//! A few fit into registers, where AVX-512 descends a search [`tree`] with sixteen numbers at a time.
//! More of them, and other machines, use a table of [`cells`].

mod cells;
mod few;
mod reach;
mod sift;
mod tree;

pub(super) use reach::Reach;

use crate::simd::LANES;
use cells::Cells;
use sift::sift;
use tree::Tree;

/// Numbers that are placed at a time.
pub(super) const CHUNK: usize = 512;

/// The most positives that are sorted by comparisons and searched by a tree. Measured by
/// `examples/crossover.rs` on Zen 5, batch-all with a hinge in ns a negative: 128 positives 1.9 by a tree,
/// 2.6 by cells. Of 4096 rows in ten classes, with 409 positives, a tree of nine levels takes 7 % longer.
const FEW: usize = 255;

/// Up to so many positives, a tree of seven levels, to search costs less than to sift those values who
/// need it. Measured likewise, µs for 1024 rows of 922 values, about half of which need none: 7 levels
/// 299 searched, 343 sifted; for 4096 rows of 3686, 9 levels 22 000 and 10 400.
const SHALLOW: usize = 127;

/// The last numbers that settle what they reach by a tree of their own, where the others use a table:
/// as many as its two registers hold. Batch-all with a hinge, 4096 in ten classes, takes 2 % less time.
const LAST: usize = tree::LEAST;

/// Distances in rising order. Its buffers serve one row after the other.
#[derive(Debug, Default)]
pub(super) struct Places {
    given: Vec<f32>,
    sorted: Vec<f32>,
    ranks: Vec<u32>,
    cells: Cells,
    tree: Tree,
    reach: Reach,
    by_tree: bool,
}

impl Places {
    /// Sorts the numbers of both slices (finite and not negative).
    pub(super) fn sort(&mut self, numbers: [&[f32]; 2]) {
        self.given.clear();
        numbers.iter().for_each(|numbers| self.given.extend_from_slice(numbers));
        if self.given.len() <= FEW && tree::is_fast() {
            few::sort(&mut self.given, &mut self.sorted, &mut self.ranks);
        } else {
            self.cells.sort(&self.given, &mut self.sorted, &mut self.ranks);
        }
    }

    /// The numbers in rising order.
    pub(super) fn sorted(&self) -> &[f32] {
        &self.sorted
    }

    /// For each number in the order given, how many are smaller; equal ones may also be counted in
    /// their order.
    pub(super) fn ranks(&self) -> &[u32] {
        &self.ranks
    }

    /// From now on values are placed among what the numbers reach.
    pub(super) fn aim(&mut self, reach: Reach) {
        let count = self.sorted.len();
        self.by_tree = tree::is_fast() && count <= FEW;
        if !self.by_tree {
            let blind = self.cells.aim(&self.sorted, reach);
            self.by_tree = blind && tree::is_fast() && count <= tree::MOST;
        }
        if self.by_tree {
            self.tree.set(&self.sorted, reach);
        }
        self.reach = reach;
    }

    /// How many of the numbers do not reach beyond each value, none of which is NaN or below 0: they
    /// are distances.
    pub(super) fn find(&mut self, values: &[f32], places: &mut [u32]) {
        if self.by_tree {
            self.tree.find(values, places);
        } else {
            self.cells.find(&self.sorted, values, places);
        }
    }

    /// The number of pairs of one of the numbers and a value that it reaches beyond.
    pub(super) fn reached(&mut self, values: [&[f32]; 2]) -> u64 {
        let count = self.sorted.len();
        // Many values are reached by none but the last numbers, if at all: a small tree of these
        // leaves few to the table of the others.
        let last = if self.by_tree || !tree::is_fast() { 0 } else { LAST };
        let others = count - last;
        if last > 0 {
            self.tree.set(&self.sorted[others..], self.reach);
        }
        // What the first of these does not reach, or without them the last of all, is settled.
        let farthest = self.sorted.get(others).or(self.sorted.last());
        let limit = farthest.map_or(0.0, |&number| self.reach.of(number));
        let mut kept = [0.0; CHUNK + LANES];
        let mut reached = 0;
        for mut values in values.into_iter().flat_map(|values| values.chunks(CHUNK)) {
            if last > 0 {
                reached += (last * values.len()) as u64 - self.tree.total(values);
            }
            if count > SHALLOW {
                let below = sift(values, limit, &mut kept);
                values = &kept[..below];
            }
            reached += (others * values.len()) as u64 - self.total(values);
        }
        reached
    }

    /// Σ over up to [`CHUNK`] values of their places.
    fn total(&mut self, values: &[f32]) -> u64 {
        if self.by_tree {
            return self.tree.total(values);
        }
        let mut places = [0; CHUNK];
        self.find(values, &mut places);
        // At most 2^32 numbers times 2^9 values.
        places[..values.len()].iter().map(|&place| u64::from(place)).sum()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::simd::levels;

    fn check(numbers: &[f32], values: &[f32], reach: Reach) {
        let mut sorted = numbers.to_vec();
        sorted.sort_by(f32::total_cmp);
        let place = |value: &f32| {
            numbers.iter().filter(|&&number| reach.of(number) <= *value).count() as u32
        };
        let expected: Vec<u32> = values.iter().map(place).collect();
        for (level, found) in levels::on_each(|| {
            let mut places = Places::default();
            // What served another row must not leak into the next.
            places.sort([&[7.5, 3.0, 1.0], &[7.5; 600]]);
            places.aim(Reach::By(3.0));
            let (before, after) = numbers.split_at(numbers.len() / 3);
            places.sort([before, after]);
            assert_eq!(places.sorted(), sorted);
            for (&rank, number) in places.ranks().iter().zip(numbers) {
                let equal = sorted.partition_point(|other| other < number)
                    ..=sorted.partition_point(|other| other <= number);
                assert!(equal.contains(&(rank as usize)));
            }
            places.aim(reach);
            let mut found = vec![0; values.len()];
            for (values, found) in values.chunks(CHUNK).zip(found.chunks_mut(CHUNK)) {
                places.find(values, found);
            }
            let sum = found.iter().map(|&place| u64::from(place)).sum::<u64>();
            let all = (values.len() * numbers.len()) as u64;
            assert_eq!(places.reached(values.split_at(values.len() / 2).into()), all - sum);
            found
        }) {
            assert_eq!(found, expected, "{level:?}, {reach:?}: {values:?} among {numbers:?}");
        }
    }

    #[test]
    fn extremes_have_a_place() {
        let itself = Reach::Itself;
        check(&[], &[1.0], itself);
        check(&[2.0], &[1.0, 2.0, 3.0], itself);
        check(&[2.0; 50], &[1.0, 2.0, 3.0], itself);
        check(&[2.0; 700], &[1.0, 2.0, 3.0], Reach::By(1.0));
        check(&[0.0, 1e-45, 1.0, 1e38], &[0.0, 1e-45, 3e-45, 0.5, 1.0, 9e37, 1e38, 2e38], itself);
    }

    #[test]
    fn any_number_of_numbers_is_exact() {
        for count in [0, 1, 2, 3, 7, 8, 31, 32, 63, 64, 127, 128, 255, 256, 511, 512, 1500] {
            let numbers: Vec<f32> = (0..count).map(|i| ((i * 37) % 1009) as f32).collect();
            let values: Vec<f32> = (0..2030).map(|i| i as f32 / 2.0).collect();
            check(&numbers, &values, Reach::Itself);
            check(&numbers, &values, Reach::By(0.5));
        }
    }

    proptest! {
        #[test]
        fn places_are_exact(
            numbers in prop::collection::vec(0.0_f32..2.0, 0..700),
            values in prop::collection::vec(0.0_f32..2.5, 0..300),
            steps in prop::sample::select(vec![4.0_f32, 1e3, 1e9]),
            outlier in prop::sample::select(vec![1.0_f32, 1e6]),
            // A negative margin takes what is reached below 0; a distance never is.
            margin in prop::sample::select(vec![None, Some(0.2_f32), Some(0.0), Some(-0.5), Some(1e3)]),
        ) {
            // Coarse steps make ties, an outlier crowds all others into one cell.
            let coarse = |x: &f32| (x * steps).round() / steps;
            let mut numbers: Vec<f32> = numbers.iter().map(coarse).collect();
            numbers.push(outlier);
            let reach = margin.map_or(Reach::Itself, Reach::By);
            let mut values: Vec<f32> = values.iter().map(coarse).collect();
            values.extend(numbers.iter().map(|&number| reach.of(number)).filter(|&d| d >= 0.0));
            check(&numbers, &values, reach);
        }
    }
}
