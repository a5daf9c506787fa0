//! Compares every algorithm with its definition on small sets.

use ndarray::{Array2, array};
use proptest::prelude::*;

use super::*;
use crate::Labels;

fn by(clustering: Clustering, vectors: &Array2<f32>, cut: Cut, min_items: usize) -> Groups {
    let options = Options { cut, min_items, ..Options::default() };
    clustering.group(vectors.view(), &options).unwrap()
}

/// A cut that the algorithm takes.
fn some_cut(clustering: Clustering, threshold: f32, clusters: usize) -> Cut {
    match (clustering.takes_threshold(), clustering.takes_clusters()) {
        (true, _) => Cut::Threshold(threshold),
        (false, true) => Cut::Clusters(clusters),
        (false, false) => Cut::None,
    }
}

/// Five blobs of eight items that are far apart, shuffled.
fn blobs() -> (Array2<f32>, Labels) {
    let blob = |row: usize| row * 7 % 40 / 8;
    let vectors = Array2::from_shape_fn((40, 6), |(row, column)| {
        let centre = if column == blob(row) { 20.0 } else { 0.0 };
        centre + ((row * 31 + column * 17) % 23) as f32 / 23.0
    });
    (vectors, Labels::from_iter((0..40).map(blob)))
}

#[test]
fn every_algorithm_finds_what_is_plain_to_see() {
    let (vectors, labels) = blobs();
    for clustering in Clustering::ALL {
        let groups = by(clustering, &vectors, some_cut(clustering, 4.0, 5), 4);
        let judged = groups.judge(&labels).unwrap();
        assert_eq!((judged.clusters, judged.ari), (5, 1.0), "{clustering}");
        if clustering.takes_clusters() {
            let groups = by(clustering, &vectors, Cut::Clusters(5), 4);
            assert_eq!(groups.judge(&labels).unwrap().ari, 1.0, "{clustering}");
        }
    }
}

#[test]
fn names_go_there_and_back() {
    for clustering in Clustering::ALL {
        assert_eq!(clustering.to_string().parse(), Ok(clustering));
    }
    let error = "kmeans".parse::<Clustering>().unwrap_err().to_string();
    assert!(error.starts_with("unknown clustering `kmeans`: expected one of average-linkage, "));
}

#[test]
fn wrong_questions_are_refused() {
    let vectors = array![[0.0_f32], [1.0], [2.0]];
    let error = |clustering: Clustering, options: Options| {
        clustering.group(vectors.view(), &options).unwrap_err().to_string()
    };
    let plain = Options::default();
    assert_eq!(
        error(Clustering::AverageLinkage, plain),
        "cut is no cut for average-linkage: expected a threshold or a number of groups"
    );
    assert_eq!(
        error(Clustering::Dbscan, Options { cut: Cut::Clusters(2), ..plain }),
        "cut is 2 groups for dbscan: expected a threshold"
    );
    assert_eq!(
        error(Clustering::KMeans, Options { cut: Cut::Clusters(4), ..plain }),
        "clusters is 4 of 3 items: expected at least 1 and at most one an item"
    );
    assert_eq!(
        error(Clustering::Ward, Options { cut: Cut::Threshold(f32::NAN), ..plain }),
        "threshold is NaN: expected a finite distance of at least 0"
    );
    let cosine = Options { metric: Distance::Cosine.into(), cut: Cut::Clusters(1), ..plain };
    assert_eq!(
        error(Clustering::Ward, cosine),
        "distance is cosine: expected euclidean, since ward's heights are Euclidean"
    );
    assert_eq!(
        error(Clustering::Hdbscan, Options { min_items: 1, ..plain }),
        "min_items is 1: expected at least 2 items a group"
    );
    let many = Array2::<f32>::zeros((LINKED_ITEMS + 1, 1));
    let cut = Options { cut: Cut::Clusters(2), ..plain };
    assert_eq!(
        Clustering::CompleteLinkage.group(many.view(), &cut).unwrap_err().to_string(),
        "a linkage takes up to 32768 items, got 32769: it holds the distances of all pairs; \
         single-linkage and hdbscan do not"
    );
}

