//! Batches without triplets, collapsed batches, and input that is refused.

use ndarray::{Axis, array};

use super::*;
use crate::Error;

#[test]
fn degenerate_batches_have_value_and_gradient_zero() {
    let vectors = random(7, 6, 4);
    let cases = [(vec![0, 0, 0, 0, 0, 0], 6, 0, 6), (vec![0, 1, 2, 3, 4, 5], 0, 6, 0)];
    for (classes, alone, without_positive, without_negative) in cases {
        let labels = Labels::from_iter(&classes);
        for loss in every_loss() {
            let got = loss.evaluate(vectors.view(), &labels).unwrap();
            assert_eq!(got.value, 0.0);
            assert!(got.gradient.iter().all(|&g| g == 0.0));
            assert_eq!(got.census.triplets, 0);
            assert_eq!(got.census.anchors, 0);
            assert_eq!(got.census.anchors_without_positive, without_positive);
            assert_eq!(got.census.anchors_without_negative, without_negative);
        }
        assert_eq!(labels.class_sizes().into_iter().max(), Some(alone.max(1)));
    }
    for loss in every_loss() {
        let nothing = Array2::<f32>::zeros((0, 4));
        let got = loss.evaluate(nothing.view(), &Labels::default()).unwrap();
        assert_eq!((got.value, got.gradient.dim()), (0.0, (0, 4)));
        // Collapsed: every distance is 0, so every direction is undefined and defined as 0.
        let collapsed = Array2::<f32>::from_elem((6, 4), 0.3);
        let labels = Labels::from_iter([0, 0, 1, 1, 2, 2]);
        let got = loss.evaluate(collapsed.view(), &labels).unwrap();
        assert!(got.value.is_finite() && got.gradient.iter().all(|g| g.is_finite()));
        if loss.metric.distance == Distance::Euclidean {
            assert!(got.gradient.iter().all(|&g| g == 0.0));
            assert_eq!(got.census.violated, got.census.selected, "{loss:?}");
        }
    }
}

#[test]
fn collapse_costs_ln_2_or_the_margin() {
    let collapsed = Array2::<f32>::from_elem((8, 3), 1.5);
    let labels = Labels::from_iter([0, 0, 1, 1, 2, 2, 3, 3]);
    let soft = TripletLoss::batch_hard().evaluate(collapsed.view(), &labels).unwrap();
    assert!((soft.value - std::f64::consts::LN_2).abs() < 1e-7);
    let hinge = TripletLoss::batch_all().evaluate(collapsed.view(), &labels).unwrap();
    assert!((hinge.value - 0.2).abs() < 1e-7);
}

#[test]
fn the_gradient_survives_an_offset_and_near_duplicates() {
    // The loss depends on differences only, so a far offset must not change the gradient. On a
    // grid of 2^-16 the offset is added exactly.
    let grid = 2.0_f32.powi(-16);
    let mut vectors = random(6, 40, 24).mapv(|x| (x / grid).round() * grid);
    for i in (0..40).step_by(4) {
        let near = &vectors.row(i) + 8.0 * grid;
        vectors.row_mut(i + 1).assign(&near);
    }
    let labels = Labels::from_iter((0..40).map(|i| i / 4));
    for loss in [TripletLoss::batch_all(), TripletLoss::batch_hard()] {
        let here = loss.evaluate(vectors.view(), &labels).unwrap();
        let there = loss.evaluate((&vectors + 64.0).view(), &labels).unwrap();
        for (x, y) in here.gradient.iter().zip(&there.gradient) {
            assert!((x - y).abs() < 1e-5, "{x} {y}");
        }
        // The gradient is a sum of contributions of pairs, which cancel over the batch.
        for total in here.gradient.sum_axis(Axis(0)) {
            assert!(total.abs() < 1e-5, "{total}");
        }
    }
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
fn bad_input_is_refused() {
    let vectors = random(8, 4, 2);
    let labels = Labels::from_iter([0, 0, 1]);
    let error = TripletLoss::default().evaluate(vectors.view(), &labels).unwrap_err();
    assert_eq!(error, Error::LabelCount { rows: 4, labels: 3 });
    let mut broken = vectors.clone();
    broken[[3, 0]] = f32::INFINITY;
    let labels = Labels::from_iter([0, 0, 1, 1]);
    let error = TripletLoss::default().evaluate(broken.view(), &labels).unwrap_err();
    assert!(matches!(error, Error::NotFinite { row: 3, column: 0, .. }));
    let error = TripletLoss::batch_all().with_margin(-1.0).evaluate(vectors.view(), &labels);
    assert!(matches!(
        error,
        Err(Error::Parameter(crate::ParameterError { parameter: "margin", .. }))
    ));
    assert!(TripletLoss::facenet().with_margin(0.0).check_trainable().is_err());
    assert!(TripletLoss::facenet().check_trainable().is_ok());
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
        assert!(matches!(error, Error::Parameter(_)), "{error}");
        assert!(loss.check_trainable().is_err());
        assert!(selection.triplets(vectors.view(), &labels, metric, 0.2).is_err());
    }
    for selection in [Selection::SemiHard, Selection::SemiHardAll] {
        let loss = TripletLoss { selection, ..TripletLoss::batch_all() }.with_margin(0.0);
        assert!(loss.check_trainable().is_err());
        assert_eq!(loss.evaluate(vectors.view(), &labels).unwrap().census.selected, 0);
    }
}

#[test]
fn names_go_there_and_back() {
    for preset in Preset::ALL {
        assert_eq!(preset.name().parse::<Preset>().unwrap(), preset);
    }
    let error = "batch-hrad".parse::<Preset>().unwrap_err().to_string();
    assert!(error.contains("`batch-hrad`") && error.contains("batch-hard"), "{error}");
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
    for preset in triplet_presets().map(Objective::from).into_iter().chain(term_objectives()) {
        let json = serde_json::to_string(&preset).unwrap();
        assert_eq!(serde_json::from_str::<Objective>(&json).unwrap(), preset);
    }
}
