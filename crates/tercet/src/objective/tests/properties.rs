//! Properties of every objective on any batch. Other tests cover duplicates and ties, on grids.

use ndarray::{Array2, Axis, concatenate};
use proptest::prelude::*;

use super::*;

fn draws(selection: Selection) -> bool {
    selection.with_seed(1) != selection.with_seed(2)
}

/// Every selection with a hinge, by the distance it is made for.
fn hinges(reduction: Reduction) -> impl Iterator<Item = TripletLoss> {
    selections().into_iter().flat_map(move |selection| {
        let needs_sphere = matches!(selection, Selection::DistanceWeighted { .. });
        Distance::ALL.map(|distance| TripletLoss {
            metric: Metric { distance, normalize: needs_sphere },
            selection,
            penalty: Penalty::Hinge { margin: 0.25 },
            reduction,
        })
    })
}

fn close(left: &Array2<f32>, right: &Array2<f32>, tolerance: f32) -> bool {
    let scale = right.iter().fold(1e-3_f32, |most, g| most.max(g.abs()));
    left.dim() == right.dim()
        && left.iter().zip(right).all(|(x, y)| (x - y).abs() <= tolerance * scale)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn permuting_the_batch_permutes_the_gradient(seed: u64, shift in 1_usize..20) {
        let vectors = random(seed, 20, 6);
        let classes: Vec<usize> = (0..20).map(|i| i % 6).collect();
        let turned: Vec<usize> = (0..20).map(|i| (i * 3 + shift) % 20).collect();
        let other = vectors.select(Axis(0), &turned);
        let labels = Labels::from_iter(&classes);
        let other_labels = Labels::from_iter(turned.iter().map(|&i| classes[i]));
        // Draws depend on the positions in the batch.
        let objectives = hinges(Reduction::Mean)
            .filter(|loss| !draws(loss.selection))
            .flat_map(|loss| [loss, TripletLoss { penalty: Penalty::Soft { margin: 0.0 }, ..loss }])
            .map(Objective::from)
            .chain(term_objectives());
        for objective in objectives {
            let here = objective.evaluate(vectors.view(), &labels).unwrap();
            let there = objective.evaluate(other.view(), &other_labels).unwrap();
            prop_assert!((here.value - there.value).abs() <= 1e-5 * here.value + 1e-7);
            prop_assert_eq!(here.census.selected, there.census.selected, "{}", objective);
            let expected = here.gradient.select(Axis(0), &turned);
            prop_assert!(close(&there.gradient, &expected, 1e-4), "{}", objective);
        }
    }

    /// If the margin is scaled too, a hinge scales like the distance: d(s·x) = s·d(x), s²·d(x), or
    /// d(x) on the sphere. A power of two scales without rounding, so that draws do not change
    /// either.
    #[test]
    fn hinges_are_homogeneous(seed: u64, exponent in -6_i32..7) {
        let scale = 2.0_f32.powi(exponent);
        let vectors = random(seed, 18, 4);
        let labels = Labels::from_iter((0..18).map(|i| i % 4));
        for loss in hinges(Reduction::Mean) {
            let factor = match loss.metric {
                metric if metric.on_sphere() => 1.0,
                Metric { distance: Distance::SquaredEuclidean, .. } => scale * scale,
                _ => scale,
            };
            let here = loss.evaluate(vectors.view(), &labels).unwrap();
            let there = loss
                .with_margin(0.25 * factor)
                .evaluate((&vectors * scale).view(), &labels)
                .unwrap();
            prop_assert_eq!(here.census.selected, there.census.selected, "{:?}", loss);
            prop_assert_eq!(here.census.active, there.census.active, "{:?}", loss);
            let expected = here.value * f64::from(factor);
            prop_assert!((there.value - expected).abs() <= 1e-5 * expected, "{:?}", loss);
            let expected = &here.gradient * (factor / scale);
            let shrunk = &there.gradient * (scale / factor);
            prop_assert!(close(&shrunk, &(&expected * (scale / factor)), 1e-4), "{:?}", loss);
        }
    }

    /// A class that is farther than the margin has no penalty, no gradient, and no effect on the
    /// others.
    #[test]
    fn an_irrelevant_class_changes_nothing(seed: u64, added in 1_usize..5) {
        let mut vectors = random(seed, 16, 4);
        // All in one direction, so that the other class is beyond every cutoff on the sphere too.
        vectors.column_mut(0).mapv_inplace(|x| 8.0 + x);
        let mut far = random(seed ^ 1, added, 4).mapv(|x| x / 8.0);
        far.column_mut(0).mapv_inplace(|x| x - 30.0);
        let all = concatenate(Axis(0), &[vectors.view(), far.view()]).unwrap();
        let labels = Labels::from_iter((0..16).map(|i| i % 4));
        let more = labels.chain(&Labels::from_iter(vec![9; added]));
        let objectives = hinges(Reduction::Sum)
            .flat_map(|loss| {
                let squared = Penalty::SquaredHinge { margin: 0.25 };
                [loss, TripletLoss { penalty: squared, ..loss }]
            })
            // By definition these two select far negatives: the farthest one as a fallback, or at
            // random.
            .filter(|loss| {
                !matches!(loss.selection, Selection::SemiHardFallback | Selection::Random { .. })
            })
            .map(Objective::from)
            .chain([Lifted { reduction: Reduction::Sum, ..Lifted::default() }.into()]);
        for objective in objectives {
            let here = objective.evaluate(vectors.view(), &labels).unwrap();
            let there = objective.evaluate(all.view(), &more).unwrap();
            let difference = (here.value - there.value).abs();
            prop_assert!(
                difference <= 1e-4 * here.value + 1e-4,
                "{:?}: {} {}", objective, here.value, there.value
            );
            let own = there.gradient.select(Axis(0), &(0..16).collect::<Vec<_>>());
            prop_assert!(close(&own, &here.gradient, 1e-3), "{:?}", objective);
            let others = there.gradient.select(Axis(0), &(16..16 + added).collect::<Vec<_>>());
            prop_assert!(others.iter().all(|g| g.abs() < 1e-5), "{:?}", objective);
        }
    }

    /// Distances depend on differences only, so a translation changes nothing, and a rotation rotates
    /// the gradient.
    #[test]
    fn translations_and_rotations(seed: u64, angle in 0.1_f32..3.0, shift in -4_i8..5) {
        let vectors = random(seed, 24, 4);
        let labels = Labels::from_iter((0..24).map(|i| i % 6));
        let (sine, cosine) = angle.sin_cos();
        let rotate = |vectors: &Array2<f32>| {
            let mut rotated = vectors.clone();
            rotated.column_mut(0).assign(&(&vectors.column(0) * cosine - &vectors.column(2) * sine));
            rotated.column_mut(2).assign(&(&vectors.column(0) * sine + &vectors.column(2) * cosine));
            rotated
        };
        for loss in hinges(Reduction::Mean).filter(|loss| !draws(loss.selection)) {
            let loss = loss.with_penalty(Penalty::Soft { margin: 0.0 });
            // By rounding, triplets at the edge of a band or of a tie may be selected or not.
            if !matches!(loss.selection, Selection::All | Selection::Hard | Selection::EasyPositive) {
                continue;
            }
            let here = loss.evaluate(vectors.view(), &labels).unwrap();
            let there = loss.evaluate(rotate(&vectors).view(), &labels).unwrap();
            prop_assert!((here.value - there.value).abs() <= 1e-5 * here.value, "{:?}", loss);
            prop_assert!(close(&there.gradient, &rotate(&here.gradient), 1e-3), "{:?}", loss);
            if loss.metric.distance != Distance::Cosine && !loss.metric.normalize {
                let moved = &vectors + f32::from(shift);
                let there = loss.evaluate(moved.view(), &labels).unwrap();
                prop_assert!((here.value - there.value).abs() <= 1e-4 * here.value, "{:?}", loss);
                prop_assert!(close(&there.gradient, &here.gradient, 1e-2), "{:?}", loss);
            }
        }
    }

    /// The gradients of a distance with respect to its two vectors are opposite, so without
    /// normalisation the rows of the gradient add up to 0. A sum is a mean times the number of its
    /// terms.
    #[test]
    fn rows_of_the_gradient_cancel_and_sums_are_means_times_counts(seed: u64) {
        let vectors = random(seed, 26, 5);
        let labels = Labels::from_iter((0..26).map(|i| i % 5));
        for loss in hinges(Reduction::Mean) {
            let mean = loss.evaluate(vectors.view(), &labels).unwrap();
            let sum = loss.with_reduction(Reduction::Sum).evaluate(vectors.view(), &labels).unwrap();
            let count = mean.census.selected as f64;
            prop_assert!((mean.value * count - sum.value).abs() <= 1e-9 * sum.value, "{:?}", loss);
            let expected = mean.gradient.mapv(|g| (f64::from(g) * count) as f32);
            prop_assert!(close(&sum.gradient, &expected, 1e-5), "{:?}", loss);
            if loss.metric.on_sphere() {
                continue;
            }
            let scale = sum.gradient.iter().fold(1e-3_f32, |most, g| most.max(g.abs()));
            for total in sum.gradient.sum_axis(Axis(0)) {
                prop_assert!(total.abs() <= 1e-4 * scale, "{:?}: {}", loss, total);
            }
        }
    }
}
