//! Tests of open-set rates: bounds that hold for other classes, thresholds, and probabilities.

use ndarray::Array2;
use proptest::prelude::*;
use rand::rngs::ChaCha8Rng;
use rand::{RngExt, SeedableRng};

use super::*;
use crate::{Labels, Metric};

/// A standard normal number.
fn normal(stream: &mut ChaCha8Rng) -> f32 {
    let (u, v): (f64, f64) = (stream.random_range(1e-12..1.0), stream.random_range(0.0..1.0));
    ((-2.0 * u.ln()).sqrt() * (std::f64::consts::TAU * v).cos()) as f32
}

/// Classes around centres whose spread is `apart` times that of the items of a class. With
/// look-alikes, one class in ten is almost a copy of the class before it.
struct Clusters {
    stream: ChaCha8Rng,
    dimensions: usize,
    apart: f32,
    alike: bool,
}

impl Clusters {
    fn new(seed: u64, dimensions: usize, apart: f32) -> Self {
        Self { stream: ChaCha8Rng::seed_from_u64(seed), dimensions, apart, alike: true }
    }

    fn without_look_alikes(self) -> Self {
        Self { alike: false, ..self }
    }

    fn draw(&mut self, classes: usize, each: usize) -> (Array2<f32>, Labels) {
        let mut rows = Array2::zeros((classes * each, self.dimensions));
        let mut centre = vec![0.0; self.dimensions];
        for class in 0..classes {
            let moved = if self.alike && class % 10 == 9 { 0.3 } else { 1.0 };
            for x in &mut centre {
                let step = self.apart * normal(&mut self.stream);
                *x = if moved < 1.0 { *x + moved * step } else { step };
            }
            for item in 0..each {
                for (d, &x) in centre.iter().enumerate() {
                    rows[[class * each + item, d]] = x + normal(&mut self.stream);
                }
            }
        }
        (rows, (0..classes * each).map(|item| item / each).collect())
    }
}

/// The share of strangers that find an item nearer than the threshold, and of known queries that
/// find their class, in a gallery of the first classes.
fn observed(rows: &Array2<f32>, labels: &Labels, held: usize, threshold: f32) -> (f64, f64) {
    let in_gallery: Vec<usize> =
        (0..rows.nrows()).filter(|&item| (labels.classes()[item] as usize) < held).collect();
    let gallery = rows.select(ndarray::Axis(0), &in_gallery);
    let distances = Metric::default().distances(rows.view(), gallery.view()).unwrap();
    let (mut strangers, mut wrong, mut known, mut found) = (0.0, 0.0, 0.0, 0.0);
    for (item, row) in distances.outer_iter().enumerate() {
        let own = labels.classes()[item];
        let near = |same: bool| {
            row.iter().zip(&in_gallery).any(|(&distance, &other)| {
                other != item && (labels.classes()[other] == own) == same && distance < threshold
            })
        };
        if (own as usize) < held {
            known += 1.0;
            found += f64::from(u8::from(near(true)));
        } else {
            strangers += 1.0;
            wrong += f64::from(u8::from(near(false)));
        }
    }
    (wrong / strangers, found / known)
}

#[test]
fn strangers_are_taken_for_the_same_at_most_at_the_stated_rate() {
    for (dimensions, apart) in [(8, 4.0), (16, 2.5), (32, 2.0)] {
        let mut clusters = Clusters::new(dimensions as u64, dimensions, apart);
        let (rows, labels) = clusters.draw(60, 8);
        let measured =
            OpenSet::measure(rows.view(), &labels, Metric::default(), Bound::Upper, 0).unwrap();
        // Galleries that are smaller and larger than the measured set, with more and fewer items
        // per class.
        for (held, each) in [(5, 8), (20, 8), (20, 20), (150, 4), (300, 1)] {
            let (rows, labels) = clusters.draw(held + 100, each);
            let items = (held * each) as u64;
            for classes in [held as u64, items] {
                let gallery = GallerySize { items, classes };
                for rate in [0.01, 0.05] {
                    let threshold = measured.threshold(rate, gallery);
                    let (wrong, _) = observed(&rows, &labels, held, threshold);
                    let case = format!("{dimensions}-D, {held}×{each}, {classes} classes");
                    assert!(wrong <= rate, "{case}: {wrong} at {rate}");
                }
            }
        }
    }
}

