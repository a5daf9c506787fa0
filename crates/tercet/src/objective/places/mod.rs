//! Where numbers lie among sorted thresholds.
//!
//! Up to [`tree::MOST`] thresholds fit into registers, where AVX-512 descends a search [`tree`] with
//! sixteen numbers at a time. A [`table`] of cells is looked into faster, but takes longer to set up:
//! it is for the case that all places are asked for, for more thresholds, and for other machines.

mod bins;
mod rising;
mod sift;
mod table;
mod tree;

pub(super) use rising::Rising;

use crate::simd::LANES;
use sift::sift;
use table::Table;
use tree::Tree;

/// Numbers that are placed at a time.
pub(super) const CHUNK: usize = 256;

/// The most thresholds that a tree of seven levels holds. Measured on Zen 5 for 4096 rows of 3686
/// numbers among 409 thresholds, µs a row: to place all of them 5.9 by the tree, 3.8 by the table; to
/// add up the places of those below the last threshold 3.0 and 4.2. Without the others a tree of nine
/// levels takes half the time, one of seven longer.
const FEW: usize = 127;

/// Thresholds in rising order, made ready for numbers to be placed among them. Its buffers serve
/// one row after the other.
#[derive(Debug, Default)]
pub(super) struct Places {
    by_tree: bool,
    tree: Tree,
    table: Table,
}

impl Places {
    /// Takes thresholds in rising order, none of them NaN.
    pub(super) fn set(&mut self, rising: impl ExactSizeIterator<Item = f32>) {
        let count = rising.len();
        self.by_tree = count <= FEW && tree::is_fast();
        if self.by_tree {
            return self.tree.set(rising);
        }
        self.table.set(rising);
        self.by_tree = count <= tree::MOST && tree::is_fast() && self.table.is_crowded();
        if self.by_tree {
            self.tree.set(self.table.sorted().iter().copied());
        }
    }

    /// How many of the thresholds are ≤ each value, none of which is NaN or below 0: they are
    /// distances.
    pub(super) fn find(&self, values: &[f32], places: &mut [u32]) {
        if self.by_tree {
            self.tree.find(values, places);
        } else {
            self.table.find(values, places);
        }
    }

    /// Σ over such values of how many of these thresholds are ≤ them.
    pub(super) fn total(
        &mut self,
        rising: impl ExactSizeIterator<Item = f32> + DoubleEndedIterator + Clone,
        values: [&[f32]; 2],
    ) -> u64 {
        let (count, last) = (rising.len(), rising.clone().next_back());
        self.by_tree = count <= tree::MOST && tree::is_fast();
        if self.by_tree {
            self.tree.set(rising);
        } else {
            self.table.set(rising);
        }
        if count <= FEW {
            return values.map(|values| self.total_of(values)).iter().sum();
        }
        // Those from the last threshold on need no search.
        let mut kept = [0.0; CHUNK + LANES];
        let mut total = 0;
        for values in values.into_iter().flat_map(|values| values.chunks(CHUNK)) {
            let below = sift(values, last.unwrap_or_default(), &mut kept);
            total += (values.len() - below) as u64 * count as u64 + self.total_of(&kept[..below]);
        }
        total
    }

    fn total_of(&self, values: &[f32]) -> u64 {
        if self.by_tree {
            return self.tree.total(values);
        }
        let mut places = [0; CHUNK];
        let mut total = 0;
        for values in values.chunks(CHUNK) {
            self.table.find(values, &mut places);
            total += places[..values.len()].iter().map(|&place| u64::from(place)).sum::<u64>();
        }
        total
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::simd::levels;

    fn check(thresholds: &[f32], values: &[f32]) {
        let mut sorted = thresholds.to_vec();
        sorted.sort_by(f32::total_cmp);
        let expected: Vec<u32> = values
            .iter()
            .map(|value| thresholds.iter().filter(|&t| t <= value).count() as u32)
            .collect();
        for (level, found) in levels::on_each(|| {
            let mut rising = Rising::default();
            // What served another row must not leak into the next.
            rising.sort([&[7.5, 3.0, 1.0], &[7.5]]);
            rising.sort([thresholds, &[]]);
            assert_eq!(rising.sorted, sorted);
            let mut places = Places::default();
            places.set([0.0; 600].into_iter());
            places.set([0.5, 1.0].into_iter());
            places.set(rising.sorted.iter().copied());
            let mut found = vec![0; values.len()];
            for (values, found) in values.chunks(CHUNK).zip(found.chunks_mut(CHUNK)) {
                places.find(values, found);
            }
            let sum = found.iter().map(|&place| u64::from(place)).sum::<u64>();
            let halves = values.split_at(values.len() / 2);
            assert_eq!(places.total(rising.sorted.iter().copied(), halves.into()), sum);
            found
        }) {
            assert_eq!(found, expected, "{level:?}: {values:?} among {thresholds:?}");
        }
    }

    #[test]
    fn extremes_have_a_place() {
        check(&[], &[1.0]);
        check(&[2.0], &[1.0, 2.0, 3.0]);
        check(&[2.0; 50], &[1.0, 2.0, 3.0]);
        check(&[2.0; 700], &[1.0, 2.0, 3.0]);
        check(&[0.0, 1e-45, 1.0, 1e38], &[0.0, 1e-45, 3e-45, 0.5, 1.0, 9e37, 1e38, f32::MAX]);
    }

    #[test]
    fn trees_of_every_height_and_tables_are_exact() {
        for count in [0, 1, 2, 3, 7, 8, 31, 32, 63, 64, 127, 128, 255, 256, 511, 512, 1500] {
            let thresholds: Vec<f32> = (0..count).map(|i| ((i * 37) % 1009) as f32).collect();
            let values: Vec<f32> = (0..2030).map(|i| i as f32 / 2.0).collect();
            check(&thresholds, &values);
        }
    }

    proptest! {
        #[test]
        fn places_are_exact(
            // A margin may take a threshold below 0; a distance never is.
            thresholds in prop::collection::vec(-0.5_f32..2.0, 0..700),
            values in prop::collection::vec(0.0_f32..2.5, 0..300),
            steps in prop::sample::select(vec![4.0_f32, 1e3, 1e9]),
            outlier in prop::sample::select(vec![1.0_f32, 1e6]),
        ) {
            // Coarse steps make ties, an outlier crowds all others into one bin.
            let coarse = |x: &f32| (x * steps).round() / steps;
            let mut thresholds: Vec<f32> = thresholds.iter().map(coarse).collect();
            thresholds.push(outlier);
            let mut values: Vec<f32> = values.iter().map(coarse).collect();
            values.extend(thresholds.iter().filter(|&&threshold| threshold >= 0.0));
            check(&thresholds, &values);
        }
    }
}
