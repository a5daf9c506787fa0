//! Selections by name, given triplets, lifted structure, frozen candidates.

use std::collections::{BTreeMap, BTreeSet};

use ndarray::{Array2, Axis, array, concatenate, s};
use proptest::prelude::*;
use rand::SeedableRng;
use rand::rngs::ChaCha8Rng;

use super::tests::{
    check_gradient, check_outcome, every_loss, penalties, random, rows, selections, triplet_presets,
};
use super::*;
use crate::Distance;

const CLASSES: [u32; 14] = [0, 1, 2, 0, 1, 2, 0, 1, 2, 0, 0, 3, 1, 4];

fn metrics() -> impl Iterator<Item = Metric> {
    Distance::ALL
        .into_iter()
        .flat_map(|distance| [false, true].map(|normalize| Metric { distance, normalize }))
}

fn every_lifted() -> impl Iterator<Item = Lifted> {
    metrics().flat_map(|metric| {
        [(1.0, Reduction::Mean), (-3.5, Reduction::MeanActive), (-1.5, Reduction::Sum)]
            .map(|(margin, reduction)| Lifted { metric, margin, reduction })
    })
}

fn names(triplets: &[Triplet]) -> Vec<[usize; 3]> {
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
        let expected = reference::select(&loss, &rows(&vectors), &CLASSES, 14);
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
        // The number of anchors is another one where the selection leaves some without triplets.
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
        let expected = reference::select(&loss, &rows(&vectors), &classes, 45);
        assert_eq!(names(&triplets), expected, "{selection}");
    }
}

#[test]
fn lifted_agrees_with_the_reference_and_its_finite_differences() {
    let vectors = random(15, 14, 3);
    let labels = Labels::from_iter(CLASSES);
    for loss in every_lifted() {
        let got = loss.evaluate(vectors.view(), &labels).unwrap();
        let value = |v: &[Vec<f64>]| reference::evaluate_lifted(&loss, v, &CLASSES, 14);
        check_outcome(&got, &value(&rows(&vectors)), &loss);
        let expected = reference::differences(&rows(&vectors), 14, |moved| value(moved).value);
        check_gradient(&got.gradient, &expected, &loss);
    }
    // Some terms are above 0 and some below, so that both sides of the hinge were seen.
    let loss = Lifted { margin: -3.5, ..Lifted::default() };
    let share = loss.evaluate(vectors.view(), &labels).unwrap().census.active_share();
    assert!(share > 0.0 && share < 1.0, "{share}");
}

#[test]
fn lifted_neither_overflows_nor_minds_degenerate_batches() {
    let labels = Labels::from_iter([0, 0, 1, 1]);
    let far = array![[0.0_f32], [1e6], [3e6], [3.1e6]];
    let got = Lifted::default().evaluate(far.view(), &labels).unwrap();
    assert!(got.value.is_finite() && got.gradient.iter().all(|g| g.is_finite()));
    let collapsed = Array2::<f32>::from_elem((4, 3), 0.5);
    let got = Lifted::default().evaluate(collapsed.view(), &labels).unwrap();
    // One positive, two negatives: 0 + ln(2e).
    assert!((got.value - (1.0 + std::f64::consts::LN_2)).abs() < 1e-6);
    assert!(got.gradient.iter().all(|&g| g == 0.0));
    for classes in [[0, 0, 0, 0], [0, 1, 2, 3]] {
        let got = Lifted::default().evaluate(far.view(), &Labels::from_iter(classes)).unwrap();
        assert_eq!((got.value, got.census.triplets), (0.0, 0));
        assert!(got.gradient.iter().all(|&g| g == 0.0));
    }
    let nothing = Array2::<f32>::zeros((0, 2));
    let got = Lifted::default().evaluate(nothing.view(), &Labels::default()).unwrap();
    assert_eq!((got.value, got.gradient.dim()), (0.0, (0, 2)));
    assert!(Lifted::default().with_margin(f32::NAN).evaluate(far.view(), &labels).is_err());
}

