//! A gallery switches to the vectors of another model as a whole, and back.

use std::path::Path;

use ndarray::{Array2, s};
use tercet::{Distance, Metric};
use tercet_gallery::{
    Carried, Duplicates, Error, Item, Origin, Quantization, ReadGallery, Reader, Search, Settings,
    Staged, Vectors, WriteGallery, Writer,
};

use crate::world::{fill, of, settings, vectors};

const NEW: &str = "9e3a";

/// How distances to carried vectors are compared: half of each, plus a tenth.
fn carried() -> Carried {
    Carried { origin: Origin::Adapted, model: crate::world::MODEL.into(), scale: 0.5, shift: 0.1 }
}

fn new_settings() -> Settings {
    Settings {
        dimensions: 3,
        metric: Metric::from(Distance::Euclidean),
        model: NEW.into(),
        quantization: None,
    }
}

fn query(rows: &Array2<f32>) -> Vectors<'_> {
    Vectors { model: NEW, rows: rows.view() }
}

/// Stages new vectors of all items; every `every`-th is carried over.
fn stage(folder: &Path, gallery: &Reader, every: usize) -> Array2<f32> {
    let mut staged = Writer::create(folder, new_settings()).unwrap();
    let items = gallery.items(None, usize::MAX).unwrap().items;
    let new = vectors(items.len(), 3, 77);
    for (row, item) in items.iter().enumerate() {
        let old = gallery.vectors(&[&item.id]).unwrap();
        let origin = (row % every == 0).then_some(Origin::Adapted);
        let staged_item = Staged::item(&item.id, &Staged::fingerprint(old.row(0)), origin);
        let rows = new.slice(s![row..=row, ..]);
        let vectors = Vectors { model: NEW, rows };
        staged.add(vectors, &[staged_item], Duplicates::Refuse).unwrap();
    }
    new
}

#[test]
fn a_switch_replaces_vectors_and_model_and_a_rollback_brings_them_back() {
    let folder = tempfile::tempdir().unwrap();
    let (gallery, staged) = (folder.path().join("gallery"), folder.path().join("staged"));
    let settings = Settings { quantization: Some(Quantization::I8), ..settings(5) };
    let mut writer = Writer::create_with_model(&gallery, settings, b"old model").unwrap();
    let old = fill(&mut writer, 0, 40);
    writer.remove(&["item-7"]).unwrap();
    let before = Reader::open(&gallery).unwrap();
    let new = stage(&staged, &before, 4);
    let ready = Reader::open(&staged).unwrap();

    let switched = writer.switch(&ready, b"new model", Some(&carried())).unwrap();
    assert_eq!((switched.computed, switched.carried), (29, 10));
    // A reader that was opened before sees the old version, and says so when it is refreshed.
    assert_eq!(before.vectors(&["item-3"]).unwrap().row(0), old.row(3));
    assert!(matches!(before.refresh(), Err(Error::Replaced { .. })));
    let now = Reader::open(&gallery).unwrap();
    let info = now.info().unwrap();
    assert_eq!((info.items, info.settings.dimensions, info.settings.model), (39, 3, NEW.into()));
    assert_eq!(info.settings.quantization, Some(Quantization::I8));
    assert_eq!(info.previous_model.as_deref(), Some(crate::world::MODEL));
    assert_eq!(now.model().unwrap().unwrap(), b"new model");
    let item = now.item("item-8").unwrap().unwrap();
    assert_eq!((item.label.as_deref(), &item.attributes["camera"][..]), (Some("class-8"), "2"));
    // The seventh item was removed, so the eighth is staged at row 7.
    assert_eq!(now.vectors(&["item-8"]).unwrap().row(0), new.row(7));
    now.verify().unwrap();

    // A second upgrade and a compaction have to wait for the end of this one.
    assert!(matches!(writer.compact(), Err(Error::HasPrevious { .. })));
    let again = writer.switch(&ready, b"new model", Some(&carried()));
    assert!(matches!(again, Err(Error::HasPrevious { .. })));

    // A backup can be rolled back too.
    let copy = folder.path().join("copy");
    now.back_up(&copy).unwrap();
    drop(writer);
    for gallery in [&copy, &gallery] {
        let mut writer = Writer::open(gallery).unwrap();
        let restored = writer.roll_back().unwrap();
        assert_eq!((restored.computed, restored.carried), (39, 0));
        assert!(matches!(writer.roll_back(), Err(Error::NoPrevious { .. })));
        let back = Reader::open(gallery).unwrap();
        back.verify().unwrap();
        assert_eq!(back.settings().model, crate::world::MODEL);
        assert_eq!(back.model().unwrap().unwrap(), b"old model");
        assert_eq!(back.vectors(&["item-8"]).unwrap().row(0), old.row(8));
        let found = back.search(of(&old), &Search::nearest(1)).unwrap();
        assert!(found.carried.is_none());
        assert_eq!(found.hits[12][0].item.id, "item-12");
    }
    let segments = std::fs::read_dir(&gallery)
        .unwrap()
        .filter(|entry| entry.as_ref().unwrap().file_name().to_string_lossy().ends_with(".f32"));
    assert_eq!(segments.count(), 1, "the segments of the new version are removed");
}

