//! Every objective against its definition in f64, with finite differences.

use super::super::reference;
use proptest::prelude::*;

use super::*;

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

#[test]
fn many_positives_agree_with_the_reference() {
    // Two classes of 75, so that every hinge and semi-hard kernel sorts instead of comparing.
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
                // The step is so small that no triplet becomes active or inactive.
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
            // Its weights are rounded, so that f32 and f64 may draw differently; and a grid on a
            // sphere has no exact ties.
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

/// Values, counts and gradients of an objective against its definition `value`.
fn check(
    objective: Objective,
    vectors: &Array2<f32>,
    classes: &[u32],
    value: impl Fn(&[Vec<f64>]) -> Reference,
) {
    let got = objective.evaluate(vectors.view(), &Labels::from_iter(classes)).unwrap();
    check_outcome(&got, &value(&rows(vectors)), &objective);
    let count = classes.len();
    let expected = reference::differences(&rows(vectors), count, |moved| value(moved).value);
    check_gradient(&got.gradient, &expected, &objective);
}

#[test]
fn multi_similarity_and_supervised_contrastive_agree_with_the_reference() {
    let vectors = random(16, 14, 3);
    for loss in every_multi_similarity() {
        check(loss.into(), &vectors, &CLASSES, |v| {
            reference::evaluate_multi_similarity(&loss, v, &CLASSES, 14)
        });
    }
    for loss in every_supervised_contrastive() {
        check(loss.into(), &vectors, &CLASSES, |v| {
            reference::evaluate_supervised_contrastive(&loss, v, &CLASSES, 14)
        });
    }
}

#[test]
fn exponents_do_not_overflow() {
    let vectors = random(17, 14, 3) * 1e4;
    let labels = Labels::from_iter(CLASSES);
    let metric = Metric::from(Distance::SquaredEuclidean);
    let objectives: [Objective; 2] = [
        MultiSimilarity::default().with_metric(metric).into(),
        SupervisedContrastive::default().with_metric(metric).with_temperature(1e-3).into(),
    ];
    for objective in objectives {
        let got = objective.evaluate(vectors.view(), &labels).unwrap();
        assert!(got.value.is_finite() && got.value > 1e6, "{objective}: {}", got.value);
        assert!(got.gradient.iter().all(|g| g.is_finite()), "{objective}");
    }
}

#[test]
fn false_negatives_are_ignored_as_the_reference_does() {
    let vectors = random(18, 14, 3);
    let labels = Labels::from_iter(CLASSES);
    let mut ignored = 0;
    for share in [0.95, 0.5] {
        let rule = FalseNegatives { share };
        for loss in every_loss().filter(|loss| loss.metric.on_sphere()) {
            let evaluation = loss.evaluation(vectors.view(), &labels);
            let got = evaluation.without_false_negatives(rule).run().unwrap();
            let value = |v: &[Vec<f64>]| {
                reference::evaluate_filtered(&loss, v, &CLASSES, 14, Some(share.into()))
            };
            check_outcome(&got, &value(&rows(&vectors)), &(loss, share));
            ignored += got.census.filtered;
            // The draws of some selections change with the smallest change of a vector.
            if matches!(loss.selection, Selection::All | Selection::Hard | Selection::SemiHard) {
                let at = rows(&vectors);
                let expected = reference::differences(&at, 14, |moved| value(moved).value);
                check_gradient(&got.gradient, &expected, &(loss, share));
            }
        }
    }
    assert!(ignored > 0);
}

#[test]
fn where_nothing_is_ignored_the_filter_changes_nothing() {
    // Classes are far apart on the sphere: every negative is less similar than half a positive.
    let vectors = Array2::from_shape_fn((14, 7), |(item, component)| {
        f32::from(u8::from(CLASSES[item] as usize % 7 == component))
            + 0.01 * (item * 7 + component) as f32 / 100.0
    });
    let labels = Labels::from_iter(CLASSES);
    for loss in every_loss().filter(|loss| loss.metric.on_sphere()) {
        let plain = loss.evaluate(vectors.view(), &labels).unwrap();
        let rule = FalseNegatives { share: 0.9 };
        let evaluation = loss.evaluation(vectors.view(), &labels);
        let filtered = evaluation.without_false_negatives(rule).run().unwrap();
        assert_eq!(filtered.census, plain.census, "{loss:?}");
        assert!((filtered.value - plain.value).abs() <= 1e-6 * plain.value + 1e-9, "{loss:?}");
    }
}

#[test]
fn a_filter_that_cannot_be_used_is_refused() {
    let vectors = random(19, 14, 3);
    let labels = Labels::from_iter(CLASSES);
    let refused = |objective: Objective, share| {
        let evaluation = objective.evaluation(vectors.view(), &labels);
        let error = evaluation.without_false_negatives(FalseNegatives { share }).run();
        error.unwrap_err().to_string()
    };
    for share in [0.0, -1.0, 1.1, f32::NAN] {
        let error = refused(TripletLoss::facenet().into(), share);
        assert!(error.contains("a share of the similarity in (0, 1]"), "{error}");
    }
    let error = refused(TripletLoss::batch_hard().into(), 0.95);
    assert!(error.contains("normalised embeddings"), "{error}");
    let error = refused(Lifted::default().into(), 0.95);
    assert!(error.contains("an objective that selects triplets"), "{error}");
}

#[test]
fn prefixes_add_up() {
    let (vectors, others) = (random(20, 14, 5), random(21, 9, 5));
    let labels = Labels::from_iter(CLASSES);
    let other_labels = Labels::from_iter((0..9).map(|item| item % 4));
    let cut = |vectors: &Array2<f32>, to: usize| vectors.slice(ndarray::s![.., ..to]).to_owned();
    for objective in [TripletLoss::facenet().into()].into_iter().chain(term_objectives()) {
        let of = |prefixes: &[usize]| {
            let evaluation = objective.evaluation(vectors.view(), &labels);
            let evaluation = evaluation.reference(others.view(), &other_labels);
            evaluation.prefixes(prefixes).run().unwrap()
        };
        let got = of(&[2, 5]);
        let (mut value, mut gradient) = (0.0, Array2::<f32>::zeros((14, 5)));
        let mut reference_gradient = Array2::<f32>::zeros((9, 5));
        for to in [2, 5] {
            let (part, other) = (cut(&vectors, to), cut(&others, to));
            let part = objective
                .evaluation(part.view(), &labels)
                .reference(other.view(), &other_labels)
                .run()
                .unwrap();
            value += part.value;
            let mut sum = gradient.slice_mut(ndarray::s![.., ..to]);
            sum += &part.gradient;
            let mut sum = reference_gradient.slice_mut(ndarray::s![.., ..to]);
            sum += &part.reference_gradient.unwrap();
            if to == 5 {
                assert_eq!(got.census, part.census);
            }
        }
        assert!((got.value - value).abs() < 1e-9);
        assert_eq!(got.gradient, gradient);
        assert_eq!(got.reference_gradient, Some(reference_gradient));
        assert_eq!(of(&[5]).gradient, of(&[]).gradient);
    }
    for prefix in [0, 6] {
        let evaluation = TripletLoss::facenet().evaluation(vectors.view(), &labels);
        let error = evaluation.prefixes(&[2, prefix]).run().unwrap_err().to_string();
        assert!(error.contains(&format!("prefixes is {prefix}")), "{error}");
    }
}