#[test]
fn the_share_of_known_queries_that_are_found_is_as_expected() {
    let mut clusters = Clusters::new(5, 8, 5.0).without_look_alikes();
    let (rows, labels) = clusters.draw(80, 6);
    let measured =
        OpenSet::measure(rows.view(), &labels, Metric::default(), Bound::Upper, 0).unwrap();
    let (rows, labels) = clusters.draw(140, 6);
    let gallery = GallerySize { items: 240, classes: 40 };
    let threshold = measured.threshold(0.01, gallery);
    let (_, found) = observed(&rows, &labels, 40, threshold);
    let expected = measured.known_found(threshold, gallery);
    assert!((found - expected).abs() < 0.1, "{found} against {expected}");
    assert!(found > 0.5, "only {found} of the known queries are found");
}

#[test]
fn probabilities_under_the_prior_are_calibrated() {
    let mut clusters = Clusters::new(6, 8, 3.0);
    let (rows, labels) = clusters.draw(100, 5);
    let measured =
        OpenSet::measure(rows.view(), &labels, Metric::default(), Bound::Median, 0).unwrap();
    let (rows, labels) = clusters.draw(100, 5);
    let distances = Metric::default().distances(rows.view(), rows.view()).unwrap();
    // Of the 499 other items of an item, 4 are of its class.
    let prior = 4.0 / 499.0;
    let mut bins = vec![(0.0, 0.0, 0.0); 5];
    for one in 0..500 {
        for other in 0..500 {
            if one != other {
                let p = measured.probability(distances[[one, other]], prior);
                let bin = &mut bins[((p * 5.0) as usize).min(4)];
                bin.0 += 1.0;
                bin.1 += p;
                bin.2 += f64::from(u8::from(labels.classes()[one] == labels.classes()[other]));
            }
        }
    }
    for (pairs, predicted, same) in bins {
        assert!(pairs > 50.0, "{pairs}");
        let (predicted, same) = (predicted / pairs, same / pairs);
        assert!((predicted - same).abs() < 0.15, "predicted {predicted}, observed {same}");
    }
}

#[test]
fn copies_in_two_classes_leave_no_distance_that_is_safe() {
    let labels: Labels = [0, 0, 1, 1, 2, 2].into_iter().collect();
    let rows = ndarray::array![[0.0_f32], [0.1], [0.0], [0.1], [0.0], [0.1]];
    let measured =
        OpenSet::measure(rows.view(), &labels, Metric::default(), Bound::Upper, 0).unwrap();
    let gallery = GallerySize { items: 6, classes: 3 };
    assert_eq!(measured.threshold(0.01, gallery), 0.0);
    assert!(measured.false_matches(0.0, gallery) > 0.5);
}

#[test]
fn too_little_to_measure_is_an_error() {
    let rows = Array2::zeros((3, 2));
    let of = |labels: [u32; 3]| {
        let labels: Labels = labels.into_iter().collect();
        OpenSet::measure(rows.view(), &labels, Metric::default(), Bound::Upper, 0).unwrap_err()
    };
    assert!(matches!(of([0, 0, 0]), Error::NotEnough { .. }));
    assert!(matches!(of([0, 1, 2]), Error::NotEnough { .. }));
    let two: Labels = [0, 1].into_iter().collect();
    let error = OpenSet::measure(rows.view(), &two, Metric::default(), Bound::Upper, 0);
    assert_eq!(error.unwrap_err(), Error::LabelCount { rows: 3, labels: 2 });
}

#[test]
fn many_items_are_sampled_by_whole_classes() {
    let mut clusters = Clusters::new(7, 4, 3.0);
    let (rows, labels) = clusters.draw(900, 5);
    let measure =
        |seed| OpenSet::measure(rows.view(), &labels, Metric::default(), Bound::Upper, seed);
    let measured = measure(0).unwrap();
    assert_eq!((measured.items(), measured.classes()), (3000, 750));
    assert_eq!(measured, measure(0).unwrap());
    assert_ne!(measured, measure(1).unwrap());
}

#[test]
fn files_hold_what_was_measured_and_damage_is_refused() {
    let (rows, labels) = Clusters::new(8, 4, 3.0).draw(20, 4);
    let measured =
        OpenSet::measure(rows.view(), &labels, Metric::default(), Bound::Upper, 0).unwrap();
    let text = serde_json::to_string(&measured).unwrap();
    assert_eq!(serde_json::from_str::<OpenSet>(&text).unwrap(), measured);
    let mut damaged: serde_json::Value = serde_json::from_str(&text).unwrap();
    damaged["item_rate"]["rates"][0] = 0.99.into();
    assert!(serde_json::from_value::<OpenSet>(damaged.clone()).is_err());
    damaged["item_rate"]["rates"] = serde_json::json!([]);
    damaged["item_rate"]["distances"] = serde_json::json!([]);
    assert!(serde_json::from_value::<OpenSet>(damaged).is_err());
}

