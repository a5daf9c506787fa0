//! Some of many items, without reading them all.
//!
//! A gallery counts its items by a rising number with gaps, and finds the first from any number on.

use std::collections::HashSet;

use rand::RngExt;
use tercet_gallery::{Error, Item, ReadGallery};

/// Items read at once.
const CHUNK: usize = 500;

/// Neighbouring items of an even sample, so that small classes keep some company.
const RUN: usize = 5;

/// All of `count` items, or if these are more than `most`, runs of neighbours at even distances.
pub(crate) fn evenly(
    reader: &dyn ReadGallery,
    count: u64,
    most: usize,
) -> Result<Vec<Item>, Error> {
    let mut items = Vec::new();
    if count <= most as u64 {
        let mut from = None;
        loop {
            let page = reader.items(from, CHUNK)?;
            items.extend(page.items);
            from = page.next;
            if from.is_none() || items.len() >= most {
                return Ok(items);
            }
        }
    }
    let end = end(reader)?;
    let runs = (most / RUN) as i64;
    let mut from = 0;
    for run in 0..runs {
        // Where much was removed two runs would meet: the second begins where the first has ended.
        from = from.max(end / runs * run);
        let page = reader.items(Some(from), RUN)?;
        items.extend(page.items);
        match page.next {
            Some(next) => from = next,
            None => break,
        }
    }
    Ok(items)
}

/// At most so many different items at random places.
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

/// Behind the last item.
fn end(reader: &dyn ReadGallery) -> Result<i64, Error> {
    let (mut low, mut high) = (0, 1);
    let is_behind = |from: i64| Ok::<_, Error>(reader.items(Some(from), 1)?.items.is_empty());
    while !is_behind(high)? {
        low = high;
        high *= 2;
    }
    while high - low > 1 {
        let middle = low + (high - low) / 2;
        if is_behind(middle)? { high = middle } else { low = middle }
    }
    Ok(high)
}

#[cfg(test)]
mod tests {
    use ndarray::Array2;
    use tercet_gallery::{Duplicates, Reader, Settings, Vectors, WriteGallery, Writer};

    use super::*;

    #[test]
    fn samples_reach_everywhere_and_hold_no_item_twice() {
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
        assert_eq!(evenly(&reader, 700, 1000).unwrap().len(), 700);
        let ids = |items: Vec<Item>| items.into_iter().map(|item| item.id).collect::<Vec<_>>();
        let some = ids(evenly(&reader, 700, 100).unwrap());
        assert!((80..=100).contains(&some.len()), "{}", some.len());
        assert!(some.is_sorted_by(|one, next| one < next), "{some:?}");
        assert!(some[0] == "000" && some.last().unwrap().as_str() > "940", "{some:?}");
        let random = ids(at_random(&reader, 50).unwrap());
        assert_eq!((random.len(), random.iter().collect::<HashSet<_>>().len()), (50, 50));
        assert!(random.iter().any(|id| id.as_str() > "700"), "{random:?}");
    }
}
