//! Exact nearest-neighbour search in blocks of rows that are borrowed, not copied.
//!
//! [`neighbors`](crate::neighbors) prepares a copy of its gallery for every call. If the gallery
//! remains and the queries change (a memory-mapped store, a server), the preparation is done once:
//! a [`Block`] borrows rows and their squared norms, and [`nearest`] reads them in tiles.
//!
//! Several queries share one matrix product per tile. The Gram form ‖x‖² + ‖y‖² − 2x·y then only
//! proposes rows: the distance of each row that could be among the nearest, given the rounding of
//! the product, is computed again from differences, and these distances decide. So the result is
//! the same for one query and for a thousand, for any number of threads, and near-duplicates keep
//! their precision.
//!
//! ```
//! use ndarray::array;
//! use tercet::scan::{self, Block};
//!
//! let rows = [0.0_f32, 0.0, 3.0, 4.0, 1.0, 0.0];
//! let norms = scan::squared_norms(&rows, 2);
//! let block = Block::new(&rows, &norms, 2, None)?;
//! let found = scan::nearest(array![[1.0_f32, 0.5]].view(), &[block], 2)?;
//! assert_eq!((found[0][0].row, found[0][0].distance), (2, 0.25)); // squared
//! # Ok::<(), tercet::Error>(())
//! ```

mod codes;
mod gather;
mod quantization;
mod quantizer;

pub use codes::{CodedBlock, nearest_coded};
pub use gather::Found;
pub use quantization::{Codes, Quantization};
pub use quantizer::Quantizer;

use std::ops::Range;

use gather::{Nearest, Tile, gather};
use ndarray::{Array2, ArrayView1, ArrayView2, Axis};

use crate::matrix::{Operand, product};
use crate::simd::{LANES, dot, vectorised};
use crate::{Distance, Error, Metric};

/// Up to this number of queries, the distance of each row is computed from differences as it is
/// read: the time is that of reading the rows, and a matrix product would only add to it.
const FEW_QUERIES: usize = 2;

/// The number of queries of one matrix product.
const GROUP: usize = 64;

/// If fewer than one in this many rows of a tile count, their distances are computed one by one.
const SPARSE: usize = 8;

/// Rows that are searched together, and which of them count.
#[derive(Debug, Clone, Copy)]
pub struct Block<'a> {
    rows: &'a [f32],
    squared_norms: &'a [f32],
    dimensions: usize,
    kept: Option<&'a [u64]>,
}

impl<'a> Block<'a> {
    /// A block of finite `rows` with their [`squared_norms`]; row `r` counts if bit `r % 64` of
    /// `kept[r / 64]` is set, or every row without `kept`.
    ///
    /// # Shapes
    /// - rows: N·D, squared_norms: N, kept: ⌈N / 64⌉
    ///
    /// # Errors
    /// Lengths that do not match.
    pub fn new(
        rows: &'a [f32],
        squared_norms: &'a [f32],
        dimensions: usize,
        kept: Option<&'a [u64]>,
    ) -> Result<Self, Error> {
        let count = squared_norms.len();
        if dimensions == 0 {
            return Err(Error::NoDimensions);
        }
        if rows.len() != count * dimensions {
            return Err(Error::parameter(
                "length of the rows",
                format!("{} for {count} norms and {dimensions} dimensions", rows.len()),
                "a norm and as many values as dimensions for each row",
            ));
        }
        if let Some(kept) = kept
            && kept.len() != count.div_ceil(64)
        {
            return Err(Error::parameter(
                "length of the kept bits",
                format!("{} words for {count} rows", kept.len()),
                "one word for every 64 rows begun",
            ));
        }
        Ok(Self { rows, squared_norms, dimensions, kept })
    }

    fn len(&self) -> usize {
        self.squared_norms.len()
    }

    fn row(&self, row: usize) -> &'a [f32] {
        &self.rows[row * self.dimensions..][..self.dimensions]
    }

    fn keeps(&self, row: usize) -> bool {
        self.kept.is_none_or(|kept| kept[row / 64] >> (row % 64) & 1 == 1)
    }

    fn count_kept(&self, rows: Range<usize>) -> usize {
        match self.kept {
            None => rows.len(),
            Some(_) => rows.filter(|&row| self.keeps(row)).count(),
        }
    }
}

/// ‖x‖² of each row, as the Gram form uses it.
pub fn squared_norms(rows: &[f32], dimensions: usize) -> Vec<f32> {
    rows.chunks_exact(dimensions.max(1)).map(|row| dot(row, row) as f32).collect()
}

