//! A reader notices when another gallery, or another state of its own, has taken the place of the one
//! that it opened.

use std::fs;
use std::path::Path;

use tercet_gallery::{
    Duplicates, Error, ReadGallery, Reader, Search, Settings, WriteGallery, Writer,
};

use crate::world::{fill, items, of, settings, vectors};

/// Puts a copy of a folder in the place of another one.
fn replace(from: &Path, to: &Path) {
    fs::remove_dir_all(to).unwrap();
    fs::create_dir(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}

fn ids(reader: &Reader) -> Vec<String> {
    let page = reader.items(None, usize::MAX).unwrap();
    page.items.into_iter().map(|item| item.id).collect()
}

#[test]
fn a_gallery_that_was_created_again_is_seen() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("gallery");
    fill(&mut Writer::create(&path, settings(4)).unwrap(), 0, 20);
    let reader = Reader::open(&path).unwrap();
    let before = reader.info().unwrap();

    // As many changes, items and vectors, so that no number tells the two apart.
    fs::remove_dir_all(&path).unwrap();
    let mut writer = Writer::create(&path, settings(4)).unwrap();
    let rows = vectors(20, 4, 77);
    writer.add(of(&rows), &items(100, 20), Duplicates::Refuse).unwrap();
    assert!(reader.refresh().unwrap());
    let after = reader.info().unwrap();
    assert_eq!((after.generation, after.items), (before.generation, before.items));
    assert_ne!((&after.id, &after.version), (&before.id, &before.version));
    assert!(after.id.is_some() && before.id.is_some());
    assert_eq!(ids(&reader)[0], "item-100");
    let query = rows.slice(ndarray::s![7..8, ..]).to_owned();
    let found = reader.search(of(&query), &Search::nearest(1)).unwrap();
    assert_eq!((&found.hits[0][0].item.id[..], found.hits[0][0].distance), ("item-107", 0.0));
    assert!(!reader.refresh().unwrap());

    // And with fewer changes.
    drop(writer);
    fs::remove_dir_all(&path).unwrap();
    drop(Writer::create(&path, settings(4)).unwrap());
    assert!(reader.refresh().unwrap());
    assert_eq!(reader.info().unwrap().items, 0);

    // One for other vectors cannot take its place under a reader.
    fs::remove_dir_all(&path).unwrap();
    assert!(matches!(reader.refresh(), Err(Error::NotAGallery { .. })));
    drop(Writer::create(&path, Settings { model: "77aa".into(), ..settings(4) }).unwrap());
    assert!(matches!(reader.refresh(), Err(Error::Replaced { .. })));
}

#[test]
fn a_gallery_that_was_restored_is_seen() {
    let folder = tempfile::tempdir().unwrap();
    let (path, copy) = (folder.path().join("gallery"), folder.path().join("copy"));
    let mut writer = Writer::create(&path, settings(4)).unwrap();
    fill(&mut writer, 0, 30);
    Reader::open(&path).unwrap().back_up(&copy).unwrap();
    fill(&mut writer, 30, 10);
    writer.remove(&["item-3"]).unwrap();
    drop(writer);
    let reader = Reader::open(&path).unwrap();
    let id = reader.info().unwrap().id;

    // Fewer changes than the reader has seen.
    replace(&copy, &path);
    assert!(reader.refresh().unwrap());
    let restored = reader.info().unwrap();
    assert_eq!((restored.items, &restored.id), (30, &id));
    assert!(ids(&reader).contains(&"item-3".to_owned()));

    // Continued in two ways, each with as many changes: the same numbers, other items.
    let mut writer = Writer::open(&path).unwrap();
    fill(&mut writer, 50, 5);
    assert!(reader.refresh().unwrap());
    let one = reader.info().unwrap();
    drop(writer);
    replace(&copy, &path);
    let mut writer = Writer::open(&path).unwrap();
    let rows = vectors(5, 4, 99);
    writer.add(of(&rows), &items(60, 5), Duplicates::Refuse).unwrap();
    assert!(reader.refresh().unwrap());
    let other = reader.info().unwrap();
    assert_eq!((one.generation, one.items), (other.generation, other.items));
    assert_ne!(one.version, other.version);
    assert_eq!(ids(&reader).last().unwrap(), "item-64");
    assert_eq!(reader.vectors(&["item-62"]).unwrap().row(0), rows.row(2));

    // Even with more changes, of which those that the reader has seen are none.
    drop(writer);
    replace(&copy, &path);
    let mut writer = Writer::open(&path).unwrap();
    for round in 0..4 {
        fill(&mut writer, 70 + round, 1);
    }
    assert!(reader.refresh().unwrap());
    assert_eq!(ids(&reader), ids(&Reader::open(&path).unwrap()));
    reader.verify().unwrap();
}

#[test]
fn a_writer_does_not_write_into_a_gallery_that_was_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("gallery");
    let mut writer = Writer::create(&path, settings(4)).unwrap();
    fill(&mut writer, 0, 3);
    fs::remove_dir_all(&path).unwrap();
    drop(Writer::create(&path, settings(4)).unwrap());
    let added = writer.add(of(&vectors(1, 4, 1)), &items(3, 1), Duplicates::Refuse);
    assert!(matches!(added, Err(Error::Replaced { .. })), "{added:?}");
    assert_eq!(Reader::open(&path).unwrap().verify().unwrap().items, 0);
}

/// A gallery as a version before there were names has made it.
#[test]
fn a_gallery_of_an_older_version_is_read_and_gets_a_name() {
    let folder = tempfile::tempdir().unwrap();
    fill(&mut Writer::create(folder.path(), settings(4)).unwrap(), 0, 20);
    let sql = rusqlite::Connection::open(folder.path().join("catalogue.sqlite")).unwrap();
    for table in ["files", "changes", "codes", "hnsw_beside", "identity"] {
        sql.execute(&format!("DROP TABLE {table}"), []).unwrap();
    }
    drop(sql);
    fs::remove_file(folder.path().join("last-change")).unwrap();
    let reader = Reader::open(folder.path()).unwrap();
    reader.verify().unwrap();
    let old = reader.info().unwrap();
    assert_eq!((old.id, old.items), (None, 20));

    let mut writer = Writer::open(folder.path()).unwrap();
    assert!(reader.refresh().unwrap());
    assert!(reader.info().unwrap().id.is_some());
    fill(&mut writer, 20, 20);
    writer.remove(&["item-1"]).unwrap();
    writer.compact().unwrap();
    reader.refresh().unwrap();
    assert_eq!((reader.verify().unwrap().items, reader.info().unwrap().items), (39, 39));
    // The segments that the older version has made were its own, too.
    assert!(!folder.path().join("vectors-000000.f32").exists());
}
