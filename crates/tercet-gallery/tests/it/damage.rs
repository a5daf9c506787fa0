//! Files that are not what was written are errors that name them.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use tercet_gallery::{Error, ReadGallery, Reader, Search, WriteGallery, Writer};

use crate::world::{fill, of, settings};

fn gallery(folder: &Path) -> PathBuf {
    let path = folder.join("gallery");
    fill(&mut Writer::create(&path, settings(5)).unwrap(), 0, 40);
    path
}

fn segment(gallery: &Path) -> PathBuf {
    gallery.join("vectors-000000.f32")
}

/// The damaged file of an error that must be one.
fn damaged<T>(result: Result<T, Error>) -> (PathBuf, String) {
    match result.map(|_| ()) {
        Err(Error::Damaged { path, what }) => (path, what),
        other => panic!("expected damage, got {other:?}"),
    }
}

#[test]
fn a_torn_tail_is_not_data() {
    let folder = tempfile::tempdir().unwrap();
    let path = gallery(folder.path());
    let mut file = OpenOptions::new().append(true).open(segment(&path)).unwrap();
    file.write_all(&[0xab; 33]).unwrap();
    assert_eq!(Reader::open(&path).unwrap().info().unwrap().items, 40);
    let mut writer = Writer::open(&path).unwrap();
    let added = fill(&mut writer, 40, 3);
    let reader = Reader::open(&path).unwrap();
    assert_eq!(reader.verify().unwrap().items, 43);
    assert_eq!(reader.vectors(&["item-40"]).unwrap().row(0), added.row(0));
}

#[test]
fn any_flipped_byte_of_a_segment_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let path = gallery(folder.path());
    let whole = fs::read(segment(&path)).unwrap();
    let open = Reader::open(&path).unwrap();
    for at in (0..whole.len()).step_by(37) {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x10;
        fs::write(segment(&path), bytes).unwrap();
        assert_eq!(damaged(Reader::open(&path)).0, segment(&path), "byte {at}");
        assert_eq!(damaged(open.verify()).0, segment(&path));
    }
    fs::write(segment(&path), whole).unwrap();
    open.verify().unwrap();
}

#[test]
fn short_and_missing_segments_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = gallery(folder.path());
    let whole = fs::read(segment(&path)).unwrap();
    for length in [whole.len() - 1, 64, 63, 0] {
        fs::write(segment(&path), &whole[..length]).unwrap();
        let (file, what) = damaged(Reader::open(&path));
        assert_eq!(file, segment(&path));
        assert!(what.contains("expected at least") || what.contains("shorter"), "{what}");
        // Nor is anything written behind what is not there.
        let rows = crate::world::vectors(1, 5, 9);
        let items = crate::world::items(90, 1);
        let mut writer = Writer::open(&path).unwrap();
        damaged(writer.add(of(&rows), &items, Default::default()));
    }
    fs::remove_file(segment(&path)).unwrap();
    let (file, what) = damaged(Reader::open(&path));
    assert_eq!((file, &what[..]), (segment(&path), "the file is not there"));
}

#[test]
fn a_damaged_catalogue_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = gallery(folder.path());
    let file = path.join("catalogue.sqlite");
    let whole = fs::read(&file).unwrap();

    fs::write(&file, vec![b'x'; whole.len()]).unwrap();
    assert_eq!(damaged(Reader::open(&path)).0, file);

    // Text that SQLite has no way to miss: an id with one letter changed.
    let at = whole.windows(7).rposition(|bytes| bytes == b"item-17").unwrap();
    let mut bytes = whole.clone();
    bytes[at] = b'j';
    fs::write(&file, bytes).unwrap();
    let found = Reader::open(&path).and_then(|reader| reader.verify());
    assert_eq!(damaged(found).0, file);

    fs::write(&file, &whole[..4096]).unwrap();
    let found = Reader::open(&path).and_then(|reader| reader.verify());
    assert_eq!(damaged(found).0, file);

    fs::remove_file(&file).unwrap();
    assert!(matches!(Reader::open(&path), Err(Error::NotAGallery { .. })));
    assert!(matches!(Writer::open(&path), Err(Error::NotAGallery { .. })));
}

#[test]
fn changed_rows_of_the_catalogue_are_found() {
    for (statement, told) in [
        ("UPDATE items SET label = 'other' WHERE id = 'item-3'", "item-3"),
        ("UPDATE attributes SET value = '9' WHERE item = 4", "item-3"),
        ("DELETE FROM items WHERE id = 'item-3'", "39 items have a vector, expected 40"),
        ("UPDATE gallery SET model = 'another'", "settings"),
        ("DELETE FROM gallery", "settings"),
        ("UPDATE thumbnails SET bytes = x'00'", "thumbnail"),
        ("UPDATE segments SET checksum = 1", "checksum of its 41 vectors"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let path = gallery(folder.path());
        let mut writer = Writer::open(&path).unwrap();
        let rows = crate::world::vectors(1, 5, 9);
        let mut items = crate::world::items(90, 1);
        items[0].thumbnail = Some(tercet_gallery::Thumbnail {
            media_type: "image/png".into(),
            bytes: b"a picture".into(),
        });
        writer.add(of(&rows), &items, Default::default()).unwrap();
        if told.starts_with("39") {
            writer.remove(&["item-90"]).unwrap();
        }
        drop(writer);
        let sql = rusqlite::Connection::open(path.join("catalogue.sqlite")).unwrap();
        sql.execute(statement, []).unwrap();
        drop(sql);
        let found = Reader::open(&path).and_then(|reader| reader.verify());
        let (_, what) = damaged(found);
        assert!(what.contains(told), "{statement}: {what}");
    }
}

#[test]
fn a_search_does_not_return_a_damaged_item() {
    let folder = tempfile::tempdir().unwrap();
    let path = gallery(folder.path());
    let sql = rusqlite::Connection::open(path.join("catalogue.sqlite")).unwrap();
    sql.execute("UPDATE items SET label = 'other' WHERE id = 'item-3'", []).unwrap();
    let reader = Reader::open(&path).unwrap();
    let query = reader.vectors(&["item-3"]).unwrap();
    damaged(reader.search(of(&query), &Search::nearest(1)));
}
