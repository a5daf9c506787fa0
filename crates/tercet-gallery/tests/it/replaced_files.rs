//! Other programs that truncate or overwrite the gallery's files do not kill who reads it.

use std::fs::{self, OpenOptions};

#[cfg(feature = "hnsw")]
use tercet_gallery::WriteGallery;
use tercet_gallery::{Error, ReadGallery, Reader, Search, Writer};

use crate::world::{fill, of, settings};

#[test]
fn a_segment_that_is_truncated_or_copied_over_is_an_error_and_no_crash() {
    let folder = tempfile::tempdir().unwrap();
    let mut writer = Writer::create(folder.path(), settings(64)).unwrap();
    let rows = fill(&mut writer, 0, 2000);
    let reader = Reader::open(folder.path()).unwrap();
    let expected = reader.search(of(&rows), &Search::nearest(2)).unwrap();
    let path = folder.path().join("vectors-000000.f32");
    let whole = fs::read(&path).unwrap();

    // As `cp` does: truncate, then write the same bytes.
    let file = OpenOptions::new().write(true).truncate(true).open(&path).unwrap();
    assert_eq!(reader.search(of(&rows), &Search::nearest(2)).unwrap(), expected);
    assert!(matches!(reader.verify(), Err(Error::Damaged { .. })));
    assert!(matches!(Reader::open(folder.path()), Err(Error::Damaged { .. })));
    fs::write(&path, &whole).unwrap();
    drop(file);
    reader.verify().unwrap();

    // Other bytes: what the reader has read stays as it was.
    fs::write(&path, vec![0xff; whole.len()]).unwrap();
    assert_eq!(reader.search(of(&rows), &Search::nearest(2)).unwrap(), expected);
    fs::write(&path, &whole).unwrap();

    // Truncated between two refreshes.
    fill(&mut writer, 2000, 10);
    let longer = fs::read(&path).unwrap();
    fs::write(&path, &whole[..100]).unwrap();
    assert!(matches!(reader.refresh(), Err(Error::Damaged { .. })));
    assert_eq!(reader.search(of(&rows), &Search::nearest(2)).unwrap(), expected);
    fs::write(&path, &longer).unwrap();
    assert!(reader.refresh().unwrap());
    assert_eq!(reader.info().unwrap().items, 2010);
}

#[cfg(feature = "hnsw")]
#[test]
fn a_graph_that_is_truncated_is_an_error_and_no_crash() {
    let folder = tempfile::tempdir().unwrap();
    let mut writer = Writer::create(folder.path(), settings(8)).unwrap();
    let rows = fill(&mut writer, 0, 500);
    writer.build_index(Default::default()).unwrap();
    let reader = Reader::open(folder.path()).unwrap();
    let graph = fs::read_dir(folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .find(|path| path.extension().is_some_and(|end| end == "hnsw"))
        .unwrap();
    for length in [0, 10, 5000] {
        OpenOptions::new().write(true).open(&graph).unwrap().set_len(length).unwrap();
        let found = reader.search(of(&rows), &Search::nearest(1)).unwrap();
        assert!(found.hits.iter().all(|hits| hits[0].distance == 0.0));
        assert!(matches!(Reader::open(folder.path()), Err(Error::Damaged { .. })));
    }
}
