//! The error type of galleries.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use thiserror::Error;

/// Why a gallery refused a call or could not answer it.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Error {
    /// The operating system reported an error.
    #[error("{}: {source}", path.display())]
    Io {
        /// File or folder.
        path: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
    /// SQLite reported an error other than damage.
    #[error("{}: {source}", path.display())]
    Catalogue {
        /// The catalogue's file.
        path: PathBuf,
        /// The error of SQLite.
        source: rusqlite::Error,
    },
    /// There is no gallery, or its creation was not finished.
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
    /// A file has a name that the gallery needs, but the gallery did not write it.
    #[error(
        "{} was not written by this gallery, which needs the name: move the file elsewhere",
        path.display()
    )]
    ForeignFile {
        /// The file.
        path: PathBuf,
    },
    /// The gallery that was opened has been replaced by another one.
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
        /// The newest format that this version can read.
        known: i64,
    },
    /// The bytes of a file differ from those that were written.
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
    /// The version before the last upgrade is still there.
    #[error(
        "{location} still holds its version before the last upgrade: end that with `tercet upgrade {location} --finish`, or undo it with `tercet upgrade {location} --rollback`"
    )]
    HasPrevious {
        /// The folder.
        location: String,
    },
    /// There is no earlier version.
    #[error("{location} holds no version before an upgrade: nothing was changed")]
    NoPrevious {
        /// The folder.
        location: String,
    },
    /// Items without vectors in the previous version; nothing was changed.
    #[error(
        "{items} items of {location} were added after the upgrade and have no vectors of the version before (the first is `{first}`): remove them first, or keep the upgrade; nothing was changed"
    )]
    NewerItems {
        /// The folder.
        location: String,
        /// Their number.
        items: u64,
        /// The first of their ids.
        first: String,
    },
    /// An item without a new vector, or with one for an earlier state of the item; nothing was
    /// changed.
    #[error(
        "items of {location} were changed while their new vectors were computed: start the upgrade again, it continues; nothing was changed"
    )]
    NotStaged {
        /// The folder.
        location: String,
    },
    /// The vectors have another number of dimensions than the gallery.
    #[error("the gallery holds vectors of {expected} dimensions, got {got}")]
    Dimensions {
        /// Dimensions of the gallery.
        expected: usize,
        /// Dimensions of the vectors.
        got: usize,
    },
    /// The vectors were computed by another model: distances between them and the vectors of the
    /// gallery are meaningless.
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
    /// The number of items differs from the number of vectors.
    #[error("expected one item for each of the {rows} vectors, got {items}")]
    ItemCount {
        /// Vectors given.
        rows: usize,
        /// Items given.
        items: usize,
    },
    /// The gallery already contains this id; nothing was added.
    #[error("the gallery holds `{id}` already: replace it, or give another id; nothing was added")]
    DuplicateId {
        /// The id.
        id: String,
    },
    /// The same id was given twice in one call; nothing was changed.
    #[error("id `{id}` was given twice; nothing was changed")]
    RepeatedId {
        /// The id.
        id: String,
    },
    /// The gallery does not contain this id. A call that changes items has changed none.
    #[error("the gallery holds no `{id}`")]
    UnknownId {
        /// The id.
        id: String,
    },
    /// A text of an item is empty although it is required, or contains a character that no store can
    /// hold.
    #[error("the {what} of item {row} is {got:?}: expected text without the character NUL{more}")]
    Text {
        /// Which text.
        what: &'static str,
        /// The item, counted from 0.
        row: usize,
        /// The text that was given.
        got: String,
        /// A further requirement, as the end of the message.
        more: &'static str,
    },
    /// A vector has length 0 although the metric depends on directions only.
    #[error("vector {row} has length 0: a gallery of {metric} distances needs a direction")]
    NoDirection {
        /// The vector, counted from 0.
        row: usize,
        /// The gallery's metric.
        metric: tercet::Metric,
    },
    /// The vectors are invalid, or `k` is 0.
    #[error(transparent)]
    Vectors(#[from] tercet::Error),
    /// The index could not be built, saved or read.
    #[error("{}: HNSW index: {what}", path.display())]
    Index {
        /// Its file.
        path: PathBuf,
        /// The error of usearch.
        what: String,
    },
    /// This build lacks a cargo feature.
    #[error("this build has no {what}: {}", tercet::FULL_BUILD)]
    NotBuilt {
        /// What the feature adds.
        what: &'static str,
    },
    /// This kind of store does not support the operation.
    #[error("{what} needs {needs}")]
    Missing {
        /// What was asked for.
        what: &'static str,
        /// What the operation needs.
        needs: &'static str,
    },
    /// The error of several queries that were answered together.
    #[error(transparent)]
    Shared(#[from] Arc<Error>),
    /// The address of a database cannot be used.
    #[cfg(feature = "postgres")]
    #[error("{location}: {reason}")]
    Address {
        /// The address, without user, password and options.
        location: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The database server could not be reached, or rejected the user.
    #[cfg(feature = "postgres")]
    #[error("cannot connect to {location}: {reason}")]
    Connection {
        /// The address, without user, password and options.
        location: String,
        /// What went wrong.
        reason: String,
    },
    /// The database server rejected a statement, or the connection was lost.
    #[cfg(feature = "postgres")]
    #[error("PostgreSQL: {}", postgres_message(.0))]
    Postgres(#[from] postgres::Error),
}

/// The message of the server, which the error type contains one level down.
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

/// Adds the path of the file to an error of the operating system.
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