#[test]
fn rankings_mix_versions_by_comparable_distance_and_say_so() {
    let folder = tempfile::tempdir().unwrap();
    let (gallery, staged) = (folder.path().join("gallery"), folder.path().join("staged"));
    let mut writer = Writer::create(&gallery, settings(5)).unwrap();
    fill(&mut writer, 0, 50);
    let new = stage(&staged, &Reader::open(&gallery).unwrap(), 3);
    let ready = Reader::open(&staged).unwrap();
    writer.switch(&ready, b"new model", Some(&carried())).unwrap();
    let reader = Reader::open(&gallery).unwrap();

    let queries = vectors(6, 3, 5);
    let answer = reader.search(query(&queries), &Search::nearest(8)).unwrap();
    let announced = answer.carried.unwrap();
    assert_eq!((announced.items, &announced.by), (17, &carried()));
    assert!(announced.announcement(50).contains("17 of the 50 items"));
    for (query, hits) in queries.outer_iter().zip(&answer.hits) {
        // The definition: all distances, those to carried vectors mapped, sorted.
        let mut expected: Vec<(f32, String)> = (0..50)
            .map(|row| {
                let difference = &query - &new.row(row);
                let distance = difference.dot(&difference).sqrt();
                let is_carried = row % 3 == 0;
                let distance = if is_carried { 0.5 * distance + 0.1 } else { distance };
                (distance, format!("item-{row}"))
            })
            .collect();
        expected.sort_by(|x, y| x.0.total_cmp(&y.0));
        assert_eq!(hits.len(), 8);
        for (hit, (distance, id)) in hits.iter().zip(&expected) {
            assert_eq!(&hit.item.id, id);
            assert!((hit.distance - distance).abs() < 1e-5, "{} {distance}", hit.distance);
            let row: usize = id[5..].parse().unwrap();
            assert_eq!(hit.origin, row.is_multiple_of(3).then_some(Origin::Adapted));
        }
    }
    assert!(answer.hits.iter().flatten().any(|hit| hit.origin.is_some()));
    // Filters hold in both parts.
    let mut search = Search::nearest(50);
    search.filter.labels = vec!["class-3".into()];
    let filtered = reader.search(query(&queries), &search).unwrap();
    assert_eq!(filtered.hits[0].len(), 5);

    // Once the carried items are replaced, nothing is announced any more.
    let replaced: Vec<Item> =
        (0..50).step_by(3).map(|row| Item::new(format!("item-{row}"))).collect();
    writer.add(query(&vectors(17, 3, 6)), &replaced, Duplicates::Replace).unwrap();
    assert!(reader.refresh().unwrap());
    let answer = reader.search(query(&queries), &Search::nearest(3)).unwrap();
    assert!(answer.carried.is_none() && answer.hits[0].iter().all(|hit| hit.origin.is_none()));
}

