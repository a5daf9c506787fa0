//! A random sample of a gallery's items.

use std::collections::HashSet;

use rand::RngExt;
use tercet_gallery::sample::end;
use tercet_gallery::{Error, Item, ReadGallery};

/// At most `count` different items at random places.
pub(crate) fn at_random(reader: &dyn ReadGallery, count: usize) -> Result<Vec<Item>, Error> {
    let end = end(reader)?;
    let mut random = rand::rng();
    let (mut items, mut seen) = (Vec::new(), HashSet::new());
    for _ in 0..4 * count {
        let found = reader.items(Some(random.random_range(0..end)), 1)?.items;
        items.extend(found.into_iter().filter(|item| seen.insert(item.id.clone())));
        if items.len() == count {
            break;
        }
    }
    Ok(items)
}

#[cfg(test)]
mod tests {
    use ndarray::Array2;
    use tercet_gallery::{Duplicates, Reader, Settings, Vectors, WriteGallery, Writer};

    use super::*;

    #[test]
    fn random_samples_reach_everywhere_and_hold_no_item_twice() {
        let folder = tempfile::tempdir().unwrap();
        let settings = Settings {
            dimensions: 1,
            metric: tercet::Metric::default(),
            model: String::new(),
            quantization: None,
        };
        let mut writer = Writer::create(folder.path(), settings).unwrap();
        let rows = Array2::zeros((1000, 1));
        let items: Vec<Item> = (0..1000).map(|i| Item::new(format!("{i:03}"))).collect();
        let vectors = Vectors { model: "", rows: rows.view() };
        assert!(at_random(&Reader::open(folder.path()).unwrap(), 5).unwrap().is_empty());
        writer.add(vectors, &items, Duplicates::Refuse).unwrap();
        let gone: Vec<String> = (100..400).map(|i| format!("{i:03}")).collect();
        let gone: Vec<&str> = gone.iter().map(|id| &id[..]).collect();
        writer.remove(&gone).unwrap();

        let reader = Reader::open(folder.path()).unwrap();
        let ids = |items: Vec<Item>| items.into_iter().map(|item| item.id).collect::<Vec<_>>();
        let random = ids(at_random(&reader, 50).unwrap());
        assert_eq!((random.len(), random.iter().collect::<HashSet<_>>().len()), (50, 50));
        assert!(random.iter().any(|id| id.as_str() > "700"), "{random:?}");
    }
}