#[test]
fn frozen_candidates_agree_with_the_reference_and_its_finite_differences() {
    let all = random(16, 14, 3);
    let batch = 6;
    let (current, frozen) = (all.slice(s![..batch, ..]), all.slice(s![batch.., ..]));
    let labels = Labels::from_iter(&CLASSES[..batch]);
    let frozen_labels = Labels::from_iter(&CLASSES[batch..]);
    for (index, loss) in every_loss().enumerate() {
        let got = loss.evaluate_with_frozen(current, &labels, frozen, &frozen_labels).unwrap();
        let value = |v: &[Vec<f64>]| reference::evaluate_anchors(&loss, v, &CLASSES, batch);
        check_outcome(&got, &value(&rows(&all)), &loss);
        if index % 5 == 0 {
            let expected = reference::differences(&rows(&all), batch, |moved| value(moved).value);
            check_gradient(&got.gradient, &expected, &loss);
        }
    }
    for loss in every_lifted() {
        let got = Objective::from(loss)
            .evaluate_with_frozen(current, &labels, frozen, &frozen_labels)
            .unwrap();
        let value = |v: &[Vec<f64>]| reference::evaluate_lifted(&loss, v, &CLASSES, batch);
        check_outcome(&got, &value(&rows(&all)), &loss);
        let expected = reference::differences(&rows(&all), batch, |moved| value(moved).value);
        check_gradient(&got.gradient, &expected, &loss);
    }
}

#[test]
fn nothing_frozen_changes_nothing() {
    let vectors = random(17, 150, 5);
    let labels = Labels::from_iter((0..150).map(|i| i * 7 % 40));
    let nothing = Array2::<f32>::zeros((0, 5));
    for selection in selections() {
        for penalty in penalties() {
            let metric = Metric { distance: Distance::Cosine, normalize: false };
            let loss =
                TripletLoss { metric, selection, penalty, reduction: Reduction::MeanAnchors };
            let here = loss.evaluate(vectors.view(), &labels).unwrap();
            let there = loss
                .evaluate_with_frozen(vectors.view(), &labels, nothing.view(), &Labels::default())
                .unwrap();
            assert_eq!(here.census.selected, there.census.selected);
            assert!((here.value - there.value).abs() <= 1e-6 * here.value + 1e-9);
            let means = |census: &Census| (census.anchors, census.anchors_without_positive);
            assert_eq!(means(&here.census), means(&there.census));
            let drift = here.census.mean_negative_distance - there.census.mean_negative_distance;
            assert!(drift.abs() < 1e-9);
            for (x, y) in here.gradient.iter().zip(&there.gradient) {
                assert!((x - y).abs() < 1e-5, "{loss:?}: {x} {y}");
            }
        }
    }
}

#[test]
fn harmonic_triplets_pull_towards_the_old_space() {
    // The new model's only vector sits far from its old class mate: with the old space frozen it is
    // drawn there, and the old vectors do not move.
    let new = array![[4.0_f32, 0.0]];
    let old = array![[0.0_f32, 0.0], [3.0, 3.0]];
    let outcome = TripletLoss::batch_hard()
        .evaluate_with_frozen(
            new.view(),
            &Labels::from_iter(["ann"]),
            old.view(),
            &Labels::from_iter(["ann", "bob"]),
        )
        .unwrap();
    assert_eq!((outcome.census.triplets, outcome.census.anchors), (1, 1));
    assert_eq!(outcome.gradient.dim(), (1, 2));
    assert!(outcome.gradient[[0, 0]] > 0.0);
}

