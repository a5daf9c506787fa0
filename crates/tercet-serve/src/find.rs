//! Finds items whose class or id contains a text.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use tercet_gallery::{Error, Item, Page, ReadGallery};

/// Items that are read at once.
const CHUNK: usize = 500;

/// The time after which one search of the gallery stops.
const WITHIN: Duration = Duration::from_millis(800);

/// Items of one class that are listed before the items of other classes.
const OF_A_CLASS: usize = 3;

/// The quality of a match; better matches sort first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Match {
    WholeId,
    WholeLabel,
    StartOfLabel,
    Label,
    Id,
}

/// At most `limit` items that match a text, regardless of upper or lower case: best matches first,
/// with the classes mixed. Reads the gallery from `from` on, for a limited time: [`Page::next`] is
/// the position at which to continue.
pub(crate) fn items(
    reader: &dyn ReadGallery,
    text: &str,
    from: Option<i64>,
    limit: usize,
) -> Result<Page, Error> {
    let began = Instant::now();
    let text = text.to_lowercase();
    let mut found: Vec<(Match, bool, Item)> = Vec::new();
    let mut of_class: HashMap<Option<String>, usize> = HashMap::new();
    let mut next = from;
    loop {
        let page = reader.items(next, CHUNK)?;
        for item in page.items {
            if let Some(quality) = quality(&item, &text) {
                let count = of_class.entry(item.label.clone()).or_default();
                *count += 1;
                found.push((quality, *count > OF_A_CLASS, item));
            }
        }
        next = page.next;
        // Better matches may follow, but worse ones need not be retained.
        found.sort_by(|(one, many, _), (other, others, _)| (many, one).cmp(&(others, other)));
        found.truncate(limit);
        if next.is_none() || began.elapsed() > WITHIN {
            break;
        }
    }
    Ok(Page { items: found.into_iter().map(|(.., item)| item).collect(), next })
}

/// The quality of the match of an item with `text`, which is in lower case; `None` if it does not
/// match.
fn quality(item: &Item, text: &str) -> Option<Match> {
    let id = item.id.to_lowercase();
    let label = item.label.as_ref().map(|label| label.to_lowercase()).unwrap_or_default();
    let matches = [
        (Match::WholeId, id == text),
        (Match::WholeLabel, label == text),
        (Match::StartOfLabel, label.starts_with(text)),
        (Match::Label, label.contains(text)),
        (Match::Id, id.contains(text)),
    ];
    matches.into_iter().find(|(_, holds)| *holds).map(|(quality, _)| quality)
}

#[cfg(test)]
mod tests {
    use ndarray::Array2;
    use tercet_gallery::{Duplicates, Reader, Settings, Vectors, WriteGallery, Writer};

    use super::*;

    #[test]
    fn best_matches_come_first_and_classes_are_mixed() {
        let folder = tempfile::tempdir().unwrap();
        let settings = Settings {
            dimensions: 1,
            metric: tercet::Metric::default(),
            model: String::new(),
            quantization: None,
        };
        let mut writer = Writer::create(folder.path(), settings).unwrap();
        let mut items: Vec<Item> =
            (0..900).map(|i| Item::new(format!("z/{i:03}")).labelled("Bobcat")).collect();
        items.push(Item::new("z/last").labelled("cat"));
        items.push(Item::new("cat").labelled("dog"));
        items.push(Item::new("a/CATALOGUE"));
        let rows = Array2::zeros((items.len(), 1));
        let vectors = Vectors { model: "", rows: rows.view() };
        writer.add(vectors, &items, Duplicates::Refuse).unwrap();
        let reader = Reader::open(folder.path()).unwrap();
        let found = |text: &str, limit: usize| {
            let page = super::items(&reader, text, None, limit).unwrap();
            page.items.into_iter().map(|item| item.id).collect::<Vec<_>>()
        };
        let first = found("Cat", 7);
        assert_eq!(first, ["cat", "z/last", "z/000", "z/001", "z/002", "a/CATALOGUE", "z/003"]);
        assert_eq!(found("z/456", 5), ["z/456"]);
        assert!(found("nothing", 5).is_empty());
    }
}
