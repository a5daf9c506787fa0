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
