//! Parquet files of pyarrow, pandas and polars, and our own.

#![allow(clippy::unwrap_used)] // tests may panic

use std::path::{Path, PathBuf};

use ndarray::Array2;
use tercet_train::embeddings::Embeddings;

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/files").join(name).with_extension("parquet")
}

fn expected() -> Array2<f32> {
    Array2::from_shape_fn((5, 3), |(i, j)| i as f32 + j as f32 / 4.0)
}

#[test]
fn files_of_other_tools_are_read() {
    tercet_parquet::enable();
    let letters = Some(["a", "b", "a", "b", "c"]);
    let numbers = Some(["0", "1", "0", "1", "2"]);
    let ids = Some(["r0", "r1", "r2", "r3", "r4"]);
    let text = |list: Option<[&str; 5]>| list.map(|list| list.map(str::to_owned).to_vec());
    for (name, labels, ids, model) in [
        ("pyarrow-snappy", letters, ids, Some("beef")),
        ("pyarrow-lz4", numbers, None, Some("beef")),
        ("pyarrow-split-none", None, ids, Some("beef")),
        ("pandas-gzip", numbers, ids, None),
        ("pandas-categorical", letters, ids, None),
        ("polars-zstd", letters, ids, None),
    ] {
        let read = Embeddings::load(&file(name)).unwrap();
        assert_eq!(read.vectors, expected(), "{name}");
        assert_eq!(read.labels, text(labels), "{name}");
        assert_eq!(read.ids, text(ids), "{name}");
        assert_eq!(read.model.as_deref(), model, "{name}");
    }
    let empty = Embeddings::load(&file("pyarrow-empty")).unwrap();
    assert_eq!((empty.vectors.dim(), empty.labels), ((0, 3), None));
}

#[test]
fn gaps_and_other_types_are_named() {
    tercet_parquet::enable();
    for (name, expected) in [
        ("null-embedding", "row 2: its embedding is null"),
        ("null-number", "row 1, column 1 is null"),
        ("null-label", "row 1: its label is null"),
        ("ragged", "row 2: its embedding has 1 numbers, expected 2 as in row 0"),
        ("real-label", "column `label` is Float64, expected strings or whole numbers"),
        ("whole-embedding", "expected lists of f32, f16 or f64"),
        ("no-embedding", r#"no column `embedding`, but ["vector", "label"]"#),
    ] {
        let error = Embeddings::load(&file(name)).unwrap_err().to_string();
        assert!(error.contains(expected) && error.contains(name), "{error}");
    }
}

#[test]
fn there_and_back() {
    tercet_parquet::enable();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("e.parquet");
    // More rows than the reader takes at a time.
    let vectors = Array2::from_shape_fn((3000, 3), |(i, j)| (i * 3 + j) as f32 / 7.0);
    let all = Embeddings {
        labels: Some((0..3000).map(|i| format!("\"{}\"", i % 7)).collect()),
        ids: Some((0..3000).map(|i| i.to_string()).collect()),
        model: Some("beef".into()),
        vectors,
    };
    let plain = Embeddings { labels: None, ids: None, model: None, ..all.clone() };
    let empty = Embeddings { vectors: Array2::zeros((0, 3)), ..plain.clone() };
    for embeddings in [all, plain, empty] {
        embeddings.save(&path).unwrap();
        assert_eq!(Embeddings::load(&path).unwrap(), embeddings);
        let once = std::fs::read(&path).unwrap();
        embeddings.save(&path).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), once);
    }
}
