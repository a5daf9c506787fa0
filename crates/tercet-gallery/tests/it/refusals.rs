//! What a gallery refuses, and what it says then.

use ndarray::{Array2, array};
use tercet::{Distance, Metric};
use tercet_gallery::{
    Duplicates, Error, Item, ReadGallery, Reader, Search, Settings, Vectors, WriteGallery, Writer,
};

use crate::world::{MODEL, fill, items, of, settings, vectors};

#[test]
fn another_model_or_length_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let mut writer = Writer::create(folder.path(), settings(4)).unwrap();
    fill(&mut writer, 0, 5);
    let rows = vectors(1, 4, 1);
    let other = Vectors { model: "77aa", rows: rows.view() };
    let error = writer.add(other, &items(9, 1), Duplicates::Refuse).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the gallery's vectors come from the model with fingerprint `5f0c`, got `77aa`: use that \
         model, or create a gallery for this one"
    );
    let reader = Reader::open(folder.path()).unwrap();
    assert!(matches!(reader.search(other, &Search::nearest(1)), Err(Error::Model { .. })));
    let long = vectors(1, 5, 1);
    let error = reader.search(of(&long), &Search::nearest(1)).unwrap_err();
    assert_eq!(error.to_string(), "the gallery holds vectors of 4 dimensions, got 5");
    assert!(matches!(
        writer.add(of(&long), &items(9, 1), Duplicates::Refuse),
        Err(Error::Dimensions { expected: 4, got: 5 })
    ));
    assert_eq!(
        reader.search(of(&rows), &Search::nearest(0)).unwrap_err().to_string(),
        "k is 0: expected at least 1"
    );
    assert!(!reader.refresh().unwrap());
}

#[test]
fn items_that_do_not_fit_are_refused_as_a_whole() {
    let folder = tempfile::tempdir().unwrap();
    let mut writer = Writer::create(folder.path(), settings(2)).unwrap();
    fill(&mut writer, 0, 3);
    let mut refused = |rows: &Array2<f32>, items: &[Item]| {
        writer.add(of(rows), items, Duplicates::Refuse).unwrap_err().to_string()
    };
    let two = vectors(2, 2, 1);
    assert_eq!(refused(&two, &items(5, 1)), "expected one item for each of the 2 vectors, got 1");
    assert_eq!(
        refused(&two, &[Item::new("x"), Item::new("item-1")]),
        "the gallery holds `item-1` already: replace it, or give another id; nothing was added"
    );
    assert_eq!(
        refused(&two, &[Item::new("x"), Item::new("x")]),
        "id `x` was given twice; nothing was changed"
    );
    assert_eq!(
        refused(&two, &[Item::new("x"), Item::new("")]),
        "the id of item 1 is \"\": expected text without the character NUL, and not empty"
    );
    assert!(refused(&two, &[Item::new("x"), Item::new("y").labelled("a\0b")]).contains("label"));
    assert_eq!(
        refused(&array![[0.0, 1.0], [f32::NAN, 0.0]], &items(5, 2)),
        "row 1, column 0 holds NaN: expected finite numbers"
    );
    assert_eq!(
        writer.remove(&["item-0", "nobody"]).unwrap_err().to_string(),
        "the gallery holds no `nobody`"
    );
    let reader = Reader::open(folder.path()).unwrap();
    assert_eq!(reader.verify().unwrap().items, 3);
    assert!(matches!(reader.vectors(&["nobody"]), Err(Error::UnknownId { .. })));
    assert_eq!(reader.item("nobody").unwrap(), None);
}

#[test]
fn a_direction_is_needed_where_only_directions_count() {
    let folder = tempfile::tempdir().unwrap();
    let cosine = Settings { metric: Metric::from(Distance::Cosine), ..settings(2) };
    let mut writer = Writer::create(folder.path(), cosine).unwrap();
    let rows = array![[3.0_f32, 4.0], [0.0, 0.0]];
    let error = writer.add(of(&rows), &items(0, 2), Duplicates::Refuse).unwrap_err();
    assert_eq!(
        error.to_string(),
        "vector 1 has length 0: a gallery of cosine distances needs a direction"
    );
    writer.add(of(&array![[3.0, 4.0]]), &items(0, 1), Duplicates::Refuse).unwrap();
    let reader = Reader::open(folder.path()).unwrap();
    assert_eq!(reader.vectors(&["item-0"]).unwrap(), array![[0.6, 0.8]]);
}

#[test]
fn there_is_one_writer() {
    let folder = tempfile::tempdir().unwrap();
    let writer = Writer::create(folder.path(), settings(2)).unwrap();
    assert!(matches!(Writer::open(folder.path()), Err(Error::Locked { .. })));
    assert!(matches!(Writer::create(folder.path(), settings(2)), Err(Error::Locked { .. })));
    Reader::open(folder.path()).unwrap();
    drop(writer);
    Writer::open(folder.path()).unwrap();
    let error = Writer::create(folder.path(), settings(2)).unwrap_err();
    assert!(matches!(error, Error::AlreadyThere { .. }), "{error}");
}

#[test]
fn what_is_no_gallery_is_not_opened() {
    let folder = tempfile::tempdir().unwrap();
    assert!(matches!(Reader::open(folder.path()), Err(Error::NotAGallery { .. })));
    assert!(matches!(Writer::open(folder.path()), Err(Error::NotAGallery { .. })));
    assert!(matches!(Writer::open(folder.path().join("no")), Err(Error::NotAGallery { .. })));
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    assert!(Writer::create(folder.path(), settings(0)).is_err());
}

#[test]
fn a_newer_format_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    drop(Writer::create(folder.path(), settings(2)).unwrap());
    let sql = rusqlite::Connection::open(folder.path().join("catalogue.sqlite")).unwrap();
    sql.pragma_update(None, "user_version", 2).unwrap();
    let error = Reader::open(folder.path()).err().unwrap();
    assert!(matches!(error, Error::NewerFormat { found: 2, known: 1, .. }), "{error}");
    assert!(matches!(Writer::open(folder.path()), Err(Error::NewerFormat { .. })));
    sql.pragma_update(None, "application_id", 7).unwrap();
    assert!(matches!(Reader::open(folder.path()), Err(Error::Damaged { .. })));
}

#[test]
fn a_creation_that_was_stopped_can_be_made_again() {
    let folder = tempfile::tempdir().unwrap();
    drop(rusqlite::Connection::open(folder.path().join("catalogue.sqlite")).unwrap());
    std::fs::write(folder.path().join("catalogue.sqlite"), b"").unwrap();
    assert!(matches!(Reader::open(folder.path()), Err(Error::NotAGallery { .. })));
    let settings = Settings { model: MODEL.into(), ..settings(2) };
    drop(Writer::create(folder.path(), settings).unwrap());
    Reader::open(folder.path()).unwrap();
}