#[test]
fn nothing_and_little_are_grouped_too() {
    for clustering in Clustering::ALL {
        if clustering != Clustering::KMeans {
            let nothing = by(clustering, &Array2::zeros((0, 3)), some_cut(clustering, 1.0, 1), 2);
            assert!(nothing.is_empty(), "{clustering}");
        }
        let one = by(clustering, &array![[1.0_f32]], some_cut(clustering, 1.0, 1), 2);
        assert_eq!(one.len(), 1, "{clustering}");
        let same = by(clustering, &Array2::ones((9, 2)), some_cut(clustering, 0.0, 3), 2);
        let expected = match clustering {
            Clustering::KMeans => 3,
            // This algorithm never returns all items as one group.
            Clustering::Hdbscan => same.clusters(),
            _ => 1,
        };
        assert_eq!(same.clusters(), expected, "{clustering}");
    }
}

#[test]
fn hdbscan_finds_groups_of_different_density() {
    // A dense blob, a blob that is fifty times as wide, and an outlier: no threshold separates all
    // three.
    let mut values: Vec<[f32; 2]> = Vec::new();
    for i in 0..25 {
        let (x, y) = ((i % 5) as f32, (i / 5) as f32);
        values.push([x * 0.02 + 0.001 * y, y * 0.02]);
    }
    for i in 0..25 {
        let (x, y) = ((i % 5) as f32, (i / 5) as f32);
        values.push([20.0 + x + 0.05 * y, y]);
    }
    values.push([500.0, 500.0]);
    let vectors = Array2::from(values);
    let groups = by(Clustering::Hdbscan, &vectors, Cut::None, 5);
    assert_eq!((groups.clusters(), groups.noise()), (2, 1));
    assert_eq!(groups.of_items()[50], None);
}

#[test]
fn a_seed_gives_the_same_groups() {
    let vectors = Array2::from_shape_fn((120, 3), |(row, column)| {
        ((row * 131 + column * 71 + row * row * 13) % 97) as f32 / 13.0
    });
    for clustering in Clustering::ALL {
        let cut = some_cut(clustering, 1.5, 7);
        let options = Options { cut, seed: 4, ..Options::default() };
        let once = clustering.group(vectors.view(), &options).unwrap();
        assert_eq!(clustering.group(vectors.view(), &options).unwrap(), once, "{clustering}");
        if clustering == Clustering::KMeans {
            assert_eq!(once.clusters(), 7);
        }
    }
}

/// Merges the two nearest groups until the smallest distance between groups exceeds the threshold.
fn linked(vectors: &Array2<f32>, clustering: Clustering, threshold: f64) -> Groups {
    let distance = |x: u32, y: u32| {
        let (x, y) = (vectors.row(x as usize), vectors.row(y as usize));
        x.iter().zip(y).map(|(x, y)| f64::from(x - y).powi(2)).sum::<f64>().sqrt()
    };
    let between = |left: &[u32], right: &[u32]| -> f64 {
        let pairs = left.iter().flat_map(|&x| right.iter().map(move |&y| distance(x, y)));
        match clustering {
            Clustering::AverageLinkage => pairs.sum::<f64>() / (left.len() * right.len()) as f64,
            Clustering::CompleteLinkage => pairs.fold(0.0, f64::max),
            _ => pairs.fold(f64::INFINITY, f64::min),
        }
    };
    let mut groups: Vec<Vec<u32>> = (0..vectors.nrows() as u32).map(|item| vec![item]).collect();
    loop {
        let mut nearest: Option<(f64, usize, usize)> = None;
        for right in 1..groups.len() {
            for left in 0..right {
                let apart = between(&groups[left], &groups[right]);
                if nearest.is_none_or(|old| apart < old.0) {
                    nearest = Some((apart, left, right));
                }
            }
        }
        match nearest {
            Some((apart, left, right)) if apart <= threshold => {
                let moved = groups.remove(right);
                groups[left].extend(moved);
            }
            _ => break,
        }
    }
    let mut of_items = vec![None; vectors.nrows()];
    for (group, items) in (0..).zip(&groups) {
        items.iter().for_each(|&item| of_items[item as usize] = Some(group));
    }
    of_items.into_iter().collect()
}

/// Whether the two are the same partition.
fn agree(one: &Groups, other: &Groups) -> bool {
    // Groups are numbered in the order of their first items, so equal partitions are equal.
    one == other
}

prop_compose! {
    /// Points without ties, as far as single precision allows.
    fn scattered()(
        rows in 1_usize..24,
        values in prop::collection::vec(-100.0_f32..100.0, 72),
    ) -> Array2<f32> {
        Array2::from_shape_fn((rows, 3), |(row, column)| values[row * 3 + column])
    }
}

