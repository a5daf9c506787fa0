//! The nearest rows of many tiles, which all threads visit: the part that every scan shares.

use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::ops::Range;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering::Relaxed};

use rayon::prelude::*;

/// A row that was found, with its distance from the query.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Found {
    /// The index of the block.
    pub block: u32,
    /// The row of the block.
    pub row: u32,
    /// ‖x − y‖².
    pub distance: f32,
}

/// Ordered by distance; ties by the lowest block and row.
impl Ord for Found {
    fn cmp(&self, other: &Self) -> Ordering {
        self.distance
            .total_cmp(&other.distance)
            .then((self.block, self.row).cmp(&(other.block, other.row)))
    }
}

impl PartialOrd for Found {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Eq for Found {}

/// Some rows of a block.
pub(super) struct Tile {
    pub(super) block: u32,
    pub(super) rows: Range<usize>,
}

impl Tile {
    /// All rows of blocks of these lengths, `height` at a time.
    pub(super) fn all(lengths: impl Iterator<Item = usize>, height: usize) -> Vec<Self> {
        let mut tiles = Vec::new();
        for (block, length) in lengths.enumerate() {
            let starts = (0..length).step_by(height);
            tiles.extend(starts.map(|start| Self {
                block: block as u32,
                rows: start..(start + height).min(length),
            }));
        }
        tiles
    }
}

/// The nearest rows that one thread has visited, for every query.
pub(super) struct Nearest<'a> {
    k: usize,
    found: Vec<BinaryHeap<Found>>,
    /// For each query, the bits of the smallest distance for which any thread knows k rows that are
    /// not farther.
    bounds: &'a [AtomicU32],
}

impl Nearest<'_> {
    /// Rows that are farther than this cannot be among the nearest. Rows at this distance may be,
    /// by their block and row.
    pub(super) fn bound(&self, query: usize) -> f32 {
        f32::from_bits(self.bounds[query].load(Relaxed))
    }

    pub(super) fn offer(&mut self, query: usize, row: Found) {
        let found = &mut self.found[query];
        if found.len() < self.k {
            found.push(row);
        } else if let Some(mut farthest) = found.peek_mut()
            && row < *farthest
        {
            *farthest = row;
        } else {
            return;
        }
        if found.len() == self.k
            && let Some(farthest) = found.peek()
        {
            // Distances are not negative, so their bits as integers have the order of the
            // distances.
            self.bounds[query].fetch_min(farthest.distance.to_bits(), Relaxed);
        }
    }
}

/// Calls `visit` for every tile on some thread, with the rows found by that thread and a buffer,
/// and returns the `k` nearest over all threads. The result does not depend on which thread visits
/// which tile.
pub(super) fn gather(
    queries: usize,
    k: usize,
    tiles: &[Tile],
    visit: impl Fn(&Tile, &mut Nearest, &mut Vec<f32>) + Sync,
) -> Vec<Vec<Found>> {
    let infinity = || AtomicU32::new(f32::INFINITY.to_bits());
    let bounds: Vec<AtomicU32> = (0..queries).map(|_| infinity()).collect();
    let next = AtomicUsize::new(0);
    let lanes = rayon::current_num_threads().min(tiles.len());
    let found: Vec<Vec<BinaryHeap<Found>>> = (0..lanes)
        .into_par_iter()
        .map(|_| {
            let found = (0..queries).map(|_| BinaryHeap::new()).collect();
            let mut nearest = Nearest { k, found, bounds: &bounds };
            let mut buffer = Vec::new();
            while let Some(tile) = tiles.get(next.fetch_add(1, Relaxed)) {
                visit(tile, &mut nearest, &mut buffer);
            }
            nearest.found
        })
        .collect();
    let mut merged: Vec<Vec<Found>> = vec![Vec::new(); queries];
    for lane in found {
        for (query, found) in merged.iter_mut().zip(lane) {
            query.extend(found);
        }
    }
    for query in &mut merged {
        query.sort_unstable();
        query.truncate(k);
    }
    merged
}
