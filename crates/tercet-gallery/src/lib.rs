//! A persistent store of embeddings: ids, labels, thumbnails and the fingerprint of the model that
//! computed the vectors, with a search for the nearest neighbours of any other vector.
//!
//! There are two roles. A [`Writer`] changes a gallery, a [`Reader`] answers queries about it:
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
//! # Guarantees
//! - **Exact** by default: [`tercet::scan`] computes the distance to every vector. Codes
//!   ([`Settings::quantization`]) and an HNSW graph ([`WriteGallery::build_index`]) compute fewer
//!   distances; [`Answer::method`] says which method was used, and [`Search::exact`] switches both
//!   off. The share of the nearest neighbours that they find is measured ([`Info::codes`],
//!   [`Info::index`]).
//! - **Safe**: a change whose call has returned survives a kill at any moment and a loss of power,
//!   and a gallery can always be opened. A change whose call has not returned is there as a whole
//!   or not at all.
//! - **Checked**: vectors, items, thumbnails and graphs have checksums. A file that differs from
//!   what was written is reported as an [`Error::Damaged`] that names it: when a reader opens the
//!   gallery, when it reads an item, or when [`ReadGallery::verify`] reads everything.
//! - **Many readers, one writer**, in any number of processes on one machine. A second writer is
//!   [refused](Error::Locked).
//! - **Identified**: a gallery has a random [id](Info::id). A reader whose gallery is deleted and
//!   created again, or restored from a copy, uses the new one after it is refreshed.
//! - **Versioned**: a gallery can be [switched](WriteGallery::switch) to the vectors of another model
//!   as a whole, and back. Vectors that an older model computed are marked in every answer.
//! - **Erasing**: removed items cannot be recovered from the gallery's files after
//!   [`WriteGallery::compact`].
//!
//! # Kinds of store
//! [`create`], [`writer`] and [`reader`] choose by location, and all kinds implement
//! [`ReadGallery`] and [`WriteGallery`]: a folder, or with the feature `postgres` a `postgres://`
//! address of a PostgreSQL-compatible database with pgvector, for galleries that are too large for
//! one machine.
//!
//! A folder must be on a local disk: SQLite's write-ahead log and file locks need one.

mod error;
mod filter;
mod folder;
mod item;
#[cfg(feature = "postgres")]
mod postgresql;
pub mod sample;
mod staged;
mod store;
mod version;

pub use error::Error;
pub use filter::{Filter, Values};
pub use folder::{Reader, Writer};
pub use item::{
    Added, Answer, BackedUp, CodeRecall, Compacted, Duplicates, Hit, Hnsw, Index, Info, Item,
    Method, Page, Search, Settings, Thumbnail, Vectors, Verified,
};
#[cfg(feature = "postgres")]
pub use postgresql::{PostgresReader, PostgresWriter};
pub use staged::Staged;
pub use store::{ReadGallery, WriteGallery};
pub use tercet::scan::Quantization;
pub use version::{Carried, CarriedItems, Origin, Switched};

/// Whether a location is the address of a database, and not a folder.
pub fn is_database(location: &str) -> bool {
    location.starts_with("postgres://") || location.starts_with("postgresql://")
}

/// A location in the form that may be printed and logged: an address without user, password and
/// options.
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

/// Creates an empty gallery in a folder or a database and opens it for writing.
///
/// # Errors
/// There is a gallery already; the location cannot be written; a database in a build without the
/// feature `postgres`.
pub fn create(location: &str, settings: Settings) -> Result<Box<dyn WriteGallery>, Error> {
    if is_database(location) {
        #[cfg(feature = "postgres")]
        return Ok(Box::new(PostgresWriter::create(location, settings)?));
        #[cfg(not(feature = "postgres"))]
        return Err(NO_DATABASE);
    }
    Ok(Box::new(Writer::create(location, settings)?))
}

/// Like [`create`], and also stores the file of the model that computes the vectors; see
/// [`WriteGallery::keep_model`]. A gallery in a folder contains the model from its first moment: if
/// the process is stopped before, the gallery can be created again.
///
/// # Errors
/// Those of [`create`].
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
/// There is no gallery; another process is writing it; a newer format; damage; a database in a
/// build without the feature `postgres`.
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
/// There is no gallery; a newer format; damage; a database in a build without the feature
/// `postgres`.
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

/// The example of the README is compiled as a test.
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
