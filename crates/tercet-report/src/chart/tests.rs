//! Tests of all charts: an empty series gives no figure, and no drawing contains invalid numbers.

use askama::Template;

use super::{Drawing, Figure, bands, curves, histograms};
use crate::parts::DistanceHistogram;
use crate::scale::{Base, Unit};

fn drawn(figure: &Figure) -> String {
    match &figure.drawing {
        Drawing::Chart(chart) => chart.render().unwrap(),
        Drawing::Nothing(reason) => panic!("nothing drawn: {reason}"),
    }
}

fn loss(points: &[(u64, f64)]) -> Option<Figure> {
    curves("Loss", &[("loss", points)], Unit::Plain, Base::Zero)
}

#[test]
fn an_empty_series_has_no_figure() {
    assert!(loss(&[]).is_none());
    assert!(bands("Norms", &[]).is_none());
    assert!(histograms(&[], None).is_empty());
}

#[test]
fn a_series_without_finite_values_says_so() {
    let figure = loss(&[(0, f64::NAN), (1, f64::INFINITY)]).unwrap();
    let Drawing::Nothing(reason) = figure.drawing else { panic!("drawn") };
    assert_eq!(reason, "None of the 2 values is finite.");
    assert!(matches!(bands("Norms", &[(0, [f64::NAN; 5])]).unwrap().drawing, Drawing::Nothing(_)));
}

#[test]
fn odd_series_draw_numbers_only() {
    let series: [&[(u64, f64)]; 6] = [
        &[(5, 0.3)],
        &[(0, 0.0)],
        &[(0, 2.0), (10, 2.0), (20, 2.0)],
        &[(u64::MAX, 1.0), (0, -1e99)],
        &[(3, 1.0), (3, 2.0)],
        &[(0, 1.0), (1, f64::NAN), (2, 3.0)],
    ];
    for points in series {
        let svg = drawn(&loss(points).unwrap());
        assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
        let bands = bands("Norms", &points.iter().map(|p| (p.0, [p.1; 5])).collect::<Vec<_>>());
        let svg = drawn(&bands.unwrap());
        assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
    }
}

#[test]
fn long_series_stay_small() {
    let points: Vec<(u64, f64)> = (0..100_000).map(|i| (i, (i as f64).sin())).collect();
    assert!(drawn(&loss(&points).unwrap()).len() < 60_000);
}

#[test]
fn histograms_share_their_axes_and_survive_nonsense() {
    let histogram = |from, to, same: &[f64], different: &[f64]| DistanceHistogram {
        name: "after".into(),
        from,
        to,
        same: same.to_vec(),
        different: different.to_vec(),
    };
    let figures = histograms(
        &[
            histogram(0.0, 1.0, &[], &[]),
            histogram(1.0, 1.0, &[1.0], &[1.0]),
            histogram(f64::NAN, 1.0, &[1.0], &[1.0]),
            histogram(0.0, 2.0, &[1.0, f64::NAN], &[0.25, 0.75]),
            histogram(0.0, 1.0, &[1.0], &[]),
        ],
        Some(9.0),
    );
    assert!(matches!(figures[0].drawing, Drawing::Nothing(_)));
    assert!(matches!(figures[1].drawing, Drawing::Nothing(_)));
    assert!(matches!(figures[2].drawing, Drawing::Nothing(_)));
    assert!(figures[3].caption.contains("25.0 %"));
    assert!(figures[4].caption.contains("outside"));
    for figure in &figures[3..] {
        assert!(!drawn(figure).contains("NaN"));
    }
}
