//! The page as a whole: escaped, balanced, self-contained, whatever the report holds.

#![allow(clippy::unwrap_used, reason = "a test may fail loudly")]

mod markup;

use markup::{HOSTILE, assert_balanced, assert_self_contained, png};
use tercet_report::{
    ConfusedPair, DistanceHistogram, Judged, Measured, Neighbour, Picture, Strip, TrainingReport,
};

fn picture() -> Picture {
    Picture { png: png(), label: HOSTILE.into(), id: HOSTILE.into() }
}

/// A report in which every string is hostile and every part is filled.
fn hostile() -> TrainingReport {
    let text = || HOSTILE.to_string();
    let judged = |value| Judged {
        name: text(),
        recall_at_1: Measured { value, interval: Some([value - 0.01, value + 0.01]) },
        ..Judged::default()
    };
    TrainingReport {
        title: text(),
        verdict: text(),
        summary: vec![(text(), text())],
        judged: vec![judged(0.4), judged(0.9)],
        learning_rate: vec![(0, 1e-3), (10, 1e-4)],
        judged_on: String::new(),
        loss: (0..300).map(|step| (step, 1.0 / (step as f64 + 1.0))).collect(),
        active_share: vec![(0, 1.0), (100, 0.5)],
        violated_share: vec![(0, 0.6), (100, 0.1)],
        recall_at_1: vec![(0, 0.4), (100, 0.9)],
        map_at_r: vec![(0, 0.3)],
        norms: vec![(0, [0.0, 1.0, 2.0, 3.0, 4.0]); 3],
        distances: vec![(0, [f64::NAN; 5])],
        histograms: vec![
            DistanceHistogram {
                name: text(),
                from: 0.0,
                to: 2.0,
                same: vec![0.9, 0.1],
                different: vec![0.2, 0.8],
            },
            DistanceHistogram::default(),
        ],
        threshold: Some(1.0),
        verification: vec![(text(), text())],
        confused: vec![ConfusedPair {
            classes: [text(), text()],
            errors: 3,
            places: 12,
            example: [picture(), picture()],
            distance: 0.25,
        }],
        strips: vec![Strip {
            query: picture(),
            neighbours: vec![
                Neighbour { picture: picture(), distance: 0.5, right: true },
                Neighbour {
                    picture: Picture { png: b"no picture".to_vec(), ..picture() },
                    distance: f64::NAN,
                    right: false,
                },
            ],
            average_precision: 1.0,
        }],
        notes: vec![text()],
    }
}

#[test]
fn every_string_is_escaped() {
    let page = hostile().to_html().unwrap();
    assert!(!page.contains("<script>alert"));
    assert!(!page.contains("alert(\""));
    assert_eq!(page.matches("<script>").count(), 1);
}

#[test]
fn the_page_is_balanced_and_fetches_nothing() {
    for report in [hostile(), TrainingReport::default()] {
        let page = report.to_html().unwrap();
        assert_balanced(&page);
        assert_self_contained(&page);
    }
}

#[test]
fn an_empty_report_says_so() {
    let page = TrainingReport::default().to_html().unwrap();
    assert!(page.contains("No measurements were kept while training."));
    assert!(!page.contains("<svg") && !page.contains("<table"));
}

#[test]
fn the_best_of_a_column_is_bold() {
    let page = hostile().to_html().unwrap();
    assert!(page.contains("<strong>90.0</strong>"));
    assert!(!page.contains("<strong>40.0</strong>"));
    assert!(page.contains("+50.0 points over"));
    // Narrow screens show the column's name beside each value, and every figure is explained.
    assert!(page.contains("<td data-name=\"MAP@R\">") && page.contains("What the figures mean"));
}

#[test]
fn neighbours_are_told_apart_without_colour() {
    let page = hostile().to_html().unwrap();
    assert!(page.contains("✓") && page.contains("✕"));
    assert!(page.contains("alt=\"Right neighbour: "));
    assert!(page.contains("aria-label=\"Wrong neighbour: "));
    assert_eq!(page.matches("data:image/png;base64,").count(), 4);
    assert!(
        page.contains("Most confused pairs") && page.contains("3 of 12 neighbours, 25.0&nbsp;%")
    );
}

#[test]
fn a_long_run_makes_a_small_page() {
    let steps = || 0..100_000u64;
    let report = TrainingReport {
        loss: steps().map(|step| (step, (step as f64).cos())).collect(),
        norms: steps().map(|step| (step, [step as f64; 5])).collect(),
        recall_at_1: steps().map(|step| (step, 0.5)).collect(),
        ..TrainingReport::default()
    };
    assert!(report.to_html().unwrap().len() < 300_000);
}
