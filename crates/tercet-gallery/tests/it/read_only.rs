//! Galleries where nothing can be written are read all the same.

use std::path::Path;
use std::process::Command;
use std::{env, fs};

use tercet_gallery::{ReadGallery, Reader, Search, Writer};

use crate::world::{fill, of, settings, vectors};

const FOLDER: &str = "TERCET_TEST_READ_ONLY";
const ITEMS: &str = "TERCET_TEST_READ_ONLY_ITEMS";

/// Not a test of its own: reads a gallery that the next ones have made read-only for this process.
#[test]
fn the_reader_of_read_only_media() {
    let Ok(folder) = env::var(FOLDER) else { return };
    let items: u64 = env::var(ITEMS).unwrap().parse().unwrap();
    assert!(fs::write(Path::new(&folder).join("probe"), "").is_err(), "it can be written");
    let reader = Reader::open(&folder).unwrap();
    assert_eq!(reader.info().unwrap().items, items);
    assert_eq!(reader.verify().unwrap().items, items);
    let found = reader.search(of(&vectors(2, 4, 9)), &Search::nearest(1000)).unwrap();
    assert_eq!(found.hits[0].len() as u64, items);
    assert!(!reader.refresh().unwrap());
    assert!(Writer::open(&folder).is_err());
    let copy = tempfile::tempdir().unwrap();
    assert_eq!(reader.back_up(copy.path()).unwrap().items, items);
    assert_eq!(Reader::open(copy.path()).unwrap().verify().unwrap().items, items);
    let temporary = fs::read_dir(env::temp_dir()).unwrap();
    let own = format!("tercet-{}-", std::process::id());
    let left = temporary
        .filter(|entry| entry.as_ref().unwrap().file_name().to_string_lossy().starts_with(&own));
    assert_eq!(left.count(), 0);
}

/// Runs the reader where the folder is mounted read-only; says so if this machine does not allow it.
fn read_in_read_only_mount(folder: &Path, items: u64) {
    let script = "mount --bind \"$0\" \"$0\" && mount -o remount,bind,ro \"$0\" || exit 77; \
                  exec \"$1\" --exact read_only::the_reader_of_read_only_media --nocapture";
    let output = Command::new("unshare")
        .args(["--mount", "sh", "-c", script])
        .arg(folder)
        .arg(env::current_exe().unwrap())
        .env(FOLDER, folder)
        .env(ITEMS, items.to_string())
        .output();
    match output {
        Ok(output) if output.status.success() => {}
        Ok(output) if output.status.code() == Some(101) => {
            panic!("{}", String::from_utf8_lossy(&output.stderr));
        }
        other => eprintln!("SKIPPED: cannot mount a folder read-only here: {other:?}"),
    }
}

#[test]
fn a_gallery_on_read_only_media_is_read() {
    let folder = tempfile::tempdir().unwrap();
    // Characters that mean something in addresses.
    let path = folder.path().join("photos 100% ?#é");
    fill(&mut Writer::create(&path, settings(4)).unwrap(), 0, 50);
    assert!(!path.join("catalogue.sqlite-wal").exists());
    read_in_read_only_mount(&path, 50);
}

#[test]
fn a_gallery_on_read_only_media_is_read_with_its_log() {
    let folder = tempfile::tempdir().unwrap();
    let (path, copy) = (folder.path().join("gallery"), folder.path().join("copy"));
    let mut writer = Writer::create(&path, settings(4)).unwrap();
    fill(&mut writer, 0, 20);
    fill(&mut writer, 20, 20);
    // Copied while it was open, with changes that are in the log only.
    fs::create_dir(&copy).unwrap();
    for entry in fs::read_dir(&path).unwrap() {
        let entry = entry.unwrap();
        if !entry.file_name().to_string_lossy().ends_with("-shm") {
            fs::copy(entry.path(), copy.join(entry.file_name())).unwrap();
        }
    }
    assert!(copy.join("catalogue.sqlite-wal").metadata().unwrap().len() > 0);
    read_in_read_only_mount(&copy, 40);
}
