//! An HNSW graph beside the vectors: it proposes, the vectors decide.

use std::fs::File;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use memmap2::Mmap;
use ndarray::{Array2, ArrayView2};
use rayon::prelude::*;
use usearch::{Index as Usearch, IndexOptions, MetricKind, ScalarKind};

use super::catalogue::{Graph, place};
use super::snapshot::Snapshot;
use super::writer::Writer;
use crate::error::AtPath;
use crate::{Error, Filter, Hnsw, Index, Search, Settings};

/// Queries on which a new graph is measured.
const SAMPLE: usize = 256;

/// A graph in memory.
pub(super) struct Loaded {
    graph: Usearch,
    /// usearch lends its callers a fixed number of places to work in: one set of them at a time.
    turn: Mutex<()>,
    path: std::path::PathBuf,
}

impl Loaded {
    /// Compares the file with its checksum, then loads it.
    pub(super) fn open(folder: &Path, graph: &Graph, settings: &Settings) -> Result<Self, Error> {
        let path = folder.join(&graph.file);
        let checksum = checksum(&path)?;
        if checksum != graph.checksum {
            let what = format!("its checksum is {checksum:08x}, expected {:08x}", graph.checksum);
            return Err(Error::damaged(&path, what));
        }
        let empty = empty(settings.dimensions, Hnsw::default(), &path)?;
        empty.load(text(&path)?).map_err(|error| refused(&path, error))?;
        if empty.dimensions() != settings.dimensions || empty.size() as u64 != graph.index.rows {
            return Err(Error::damaged(&path, "it is the graph of other vectors"));
        }
        reserve(&empty, empty.size(), &path)?;
        empty.change_expansion_search(graph.expansion_search);
        Ok(Self { graph: empty, turn: Mutex::new(()), path })
    }

    /// Places of up to `k` near rows that `keeps` lets pass, for each query.
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

/// Builds a graph over all items, writes it, measures it and makes it the gallery's.
pub(super) fn build(writer: &mut Writer, options: Hnsw) -> Result<Index, Error> {
    let begun = Instant::now();
    let snapshot = Snapshot::take(&writer.folder, None).or_else(|_| {
        // A graph that cannot be read must not keep its successor away.
        writer.catalogue.change(|catalogue| catalogue.set_graph(None))?;
        Snapshot::take(&writer.folder, None)
    })?;
    let generation = snapshot.head.generation + 1;
    let file = format!("index-{generation:06}.hnsw");
    let path = writer.folder.join(&file);

    let settings = &snapshot.head.settings;
    let graph = empty(settings.dimensions, options, &path)?;
    reserve(&graph, snapshot.head.items as usize, &path)?;
    let living: Vec<(usize, usize)> = snapshot
        .parts
        .iter()
        .enumerate()
        .flat_map(|(part, of)| {
            let rows = of.live.keys.iter().enumerate();
            rows.filter(|&(_, &key)| key != 0).map(move |(row, _)| (part, row))
        })
        .collect();
    living.par_iter().try_for_each(|&(part, row)| {
        let segment = &snapshot.parts[part].segment;
        graph
            .add(place(segment.extent.number, row) as u64, segment.row(row))
            .map_err(|error| refused(&path, error))
    })?;
    graph.save(text(&path)?).map_err(|error| refused(&path, error))?;
    File::open(&path).and_then(|file| file.sync_all()).at(&path)?;
    File::open(&writer.folder).and_then(|folder| folder.sync_all()).at(&writer.folder)?;

    let loaded = Loaded { graph, turn: Mutex::new(()), path: path.clone() };
    let (recall_at_10, sample) = measure(&snapshot, &loaded, &living)?;
    let last = snapshot.parts.last().map(|part| part.segment.extent);
    let built = Graph {
        file,
        checksum: checksum(&path)?,
        end: last.map_or((0, 0), |extent| (extent.number, extent.rows)),
        expansion_search: options.expansion_search,
        index: Index {
            rows: living.len() as u64,
            recall_at_10,
            sample,
            seconds: begun.elapsed().as_secs_f64(),
        },
    };
    writer.catalogue.change(|catalogue| {
        let mut head = catalogue.head()?;
        head.generation = generation;
        catalogue.set_graph(Some(&built))?;
        catalogue.set_head(&head)
    })?;
    writer.clear_leftovers()?;
    Ok(built.index)
}

/// The share of the ten nearest that the graph proposes. Queries are vectors of the gallery, moved
/// a tenth of the way to another one: new, but of their kind.
fn measure(
    snapshot: &Snapshot,
    loaded: &Loaded,
    living: &[(usize, usize)],
) -> Result<(f64, usize), Error> {
    let sample = living.len().min(SAMPLE);
    let row = |of: usize| {
        let (part, row) = living[of];
        snapshot.parts[part].segment.row(row)
    };
    let step = living.len() / sample.max(1);
    let mut queries = Array2::zeros((sample, snapshot.head.settings.dimensions));
    for (query, mut out) in queries.outer_iter_mut().enumerate() {
        let (own, other) =
            (row(query * step), row((query * step + living.len() / 2) % living.len()));
        for ((out, own), other) in out.iter_mut().zip(own).zip(other) {
            *out = 0.9 * own + 0.1 * other;
        }
    }
    let exact = Search { k: 10, filter: Filter::default(), exact: true };
    let (exact, _) = snapshot.nearest(queries.view(), &exact)?;
    let proposed = loaded.propose(queries.view(), 10, |_| true)?;
    let (mut wanted, mut found) = (0, 0);
    for (exact, proposed) in exact.iter().zip(proposed) {
        wanted += exact.len();
        found += exact
            .iter()
            .filter(|near| {
                let number = snapshot.parts[near.block as usize].segment.extent.number;
                proposed.contains(&place(number, near.row as usize))
            })
            .count();
    }
    Ok((if wanted == 0 { 1.0 } else { found as f64 / wanted as f64 }, sample))
}

fn empty(dimensions: usize, options: Hnsw, path: &Path) -> Result<Usearch, Error> {
    // Squared distances order the rows of every metric.
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

/// Room for the rows, and for every thread that may call: usearch grows neither by itself.
fn reserve(graph: &Usearch, rows: usize, path: &Path) -> Result<(), Error> {
    // The thread that asks may not be one of the pool.
    let threads = rayon::current_num_threads() + 1;
    graph.reserve_capacity_and_threads(rows.max(1), threads).map_err(|error| refused(path, error))
}

pub(super) fn checksum(path: &Path) -> Result<u32, Error> {
    let file = File::open(path).at(path)?;
    if file.metadata().at(path)?.len() == 0 {
        return Ok(0);
    }
    // SAFETY: the file belongs to a gallery, whose writers never change one that they have written.
    #[allow(unsafe_code)]
    let bytes = unsafe { Mmap::map(&file) }.at(path)?;
    Ok(crc32c::crc32c(&bytes))
}

fn refused(path: &Path, error: impl std::fmt::Display) -> Error {
    Error::Index { path: path.to_owned(), what: error.to_string() }
}

fn text(path: &Path) -> Result<&str, Error> {
    path.to_str().ok_or_else(|| refused(path, "its path must be UTF-8"))
}
