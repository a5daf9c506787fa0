//! The valid parts of the segments, and the places of the items in them.

use rusqlite::params;

use super::Catalogue;
use crate::Error;
use crate::folder::segment::Extent;

/// A segment, and the last change that added to it or removed from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::folder) struct Listed {
    pub(in crate::folder) extent: Extent,
    pub(in crate::folder) generation: i64,
}

/// The place of a vector: segment · 2³² + row.
pub(in crate::folder) fn place(segment: u32, row: usize) -> i64 {
    i64::from(segment) << 32 | row as i64
}

/// Segment and row of a place.
pub(in crate::folder) fn at(place: i64) -> (u32, usize) {
    ((place >> 32) as u32, (place & 0xffff_ffff) as usize)
}

impl Catalogue {
    /// The segments in the order of their numbers.
    pub(in crate::folder) fn segments(&self) -> Result<Vec<Listed>, Error> {
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

    pub(in crate::folder) fn set_segment(&self, listed: Listed) -> Result<(), Error> {
        let Extent { number, rows, checksum } = listed.extent;
        self.execute(
            "INSERT OR REPLACE INTO segments VALUES (?, ?, ?, ?)",
            params![number, rows as i64, checksum, listed.generation],
        )
    }

    pub(in crate::folder) fn touch_segment(
        &self,
        number: u32,
        generation: i64,
    ) -> Result<(), Error> {
        self.execute(
            "UPDATE segments SET generation = ? WHERE number = ?",
            params![generation, number],
        )
    }

    pub(in crate::folder) fn drop_segment(&self, number: u32) -> Result<(), Error> {
        self.execute("DELETE FROM segments WHERE number = ?", [number])
    }

    /// Place and key of the items of a segment, in order of their places.
    pub(in crate::folder) fn places(&self, segment: u32) -> Result<Vec<(i64, i64)>, Error> {
        self.rows(
            "SELECT place, item FROM items WHERE place >= ? AND place < ? ORDER BY place",
            [place(segment, 0), place(segment + 1, 0)],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )
    }
}
