//! Any sequence of changes leaves what a map would hold.

use std::collections::BTreeMap;

use ndarray::Array2;
use proptest::prelude::*;
use tercet_gallery::{
    Duplicates, Error, Item, ReadGallery, Reader, Search, Thumbnail, WriteGallery, Writer,
};

use crate::world::{of, settings, vectors};

#[derive(Debug, Clone)]
enum Step {
    Add { ids: Vec<u8>, replace: bool, seed: u64 },
    Remove(Vec<u8>),
    Compact,
    Reopen,
}

fn step() -> impl Strategy<Value = Step> {
    let ids = || prop::collection::vec(0_u8..30, 1..8);
    prop_oneof![
        4 => (ids(), any::<bool>(), any::<u64>())
            .prop_map(|(ids, replace, seed)| Step::Add { ids, replace, seed }),
        2 => ids().prop_map(Step::Remove),
        1 => Just(Step::Compact),
        1 => Just(Step::Reopen),
    ]
}

/// A one in three chance each of a label, an attribute and a thumbnail.
fn item(id: u8, seed: u64) -> Item {
    let of = |kind: u64| (seed >> (8 * kind)).wrapping_add(u64::from(id)) % 3 == 0;
    let mut item = Item::new(id.to_string());
    item.label = of(0).then(|| format!("label {}", seed % 4));
    if of(1) {
        item = item.with("camera", (seed % 2).to_string());
    }
    let picture = || Thumbnail { media_type: "image/png".into(), bytes: seed.to_le_bytes().into() };
    item.thumbnail = of(2).then(picture);
    item
}

fn distinct(ids: &[u8]) -> bool {
    (1..ids.len()).all(|at| !ids[..at].contains(&ids[at]))
}

type Model = BTreeMap<String, (Item, Vec<f32>)>;

fn check(reader: &Reader, model: &Model) {
    reader.refresh().unwrap();
    assert_eq!(reader.info().unwrap().items, model.len() as u64);
    for (id, (item, vector)) in model {
        assert_eq!(reader.item(id).unwrap().as_ref(), Some(item));
        assert_eq!(reader.vectors(&[id]).unwrap().row(0).to_vec(), *vector);
    }
    let mut listed = Vec::new();
    let mut from = None;
    loop {
        let page = reader.items(from, 4).unwrap();
        listed.extend(page.items.into_iter().map(|item| item.id));
        from = page.next;
        if from.is_none() {
            break;
        }
    }
    listed.sort_unstable();
    assert!(listed.iter().eq(model.keys()));
    // Everything is found, at the distance that it has.
    let query = Array2::zeros((1, 3));
    let found = reader.search(of(&query), &Search::nearest(100)).unwrap();
    assert_eq!(found.hits[0].len(), model.len());
    for hit in &found.hits[0] {
        let (item, vector) = &model[&hit.item.id];
        assert_eq!(hit.item, Item { thumbnail: None, ..item.clone() });
        let expected = vector.iter().map(|x| x * x).sum::<f32>().sqrt();
        assert!((hit.distance - expected).abs() < 1e-5);
    }
    reader.verify().unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn a_gallery_is_a_map(steps in prop::collection::vec(step(), 1..14)) {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().join("gallery");
        let mut writer = Some(Writer::create(&folder, settings(3)).unwrap());
        let reader = Reader::open(&folder).unwrap();
        let mut model = Model::new();
        for step in steps {
            let now = writer.as_mut().unwrap();
            match step {
                Step::Add { ids, replace, seed } => {
                    let rows = vectors(ids.len(), 3, seed);
                    let items: Vec<Item> = ids.iter().map(|&id| item(id, seed)).collect();
                    let known = items.iter().filter(|item| model.contains_key(&item.id)).count();
                    let how = if replace { Duplicates::Replace } else { Duplicates::Refuse };
                    match now.add(of(&rows), &items, how) {
                        Ok(done) => {
                            prop_assert!(distinct(&ids) && (replace || known == 0));
                            prop_assert_eq!(done.replaced, known);
                            prop_assert_eq!(done.added, ids.len() - known);
                            for (item, row) in items.into_iter().zip(rows.outer_iter()) {
                                model.insert(item.id.clone(), (item, row.to_vec()));
                            }
                        }
                        Err(Error::RepeatedId { .. }) => prop_assert!(!distinct(&ids)),
                        Err(Error::DuplicateId { .. }) => prop_assert!(!replace && known > 0),
                        Err(error) => panic!("{error}"),
                    }
                }
                Step::Remove(ids) => {
                    let names: Vec<String> = ids.iter().map(u8::to_string).collect();
                    let known = names.iter().all(|name| model.contains_key(name));
                    let names: Vec<&str> = names.iter().map(String::as_str).collect();
                    match now.remove(&names) {
                        Ok(()) => {
                            prop_assert!(known && distinct(&ids));
                            names.iter().for_each(|&name| drop(model.remove(name)));
                        }
                        Err(Error::RepeatedId { .. }) => prop_assert!(!distinct(&ids)),
                        Err(Error::UnknownId { .. }) => prop_assert!(!known),
                        Err(error) => panic!("{error}"),
                    }
                }
                Step::Compact => {
                    now.compact().unwrap();
                    reader.refresh().unwrap();
                    prop_assert_eq!(reader.info().unwrap().removed, 0);
                }
                Step::Reopen => {
                    drop(writer.take());
                    writer = Some(Writer::open(&folder).unwrap());
                }
            }
            check(&reader, &model);
        }
        check(&Reader::open(&folder).unwrap(), &model);
    }
}
