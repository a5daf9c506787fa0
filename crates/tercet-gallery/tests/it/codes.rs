//! What quantised galleries find, and what they say about it.

use ndarray::{Array2, s};
use tercet_gallery::{
    CodeRecall, Duplicates, Method, Quantization, ReadGallery, Reader, Search, Settings,
    WriteGallery, Writer,
};

use crate::world::{fill, items, of, settings, vectors};

/// What the gallery says of itself, and the share of the ten nearest of new queries that it finds.
fn measured(rows: &Array2<f32>, queries: &Array2<f32>, kind: Quantization) -> (CodeRecall, f64) {
    let folder = tempfile::tempdir().unwrap();
    let own = Settings { quantization: Some(kind), ..settings(rows.ncols()) };
    let mut writer = Writer::create(folder.path(), own).unwrap();
    writer.add(of(rows), &items(0, rows.nrows()), Duplicates::Refuse).unwrap();
    let says = writer.measure_codes().unwrap().unwrap();
    let reader = Reader::open(folder.path()).unwrap();
    assert_eq!(reader.info().unwrap().codes.as_ref(), Some(&says));
    let exact = Search { exact: true, ..Search::nearest(10) };
    let exact = reader.search(of(queries), &exact).unwrap();
    let found = reader.search(of(queries), &Search::nearest(10)).unwrap();
    assert_eq!(found.method, Method::Quantized);
    let pairs = exact.hits.iter().zip(&found.hits);
    let shared = pairs.flat_map(|(exact, found)| exact.iter().filter(|hit| found.contains(hit)));
    (says, shared.count() as f64 / (10 * queries.nrows()) as f64)
}

fn check(name: &str, rows: &Array2<f32>, least: f64) {
    let queries = 0.95 * &rows.slice(s![100..140, ..]) + 0.05 * &rows.slice(s![500..540, ..]);
    for kind in Quantization::ALL {
        let (says, found) = measured(rows, &queries, kind);
        assert!(found >= least, "{name}, {kind}: {found}, it says {says:?}");
        assert!((says.recall_at_10 - found).abs() < 0.05, "{name}, {kind}: {found}, {says:?}");
    }
}

#[test]
fn an_offset_costs_nothing() {
    check("offset", &(5.0 * vectors(4000, 32, 1) + 2000.0), 0.97);
}

#[test]
fn one_extreme_row_costs_nothing() {
    let mut rows = vectors(4000, 32, 2);
    rows.row_mut(1234).fill(1e4);
    // Among those that ranges and thresholds are fitted to.
    rows.row_mut(0).fill(-1e4);
    check("outlier", &rows, 0.97);
}

#[test]
fn one_large_component_costs_nothing() {
    let mut rows = vectors(4000, 32, 3);
    rows.column_mut(7).mapv_inplace(|x| 1000.0 * x);
    check("dominant component", &rows, 0.97);
}

#[test]
fn components_of_two_values_are_told_apart() {
    let bits = vectors(4000, 64, 4).mapv(|x| f32::from(x > -0.6));
    let rows = bits + 0.01 * vectors(4000, 64, 5);
    check("binary", &rows, 0.9);
}

#[test]
fn a_gallery_that_grows_is_measured_anew_and_one_without_codes_never() {
    let folder = tempfile::tempdir().unwrap();
    let own = Settings { quantization: Some(Quantization::I8), ..settings(8) };
    let mut writer = Writer::create(folder.path(), own).unwrap();
    let empty = writer.measure_codes().unwrap().unwrap();
    assert_eq!((empty.rows, empty.recall_at_10, empty.sample), (0, 1.0, 0));
    fill(&mut writer, 0, 700);
    let full = writer.measure_codes().unwrap().unwrap();
    assert_eq!((full.rows, full.sample), (700, 256));

    let folder = tempfile::tempdir().unwrap();
    let mut writer = Writer::create(folder.path(), settings(8)).unwrap();
    fill(&mut writer, 0, 10);
    assert_eq!(writer.measure_codes().unwrap(), None);
    assert_eq!(Reader::open(folder.path()).unwrap().info().unwrap().codes, None);
}
