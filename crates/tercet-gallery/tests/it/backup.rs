//! Copies of a gallery that is being written.

use std::fs;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;

use tercet_gallery::{Error, ReadGallery, Reader, Search, WriteGallery, Writer};

use crate::world::{fill, of, settings};

#[test]
fn every_copy_of_a_gallery_in_use_is_usable() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("gallery");
    let mut writer = Writer::create(&path, settings(8)).unwrap();
    writer.keep_model(b"a model").unwrap();
    fill(&mut writer, 0, 100);
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut round = 1;
            while !done.load(Relaxed) {
                fill(&mut writer, round * 100, 100);
                if round % 3 == 0 {
                    let names: Vec<String> =
                        (0..100).map(|of| format!("item-{}", (round - 1) * 100 + of)).collect();
                    writer.remove(&names.iter().map(String::as_str).collect::<Vec<_>>()).unwrap();
                    writer.compact().unwrap();
                }
                if round % 4 == 0 {
                    writer.keep_model(format!("model {round}").as_bytes()).unwrap();
                }
                round += 1;
            }
        });
        let reader = Reader::open(&path).unwrap();
        for copy in 0..15 {
            let to = folder.path().join(format!("copy-{copy}"));
            let copied = reader.back_up(&to).unwrap();
            let opened = Reader::open(&to).unwrap();
            let info = opened.info().unwrap();
            // Items come and go by whole hundreds.
            assert_eq!((info.items % 100, info.items), (0, copied.items));
            assert_eq!(info.generation, copied.generation);
            assert_eq!(opened.verify().unwrap().items, info.items);
            assert!(
                opened.model().unwrap().unwrap().starts_with(b"model")
                    || opened.model().unwrap().unwrap() == b"a model"
            );
            fill(&mut Writer::open(&to).unwrap(), 1_000_000, 10);
            opened.refresh().unwrap();
            assert_eq!(opened.verify().unwrap().items, info.items + 10);
        }
        done.store(true, Relaxed);
    });
}

#[test]
fn a_copy_is_the_same_gallery() {
    let folder = tempfile::tempdir().unwrap();
    let (path, to) = (folder.path().join("gallery"), folder.path().join("copy"));
    let mut writer = Writer::create(&path, settings(8)).unwrap();
    let rows = fill(&mut writer, 0, 300);
    #[cfg(feature = "hnsw")]
    writer.build_index(Default::default()).unwrap();
    let reader = Reader::open(&path).unwrap();
    reader.back_up(&to).unwrap();
    let copy = Reader::open(&to).unwrap();
    let (own, copied) = (reader.info().unwrap(), copy.info().unwrap());
    assert_eq!((&own.id, &own.version), (&copied.id, &copied.version));
    assert_eq!(own.index, copied.index);
    let search = Search::nearest(5);
    assert_eq!(
        reader.search(of(&rows), &search).unwrap(),
        copy.search(of(&rows), &search).unwrap()
    );
}

#[test]
fn a_copy_goes_into_a_new_or_empty_folder() {
    let folder = tempfile::tempdir().unwrap();
    let (path, to) = (folder.path().join("gallery"), folder.path().join("copy"));
    fill(&mut Writer::create(&path, settings(8)).unwrap(), 0, 30);
    let reader = Reader::open(&path).unwrap();
    fs::create_dir(&to).unwrap();
    fs::write(to.join("thesis.txt"), "years of work").unwrap();
    assert!(matches!(reader.back_up(&to), Err(Error::NotEmpty { .. })));
    assert!(matches!(reader.back_up(&path), Err(Error::AlreadyThere { .. })));
    assert_eq!(fs::read(to.join("thesis.txt")).unwrap(), b"years of work");
    fs::remove_file(to.join("thesis.txt")).unwrap();

    // What a copy that was stopped has left is no gallery, and is replaced; nothing else is.
    fs::write(to.join("backup.unfinished"), "vectors-000000.f32\ncatalogue.unfinished\n../x")
        .unwrap();
    fs::write(to.join("vectors-000000.f32"), "half").unwrap();
    fs::write(folder.path().join("x"), "not in the folder").unwrap();
    assert!(matches!(Reader::open(&to), Err(Error::NotAGallery { .. })));
    reader.back_up(&to).unwrap();
    assert_eq!(Reader::open(&to).unwrap().verify().unwrap().items, 30);
    assert!(!to.join("backup.unfinished").exists() && folder.path().join("x").exists());
}
