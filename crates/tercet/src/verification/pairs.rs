//! The pairs of items that are compared, and their distances.

use std::collections::HashSet;

use ndarray::ArrayView2;
use rand::rngs::ChaCha8Rng;
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use rayon::prelude::*;
use serde::Serialize;

use super::Pair;
use crate::distance::Points;
use crate::{Error, Labels, Metric};

/// The number of folds of [`balanced_pairs`] if there are enough classes, as in LFW.
const FOLDS: usize = 10;

/// Two items to be compared, by their rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct RowPair {
    /// The row of one item.
    pub left: u32,
    /// The row of the other item.
    pub right: u32,
    /// Whether they are of the same class.
    pub same: bool,
    /// The fold in which this pair is tested. Folds can have any numbers.
    pub fold: u32,
}

/// The distances of listed pairs, from differences: exact up to rounding, however close the two
/// items are.
///
/// # Shapes
/// - embeddings: N×D; result: a pair for each of `pairs`
///
/// # Errors
/// Vectors that are not finite, too long, or without dimensions; a row not below N.
pub fn measured_pairs(
    embeddings: ArrayView2<f32>,
    pairs: &[RowPair],
    metric: Metric,
) -> Result<Vec<Pair>, Error> {
    let points = Points::new(embeddings, metric)?;
    let count = points.len();
    let outside = |pair: &&RowPair| pair.left.max(pair.right) as usize >= count;
    if let Some(pair) = pairs.iter().find(outside) {
        return Err(Error::parameter(
            "row",
            format!("{} of {count} vectors", pair.left.max(pair.right)),
            "a row below the number of vectors",
        ));
    }
    let measure = |pair: &RowPair| Pair {
        distance: points.pair_distance(pair.left as usize, pair.right as usize),
        same: pair.same,
        fold: pair.fold,
    };
    Ok(pairs.par_iter().map(measure).collect())
}

/// Pairs in folds that share no class, as in LFW, with as many different pairs as same ones.
///
/// The classes are shuffled and divided into min(10, C/2) folds (at least one) of two or more
/// classes each. The same pairs of a fold are all there are, or `limit_per_fold` of them; its
/// different pairs are as many, both of that fold's classes, or fewer if there are fewer. Both
/// kinds are drawn uniformly without replacement from a ChaCha8 stream with the seed `seed`. A fold
/// whose classes all have one item remains empty. Distances are computed from differences, for
/// these pairs only. [`balanced_rows`] returns the pairs without distances.
///
/// # Shapes
/// - embeddings: N×D; labels: N
///
/// # Errors
/// A number of labels that differs from that of rows; vectors that are not finite, too long, or
/// without dimensions; `limit_per_fold` = 0; fewer than two classes, or no class with two items.
pub fn balanced_pairs(
    embeddings: ArrayView2<f32>,
    labels: &Labels,
    metric: Metric,
    limit_per_fold: usize,
    seed: u64,
) -> Result<Vec<Pair>, Error> {
    let (rows, label_count) = (embeddings.nrows(), labels.len());
    if rows != label_count {
        return Err(Error::LabelCount { rows, labels: label_count });
    }
    measured_pairs(embeddings, &balanced_rows(labels, limit_per_fold, seed)?, metric)
}

/// The pairs of [`balanced_pairs`], without their distances.
///
/// # Errors
/// `limit_per_fold` = 0; fewer than two classes, or no class with two items.
pub fn balanced_rows(
    labels: &Labels,
    limit_per_fold: usize,
    seed: u64,
) -> Result<Vec<RowPair>, Error> {
    if limit_per_fold == 0 {
        return Err(Error::parameter("limit_per_fold", limit_per_fold.to_string(), "at least 1"));
    }
    let mut classes = labels.items_by_class();
    let largest = classes.iter().map(Vec::len).max().unwrap_or(0);
    if classes.len() < 2 || largest < 2 {
        return Err(Error::NotEnough {
            what: "verification",
            expected: "two classes, one of them with two items".to_owned(),
            got: format!("{} classes of at most {largest} items", classes.len()),
        });
    }
    let mut stream = ChaCha8Rng::seed_from_u64(seed);
    classes.shuffle(&mut stream);
    let folds = FOLDS.min(classes.len() / 2);
    let mut listed = Vec::new();
    for fold in 0..folds {
        let pairable = Pairable::new(classes.iter().skip(fold).step_by(folds));
        let same = draw(pairable.same_count(), limit_per_fold as u64, &mut stream);
        let different = draw(pairable.different_count(), same.len() as u64, &mut stream);
        let pair = |(left, right), same| RowPair { left, right, same, fold: fold as u32 };
        listed.extend(same.into_iter().map(|n| pair(pairable.same(n), true)));
        listed.extend(different.into_iter().map(|n| pair(pairable.different(n), false)));
    }
    Ok(listed)
}

