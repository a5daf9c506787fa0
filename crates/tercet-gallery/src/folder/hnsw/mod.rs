//! The HNSW graph: it proposes candidates, whose distances are computed from the vectors.

mod lost;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use ndarray::ArrayView2;
use rayon::prelude::*;
use usearch::{Index as Usearch, IndexOptions, MetricKind, ScalarKind};

use super::catalogue::Graph;
use crate::error::AtPath;
use crate::{Error, Hnsw, Settings};

pub(super) use lost::{Node, find_again};

/// A graph in memory.
pub(super) struct Loaded {
    graph: Usearch,
    /// usearch has a fixed number of contexts for its callers, so only one batch of queries is
    /// searched at a time.
    turn: Mutex<()>,
    path: PathBuf,
}

impl Loaded {
    /// A graph that was just written to `path`.
    pub(super) fn new(graph: Usearch, path: PathBuf) -> Self {
        Self { graph, turn: Mutex::new(()), path }
    }

    /// Compares the file with its checksum, then loads it.
    pub(super) fn open(folder: &Path, graph: &Graph, settings: &Settings) -> Result<Self, Error> {
        let path = folder.join(&graph.file);
        let file = fs::read(&path).at(&path)?;
        let checksum = crc32c::crc32c(&file);
        if checksum != graph.checksum {
            let what = format!("its checksum is {checksum:08x}, expected {:08x}", graph.checksum);
            return Err(Error::damaged(&path, what));
        }
        let empty = empty(settings.dimensions, Hnsw::default(), &path)?;
        empty.load_from_buffer(&file).map_err(|error| refused(&path, error))?;
        drop(file);
        if empty.dimensions() != settings.dimensions || empty.size() as u64 != graph.index.rows {
            return Err(Error::damaged(&path, "it is the graph of other vectors"));
        }
        reserve(&empty, empty.size(), &path)?;
        empty.change_expansion_search(graph.expansion_search);
        Ok(Self::new(empty, path))
    }

    /// Places of up to `k` near rows for each query, among the rows for which `keeps` returns true.
    pub(super) fn propose(
        &self,
        queries: ArrayView2<f32>,
        k: usize,
        keeps: impl Fn(i64) -> bool + Sync,
    ) -> Result<Vec<Vec<i64>>, Error> {
        let queries = queries.as_standard_layout();
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let rows: Vec<_> = queries.outer_iter().collect();
        rows.par_iter()
            .map(|query| {
                let query = query.to_slice().unwrap_or(&[]);
                let matches = self
                    .graph
                    .filtered_search(query, k, |place| keeps(place as i64))
                    .map_err(|error| refused(&self.path, error))?;
                Ok(matches.keys.into_iter().map(|place| place as i64).collect())
            })
            .collect()
    }
}

pub(super) fn empty(dimensions: usize, options: Hnsw, path: &Path) -> Result<Usearch, Error> {
    // Squared Euclidean distances order the rows in the same way as every metric.
    Usearch::new(&IndexOptions {
        dimensions,
        metric: MetricKind::L2sq,
        quantization: ScalarKind::F32,
        connectivity: options.connectivity,
        expansion_add: options.expansion_add,
        expansion_search: options.expansion_search,
        multi: false,
    })
    .map_err(|error| refused(path, error))
}

/// Reserves memory for the rows and a context for every thread that may call: usearch does not grow
/// either by itself.
pub(super) fn reserve(graph: &Usearch, rows: usize, path: &Path) -> Result<(), Error> {
    // The calling thread may not belong to the pool.
    let threads = rayon::current_num_threads() + 1;
    graph.reserve_capacity_and_threads(rows.max(1), threads).map_err(|error| refused(path, error))
}

pub(super) fn refused(path: &Path, error: impl std::fmt::Display) -> Error {
    Error::Index { path: path.to_owned(), what: error.to_string() }
}

pub(super) fn text(path: &Path) -> Result<&str, Error> {
    path.to_str().ok_or_else(|| refused(path, "its path must be UTF-8"))
}