#[test]
fn frozen_errors_speak_of_the_frozen_vectors() {
    let current = random(18, 3, 2);
    let labels = Labels::from_iter([0, 0, 1]);
    let mut frozen = random(19, 2, 2);
    frozen[[1, 0]] = f32::NAN;
    let loss = TripletLoss::batch_hard();
    let two = Labels::from_iter([0, 1]);
    let error =
        loss.evaluate_with_frozen(current.view(), &labels, frozen.view(), &two).unwrap_err();
    assert!(error.to_string().starts_with("among the frozen vectors: row 1, column 0"), "{error}");
    let error =
        loss.evaluate_with_frozen(current.view(), &labels, frozen.view(), &labels).unwrap_err();
    assert!(matches!(error, Error::Frozen(_)));
    let wide = random(20, 2, 3);
    let error = loss.evaluate_with_frozen(current.view(), &labels, wide.view(), &two).unwrap_err();
    assert!(matches!(error, Error::DimensionMismatch { queries: 2, gallery: 3 }));
}

#[test]
fn a_memory_is_a_ring_without_shadows() {
    let mut memory = Memory::new(5, 2);
    let labels = Labels::from_iter(["a", "b", "c"]);
    for step in 0..3_u64 {
        let vectors = Array2::from_elem((3, 2), step as f32);
        let items = [3 * step, 3 * step + 1, 3 * step + 2];
        memory.push(vectors.view(), &labels, &items).unwrap();
    }
    assert_eq!((memory.len(), memory.capacity(), memory.is_empty()), (5, 5, false));
    let (vectors, kept) = memory.without(&[7]);
    assert_eq!(vectors.column(0).to_vec(), [1.0, 1.0, 2.0, 2.0]);
    assert_eq!(kept, Labels::from_iter(["b", "c", "a", "c"]));
    let (everything, names, all_items) = memory.entries();
    assert_eq!(all_items, [4, 5, 6, 7, 8]);
    let mut again = Memory::new(5, 2);
    again.push(everything.view(), &names, &all_items).unwrap();
    for memory in [&mut memory, &mut again] {
        memory.push(Array2::ones((1, 2)).view(), &Labels::from_iter(["d"]), &[9]).unwrap();
    }
    assert_eq!(memory.entries(), again.entries());
    let mut memory = Memory::new(5, 2);
    memory.push(everything.view(), &names, &all_items).unwrap();

    let current = random(21, 3, 2);
    let items = [100, 7, 101];
    for objective in Preset::ALL.map(Preset::loss) {
        let got = memory.evaluate(objective, current.view(), &labels, &items).unwrap();
        let all = concatenate(Axis(0), &[current.view(), vectors.view()]).unwrap();
        let whole = objective.evaluate(all.view(), &labels.chain(&kept)).unwrap();
        assert!(got.census.triplets < whole.census.triplets);
        // Anchors a (2 other a, 5 others…): a has one in the bank, b one, c two; M = 4, B = 3.
        assert_eq!(got.census.triplets, 5 + 5 + 2 * 4);
    }
    assert!(memory.push(current.view(), &labels, &[1]).is_err());
    assert!(memory.push(random(1, 3, 4).view(), &labels, &items).is_err());
    let mut large = Memory::new(2, 2);
    large.push(current.view(), &labels, &items).unwrap();
    assert_eq!(large.without(&[]).1, Labels::from_iter(["b", "c"]));
    large.clear();
    assert!(large.is_empty());
    let mut none = Memory::new(0, 2);
    none.push(current.view(), &labels, &items).unwrap();
    assert_eq!(none.len(), 0);
}

#[test]
fn selections_go_there_and_back_as_text() {
    for selection in selections() {
        let text = selection.to_string();
        assert_eq!(text.parse::<Selection>().unwrap(), selection, "{text}");
        let json = serde_json::to_string(&selection).unwrap();
        assert_eq!(serde_json::from_str::<Selection>(&json).unwrap(), selection);
    }
    let n_hard = Selection::NHard { positives: (1..2).into(), negatives: (1..5).into() };
    assert_eq!(n_hard.to_string(), "n-hard:negatives=1..5");
    assert_eq!(Selection::ALL[9].to_string(), "n-hard");
    for (text, expected) in [
        ("semihard", "unknown selection `semihard`"),
        ("hard:seed=3", "unknown parameter of the selection `seed`: expected one of none"),
        ("random:seed=x", "seed is `x`"),
        ("n-hard:positives=1-3", "ranks is `1-3`"),
    ] {
        let error = text.parse::<Selection>().unwrap_err().to_string();
        assert!(error.starts_with(expected), "{error}");
    }
    for preset in
        triplet_presets().map(Objective::from).into_iter().chain([Lifted::default().into()])
    {
        let json = serde_json::to_string(&preset).unwrap();
        assert_eq!(serde_json::from_str::<Objective>(&json).unwrap(), preset);
    }
}

