//! The engines agree with each other, on every instruction set and with any number of threads.

use std::ops::ControlFlow;
use std::sync::Mutex;

use ndarray::{Axis, concatenate, s};

use super::super::engine::LARGEST_IN_MEMORY;
use super::*;
use crate::simd::levels;
use crate::{Error, Percentiles};

/// Every objective with its mean; other reductions differ only in a division.
fn every_objective() -> impl Iterator<Item = Objective> {
    let losses = every_loss().filter(|loss| loss.reduction == Reduction::Mean);
    let terms = metrics().flat_map(|metric| {
        [
            Objective::from(Lifted::default().with_metric(metric)),
            MultiSimilarity::default().with_metric(metric).into(),
            SupervisedContrastive::default().with_metric(metric).into(),
        ]
    });
    losses.map(Objective::from).chain(terms)
}

fn tiled(objective: Objective, vectors: &Array2<f32>, labels: &Labels) -> Outcome {
    objective.evaluation(vectors.view(), labels).in_memory(0).run().unwrap()
}

/// The last rows are frozen but still anchors, so everything is computed as for the whole batch,
/// with separate anchors and candidates.
fn partly_frozen(
    objective: Objective,
    vectors: &Array2<f32>,
    labels: &Labels,
    batch: usize,
) -> Outcome {
    let items: Vec<u32> = (0..labels.len() as u32).collect();
    let (own, frozen) = (labels.select(&items[..batch]), labels.select(&items[batch..]));
    let (vectors, others) = (vectors.slice(s![..batch, ..]), vectors.slice(s![batch.., ..]));
    objective.evaluation(vectors, &own).frozen(others, &frozen).frozen_anchors().run().unwrap()
}

fn assert_close(left: &Outcome, right: &Outcome, what: &dyn std::fmt::Debug) {
    let counts = |census: &Census| {
        (census.triplets, census.selected, census.active, census.violated, census.anchors)
    };
    assert_eq!(counts(&left.census), counts(&right.census), "{what:?}");
    let means = |census: &Census| (census.mean_positive_distance, census.mean_negative_distance);
    let (here, there) = (means(&left.census), means(&right.census));
    assert!(
        (here.0 - there.0).abs() <= 1e-6 * there.0 && (here.1 - there.1).abs() <= 1e-6 * there.1
    );
    let difference = (left.value - right.value).abs();
    assert!(difference <= 2e-6 * right.value + 1e-9, "{what:?}: {} {}", left.value, right.value);
    let scale = right.gradient.iter().fold(0.0_f32, |most, g| most.max(g.abs()));
    for (x, y) in left.gradient.iter().zip(&right.gradient) {
        assert!((x - y).abs() <= 2e-5 * scale + 1e-9, "{what:?}: {x} {y}");
    }
}

fn assert_engines_agree(objective: Objective, vectors: &Array2<f32>, labels: &Labels) {
    let in_memory = objective.evaluate(vectors.view(), labels).unwrap();
    assert_close(&tiled(objective, vectors, labels), &in_memory, &objective);
    let batch = 2 * vectors.nrows() / 3;
    let separate = partly_frozen(objective, vectors, labels, batch);
    let mut expected = in_memory;
    expected.gradient = expected.gradient.slice(s![..batch, ..]).to_owned();
    assert_close(&separate, &expected, &objective);
}

#[test]
fn in_memory_tiled_and_separate_anchors_agree() {
    let vectors = random(11, 150, 6);
    for classes in [3, 37] {
        let labels = Labels::from_iter((0..150).map(|i| i % classes));
        every_objective().for_each(|objective| assert_engines_agree(objective, &vectors, &labels));
    }
}

#[test]
fn engines_agree_on_ties_and_duplicates() {
    // Whole numbers: all arithmetic is exact, and many distances are equal or 0.
    let vectors = random(12, 90, 2).mapv(|x| (x * 3.0).round());
    let labels = Labels::from_iter((0..90).map(|i| i % 7));
    let exact = every_objective().filter(|objective| {
        let metric = objective.metric();
        metric.distance != Distance::Cosine && !metric.normalize
    });
    exact.for_each(|objective| assert_engines_agree(objective, &vectors, &labels));
}

#[test]
fn engines_agree_on_near_duplicates() {
    // Pairs that the Gram form cannot resolve, in every round and every band.
    let mut vectors = random(13, 140, 8);
    for i in (0..140).step_by(5) {
        let near = &vectors.row(i) * 1.0001;
        vectors.row_mut((i + 71) % 140).assign(&near);
    }
    let labels = Labels::from_iter((0..140).map(|i| i % 20));
    for loss in triplet_presets() {
        let metric = Metric { distance: Distance::Euclidean, normalize: false };
        assert_engines_agree(loss.with_metric(metric).into(), &vectors, &labels);
    }
}

