//! The quantizer, which turns rows into codes: ranges and thresholds that are fitted to a sample of
//! the rows.

use rayon::prelude::*;

use super::quantization::{Codes, Quantization};

/// The numbers of values at each end of a component's sample that may be left out of its range.
const TRIMS: [usize; 8] = [0, 1, 2, 4, 8, 16, 32, 64];

/// The farthest code from the centre of a range.
const LAST: f32 = 127.0;

/// Turns rows into codes. Every component has its own scale, so that neither an offset, nor a few
/// extreme rows, nor one large component reduces the precision of the others.
#[derive(Debug, Clone)]
pub struct Quantizer {
    pub(super) dimensions: usize,
    pub(super) scale: Scale,
}

#[derive(Debug, Clone)]
pub(super) enum Scale {
    /// Component i is centre(i) + step(i)·code, with codes from −127 to 127.
    Bytes { centres: Vec<f32>, steps: Vec<f32> },
    /// Bit j is whether component `components[j]` is above `thresholds[j]`.
    Bits { components: Vec<u32>, thresholds: Vec<f32> },
}

impl Quantizer {
    /// Fits ranges (i8) or thresholds (b1) to a sample of rows.
    ///
    /// - i8: the range of a component is that of its sample. Values at either end are left out of
    ///   it, and get the nearest code, if this lowers the mean absolute error.
    /// - b1: the threshold of a component is its median. A component with more than its share of
    ///   the variance gets a bit for each of several quantiles, so that the number of bits that
    ///   differ increases with its difference. In total there are at most twice as many bits as
    ///   components.
    ///
    /// # Shapes
    /// - rows: N·D
    pub fn fit(kind: Quantization, rows: &[f32], dimensions: usize) -> Self {
        let count = rows.len() / dimensions.max(1);
        let columns = (0..dimensions).into_par_iter().map(|component| {
            let column = rows.iter().skip(component).step_by(dimensions).take(count);
            let mut column: Vec<f32> = column.copied().collect();
            column.sort_unstable_by(f32::total_cmp);
            column
        });
        let scale = match kind {
            Quantization::I8 => {
                let ranges: Vec<(f32, f32)> = columns.map(|column| range(&column)).collect();
                Scale::Bytes {
                    // Each end is divided first, because the width of the range of f32 does not fit
                    // into f32.
                    centres: ranges.iter().map(|(low, high)| low / 2.0 + high / 2.0).collect(),
                    steps: ranges
                        .iter()
                        .map(|(low, high)| (high / 2.0 - low / 2.0) / LAST)
                        .collect(),
                }
            }
            Quantization::B1 => {
                // Columns are extracted twice instead of stored, because together they are a copy
                // of the sample.
                let variances: Vec<f64> =
                    columns.clone().map(|column| trimmed_variance(&column)).collect();
                let total: f64 = variances.iter().sum();
                let bits = variances.iter().map(|variance| {
                    let share = variance / total * dimensions as f64;
                    // NaN if no component varies, which `as` turns into 0.
                    (share as usize).clamp(1, dimensions.max(1))
                });
                let bits: Vec<usize> = bits.collect();
                let thresholds: Vec<Vec<f32>> = columns
                    .zip(bits)
                    .map(|(column, bits)| {
                        (1..=bits).map(|of| quantile(&column, of, bits)).collect()
                    })
                    .collect();
                let repeated = thresholds.iter().enumerate();
                Scale::Bits {
                    components: repeated
                        .flat_map(|(component, of)| vec![component as u32; of.len()])
                        .collect(),
                    thresholds: thresholds.into_iter().flatten().collect(),
                }
            }
        };
        Self { dimensions, scale }
    }

