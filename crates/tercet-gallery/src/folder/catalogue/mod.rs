//! The catalogue: a SQLite file that contains all data but vectors, graph and model, and says which
//! parts of their files are valid. Its commit is the commit of every change.

mod checksum;
mod codes;
mod files;
mod graph;
mod head;
mod identity;
mod items;
mod log;
mod model;
mod read_only;
mod segments;
mod sources;
mod version;

pub(super) use codes::MeasuredCodes;
pub(super) use graph::Graph;
pub(super) use head::Head;
pub(super) use identity::State;
pub(super) use log::{Checkpoint, LARGE};
pub(super) use model::ModelFile;
pub(super) use read_only::Stamp;
pub(super) use segments::{Listed, at, place};

use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::backup::Backup;
use rusqlite::{Connection, OpenFlags, Row};

use crate::error::AtPath;
use crate::{Error, Settings};

pub(super) const FILE: &str = "catalogue.sqlite";

/// `TRCT`, SQLite's `application_id` of this format.
const APPLICATION: i64 = 0x5452_4354;

/// The version of the folder's format (`user_version`), not of SQLite's.
const FORMAT: i64 = 1;

/// How long a connection waits for a lock that another one holds.
const PATIENCE: Duration = Duration::from_secs(30);

/// Tables that later versions have added to the format. Galleries without them can be opened, and
/// get them at the next change; versions that do not know them ignore them.
const ADDITIONS: &str = "
CREATE TABLE IF NOT EXISTS files (name TEXT PRIMARY KEY) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS changes (
    generation INTEGER PRIMARY KEY, token INTEGER NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS codes (
    one INTEGER PRIMARY KEY CHECK (one = 1), factor INTEGER NOT NULL, rows INTEGER NOT NULL,
    recall_at_10 REAL NOT NULL, sample INTEGER NOT NULL, candidates INTEGER NOT NULL,
    seconds REAL NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS hnsw_beside (place INTEGER PRIMARY KEY) STRICT;
CREATE TABLE IF NOT EXISTS identity (
    one INTEGER PRIMARY KEY CHECK (one = 1), id TEXT NOT NULL
) STRICT;
";

/// A `place` is the location of an item's vector: segment number · 2³² + row.
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
    /// The path of the gallery's own file, also where a copy of it was opened.
    path: PathBuf,
    sql: Connection,
    /// Whether it has the tables that were added to the format.
    additions: bool,
    /// The identity of the files when they were opened, where nothing can be written.
    read_only: Option<Stamp>,
}

impl Catalogue {
    /// Opens the file for writing, and creates it if it does not exist.
    pub(super) fn create(folder: &Path) -> Result<Self, Error> {
        let path = folder.join(FILE);
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE;
        Self::connect(&path, &path, flags)
    }

    pub(super) fn open(folder: &Path, write: bool) -> Result<Self, Error> {
        let path = folder.join(FILE);
        if !path.is_file() {
            return Err(Error::NotAGallery { location: folder.display().to_string() });
        }
        // A reader of a write-ahead log writes too: its marks in the log's index.
        let opened = Self::connect(&path, &path, OpenFlags::SQLITE_OPEN_READ_WRITE).and_then(
            |mut catalogue| {
                if !write {
                    catalogue.sql.pragma_update(None, "query_only", true).at(&path)?;
                }
                catalogue.take_in(folder)?;
                Ok(catalogue)
            },
        );
        match opened {
            // The error of the first attempt explains more than that of the second one.
            Err(error) if !write && read_only::is_cause(&error) => {
                read_only::open(folder).map_err(|_| error)
            }
            opened => opened,
        }
    }

    fn connect(path: &Path, address: &Path, flags: OpenFlags) -> Result<Self, Error> {
        let sql = Connection::open_with_flags(address, flags | OpenFlags::SQLITE_OPEN_NO_MUTEX)
            .at(path)?;
        sql.busy_timeout(PATIENCE).at(path)?;
        sql.pragma_update(None, "synchronous", "FULL").at(path)?;
        sql.pragma_update(None, "cell_size_check", true).at(path)?;
        // Removed thumbnails and names are overwritten, and a log that has grown is truncated when
        // it is restarted, since it would retain them too.
        sql.pragma_update(None, "secure_delete", true).at(path)?;
        sql.pragma_update(None, "journal_size_limit", LARGE as i64).at(path)?;
        sql.set_prepared_statement_cache_capacity(64);
        Ok(Self { path: path.to_owned(), sql, additions: false, read_only: None })
    }

    /// Checks that the file is a catalogue, and reads its format.
    fn take_in(&mut self, folder: &Path) -> Result<(), Error> {
        self.check_format(folder)?;
        self.additions = self.has_additions()?;
        Ok(())
    }

    fn has_additions(&self) -> Result<bool, Error> {
        self.has_table("identity")
    }

    fn has_table(&self, name: &str) -> Result<bool, Error> {
        let found = self.rows(
            "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?",
            [name],
            |_| Ok(()),
        )?;
        Ok(!found.is_empty())
    }

    /// Adds the tables that a gallery of an older version lacks.
    pub(super) fn complete(&mut self) -> Result<(), Error> {
        if self.additions {
            return Ok(());
        }
        self.change(|catalogue| {
            catalogue.run(ADDITIONS)?;
            catalogue.name_it()
        })?;
        self.additions = true;
        let mut own: Vec<String> = self
            .segments()?
            .iter()
            .map(|listed| super::segment::name(listed.extent.number))
            .collect();
        own.extend(self.graph()?.map(|graph| graph.file));
        own.extend(self.model_file()?.map(|file| file.name));
        self.announce(&own)
    }

    /// The identity of the files when they were opened, if nothing can be written.
    pub(super) fn read_only(&self) -> Option<Stamp> {
        self.read_only
    }

    /// Writes the state that this connection sees to a file that must not exist yet.
    pub(super) fn copy_to(&self, path: &Path) -> Result<(), Error> {
        let mut copy = Connection::open(path).at(path)?;
        let steps = Backup::new(&self.sql, &mut copy).at(&self.path)?;
        steps.run_to_completion(1 << 12, Duration::ZERO, None).at(path)?;
        drop(steps);
        copy.close().map_err(|(_, error)| error).at(path)
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

    /// Prepares the file to become a catalogue, so that file names can be registered in it.
    pub(super) fn prepare(&mut self) -> Result<(), Error> {
        self.sql.pragma_update(None, "journal_mode", "WAL").at(&self.path)?;
        self.change(|catalogue| {
            catalogue.sql.pragma_update(None, "application_id", APPLICATION).at(&catalogue.path)?;
            catalogue.run(ADDITIONS)
        })?;
        self.additions = true;
        Ok(())
    }

    /// Writes the schema and the row of settings into a prepared file, in one transaction.
    pub(super) fn begin_gallery(
        &mut self,
        settings: &Settings,
        model: Option<ModelFile>,
    ) -> Result<(), Error> {
        self.change(|catalogue| {
            catalogue.run(SCHEMA)?;
            catalogue.name_it()?;
            catalogue.sql.pragma_update(None, "user_version", FORMAT).at(&catalogue.path)?;
            model.map_or(Ok(()), |file| catalogue.set_model_file(&file))?;
            catalogue.set_head(&Head {
                settings: settings.clone(),
                generation: 1,
                items: 0,
                segments: 0,
            })
        })
    }

    /// The files that an unfinished creation has registered; `None` if the file belongs to another
    /// application.
    pub(super) fn unfinished(&self) -> Result<Option<Vec<String>>, Error> {
        let application: i64 =
            self.sql.pragma_query_value(None, "application_id", |row| row.get(0)).at(&self.path)?;
        match application {
            APPLICATION if self.has_additions()? => {
                Ok(Some(self.own_files()?.into_iter().collect()))
            }
            APPLICATION => Ok(Some(Vec::new())),
            0 => {
                let tables = self.rows("SELECT 1 FROM sqlite_master", [], |_| Ok(()))?;
                Ok(tables.is_empty().then(Vec::new))
            }
            _ => Ok(None),
        }
    }

    /// Whether a `create` was finished here.
    pub(super) fn is_begun(&self) -> Result<bool, Error> {
        let version: i64 =
            self.sql.pragma_query_value(None, "user_version", |row| row.get(0)).at(&self.path)?;
        Ok(version != 0)
    }

    /// Runs `steps` as one transaction: all its changes are on disk when this returns without an
    /// error, and none if it fails.
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

    /// From now on this connection sees the catalogue in its current state.
    pub(super) fn freeze(&self) -> Result<(), Error> {
        self.run("BEGIN")
    }

    /// From now on this connection sees later changes again.
    pub(super) fn unfreeze(&self) -> Result<(), Error> {
        self.run("ROLLBACK")
    }

    /// Locks out all writers until [`unfreeze`](Self::unfreeze) is called; returns false, without
    /// waiting, if another process is writing.
    pub(super) fn keep_writers_away(&self) -> Result<bool, Error> {
        self.sql.busy_timeout(Duration::ZERO).at(&self.path)?;
        let begun = self.sql.execute_batch("BEGIN IMMEDIATE");
        self.sql.busy_timeout(PATIENCE).at(&self.path)?;
        match begun {
            Err(error) if error.sqlite_error_code() == Some(rusqlite::ErrorCode::DatabaseBusy) => {
                Ok(false)
            }
            begun => begun.map(|()| true).at(&self.path),
        }
    }

    /// Rewrites the file without the free pages that removed data left, if there are any or if
    /// `even_if_full`.
    pub(super) fn vacuum(&self, even_if_full: bool) -> Result<(), Error> {
        let free: i64 =
            self.sql.pragma_query_value(None, "freelist_count", |row| row.get(0)).at(&self.path)?;
        if free > 0 || even_if_full { self.run("VACUUM") } else { Ok(()) }
    }

    fn run(&self, statements: &str) -> Result<(), Error> {
        self.sql.execute_batch(statements).at(&self.path)
    }

    /// Runs SQLite's check of its own structure.
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

    /// A row that is missing, or has another type, is reported as damage.
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
