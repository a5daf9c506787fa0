//! The page about an evaluation: each part with data, none without, all text escaped.

#![allow(clippy::unwrap_used, reason = "a test may fail loudly")]

mod markup;

use markup::{HOSTILE, assert_balanced, assert_self_contained, png};
use tercet_report::{
    Better, Calibration, CensusCounts, ClassFigure, ClassFigures, Column, ConfusedPair, Curve,
    Difference, DistanceHistogram, Distances, EmbeddingMap, EvaluationReport, FigureRow,
    FigureTable, MapPoint, Measured, Neighbour, OneShot, Picture, Quantity, RankCurve, Reliability,
    RocCurve, SpriteSheet, Strip, TripletCensus,
};

fn text() -> String {
    HOSTILE.into()
}

fn measured(value: f64) -> Measured {
    Measured { value, interval: Some([value - 0.01, value + 0.02]) }
}

fn table() -> FigureTable {
    let column = |quantity, better| Column { name: text(), quantity, better };
    let row = |values: &[f64]| FigureRow {
        name: text(),
        values: values.iter().map(|value| measured(*value)).collect(),
    };
    FigureTable {
        name: text(),
        columns: vec![
            column(Quantity::Share, Better::Higher),
            column(Quantity::Share, Better::Lower),
            column(Quantity::Number, Better::Neither),
            column(Quantity::Count, Better::Higher),
        ],
        rows: vec![row(&[0.912, 0.031, 1.25, 60_000.0]), row(&[0.877, 0.052])],
    }
}

fn strip(png: &[u8]) -> Strip {
    let picture = || Picture { png: png.to_vec(), label: text(), id: text() };
    let neighbour = |right| Neighbour { picture: picture(), distance: 0.25, right };
    Strip {
        query: picture(),
        neighbours: vec![neighbour(true), neighbour(false)],
        average_precision: 0.5,
    }
}

fn map() -> EmbeddingMap {
    EmbeddingMap {
        method: text(),
        classes: vec![text(), text()],
        points: (0..6)
            .map(|at| MapPoint {
                x: at as f32,
                y: (at * at) as f32,
                class: at % 3,
                id: text(),
                tile: Some(at as u32),
            })
            .collect(),
        thumbnails: Some(SpriteSheet { image: png(), width: 7, height: 14, columns: 4 }),
    }
}

/// A report in which every string is hostile and every part is filled.
fn hostile() -> EvaluationReport {
    EvaluationReport {
        title: text(),
        protocol: text(),
        summary: vec![(text(), text())],
        conventions: vec![text()],
        figures: vec![table()],
        differences: vec![Difference {
            measure: text(),
            system: text(),
            against: text(),
            difference: measured(0.035),
            real: true,
        }],
        roc: vec![RocCurve {
            name: text(),
            points: vec![(0.0, 0.4), (0.001, 0.75), (0.1, 0.9), (1.0, 1.0)],
            targets: vec![(0.001, 0.75)],
        }],
        cmc: vec![RankCurve { name: text(), rates: vec![0.8, 0.85, 0.9] }],
        precision_recall: vec![Curve { name: text(), points: vec![(0.0, 1.0), (1.0, 0.25)] }],
        distances: vec![Distances {
            histogram: DistanceHistogram {
                name: text(),
                from: 0.0,
                to: 2.0,
                same: vec![0.9, 0.1],
                different: vec![0.2, 0.8],
            },
            threshold: Some(0.75),
        }],
        calibration: vec![Calibration {
            name: text(),
            probability: vec![(0.0, 1.0), (2.0, 0.0)],
            reliability: vec![Reliability { foretold: 0.5, observed: 0.6, pairs: 12_345 }],
        }],
        classes: Some(ClassFigures {
            measure: text(),
            classes: [0.5, 1.0, f64::NAN]
                .map(|value| ClassFigure { name: text(), items: 7, value })
                .to_vec(),
        }),
        confused: vec![ConfusedPair {
            classes: [text(), text()],
            errors: 3,
            places: 12,
            ..ConfusedPair::default()
        }],
        one_shot: vec![OneShot { name: text(), errors: vec![0.35, 0.45] }],
        clustering: Some(table()),
        map: Some(map()),
        worst: vec![strip(&png())],
        best: vec![strip(b"")],
        census: vec![TripletCensus {
            name: text(),
            counts: CensusCounts {
                triplets: u64::MAX,
                selected: 4_000,
                active: 1_000,
                violated: 100,
                ..CensusCounts::default()
            },
        }],
        notes: vec![text()],
    }
}

