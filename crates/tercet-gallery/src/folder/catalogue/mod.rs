//! The catalogue: a SQLite file that says what counts. Its commit is the commit of every change.

mod checksum;
mod graph;
mod head;
mod items;
mod model;
mod segments;

pub(super) use graph::Graph;
pub(super) use head::Head;
pub(super) use model::ModelFile;
pub(super) use segments::{Listed, at, place};

use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, Row};

use crate::error::AtPath;
use crate::{Error, Settings};

pub(super) const FILE: &str = "catalogue.sqlite";

/// `TRCT`, in the place that SQLite keeps for it.
const APPLICATION: i64 = 0x5452_4354;

/// The format of the folder, not of SQLite.
const FORMAT: i64 = 1;

/// A `place` is where an item's vector lies: number of the segment · 2³² + row.
const SCHEMA: &str = "
CREATE TABLE gallery (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    dimensions INTEGER NOT NULL, distance TEXT NOT NULL, normalize INTEGER NOT NULL,
    model TEXT NOT NULL, quantization TEXT,
    generation INTEGER NOT NULL, items INTEGER NOT NULL, segments INTEGER NOT NULL,
    checksum INTEGER NOT NULL
) STRICT;
CREATE TABLE segments (
    number INTEGER PRIMARY KEY, rows INTEGER NOT NULL, checksum INTEGER NOT NULL,
    generation INTEGER NOT NULL
) STRICT;
CREATE TABLE items (
    item INTEGER PRIMARY KEY AUTOINCREMENT, place INTEGER NOT NULL UNIQUE,
    id TEXT NOT NULL UNIQUE, label TEXT, checksum INTEGER NOT NULL
) STRICT;
CREATE INDEX items_by_label ON items (label);
CREATE TABLE attributes (
    item INTEGER NOT NULL, name TEXT NOT NULL, value TEXT NOT NULL, PRIMARY KEY (item, name)
) STRICT, WITHOUT ROWID;
CREATE INDEX attributes_by_value ON attributes (name, value);
CREATE TABLE thumbnails (
    item INTEGER PRIMARY KEY, media_type TEXT NOT NULL, bytes BLOB NOT NULL,
    checksum INTEGER NOT NULL
) STRICT;
CREATE TABLE hnsw (
    one INTEGER PRIMARY KEY CHECK (one = 1), file TEXT NOT NULL, checksum INTEGER NOT NULL,
    segment INTEGER NOT NULL, row INTEGER NOT NULL, expansion_search INTEGER NOT NULL,
    rows INTEGER NOT NULL, recall_at_10 REAL NOT NULL, sample INTEGER NOT NULL,
    seconds REAL NOT NULL
) STRICT;
CREATE TABLE model (
    one INTEGER PRIMARY KEY CHECK (one = 1), bytes INTEGER NOT NULL, checksum INTEGER NOT NULL
) STRICT;
";

#[derive(Debug)]
pub(super) struct Catalogue {
    path: PathBuf,
    sql: Connection,
}

