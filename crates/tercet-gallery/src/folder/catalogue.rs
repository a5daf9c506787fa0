//! The catalogue: a SQLite file that says what counts. Its commit is the commit of every change.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, OptionalExtension, Row, params};
use tercet::Metric;

use super::segment::Extent;
use crate::error::AtPath;
use crate::{Error, Index, Item, Settings, Thumbnail};

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
";

/// The gallery's own row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) settings: Settings,
    pub(super) generation: i64,
    pub(super) items: i64,
    /// Segments that were ever begun: the number of the next.
    pub(super) segments: u32,
}

impl Head {
    fn checksum(&self) -> i64 {
        let settings = &self.settings;
        let mut sum = Checksum::default();
        sum.number(settings.dimensions as i64).text(settings.metric.distance.name());
        sum.number(i64::from(settings.metric.normalize)).text(&settings.model);
        sum.text(settings.quantization.map_or("", |kind| kind.name()));
        sum.number(self.generation).number(self.items).number(i64::from(self.segments));
        sum.value()
    }
}

/// A segment, and the last change that added to it or removed from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Listed {
    pub(super) extent: Extent,
    pub(super) generation: i64,
}

/// The HNSW graph that belongs to the gallery.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Graph {
    pub(super) file: String,
    pub(super) checksum: u32,
    /// The first place that it has not seen.
    pub(super) end: (u32, usize),
    pub(super) expansion_search: usize,
    pub(super) index: Index,
}

#[cfg(feature = "hnsw")]
impl Graph {
    /// How many of a segment's rows, from its first, the graph has seen.
    pub(super) fn seen(&self, extent: Extent) -> usize {
        match extent.number.cmp(&self.end.0) {
            std::cmp::Ordering::Less => extent.rows,
            std::cmp::Ordering::Equal => self.end.1.min(extent.rows),
            std::cmp::Ordering::Greater => 0,
        }
    }
}

/// Where a vector lies.
pub(super) fn place(segment: u32, row: usize) -> i64 {
    i64::from(segment) << 32 | row as i64
}