#[test]
fn engines_agree_on_many_positives() {
    // More than 255 positives: bucket tables instead of trees.
    let vectors = random(14, 640, 3);
    let labels = Labels::from_iter((0..640).map(|i| i % 2));
    for penalty in penalties() {
        for selection in [Selection::All, Selection::SemiHard] {
            let loss = TripletLoss::batch_all().with_selection(selection).with_penalty(penalty);
            assert_engines_agree(loss.into(), &vectors, &labels);
        }
    }
    for objective in term_objectives() {
        assert_engines_agree(objective, &vectors, &labels);
    }
}

#[test]
fn batches_of_several_rounds_agree_with_one_round() {
    // More rows than a round takes, and more than are computed in memory.
    let count = LARGEST_IN_MEMORY + 200;
    let vectors = random(15, count, 2);
    let labels = Labels::from_iter((0..count).map(|i| i / 3));
    for objective in [TripletLoss::batch_hard().into(), TripletLoss::batch_all().into()] {
        let objective: Objective = objective;
        let evaluation = objective.evaluation(vectors.view(), &labels);
        let in_memory = evaluation.in_memory(count).run().unwrap();
        assert_close(&evaluation.run().unwrap(), &in_memory, &objective);
    }
}

#[test]
fn a_batch_and_its_rest_as_frozen_candidates_add_up() {
    // With sums, the anchors of both halves together are the anchors of the whole batch.
    let vectors = random(16, 60, 4);
    let labels = Labels::from_iter((0..60).map(|i| i % 8));
    let items: Vec<u32> = (0..60).collect();
    let (first, second) = (labels.select(&items[..25]), labels.select(&items[25..]));
    let (left, right) = (vectors.slice(s![..25, ..]), vectors.slice(s![25.., ..]));
    // Draws depend on the index of an item, which is a different one in the second half.
    let drawn = |loss: &TripletLoss| loss.with_seed(1) != loss.with_seed(2);
    for loss in every_loss().filter(|loss| loss.reduction == Reduction::Sum && !drawn(loss)) {
        let whole = loss.evaluate(vectors.view(), &labels).unwrap();
        let here = loss.evaluation(left, &first).frozen(right, &second).run().unwrap();
        let there = loss.evaluation(right, &second).frozen(left, &first).run().unwrap();
        assert_eq!(here.census.selected + there.census.selected, whole.census.selected);
        assert_eq!(here.census.active + there.census.active, whole.census.active);
        let sum = here.value + there.value;
        assert!((sum - whole.value).abs() <= 1e-5 * whole.value + 1e-6, "{loss:?}");
    }
}

#[test]
fn reference_vectors_are_the_only_candidates_and_receive_a_gradient() {
    let (vectors, others) = (random(17, 9, 3), random(18, 14, 3));
    // Class 4 has no reference vector, and class 5 no anchor.
    let classes = [0, 1, 2, 0, 1, 3, 4, 3, 2];
    let reference_classes = [0, 1, 2, 3, 0, 1, 2, 3, 5, 0, 1, 2, 5, 0];
    let all = concatenate(Axis(0), &[vectors.view(), others.view()]).unwrap();
    let (own, reference) = (Labels::from_iter(classes), Labels::from_iter(reference_classes));
    for distance in Distance::ALL {
        for penalty in penalties() {
            for (selection, reduction) in [
                (Selection::All, Reduction::Mean),
                (Selection::All, Reduction::Sum),
                (Selection::Hard, Reduction::Mean),
                (Selection::SemiHardFallback, Reduction::MeanActive),
            ] {
                let metric = Metric::from(distance);
                let loss = TripletLoss { metric, selection, penalty, reduction };
                let got = loss
                    .evaluation(vectors.view(), &own)
                    .reference(others.view(), &reference)
                    .run()
                    .unwrap();
                let distances = metric.distances(vectors.view(), others.view()).unwrap();
                let mut triplets: Vec<[u32; 3]> = Vec::new();
                for (a, &class) in classes.iter().enumerate() {
                    let side = |same: bool| -> Vec<usize> {
                        let is = |n: &usize| (reference_classes[*n] == class) == same;
                        (0..14).filter(is).collect()
                    };
                    let (positives, negatives) = (side(true), side(false));
                    let d = |n: &usize| distances[[a, *n]];
                    let by = |x: &&usize, y: &&usize| d(x).total_cmp(&d(y));
                    let mut take = |p: usize, n: usize| {
                        triplets.push([a as u32, 9 + p as u32, 9 + n as u32]);
                    };
                    if positives.is_empty() {
                        continue;
                    }
                    match selection {
                        Selection::All => {
                            for &p in &positives {
                                negatives.iter().for_each(|&n| take(p, n));
                            }
                        }
                        Selection::Hard => take(
                            *positives.iter().max_by(by).unwrap(),
                            *negatives.iter().min_by(by).unwrap(),
                        ),
                        _ => {
                            for p in &positives {
                                let above = negatives.iter().filter(|n| d(n) > d(p)).min_by(by);
                                let n = above.or(negatives.iter().max_by(by)).unwrap();
                                take(*p, *n);
                            }
                        }
                    }
                }
                let expected = loss.evaluate_triplets(all.view(), &triplets).unwrap();
                assert_eq!(got.census.selected, expected.census.selected, "{loss:?}");
                assert_eq!(got.census.active, expected.census.active, "{loss:?}");
                assert!((got.value - expected.value).abs() <= 1e-5 * expected.value + 1e-7);
                let reference_gradient = got.reference_gradient.unwrap();
                let both = concatenate(Axis(0), &[got.gradient.view(), reference_gradient.view()])
                    .unwrap();
                let scale = expected.gradient.iter().fold(1e-3_f32, |most, g| most.max(g.abs()));
                for (x, y) in both.iter().zip(&expected.gradient) {
                    assert!((x - y).abs() <= 1e-4 * scale, "{loss:?}: {x} {y}");
                }
            }
        }
    }
}