impl Catalogue {
    /// Opens the file for writing, and makes it if it is not there.
    pub(super) fn create(folder: &Path) -> Result<Self, Error> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE;
        Self::connect(folder, flags)
    }

    pub(super) fn open(folder: &Path, write: bool) -> Result<Self, Error> {
        let path = folder.join(FILE);
        if !path.is_file() {
            return Err(Error::NotAGallery { location: folder.display().to_string() });
        }
        // Also a reader of a write-ahead log writes: its marks in the log's index.
        let catalogue = Self::connect(folder, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        if !write {
            catalogue.sql.pragma_update(None, "query_only", true).at(&catalogue.path)?;
        }
        catalogue.check_format(folder)?;
        Ok(catalogue)
    }

    fn connect(folder: &Path, flags: OpenFlags) -> Result<Self, Error> {
        let path = folder.join(FILE);
        let sql = Connection::open_with_flags(&path, flags | OpenFlags::SQLITE_OPEN_NO_MUTEX)
            .at(&path)?;
        sql.busy_timeout(Duration::from_secs(30)).at(&path)?;
        sql.pragma_update(None, "synchronous", "FULL").at(&path)?;
        sql.pragma_update(None, "cell_size_check", true).at(&path)?;
        sql.set_prepared_statement_cache_capacity(64);
        Ok(Self { path, sql })
    }

    fn check_format(&self, folder: &Path) -> Result<(), Error> {
        let location = || folder.display().to_string();
        let application: i64 =
            self.sql.pragma_query_value(None, "application_id", |row| row.get(0)).at(&self.path)?;
        let found: i64 =
            self.sql.pragma_query_value(None, "user_version", |row| row.get(0)).at(&self.path)?;
        match (application, found) {
            (APPLICATION, 1..=FORMAT) => Ok(()),
            (APPLICATION, 0) | (0, 0) => Err(Error::NotAGallery { location: location() }),
            (APPLICATION, _) => {
                Err(Error::NewerFormat { location: location(), found, known: FORMAT })
            }
            _ => Err(Error::damaged(&self.path, "it is the SQLite file of another application")),
        }
    }

    /// Writes the schema and the first head, at once.
    pub(super) fn begin_gallery(&mut self, settings: &Settings) -> Result<(), Error> {
        self.sql.pragma_update(None, "journal_mode", "WAL").at(&self.path)?;
        self.change(|catalogue| {
            catalogue.run(SCHEMA)?;
            catalogue.sql.pragma_update(None, "application_id", APPLICATION).at(&catalogue.path)?;
            catalogue.sql.pragma_update(None, "user_version", FORMAT).at(&catalogue.path)?;
            catalogue.set_head(&Head {
                settings: settings.clone(),
                generation: 1,
                items: 0,
                segments: 0,
            })
        })
    }

    /// Whether a `create` was finished here.
    pub(super) fn is_begun(&self) -> Result<bool, Error> {
        let version: i64 =
            self.sql.pragma_query_value(None, "user_version", |row| row.get(0)).at(&self.path)?;
        Ok(version != 0)
    }

    /// Everything or nothing: what `steps` did is on disk when this returns without an error.
    pub(super) fn change<T>(
        &mut self,
        steps: impl FnOnce(&mut Self) -> Result<T, Error>,
    ) -> Result<T, Error> {
        self.run("BEGIN IMMEDIATE")?;
        let done = steps(self).and_then(|answer| self.run("COMMIT").map(|()| answer));
        if done.is_err() {
            // After some errors SQLite has rolled back by itself; then there is nothing to undo.
            let _ = self.sql.execute_batch("ROLLBACK");
        }
        done
    }

    /// From here on this connection sees the catalogue as it is now.
    pub(super) fn freeze(&self) -> Result<(), Error> {
        self.run("BEGIN")
    }

    fn run(&self, statements: &str) -> Result<(), Error> {
        self.sql.execute_batch(statements).at(&self.path)
    }

    /// Asks SQLite whether its own structure is whole.
    pub(super) fn check_structure(&self) -> Result<(), Error> {
        let told = self.rows("PRAGMA integrity_check(1)", [], |row| row.get::<_, String>(0))?;
        match told.first().map(String::as_str) {
            Some("ok") => Ok(()),
            told => Err(Error::damaged(&self.path, told.unwrap_or("SQLite does not answer"))),
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    fn execute(&self, statement: &str, values: impl rusqlite::Params) -> Result<(), Error> {
        let done = self.sql.prepare_cached(statement).and_then(|mut all| all.execute(values));
        done.map(|_| ()).at(&self.path)
    }

    fn rows<T>(
        &self,
        statement: &str,
        values: impl rusqlite::Params,
        read: impl FnMut(&Row) -> rusqlite::Result<T>,
    ) -> Result<Vec<T>, Error> {
        let mut statement = self.sql.prepare_cached(statement).at(&self.path)?;
        statement.query_map(values, read).and_then(Iterator::collect).at(&self.path)
    }

    /// What must be there and is not, or is of another type, is damage.
    fn unreadable(&self, what: &str, error: rusqlite::Error) -> Error {
        use rusqlite::Error::{
            FromSqlConversionFailure, IntegralValueOutOfRange, InvalidColumnType,
            QueryReturnedNoRows, Utf8Error,
        };
        match error {
            QueryReturnedNoRows => Error::damaged(&self.path, format!("{what} is not there")),
            FromSqlConversionFailure(..)
            | IntegralValueOutOfRange(..)
            | InvalidColumnType(..)
            | Utf8Error(..) => Error::damaged(&self.path, format!("{what}: {error}")),
            error => Err::<(), _>(error)
                .at(&self.path)
                .err()
                .unwrap_or_else(|| Error::damaged(&self.path, format!("{what} cannot be read"))),
        }
    }
}
