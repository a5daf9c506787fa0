//! Versions of a gallery: the vectors that were carried over from an older model, and the previous
//! version, which is kept until an upgrade is finished.

use rusqlite::{OptionalExtension, Row, params};
use tercet::{Distance, Metric};

use super::{Catalogue, Head, ModelFile};
use crate::error::AtPath;
use crate::folder::segment::Extent;
use crate::{Carried, Error, Origin, Settings};

/// Tables that the first upgrade adds. `version` is `current` or `previous`.
const TABLES: &str = "
CREATE TABLE IF NOT EXISTS model_names (
    version TEXT PRIMARY KEY, name TEXT NOT NULL, bytes INTEGER NOT NULL, checksum INTEGER NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS carried (item INTEGER PRIMARY KEY) STRICT;
CREATE TABLE IF NOT EXISTS carried_by (
    version TEXT PRIMARY KEY, origin TEXT NOT NULL, model TEXT NOT NULL, scale REAL NOT NULL,
    shift REAL NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS previous_gallery (
    one INTEGER PRIMARY KEY CHECK (one = 1), dimensions INTEGER NOT NULL, distance TEXT NOT NULL,
    normalize INTEGER NOT NULL, model TEXT NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS previous_segments (
    number INTEGER PRIMARY KEY, rows INTEGER NOT NULL, checksum INTEGER NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS previous_items (
    item INTEGER PRIMARY KEY, place INTEGER NOT NULL, carried INTEGER NOT NULL
) STRICT;
";

/// The version of a gallery before its last upgrade.
#[derive(Debug, Clone)]
pub(in crate::folder) struct Previous {
    pub(in crate::folder) dimensions: usize,
    pub(in crate::folder) metric: Metric,
    /// Fingerprint of its model.
    pub(in crate::folder) model: String,
    pub(in crate::folder) model_file: Option<ModelFile>,
    pub(in crate::folder) segments: Vec<Extent>,
}

impl Previous {
    /// The settings of a gallery with these codes.
    pub(in crate::folder) fn settings(&self, current: &Settings) -> Settings {
        Settings {
            dimensions: self.dimensions,
            metric: self.metric,
            model: self.model.clone(),
            quantization: current.quantization,
        }
    }
}

impl Catalogue {
    /// Whether the gallery has ever been upgraded.
    pub(in crate::folder) fn has_versions(&self) -> Result<bool, Error> {
        self.has_table("previous_items")
    }

    /// Adds the tables of versions, if they are missing.
    pub(in crate::folder) fn prepare_versions(&self) -> Result<(), Error> {
        self.run(TABLES)
    }

    /// How vectors were carried over from an older model; `None` if none were.
    pub(in crate::folder) fn carried_by(&self) -> Result<Option<Carried>, Error> {
        if !self.has_versions()? {
            return Ok(None);
        }
        let found = self.rows(
            "SELECT origin, model, scale, shift FROM carried_by WHERE version = 'current'",
            [],
            |row| Ok((row.get::<_, String>(0)?, row.get(1)?, row.get(2)?, row.get(3)?)),
        )?;
        found
            .into_iter()
            .next()
            .map(|(origin, model, scale, shift)| {
                let origin = Origin::named(&origin).ok_or_else(|| {
                    Error::damaged(self.path(), format!("unknown origin of vectors `{origin}`"))
                })?;
                Ok(Carried { origin, model, scale, shift })
            })
            .transpose()
    }

    /// Places of the vectors that were carried over.
    pub(in crate::folder) fn carried_places(&self) -> Result<Vec<i64>, Error> {
        match self.has_versions()? {
            true => {
                self.rows("SELECT place FROM carried JOIN items USING (item)", [], |row| row.get(0))
            }
            false => Ok(Vec::new()),
        }
    }

    pub(in crate::folder) fn mark_carried(&self, key: i64) -> Result<(), Error> {
        self.execute("INSERT OR REPLACE INTO carried VALUES (?)", [key])
    }

    pub(in crate::folder) fn set_carried_by(&self, carried: &Carried) -> Result<(), Error> {
        self.execute(
            "INSERT OR REPLACE INTO carried_by VALUES ('current', ?, ?, ?, ?)",
            params![carried.origin.name(), carried.model, carried.scale, carried.shift],
        )
    }

    /// Forgets what is recorded of the versions of a removed item.
    pub(super) fn forget_versions(&self, key: i64) -> Result<(), Error> {
        if !self.has_versions()? {
            return Ok(());
        }
        self.execute("DELETE FROM carried WHERE item = ?", [key])?;
        self.execute("DELETE FROM previous_items WHERE item = ?", [key])
    }

    /// The name of the model's file, where an upgrade has given it another one.
    pub(super) fn model_name(&self) -> Result<Option<String>, Error> {
        if !self.has_versions()? {
            return Ok(None);
        }
        self.sql
            .prepare_cached("SELECT name FROM model_names WHERE version = 'current'")
            .and_then(|mut rows| rows.query_row([], |row| row.get(0)).optional())
            .at(self.path())
    }

    pub(super) fn set_model_name(&self, file: &ModelFile) -> Result<(), Error> {
        if !self.has_versions()? {
            return Ok(());
        }
        self.execute(
            "INSERT OR REPLACE INTO model_names VALUES ('current', ?, ?, ?)",
            params![file.name, file.bytes as i64, file.checksum],
        )
    }

    /// The version before the last upgrade, unless that was finished.
    pub(in crate::folder) fn previous(&self) -> Result<Option<Previous>, Error> {
        if !self.has_versions()? {
            return Ok(None);
        }
        let found = self.rows(
            "SELECT dimensions, distance, normalize, model FROM previous_gallery",
            [],
            |row| {
                let dimensions = row.get::<_, i64>(0)? as usize;
                Ok((dimensions, row.get::<_, String>(1)?, row.get(2)?, row.get(3)?))
            },
        )?;
        let Some((dimensions, distance, normalize, model)) = found.into_iter().next() else {
            return Ok(None);
        };
        let distance: Distance = distance.parse().map_err(|error: tercet::Error| {
            Error::damaged(self.path(), format!("its previous version: {error}"))
        })?;
        let extent = |row: &Row| {
            let rows = row.get::<_, i64>(1)? as usize;
            Ok(Extent { number: row.get(0)?, rows, checksum: row.get(2)? })
        };
        let segments = self.rows(
            "SELECT number, rows, checksum FROM previous_segments ORDER BY number",
            [],
            extent,
        )?;
        let model_file = self
            .rows(
                "SELECT name, bytes, checksum FROM model_names WHERE version = 'previous'",
                [],
                |row| {
                    let bytes = row.get::<_, i64>(1)? as u64;
                    Ok(ModelFile { name: row.get(0)?, bytes, checksum: row.get(2)? })
                },
            )?
            .pop();
        let metric = Metric { distance, normalize };
        Ok(Some(Previous { dimensions, metric, model, model_file, segments }))
    }

    /// Records the current version as the previous one; afterwards the gallery has no segments, no
    /// graph, no measured codes, no model and no carried vectors, and its items have old places.
    pub(in crate::folder) fn set_aside(&self, head: &Head) -> Result<(), Error> {
        let settings = &head.settings;
        if let Some(file) = self.model_file()? {
            self.execute(
                "INSERT OR REPLACE INTO model_names VALUES ('previous', ?, ?, ?)",
                params![file.name, file.bytes as i64, file.checksum],
            )?;
        }
        self.execute(
            "INSERT INTO previous_gallery VALUES (1, ?, ?, ?, ?)",
            params![
                settings.dimensions as i64,
                settings.metric.distance.name(),
                settings.metric.normalize,
                settings.model
            ],
        )?;
        self.run(
            "INSERT INTO previous_segments SELECT number, rows, checksum FROM segments;
             DELETE FROM segments;
             INSERT INTO previous_items
                 SELECT item, place, item IN (SELECT item FROM carried) FROM items;
             UPDATE carried_by SET version = 'previous';
             DELETE FROM carried;
             DELETE FROM model;
             DELETE FROM model_names WHERE version = 'current';
             DELETE FROM codes;",
        )?;
        self.set_graph(None)
    }

    /// The number of items that the previous version does not contain, and the first of their ids.
    pub(in crate::folder) fn newer_items(&self) -> Result<(u64, Option<String>), Error> {
        let count = self.rows(
            "SELECT count(*), min(id) FROM items
             WHERE item NOT IN (SELECT item FROM previous_items)",
            [],
            |row| Ok((row.get::<_, i64>(0)? as u64, row.get(1)?)),
        )?;
        Ok(count.into_iter().next().unwrap_or_default())
    }

    /// Makes the previous version the current one again. All items have a place in it.
    pub(in crate::folder) fn bring_back(
        &self,
        previous: &Previous,
        generation: i64,
    ) -> Result<(), Error> {
        // Key, place now, place before.
        let places: Vec<(i64, i64, i64)> = self.rows(
            "SELECT item, items.place, previous_items.place
             FROM items JOIN previous_items USING (item)",
            [],
            |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
        )?;
        for (key, now, before) in places {
            self.move_item(key, now, before)?;
        }
        self.execute("DELETE FROM segments", [])?;
        self.execute(
            "INSERT INTO segments SELECT number, rows, checksum, ? FROM previous_segments",
            [generation],
        )?;
        self.run(
            "DELETE FROM carried;
             INSERT INTO carried SELECT item FROM previous_items WHERE carried;
             DELETE FROM carried_by WHERE version = 'current';
             UPDATE carried_by SET version = 'current';
             DELETE FROM model;
             DELETE FROM model_names WHERE version = 'current';
             DELETE FROM codes;",
        )?;
        if let Some(file) = &previous.model_file {
            self.set_model_file(file)?;
        }
        self.set_graph(None)?;
        self.drop_previous()
    }

    /// Forgets the previous version.
    pub(in crate::folder) fn drop_previous(&self) -> Result<(), Error> {
        self.run(
            "DELETE FROM previous_gallery;
             DELETE FROM previous_segments;
             DELETE FROM previous_items;
             DELETE FROM carried_by WHERE version = 'previous';
             DELETE FROM model_names WHERE version = 'previous';",
        )
    }
}
