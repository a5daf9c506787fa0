//! Tables of pictures and of texts as Parquet.

#![allow(clippy::unwrap_used)] // tests may panic

use std::fs;
use std::path::Path;
use std::sync::Arc;

use arrow_array::{ArrayRef, BooleanArray, Float64Array, Int64Array, RecordBatch, StringArray};
use parquet::arrow::ArrowWriter;
use tercet_train::data::{Catalogue, Part, Source};
use tercet_train::embeddings::Embeddings;

fn write(file: &Path, columns: Vec<(&str, ArrayRef)>) {
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    let mut writer =
        ArrowWriter::try_new(fs::File::create(file).unwrap(), batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
}

fn catalogue(file: &Path) -> Result<Catalogue, String> {
    tercet_parquet::enable();
    let source: Source = format!("manifest:{}", file.display()).parse().unwrap();
    source.catalogue().map_err(|error| error.to_string())
}

fn list(columns: Vec<(&str, ArrayRef)>) -> Result<Catalogue, String> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("list.parquet");
    write(&file, columns);
    catalogue(&file)
}

fn texts(texts: &[Option<&str>]) -> ArrayRef {
    Arc::new(texts.iter().copied().collect::<StringArray>())
}

#[test]
fn columns_of_any_sensible_type_are_read() {
    let all = list(vec![
        ("other", Arc::new(Int64Array::from(vec![1, 2]))),
        ("label", Arc::new(Int64Array::from(vec![7, 8]))),
        ("path", texts(&[Some("1.png"), Some("2.png")])),
        ("is_query", Arc::new(BooleanArray::from(vec![Some(true), None]))),
        ("split", texts(&[None, Some("gallery")])),
        ("x1", Arc::new(Float64Array::from(vec![1.0, f64::NAN]))),
        ("y1", Arc::new(Float64Array::from(vec![Some(0.0), None]))),
        ("x2", Arc::new(Float64Array::from(vec![Some(4.0), None]))),
        ("y2", Arc::new(Float64Array::from(vec![Some(5.0), None]))),
    ])
    .unwrap();
    assert_eq!(all.ids(), ["1.png#1,0,4,5", "2.png"]);
    assert_eq!(all.labels, ["7", "8"].into_iter().collect());
    assert_eq!(all.part(&[Part::Query]), [0]);
    assert_eq!(all.part(&[Part::Gallery]), [1]);
}

#[test]
fn what_is_wrong_is_named() {
    let paths = || ("path", texts(&[Some("1.png"), None]));
    let message = list(vec![paths()]).unwrap_err();
    assert!(message.contains("no column `label`, but `path`"), "{message}");
    let message = list(vec![paths(), ("label", texts(&[Some("a"); 2]))]).unwrap_err();
    assert!(message.contains("list.parquet:2: column `path`: it is empty"), "{message}");
    let folder = tempfile::tempdir().unwrap();
    for name in ["list.parquet", "e.parquet"] {
        fs::write(folder.path().join(name), "path,label").unwrap();
    }
    let message = catalogue(&folder.path().join("list.parquet")).unwrap_err();
    assert!(message.contains("list.parquet"), "{message}");
    let message = Embeddings::load(&folder.path().join("e.parquet")).unwrap_err().to_string();
    assert!(message.contains("e.parquet"), "{message}");
}

#[test]
fn texts_have_the_columns_that_they_have_in_csv() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("x.parquet");
    let column = texts(&[Some("one"), None, Some("two")]);
    write(&file, vec![("text", column), ("label", Arc::new(Int64Array::from(vec![1, 2, 3])))]);
    tercet_parquet::enable();
    let source: Source = file.display().to_string().parse().unwrap();
    assert_eq!(source.kind(), "texts");
    let all = source.catalogue().unwrap();
    assert_eq!((all.ids(), all.labels.clone()), (vec!["1", "3"], ["1", "3"].into_iter().collect()));
    assert!(all.bad[0].to_string().contains("x.parquet:2: column `text`: it is empty"));
}

#[cfg(unix)]
#[test]
fn devices_and_pointers_are_no_files_of_embeddings() {
    tercet_parquet::enable();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("v.parquet");
    fs::write(&path, "version https://git-lfs.github.com/spec/v1\nsize 8\n").unwrap();
    let message = Embeddings::load(&path).unwrap_err().to_string();
    assert!(message.contains("v.parquet") && message.contains("git lfs pull"), "{message}");
    fs::remove_file(&path).unwrap();
    std::os::unix::fs::symlink("/dev/zero", &path).unwrap();
    let message = Embeddings::load(&path).unwrap_err().to_string();
    assert!(message.contains("a device, expected a regular file"), "{message}");
}