proptest! {
    #[test]
    fn linkages_agree_with_merging_by_hand(vectors in scattered(), threshold in 1.0_f32..200.0) {
        for clustering in
            [Clustering::AverageLinkage, Clustering::CompleteLinkage, Clustering::SingleLinkage]
        {
            let got = by(clustering, &vectors, Cut::Threshold(threshold), 1);
            prop_assert!(agree(&got, &linked(&vectors, clustering, f64::from(threshold))));
        }
    }

    #[test]
    fn dbscan_agrees_with_its_definition(
        vectors in scattered(),
        threshold in 10.0_f32..100.0,
        min_items in 1_usize..5,
    ) {
        let got = by(Clustering::Dbscan, &vectors, Cut::Threshold(threshold), min_items);
        let distances = Metric::default().distances(vectors.view(), vectors.view()).unwrap();
        let items = vectors.nrows();
        let near = |i: usize, j: usize| distances[[i, j]] <= threshold;
        let dense: Vec<bool> =
            (0..items).map(|i| (0..items).filter(|&j| near(i, j)).count() >= min_items).collect();
        for i in 0..items {
            let touches = (0..items).any(|j| dense[j] && near(i, j));
            prop_assert_eq!(got.of_items()[i].is_some(), touches);
            for j in 0..items {
                if dense[i] && dense[j] && near(i, j) {
                    prop_assert_eq!(got.of_items()[i], got.of_items()[j]);
                }
            }
        }
        // Dense items in the same group are connected by dense items.
        let mut lone: Vec<usize> = (0..items).filter(|&i| dense[i]).collect();
        while let Some(&start) = lone.first() {
            let mut reached = vec![start];
            let mut place = 0;
            while place < reached.len() {
                let from = reached[place];
                let next: Vec<usize> =
                    lone.iter().copied().filter(|&j| near(from, j) && !reached.contains(&j)).collect();
                reached.extend(next);
                place += 1;
            }
            lone.retain(|item| !reached.contains(item));
            let outside = lone.iter().any(|&item| got.of_items()[item] == got.of_items()[start]);
            prop_assert!(!outside);
        }
    }

    #[test]
    fn the_order_of_items_does_not_matter(vectors in scattered(), turn in 0_usize..24) {
        let items = vectors.nrows();
        let order: Vec<usize> = (0..items).map(|row| (row + turn) % items).rev().collect();
        let other = vectors.select(ndarray::Axis(0), &order);
        for clustering in Clustering::ALL {
            // Algorithms with random draws then draw other items.
            if matches!(clustering, Clustering::KMeans | Clustering::ChineseWhispers) {
                continue;
            }
            let cut = some_cut(clustering, 60.0, 3);
            let (one, two) = (by(clustering, &vectors, cut, 3), by(clustering, &other, cut, 3));
            let moved: Groups = order.iter().map(|&item| one.of_items()[item]).collect();
            prop_assert!(agree(&moved, &two), "{}", clustering);
        }
    }

    #[test]
    fn k_means_leaves_every_item_with_its_nearest_mean(
        vectors in scattered(),
        clusters in 1_usize..6,
    ) {
        prop_assume!(clusters <= vectors.nrows());
        let groups = by(Clustering::KMeans, &vectors, Cut::Clusters(clusters), 1);
        prop_assert_eq!(groups.clusters(), clusters);
        let means: Vec<Vec<f64>> = groups
            .items_by_group()
            .iter()
            .map(|items| {
                let sum = |column| -> f64 {
                    items.iter().map(|&item| f64::from(vectors[[item as usize, column]])).sum()
                };
                (0..3).map(|column| sum(column) / items.len() as f64).collect()
            })
            .collect();
        let squared = |item: usize, mean: &[f64]| -> f64 {
            (0..3).map(|c| (f64::from(vectors[[item, c]]) - mean[c]).powi(2)).sum()
        };
        for (item, group) in groups.of_items().iter().enumerate() {
            let own = squared(item, &means[group.unwrap() as usize]);
            let least = means.iter().map(|mean| squared(item, mean)).fold(f64::INFINITY, f64::min);
            prop_assert!(own <= least * 1.0001 + 1e-3, "{own} > {least}");
        }
    }
}
