//! Small codes of the rows: a fast first pass proposes candidates, and the rows themselves decide.

use ndarray::ArrayView2;

use super::gather::{Nearest, Tile, gather};
use super::quantization::Codes;
use super::quantizer::{Quantizer, Scale};
use super::{Block, Found, Queries, squared_distance};
use crate::Error;
use crate::simd::{LANES, vectorised};

/// A block and the codes of its rows.
#[derive(Debug, Clone, Copy)]
pub struct CodedBlock<'a> {
    /// The rows themselves.
    pub block: Block<'a>,
    /// The codes of the rows, by the quantizer of the search.
    pub codes: &'a Codes,
}

/// [`nearest`](super::nearest) among only `candidates` rows per query, those whose codes are
/// nearest to the query's code. Distances are exact; rows that the codes do not propose are missed.
///
/// # Errors
/// The errors of [`nearest`](super::nearest), and codes that do not belong to the block.
pub fn nearest_coded(
    queries: ArrayView2<f32>,
    blocks: &[CodedBlock],
    quantizer: &Quantizer,
    k: usize,
    candidates: usize,
) -> Result<Vec<Vec<Found>>, Error> {
    let plain: Vec<Block> = blocks.iter().map(|coded| coded.block).collect();
    let queries = Queries::new(queries, &plain, k)?;
    let d = queries.dimensions();
    for coded in blocks {
        check(coded, quantizer, d)?;
    }
    let asked = Asked::new(&queries, quantizer);
    let tiles = Tile::all(plain.iter().map(Block::len), 2048);
    let proposed = gather(queries.len(), candidates.max(k), &tiles, |tile, nearest, buffer| {
        let coded = &blocks[tile.block as usize];
        buffer.resize(tile.rows.len(), 0.0);
        for query in 0..queries.len() {
            match (&asked, coded.codes) {
                (Asked::Centred { values, steps }, Codes::Bytes { bytes }) => byte_distances(
                    &values[query * d..][..d],
                    steps,
                    &bytes[tile.rows.start * d..tile.rows.end * d],
                    buffer,
                ),
                (Asked::Bits { words, width }, Codes::Bits { words: others }) => bit_distances(
                    &words[query * width..][..*width],
                    &others[tile.rows.start * width..tile.rows.end * width],
                    buffer,
                ),
                // `check` has compared the kinds.
                _ => return,
            }
            propose(coded, tile, query, nearest, buffer);
        }
    });
    let rescored = proposed.into_iter().enumerate().map(|(query, mut rows)| {
        for found in &mut rows {
            let row = plain[found.block as usize].row(found.row as usize);
            found.distance = squared_distance(queries.row(query), row);
        }
        rows.sort_unstable();
        rows.truncate(k);
        rows
    });
    Ok(rescored.collect())
}

/// Queries in the form that is compared with the codes.
enum Asked<'a> {
    /// Queries minus the centres. Queries are not rounded to codes, which would lose precision.
    Centred { values: Vec<f32>, steps: &'a [f32] },
    /// Codes of `width` words.
    Bits { words: Vec<u64>, width: usize },
}

impl<'a> Asked<'a> {
    fn new(queries: &Queries, quantizer: &'a Quantizer) -> Self {
        let values = queries.values(0..queries.len());
        match (&quantizer.scale, quantizer) {
            (Scale::Bytes { centres, steps }, _) => {
                let centred = values.iter().zip(centres.iter().cycle());
                let values = centred.map(|(x, centre)| x - centre).collect();
                Self::Centred { values, steps }
            }
            (Scale::Bits { .. }, quantizer) => {
                let words = match quantizer.encode(values) {
                    Codes::Bits { words } => words,
                    Codes::Bytes { .. } => Vec::new(),
                };
                Self::Bits { words, width: quantizer.words() }
            }
        }
    }
}

fn check(coded: &CodedBlock, quantizer: &Quantizer, dimensions: usize) -> Result<(), Error> {
    let rows = coded.block.len();
    let fits = match (&quantizer.scale, coded.codes) {
        (Scale::Bytes { .. }, Codes::Bytes { bytes }) => bytes.len() == rows * dimensions,
        (Scale::Bits { .. }, Codes::Bits { words }) => words.len() == rows * quantizer.words(),
        _ => false,
    };
    if fits && quantizer.dimensions == dimensions {
        return Ok(());
    }
    Err(Error::parameter(
        "block's codes",
        "of another kind or length",
        "a code by the quantizer of the search for each row",
    ))
}

fn propose(
    coded: &CodedBlock,
    tile: &Tile,
    query: usize,
    nearest: &mut Nearest,
    distances: &[f32],
) {
    super::for_each_at_most(distances, nearest.bound(query), |place, distance| {
        let row = tile.rows.start + place;
        if coded.block.keeps(row) {
            nearest.offer(query, Found { block: tile.block, row: row as u32, distance });
        }
        nearest.bound(query)
    });
}

vectorised! {
    /// Σ (step·code − value)² between one centred query and each of the rows' codes.
    fn byte_distances(query: &[f32], steps: &[f32], rows: &[i8], out: &mut [f32]) {
        for (row, out) in rows.chunks_exact(query.len()).zip(out) {
            *out = byte_distance(query, steps, row);
        }
    }
}

#[inline(always)]
fn byte_distance(query: &[f32], steps: &[f32], row: &[i8]) -> f32 {
    let mut sums = [0.0_f32; LANES];
    let (queries, query_rest) = query.as_chunks::<LANES>();
    let (scales, scale_rest) = steps.as_chunks::<LANES>();
    let (codes, code_rest) = row.as_chunks::<LANES>();
    for ((x, step), code) in queries.iter().zip(scales).zip(codes) {
        for lane in 0..LANES {
            let difference = step[lane] * f32::from(code[lane]) - x[lane];
            sums[lane] += difference * difference;
        }
    }
    for (lane, ((x, step), &code)) in query_rest.iter().zip(scale_rest).zip(code_rest).enumerate() {
        let difference = step * f32::from(code) - x;
        sums[lane] += difference * difference;
    }
    sums.iter().sum()
}

vectorised! {
    /// The number of bits in which one query's code differs from each of the rows' codes.
    fn bit_distances(query: &[u64], rows: &[u64], out: &mut [f32]) {
        for (row, out) in rows.chunks_exact(query.len()).zip(out) {
            let mut count = 0;
            for (&x, &y) in query.iter().zip(row) {
                count += (x ^ y).count_ones();
            }
            *out = count as f32;
        }
    }
}
