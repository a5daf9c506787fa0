//! Tests of decisions on synthetic galleries and strangers.

use std::collections::BTreeMap;

use ndarray::Array2;
use rand::rngs::ChaCha8Rng;
use rand::{RngExt, SeedableRng};
use serde_json::json;
use tercet::Distance;

use super::*;
use crate::data::{Input, Preprocessing};
use crate::encoder::{EncoderConfig, EncoderOptions};
use crate::model::{FORMAT, Provenance};

const METRIC: Metric = Metric { distance: Distance::Euclidean, normalize: false };

/// Classes of `each` items in a cube of side 10; the items of a class differ by at most `wide` in
/// each coordinate.
fn crowd(seed: u64, classes: usize, each: usize, wide: f32) -> (Array2<f32>, Vec<String>) {
    let mut stream = ChaCha8Rng::seed_from_u64(seed);
    let mut rows = Array2::zeros((classes * each, 6));
    for class in 0..classes {
        let centre: [f32; 6] = std::array::from_fn(|_| stream.random_range(0.0..10.0));
        for item in 0..each {
            for (d, &x) in centre.iter().enumerate() {
                rows[[class * each + item, d]] = x + stream.random_range(0.0..wide);
            }
        }
    }
    (rows, (0..classes * each).map(|item| format!("class {}", item / each)).collect())
}

fn card(open_set: Option<OpenSet>) -> ModelCard {
    ModelCard {
        format: FORMAT,
        backbone: None,
        encoder: EncoderConfig::named("small-cnn", EncoderOptions::default()).unwrap(),
        preprocessing: Input::Images(Preprocessing::new(24, 24, 1)),
        distance: Distance::Euclidean,
        normalized: false,
        matryoshka: Vec::new(),
        threshold: Some(4.0),
        thresholds: BTreeMap::new(),
        calibration: None,
        open_set,
        compatible: None,
        provenance: Provenance {
            tercet: String::new(),
            config: serde_json::Value::Null,
            seed: 0,
            held_out: Vec::new(),
            data: String::new(),
            results: serde_json::Value::Null,
        },
    }
}

fn measured(wide: f32) -> OpenSet {
    let (rows, labels) = crowd(1, 60, 6, wide);
    let labels: Labels = labels.iter().collect();
    OpenSet::measure(rows.view(), &labels, METRIC, Bound::Upper, 0).unwrap()
}

fn decide(
    card: Option<&ModelCard>,
    gallery: &(Array2<f32>, Vec<String>),
    labelled: bool,
) -> Decision {
    let (rows, labels) = gallery;
    let classes = labels.iter().collect::<std::collections::BTreeSet<_>>().len() as u64;
    let items = labels.len() as u64;
    let size = GallerySize { items, classes: if labelled { classes } else { items } };
    let labels = labels.iter().map(|label| labelled.then(|| label.clone())).collect();
    let sample = Sample { vectors: rows.clone(), labels };
    Evidence::new(card, METRIC, Some(&sample))
        .unwrap()
        .decide(size, Ask::FalseMatches(FALSE_MATCHES))
}

/// The share of strangers that are called the same as some item.
fn false_matches(decision: &Decision, gallery: &Array2<f32>, strangers: &Array2<f32>) -> f64 {
    let distances = METRIC.distances(strangers.view(), gallery.view()).unwrap();
    let wrong = distances
        .outer_iter()
        .filter(|row| row.iter().any(|&distance| decision.same(distance) == Some(true)))
        .count();
    wrong as f64 / strangers.nrows() as f64
}

#[test]
fn a_gallery_of_the_models_kind_is_decided_by_the_model() {
    let card = card(Some(measured(1.0)));
    let gallery = crowd(2, 40, 6, 1.0);
    let strangers = crowd(3, 100, 3, 1.0).0;
    for labelled in [true, false] {
        let decision = decide(Some(&card), &gallery, labelled);
        assert_eq!(decision.basis, Some(Basis::Model), "{:?}", decision.note);
        assert!(false_matches(&decision, &gallery.0, &strangers) <= FALSE_MATCHES);
        assert!(decision.expected_known_found.unwrap() > 0.5, "{decision:?}");
        let threshold = decision.threshold.unwrap();
        assert!(
            decision.probability(threshold * 0.999).unwrap() >= 0.5,
            "same is likelier than not"
        );
        assert!(decision.probability(9.0).unwrap() < 0.01);
    }
}

