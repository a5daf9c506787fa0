//! Tests of the objectives: a file for each topic, with the objectives and batches that they share.

mod corpus;
mod degenerate;
mod engines;
mod frozen;
mod properties;
mod reference;
mod triplets;

use ndarray::Array2;
use rand::rngs::ChaCha8Rng;
use rand::{RngExt, SeedableRng};

use super::reference::Reference;
use super::*;
use crate::{Distance, Labels, Metric};

const CLASSES: [u32; 14] = [0, 1, 2, 0, 1, 2, 0, 1, 2, 0, 0, 3, 1, 4];

fn penalties() -> [Penalty; 4] {
    [
        Penalty::Hinge { margin: 0.5 },
        Penalty::Soft { margin: 0.0 },
        Penalty::Soft { margin: 0.25 },
        Penalty::SquaredHinge { margin: 1.0 },
    ]
}

fn metrics() -> impl Iterator<Item = Metric> {
    Distance::ALL
        .into_iter()
        .flat_map(|distance| [false, true].map(|normalize| Metric { distance, normalize }))
}

fn every_loss() -> impl Iterator<Item = TripletLoss> {
    let metrics = Distance::ALL
        .into_iter()
        .flat_map(|distance| [false, true].map(|normalize| Metric { distance, normalize }));
    metrics
        .flat_map(|metric| {
            selections().into_iter().flat_map(move |selection| {
                penalties().into_iter().flat_map(move |penalty| {
                    Reduction::ALL.map(|reduction| TripletLoss {
                        metric,
                        selection,
                        penalty,
                        reduction,
                    })
                })
            })
        })
        .filter(|loss| loss.selection.check(loss.metric).is_ok())
}

fn every_lifted() -> impl Iterator<Item = Lifted> {
    metrics().flat_map(|metric| {
        [(1.0, Reduction::Mean), (-3.5, Reduction::MeanActive), (-1.5, Reduction::Sum)]
            .map(|(margin, reduction)| Lifted { metric, margin, reduction })
    })
}

fn every_multi_similarity() -> impl Iterator<Item = MultiSimilarity> {
    metrics().flat_map(|metric| {
        [
            (2.0, 50.0, 0.5, Reduction::Mean),
            (30.0, 3.0, 0.1, Reduction::MeanActive),
            (0.5, 1.5, -1.0, Reduction::Sum),
        ]
        .map(|(alpha, beta, base, reduction)| MultiSimilarity {
            metric,
            alpha,
            beta,
            base,
            reduction,
        })
    })
}

fn every_supervised_contrastive() -> impl Iterator<Item = SupervisedContrastive> {
    metrics().flat_map(|metric| {
        [(0.1, Reduction::Mean), (0.02, Reduction::MeanAnchors), (2.0, Reduction::Sum)].map(
            |(temperature, reduction)| SupervisedContrastive { metric, temperature, reduction },
        )
    })
}

/// The objectives with one term for each anchor.
fn term_objectives() -> [Objective; 3] {
    [
        Lifted::default().into(),
        MultiSimilarity::default().into(),
        SupervisedContrastive::default().into(),
    ]
}

/// Every selection, with further parameters where it has any.
fn selections() -> Vec<Selection> {
    let mut selections = Selection::ALL.to_vec();
    selections.extend([
        Selection::ViolatingRandom { seed: 9 },
        Selection::DistanceWeighted { cutoff: 0.8, nonzero_loss_cutoff: 1.9, seed: 9 },
        Selection::NHard { positives: (0..2).into(), negatives: (1..4).into() },
        Selection::NHard { positives: (0..90).into(), negatives: (0..90).into() },
        Selection::Random { triplets: 5, seed: 9 },
        Selection::Random { triplets: u32::MAX, seed: 9 },
    ]);
    selections
}

fn triplet_presets() -> [TripletLoss; 4] {
    [
        TripletLoss::facenet(),
        TripletLoss::batch_hard(),
        TripletLoss::batch_all(),
        TripletLoss::batch_all_nonzero(),
    ]
}

fn rows(vectors: &Array2<f32>) -> Vec<Vec<f64>> {
    vectors.outer_iter().map(|row| row.iter().map(|&x| f64::from(x)).collect()).collect()
}

fn random(seed: u64, count: usize, dimensions: usize) -> Array2<f32> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    Array2::from_shape_simple_fn((count, dimensions), || rng.random_range(-1.0..1.0))
}

fn check_value(loss: &TripletLoss, vectors: &Array2<f32>, classes: &[u32]) {
    let labels = Labels::from_iter(classes);
    let got = loss.evaluate(vectors.view(), &labels).unwrap();
    let expected = super::reference::evaluate(loss, &rows(vectors), classes);
    check_outcome(&got, &expected, loss);
}

fn check_outcome(got: &Outcome, expected: &Reference, loss: &impl std::fmt::Debug) {
    assert_eq!(got.census.triplets, expected.triplets, "triplets of {loss:?}");
    assert_eq!(got.census.selected, expected.selected, "selected of {loss:?}");
    assert_eq!(got.census.active, expected.active, "active of {loss:?}");
    assert_eq!(got.census.violated, expected.violated, "violated of {loss:?}");
    assert_eq!(got.census.filtered, expected.filtered, "filtered of {loss:?}");
    assert!(
        (got.value - expected.value).abs() <= 1e-5 * expected.value.abs() + 1e-7,
        "value of {loss:?}: {} instead of {}",
        got.value,
        expected.value
    );
}

fn check_gradient(got: &Array2<f32>, expected: &[Vec<f64>], loss: &impl std::fmt::Debug) {
    let scale = expected.iter().flatten().fold(0.0_f64, |m, g| m.max(g.abs()));
    for ((i, k), &g) in got.indexed_iter() {
        assert!(
            (f64::from(g) - expected[i][k]).abs() <= 1e-4 * scale + 1e-6,
            "gradient of {loss:?} at ({i}, {k}): {g} instead of {}",
            expected[i][k]
        );
    }
}
