//! Readers see one moment, whatever a writer does meanwhile.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;

use tercet_gallery::{Duplicates, ReadGallery, Reader, Search, WriteGallery, Writer};

use crate::world::{fill, items, of, settings, vectors};

#[test]
fn a_reader_keeps_what_it_saw() {
    let folder = tempfile::tempdir().unwrap();
    let mut writer = Writer::create(folder.path(), settings(6)).unwrap();
    let first = fill(&mut writer, 0, 50);
    let reader = Reader::open(folder.path()).unwrap();
    let query = first.slice(ndarray::s![..3, ..]).to_owned();
    let before = reader.search(of(&query), &Search::nearest(60)).unwrap();
    let listed = reader.items(None, 100).unwrap();

    fill(&mut writer, 50, 50);
    writer.remove(&["item-0", "item-7"]).unwrap();
    writer.add(of(&vectors(1, 6, 99)), &items(1, 1), Duplicates::Replace).unwrap();
    writer.compact().unwrap();

    assert_eq!(reader.search(of(&query), &Search::nearest(60)).unwrap(), before);
    assert_eq!(reader.items(None, 100).unwrap(), listed);
    assert!(reader.item("item-7").unwrap().is_some());
    assert!(reader.item("item-60").unwrap().is_none());

    assert!(reader.refresh().unwrap());
    assert!(!reader.refresh().unwrap());
    let fresh = Reader::open(folder.path()).unwrap();
    let after = reader.search(of(&query), &Search::nearest(200)).unwrap();
    assert_eq!(after, fresh.search(of(&query), &Search::nearest(200)).unwrap());
    assert_eq!(after.hits[0].len(), 98);
    assert_eq!(reader.info().unwrap(), fresh.info().unwrap());
}

#[test]
fn readers_and_a_writer_do_not_disturb_each_other() {
    let folder = tempfile::tempdir().unwrap();
    let mut writer = Writer::create(folder.path(), settings(8)).unwrap();
    fill(&mut writer, 0, 100);
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        for reader in 0..4_u64 {
            let (done, folder) = (&done, folder.path());
            scope.spawn(move || {
                let query = vectors(1 + reader as usize, 8, reader);
                let mut shared = Reader::open(folder).unwrap();
                let mut round = 0;
                while !done.load(Relaxed) {
                    if round % 5 == 4 {
                        shared = Reader::open(folder).unwrap();
                    } else {
                        shared.refresh().unwrap();
                    }
                    // Each moment has whole hundreds, since they come and go together.
                    let items = shared.info().unwrap().items;
                    assert_eq!(items % 100, 0);
                    let found = shared.search(of(&query), &Search::nearest(2000)).unwrap();
                    assert!(found.hits.iter().all(|hits| hits.len() as u64 == items));
                    round += 1;
                }
            });
        }
        let names: Vec<String> = (0..100).map(|of| format!("item-{of}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        for round in 1..8 {
            fill(&mut writer, round * 100, 100);
            if round == 3 {
                writer.remove(&names).unwrap();
            }
            if round % 3 == 1 {
                writer.compact().unwrap();
            }
        }
        done.store(true, Relaxed);
    });
    assert_eq!(Reader::open(folder.path()).unwrap().verify().unwrap().items, 700);
}