/// The headings of the parts in their order.
fn headings(page: &str) -> Vec<&str> {
    page.split("\n<h2>").skip(1).filter_map(|rest| rest.split("</h2>").next()).collect()
}

#[test]
fn every_string_is_escaped() {
    let page = hostile().to_html().unwrap();
    assert!(!page.contains("<script>alert") && !page.contains("alert(\"1"));
    assert_eq!(page.matches("<script>").count(), 2);
    assert_eq!(page.matches("<script type=\"application/json\">").count(), 1);
    // The data of the map are no element either, and come back as they were.
    let (_, data) = page.split_once("<script type=\"application/json\">").unwrap();
    let (data, _) = data.split_once("</script>").unwrap();
    assert!(!data.contains('<') && data.contains("\\u003cscript\\u003ealert"), "{data}");
}

#[test]
fn the_page_is_balanced_and_fetches_nothing() {
    for report in [hostile(), EvaluationReport::default()] {
        let page = report.to_html().unwrap();
        assert_balanced(&page);
        assert_self_contained(&page);
    }
}

#[test]
fn every_part_is_there_in_its_order() {
    let page = hostile().to_html().unwrap();
    let named = "&#60;script&#62;alert(&#34;1&#34;)&#60;/script&#62; &#38; &#39;two&#39;";
    assert_eq!(
        headings(&page)[3..],
        [
            "What was evaluated, and how",
            named,
            "Which differences are significant",
            "Same or different",
            "From distance to probability",
            "Ranking",
            "One-shot runs",
            named,
            "Class by class",
            "Most confused pairs of classes",
            "Map of the embeddings",
            "The worst queries",
            "The best queries, each of another class",
            "Triplets of the whole set",
            "Notes",
        ][..],
        "{:?}",
        headings(&page)
    );
    assert_eq!(page.matches("<svg").count(), 8);
}

#[test]
fn a_part_without_data_is_left_out() {
    let page = EvaluationReport::default().to_html().unwrap();
    assert_eq!(headings(&page), ["Figures"]);
    assert!(page.contains("Nothing was measured."));
    for absent in ["<svg", "<table", "<canvas", "<figure", "application/json"] {
        assert!(!page.contains(absent), "{absent}");
    }
    // Lists of empty things are no data either.
    let hollow = EvaluationReport {
        figures: vec![FigureTable::default()],
        roc: vec![RocCurve::default()],
        cmc: vec![RankCurve::default()],
        precision_recall: vec![Curve { name: text(), points: vec![(f64::NAN, 1.0)] }],
        distances: vec![Distances::default()],
        calibration: vec![Calibration::default()],
        classes: Some(ClassFigures::default()),
        one_shot: vec![OneShot { name: text(), errors: vec![f64::NAN] }],
        clustering: Some(FigureTable::default()),
        map: Some(EmbeddingMap::default()),
        ..EvaluationReport::default()
    };
    assert_eq!(headings(&hollow.to_html().unwrap()), ["Figures"]);
}

/// Leaves a part of a report.
type Keep = fn(EvaluationReport) -> EvaluationReport;

#[test]
fn one_part_alone_is_shown_alone() {
    let parts: [(&str, Keep); 7] = [
        ("Most confused pairs of classes", |all| EvaluationReport {
            confused: all.confused,
            ..Default::default()
        }),
        ("Same or different", |all| EvaluationReport { roc: all.roc, ..Default::default() }),
        ("Ranking", |all| EvaluationReport { cmc: all.cmc, ..Default::default() }),
        ("Class by class", |all| EvaluationReport { classes: all.classes, ..Default::default() }),
        ("One-shot runs", |all| EvaluationReport { one_shot: all.one_shot, ..Default::default() }),
        ("Map of the embeddings", |all| EvaluationReport { map: all.map, ..Default::default() }),
        ("The best queries, each of another class", |all| EvaluationReport {
            best: all.best,
            ..Default::default()
        }),
    ];
    for (heading, only) in parts {
        let page = only(hostile()).to_html().unwrap();
        assert_eq!(headings(&page), [heading]);
        assert_balanced(&page);
    }
}

