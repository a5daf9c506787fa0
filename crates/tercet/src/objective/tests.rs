use ndarray::{Array2, Axis};
use proptest::prelude::*;
use rand::rngs::ChaCha8Rng;
use rand::{RngExt, SeedableRng};

use super::*;
use crate::distance::Points;
use crate::labels::ClassOrder;
use crate::simd::levels;
use crate::{Distance, Percentiles};

pub(super) fn penalties() -> [Penalty; 4] {
    [
        Penalty::Hinge { margin: 0.5 },
        Penalty::Soft { margin: 0.0 },
        Penalty::Soft { margin: 0.25 },
        Penalty::SquaredHinge { margin: 1.0 },
    ]
}

pub(super) fn every_loss() -> impl Iterator<Item = TripletLoss> {
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

/// Every selection, with further parameters where it has any.
pub(super) fn selections() -> Vec<Selection> {
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

pub(super) fn triplet_presets() -> [TripletLoss; 4] {
    [
        TripletLoss::facenet(),
        TripletLoss::batch_hard(),
        TripletLoss::batch_all(),
        TripletLoss::batch_all_nonzero(),
    ]
}

pub(super) fn rows(vectors: &Array2<f32>) -> Vec<Vec<f64>> {
    vectors.outer_iter().map(|row| row.iter().map(|&x| f64::from(x)).collect()).collect()
}

pub(super) fn random(seed: u64, count: usize, dimensions: usize) -> Array2<f32> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    Array2::from_shape_simple_fn((count, dimensions), || rng.random_range(-1.0..1.0))
}

fn check_value(loss: &TripletLoss, vectors: &Array2<f32>, classes: &[u32]) {
    let labels = Labels::from_iter(classes);
    let got = loss.evaluate(vectors.view(), &labels).unwrap();
    let expected = reference::evaluate(loss, &rows(vectors), classes);
    check_outcome(&got, &expected, loss);
}

pub(super) fn check_outcome(
    got: &Outcome,
    expected: &reference::Reference,
    loss: &impl std::fmt::Debug,
) {
    assert_eq!(got.census.triplets, expected.triplets, "triplets of {loss:?}");
    assert_eq!(got.census.selected, expected.selected, "selected of {loss:?}");
    assert_eq!(got.census.active, expected.active, "active of {loss:?}");
    assert_eq!(got.census.violated, expected.violated, "violated of {loss:?}");
    assert!(
        (got.value - expected.value).abs() <= 1e-5 * expected.value.abs() + 1e-7,
        "value of {loss:?}: {} instead of {}",
        got.value,
        expected.value
    );
}

#[test]
fn every_objective_agrees_with_the_reference_and_its_finite_differences() {
    // More anchors than one tile holds would make the reference slow; tiles are covered below.
    for (seed, dimensions) in [(1, 1), (2, 3), (3, 7)] {
        let vectors = random(seed, 14, dimensions);
        let classes = [0, 1, 2, 0, 1, 2, 0, 1, 2, 0, 0, 3, 1, 4];
        let labels = Labels::from_iter(classes);
        for (index, loss) in every_loss().enumerate() {
            // On a sphere of one dimension every distance is 0 or 2: nothing to differentiate.
            if dimensions == 1 && loss.metric.on_sphere() {
                continue;
            }
            check_value(&loss, &vectors, &classes);
            // Differences cost much more than values: each objective gets them on one of the three.
            if index as u64 % 3 != seed % 3 {
                continue;
            }
            let got = loss.evaluate(vectors.view(), &labels).unwrap().gradient;
            let expected = reference::differences(&rows(&vectors), 14, |moved| {
                reference::evaluate(&loss, moved, &classes).value
            });
            check_gradient(&got, &expected, &loss);
        }
    }
}

pub(super) fn check_gradient(
    got: &Array2<f32>,
    expected: &[Vec<f64>],
    loss: &impl std::fmt::Debug,
) {
    let scale = expected.iter().flatten().fold(0.0_f64, |m, g| m.max(g.abs()));
    for ((i, k), &g) in got.indexed_iter() {
        assert!(
            (f64::from(g) - expected[i][k]).abs() <= 1e-4 * scale + 1e-6,
            "gradient of {loss:?} at ({i}, {k}): {g} instead of {}",
            expected[i][k]
        );
    }
}

#[test]
fn several_tiles_agree_with_the_reference() {
    let vectors = random(4, 150, 5);
    let classes: Vec<u32> = (0..150).map(|i| (i * 7 % 40) as u32).collect();
    for loss in triplet_presets() {
        check_value(&loss, &vectors, &classes);
    }
}

#[test]
fn many_positives_agree_with_the_reference() {
    // Two classes of 75: every hinge and semi-hard rank instead of comparing.
    let classes: Vec<u32> = (0..150).map(|i| (i * 7 % 2) as u32).collect();
    let labels = Labels::from_iter(&classes);
    for dimensions in [2, 5] {
        let vectors = random(9, 150, dimensions);
        for selection in [Selection::All, Selection::SemiHard, Selection::SemiHardFallback] {
            for penalty in penalties() {
                let loss = TripletLoss {
                    metric: Distance::Euclidean.into(),
                    selection,
                    penalty,
                    reduction: Reduction::Mean,
                };
                check_value(&loss, &vectors, &classes);
                // Along a direction, the value changes as the gradient says.
                let got = loss.evaluate(vectors.view(), &labels).unwrap();
                let direction = random(10, 150, dimensions);
                let moved = |step: f64| -> Vec<Vec<f64>> {
                    let there = rows(&vectors).into_iter().zip(rows(&direction));
                    there
                        .map(|(x, d)| x.iter().zip(d).map(|(x, d)| x + step * d).collect())
                        .collect()
                };
                let at = |step| reference::evaluate(&loss, &moved(step), &classes).value;
                // So small that no triplet changes its side.
                let expected = (at(1e-7) - at(-1e-7)) / 2e-7;
                let slope: f64 = got
                    .gradient
                    .iter()
                    .zip(&direction)
                    .map(|(&g, &d)| f64::from(g) * f64::from(d))
                    .sum();
                assert!(
                    (slope - expected).abs() <= 1e-4 * expected.abs() + 1e-6,
                    "slope of {loss:?}: {slope} instead of {expected}"
                );
            }
        }
    }
}

#[test]
fn every_instruction_set_gives_the_same_outcome() {
    let vectors = random(12, 83, 19);
    for classes in [3, 21] {
        let labels = Labels::from_iter((0..83).map(|i| i % classes));
        for loss in every_loss().filter(|loss| loss.reduction == Reduction::Mean) {
            let outcomes = levels::on_each(|| {
                let points = Points::new(vectors.view(), loss.metric).unwrap();
                let order = ClassOrder::new(&labels);
                let points = points.reordered(&order.items);
                let rule = Rule {
                    penalty: loss.penalty,
                    dense: loss.selection.is_dense(&order),
                    weigh: &|row, points| loss.selection.weigh(row, points),
                };
                let (tally, forces) =
                    gradient::evaluate(&rule, &points, &order, &Steps::unwatched());
                (loss.evaluate(vectors.view(), &labels).unwrap(), tally.value, forces.to_vec())
            });
            for (level, outcome) in &outcomes {
                assert_eq!(outcome, &outcomes[0].1, "{level:?}, {loss:?}");
            }
        }
    }
}

#[test]
fn watched_work_tells_how_far_it_is_and_breaks_off() {
    use std::ops::ControlFlow;
    use std::sync::Mutex;

    let count = symmetric::MOST + 200;
    let vectors = random(13, count, 2);
    let labels = Labels::from_iter((0..count).map(|i| i / 3));
    for objective in [Objective::from(TripletLoss::batch_hard()), Lifted::default().into()] {
        let told = Mutex::new(Vec::new());
        let watched = objective.evaluate_watched(vectors.view(), &labels, &|done, total| {
            told.lock().unwrap().push((done, total));
            ControlFlow::Continue(())
        });
        assert_eq!(watched, objective.evaluate(vectors.view(), &labels));
        let mut told = told.into_inner().unwrap();
        told.sort_unstable();
        assert!(told.len() > 10 && told.last() == Some(&(count as u64, count as u64)));

        let broken = objective.evaluate_watched(vectors.view(), &labels, &|done, _| {
            if done > 1000 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        assert_eq!(broken, Err(Error::Interrupted));
    }
    let metric = Metric::default();
    let last = Mutex::new((0, 0));
    let watched =
        Percentiles::pairwise_distances_watched(vectors.view(), metric, &|done, total| {
            let mut last = last.lock().unwrap();
            *last = (*last).max((done, total));
            ControlFlow::Continue(())
        });
    assert_eq!(watched, Percentiles::pairwise_distances(vectors.view(), metric));
    assert_eq!(last.into_inner().unwrap(), (2 * count as u64, 2 * count as u64));
    let broken = Percentiles::pairwise_distances_watched(vectors.view(), metric, &|_, _| {
        ControlFlow::Break(())
    });
    assert_eq!(broken, Err(Error::Interrupted));
}

#[test]
fn batches_in_tiles_and_in_memory_agree() {
    let vectors = random(11, 150, 6);
    for classes in [3, 37] {
        let labels = Labels::from_iter((0..150).map(|i| i % classes));
        for loss in every_loss().filter(|loss| loss.reduction == Reduction::Mean) {
            let points = Points::new(vectors.view(), loss.metric).unwrap();
            let order = ClassOrder::new(&labels);
            let points = points.reordered(&order.items);
            let rule = Rule {
                penalty: loss.penalty,
                dense: loss.selection.is_dense(&order),
                weigh: &|row, points| loss.selection.weigh(row, points),
            };
            let (here, forces) = symmetric::evaluate(&rule, &points, &order);
            let (there, others) = gradient::evaluate(&rule, &points, &order, &Steps::unwatched());
            assert_eq!(
                (here.selected, here.active, here.violated),
                (there.selected, there.active, there.violated)
            );
            assert!((here.value - there.value).abs() <= 1e-6 * there.value.abs());
            let scale = others.iter().fold(0.0_f32, |most, g| most.max(g.abs()));
            for (x, y) in forces.iter().zip(others.iter()) {
                assert!((x - y).abs() <= 1e-5 * scale, "{x} {y} of {loss:?}");
            }
        }
    }
}

#[test]
fn dense_and_sparse_gradients_agree_on_two_items_a_class() {
    // With one positive and one negative an anchor has one triplet: `all` and `hard` coincide.
    let vectors = random(5, 3, 16);
    let labels = Labels::from_iter([0, 0, 1]);
    for normalize in [false, true] {
        let metric = Metric { distance: Distance::Euclidean, normalize };
        let hard = TripletLoss { metric, ..TripletLoss::batch_hard() };
        let all = TripletLoss { selection: Selection::All, ..hard };
        let hard = hard.evaluate(vectors.view(), &labels).unwrap();
        let all = all.evaluate(vectors.view(), &labels).unwrap();
        assert_eq!(hard.census, all.census);
        for (x, y) in hard.gradient.iter().zip(&all.gradient) {
            assert!((x - y).abs() < 1e-6, "{x} {y}");
        }
    }
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
        // Every direction is a sum of forces between pairs: they cancel over the batch.
        for total in here.gradient.sum_axis(Axis(0)) {
            assert!(total.abs() < 1e-5, "{total}");
        }
    }
}

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
    assert!(matches!(error, Err(Error::Parameter { parameter: "margin", .. })));
    assert!(TripletLoss::facenet().with_margin(0.0).check_trainable().is_err());
    assert!(TripletLoss::facenet().check_trainable().is_ok());
}

#[test]
fn names_go_there_and_back() {
    for preset in Preset::ALL {
        assert_eq!(preset.name().parse::<Preset>().unwrap(), preset);
    }
    let error = "batch-hrad".parse::<Preset>().unwrap_err().to_string();
    assert!(error.contains("`batch-hrad`") && error.contains("batch-hard"), "{error}");
}

proptest! {
    /// Coordinates on a small grid: ties and duplicates everywhere, and all arithmetic exact.
    #[test]
    fn ties_and_duplicates_are_counted_exactly(
        grid in prop::collection::vec(-2_i8..3, 36),
        classes in prop::collection::vec(0_u32..4, 36),
        dimensions in 1_usize..4,
        margin in 0_u8..3,
    ) {
        let count = grid.len() / dimensions;
        let values = grid[..count * dimensions].iter().map(|&x| f32::from(x)).collect();
        let vectors = Array2::from_shape_vec((count, dimensions), values).unwrap();
        for selection in selections() {
            // Its weights are no exact numbers, so that f32 and f64 may draw differently; and a
            // grid on a sphere has no exact ties.
            if matches!(selection, Selection::DistanceWeighted { .. }) {
                continue;
            }
            for distance in [Distance::Euclidean, Distance::SquaredEuclidean] {
                let loss = TripletLoss {
                    metric: distance.into(),
                    selection,
                    penalty: Penalty::Hinge { margin: f32::from(margin) },
                    reduction: Reduction::Mean,
                };
                check_value(&loss, &vectors, &classes[..count]);
            }
        }
    }
}
