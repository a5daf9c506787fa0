//! The input and output types of a gallery.

use std::collections::{BTreeMap, HashSet};

use ndarray::{Array2, ArrayView2};
use serde::{Deserialize, Serialize};
use tercet::open_set::GallerySize;
use tercet::scan::Quantization;
use tercet::{Metric, ParameterError};

use crate::{CarriedItems, Error, Filter, Origin};

/// The settings of a gallery; fixed when it is created.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settings {
    /// Components D of each vector.
    pub dimensions: usize,
    /// The distance between two vectors. With a metric that depends on directions only (cosine,
    /// normalised), vectors are scaled to unit length when they are added, and are returned in that
    /// form.
    pub metric: Metric,
    /// Fingerprint of the model that computes the vectors. Vectors of any other model are refused.
    pub model: String,
    /// The codes that propose candidates whose distances are then computed from the vectors; `None`
    /// stores no codes.
    pub quantization: Option<Quantization>,
}

impl Settings {
    /// Refuses vectors of another model or of another length, and invalid ones; returns them in the
    /// form that the metric compares: for some metrics, scaled to unit length.
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

/// Vectors together with the fingerprint of the model that computed them, so that vectors of
/// different models are never compared.
#[derive(Debug, Clone, Copy)]
pub struct Vectors<'a> {
    /// Fingerprint of the model.
    pub model: &'a str,
    /// The vectors, N×D.
    pub rows: ArrayView2<'a, f32>,
}

/// A small picture of an item, as the bytes of an image file.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Thumbnail {
    /// The media type, such as `image/webp`.
    pub media_type: String,
    /// The encoded picture.
    pub bytes: Vec<u8>,
}

/// The data that belong to a vector.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Item {
    /// The id, unique in its gallery.
    pub id: String,
    /// Its class, if known.
    pub label: Option<String>,
    /// Further data by name, such as `camera`.
    pub attributes: BTreeMap<String, String>,
    /// The thumbnail. Left out where many items are listed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub thumbnail: Option<Thumbnail>,
}

impl Item {
    /// An item that has only an id.
    pub fn new(id: impl Into<String>) -> Self {
        Self { id: id.into(), ..Self::default() }
    }

    /// The same item with a label.
    pub fn labelled(self, label: impl Into<String>) -> Self {
        Self { label: Some(label.into()), ..self }
    }

    /// The same item with an attribute.
    pub fn with(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.attributes.insert(name.into(), value.into());
        self
    }
}

/// Refuses items whose number differs from that of the vectors, and items with an invalid id or
/// text.
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

/// Refuses a `k` of 0.
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

/// What to do with an id that the gallery already contains.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Duplicates {
    /// Refuse the whole batch.
    #[default]
    Refuse,
    /// Replace the old item by the new one.
    Replace,
}

/// The result of adding items.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Added {
    /// Number of new items.
    pub added: usize,
    /// Number of items that replaced one of the same id.
    pub replaced: usize,
}

/// The parameters of a search.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Search {
    /// How many of the nearest items to return.
    pub k: usize,
    /// The items among which to search.
    pub filter: Filter,
    /// Whether to ignore codes and index, and compute the distance to every vector.
    pub exact: bool,
}

impl Search {
    /// The `k` nearest of all items, by the fastest method that the gallery has.
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
    /// Its distance from the query, by the gallery's metric; for a vector that was carried over, the
    /// [comparable](crate::Carried::comparable) distance.
    pub distance: f32,
    /// Where its vector comes from, if the gallery's model did not compute it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub origin: Option<Origin>,
}

/// How an answer was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Method {
    /// The distance to every vector that passes the filter was computed.
    Exact,
    /// Codes proposed candidates, whose distances were computed from the vectors: a near item may
    /// be missed.
    Quantized,
    /// An HNSW graph proposed candidates: a near item may be missed.
    Hnsw,
}