#[test]
fn parameters_out_of_range_are_refused() {
    let vectors = random(22, 4, 3);
    let labels = Labels::from_iter([0, 0, 1, 1]);
    let sphere = Metric { distance: Distance::Euclidean, normalize: true };
    let weighted = |cutoff, nonzero_loss_cutoff| Selection::DistanceWeighted {
        cutoff,
        nonzero_loss_cutoff,
        seed: 0,
    };
    for (metric, selection) in [
        (Metric::default(), weighted(0.5, 1.4)),
        (sphere, weighted(0.0, 1.4)),
        (sphere, weighted(f32::NAN, 1.4)),
        (sphere, weighted(0.5, 2.5)),
        (sphere, Selection::NHard { positives: (2..2).into(), negatives: (0..1).into() }),
        (sphere, Selection::Random { triplets: 0, seed: 0 }),
    ] {
        let loss = TripletLoss { metric, selection, ..TripletLoss::batch_all() };
        let error = loss.evaluate(vectors.view(), &labels).unwrap_err();
        assert!(matches!(error, Error::Parameter { .. }), "{error}");
        assert!(loss.check_trainable().is_err());
        assert!(selection.triplets(vectors.view(), &labels, metric, 0.2).is_err());
    }
    for selection in [Selection::SemiHard, Selection::SemiHardAll] {
        let loss = TripletLoss { selection, ..TripletLoss::batch_all() }.with_margin(0.0);
        assert!(loss.check_trainable().is_err());
        assert_eq!(loss.evaluate(vectors.view(), &labels).unwrap().census.selected, 0);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Coordinates on a small grid: ties and duplicates everywhere, and all arithmetic exact.
    #[test]
    fn ties_and_duplicates_with_frozen_candidates_and_names(
        grid in prop::collection::vec(-2_i8..3, 32),
        classes in prop::collection::vec(0_u32..4, 16),
        batch in 0_usize..16,
        margin in 0_u8..3,
    ) {
        let values = grid.iter().map(|&x| f32::from(x)).collect();
        let vectors = Array2::from_shape_vec((16, 2), values).unwrap();
        let (current, frozen) = (vectors.slice(s![..batch, ..]), vectors.slice(s![batch.., ..]));
        let labels = Labels::from_iter(&classes);
        let (own, others) =
            (Labels::from_iter(&classes[..batch]), Labels::from_iter(&classes[batch..]));
        for selection in selections() {
            if matches!(selection, Selection::DistanceWeighted { .. }) {
                continue;
            }
            let loss = TripletLoss { selection, ..TripletLoss::batch_all() }
                .with_margin(f32::from(margin));
            let got = loss.evaluate_with_frozen(current, &own, frozen, &others).unwrap();
            let expected = reference::evaluate_anchors(&loss, &rows(&vectors), &classes, batch);
            check_outcome(&got, &expected, &loss);
            let triplets =
                selection.triplets(vectors.view(), &labels, loss.metric, f32::from(margin)).unwrap();
            let expected = reference::select(&loss, &rows(&vectors), &classes, 16);
            prop_assert_eq!(names(&triplets), expected, "{}", selection);
        }
        let loss = Lifted::default().with_margin(f32::from(margin) - 3.0);
        let got = loss.evaluate_with_frozen(current, &own, frozen, &others).unwrap();
        check_outcome(
            &got,
            &reference::evaluate_lifted(&loss, &rows(&vectors), &classes, batch),
            &loss,
        );
    }
}
