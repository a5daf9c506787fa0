//! What goes into a gallery and what comes out of it.

use std::collections::{BTreeMap, HashSet};

use ndarray::{Array2, ArrayView2};
use serde::{Deserialize, Serialize};
use tercet::open_set::GallerySize;
use tercet::scan::Quantization;
use tercet::{Metric, ParameterError};

use crate::{Error, Filter};

/// What a gallery is made for; fixed when it is created.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settings {
    /// Components of each vector.
    pub dimensions: usize,
    /// How far apart two vectors are. Where only directions count (cosine, normalised) vectors are
    /// brought to unit length when they are added, and come out so.
    pub metric: Metric,
    /// Fingerprint of the model that makes the vectors. No other model's are accepted.
    pub model: String,
    /// Codes that propose candidates before the vectors decide, or an exact search over all.
    pub quantization: Option<Quantization>,
}

impl Settings {
    /// Refuses vectors that another model made, of another length, or that are no vectors; returns
    /// them as the distance sees them.
    pub(crate) fn accept(&self, vectors: Vectors) -> Result<Array2<f32>, Error> {
        if vectors.model != self.model {
            return Err(Error::Model { expected: self.model.clone(), got: vectors.model.into() });
        }
        if vectors.rows.ncols() != self.dimensions {
            let got = vectors.rows.ncols();
            return Err(Error::Dimensions { expected: self.dimensions, got });
        }
        let rows = self.metric.rows(vectors.rows)?;
        if self.metric.on_sphere()
            && let Some(row) = rows.outer_iter().position(|row| row.iter().all(|&x| x == 0.0))
        {
            return Err(Error::NoDirection { row, metric: self.metric });
        }
        Ok(rows)
    }
}

/// Vectors and the fingerprint of the model that made them, which travel together so that vectors
/// of different models never meet.
#[derive(Debug, Clone, Copy)]
pub struct Vectors<'a> {
    /// Fingerprint of the model.
    pub model: &'a str,
    /// N×D.
    pub rows: ArrayView2<'a, f32>,
}

/// A small picture of an item, as a file's bytes.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Thumbnail {
    /// Such as `image/webp`.
    pub media_type: String,
    /// The encoded picture.
    pub bytes: Vec<u8>,
}

/// What is known about a vector.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Item {
    /// Names it; unique in its gallery.
    pub id: String,
    /// Its class, if known.
    pub label: Option<String>,
    /// More about it by name, such as `camera`.
    pub attributes: BTreeMap<String, String>,
    /// How it looks. Left out where many items are listed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub thumbnail: Option<Thumbnail>,
}

impl Item {
    /// An item without anything but its id.
    pub fn new(id: impl Into<String>) -> Self {
        Self { id: id.into(), ..Self::default() }
    }

    /// The same item in a class.
    pub fn labelled(self, label: impl Into<String>) -> Self {
        Self { label: Some(label.into()), ..self }
    }

    /// The same item with an attribute.
    pub fn with(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.attributes.insert(name.into(), value.into());
        self
    }
}

/// Refuses items that do not pair up with vectors or cannot be told apart.
pub(crate) fn check(items: &[Item], rows: usize) -> Result<(), Error> {
    if items.len() != rows {
        return Err(Error::ItemCount { rows, items: items.len() });
    }
    for (row, item) in items.iter().enumerate() {
        let attributes = item.attributes.iter();
        let named = [("id", &item.id)].into_iter();
        let named = named.chain(item.label.iter().map(|label| ("label", label)));
        let named = named.chain(
            attributes.flat_map(|(name, value)| [("attribute name", name), ("attribute", value)]),
        );
        for (what, text) in named {
            let must_say = what == "id" || what == "attribute name";
            if text.contains('\0') || must_say && text.is_empty() {
                let more = if must_say { ", and not empty" } else { "" };
                return Err(Error::Text { what, row, got: text.clone(), more });
            }
        }
    }
    distinct(items.iter().map(|item| &item.id[..]))
}

/// Refuses a search for nothing.
pub(crate) fn at_least_one(k: usize) -> Result<(), Error> {
    if k > 0 {
        return Ok(());
    }
    let got = k.to_string();
    let expected = "at least 1".to_owned();
    Err(tercet::Error::from(ParameterError { parameter: "k", got, expected }).into())
}

/// Refuses an id that is given twice.
pub(crate) fn distinct<'a>(ids: impl Iterator<Item = &'a str>) -> Result<(), Error> {
    let mut seen = HashSet::new();
    for id in ids {
        if !seen.insert(id) {
            return Err(Error::RepeatedId { id: id.into() });
        }
    }
    Ok(())
}

/// What to do with an id that the gallery holds already.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Duplicates {
    /// Refuse the whole batch.
    #[default]
    Refuse,
    /// Put the new item in the place of the old one.
    Replace,
}

/// What an addition did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Added {
    /// Items that are new.
    pub added: usize,
    /// Items that took the place of one with their id.
    pub replaced: usize,
}

