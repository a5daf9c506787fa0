//! A persistent store of embeddings: ids, labels, thumbnails, the fingerprint of the model that
//! made them, and the nearest of them to any other vector.
//!
//! There are two nouns. A [`Writer`] changes a gallery, a [`Reader`] answers questions about it:
//!
//! ```
//! use ndarray::array;
//! use tercet::{Distance, Metric};
//! use tercet_gallery::{
//!     Duplicates, Item, ReadGallery, Reader, Search, Settings, Vectors, WriteGallery, Writer,
//! };
//!
//! # let folder = tempfile::tempdir()?;
//! # let folder = folder.path().join("faces");
//! let model = "5f0c…"; // the fingerprint of the model that makes the vectors
//! let mut writer = Writer::create(&folder, Settings {
//!     dimensions: 2,
//!     metric: Metric::from(Distance::Euclidean),
//!     model: model.into(),
//!     quantization: None,
//! })?;
//! let vectors = array![[0.0_f32, 0.0], [1.0, 0.0], [9.0, 9.0]];
//! let items = [
//!     Item::new("ann/1.png").labelled("ann").with("camera", "1"),
//!     Item::new("ann/2.png").labelled("ann").with("camera", "2"),
//!     Item::new("bob/1.png").labelled("bob").with("camera", "1"),
//! ];
//! writer.add(Vectors { model, rows: vectors.view() }, &items, Duplicates::Refuse)?;
//!
//! let reader = Reader::open(&folder)?;
//! let query = array![[0.9_f32, 0.0]];
//! let query = Vectors { model, rows: query.view() };
//! let answer = reader.search(query, &Search::nearest(2))?;
//! assert_eq!(answer.hits[0][0].item.id, "ann/2.png");
//! assert_eq!(answer.hits[0][1].distance, 0.9);
//!
//! // Only what camera 1 has seen.
//! let mut search = Search::nearest(2);
//! search.filter.attributes.insert("camera".into(), "1".into());
//! assert_eq!(reader.search(query, &search)?.hits[0][0].item.id, "ann/1.png");
//!
//! // Another model's vectors are refused: their distances to these would mean nothing.
//! assert!(reader.search(Vectors { model: "another", ..query }, &search).is_err());
//!
//! // A reader keeps what it saw, until it is refreshed.
//! writer.remove(&["ann/2.png"])?;
//! assert_eq!(reader.info()?.items, 3);
//! assert!(reader.refresh()?);
//! assert_eq!(reader.info()?.items, 2);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # What is promised
//! - **Exact**, unless asked otherwise: [`tercet::scan`] measures every vector. Codes
//!   ([`Settings::quantization`]) and an HNSW graph ([`WriteGallery::build_index`]) measure fewer;
//!   [`Answer::method`] says which it was, and [`Search::exact`] passes them over. How many of the
//!   nearest they find is measured ([`Info::codes`], [`Info::index`]).
//! - **Safe**: what a call has acknowledged survives a kill at any moment and a loss of power, and a
//!   gallery always opens. What was not acknowledged is there as a whole or not at all.
//! - **Checked**: vectors, items, thumbnails and graphs have checksums. A file that is not what was
//!   written is an [`Error::Damaged`] that names it: when a reader opens the gallery, when it meets
//!   an item, or when [`ReadGallery::verify`] reads everything.
//! - **Many readers, one writer**, in any number of processes on one machine. A second writer is
//!   [refused](Error::Locked).
//! - **Recognised**: a gallery has a random [name](Info::id). A reader whose gallery is deleted and
//!   created again, or restored from a copy, sees the new one when it is refreshed.
//! - **Forgetting**: what was removed cannot be read from the gallery's files after
//!   [`WriteGallery::compact`].
//!
//! # Kinds of store
//! [`create`], [`writer`] and [`reader`] choose by location, and [`ReadGallery`] and
//! [`WriteGallery`] are the same for each: a folder, or with the feature `postgres` a
//! `postgres://` address of a PostgreSQL-compatible database with pgvector, for what one machine
//! cannot hold.
//!
//! A folder must lie on a local disk: SQLite's write-ahead log and file locks need one.

mod error;
mod filter;
mod folder;
mod item;
#[cfg(feature = "postgres")]
mod postgresql;
pub mod sample;
mod store;

