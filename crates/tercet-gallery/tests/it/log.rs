//! The catalogue's write-ahead log: bounded, counted, checked, and without what was removed.

use std::fs;
use std::path::{Path, PathBuf};

use tercet_gallery::{Error, Item, ReadGallery, Reader, Thumbnail, WriteGallery, Writer};

use crate::world::{fill, items, of, settings, vectors};

fn log(gallery: &Path) -> PathBuf {
    gallery.join("catalogue.sqlite-wal")
}

fn log_bytes(gallery: &Path) -> u64 {
    log(gallery).metadata().map_or(0, |file| file.len())
}

/// Copies the files of a gallery that is open, as a loss of power leaves them: without the index of
/// the log, which is made anew.
fn as_after_power_loss(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        if !entry.file_name().to_string_lossy().ends_with("-shm") {
            fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
        }
    }
}

#[test]
fn the_log_stays_small_beside_a_reader() {
    let folder = tempfile::tempdir().unwrap();
    let mut writer = Writer::create(folder.path(), settings(4)).unwrap();
    let reader = Reader::open(folder.path()).unwrap();
    let picture = vec![7; 20_000];
    let (mut most, mut all) = (0, 0);
    for round in 0..200 {
        let mut item = items(round, 1);
        item[0].thumbnail =
            Some(Thumbnail { media_type: "image/png".into(), bytes: picture.clone() });
        all += picture.len() as u64;
        writer.add(of(&vectors(1, 4, round as u64 + 1)), &item, Default::default()).unwrap();
        // As a server does after each of its changes.
        reader.refresh().unwrap();
        most = most.max(log_bytes(folder.path()));
    }
    assert!(all > 3 << 20 && most < 2 << 20, "the log grew to {most} bytes");
    let info = reader.info().unwrap();
    assert_eq!(info.log_bytes, log_bytes(folder.path()));
    assert!(info.bytes > all);
    // Once nothing more is written, the next refresh lets it be emptied.
    assert!(!reader.refresh().unwrap());
    assert_eq!((log_bytes(folder.path()), reader.info().unwrap().log_bytes), (0, 0));
    assert_eq!(reader.verify().unwrap().items, 200);
    // The reader still keeps what it saw.
    fill(&mut writer, 1000, 5);
    assert_eq!(reader.items(None, 1000).unwrap().items.len(), 200);
    assert!(reader.item("item-1000").unwrap().is_none());
}

#[test]
fn a_flipped_bit_in_the_log_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("gallery");
    let mut writer = Writer::create(&path, settings(4)).unwrap();
    // A reader that keeps the log from being copied.
    let reader = Reader::open(&path).unwrap();
    for round in 0..40 {
        fill(&mut writer, round, 1);
    }
    let whole = fs::read(log(&path)).unwrap();
    assert!(whole.len() > 100_000);
    Reader::open(&path).unwrap().verify().unwrap();
    let after = folder.path().join("after");
    as_after_power_loss(&path, &after);
    assert_eq!(Reader::open(&after).unwrap().verify().unwrap().items, 40);
    fs::remove_dir_all(&after).unwrap();

    for at in (0..24).chain((32..whole.len()).step_by(whole.len() / 23)) {
        let mut bytes = whole.clone();
        bytes[at] ^= 4;
        fs::write(log(&path), &bytes).unwrap();
        // While it is open: SQLite itself does not compare.
        let verified = reader.verify();
        assert!(matches!(&verified, Err(Error::Damaged { .. })), "byte {at}: {verified:?}");
        // When it is opened anew: SQLite drops what comes behind, in silence.
        as_after_power_loss(&path, &after);
        let verified = Reader::open(&after).and_then(|reader| reader.verify());
        assert!(matches!(&verified, Err(Error::Damaged { .. })), "byte {at}: {verified:?}");
        let error = Writer::open(&after).map(|_| ()).unwrap_err();
        assert!(matches!(&error, Error::Damaged { .. }), "byte {at}: {error}");
        fs::remove_dir_all(&after).unwrap();
        fs::write(log(&path), &whole).unwrap();
    }
    reader.verify().unwrap();

    // A log that is gone takes changes with it; the message says how to continue without them.
    as_after_power_loss(&path, &after);
    fs::remove_file(log(&after)).unwrap();
    let error = Reader::open(&after).map(|_| ()).unwrap_err();
    let told = error.to_string();
    assert!(told.contains("change 41 ") && told.contains("last-change"), "{told}");
    fs::remove_file(after.join("last-change")).unwrap();
    assert_eq!(Reader::open(&after).unwrap().verify().unwrap().items, 0);
}

#[test]
fn what_was_removed_cannot_be_read_any_more() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let holds = |what: &[u8]| {
        let files = fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path());
        let holds =
            |file: &PathBuf| fs::read(file).unwrap().windows(what.len()).any(|bytes| bytes == what);
        files.filter(holds).map(|file| file.file_name().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let picture = |of: u8| -> Vec<u8> {
        (0..9000_u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 13) as u8 ^ of).collect()
    };
    let mut writer = Writer::create(path, settings(4)).unwrap();
    let rows = vectors(30, 4, 5);
    let all: Vec<Item> = (0..30_u8)
        .map(|of| Item {
            thumbnail: Some(Thumbnail { media_type: "image/webp".into(), bytes: picture(of) }),
            ..Item::new(format!("person-number-{of}")).labelled(format!("label-{of}"))
        })
        .collect();
    writer.add(of(&rows), &all, Default::default()).unwrap();
    let reader = Reader::open(path).unwrap();
    let (gone, part) = (picture(17), 4000..4064);
    let vector: Vec<u8> = rows.row(17).iter().flat_map(|x| x.to_le_bytes()).collect();
    assert!(!holds(&gone[part.clone()]).is_empty() && !holds(&vector).is_empty());

    writer.remove(&["person-number-17"]).unwrap();
    reader.refresh().unwrap();
    writer.compact().unwrap();
    reader.refresh().unwrap();
    reader.refresh().unwrap();
    for what in [&gone[part.clone()], &vector, b"person-number-17", b"label-17"] {
        assert_eq!(holds(what), [] as [&str; 0]);
    }
    assert!(!holds(&picture(16)[part]).is_empty() && !holds(b"person-number-16").is_empty());
    assert_eq!(reader.verify().unwrap().items, 29);
}
