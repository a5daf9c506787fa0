//! Triplets that selections list, and triplets that are given.

use std::collections::{BTreeMap, BTreeSet};

use rand::SeedableRng;
use rand::rngs::ChaCha8Rng;

use super::super::choose::random;
use super::super::reference;
use super::*;
use crate::Error;

pub(super) fn names(triplets: &[Triplet]) -> Vec<[usize; 3]> {
    let name = |t: &Triplet| [t.anchor as usize, t.positive as usize, t.negative as usize];
    triplets.iter().map(name).collect()
}

#[test]
fn selected_triplets_are_those_of_the_reference_and_of_evaluate() {
    let vectors = random(11, 14, 5);
    let labels = Labels::from_iter(CLASSES);
    for loss in every_loss() {
        let margin = loss.penalty.margin();
        let triplets =
            loss.selection.triplets(vectors.view(), &labels, loss.metric, margin).unwrap();
        let expected = reference::select(&loss, &rows(&vectors), &CLASSES, 14, None);
        assert_eq!(names(&triplets), expected, "{loss:?}");

        let mut visited = Vec::new();
        let visit = |triplet| visited.push(triplet);
        loss.selection.visit_triplets(vectors.view(), &labels, loss.metric, margin, visit).unwrap();
        assert!(visited.is_sorted_by_key(|triplet| triplet.anchor));
        visited.sort_unstable();
        assert_eq!(visited, triplets);

        let whole = loss.evaluate(vectors.view(), &labels).unwrap();
        let given = loss.evaluate_triplets(vectors.view(), &triplets).unwrap();
        assert_eq!(given.census.selected, whole.census.selected);
        assert_eq!(given.census.active, whole.census.active, "{loss:?}");
        assert_eq!(given.census.violated, whole.census.violated);
        // The number of anchors differs where the selection leaves some anchors without triplets.
        if loss.reduction != Reduction::MeanAnchors {
            let close = |x: f64, y: f64| (x - y).abs() <= 1e-5 * x.abs() + 1e-6;
            assert!(close(given.value, whole.value), "{loss:?}: {} {}", given.value, whole.value);
            let scale = whole.gradient.iter().fold(0.0_f32, |m, g| m.max(g.abs()));
            for (x, y) in given.gradient.iter().zip(&whole.gradient) {
                assert!((x - y).abs() <= 1e-4 * scale + 1e-6, "{loss:?}: {x} {y}");
            }
        }
    }
}

#[test]
fn selected_triplets_of_several_tiles_add_up() {
    let vectors = random(12, 150, 4);
    let labels = Labels::from_iter((0..150).map(|i| i * 7 % 40));
    for selection in selections() {
        let metric = Metric { distance: Distance::Euclidean, normalize: true };
        let loss = TripletLoss { metric, selection, ..TripletLoss::batch_all() };
        let triplets = selection.triplets(vectors.view(), &labels, metric, 0.2).unwrap();
        let census = loss.evaluate(vectors.view(), &labels).unwrap().census;
        assert_eq!(triplets.len() as u64, census.selected, "{selection}");
        assert!(triplets.is_sorted());
        let classes = labels.classes();
        for t in &triplets {
            let [a, p, n] = [t.anchor, t.positive, t.negative].map(|item| classes[item as usize]);
            assert!(a == p && p != n && t.anchor != t.positive);
        }
    }
}

#[test]
fn draws_depend_on_the_seed_alone() {
    let vectors = random(13, 200, 6);
    let labels = Labels::from_iter((0..200).map(|i| i / 4));
    let metric = Metric { distance: Distance::Cosine, normalize: false };
    let pools = [1, 3].map(|n| rayon::ThreadPoolBuilder::new().num_threads(n).build().unwrap());
    for name in ["violating-random", "distance-weighted", "random:triplets=3"] {
        let selection: Selection = name.parse().unwrap();
        let draw = |selection: Selection| {
            selection.triplets(vectors.view(), &labels, metric, 0.5).unwrap()
        };
        let [one, three] = pools.each_ref().map(|pool| pool.install(|| draw(selection)));
        assert_eq!(one, three);
        assert_ne!(one, draw(selection.with_seed(1)), "{name}");
    }
}