/// Segment and row of a place.
pub(super) fn at(place: i64) -> (u32, usize) {
    ((place >> 32) as u32, (place & 0xffff_ffff) as usize)
}

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

    pub(super) fn head(&self) -> Result<Head, Error> {
        let (head, checksum) = self
            .sql
            .prepare_cached(
                "SELECT dimensions, distance, normalize, model, quantization, generation, items, \
                 segments, checksum FROM gallery",
            )
            .and_then(|mut rows| {
                rows.query_row([], |row| {
                    let name: String = row.get(1)?;
                    let quantization: Option<String> = row.get(4)?;
                    let settings = Settings {
                        dimensions: row.get::<_, i64>(0)? as usize,
                        metric: Metric {
                            distance: name.parse().map_err(|error| unreadable(1, error))?,
                            normalize: row.get(2)?,
                        },
                        model: row.get(3)?,
                        quantization: quantization
                            .map(|name| name.parse().map_err(|error| unreadable(4, error)))
                            .transpose()?,
                    };
                    let head = Head {
                        settings,
                        generation: row.get(5)?,
                        items: row.get(6)?,
                        segments: row.get(7)?,
                    };
                    Ok((head, row.get::<_, i64>(8)?))
                })
            })
            .map_err(|error| self.unreadable("its settings", error))?;
        if head.checksum() != checksum || head.settings.dimensions == 0 {
            return Err(Error::damaged(&self.path, "the checksum of its settings does not match"));
        }
        Ok(head)
    }

    pub(super) fn set_head(&self, head: &Head) -> Result<(), Error> {
        let settings = &head.settings;
        self.execute(
            "INSERT OR REPLACE INTO gallery VALUES (1, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            params![
                settings.dimensions as i64,
                settings.metric.distance.name(),
                settings.metric.normalize,
                settings.model,
                settings.quantization.map(|kind| kind.name()),
                head.generation,
                head.items,
                head.segments,
                head.checksum(),
            ],
        )
    }

    /// The segments in the order of their numbers.
    pub(super) fn segments(&self) -> Result<Vec<Listed>, Error> {
        self.rows(
            "SELECT number, rows, checksum, generation FROM segments ORDER BY number",
            [],
            |row| {
                let extent = Extent {
                    number: row.get(0)?,
                    rows: row.get::<_, i64>(1)? as usize,
                    checksum: row.get(2)?,
                };
                Ok(Listed { extent, generation: row.get(3)? })
            },
        )
    }

    pub(super) fn set_segment(&self, listed: Listed) -> Result<(), Error> {
        let Extent { number, rows, checksum } = listed.extent;
        self.execute(
            "INSERT OR REPLACE INTO segments VALUES (?, ?, ?, ?)",
            params![number, rows as i64, checksum, listed.generation],
        )
    }

    pub(super) fn touch_segment(&self, number: u32, generation: i64) -> Result<(), Error> {
        self.execute(
            "UPDATE segments SET generation = ? WHERE number = ?",
            params![generation, number],
        )
    }

    pub(super) fn drop_segment(&self, number: u32) -> Result<(), Error> {
        self.execute("DELETE FROM segments WHERE number = ?", [number])
    }

    /// Place and key of the items of a segment, in order of their places.
    pub(super) fn places(&self, segment: u32) -> Result<Vec<(i64, i64)>, Error> {
        self.rows(
            "SELECT place, item FROM items WHERE place >= ? AND place < ? ORDER BY place",
            [place(segment, 0), place(segment + 1, 0)],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )
    }

    /// Key and place of the item of this id.
    pub(super) fn find(&self, id: &str) -> Result<Option<(i64, i64)>, Error> {
        self.sql
            .prepare_cached("SELECT item, place FROM items WHERE id = ?")
            .and_then(|mut rows| {
                rows.query_row([id], |row| Ok((row.get(0)?, row.get(1)?))).optional()
            })
            .at(&self.path)
    }

    pub(super) fn insert(&self, item: &Item, place: i64) -> Result<(), Error> {
        let checksum = checksum(item, place);
        self.execute(
            "INSERT INTO items (place, id, label, checksum) VALUES (?, ?, ?, ?)",
            params![place, item.id, item.label, checksum],
        )?;
        let key = self.sql.last_insert_rowid();
        for (name, value) in &item.attributes {
            self.execute("INSERT INTO attributes VALUES (?, ?, ?)", params![key, name, value])?;
        }
        if let Some(Thumbnail { media_type, bytes }) = &item.thumbnail {
            let checksum = crc32c::crc32c(bytes);
            self.execute(
                "INSERT INTO thumbnails VALUES (?, ?, ?, ?)",
                params![key, media_type, bytes, checksum],
            )?;
        }
        Ok(())
    }

    pub(super) fn delete(&self, key: i64) -> Result<(), Error> {
        self.execute("DELETE FROM items WHERE item = ?", [key])?;
        self.execute("DELETE FROM attributes WHERE item = ?", [key])?;
        self.execute("DELETE FROM thumbnails WHERE item = ?", [key])
    }

    /// The vector of an item has moved.
    pub(super) fn move_item(&self, key: i64, from: i64, to: i64) -> Result<(), Error> {
        // The place enters the checksum on its own, so that the item need not be read.
        let moved = place_checksum(from) ^ place_checksum(to);
        self.execute(
            "UPDATE items SET place = ?, checksum = (checksum | ?) - (checksum & ?) WHERE item = ?",
            params![to, moved, moved, key],
        )
    }

    /// An item by its key, without its thumbnail.
    pub(super) fn item(&self, key: i64) -> Result<Item, Error> {
        let (place, mut item, expected) = self
            .sql
            .prepare_cached("SELECT place, id, label, checksum FROM items WHERE item = ?")
            .and_then(|mut rows| {
                rows.query_row([key], |row| {
                    let item = Item { id: row.get(1)?, label: row.get(2)?, ..Item::default() };
                    Ok((row.get::<_, i64>(0)?, item, row.get::<_, i64>(3)?))
                })
            })
            .map_err(|error| self.unreadable(&format!("item {key}"), error))?;
        item.attributes = self
            .rows("SELECT name, value FROM attributes WHERE item = ?", [key], |row| {
                Ok((row.get(0)?, row.get(1)?))
            })?
            .into_iter()
            .collect();
        if checksum(&item, place) != expected {
            let what = format!("the checksum of item {key} (`{}`) does not match", item.id);
            return Err(Error::damaged(&self.path, what));
        }
        Ok(item)
    }

    pub(super) fn thumbnail(&self, key: i64) -> Result<Option<Thumbnail>, Error> {
        let found = self
            .sql
            .prepare_cached("SELECT media_type, bytes, checksum FROM thumbnails WHERE item = ?")
            .and_then(|mut rows| {
                let read = |row: &Row| {
                    let thumbnail = Thumbnail { media_type: row.get(0)?, bytes: row.get(1)? };
                    Ok((thumbnail, row.get::<_, u32>(2)?))
                };
                rows.query_row([key], read).optional()
            })
            .at(&self.path)?;
        match found {
            Some((thumbnail, checksum)) if crc32c::crc32c(&thumbnail.bytes) != checksum => {
                let what = format!("the checksum of the thumbnail of item {key} does not match");
                Err(Error::damaged(&self.path, what))
            }
            found => Ok(found.map(|(thumbnail, _)| thumbnail)),
        }
    }

    /// Keys of at most `limit` items, from `from` on.
    pub(super) fn keys(&self, from: i64, limit: usize) -> Result<Vec<i64>, Error> {
        self.rows(
            "SELECT item FROM items WHERE item >= ? ORDER BY item LIMIT ?",
            [from, i64::try_from(limit).unwrap_or(i64::MAX)],
            |row| row.get(0),
        )
    }

    /// Places of the items of one of these labels, or of the attribute.
    pub(super) fn places_labelled(&self, label: &str) -> Result<Vec<i64>, Error> {
        self.rows("SELECT place FROM items WHERE label = ?", [label], |row| row.get(0))
    }

    pub(super) fn places_with(&self, name: &str, value: &str) -> Result<Vec<i64>, Error> {
        self.rows(
            "SELECT place FROM attributes JOIN items USING (item) WHERE name = ? AND value = ?",
            [name, value],
            |row| row.get(0),
        )
    }

    /// Labels and their numbers of items.
    pub(super) fn labels(&self) -> Result<Vec<(String, u64)>, Error> {
        self.rows(
            "SELECT label, count(*) FROM items WHERE label IS NOT NULL GROUP BY label",
            [],
            |row| Ok((row.get(0)?, row.get::<_, i64>(1)? as u64)),
        )
    }

    pub(super) fn graph(&self) -> Result<Option<Graph>, Error> {
        let mut found = self.rows(
            "SELECT file, checksum, segment, row, expansion_search, rows, recall_at_10, sample, \
             seconds FROM hnsw",
            [],
            |row| {
                Ok(Graph {
                    file: row.get(0)?,
                    checksum: row.get(1)?,
                    end: (row.get(2)?, row.get::<_, i64>(3)? as usize),
                    expansion_search: row.get::<_, i64>(4)? as usize,
                    index: Index {
                        rows: row.get::<_, i64>(5)? as u64,
                        recall_at_10: row.get(6)?,
                        sample: row.get::<_, i64>(7)? as usize,
                        seconds: row.get(8)?,
                    },
                })
            },
        )?;
        Ok(found.pop())
    }

    pub(super) fn set_graph(&self, graph: Option<&Graph>) -> Result<(), Error> {
        self.execute("DELETE FROM hnsw", [])?;
        let Some(graph) = graph else { return Ok(()) };
        self.execute(
            "INSERT INTO hnsw VALUES (1, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            params![
                graph.file,
                graph.checksum,
                graph.end.0,
                graph.end.1 as i64,
                graph.expansion_search as i64,
                graph.index.rows as i64,
                graph.index.recall_at_10,
                graph.index.sample as i64,
                graph.index.seconds,
            ],
        )
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

fn unreadable(column: usize, error: tercet::Error) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(column, rusqlite::types::Type::Text, Box::new(error))
}

/// CRC-32C of fields, each with its length, so that no two lists of fields run together.
#[derive(Default)]
struct Checksum(u32);

impl Checksum {
    fn number(&mut self, value: i64) -> &mut Self {
        self.0 = crc32c::crc32c_append(self.0, &value.to_le_bytes());
        self
    }

    fn text(&mut self, value: &str) -> &mut Self {
        self.number(value.len() as i64);
        self.0 = crc32c::crc32c_append(self.0, value.as_bytes());
        self
    }

    fn value(&self) -> i64 {
        i64::from(self.0)
    }
}

fn checksum(item: &Item, place: i64) -> i64 {
    let mut sum = Checksum::default();
    sum.text(&item.id).number(i64::from(item.label.is_some()));
    sum.text(item.label.as_deref().unwrap_or(""));
    for (name, value) in &item.attributes {
        sum.text(name).text(value);
    }
    sum.value() ^ place_checksum(place)
}

fn place_checksum(place: i64) -> i64 {
    Checksum::default().number(place).value()
}