/// The pairs of a fold, numbered without a list of them.
struct Pairable<'a> {
    /// All items, class after class.
    items: Vec<u32>,
    classes: Vec<&'a [u32]>,
    /// Where each class starts among the items; one more entry for the end.
    starts: Vec<u64>,
    /// The number of same pairs in the classes before; one more entry for the total.
    same_before: Vec<u64>,
    /// The number of pairs of an item of the classes before with one of a later class than its own.
    different_before: Vec<u64>,
}

impl<'a> Pairable<'a> {
    fn new(classes: impl Iterator<Item = &'a Vec<u32>>) -> Self {
        let classes: Vec<&[u32]> = classes.map(Vec::as_slice).collect();
        let items = classes.concat();
        let (mut start, mut same, mut different) = (0, 0, 0);
        let (mut starts, mut same_before, mut different_before) = (vec![0], vec![0], vec![0]);
        for class in &classes {
            let size = class.len() as u64;
            start += size;
            same += size * size.saturating_sub(1) / 2;
            different += size * (items.len() as u64 - start);
            starts.push(start);
            same_before.push(same);
            different_before.push(different);
        }
        Self { items, classes, starts, same_before, different_before }
    }

    fn same_count(&self) -> u64 {
        self.same_before[self.classes.len()]
    }

    fn different_count(&self) -> u64 {
        self.different_before[self.classes.len()]
    }

    /// The `n`-th pair of one class. Within a class, pair (i, j) with i < j is number j(j−1)/2 + i.
    fn same(&self, n: u64) -> (u32, u32) {
        let class = self.same_before.partition_point(|&before| before <= n) - 1;
        let n = n - self.same_before[class];
        // j = ⌊(1 + √(8n + 1)) / 2⌋
        let j = (8 * n + 1).isqrt().div_ceil(2);
        let i = n - j * (j - 1) / 2;
        (self.classes[class][i as usize], self.classes[class][j as usize])
    }

    /// The `n`-th pair of an item with one of a later class.
    fn different(&self, n: u64) -> (u32, u32) {
        let class = self.different_before.partition_point(|&before| before <= n) - 1;
        let n = n - self.different_before[class];
        let end = self.starts[class + 1];
        let later = self.items.len() as u64 - end;
        let left = self.classes[class][(n / later) as usize];
        (left, self.items[(end + n % later) as usize])
    }
}

/// min(amount, count) different numbers below `count`, in increasing order, where every set is
/// equally likely (Floyd's algorithm, which needs memory only for the sample).
fn draw(count: u64, amount: u64, stream: &mut ChaCha8Rng) -> Vec<u64> {
    if amount >= count {
        return (0..count).collect();
    }
    let mut taken = HashSet::new();
    for last in count - amount..count {
        let number = stream.random_range(0..=last);
        if !taken.insert(number) {
            taken.insert(last);
        }
    }
    let mut drawn: Vec<u64> = taken.into_iter().collect();
    drawn.sort_unstable();
    drawn
}

#[cfg(test)]
mod tests {
    use ndarray::{Array2, array};

    use super::*;
    use crate::Verification;

    /// One-dimensional points whose position identifies them, and their labels.
    fn crowd(sizes: &[usize]) -> (Array2<f32>, Labels) {
        let count: usize = sizes.iter().sum();
        let classes = sizes.iter().enumerate().flat_map(|(c, &size)| vec![c; size]);
        // Powers of two, so that a distance identifies its pair.
        let positions = Array2::from_shape_fn((count, 1), |(i, _)| (i as f32).exp2());
        (positions, classes.collect())
    }

