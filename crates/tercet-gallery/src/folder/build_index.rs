//! Construction of a new HNSW graph: build it, add the vectors that it does not find again, write
//! it and measure its recall.

use std::fs::{self, File};
use std::path::PathBuf;
use std::time::Instant;

use ndarray::ArrayView2;
use rayon::prelude::*;
use tercet::scan::Found;

use super::catalogue::{Graph, place};
use super::hnsw::{Loaded, Node, empty, find_again, refused, reserve, text};
use super::recall::{NEAREST, Queries, Sample};
use super::snapshot::Snapshot;
use super::writer::Writer;
use crate::error::AtPath;
use crate::{Error, Hnsw, Index};

/// Queries on which the recall of a new graph is measured.
const SAMPLE: usize = 256;

/// Builds a graph over all items, writes it, measures it and makes it the graph of the gallery.
pub(super) fn build(writer: &mut Writer, options: Hnsw) -> Result<Index, Error> {
    let begun = Instant::now();
    let snapshot = Snapshot::take(&writer.folder, None).or_else(|_| {
        // A graph that cannot be read must not prevent a new one.
        writer.change(|catalogue| catalogue.set_graph(None))?;
        Snapshot::take(&writer.folder, None)
    })?;
    let generation = snapshot.head.generation + 1;
    let (file, path) = new_file(writer, generation)?;

    let settings = &snapshot.head.settings;
    let graph = empty(settings.dimensions, options, &path)?;
    reserve(&graph, snapshot.head.items as usize, &path)?;
    let living = snapshot.living();
    let nodes: Vec<Node> = living
        .iter()
        .map(|&(part, row)| {
            let segment = &snapshot.parts[part].segment;
            Node { key: place(segment.extent.number, row) as u64, vector: segment.row(row) }
        })
        .collect();
    nodes.par_iter().try_for_each(|node| {
        graph.add(node.key, node.vector).map_err(|error| refused(&path, error))
    })?;
    let refused_here = |error: String| refused(&path, error);
    let candidates = options.expansion_search.max(NEAREST);
    let beside = find_again(&graph, &nodes, candidates, refused_here)?;
    let beside: Vec<i64> = beside.into_iter().map(|key| key as i64).collect();
    graph.save(text(&path)?).map_err(|error| refused(&path, error))?;
    File::open(&path).and_then(|file| file.sync_all()).at(&path)?;
    File::open(&writer.folder).and_then(|folder| folder.sync_all()).at(&writer.folder)?;

    let loaded = Loaded::new(graph, path.clone());
    let sample = Sample::draw(&snapshot, SAMPLE, Queries::Moved)?;
    let found = proposed(&snapshot, &loaded, sample.queries.view())?;
    let last = snapshot.parts.last().map(|part| part.segment.extent);
    let built = Graph {
        file,
        checksum: crc32c::crc32c(&fs::read(&path).at(&path)?),
        end: last.map_or((0, 0), |extent| (extent.number, extent.rows)),
        expansion_search: options.expansion_search,
        index: Index {
            rows: living.len() as u64,
            recall_at_10: sample.recall(&found),
            sample: sample.queries.nrows(),
            seconds: begun.elapsed().as_secs_f64(),
        },
    };
    drop(nodes);
    drop(snapshot);
    writer.change(|catalogue| {
        let mut head = catalogue.head()?;
        head.generation = generation;
        catalogue.set_graph(Some(&built))?;
        catalogue.set_beside_graph(&beside)?;
        catalogue.set_head(&head)
    })?;
    writer.clear_leftovers()?;
    Ok(built.index)
}

/// A file name for the graph that no other file has, registered as a file of the gallery.
fn new_file(writer: &mut Writer, generation: i64) -> Result<(String, PathBuf), Error> {
    let own = writer.catalogue.own_files()?;
    let mut number = generation;
    loop {
        let name = format!("index-{number:06}.hnsw");
        let path = writer.folder.join(&name);
        if own.contains(&name) || path.symlink_metadata().is_err() {
            writer.catalogue.announce(std::slice::from_ref(&name))?;
            return Ok((name, path));
        }
        number += 1;
    }
}

/// The candidates that the graph proposes, with their exact distances.
fn proposed(
    snapshot: &Snapshot,
    loaded: &Loaded,
    queries: ArrayView2<f32>,
) -> Result<Vec<Vec<Found>>, Error> {
    let proposed = loaded.propose(queries, NEAREST, |_| true)?;
    queries
        .outer_iter()
        .zip(proposed)
        .map(|(query, places)| {
            let places = places.into_iter().filter_map(|place| snapshot.row_at(place));
            snapshot.measure(query, places, NEAREST)
        })
        .collect()
}
