use std::path::PathBuf;

use image::DynamicImage;
use tercet::Labels;

use super::glyphs::Glyph;
use super::{DataError, decode_file};
use crate::fingerprint::Fingerprint;

/// What a source holds: its items in a fixed order, each with a class.
#[derive(Debug, Clone)]
pub struct Catalogue {
    /// The source as written back, for example `folder:photos`.
    pub source: String,
    /// The items.
    pub items: Vec<Item>,
    /// The class of each item.
    pub labels: Labels,
    /// What is odd about the source without making it unusable, one line each: class folders
    /// without images, files that were left out. Worth a warning.
    pub problems: Vec<String>,
}

/// One image of a catalogue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// Its name: the path from the root of the source with `/` between the parts, or for example
    /// `あ/klee-one`.
    pub id: String,
    /// Where its pixels are.
    pub content: Content,
}

/// Where the pixels of an item are.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Content {
    /// An image file.
    File(PathBuf),
    /// A cell of an embedded sheet.
    Glyph(Glyph),
}

impl Catalogue {
    /// Number of items.
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// Whether there are no items.
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// Some of the items, in the order given. Classes left without items disappear.
    ///
    /// # Panics
    /// If an item is not below [`len`](Self::len).
    pub fn select(&self, items: &[u32]) -> Self {
        Self {
            source: self.source.clone(),
            items: items.iter().map(|&item| self.items[item as usize].clone()).collect(),
            labels: self.labels.select(items),
            problems: self.problems.clone(),
        }
    }

    /// Decodes one item, in the colours and size it has.
    ///
    /// # Errors
    /// [`DataError::Undecodable`], naming the path or the id.
    ///
    /// # Panics
    /// If `item` is not below [`len`](Self::len).
    pub fn image(&self, item: usize) -> Result<DynamicImage, DataError> {
        match &self.items[item].content {
            Content::File(path) => decode_file(path),
            Content::Glyph(glyph) => glyph.image(),
        }
    }

    /// 16 hexadecimal digits that tell catalogues apart: a hash of the ids and class names in
    /// their order, the same on every machine. Neither where the source lies nor the pixels count.
    pub fn fingerprint(&self) -> String {
        let mut hash = Fingerprint::new();
        hash.number(self.len() as u64);
        for (item, &class) in self.items.iter().zip(self.labels.classes()) {
            hash.text(&item.id);
            hash.text(self.labels.name(class));
        }
        hash.hex()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn catalogue(items: &[(&str, &str)]) -> Catalogue {
        Catalogue {
            source: "folder:x".to_owned(),
            items: items
                .iter()
                .map(|(id, _)| Item { id: (*id).to_owned(), content: Content::File(id.into()) })
                .collect(),
            labels: items.iter().map(|(_, class)| class).collect(),
            problems: Vec::new(),
        }
    }

    #[test]
    fn selection_keeps_the_given_order() {
        let all = catalogue(&[("a/1", "a"), ("a/2", "a"), ("b/1", "b")]);
        let some = all.select(&[2, 0]);
        assert_eq!(some.items[0].id, "b/1");
        assert_eq!(some.labels, Labels::from_iter(["b", "a"]));
    }

    #[test]
    fn the_fingerprint_sees_ids_labels_and_order() {
        let all = catalogue(&[("1", "a"), ("2", "a"), ("3", "b")]);
        let same = all.clone();
        assert_eq!(all.fingerprint(), same.fingerprint());
        assert_eq!(all.fingerprint().len(), 16);
        for other in [
            catalogue(&[("1", "a"), ("2", "b"), ("3", "b")]),
            catalogue(&[("1", "a"), ("3", "a"), ("2", "b")]),
            catalogue(&[("1a", ""), ("2", "a"), ("3", "b")]),
            all.select(&[0, 1]),
            all.select(&[1, 0, 2]),
        ] {
            assert_ne!(all.fingerprint(), other.fingerprint());
        }
    }
}