#[test]
fn items_without_a_staged_vector_or_with_an_outdated_one_prevent_the_switch() {
    let folder = tempfile::tempdir().unwrap();
    let (gallery, staged) = (folder.path().join("gallery"), folder.path().join("staged"));
    let mut writer = Writer::create(&gallery, settings(4)).unwrap();
    fill(&mut writer, 0, 12);
    stage(&staged, &Reader::open(&gallery).unwrap(), 100);
    let ready = Reader::open(&staged).unwrap();
    let generation = || Reader::open(&gallery).unwrap().info().unwrap().generation;
    fill(&mut writer, 12, 1);
    let at = generation();
    let refused =
        |writer: &mut Writer| writer.switch(&ready, b"new", Some(&carried())).unwrap_err();
    assert!(matches!(refused(&mut writer), Error::NotStaged { .. }));
    writer.remove(&["item-12"]).unwrap();
    let rows = vectors(1, 4, 999);
    writer.add(of(&rows), &[Item::new("item-3")], Duplicates::Replace).unwrap();
    assert!(matches!(refused(&mut writer), Error::NotStaged { .. }));
    assert_eq!(generation(), at + 2);
    let reader = Reader::open(&gallery).unwrap();
    assert_eq!(reader.settings().model, crate::world::MODEL);
    reader.verify().unwrap();
    drop(writer);
    Writer::open(&gallery).unwrap();
    assert!(!gallery.join("vectors-000001.f32").exists(), "a failed switch leaves nothing behind");
}

#[test]
fn a_rollback_does_not_lose_items_that_were_added_later() {
    let folder = tempfile::tempdir().unwrap();
    let (gallery, staged) = (folder.path().join("gallery"), folder.path().join("staged"));
    let mut writer = Writer::create(&gallery, settings(4)).unwrap();
    fill(&mut writer, 0, 10);
    stage(&staged, &Reader::open(&gallery).unwrap(), 100);
    writer.switch(&Reader::open(&staged).unwrap(), b"new", Some(&carried())).unwrap();
    let late = vectors(2, 3, 4);
    writer
        .add(query(&late), &[Item::new("late-1"), Item::new("late-0")], Duplicates::Refuse)
        .unwrap();
    let error = writer.roll_back().unwrap_err();
    assert!(
        matches!(&error, Error::NewerItems { items: 2, first, .. } if first == "late-0"),
        "{error}"
    );
    writer.remove(&["late-0", "late-1", "item-4"]).unwrap();
    assert_eq!(writer.roll_back().unwrap().computed, 9);
    let back = Reader::open(&gallery).unwrap();
    back.verify().unwrap();
    assert_eq!(back.info().unwrap().items, 9);
    assert!(back.item("item-4").unwrap().is_none(), "removed items stay removed");

    // The end of an upgrade frees the old version.
    let staged = folder.path().join("again");
    stage(&staged, &back, 100);
    writer.switch(&Reader::open(&staged).unwrap(), b"new", Some(&carried())).unwrap();
    let segments = || {
        let files = std::fs::read_dir(&gallery).unwrap();
        let names = files.map(|file| file.unwrap().file_name().to_string_lossy().into_owned());
        names.filter(|name| name.ends_with(".f32")).count()
    };
    assert_eq!(segments(), 2);
    writer.finish_upgrade().unwrap();
    assert_eq!(segments(), 1);
    assert!(matches!(writer.roll_back(), Err(Error::NoPrevious { .. })));
    writer.compact().unwrap();
    Reader::open(&gallery).unwrap().verify().unwrap();
}

#[test]
fn sources_are_noted_once() {
    let folder = tempfile::tempdir().unwrap();
    let gallery = folder.path().join("gallery");
    let mut writer = Writer::create(&gallery, settings(4)).unwrap();
    let sources = || Reader::open(&gallery).unwrap().sources().unwrap();
    assert!(sources().is_empty());
    for text in ["folder:/b", "folder:/a", "folder:/b"] {
        writer.note_source(text).unwrap();
    }
    assert_eq!(sources(), ["folder:/a", "folder:/b"]);
}
