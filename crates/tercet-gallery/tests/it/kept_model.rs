//! The model's file travels with the gallery.

use std::fs;

use tercet_gallery::{Error, ReadGallery, Reader, WriteGallery, Writer};

use crate::world::{fill, settings};

#[test]
fn a_model_is_kept_and_checked() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("gallery");
    let mut writer = Writer::create(&path, settings(3)).unwrap();
    fill(&mut writer, 0, 5);
    let reader = Reader::open(&path).unwrap();
    assert_eq!((reader.model().unwrap(), reader.info().unwrap().has_model), (None, false));

    let file: Vec<u8> = (0..10_000_u32).map(|at| (at * 7 % 251) as u8).collect();
    writer.keep_model(&file).unwrap();
    assert_eq!(reader.model().unwrap(), None, "a reader keeps what it saw");
    assert!(reader.refresh().unwrap());
    assert_eq!(reader.model().unwrap(), Some(file.clone()));
    let bytes = reader.info().unwrap().bytes;
    assert!(reader.info().unwrap().has_model && bytes > 10_000);
    reader.verify().unwrap();

    // What a writer left that was stopped in the middle is cleared away by the next one.
    drop(writer);
    let sql = rusqlite::Connection::open(path.join("catalogue.sqlite")).unwrap();
    sql.execute("INSERT OR IGNORE INTO files VALUES ('model.unfinished')", []).unwrap();
    drop(sql);
    fs::write(path.join("model.unfinished"), b"half").unwrap();
    let mut writer = Writer::open(&path).unwrap();
    assert!(!path.join("model.unfinished").exists());

    let kept = path.join("model.safetensors");
    let mut damaged = file.clone();
    damaged[77] ^= 1;
    for bytes in [&damaged[..], &file[..9_999], b""] {
        fs::write(&kept, bytes).unwrap();
        for error in [reader.model().unwrap_err(), reader.verify().unwrap_err()] {
            assert!(matches!(&error, Error::Damaged { path, .. } if *path == kept), "{error}");
        }
    }
    writer.keep_model(&file).unwrap();
    reader.refresh().unwrap();
    assert_eq!(reader.model().unwrap(), Some(file));
}
