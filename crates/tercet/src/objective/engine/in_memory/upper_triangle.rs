//! The upper triangle of a batch's distances.

use std::collections::VecDeque;
use std::ops::Range;

use rayon::prelude::*;

use super::{BAND, GROUP, padded};
use crate::buffer_pool::Buffer;
use crate::distance::{Close, Points};
use crate::labels::ClassOrder;
use crate::matrix::Operand;
use crate::simd::{LANES, Strided, add_to_lanes, total, transpose};

/// Distances of each point to itself and to all later points, in strips of rows.
pub(super) struct UpperTriangle {
    batch: usize,
    values: Buffer,
    strips: Vec<Strip>,
}

struct Strip {
    rows: Range<usize>,
    /// The index of its first value. Each row holds the columns from `rows.start` on.
    from: usize,
    close: Vec<Close>,
    /// Σ d over its pairs of one class, and over all its pairs, in both directions.
    within: f64,
    total: f64,
}

impl UpperTriangle {
    pub(super) fn compute(points: &Points, order: &ClassOrder) -> Self {
        let (batch, height) = (points.len(), strip_rows(points.len()));
        let transposed = transpose_points(points);
        let rows = |start: usize| start..(start + height).min(batch);
        let size = |rows: &Range<usize>| rows.len() * padded(batch - rows.start);
        let sizes = (0..batch).step_by(height).map(|start| size(&rows(start)));
        let mut values = Buffer::pooled(sizes.sum());
        let (mut from, mut free) = (0, &mut *values);
        let mut strips = VecDeque::new();
        for rows in (0..batch).step_by(height).map(rows) {
            let (own, rest) = free.split_at_mut(size(&rows));
            let end = from + own.len();
            strips.push_back((from, rows, own));
            (from, free) = (end, rest);
        }
        // The first strip is the longest and the last the shortest. A task that takes one from each
        // end has about the same amount of work as any other.
        let mut pairs = Vec::with_capacity(strips.len().div_ceil(2));
        while let Some(long) = strips.pop_front() {
            pairs.push([Some(long), strips.pop_back()]);
        }
        let compute = |(from, rows, values): (usize, Range<usize>, &mut [f32])| {
            Strip::compute(points, order, &transposed, rows, from, values)
        };
        let mut strips: Vec<Strip> = pairs
            .into_par_iter()
            .with_max_len(1)
            .flat_map_iter(|pair| pair.into_iter().flatten().map(compute))
            .collect();
        strips.sort_by_key(|strip| strip.from);
        Self { batch, values, strips }
    }

    /// Calls `visit` with each of the given rows: the distances of a point to the whole batch.
    /// `lines` is a buffer for [`GROUP`] rows.
    pub(super) fn each_row(
        &self,
        rows: Range<usize>,
        lines: &mut Buffer,
        mut visit: impl FnMut(usize, &[f32]),
    ) {
        let batch = self.batch;
        if lines.is_empty() {
            *lines = Buffer::pooled(GROUP * padded(batch));
        }
        for start in rows.clone().step_by(GROUP) {
            let group = start..(start + GROUP).min(rows.end);
            self.assemble(group.clone(), lines);
            for (anchor, line) in group.zip(lines.chunks_exact(padded(batch))) {
                visit(anchor, &line[..batch]);
            }
        }
    }

    /// Assembles whole rows: from columns of the earlier strips, and from rows of their own strip.
    fn assemble(&self, rows: Range<usize>, out: &mut [f32]) {
        let batch = self.batch;
        let own = rows.start / strip_rows(batch);
        for before in &self.strips[..own] {
            let stride = padded(batch - before.rows.start);
            let values = &self.values[before.from + rows.start - before.rows.start..];
            let out = &mut out[before.rows.start..];
            let source = Strided { values, stride };
            transpose(source, before.rows.len(), rows.len(), None, out, padded(batch));
        }
        let own = &self.strips[own];
        let stride = padded(batch - own.rows.start);
        for (row, line) in rows.zip(out.chunks_exact_mut(padded(batch))) {
            let line = &mut line[own.rows.start..batch];
            let values = &self.values[own.from + (row - own.rows.start) * stride..];
            line.copy_from_slice(&values[..line.len()]);
        }
    }

    /// The pairs whose distance the Gram form could not resolve.
    pub(super) fn close(&self) -> impl Iterator<Item = &Close> {
        self.strips.iter().flat_map(|strip| &strip.close)
    }

    /// Σ d over the ordered pairs of one class, and over all.
    pub(super) fn sums(&self) -> (f64, f64) {
        let sums = self.strips.iter().map(|strip| (strip.within, strip.total));
        sums.fold((0.0, 0.0), |sum, (within, total)| (sum.0 + within, sum.1 + total))
    }
}

impl Strip {
    fn compute(
        points: &Points,
        order: &ClassOrder,
        transposed: &[f32],
        rows: Range<usize>,
        from: usize,
        values: &mut [f32],
    ) -> Self {
        let (batch, d, start) = (points.len(), points.dimensions(), rows.start);
        let (columns, stride) = (start..batch, padded(batch - start));
        let others = Operand::strided(&transposed[start..], d, columns.len(), padded(batch));
        let mut close = Vec::new();
        points.part(rows.clone(), points, others, columns, values, stride, Some(&mut close));

        // The square on the diagonal holds its pairs in both directions. The rest holds them in one
        // direction and is counted twice.
        let mut sums = [[[0.0; LANES]; 2]; 2];
        for (row, line) in rows.clone().zip(values.chunks(stride)) {
            for (columns, sums) in [order.positives_of(row), start..batch].iter().zip(&mut sums) {
                let [first, square, last] = [columns.start, rows.end, columns.end]
                    .map(|column| column.clamp(start, columns.end.max(start)) - start);
                add_to_lanes(&mut sums[0], &line[first.min(square)..square]);
                add_to_lanes(&mut sums[1], &line[square.max(first)..last]);
            }
        }
        let [within, total] = sums.map(|[once, twice]| total(&once) + 2.0 * total(&twice));
        Self { rows, from, close, within, total }
    }
}

/// Rows per strip, which is one matrix product. With fewer rows, fewer distances are computed
/// twice; with more rows, the product reuses its second operand more often.
pub(super) fn strip_rows(batch: usize) -> usize {
    if batch <= 1024 { BAND } else { 2 * BAND }
}

fn transpose_points(points: &Points) -> Buffer {
    let (batch, d) = (points.len(), points.dimensions());
    let (stride, all) = (padded(batch), points.gram_rows(0..batch));
    let mut transposed = Buffer::pooled(d * stride);
    transposed.par_chunks_mut(GROUP * stride).enumerate().for_each(|(group, out)| {
        let columns = group * GROUP..((group + 1) * GROUP).min(d);
        let source = Strided { values: all.get(columns.start..).unwrap_or_default(), stride: d };
        transpose(source, batch, columns.len(), None, out, stride);
    });
    transposed
}
