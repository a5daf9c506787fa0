//! The list of the items of a source, with their classes.

use std::path::{Path, PathBuf};

use image::DynamicImage;
use ndarray::Array2;
use rayon::prelude::*;
use tercet::Labels;

use super::archive::Entry;
use super::idx_image::IdxImage;
use super::sheets::Cell;
use super::text::Text;
use super::vector::Vector;
use super::{Attributes, BadItem, DataError, Part, decode_file};
use crate::fingerprint::Fingerprint;

/// The contents of a source: its items in a fixed order, each with a class.
#[derive(Debug, Clone)]
pub struct Catalogue {
    /// The source as it is written, for example `folder:photos`.
    pub source: String,
    /// The items.
    pub items: Vec<Item>,
    /// The class of each item.
    pub labels: Labels,
    /// Whether the source has classes; otherwise all items are in one class that means nothing.
    pub labelled: bool,
    /// What should be an item but cannot be one, for example a file whose name does not contain its
    /// class. Like items that cannot be decoded, it is an error unless bad items are skipped.
    pub bad: Vec<BadItem>,
    /// Irregularities of the source that do not make it unusable, one line each: class folders
    /// without images, files that were left out. Users should be warned of them.
    pub problems: Vec<String>,
}

/// One image, vector or text of a catalogue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// Its id: the path from the root of the source with `/` between the parts, or for example
    /// `あ/klee-one`.
    pub id: String,
    /// Where its pixels are stored.
    pub content: Content,
    /// What else the source records about it.
    pub attributes: Attributes,
}

impl Item {
    /// An item without attributes.
    pub fn new(id: String, content: Content) -> Self {
        Self { id, content, attributes: Attributes::default() }
    }
}

/// Where the pixels of an item are stored, or a vector in their place.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Content {
    /// An image file.
    File(PathBuf),
    /// An image in a zip file.
    Entry(Entry),
    /// An image of an IDX file.
    Idx(IdxImage),
    /// A cell of an embedded sheet.
    Cell(Cell),
    /// No pixels, but a vector that something else computed from them.
    Vector(Vector),
    /// A text.
    Text(Text),
}

impl Content {
    /// The file that contains it; `None` for items that are embedded in the program.
    pub fn file(&self) -> Option<&Path> {
        match self {
            Self::File(path) => Some(path),
            Self::Entry(entry) => Some(entry.path()),
            Self::Idx(image) => Some(image.path()),
            Self::Cell(_) => None,
            Self::Vector(vector) => Some(vector.path()),
            Self::Text(text) => Some(text.path()),
        }
    }

    /// The text; `None` for images and vectors.
    pub fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text.text()),
            _ => None,
        }
    }
}

impl Catalogue {
    /// A catalogue with a class for each item, and without irregularities.
    pub fn new(source: String, items: Vec<Item>, labels: Labels) -> Self {
        Self { source, items, labels, labelled: true, bad: Vec::new(), problems: Vec::new() }
    }

    /// Number of items.
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// Whether there are no items.
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// Some of the items, in the given order. Classes without items are removed.
    ///
    /// # Panics
    /// If an item is not smaller than [`len`](Self::len).
    pub fn select(&self, items: &[u32]) -> Self {
        Self {
            source: self.source.clone(),
            items: items.iter().map(|&item| self.items[item as usize].clone()).collect(),
            labels: self.labels.select(items),
            labelled: self.labelled,
            bad: self.bad.clone(),
            problems: self.problems.clone(),
        }
    }

    /// These items followed by those of `other`.
    pub(crate) fn chain(mut self, other: Self) -> Self {
        self.labels = self.labels.chain(&other.labels);
        self.items.extend(other.items);
        self.bad.extend(other.bad);
        self.problems.extend(other.problems);
        self
    }

    /// The items that belong to at least one of some parts, in increasing order; empty if the
    /// source does not have parts.
    pub fn part(&self, parts: &[Part]) -> Vec<u32> {
        (0..)
            .zip(&self.items)
            .filter(|(_, item)| item.attributes.parts.contains_any(parts))
            .map(|(index, _)| index)
            .collect()
    }

    /// The items of one part; see [`part`](Self::part).
    pub fn subset(&self, part: Part) -> Self {
        self.select(&self.part(&[part]))
    }