#[test]
fn uniform_draws_are_uniform() {
    // One pair and eight negatives, all of them violating.
    let mut vectors = Array2::<f32>::zeros((10, 1));
    vectors[[1, 0]] = 5.0;
    let labels = Labels::from_iter([0, 0, 1, 1, 1, 2, 2, 2, 3, 3]);
    let mut counts = BTreeMap::new();
    for seed in 0..4000 {
        let triplets = Selection::ViolatingRandom { seed }
            .triplets(vectors.view(), &labels, Metric::default(), 0.2)
            .unwrap();
        let first = triplets.iter().find(|triplet| triplet.anchor == 0).unwrap();
        *counts.entry(first.negative).or_insert(0_i32) += 1;
    }
    assert_eq!(counts.len(), 8);
    // Standard deviation √(4000 · 1/8 · 7/8) ≈ 21.
    assert!(counts.values().all(|count| (count - 500).abs() < 100), "{counts:?}");

    let mut sets = BTreeMap::new();
    for seed in 0..2000 {
        let mut stream = ChaCha8Rng::seed_from_u64(seed);
        *sets.entry(random::distinct(&mut stream, 4, 2)).or_insert(0_i32) += 1;
    }
    assert_eq!(sets.len(), 6);
    assert!(sets.values().all(|count| (count - 333).abs() < 85), "{sets:?}");
    assert_eq!(
        random::distinct(&mut ChaCha8Rng::seed_from_u64(0), 3, 9),
        BTreeSet::from([0, 1, 2])
    );
}

#[test]
fn distance_weighted_draws_follow_their_weights() {
    // D = 4: weight d^{-2} (1 − d²/4)^{-1/2}, of distances 0.6 and 1.2, and 0.2 counted as 0.5.
    let unit = |d: f32| {
        let cosine = 1.0 - d * d / 2.0;
        [cosine, (1.0 - cosine * cosine).sqrt(), 0.0, 0.0]
    };
    let distances = [0.6_f64, 1.2, 0.2, 1.9];
    let vectors = Array2::from_shape_vec(
        (6, 4),
        [unit(0.0), unit(0.1)]
            .into_iter()
            .chain(distances.map(|d| unit(d as f32)))
            .flatten()
            .collect(),
    )
    .unwrap();
    let labels = Labels::from_iter([0, 0, 1, 2, 3, 4]);
    let mut counts = [0.0; 4];
    let draws = 6000;
    for seed in 0..draws {
        let triplets = Selection::ALL[8]
            .with_seed(seed)
            .triplets(vectors.view(), &labels, Metric::from(Distance::Cosine), 0.2)
            .unwrap();
        counts[triplets[0].negative as usize - 2] += 1.0;
    }
    let weight = |d: f64| d.max(0.5).powi(-2) / (1.0 - d.max(0.5).powi(2) / 4.0).sqrt();
    let weights = distances.map(|d| if d < 1.4 { weight(d) } else { 0.0 });
    let total: f64 = weights.iter().sum();
    for (count, weight) in counts.into_iter().zip(weights) {
        let expected = draws as f64 * weight / total;
        assert!((count - expected).abs() < 4.0 * expected.sqrt().max(0.1), "{count} {expected}");
    }
}

#[test]
fn given_triplets_are_checked() {
    let vectors = random(14, 4, 3);
    let loss = TripletLoss::batch_all();
    for broken in [[0, 1, 4], [0, 0, 1], [2, 1, 2], [1, 3, 3]] {
        let error = loss.evaluate_triplets(vectors.view(), [[0, 1, 2], broken]).unwrap_err();
        assert_eq!(error, Error::Triplet { place: 1, triplet: broken, rows: 4 });
    }
    let nothing = loss.evaluate_triplets(vectors.view(), [[0_u32; 3]; 0]).unwrap();
    assert_eq!((nothing.value, nothing.census), (0.0, Census::default()));
    let twice = loss.evaluate_triplets(vectors.view(), [[0, 1, 2], [0, 1, 2]]).unwrap();
    let once = loss.evaluate_triplets(vectors.view(), [[0, 1, 2]]).unwrap();
    assert_eq!((twice.value, &twice.gradient), (once.value, &once.gradient));
    assert_eq!((twice.census.selected, twice.census.anchors), (2, 1));
}

#[test]
fn too_many_triplets_are_visited_but_not_listed() {
    let rows = 1400;
    let vectors = Array2::<f32>::zeros((rows, 1));
    let labels = Labels::from_iter((0..rows).map(|i| i % 2));
    let listed = Selection::All.triplets(vectors.view(), &labels, Metric::default(), 0.2);
    assert_eq!(listed, Err(Error::TooManyTriplets { limit: TRIPLET_LIMIT }));
}

#[test]
fn classes_of_many_positives_agree_with_the_reference() {
    let vectors = random(23, 45, 2).mapv(|x| (x * 4.0).round());
    let classes: Vec<u32> = (0..45).map(|i| u32::from(i % 3 == 0)).collect();
    let labels = Labels::from_iter(&classes);
    for selection in selections() {
        if matches!(selection, Selection::DistanceWeighted { .. }) {
            continue;
        }
        let loss = TripletLoss { selection, ..TripletLoss::batch_all() }.with_margin(1.0);
        let triplets = selection.triplets(vectors.view(), &labels, Metric::default(), 1.0).unwrap();
        let expected = reference::select(&loss, &rows(&vectors), &classes, 45, None);
        assert_eq!(names(&triplets), expected, "{selection}");
    }
}
