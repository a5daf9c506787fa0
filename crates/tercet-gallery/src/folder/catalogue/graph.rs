//! The HNSW graph of the gallery, as saved in the catalogue.

use rusqlite::params;

use super::Catalogue;
#[cfg(feature = "hnsw")]
use crate::folder::segment::Extent;
use crate::{Error, Index};

/// The HNSW graph of the gallery.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::folder) struct Graph {
    pub(in crate::folder) file: String,
    pub(in crate::folder) checksum: u32,
    /// The first place that the graph does not contain.
    pub(in crate::folder) end: (u32, usize),
    pub(in crate::folder) expansion_search: usize,
    pub(in crate::folder) index: Index,
}

#[cfg(feature = "hnsw")]
impl Graph {
    /// How many rows of a segment, counted from its first, the graph contains.
    pub(in crate::folder) fn seen(&self, extent: Extent) -> usize {
        match extent.number.cmp(&self.end.0) {
            std::cmp::Ordering::Less => extent.rows,
            std::cmp::Ordering::Equal => self.end.1.min(extent.rows),
            std::cmp::Ordering::Greater => 0,
        }
    }
}

impl Catalogue {
    pub(in crate::folder) fn graph(&self) -> Result<Option<Graph>, Error> {
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

    /// Places of rows that the graph contains but does not find: their distances are computed in
    /// addition to it.
    #[cfg(feature = "hnsw")]
    pub(in crate::folder) fn beside_graph(&self) -> Result<Vec<i64>, Error> {
        match self.additions {
            true => self.rows("SELECT place FROM hnsw_beside", [], |row| row.get(0)),
            false => Ok(Vec::new()),
        }
    }

    #[cfg(feature = "hnsw")]
    pub(in crate::folder) fn set_beside_graph(&self, places: &[i64]) -> Result<(), Error> {
        places.iter().try_for_each(|place| {
            self.execute("INSERT OR IGNORE INTO hnsw_beside VALUES (?)", [place])
        })
    }

    pub(in crate::folder) fn set_graph(&self, graph: Option<&Graph>) -> Result<(), Error> {
        self.execute("DELETE FROM hnsw", [])?;
        self.execute("DELETE FROM hnsw_beside", [])?;
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
}
