use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use thiserror::Error;

/// Why a gallery refused or could not answer.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Error {
    /// The operating system refused.
    #[error("{}: {source}", path.display())]
    Io {
        /// File or folder.
        path: PathBuf,
        /// What it said.
        source: io::Error,
    },
    /// SQLite refused, for another reason than damage.
    #[error("{}: {source}", path.display())]
    Catalogue {
        /// The catalogue's file.
        path: PathBuf,
        /// What it said.
        source: rusqlite::Error,
    },
    /// There is nothing that `create` has finished.
    #[error("{location} is no gallery: create one there first")]
    NotAGallery {
        /// Folder or address.
        location: String,
    },
    /// `create` does not overwrite.
    #[error("{location} holds a gallery already: open it, or choose another place")]
    AlreadyThere {
        /// Folder or address.
        location: String,
    },
    /// `create` and `back_up` write into new or empty folders only.
    #[error(
        "{location} is not empty and no gallery (it holds `{found}`): choose a new or an empty folder"
    )]
    NotEmpty {
        /// The folder.
        location: String,
        /// One of the files in it.
        found: String,
    },
    /// A file of one of the gallery's names that the gallery did not write.
    #[error(
        "{} was not written by this gallery, which needs the name: move the file elsewhere",
        path.display()
    )]
    ForeignFile {
        /// The file.
        path: PathBuf,
    },
    /// Another gallery has taken the place of the one that was opened.
    #[error("the gallery at {location} was replaced by another one: open it again")]
    Replaced {
        /// Folder or address.
        location: String,
    },
    /// Written by a later version of Tercet.
    #[error("{location} has format {found}, this version knows up to {known}: update Tercet")]
    NewerFormat {
        /// Folder or address.
        location: String,
        /// Its format.
        found: i64,
        /// The newest that is known here.
        known: i64,
    },
    /// Bytes that are not those that were written.
    #[error("{} is damaged: {what}; restore it from a copy", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong, and where.
        what: String,
    },
    /// A gallery has one writer at a time.
    #[error("{location} is being written by another process: wait until it has finished")]
    Locked {
        /// Folder or address.
        location: String,
    },
    /// Vectors of another length.
    #[error("the gallery holds vectors of {expected} dimensions, got {got}")]
    Dimensions {
        /// Of the gallery.
        expected: usize,
        /// Of the vectors.
        got: usize,
    },
    /// Vectors of another model: their distances to those of the gallery would mean nothing.
    #[error(
        "the gallery's vectors come from the model with fingerprint `{expected}`, got `{got}`: \
         use that model, or create a gallery for this one"
    )]
    Model {
        /// Fingerprint of the gallery.
        expected: String,
        /// Fingerprint of the vectors.
        got: String,
    },
    /// Vectors and items must pair up one to one.
    #[error("expected one item for each of the {rows} vectors, got {items}")]
    ItemCount {
        /// Vectors given.
        rows: usize,
        /// Items given.
        items: usize,
    },
    /// An id that the gallery holds already; nothing was added.
    #[error("the gallery holds `{id}` already: replace it, or give another id; nothing was added")]
    DuplicateId {
        /// The id.
        id: String,
    },
    /// An id that was given twice at once; nothing was done.
    #[error("id `{id}` was given twice; nothing was changed")]
    RepeatedId {
        /// The id.
        id: String,
    },
    /// An id that the gallery does not hold; nothing was done.
    #[error("the gallery holds no `{id}`; nothing was changed")]
    UnknownId {
        /// The id.
        id: String,
    },
    /// Text without which an item cannot be told apart, or that no store can hold.
    #[error("the {what} of item {row} is {got:?}: expected text without the character NUL{more}")]
    Text {
        /// Which text.
        what: &'static str,
        /// The item, counted from 0.
        row: usize,
        /// What was given.
        got: String,
        /// What else it has to be.
        more: &'static str,
    },
    /// A vector of length 0 where only directions count.
    #[error("vector {row} has length 0: a gallery of {metric} distances needs a direction")]
    NoDirection {
        /// The vector, counted from 0.
        row: usize,
        /// The gallery's metric.
        metric: tercet::Metric,
    },
    /// Vectors that are no vectors, or a `k` of 0.
    #[error(transparent)]
    Vectors(#[from] tercet::Error),
    /// The index could not be built, saved or read.
    #[error("{}: HNSW index: {what}", path.display())]
    Index {
        /// Its file.
        path: PathBuf,
        /// What usearch said.
        what: String,
    },
    /// A cargo feature that this build does not have.
    #[error("this build has no {what}: {}", tercet::FULL_BUILD)]
    NotBuilt {
        /// What the feature adds.
        what: &'static str,
    },
    /// What this kind of store leaves out.
    #[error("{what} needs {needs}")]
    Missing {
        /// What was asked for.
        what: &'static str,
        /// What it needs.
        needs: &'static str,
    },
    /// What several questions that were answered together ran into.
    #[error(transparent)]
    Shared(#[from] Arc<Error>),
    /// An address of a database that cannot be used.
    #[cfg(feature = "postgres")]
    #[error("{location}: {reason}")]
    Address {
        /// The address, without user, password and options.
        location: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A database server that could not be reached, or did not let the user in.
    #[cfg(feature = "postgres")]
    #[error("cannot connect to {location}: {reason}")]
    Connection {
        /// The address, without user, password and options.
        location: String,
        /// What went wrong.
        reason: String,
    },
    /// The database server refused a statement, or was lost.
    #[cfg(feature = "postgres")]
    #[error("PostgreSQL: {}", postgres_message(.0))]
    Postgres(#[from] postgres::Error),
}

/// The server's own words, which its error type keeps one level down.
#[cfg(feature = "postgres")]
pub(crate) fn postgres_message(error: &postgres::Error) -> String {
    match (error.as_db_error(), std::error::Error::source(error)) {
        (Some(told), _) if told.message().contains("statement timeout") => format!(
            "{}: the address may allow more, with options=-cstatement_timeout%3D10min",
            told.message()
        ),
        (Some(told), _) => told.message().to_owned(),
        (None, Some(source)) => format!("{error}: {source}"),
        (None, None) => error.to_string(),
    }
}

impl Error {
    pub(crate) fn damaged(path: &Path, what: impl Into<String>) -> Self {
        Self::Damaged { path: path.to_owned(), what: what.into() }
    }
}

/// Names the file in what the operating system says about it.
pub(crate) trait AtPath<T> {
    fn at(self, path: &Path) -> Result<T, Error>;
}

impl<T> AtPath<T> for io::Result<T> {
    fn at(self, path: &Path) -> Result<T, Error> {
        self.map_err(|source| Error::Io { path: path.to_owned(), source })
    }
}

impl<T> AtPath<T> for rusqlite::Result<T> {
    fn at(self, path: &Path) -> Result<T, Error> {
        use rusqlite::ErrorCode::{DatabaseCorrupt, NotADatabase};
        self.map_err(|source| match source.sqlite_error_code() {
            Some(DatabaseCorrupt | NotADatabase) => Error::damaged(path, source.to_string()),
            _ => Error::Catalogue { path: path.to_owned(), source },
        })
    }
}