    #[test]
    fn all_same_pairs_are_listed_once_and_matched() {
        let (points, labels) = crowd(&[3, 4, 2, 1]);
        let found =
            balanced_pairs(points.view(), &labels, Metric::default(), usize::MAX, 3).unwrap();
        assert_eq!(found.iter().filter(|pair| pair.same).count(), 3 + 6 + 1);
        let mut distances: Vec<u32> = found.iter().map(|pair| pair.distance.to_bits()).collect();
        distances.sort_unstable();
        distances.dedup();
        assert_eq!(distances.len(), found.len(), "no pair twice");
        for fold in 0..2 {
            let of = |same| found.iter().filter(|p| p.fold == fold && p.same == same).count();
            assert!(of(false) <= of(true) && of(false) > 0);
        }
        assert!(Verification::judge(&found).is_ok());
    }

    #[test]
    fn every_pair_has_its_number() {
        let classes = [vec![0, 1, 2], vec![3], vec![4, 5]];
        let pairable = Pairable::new(classes.iter());
        let same: Vec<_> = (0..pairable.same_count()).map(|n| pairable.same(n)).collect();
        assert_eq!(same, [(0, 1), (0, 2), (1, 2), (4, 5)]);
        let different: Vec<_> =
            (0..pairable.different_count()).map(|n| pairable.different(n)).collect();
        let expected: Vec<(u32, u32)> = (0..4)
            .flat_map(|i| (3..6).map(move |j| (i, j)))
            .filter(|&(i, j)| i < 3 || j > 3)
            .collect();
        assert_eq!(different, expected);
    }

    #[test]
    fn limits_and_seeds_are_kept() {
        let sizes = [5; 24];
        let points = Array2::from_shape_fn((120, 2), |(i, j)| ((i * 7 + j * 13) % 31) as f32);
        let (_, labels) = crowd(&sizes);
        let drawn = |limit, seed| {
            balanced_pairs(points.view(), &labels, Metric::default(), limit, seed).unwrap()
        };
        let some = drawn(6, 1);
        assert_eq!(some.len(), 10 * 2 * 6);
        assert_eq!(some, drawn(6, 1));
        assert_ne!(some, drawn(6, 2));
        assert_eq!(drawn(usize::MAX, 1).iter().filter(|pair| pair.same).count(), 24 * 10);
    }

    #[test]
    fn distances_are_those_of_the_metric() {
        let points = array![[1.0_f32, 0.0], [0.0, 2.0], [0.0, 0.0]];
        let labels = Labels::from_iter([0, 0, 1]);
        let metric = Metric::from(crate::Distance::Cosine);
        let found = balanced_pairs(points.view(), &labels, metric, 10, 0).unwrap();
        assert_eq!(found.len(), 2);
        assert!(found.iter().all(|pair| (pair.distance - 1.0).abs() < 1e-6));
    }

    #[test]
    fn too_little_to_pair_is_an_error() {
        let refused = |sizes: &[usize], limit| {
            let (points, labels) = crowd(sizes);
            balanced_pairs(points.view(), &labels, Metric::default(), limit, 0).unwrap_err()
        };
        assert!(matches!(refused(&[3], 9), Error::NotEnough { .. }));
        assert!(matches!(refused(&[1, 1, 1], 9), Error::NotEnough { .. }));
        assert!(matches!(refused(&[2, 2], 0), Error::Parameter(_)));
    }

    #[test]
    fn draws_are_uniform_sets() {
        let mut stream = ChaCha8Rng::seed_from_u64(0);
        let mut counts = [0; 6];
        for _ in 0..3_000 {
            let drawn = draw(6, 2, &mut stream);
            assert!(drawn.len() == 2 && drawn[0] < drawn[1] && drawn[1] < 6);
            drawn.iter().for_each(|&number| counts[number as usize] += 1);
        }
        assert!(counts.iter().all(|&count| (850..1_150).contains(&count)), "{counts:?}");
        assert_eq!(draw(3, 9, &mut stream), [0, 1, 2]);
    }

    #[test]
    fn listed_pairs_are_measured() {
        let points = array![[0.0_f32], [3.0], [7.0]];
        let pair = |left, right| RowPair { left, right, same: true, fold: 4 };
        let found = measured_pairs(points.view(), &[pair(0, 2), pair(1, 1)], Metric::default());
        let distances: Vec<f32> = found.unwrap().iter().map(|pair| pair.distance).collect();
        assert_eq!(distances, [7.0, 0.0]);
        let error = measured_pairs(points.view(), &[pair(3, 1)], Metric::default()).unwrap_err();
        assert_eq!(
            error.to_string(),
            "row is 3 of 3 vectors: expected a row below the number of vectors"
        );
    }
}