#[test]
fn false_accept_rates_give_an_approximation() {
    let point = |distance, far, val| Operating { distance, far, val };
    let points = [point(2.0, 0.1, 0.95), point(1.0, 0.001, 0.6), point(1.5, 0.01, 0.85)];
    let known = OpenSet::from_false_accepts(&points, 100_000).unwrap();
    let gallery = |items| GallerySize { items, classes: items };
    let thresholds = [10, 100, 1000].map(|items| known.threshold(0.01, gallery(items)));
    assert!(thresholds.is_sorted_by(|one, other| one > other), "{thresholds:?}");
    assert!((0.5..=1.0).contains(&thresholds[0]), "{thresholds:?}");
    assert!(known.probability(0.5, 0.01) > known.probability(1.9, 0.01));
    assert!(OpenSet::from_false_accepts(&points[..1], 100_000).is_err());
    assert!(OpenSet::from_false_accepts(&points, 0).is_err());
}

#[test]
fn upper_limits_of_counts_are_those_of_the_tables() {
    // Half the 99 % quantiles of chi-squared with 2 (count + 1) degrees of freedom: the one-sided
    // limits of a Poisson variable at √2 times the normal quantile of 95 %.
    for (count, limit) in [(0.0, 4.605), (1.0, 6.638), (5.0, 13.108), (20.0, 33.103)] {
        let found = measure::upper_count(count, 1.0, Bound::Upper);
        assert!((found - limit).abs() < 0.05, "{count}: {found}");
    }
    assert_eq!(
        measure::upper_count(10.0, 2.0, Bound::Upper),
        2.0 * measure::upper_count(5.0, 1.0, Bound::Upper)
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn bounds_are_monotone_and_scale_with_the_gallery(
        seed in 0_u64..1000,
        classes in 2_usize..12,
        each in 2_usize..6,
        apart in 0.5_f32..5.0,
        items in 1_u64..100_000,
        share in 0.05_f64..1.0,
        rates in prop::array::uniform2(1e-4_f64..0.9),
    ) {
        let (rows, labels) = Clusters::new(seed, 3, apart).draw(classes, each);
        let metric = Metric::default();
        let measured = OpenSet::measure(rows.view(), &labels, metric, Bound::Upper, 0).unwrap();
        let known = ((items as f64 * share) as u64).max(1);
        let galleries = [
            GallerySize { items, classes: known },
            GallerySize { items, classes: items },
        ];
        for gallery in galleries {
            let mut before = (0.0, 0.0, 1.0);
            for step in 0..40 {
                let at = step as f32 * 0.25;
                let matches = measured.false_matches(at, gallery);
                let found = measured.known_found(at, gallery);
                let probability = measured.probability(at, gallery.prior(0.5));
                prop_assert!((0.0..=items as f64).contains(&matches));
                prop_assert!((0.0..=1.0).contains(&found) && (0.0..=1.0).contains(&probability));
                prop_assert!(matches >= before.0 && found >= before.1 && probability <= before.2);
                before = (matches, found, probability);
                // Twice the gallery has at most twice, and no fewer, false matches.
                let twice = GallerySize { items: 2 * items, classes: 2 * gallery.classes };
                let doubled = measured.false_matches(at, twice);
                prop_assert!(doubled >= matches && doubled <= 2.0 * matches + 1e-9);
            }
            let [low, high] = if rates[0] < rates[1] { rates } else { [rates[1], rates[0]] };
            let (strict, loose) = (measured.threshold(low, gallery), measured.threshold(high, gallery));
            prop_assert!(strict <= loose);
            prop_assert!(measured.false_matches(strict, gallery) <= low);
            // Knowing the classes never makes the bound on items less strict.
            prop_assert!(measured.threshold(low, galleries[0]) >= measured.threshold(low, galleries[1]));
            let prior = gallery.prior(0.5);
            let even = measured.distance(0.5, prior);
            prop_assert!(even == 0.0 || measured.probability(even, prior) >= 0.5 - 1e-9);
        }
    }

    #[test]
    fn distances_scale_with_the_vectors(factor in 0.1_f32..10.0) {
        let (rows, labels) = Clusters::new(9, 4, 3.0).draw(20, 4);
        let metric = Metric::default();
        let measured = OpenSet::measure(rows.view(), &labels, metric, Bound::Upper, 0).unwrap();
        let gallery = GallerySize { items: 100, classes: 20 };
        let scaled = measured.scaled(factor).threshold(0.01, gallery);
        let own = (&rows * factor).to_owned();
        let own = OpenSet::measure(own.view(), &labels, metric, Bound::Upper, 0).unwrap();
        let own = own.threshold(0.01, gallery);
        prop_assert!((scaled - own).abs() < 1e-3 * own, "{scaled} {own}");
    }
}