/// What to search for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Search {
    /// How many of the nearest.
    pub k: usize,
    /// Among which items.
    pub filter: Filter,
    /// Whether to pass over codes and index, and measure every vector.
    pub exact: bool,
}

impl Search {
    /// The `k` nearest of all items, by whatever the gallery has to find them fast.
    pub fn nearest(k: usize) -> Self {
        Self { k, filter: Filter::default(), exact: false }
    }
}

/// An item that was found.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Hit {
    /// The item, without its thumbnail.
    #[serde(flatten)]
    pub item: Item,
    /// How far it is from the query, by the gallery's metric.
    pub distance: f32,
}

/// How an answer was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Method {
    /// Every vector that passes the filter was measured.
    Exact,
    /// Codes proposed, the vectors decided: a near item may be missed.
    Quantized,
    /// An HNSW graph proposed: a near item may be missed.
    Hnsw,
}

/// The items found for each query, nearest first.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Answer {
    /// A list for each query; at most `k` items each.
    pub hits: Vec<Vec<Hit>>,
    /// How they were found.
    pub method: Method,
}

/// Some of a gallery's items, in the order in which they were added.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Page {
    /// The items, without thumbnails.
    pub items: Vec<Item>,
    /// Where to go on, if there are more.
    pub next: Option<i64>,
}

/// How to build an HNSW graph; the defaults are those of usearch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hnsw {
    /// Links of a node (M). Default 16.
    pub connectivity: usize,
    /// Candidates while the graph is built (efConstruction). Default 128.
    pub expansion_add: usize,
    /// Candidates of a search (ef). Default 64.
    pub expansion_search: usize,
}

impl Default for Hnsw {
    fn default() -> Self {
        Self { connectivity: 16, expansion_add: 128, expansion_search: 64 }
    }
}

/// An HNSW graph over a gallery and how well it finds.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Index {
    /// Vectors in the graph. What was added later is searched exactly beside it, and so are the few
    /// vectors that the graph does not find although they are in it.
    pub rows: u64,
    /// Share of the ten nearest that it finds, over a sample of the gallery's own vectors moved
    /// aside a little.
    pub recall_at_10: f64,
    /// Queries of that sample.
    pub sample: usize,
    /// What building took.
    pub seconds: f64,
}

/// How well the codes of a quantised gallery find.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CodeRecall {
    /// Items in the gallery when it was measured.
    pub rows: u64,
    /// Share of the ten nearest that are found: the lower of two, over vectors of the gallery as
    /// they are, and over vectors moved aside a little.
    pub recall_at_10: f64,
    /// Queries of both samples.
    pub sample: usize,
    /// Rows that the codes propose for the ten nearest: as many as it took to find nearly all.
    pub candidates: usize,
    /// What measuring took.
    pub seconds: f64,
}

/// A copy that was made of a gallery.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BackedUp {
    /// Items in the copy.
    pub items: u64,
    /// Bytes of its files.
    pub bytes: u64,
    /// The change of the gallery that the copy holds.
    pub generation: i64,
}

/// A gallery in numbers.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Info {
    /// Folder or address, without a password.
    pub location: String,
    /// What it is made for.
    #[serde(flatten)]
    pub settings: Settings,
    /// Whether it holds the file of its model.
    pub has_model: bool,
    /// Items in it.
    pub items: u64,
    /// Vectors that were removed and still take room until the gallery is compacted.
    pub removed: u64,
    /// Classes and how many items each has, by name; items without a label are not among them.
    pub labels: BTreeMap<String, u64>,
    /// Bytes on disk, with those of the log.
    pub bytes: u64,
    /// Bytes of the catalogue's write-ahead log: changes that are not yet copied into the catalogue.
    pub log_bytes: u64,
    /// A random name of this gallery, by which it differs from any other that takes its place; none
    /// in a gallery that an older version made and no newer one has changed.
    pub id: Option<String>,
    /// Differs after every change, and from every other gallery's: for caches. Opaque.
    pub version: String,
    /// Counts the changes.
    pub generation: i64,
    /// Its HNSW graph, if it has one.
    pub index: Option<Index>,
    /// How well its codes find, if it is quantised and this was measured.
    pub codes: Option<CodeRecall>,
}

impl Info {
    /// How large the gallery is for a search. An item without a label counts as a class of its own.
    pub fn size(&self) -> GallerySize {
        let labelled: u64 = self.labels.values().sum();
        let classes = self.labels.len() as u64 + self.items.saturating_sub(labelled);
        GallerySize { items: self.items, classes }
    }
}

/// What compaction did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Compacted {
    /// Removed vectors whose room was given back.
    pub rows: u64,
    /// Bytes that were freed.
    pub bytes: u64,
}

/// What was checked and found whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Verified {
    /// Vectors, with those that were removed and still take room.
    pub rows: u64,
    /// Items.
    pub items: u64,
    /// Bytes of vectors that were read.
    pub bytes: u64,
}