/// The `k` nearest kept rows of every query by **squared** Euclidean distance, nearest first, over
/// all blocks. For other metrics use [`Metric::rows`] and [`Metric::from_squared`].
///
/// Ties go to the lowest block and row. If fewer than `k` rows are kept, all of them are found.
/// Time is O(Q·N·D); memory is O(Q·k) and one tile per thread.
///
/// # Shapes
/// - queries: Q×D
/// - result: Q lists of at most `k`
///
/// # Errors
/// `k` = 0; queries that are not finite, too long, or not of the blocks' dimensions.
pub fn nearest(
    queries: ArrayView2<f32>,
    blocks: &[Block],
    k: usize,
) -> Result<Vec<Vec<Found>>, Error> {
    let queries = Queries::new(queries, blocks, k)?;
    let tiles = Tile::all(blocks.iter().map(Block::len), tile_rows(queries.dimensions()));
    Ok(gather(queries.len(), k, &tiles, |tile, nearest, buffer| {
        let block = &blocks[tile.block as usize];
        let kept = block.count_kept(tile.rows.clone());
        if kept == 0 {
        } else if kept < tile.rows.len() / SPARSE {
            queries.one_by_one(block, tile, nearest);
        } else if queries.len() <= FEW_QUERIES {
            queries.by_differences(block, tile, nearest, buffer);
        } else {
            queries.by_products(block, tile, nearest, buffer);
        }
    }))
}

/// The `k` nearest of the listed rows, each given by a block and a row of it, whether kept or not.
/// Use it to sort the rows that an index has proposed.
///
/// # Errors
/// The errors of [`nearest`], and a row that no block has.
pub fn nearest_among(
    query: ArrayView1<f32>,
    blocks: &[Block],
    places: impl IntoIterator<Item = (u32, u32)>,
    k: usize,
) -> Result<Vec<Found>, Error> {
    let queries = Queries::new(query.insert_axis(Axis(0)), blocks, k)?;
    let mut found = Vec::new();
    for (block, row) in places {
        let of = blocks.get(block as usize).filter(|of| (row as usize) < of.len());
        let Some(of) = of else {
            return Err(Error::parameter(
                "place",
                format!("row {row} of block {block}"),
                "a row of one of the blocks",
            ));
        };
        let distance = squared_distance(queries.row(0), of.row(row as usize));
        found.push(Found { block, row, distance });
    }
    found.sort_unstable();
    found.truncate(k);
    Ok(found)
}

/// The number of rows of a tile, which take 256 KiB and stay in the second-level cache.
fn tile_rows(dimensions: usize) -> usize {
    ((1 << 16) / dimensions).clamp(64, 4096)
}

/// Checked queries.
struct Queries {
    rows: Array2<f32>,
    squared_norms: Vec<f32>,
}

impl Queries {
    fn new(queries: ArrayView2<f32>, blocks: &[Block], k: usize) -> Result<Self, Error> {
        if k == 0 {
            return Err(Error::parameter("k", k.to_string(), "at least 1"));
        }
        let rows = Metric::from(Distance::SquaredEuclidean).rows(queries)?;
        if let Some(block) = blocks.iter().find(|block| block.dimensions != rows.ncols()) {
            return Err(Error::DimensionMismatch {
                queries: rows.ncols(),
                gallery: block.dimensions,
            });
        }
        let squared_norms = squared_norms(rows.as_slice().unwrap_or(&[]), rows.ncols());
        Ok(Self { rows, squared_norms })
    }

    fn len(&self) -> usize {
        self.rows.nrows()
    }

    fn dimensions(&self) -> usize {
        self.rows.ncols()
    }

    fn values(&self, queries: Range<usize>) -> &[f32] {
        let d = self.dimensions();
        &self.rows.as_slice().unwrap_or(&[])[queries.start * d..queries.end * d]
    }

    fn row(&self, query: usize) -> &[f32] {
        self.values(query..query + 1)
    }

    fn one_by_one(&self, block: &Block, tile: &Tile, nearest: &mut Nearest) {
        for row in tile.rows.clone().filter(|&row| block.keeps(row)) {
            for query in 0..self.len() {
                let distance = squared_distance(self.row(query), block.row(row));
                nearest.offer(query, Found { block: tile.block, row: row as u32, distance });
            }
        }
    }