#[test]
fn every_instruction_set_gives_the_same_outcome() {
    let vectors = random(12, 83, 19);
    for classes in [3, 21] {
        let labels = Labels::from_iter((0..83).map(|i| i % classes));
        for objective in every_objective() {
            let outcomes = levels::on_each(|| {
                let in_memory = objective.evaluate(vectors.view(), &labels).unwrap();
                (in_memory, tiled(objective, &vectors, &labels))
            });
            for (level, outcome) in &outcomes {
                assert_eq!(outcome, &outcomes[0].1, "{level:?}, {objective:?}");
            }
        }
    }
}

#[test]
fn results_depend_on_the_number_of_threads_only_by_rounding() {
    let vectors = random(19, 700, 5);
    let labels = Labels::from_iter((0..700).map(|i| i % 9));
    let pools = [1, 2, 7].map(|n| rayon::ThreadPoolBuilder::new().num_threads(n).build().unwrap());
    for loss in triplet_presets() {
        for in_memory in [0, LARGEST_IN_MEMORY] {
            let evaluation = loss.evaluation(vectors.view(), &labels).in_memory(in_memory);
            let run = || evaluation.run().unwrap();
            let [one, two, seven] = pools.each_ref().map(|pool| pool.install(run));
            assert_close(&two, &one, &loss);
            assert_close(&seven, &one, &loss);
            assert_eq!(pools[1].install(run), two, "the same number of threads, the same bits");
        }
    }
}

#[test]
fn progress_is_reported_and_can_stop_the_work() {
    let count = LARGEST_IN_MEMORY + 200;
    let vectors = random(13, count, 2);
    let labels = Labels::from_iter((0..count).map(|i| i / 3));
    for objective in [TripletLoss::batch_hard().into()].into_iter().chain(term_objectives()) {
        let reports = Mutex::new(Vec::new());
        let report = |done, total| {
            reports.lock().unwrap().push((done, total));
            ControlFlow::Continue(())
        };
        let evaluation = objective.evaluation(vectors.view(), &labels);
        assert_eq!(evaluation.progress(&report).run(), evaluation.run());
        let mut reports = reports.lock().unwrap().clone();
        reports.sort_unstable();
        assert!(reports.len() > 5 && reports.last() == Some(&(count as u64, count as u64)));

        let stop = |done, _| match done > 1000 {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        };
        assert_eq!(evaluation.progress(&stop).run(), Err(Error::Interrupted));
        // Progress and frozen candidates at the same time.
        let frozen = evaluation.frozen(vectors.view(), &labels);
        assert_eq!(frozen.progress(&stop).run(), Err(Error::Interrupted));
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
    let stopped = Percentiles::pairwise_distances_watched(vectors.view(), metric, &|_, _| {
        ControlFlow::Break(())
    });
    assert_eq!(stopped, Err(Error::Interrupted));
}

#[test]
fn a_gradient_is_written_into_a_buffer_of_the_caller() {
    let vectors = random(20, 30, 4);
    let classes: Vec<u32> = (0..30).map(|i| i % 5).collect();
    let labels = Labels::from_classes(&classes);
    let loss = TripletLoss::facenet();
    let outcome = loss.evaluate(vectors.view(), &labels).unwrap();
    let mut gradient = vec![f32::NAN; 120];
    let evaluation = loss.evaluation(vectors.view(), &labels);
    let (value, census) = evaluation.run_into(&mut gradient).unwrap();
    assert_eq!((value, census), (outcome.value, outcome.census));
    assert_eq!(gradient, outcome.gradient.iter().copied().collect::<Vec<_>>());
    assert!(evaluation.run_into(&mut gradient[..119]).is_err());
    assert!(evaluation.frozen_anchors().run().is_err());
}