#[test]
fn figures_are_shown_with_their_intervals() {
    let page = hostile().to_html().unwrap();
    assert!(page.contains("<strong>91.2</strong>") && page.contains("90.2 – 93.2"));
    // Of an error rate the lower is the better.
    assert!(page.contains("<strong>3.1</strong>") && !page.contains("<strong>5.2</strong>"));
    assert!(page.contains(">1.25") && page.contains("60\u{202f}000"));
    assert!(page.contains("<strong>+3.50</strong>") && page.contains("+2.50 – +5.50"));
    assert!(page.contains("<strong>significant</strong>"));
    let mut report = hostile();
    report.differences[0].real = false;
    assert!(report.to_html().unwrap().contains("may be chance"));
}

#[test]
fn narrow_intervals_get_a_second_decimal() {
    let mut report = hostile();
    report.figures[0].rows[0].values[0] =
        Measured { value: 0.9963, interval: Some([0.9954, 0.9972]) };
    let page = report.to_html().unwrap();
    assert!(page.contains("99.63") && page.contains("99.54 – 99.72"));
}

#[test]
fn charts_say_their_numbers() {
    let page = hostile().to_html().unwrap();
    for shown in [
        "FAR 10⁻³",
        ">10⁻²<",
        "75.0 % at FAR 10⁻³",
        "80.0 % at rank 1",
        "62.5 % at recall 50.0 %",
        "50.0 % at distance 1.00",
        "60.0 % at foretold 50.0 %",
        "over 12\u{202f}345 pairs",
        "threshold 0.750",
        "mean error 40.0 %",
        "1 of 2 classes are at 100 %.",
        "18\u{202f}446\u{202f}744\u{202f}073\u{202f}709\u{202f}551\u{202f}615",
        "<small>25.0 %</small>",
    ] {
        assert!(page.contains(shown), "{shown}");
    }
}

#[test]
fn a_class_name_cannot_break_the_read_out() {
    let mut report = hostile();
    let odd = ["a\tb;c|d", "two\nlines"];
    report.classes = Some(ClassFigures {
        measure: "MAP@R".into(),
        classes: odd.map(|name| ClassFigure { name: name.into(), items: 1, value: 0.5 }).to_vec(),
    });
    let page = report.to_html().unwrap();
    assert!(page.contains("data-texts=\"1. a b;c|d\t50.0 %\n2. two lines\t50.0 %\""));
}

#[test]
fn neighbours_without_pictures_are_named() {
    let page = EvaluationReport { best: hostile().best, ..Default::default() }.to_html().unwrap();
    assert!(!page.contains("<img") && !page.contains("no picture"));
    assert!(page.contains("aria-label=\"right\">✓") && page.contains("aria-label=\"wrong\">✕"));
    assert!(page.contains("0.250"));
}

#[test]
fn the_map_counts_what_it_leaves_out() {
    let page = hostile().to_html().unwrap();
    assert!(page.contains("4 items of 2 classes"));
    assert!(page.contains("2 items without a place or a class are left out."));
    assert!(page.contains("\"sheet\":[7,14,4]"));
    let mut broken = hostile();
    broken.map.as_mut().unwrap().thumbnails.as_mut().unwrap().image = b"no picture".to_vec();
    assert!(broken.to_html().unwrap().contains("\"sheet\":null"));
}

#[test]
fn ten_thousand_points_make_a_small_page() {
    let map = EmbeddingMap {
        classes: (0..500).map(|class| format!("class {class}")).collect(),
        points: (0..10_000)
            .map(|at| MapPoint {
                x: (at as f32).sin(),
                y: (at as f32).cos(),
                class: at % 500,
                id: format!("class {}/{at:06}.png", at % 500),
                tile: None,
            })
            .collect(),
        ..EmbeddingMap::default()
    };
    let report = EvaluationReport {
        map: Some(map),
        roc: vec![RocCurve {
            points: (0..200_000).map(|at| f64::from(at) / 2e5).map(|far| (far, far)).collect(),
            ..RocCurve::default()
        }],
        ..EvaluationReport::default()
    };
    assert!(report.to_html().unwrap().len() < 600_000);
}