    fn by_differences(
        &self,
        block: &Block,
        tile: &Tile,
        nearest: &mut Nearest,
        buffer: &mut Vec<f32>,
    ) {
        let d = self.dimensions();
        let rows = &block.rows[tile.rows.start * d..tile.rows.end * d];
        buffer.resize(tile.rows.len(), 0.0);
        for query in 0..self.len() {
            squared_distances(rows, self.row(query), buffer);
            for_each_at_most(buffer, nearest.bound(query), |place, distance| {
                let row = tile.rows.start + place;
                if block.keeps(row) {
                    nearest.offer(query, Found { block: tile.block, row: row as u32, distance });
                }
                nearest.bound(query)
            });
        }
    }

    fn by_products(
        &self,
        block: &Block,
        tile: &Tile,
        nearest: &mut Nearest,
        buffer: &mut Vec<f32>,
    ) {
        let (d, width) = (self.dimensions(), tile.rows.len());
        let rows = Operand::new(&block.rows[tile.rows.start * d..tile.rows.end * d], width, d);
        let norms = &block.squared_norms[tile.rows.clone()];
        // A product of D terms in any order differs from the exact one by at most
        // D·u·(‖x‖² + ‖y‖²)/2, where u is half a unit in the last place. The few other operations
        // add to this.
        let rounding = (d + 16) as f32 * f32::EPSILON;
        let keep = 1.0 - rounding;
        for start in (0..self.len()).step_by(GROUP) {
            let group = start..(start + GROUP).min(self.len());
            buffer.resize(group.len() * width, 0.0);
            let queries = Operand::new(self.values(group.clone()), group.len(), d);
            product(buffer, false, -2.0, queries, rows.t());
            for (query, line) in group.zip(buffer.chunks_exact_mut(width)) {
                add_scaled(line, norms, keep);
                let own = self.squared_norms[query] * keep;
                let limit = |nearest: &Nearest| {
                    let bound = nearest.bound(query);
                    bound - own + bound * rounding
                };
                for_each_at_most(line, limit(nearest), |place, _| {
                    let row = tile.rows.start + place;
                    if block.keeps(row) {
                        let distance = squared_distance(self.row(query), block.row(row));
                        nearest
                            .offer(query, Found { block: tile.block, row: row as u32, distance });
                    }
                    limit(nearest)
                });
            }
        }
    }
}

/// Visits the values that are at most `limit` in order. Each visit may lower the limit.
fn for_each_at_most(values: &[f32], mut limit: f32, mut visit: impl FnMut(usize, f32) -> f32) {
    let mut from = 0;
    while let Some(place) = next_at_most(values, limit, from) {
        limit = visit(place, values[place]);
        from = place + 1;
    }
}

vectorised! {
    /// The first index from `from` on whose value is at most `limit`.
    fn next_at_most(values: &[f32], limit: f32, from: usize) -> Option<usize> {
        const CHUNK: usize = 8 * LANES;
        let mut start = from;
        for chunk in values[from..].chunks(CHUNK) {
            let mut found = 0_u32;
            for &value in chunk {
                found |= u32::from(value <= limit);
            }
            if found != 0 {
                return chunk.iter().position(|&value| value <= limit).map(|at| start + at);
            }
            start += CHUNK;
        }
        None
    }
}

/// ‖x − y‖² from differences. There is only one definition, so that every path gives the same bits.
#[inline(always)]
fn difference(left: &[f32], right: &[f32]) -> f32 {
    let mut sums = [0.0_f32; LANES];
    let (left_chunks, left_rest) = left.as_chunks::<LANES>();
    let (right_chunks, right_rest) = right.as_chunks::<LANES>();
    for (x, y) in left_chunks.iter().zip(right_chunks) {
        for lane in 0..LANES {
            sums[lane] += (x[lane] - y[lane]) * (x[lane] - y[lane]);
        }
    }
    for (lane, (&x, &y)) in left_rest.iter().zip(right_rest).enumerate() {
        sums[lane] += (x - y) * (x - y);
    }
    let mut width = LANES;
    while width > 1 {
        width /= 2;
        for lane in 0..width {
            sums[lane] += sums[lane + width];
        }
    }
    sums[0]
}

vectorised! {
    fn squared_distance(left: &[f32], right: &[f32]) -> f32 {
        difference(left, right)
    }
}

vectorised! {
    /// `squared_distance` of the query to each of the rows.
    fn squared_distances(rows: &[f32], query: &[f32], out: &mut [f32]) {
        for (row, out) in rows.chunks_exact(query.len()).zip(out) {
            *out = difference(row, query);
        }
    }
}

vectorised! {
    /// values += factor · terms.
    fn add_scaled(values: &mut [f32], terms: &[f32], factor: f32) {
        for (value, &term) in values.iter_mut().zip(terms) {
            *value += term * factor;
        }
    }
}

#[cfg(test)]
mod tests;
