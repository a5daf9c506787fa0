//! Items, their attributes and thumbnails.

use rusqlite::{OptionalExtension, Row, params};

use super::Catalogue;
use super::checksum::Checksum;
use crate::error::AtPath;
use crate::{Error, Item, Thumbnail};

impl Catalogue {
    /// Key and place of the item with this id.
    pub(in crate::folder) fn find(&self, id: &str) -> Result<Option<(i64, i64)>, Error> {
        self.sql
            .prepare_cached("SELECT item, place FROM items WHERE id = ?")
            .and_then(|mut rows| {
                rows.query_row([id], |row| Ok((row.get(0)?, row.get(1)?))).optional()
            })
            .at(&self.path)
    }

    pub(in crate::folder) fn insert(&self, item: &Item, place: i64) -> Result<(), Error> {
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

    pub(in crate::folder) fn delete(&self, key: i64) -> Result<(), Error> {
        self.execute("DELETE FROM items WHERE item = ?", [key])?;
        self.execute("DELETE FROM attributes WHERE item = ?", [key])?;
        self.forget_versions(key)?;
        self.execute("DELETE FROM thumbnails WHERE item = ?", [key])
    }

    /// Changes the place of an item whose vector was moved.
    pub(in crate::folder) fn move_item(&self, key: i64, from: i64, to: i64) -> Result<(), Error> {
        // The place has its own part of the checksum, combined by XOR, so the item need not be
        // read.
        let moved = place_checksum(from) ^ place_checksum(to);
        self.execute(
            "UPDATE items SET place = ?, checksum = (checksum | ?) - (checksum & ?) WHERE item = ?",
            params![to, moved, moved, key],
        )
    }

    /// An item by its key, without its thumbnail.
    pub(in crate::folder) fn item(&self, key: i64) -> Result<Item, Error> {
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

    pub(in crate::folder) fn thumbnail(&self, key: i64) -> Result<Option<Thumbnail>, Error> {
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

    /// Keys of at most `limit` items, in order, starting at `from`.
    pub(in crate::folder) fn keys(&self, from: i64, limit: usize) -> Result<Vec<i64>, Error> {
        self.rows(
            "SELECT item FROM items WHERE item >= ? ORDER BY item LIMIT ?",
            [from, i64::try_from(limit).unwrap_or(i64::MAX)],
            |row| row.get(0),
        )
    }

    /// Places of the items with this label.
    pub(in crate::folder) fn places_labelled(&self, label: &str) -> Result<Vec<i64>, Error> {
        self.rows("SELECT place FROM items WHERE label = ?", [label], |row| row.get(0))
    }

    /// Places of the items that have one of the values of an attribute.
    pub(in crate::folder) fn places_with(
        &self,
        name: &str,
        values: &[String],
    ) -> Result<Vec<i64>, Error> {
        let mut places = Vec::new();
        for value in values {
            places.extend(self.rows(
                "SELECT place FROM attributes JOIN items USING (item) WHERE name = ? AND value = ?",
                [name, value],
                |row| row.get::<_, i64>(0),
            )?);
        }
        Ok(places)
    }

    /// All labels, each with its number of items.
    pub(in crate::folder) fn labels(&self) -> Result<Vec<(String, u64)>, Error> {
        self.rows(
            "SELECT label, count(*) FROM items WHERE label IS NOT NULL GROUP BY label",
            [],
            |row| Ok((row.get(0)?, row.get::<_, i64>(1)? as u64)),
        )
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