/// The items found for each query, nearest first.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Answer {
    /// One list per query, of at most `k` items.
    pub hits: Vec<Vec<Hit>>,
    /// How they were found.
    pub method: Method,
    /// The vectors that the gallery's model did not compute, if there are any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub carried: Option<CarriedItems>,
}

/// Some of a gallery's items, in the order in which they were added.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Page {
    /// The items, without thumbnails.
    pub items: Vec<Item>,
    /// Where the next page starts, if there are more items.
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

/// An HNSW graph over a gallery, with its measured recall.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Index {
    /// Vectors in the graph. Vectors that were added later are searched exactly in addition to the
    /// graph, and so are the few vectors that the graph contains but does not find.
    pub rows: u64,
    /// Recall at 10: the share of the ten nearest that the graph finds, averaged over a sample of
    /// the gallery's own vectors, each moved a little.
    pub recall_at_10: f64,
    /// Number of queries in that sample.
    pub sample: usize,
    /// Seconds that the construction took.
    pub seconds: f64,
}

/// The measured recall of the codes of a quantised gallery.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CodeRecall {
    /// Items in the gallery at the time of the measurement.
    pub rows: u64,
    /// Recall at 10: the share of the ten nearest that are found. It is the lower of two figures:
    /// over vectors of the gallery, and over vectors that were moved a little.
    pub recall_at_10: f64,
    /// Number of queries in both samples together.
    pub sample: usize,
    /// Number of rows that the codes propose for the ten nearest: large enough to find nearly all
    /// of them.
    pub candidates: usize,
    /// Seconds that the measurement took.
    pub seconds: f64,
}

/// A backup of a gallery.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BackedUp {
    /// Items in the copy.
    pub items: u64,
    /// Bytes of its files.
    pub bytes: u64,
    /// The generation of the gallery that the copy contains.
    pub generation: i64,
}

/// Counts, sizes and settings of a gallery.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Info {
    /// Folder or address, without a password.
    pub location: String,
    /// The settings with which it was created.
    #[serde(flatten)]
    pub settings: Settings,
    /// Whether it contains the file of its model.
    pub has_model: bool,
    /// Number of items.
    pub items: u64,
    /// Vectors that were removed and still use space until the gallery is compacted.
    pub removed: u64,
    /// The number of items of each class, by label; items without a label are not counted.
    pub labels: BTreeMap<String, u64>,
    /// Bytes on disk, including the log.
    pub bytes: u64,
    /// Bytes of the catalogue's write-ahead log: changes that have not yet been copied into the
    /// catalogue.
    pub log_bytes: u64,
    /// A random id, which distinguishes this gallery from any other that replaces it; `None` in a
    /// gallery that an older version created and no newer version has changed.
    pub id: Option<String>,
    /// An opaque text that differs after every change, and from the version of every other gallery:
    /// a key for caches.
    pub version: String,
    /// The number of changes.
    pub generation: i64,
    /// The items whose vectors its model did not compute, if there are any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub carried: Option<CarriedItems>,
    /// Fingerprint of the model before the last upgrade, until that is finished or rolled back.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub previous_model: Option<String>,
    /// Its HNSW graph, if it has one.
    pub index: Option<Index>,
    /// The recall of its codes, if it is quantised and this was measured.
    pub codes: Option<CodeRecall>,
}

impl Info {
    /// The size of the gallery, for the expected values of a search. An item without a label counts
    /// as a class of its own.
    pub fn size(&self) -> GallerySize {
        let labelled: u64 = self.labels.values().sum();
        let classes = self.labels.len() as u64 + self.items.saturating_sub(labelled);
        GallerySize { items: self.items, classes }
    }
}

/// The result of a compaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Compacted {
    /// Removed vectors whose space was freed.
    pub rows: u64,
    /// Bytes that were freed.
    pub bytes: u64,
}

/// The result of a verification without errors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Verified {
    /// Vectors, including those that were removed and still use space.
    pub rows: u64,
    /// Number of items.
    pub items: u64,
    /// Bytes of vectors that were read.
    pub bytes: u64,
}