    /// The items to train on: the part `train` if the source has parts, otherwise all items.
    ///
    /// # Errors
    /// [`DataError::NoTraining`] if there are parts, but not this one; [`DataError::Unlabelled`] if
    /// there are no classes.
    pub fn training(&self) -> Result<Self, DataError> {
        self.needs_labels()?;
        let items = self.part(&[Part::Train]);
        if !items.is_empty() {
            return Ok(self.select(&items));
        }
        let parts: Vec<&str> = Part::ALL
            .into_iter()
            .filter(|&part| !self.part(&[part]).is_empty())
            .map(Part::name)
            .collect();
        match parts.is_empty() {
            true => Ok(self.clone()),
            false => {
                Err(DataError::NoTraining { text: self.source.clone(), parts: parts.join(", ") })
            }
        }
    }

    /// Refuses a source with items that cannot be understood, unless they are to be left out and
    /// others remain.
    ///
    /// # Errors
    /// [`DataError::BadItems`] or [`DataError::AllBad`].
    pub fn needs_good(&self, skip_bad: bool) -> Result<(), DataError> {
        match self.bad.split_first() {
            None => Ok(()),
            Some((first, _)) if self.is_empty() => {
                Err(DataError::AllBad { first: first.clone(), items: self.bad.len() })
            }
            Some(_) if skip_bad => Ok(()),
            Some((first, others)) => {
                Err(DataError::BadItems { first: first.clone(), more: others.len() })
            }
        }
    }

    /// Refuses a source without classes.
    ///
    /// # Errors
    /// [`DataError::Unlabelled`].
    pub fn needs_labels(&self) -> Result<(), DataError> {
        match self.labelled {
            true => Ok(()),
            false => Err(DataError::Unlabelled { text: self.source.clone() }),
        }
    }

    /// The items to evaluate on: the parts `test`, `query` and `gallery` if the source has any of
    /// them, otherwise the part `validation`, otherwise all items.
    pub fn judging(&self) -> Self {
        [&[Part::Test, Part::Query, Part::Gallery][..], &[Part::Validation]]
            .into_iter()
            .map(|parts| self.part(parts))
            .find(|items| !items.is_empty())
            .map_or_else(|| self.clone(), |items| self.select(&items))
    }

    /// The camera of each item; `None` unless every item has one.
    pub fn cameras(&self) -> Option<Labels> {
        let cameras = self.items.iter().map(|item| item.attributes.camera.as_deref());
        Some(cameras.collect::<Option<Vec<&str>>>()?.into_iter().collect())
    }

    /// Like [`cameras`](Self::cameras), with an error that names an item without one.
    pub(crate) fn require_cameras(&self) -> Result<Labels, DataError> {
        self.cameras().ok_or_else(|| {
            let plain = self.items.iter().find(|item| item.attributes.camera.is_none());
            DataError::NoCameras {
                text: self.source.clone(),
                item: plain.map(|item| item.id.clone()).unwrap_or_default(),
            }
        })
    }

    /// The vectors of the items, N×D; `None` for a source of images.
    pub fn vectors(&self) -> Option<Array2<f32>> {
        let row = |item: &Item| match &item.content {
            Content::Vector(vector) => Some(vector.clone()),
            _ => None,
        };
        let rows = self.items.iter().map(row).collect::<Option<Vec<Vector>>>()?;
        let dimensions = rows.first()?.values().len();
        let mut vectors = Array2::zeros((rows.len(), dimensions));
        for (mut to, from) in vectors.rows_mut().into_iter().zip(&rows) {
            to.assign(&from.values());
        }
        Some(vectors)
    }

    /// The ids of the items.
    pub fn ids(&self) -> Vec<&str> {
        self.items.iter().map(|item| item.id.as_str()).collect()
    }

    /// Whether the items are texts.
    pub fn has_texts(&self) -> bool {
        self.items.first().is_some_and(|item| item.content.text().is_some())
    }