pub use error::Error;
pub use filter::{Filter, Values};
pub use folder::{Reader, Writer};
pub use item::{
    Added, Answer, BackedUp, CodeRecall, Compacted, Duplicates, Hit, Hnsw, Index, Info, Item,
    Method, Page, Search, Settings, Thumbnail, Vectors, Verified,
};
#[cfg(feature = "postgres")]
pub use postgresql::{PostgresReader, PostgresWriter};
pub use store::{ReadGallery, WriteGallery};
pub use tercet::scan::Quantization;

/// Whether a location is a database's address and not a folder.
pub fn is_database(location: &str) -> bool {
    location.starts_with("postgres://") || location.starts_with("postgresql://")
}

/// A location as it may be shown and logged: an address without user, password and options.
///
/// ```
/// use tercet_gallery::shown;
/// assert_eq!(shown("postgres://ann:secret@host:5432/faces"), "postgres://host:5432/faces");
/// assert_eq!(shown("faces.gallery"), "faces.gallery");
/// ```
pub fn shown(location: &str) -> String {
    let Some((scheme, rest)) = location.split_once("://").filter(|_| is_database(location)) else {
        return location.to_owned();
    };
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let host = rest[..end].rfind('@').map_or(0, |at| at + 1);
    let rest = rest[host..].split('?').next().unwrap_or_default();
    format!("{scheme}://{rest}")
}

/// Makes an empty gallery in a folder or a database, ready to be written.
///
/// # Errors
/// There is one already; a location that cannot be written; a database in a build without it.
pub fn create(location: &str, settings: Settings) -> Result<Box<dyn WriteGallery>, Error> {
    if is_database(location) {
        #[cfg(feature = "postgres")]
        return Ok(Box::new(PostgresWriter::create(location, settings)?));
        #[cfg(not(feature = "postgres"))]
        return Err(NO_DATABASE);
    }
    Ok(Box::new(Writer::create(location, settings)?))
}

/// As [`create`], with the file of the model that makes the vectors; see
/// [`WriteGallery::keep_model`]. A gallery in a folder has the model from its first moment: one that
/// is stopped before can be created again.
///
/// # Errors
/// As [`create`].
pub fn create_with_model(
    location: &str,
    settings: Settings,
    model: &[u8],
) -> Result<Box<dyn WriteGallery>, Error> {
    if is_database(location) {
        let mut writer = create(location, settings)?;
        writer.keep_model(model)?;
        return Ok(writer);
    }
    Ok(Box::new(Writer::create_with_model(location, settings, model)?))
}

/// Opens the gallery at a location to change it.
///
/// # Errors
/// There is none; it is being written; a newer format; damage; a database in a build without it.
pub fn writer(location: &str) -> Result<Box<dyn WriteGallery>, Error> {
    if is_database(location) {
        #[cfg(feature = "postgres")]
        return Ok(Box::new(PostgresWriter::open(location)?));
        #[cfg(not(feature = "postgres"))]
        return Err(NO_DATABASE);
    }
    Ok(Box::new(Writer::open(location)?))
}

/// Opens the gallery at a location to read it.
///
/// # Errors
/// There is none; a newer format; damage; a database in a build without it.
pub fn reader(location: &str) -> Result<Box<dyn ReadGallery>, Error> {
    if is_database(location) {
        #[cfg(feature = "postgres")]
        return Ok(Box::new(PostgresReader::open(location)?));
        #[cfg(not(feature = "postgres"))]
        return Err(NO_DATABASE);
    }
    Ok(Box::new(Reader::open(location)?))
}

#[cfg(not(feature = "postgres"))]
const NO_DATABASE: Error = Error::NotBuilt { what: "galleries in PostgreSQL" };

/// The example of the crate's page is compiled as a test.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_not_told() {
        assert_eq!(shown("postgres://ann:secret@host:5432/faces"), "postgres://host:5432/faces");
        assert_eq!(shown("postgres://host/faces?password=secret"), "postgres://host/faces");
        assert_eq!(shown("postgres://ann:sec@ret@host"), "postgres://host");
        assert_eq!(shown("a/folder?x"), "a/folder?x");
    }
}