#[test]
fn a_gallery_of_another_kind_does_not_silently_call_strangers_the_same() {
    let card = card(Some(measured(1.0)));
    // All items are five times as close together.
    let closer = |(rows, labels): (Array2<f32>, Vec<String>)| (rows * 0.2, labels);
    let gallery = closer(crowd(4, 40, 6, 1.0));
    let strangers = closer(crowd(5, 100, 3, 1.0)).0;
    for (labelled, basis) in [(true, Basis::Gallery), (false, Basis::ModelScaled)] {
        let decision = decide(Some(&card), &gallery, labelled);
        assert_eq!(decision.basis, Some(basis));
        assert!(decision.note.as_ref().unwrap().contains("close"), "{decision:?}");
        let wrong = false_matches(&decision, &gallery.0, &strangers);
        assert!(wrong <= FALSE_MATCHES, "{wrong} of the strangers are called the same");
    }
}

#[test]
fn an_old_card_is_decided_by_its_false_accept_rates_and_says_so() {
    let mut old = card(None);
    let gallery = crowd(6, 8, 6, 1.0);
    // Without a measurement and results, only the threshold for pairs is left.
    let decision = decide(Some(&old), &gallery, true);
    assert_eq!((decision.basis, decision.threshold), (Some(Basis::Pairs), Some(4.0)));
    assert!(decision.note.unwrap().contains("unknown classes"));
    assert_eq!(decision.false_matches_per_query, None);

    for (far, distance) in [("0.1", 6.0), ("0.01", 3.5), ("0.001", 2.0)] {
        old.thresholds.insert(far.to_owned(), distance);
    }
    let val = |val: f64| json!({ "val": val, "std": 0.0, "far": 0.0 });
    let rates = json!({ "0.1": val(1.0), "0.01": val(0.99), "0.001": val(0.9) });
    old.provenance.results =
        json!({ "after": { "verification": { "pairs": 20_000, "val_at_far": rates } } });
    let decision = decide(Some(&old), &gallery, true);
    assert_eq!(decision.basis, Some(Basis::FalseAcceptRates));
    assert!(decision.note.as_ref().unwrap().contains("earlier version"));
    assert!((0.1..2.0).contains(&decision.threshold.unwrap()), "{decision:?}");
    assert!(decision.probability(0.1).unwrap() > decision.probability(3.0).unwrap());
}

#[test]
fn without_a_model_a_labelled_gallery_decides_by_itself() {
    let gallery = crowd(7, 40, 6, 1.0);
    let decision = decide(None, &gallery, true);
    assert_eq!(decision.basis, Some(Basis::Gallery));
    let strangers = crowd(8, 100, 3, 1.0).0;
    assert!(false_matches(&decision, &gallery.0, &strangers) <= FALSE_MATCHES);
    let unlabelled = decide(None, &gallery, false);
    assert_eq!((unlabelled.threshold, unlabelled.basis), (None, None));
    assert_eq!((unlabelled.same(0.0), unlabelled.probability(0.0)), (None, None));
}

#[test]
fn a_threshold_that_is_given_wins_and_its_price_is_stated() {
    let card = card(Some(measured(1.0)));
    let evidence = Evidence::new(Some(&card), METRIC, None).unwrap();
    let size = GallerySize { items: 240, classes: 40 };
    let decision = evidence.decide(size, Ask::Distance(5.0));
    assert_eq!((decision.threshold, decision.basis), (Some(5.0), Some(Basis::Given)));
    assert!(decision.false_matches_per_query.unwrap() > 1.0, "{decision:?}");
    assert_eq!((decision.same(4.9), decision.same(5.0)), (Some(true), Some(false)));
}

#[test]
fn links_of_a_collection_are_rarer_than_those_of_pairs() {
    let card = card(Some(measured(1.0)));
    let (rows, labels) = crowd(9, 60, 10, 1.0);
    let (threshold, note) = link_threshold(&card, rows.view(), FALSE_MATCHES).unwrap().unwrap();
    assert_eq!(note, None);
    let distances = METRIC.distances(rows.view(), rows.view()).unwrap();
    let wrong = distances
        .indexed_iter()
        .filter(|&((one, other), &distance)| labels[one] != labels[other] && distance < threshold)
        .count();
    assert!(wrong as f64 / rows.nrows() as f64 <= FALSE_MATCHES, "{wrong} wrong links");
}