    /// Decodes one item with its own colours and size; if it has a box, only the box is returned.
    ///
    /// # Errors
    /// [`DataError::Undecodable`] with the path or the id; [`DataError::Vectors`] or
    /// [`DataError::Texts`] for a source without images.
    ///
    /// # Panics
    /// If `item` is not smaller than [`len`](Self::len).
    pub fn image(&self, item: usize) -> Result<DynamicImage, DataError> {
        let Item { id, content, attributes } = &self.items[item];
        let image = match content {
            Content::File(path) => decode_file(path),
            Content::Entry(entry) => entry.image(),
            Content::Idx(image) => image.image(),
            Content::Cell(cell) => cell.image(),
            Content::Vector(_) => Err(DataError::Vectors { text: self.source.clone() }),
            Content::Text(_) => {
                Err(DataError::Texts { text: self.source.clone(), expected: "images" })
            }
        }?;
        match attributes.crop {
            None => Ok(image),
            Some(crop) => crop
                .cut(&image)
                .map_err(|reason| DataError::Undecodable { what: id.clone(), reason }),
        }
    }

    /// Decodes some items on all threads, each like [`image`](Self::image), and returns the results
    /// of `see`. A picture is dropped once `see` has returned.
    ///
    /// # Panics
    /// If an item is not smaller than [`len`](Self::len).
    pub fn see<T: Send>(
        &self,
        items: &[u32],
        see: impl Fn(&DynamicImage) -> Result<T, DataError> + Sync,
    ) -> Vec<Result<T, BadItem>> {
        let one = |&item: &u32| {
            let seen = self.image(item as usize).and_then(|image| see(&image));
            seen.map_err(|error| BadItem::new(&self.items[item as usize].id, error))
        };
        items.par_iter().map(one).collect()
    }

    /// 16 hexadecimal digits that distinguish catalogues: a hash of the ids and class names in
    /// their order, the same on every machine. The location of the source, pixels and attributes
    /// are not part of it. Vectors and texts are, because their ids may be mere row numbers.
    pub fn fingerprint(&self) -> String {
        let mut hash = Fingerprint::new();
        hash.number(self.len() as u64);
        for (item, &class) in self.items.iter().zip(self.labels.classes()) {
            hash.text(&item.id);
            hash.text(self.labels.name(class));
            if let Content::Vector(vector) = &item.content {
                vector.values().iter().for_each(|value| hash.bytes(&value.to_le_bytes()));
            }
            if let Some(text) = item.content.text() {
                hash.text(text);
            }
        }
        hash.hex()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn catalogue(items: &[(&str, &str)]) -> Catalogue {
        let labels = items.iter().map(|(_, class)| class).collect();
        let items = items
            .iter()
            .map(|(id, _)| Item::new((*id).to_owned(), Content::File(id.into())))
            .collect();
        Catalogue::new("folder:x".to_owned(), items, labels)
    }

    #[test]
    fn parts_decide_what_is_trained_and_judged_on() {
        let mut all = catalogue(&[("1", "a"), ("2", "b"), ("3", "b"), ("4", "c")]);
        assert_eq!(all.training().unwrap().len(), 4);
        assert_eq!(all.judging().len(), 4);
        assert_eq!(all.cameras(), None);
        let parts = [&[Part::Train][..], &[Part::Query], &[Part::Gallery, Part::Query], &[]];
        for (item, parts) in all.items.iter_mut().zip(parts) {
            item.attributes.parts = parts.iter().copied().collect();
            item.attributes.camera = Some((parts.len() % 2).to_string());
        }
        assert_eq!(all.training().unwrap().ids(), ["1"]);
        assert_eq!(all.judging().ids(), ["2", "3"]);
        assert_eq!(all.part(&[Part::Query]), [1, 2]);
        assert_eq!(all.subset(Part::Gallery).labels, Labels::from_iter(["b"]));
        assert_eq!(all.cameras(), Some(Labels::from_iter(["1", "1", "0", "0"])));
        let message = all.subset(Part::Query).training().unwrap_err().to_string();
        assert!(message.contains("query, gallery"), "{message}");
        all.items[0].attributes.camera = None;
        assert_eq!(all.cameras(), None);
    }

    #[test]
    fn the_fingerprint_of_the_first_version_stays() {
        // Existing model files contain this value.
        let glyphs = crate::data::Source::Glyphs.catalogue().unwrap();
        assert_eq!(glyphs.fingerprint(), "05e7aa048704ce68");
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
