//! Small codes of the rows: a fast first look that proposes, before the rows themselves decide.

use ndarray::ArrayView2;
use serde::{Deserialize, Serialize};

use super::gather::{Nearest, Tile, gather};
use super::{Block, Found, Queries, squared_distance};
use crate::simd::vectorised;
use crate::{Error, named::named};

/// How a vector is made small.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Quantization {
    /// One byte a component: x ≈ s·c with c in −127…127 and s = max|x| / 127, for each vector.
    I8,
    /// One bit a component: whether it is above its mean. Two codes are compared by the number of
    /// bits that differ.
    B1,
}

impl Quantization {
    /// Every kind of code.
    pub const ALL: [Self; 2] = [Self::I8, Self::B1];

    /// The name used on the command line and in files.
    pub fn name(self) -> &'static str {
        match self {
            Self::I8 => "i8",
            Self::B1 => "b1",
        }
    }

    /// How many rows the codes should propose so that the `k` nearest are rarely missed.
    pub fn candidates(self, k: usize) -> usize {
        match self {
            Self::I8 => 2 * k + 16,
            Self::B1 => 32 * k + 128,
        }
    }
}

named!(Quantization, "quantization");

/// What turns rows into codes.
#[derive(Debug, Clone)]
pub struct Quantizer {
    kind: Quantization,
    /// Of each component; only for bits.
    means: Vec<f32>,
}

impl Quantizer {
    /// Learns what a code needs to know from some rows of the kind to come.
    ///
    /// # Shapes
    /// - rows: N·D
    pub fn fit(kind: Quantization, rows: &[f32], dimensions: usize) -> Self {
        let mut sums = vec![0.0_f64; dimensions];
        for row in rows.chunks_exact(dimensions.max(1)) {
            for (sum, &x) in sums.iter_mut().zip(row) {
                *sum += f64::from(x);
            }
        }
        let count = (rows.len() / dimensions.max(1)).max(1) as f64;
        Self { kind, means: sums.iter().map(|sum| (sum / count) as f32).collect() }
    }

    /// The codes of rows.
    ///
    /// # Shapes
    /// - rows: N·D, with the D that was learned from
    pub fn encode(&self, rows: &[f32]) -> Codes {
        let rows = rows.chunks_exact(self.means.len().max(1));
        match self.kind {
            Quantization::I8 => {
                let mut bytes = Vec::with_capacity(rows.len() * self.means.len());
                let mut scales = Vec::with_capacity(rows.len());
                for row in rows {
                    let largest = row.iter().fold(0.0_f32, |largest, x| largest.max(x.abs()));
                    let scale = largest / 127.0;
                    let inverse = if scale > 0.0 { 1.0 / scale } else { 0.0 };
                    bytes.extend(row.iter().map(|x| (x * inverse).round() as i8));
                    scales.push(scale);
                }
                Codes::Bytes { bytes, scales }
            }
            Quantization::B1 => {
                let bits = |(xs, means): (&[f32], &[f32])| {
                    xs.iter()
                        .zip(means)
                        .rev()
                        .fold(0, |word, (x, mean)| word << 1 | u64::from(x > mean))
                };
                let words =
                    rows.flat_map(|row| row.chunks(64).zip(self.means.chunks(64)).map(bits));
                Codes::Bits { words: words.collect() }
            }
        }
    }
}

/// The codes of a block's rows.
#[derive(Debug, Clone)]
pub enum Codes {
    /// See [`Quantization::I8`].
    Bytes {
        /// N·D components.
        bytes: Vec<i8>,
        /// The length of one step, for each row.
        scales: Vec<f32>,
    },
    /// See [`Quantization::B1`].
    Bits {
        /// ⌈D / 64⌉ words a row.
        words: Vec<u64>,
    },
}

/// A block and the codes of its rows.
#[derive(Debug, Clone, Copy)]
pub struct CodedBlock<'a> {
    /// The rows themselves.
    pub block: Block<'a>,
    /// Their codes, by the quantizer of the search.
    pub codes: &'a Codes,
}

/// As [`nearest`](super::nearest), but only among the `candidates` rows a query whose codes are
/// nearest to the query's code. Distances are exact; rows that the codes do not propose are missed.
///
/// # Errors
/// As [`nearest`](super::nearest); codes that are not those of the block.
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
    let codes = quantizer.encode(queries.values(0..queries.len()));
    let tiles = Tile::all(plain.iter().map(Block::len), 2048);
    let proposed = gather(queries.len(), candidates.max(k), &tiles, |tile, nearest, buffer| {
        let coded = &blocks[tile.block as usize];
        buffer.resize(tile.rows.len(), 0.0);
        for query in 0..queries.len() {
            match (&codes, coded.codes) {
                (Codes::Bytes { bytes, scales }, Codes::Bytes { bytes: others, scales: steps }) => {
                    byte_distances(
                        &bytes[query * d..][..d],
                        scales[query],
                        queries.squared_norms[query],
                        &others[tile.rows.start * d..tile.rows.end * d],
                        &steps[tile.rows.clone()],
                        &coded.block.squared_norms[tile.rows.clone()],
                        buffer,
                    );
                }
                (Codes::Bits { words }, Codes::Bits { words: others }) => {
                    let width = d.div_ceil(64);
                    bit_distances(
                        &words[query * width..][..width],
                        &others[tile.rows.start * width..tile.rows.end * width],
                        buffer,
                    );
                }
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

fn check(coded: &CodedBlock, quantizer: &Quantizer, dimensions: usize) -> Result<(), Error> {
    let rows = coded.block.len();
    let fits = match (quantizer.kind, coded.codes) {
        (Quantization::I8, Codes::Bytes { bytes, scales }) => {
            bytes.len() == rows * dimensions && scales.len() == rows
        }
        (Quantization::B1, Codes::Bits { words }) => words.len() == rows * dimensions.div_ceil(64),
        _ => false,
    };
    if fits && quantizer.means.len() == dimensions {
        return Ok(());
    }
    Err(Error::Parameter {
        parameter: "block's codes",
        got: "of another kind or length".into(),
        expected: "a code by the quantizer of the search for each row",
    })
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
    /// max(0, ‖x‖² + ‖y‖² − 2·s·t·Σ cₓc_y) of one query's code to each of the rows'.
    fn byte_distances(
        query: &[i8],
        scale: f32,
        squared_norm: f32,
        rows: &[i8],
        scales: &[f32],
        squared_norms: &[f32],
        out: &mut [f32],
    ) {
        for (place, row) in rows.chunks_exact(query.len()).enumerate() {
            let mut sum = 0_i32;
            for (&x, &y) in query.iter().zip(row) {
                sum += i32::from(x) * i32::from(y);
            }
            let product = scale * scales[place] * sum as f32;
            out[place] = (squared_norm + squared_norms[place] - 2.0 * product).max(0.0);
        }
    }
}

vectorised! {
    /// How many bits of one query's code differ from each of the rows'.
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
