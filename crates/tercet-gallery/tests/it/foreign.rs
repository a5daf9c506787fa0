//! Files that are not the gallery's own are neither overwritten nor removed, whatever their names.

use std::fs;
use std::path::Path;

use tercet_gallery::{Error, ReadGallery, Reader, WriteGallery, Writer};

use crate::world::{fill, settings};

#[test]
fn a_gallery_is_not_created_among_other_files() {
    for name in
        ["model.safetensors", "vectors-000000.f32", "catalogue.sqlite", ".hidden", "photos/"]
    {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        match name.strip_suffix('/') {
            Some(_) => fs::create_dir(&path).unwrap(),
            None => fs::write(&path, "hours of training").unwrap(),
        }
        let error = Writer::create(folder.path(), settings(2)).unwrap_err();
        assert!(matches!(error, Error::NotEmpty { .. }), "{name}: {error}");
        assert!(error.to_string().contains(name.trim_end_matches('/')), "{error}");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "{name}");
        if path.is_file() {
            assert_eq!(fs::read(&path).unwrap(), b"hours of training");
        }
    }
    // Another application's file of the same name.
    let folder = tempfile::tempdir().unwrap();
    let sql = rusqlite::Connection::open(folder.path().join("catalogue.sqlite")).unwrap();
    sql.execute_batch("CREATE TABLE books (title TEXT); PRAGMA user_version = 3").unwrap();
    drop(sql);
    assert!(matches!(Writer::create(folder.path(), settings(2)), Err(Error::NotEmpty { .. })));
}

#[test]
fn files_with_the_names_of_the_gallery_are_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    // Rows of 1 MiB, so that a segment holds 64 of them.
    let mut writer = Writer::create(folder.path(), settings(1 << 18)).unwrap();
    fill(&mut writer, 0, 3);
    let names = [
        "vectors-000001.f32",
        "vectors-000099.f32",
        "vectors-old.f32",
        "index-000001.hnsw",
        "index-backup.hnsw",
        "model.unfinished",
        "model.safetensors",
    ];
    for name in names {
        fs::write(folder.path().join(name), format!("my {name}")).unwrap();
    }
    let check = |folder: &Path| {
        for name in names {
            assert_eq!(fs::read(folder.join(name)).unwrap(), format!("my {name}").into_bytes());
        }
    };
    drop(writer);
    let mut writer = Writer::open(folder.path()).unwrap();
    check(folder.path());
    // The next segment takes another name.
    fill(&mut writer, 3, 64);
    #[cfg(feature = "hnsw")]
    writer.build_index(Default::default()).unwrap();
    check(folder.path());
    writer.remove(&["item-1"]).unwrap();
    writer.compact().unwrap();
    let error = writer.keep_model(b"the gallery's model").unwrap_err();
    assert!(matches!(&error, Error::ForeignFile { path } if path.ends_with("model.safetensors")));
    check(folder.path());
    assert_eq!(Reader::open(folder.path()).unwrap().verify().unwrap().items, 66);
}

#[test]
fn a_creation_that_was_stopped_before_the_model_was_there_can_be_made_again() {
    // Every state that a kill can leave: the files of one that was finished, without the last steps.
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("gallery");
    drop(Writer::create_with_model(&path, settings(2), b"the model").unwrap());
    assert_eq!(Reader::open(&path).unwrap().model().unwrap().unwrap(), b"the model");
    assert!(matches!(
        Writer::create_with_model(&path, settings(2), b"the model"),
        Err(Error::AlreadyThere { .. })
    ));
    let sql = rusqlite::Connection::open(path.join("catalogue.sqlite")).unwrap();
    sql.execute_batch(
        "PRAGMA user_version = 0; DROP TABLE gallery; DROP TABLE segments; DROP TABLE items;
         DROP TABLE attributes; DROP TABLE thumbnails; DROP TABLE hnsw; DROP TABLE model;",
    )
    .unwrap();
    drop(sql);
    fs::rename(path.join("model.safetensors"), path.join("model.unfinished")).unwrap();
    assert!(matches!(Reader::open(&path), Err(Error::NotAGallery { .. })));
    let mut writer = Writer::create_with_model(&path, settings(2), b"the same model").unwrap();
    fill(&mut writer, 0, 3);
    let reader = Reader::open(&path).unwrap();
    assert_eq!(reader.model().unwrap().unwrap(), b"the same model");
    assert_eq!(reader.verify().unwrap().items, 3);
}
