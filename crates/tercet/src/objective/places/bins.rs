//! Equal bins over a span of numbers, by which [`Rising`](super::Rising) sorts them.
//!
//! The bin of a number is a monotone function of it, also in floating point, so every number in a
//! lower bin is smaller and every one in a higher bin larger.

use crate::simd::{LANES, vectorised};

/// The most bins: their numbers must fit the fraction of an f32.
const MOST_BINS: usize = 1 << 22;

/// Equal bins over a span of numbers, and where a table holds them.
///
/// Bins follow each other down the columns of a matrix with [`LANES`] columns, so that sums over
/// all lower bins run down all columns at once.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Span {
    low: f32,
    /// Bins per unit.
    scale: f32,
    /// The last bin.
    top: f32,
    /// A table has 2^this rows.
    row_bits: u32,
}

impl Span {
    /// At least as many bins as asked for, up to [`MOST_BINS`]. Where low and high are one number,
    /// everything falls into bin 0, which is slow but right.
    pub(super) fn new(low: f32, high: f32, bins: usize) -> Self {
        let bins = bins.next_power_of_two().clamp(LANES, MOST_BINS);
        let scale = (bins - 1) as f32 / (high - low);
        Self {
            low,
            scale: if scale.is_finite() { scale } else { 0.0 },
            top: (bins - 1) as f32,
            row_bits: (bins / LANES).trailing_zeros(),
        }
    }

    /// The place in the table of each value's bin.
    pub(super) fn cells(self, values: &[f32], cells: &mut [u32]) {
        cells_of(values, self.low, self.scale, self.top, self.row_bits, cells);
    }

    /// Makes a table of how often each cell occurs.
    pub(super) fn count(self, cells: &[u32], table: &mut Vec<u32>) {
        table.clear();
        table.resize(LANES << self.row_bits, 0);
        for &cell in cells {
            table[cell as usize] += 1;
        }
    }
}

vectorised! {
    fn cells_of(
        values: &[f32],
        low: f32,
        scale: f32,
        top: f32,
        row_bits: u32,
        cells: &mut [u32],
    ) {
        let row = (1 << row_bits) - 1;
        for (&value, cell) in values.iter().zip(cells) {
            // Below the span 0, above it the last bin.
            let place = ((value - low) * scale).max(0.0).min(top);
            // Adding 2^23 rounds to an integer and leaves it in the lowest bits.
            let bin = (place + 8_388_608.0).to_bits() & 0x007f_ffff;
            *cell = (bin & row) * LANES as u32 + (bin >> row_bits);
        }
    }
}

vectorised! {
    /// Turns the count of each bin into that of all lower bins.
    pub(super) fn sum_down(table: &mut [u32]) {
        let mut sums = [0_u32; LANES];
        let (rows, _) = table.as_chunks_mut::<LANES>();
        for row in &mut *rows {
            let own = *row;
            for lane in 0..LANES {
                row[lane] = sums[lane];
            }
            for lane in 0..LANES {
                sums[lane] += own[lane];
            }
        }
        let mut total = 0;
        for sum in &mut sums {
            let own = *sum;
            *sum = total;
            total += own;
        }
        for row in rows {
            for lane in 0..LANES {
                row[lane] += sums[lane];
            }
        }
    }
}