    /// The codes of rows.
    ///
    /// # Shapes
    /// - rows: N·D, with the D of the fit
    pub fn encode(&self, rows: &[f32]) -> Codes {
        let rows = rows.chunks_exact(self.dimensions.max(1));
        match &self.scale {
            Scale::Bytes { centres, steps } => {
                let mut bytes = Vec::with_capacity(rows.len() * self.dimensions);
                // A component that does not vary has a step of 0, and the code 0.
                let inverse = |&step: &f32| if step > 0.0 { 1.0 / step } else { 0.0 };
                let inverses: Vec<f32> = steps.iter().map(inverse).collect();
                for row in rows {
                    let values = row.iter().zip(centres).zip(&inverses);
                    bytes.extend(values.map(|((x, centre), inverse)| {
                        ((x - centre) * inverse).clamp(-LAST, LAST).round() as i8
                    }));
                }
                Codes::Bytes { bytes }
            }
            Scale::Bits { components, thresholds } => {
                let word = |row: &[f32], components: &[u32], thresholds: &[f32]| {
                    components.iter().zip(thresholds).rev().fold(0, |word, (&of, threshold)| {
                        word << 1 | u64::from(row[of as usize] > *threshold)
                    })
                };
                let words = rows.flat_map(|row| {
                    let words = components.chunks(64).zip(thresholds.chunks(64));
                    words.map(move |(components, thresholds)| word(row, components, thresholds))
                });
                Codes::Bits { words: words.collect() }
            }
        }
    }

    /// The number of words of a code of bits.
    pub(super) fn words(&self) -> usize {
        match &self.scale {
            Scale::Bytes { .. } => 0,
            Scale::Bits { thresholds, .. } => thresholds.len().div_ceil(64),
        }
    }
}

/// The range of a sorted sample with the smallest mean absolute error: the error of a value outside
/// of it is its distance from the range, and that of a value inside is a quarter of a step.
fn range(sorted: &[f32]) -> (f32, f32) {
    let (Some(&first), Some(&last)) = (sorted.first(), sorted.last()) else { return (0.0, 0.0) };
    // The errors of the values that each trim leaves out, at the low and at the high end.
    let trims = || TRIMS.into_iter().take_while(|trim| 2 * trim < sorted.len());
    let left_out = |end: f32, values: &[f32]| -> f64 {
        values.iter().map(|&x| (f64::from(x) - f64::from(end)).abs()).sum()
    };
    let low = |trim: usize| (sorted[trim], left_out(sorted[trim], &sorted[..trim]));
    let high = |trim: usize| {
        let end = sorted.len() - 1 - trim;
        (sorted[end], left_out(sorted[end], &sorted[end + 1..]))
    };
    let quarter = 1.0 / f64::from(4.0 * 2.0 * LAST);
    let (mut best, mut least) = ((first, last), f64::INFINITY);
    for (low, below) in trims().map(low) {
        for (high, above) in trims().map(high) {
            let rounding = (f64::from(high) - f64::from(low)) * quarter * sorted.len() as f64;
            // A range of width 0 would make all values equal.
            if below + above + rounding < least && (high > low || first == last) {
                (best, least) = ((low, high), below + above + rounding);
            }
        }
    }
    best
}

/// The variance of a sorted sample without half a percent at either end.
fn trimmed_variance(sorted: &[f32]) -> f64 {
    let trim = sorted.len() / 200;
    let values = &sorted[trim..sorted.len() - trim];
    let count = values.len().max(1) as f64;
    let mean = values.iter().map(|&x| f64::from(x)).sum::<f64>() / count;
    values.iter().map(|&x| (f64::from(x) - mean).powi(2)).sum::<f64>() / count
}

/// Quantile number `of` of the `count` quantiles that divide a sorted sample evenly, which is the
/// median for one. A bit is 1 above it. If values repeat, it is the value that divides the sample
/// most evenly, and never the largest one, because no value is above that.
fn quantile(sorted: &[f32], of: usize, count: usize) -> f32 {
    let wanted = (sorted.len() * of).div_ceil(count + 1);
    let Some(&at) = sorted.get(wanted.saturating_sub(1)) else { return 0.0 };
    let below = sorted.partition_point(|&x| x < at);
    let up_to = sorted.partition_point(|&x| x <= at);
    let prefers_below = up_to == sorted.len() || wanted.abs_diff(below) < up_to.abs_diff(wanted);
    if prefers_below && below > 0 { sorted[below - 1] } else { at }
}
