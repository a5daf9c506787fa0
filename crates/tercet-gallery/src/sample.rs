//! Samples of the items of a gallery, without reading all of them.
//!
//! A gallery numbers its items in ascending order with gaps, and can return the first items from
//! any number on.

use ndarray::Array2;

use crate::{Error, Item, ReadGallery};

/// Items that are read at once.
const CHUNK: usize = 500;

/// Consecutive items in each part of an even sample, so that it contains several items of small
/// classes.
const RUN: usize = 5;

/// All of `count` items, or, if these are more than `most`, runs of consecutive items at even
/// distances.
///
/// # Errors
/// The store cannot be read.
pub fn evenly(reader: &dyn ReadGallery, count: u64, most: usize) -> Result<Vec<Item>, Error> {
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
        // Where many items were removed, two runs would overlap: the second starts where the first
        // has ended.
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

/// Like [`evenly`], and also returns the vectors of the items, one per row.
///
/// # Errors
/// The store cannot be read.
pub fn with_vectors(
    reader: &dyn ReadGallery,
    count: u64,
    most: usize,
) -> Result<(Vec<Item>, Array2<f32>), Error> {
    let items = evenly(reader, count, most)?;
    let ids: Vec<&str> = items.iter().map(|item| &item.id[..]).collect();
    let vectors = reader.vectors(&ids)?;
    Ok((items, vectors))
}

/// The number after the last item: no item has this number or a larger one.
///
/// # Errors
/// The store cannot be read.
pub fn end(reader: &dyn ReadGallery) -> Result<i64, Error> {
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

    use super::*;
    use crate::{Duplicates, Reader, Settings, Vectors, WriteGallery, Writer};

    #[test]
    fn even_samples_reach_everywhere_and_hold_no_item_twice() {
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
        assert!(evenly(&Reader::open(folder.path()).unwrap(), 0, 100).unwrap().is_empty());
        writer.add(vectors, &items, Duplicates::Refuse).unwrap();
        let gone: Vec<String> = (100..400).map(|i| format!("{i:03}")).collect();
        let gone: Vec<&str> = gone.iter().map(|id| &id[..]).collect();
        writer.remove(&gone).unwrap();

        let reader = Reader::open(folder.path()).unwrap();
        assert_eq!(evenly(&reader, 700, 1000).unwrap().len(), 700);
        let some: Vec<String> =
            evenly(&reader, 700, 100).unwrap().into_iter().map(|item| item.id).collect();
        assert!((80..=100).contains(&some.len()), "{}", some.len());
        assert!(some.is_sorted_by(|one, next| one < next), "{some:?}");
        assert!(some[0] == "000" && some.last().unwrap().as_str() > "940", "{some:?}");
        assert_eq!(end(&reader).unwrap(), 1001);
    }
}
