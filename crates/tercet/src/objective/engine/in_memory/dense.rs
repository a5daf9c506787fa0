//! The gradient of a batch in which most pairs have a coefficient: diag(S·1)·X − S·X with
//! S = C + Cᵀ, which is one matrix product.

use std::ops::Range;

use super::padded;
use crate::buffer_pool::Buffer;
use crate::distance::{Close, Points};
use crate::matrix::{Operand, product};
use crate::objective::engine::accumulate::add_pair;
use crate::simd::{LANES, Strided, sum, transpose};

/// Columns of S that are assembled at a time, few enough to stay in a fast level of cache.
const COLUMNS: usize = 256;

/// The stride of the rows of these columns.
const WIDTH: usize = COLUMNS + LANES;

/// Writes the gradient of a band of points: the row sums of S times the points, minus S·X.
pub(super) fn gradient<'a>(
    points: &Points,
    coefficients: &[f32],
    close: impl Iterator<Item = &'a Close>,
    rows: Range<usize>,
    gradient: &mut [f32],
) {
    let (batch, d) = (points.len(), points.dimensions());
    let stride = padded(batch);
    let mut sums = Buffer::pooled(rows.len() * WIDTH);
    let mut totals = vec![0.0; rows.len()];
    // Pairs that are too close for the Gram form would cancel in the product too, so they are added
    // one by one.
    let mut singles = vec![Vec::new(); batch.div_ceil(COLUMNS)];
    for pair in close {
        for (point, other) in [(pair.row, pair.column), (pair.column, pair.row)] {
            if rows.contains(&(point as usize)) {
                singles[other as usize / COLUMNS].push((point as usize, other as usize, 0.0));
            }
        }
    }
    for (start, singles) in (0..batch).step_by(COLUMNS).zip(&mut singles) {
        let block = start..(start + COLUMNS).min(batch);
        let across = Strided { values: &coefficients[start * stride + rows.start..], stride };
        let along = Strided { values: &coefficients[rows.start * stride + start..], stride };
        transpose(across, block.len(), rows.len(), Some(along), &mut sums, WIDTH);
        for (point, other, coefficient) in singles {
            // In the square on the diagonal of a strip both (x, y) and (y, x) are listed. The
            // second time the coefficient is already 0.
            let sum = &mut sums[(*point - rows.start) * WIDTH + *other - start];
            *coefficient = std::mem::take(sum);
        }
        for (line, total) in sums.chunks_exact(WIDTH).zip(&mut totals) {
            *total += sum(&line[..block.len()]);
        }
        let sums = Operand::strided(&sums, rows.len(), block.len(), WIDTH);
        let others = Operand::new(points.gram_rows(block.clone()), block.len(), d);
        product(gradient, start > 0, -1.0, sums, others);
    }
    for ((row, total), gradient) in rows.clone().zip(totals).zip(gradient.chunks_exact_mut(d)) {
        for (g, &x) in gradient.iter_mut().zip(points.gram_rows(row..row + 1)) {
            *g += total as f32 * x;
        }
    }
    for (point, other, coefficient) in singles.into_iter().flatten() {
        if coefficient != 0.0 {
            let own = &mut gradient[(point - rows.start) * d..][..d];
            add_pair(own, points.row(point), points.row(other), coefficient);
        }
    }
}
