//! Batches whose B×B matrices fit into memory: what is symmetric is computed once.
//!
//! Distances are, so only the upper triangle is measured; a row's other half is read down the
//! columns. And the gradient needs the coefficients C only as S = C + Cᵀ: point x receives
//! Σ_y S(x,y)·(x − y), one product of the two. Every strip of rows is a task of its own with its
//! own place to write, so the result does not depend on the threads at all.

use std::collections::VecDeque;
use std::ops::Range;

use rayon::prelude::*;

use super::ranked::Ranks;
use super::row::{Row, Rule, Tally};
use crate::distance::{Close, Points};
use crate::kept::Buffer;
use crate::labels::ClassOrder;
use crate::matrix::{Operand, product};
use crate::simd::{LANES, Strided, add_to_lanes, sum, total as lanes_total, transpose, vectorised};

/// The largest batch worked on this way: 96 MiB of matrices, little more than caches hold.
pub(super) const MOST: usize = 4096;

/// Rows of weights made by one task; divides [`strip_rows`].
const BAND: usize = 64;

/// Rows assembled at a time, so that they stay in the nearest cache; divides [`BAND`].
const GROUP: usize = LANES;

/// Force c·(x − y) between two points.
struct Pull {
    first: u32,
    second: u32,
    coefficient: f32,
}

/// Distances of a strip's points to themselves and all later points.
struct Upper<'a> {
    start: usize,
    /// Of rows.
    stride: usize,
    distances: &'a [f32],
    close: Vec<Close>,
    /// Σ d over the pairs that lie in it, both ways, and over those of one class.
    total: f64,
    within: f64,
}

/// Σ φ with its census and ∂(Σ φ)/∂points (B×D in class order).
pub(super) fn evaluate(rule: &Rule, points: &Points, order: &ClassOrder) -> (Tally, Buffer) {
    let (batch, d) = (points.len(), points.dimensions());
    let turned = turn(points);
    let mut room = Buffer::kept(upper_values(batch));
    let upper = measure(points, order, &turned, &mut room);
    let mut gradient = Buffer::kept(batch * d);
    let mut tally = if rule.dense {
        let stride = apart(batch);
        let mut coefficients = Buffer::kept(batch * stride);
        let bands = coefficients.par_chunks_mut(BAND * stride).enumerate();
        let tallies: Vec<Tally> = bands
            .map_init(Scratch::default, |scratch, (band, lines)| {
                weigh_dense(rule, points, order, &upper, band, lines, stride, scratch)
            })
            .collect();
        let height = spread_rows(batch);
        gradient.par_chunks_mut(height * d).enumerate().for_each(|(band, gradient)| {
            let rows = band * height..((band + 1) * height).min(batch);
            spread(points, &coefficients, stride, &upper, rows, gradient);
        });
        total(&tallies)
    } else {
        let bands = gradient.par_chunks_mut(BAND * d).enumerate();
        let (tallies, pulls): (Vec<Tally>, Vec<Vec<Pull>>) = bands
            .map_init(Scratch::default, |scratch, (band, gradient)| {
                weigh_sparse(rule, points, order, &upper, band, gradient, scratch)
            })
            .unzip();
        apply(points, &pulls, &mut gradient);
        total(&tallies)
    };
    for strip in &upper {
        tally.positive_distances += strip.within;
        tally.negative_distances += strip.total - strip.within;
    }
    (tally, gradient)
}

fn total(tallies: &[Tally]) -> Tally {
    tallies.iter().fold(Tally::default(), |mut total, tally| {
        total.add(tally);
        total
    })
}

/// The points as columns, D rows of them: every strip's product would turn them anew.
fn turn(points: &Points) -> Buffer {
    let (batch, d) = (points.len(), points.dimensions());
    let (stride, all) = (apart(batch), points.gram_rows(0..batch));
    let mut turned = Buffer::kept(d * stride);
    turned.par_chunks_mut(GROUP * stride).enumerate().for_each(|(group, out)| {
        let columns = group * GROUP..((group + 1) * GROUP).min(d);
        let source = Strided { values: all.get(columns.start..).unwrap_or_default(), stride: d };
        transpose(source, batch, columns.len(), None, out, stride);
    });
    turned
}

/// Rows measured by one product: the fewer, the less is measured twice, the more, the better the
/// product uses its second operand.
fn strip_rows(batch: usize) -> usize {
    if batch <= 1024 { BAND } else { 2 * BAND }
}

fn measure<'a>(
    points: &Points,
    order: &ClassOrder,
    turned: &[f32],
    mut room: &'a mut [f32],
) -> Vec<Upper<'a>> {
    let (batch, d) = (points.len(), points.dimensions());
    let height = strip_rows(batch);
    let mut strips: VecDeque<_> = (0..batch)
        .step_by(height)
        .map(|start| {
            let (rows, stride) = (start..(start + height).min(batch), apart(batch - start));
            let (own, rest) = std::mem::take(&mut room).split_at_mut(rows.len() * stride);
            room = rest;
            (rows, own)
        })
        .collect();
    // The first strip is the longest, the last the shortest: any such two are as much work as the
    // next.
    let mut pairs = Vec::with_capacity(strips.len().div_ceil(2));
    while let Some(long) = strips.pop_front() {
        pairs.push([Some(long), strips.pop_back()]);
    }
    let measure = |(rows, distances): (Range<usize>, &'a mut [f32])| {
        let (start, stride) = (rows.start, apart(batch - rows.start));
        let mut close = Vec::new();
        let (own, columns) = (&turned[start..], start..batch);
        let others = Operand::strided(own, d, columns.len(), apart(batch));
        points.part(rows.clone(), points, others, columns, distances, stride, Some(&mut close));
        // The strip's own square holds its pairs both ways, what is behind it one way.
        let mut sums = [[[0.0; LANES]; 2]; 2];
        for (row, line) in rows.clone().zip(distances.chunks(stride)) {
            for (columns, sums) in [start..batch, order.positives_of(row)].iter().zip(&mut sums) {
                let [first, square, last] = [columns.start, rows.end, columns.end]
                    .map(|column| column.clamp(start, columns.end.max(start)) - start);
                add_to_lanes(&mut sums[0], &line[first.min(square)..square]);
                add_to_lanes(&mut sums[1], &line[square.max(first)..last]);
            }
        }
        let [total, within] = sums.map(|[once, twice]| lanes_total(&once) + 2.0 * lanes_total(&twice));
        Upper { start, stride, distances, close, total, within }
    };
    let mut upper: Vec<Upper> = pairs
        .into_par_iter()
        .with_max_len(1)
        .flat_map_iter(|pair| pair.into_iter().flatten().map(measure))
        .collect();
    upper.sort_by_key(|strip| strip.start);
    upper
}

/// Values that [`measure`] writes.
fn upper_values(batch: usize) -> usize {
    let height = strip_rows(batch);
    let rows = |start: usize| height.min(batch - start);
    (0..batch).step_by(height).map(|start| rows(start) * apart(batch - start)).sum()
}

/// The stride of rows: whole vectors, and a little off a power of two, where the lines of a column
/// would share a cache set.
fn apart(columns: usize) -> usize {
    columns.next_multiple_of(LANES) + LANES
}

/// Buffers that one thread uses again and again.
#[derive(Default)]
struct Scratch {
    /// [`GROUP`] rows of distances.
    distances: Buffer,
    /// One row of weights, where the selection is sparse.
    weights: Vec<f32>,
    touched: Vec<u32>,
    ranks: Ranks,
}

/// Puts whole rows of distances together.
fn assemble(upper: &[Upper<'_>], rows: Range<usize>, batch: usize, out: &mut [f32]) {
    let height = strip_rows(batch);
    let strip = rows.start / height;
    for before in &upper[..strip] {
        let values = &before.distances[rows.start - before.start..];
        let source = Strided { values, stride: before.stride };
        transpose(source, height, rows.len(), None, &mut out[before.start..], apart(batch));
    }
    let own = &upper[strip];
    for (row, line) in rows.zip(out.chunks_exact_mut(apart(batch))) {
        let line = &mut line[own.start..batch];
        line.copy_from_slice(&own.distances[(row - own.start) * own.stride..][..line.len()]);
    }
}

/// Calls `judge` with every row of a band in turn.
fn each_row(
    batch: usize,
    upper: &[Upper<'_>],
    band: usize,
    distances: &mut Buffer,
    mut judge: impl FnMut(usize, &[f32]),
) {
    if distances.is_empty() {
        *distances = Buffer::kept(GROUP * apart(batch));
    }
    let rows = band * BAND..((band + 1) * BAND).min(batch);
    for start in rows.clone().step_by(GROUP) {
        let group = start..(start + GROUP).min(rows.end);
        assemble(upper, group.clone(), batch, distances);
        for (anchor, line) in group.zip(distances.chunks_exact(apart(batch))) {
            judge(anchor, &line[..batch]);
        }
    }
}

#[allow(clippy::too_many_arguments)]
fn weigh_dense(
    rule: &Rule,
    points: &Points,
    order: &ClassOrder,
    upper: &[Upper<'_>],
    band: usize,
    lines: &mut [f32],
    stride: usize,
    scratch: &mut Scratch,
) -> Tally {
    let batch = points.len();
    let mut tally = Tally::default();
    let mut lines = lines.chunks_exact_mut(stride);
    let Scratch { distances, ranks, .. } = scratch;
    each_row(batch, upper, band, distances, |anchor, distances| {
        let Some(weights) = lines.next() else { return };
        let weights = &mut weights[..batch];
        weights.fill(0.0);
        let mut row = Row {
            anchor,
            distances,
            class: order.positives_of(anchor),
            order,
            penalty: rule.penalty,
            weights,
            touched: None,
            tally: &mut tally,
            ranks,
        };
        if row.has_triplets() {
            (rule.weigh)(&mut row, points);
            points.to_coefficients(row.weights, distances);
        }
    });
    tally
}

/// Leaves the pulls that act on other points for later.
fn weigh_sparse(
    rule: &Rule,
    points: &Points,
    order: &ClassOrder,
    upper: &[Upper<'_>],
    band: usize,
    gradient: &mut [f32],
    scratch: &mut Scratch,
) -> (Tally, Vec<Pull>) {
    let d = points.dimensions();
    let own = band * BAND..band * BAND + gradient.len() / d;
    let mut tally = Tally::default();
    let (mut pulls, mut later) = (Vec::new(), Vec::new());
    let Scratch { distances, weights, touched, ranks } = scratch;
    weights.resize(points.len(), 0.0);
    gradient.fill(0.0);
    each_row(points.len(), upper, band, distances, |anchor, distances| {
        let mut row = Row {
            anchor,
            distances,
            class: order.positives_of(anchor),
            order,
            penalty: rule.penalty,
            weights,
            touched: Some(touched),
            tally: &mut tally,
            ranks,
        };
        if row.has_triplets() {
            (rule.weigh)(&mut row, points);
        }
        pulls.clear();
        for place in touched.drain(..) {
            let weight = std::mem::take(&mut weights[place as usize]);
            let coefficient = points.coefficient(weight, distances[place as usize]);
            if coefficient != 0.0 {
                pulls.push(Pull { first: anchor as u32, second: place, coefficient });
            }
        }
        add_forces(&mut gradient[(anchor - own.start) * d..][..d], points, anchor, &pulls);
        for pull in pulls.drain(..) {
            let second = pull.second as usize;
            if own.contains(&second) {
                pull.move_second(points, &mut gradient[(second - own.start) * d..][..d]);
            } else {
                later.push(pull);
            }
        }
    });
    (tally, later)
}

impl Pull {
    /// Takes from the second point what the first has got.
    fn move_second(&self, points: &Points, sums: &mut [f32]) {
        let (first, second) = (self.first as usize, self.second as usize);
        add_force(sums, points.row(second), points.row(first), self.coefficient);
    }
}

/// Moves the second points of pulls. Each task owns some of the points and goes through all pulls in
/// order.
fn apply(points: &Points, pulls: &[Vec<Pull>], gradient: &mut [f32]) {
    let (batch, d) = (points.len(), points.dimensions());
    let share = batch.div_ceil(rayon::current_num_threads()).max(1);
    gradient.par_chunks_mut(share * d).enumerate().for_each(|(task, gradient)| {
        let own = task * share..(task + 1) * share;
        for pull in pulls.iter().flatten() {
            let second = pull.second as usize;
            if own.contains(&second) {
                pull.move_second(points, &mut gradient[(second - own.start) * d..][..d]);
            }
        }
    });
}

vectorised! {
    /// What many pulls add to the point that is the first of all of them.
    fn add_forces(sums: &mut [f32], points: &Points, first: usize, pulls: &[Pull]) {
        /// Registers that keep sums and point through all pulls.
        const WIDE: usize = 4 * LANES;
        let (blocks, _) = sums.as_chunks_mut::<WIDE>();
        let (points_blocks, _) = points.row(first).as_chunks::<WIDE>();
        for ((sums, x), start) in blocks.iter_mut().zip(points_blocks).zip((0..).step_by(WIDE)) {
            let mut kept = *sums;
            for pull in pulls {
                if let Some(y) = points.row(pull.second as usize)[start..].first_chunk::<WIDE>() {
                    for lane in 0..WIDE {
                        kept[lane] += pull.coefficient * (x[lane] - y[lane]);
                    }
                }
            }
            *sums = kept;
        }
        let whole = sums.len() / WIDE * WIDE;
        for pull in pulls {
            let (x, y) = (points.row(first), points.row(pull.second as usize));
            for at in whole..sums.len() {
                sums[at] += pull.coefficient * (x[at] - y[at]);
            }
        }
    }
}

vectorised! {
    /// sums += c·(x − y).
    fn add_force(sums: &mut [f32], x: &[f32], y: &[f32], coefficient: f32) {
        for ((sum, &x), &y) in sums.iter_mut().zip(x).zip(y) {
            *sum += coefficient * (x - y);
        }
    }
}

/// Rows of the gradient that one task makes: the more, the longer the stretches of a row that it
/// reads in every other band, but some tasks for every thread.
fn spread_rows(batch: usize) -> usize {
    (batch / 16).next_multiple_of(BAND).clamp(BAND, 256)
}

/// Columns of S that are put together at a time: with [`spread_rows`] they stay in a cache.
const COLUMNS: usize = 256;

/// The gradient of a band of points: row sums of S times the points, less S·X.
fn spread(
    points: &Points,
    coefficients: &[f32],
    stride: usize,
    upper: &[Upper<'_>],
    rows: Range<usize>,
    gradient: &mut [f32],
) {
    const WIDTH: usize = COLUMNS + LANES;
    let (batch, d) = (points.len(), points.dimensions());
    let mut sums = Buffer::kept(rows.len() * WIDTH);
    let mut totals = vec![0.0; rows.len()];
    let mut apart_pulls = Vec::new();
    for start in (0..batch).step_by(COLUMNS) {
        let columns = start..(start + COLUMNS).min(batch);
        let across = Strided { values: &coefficients[start * stride + rows.start..], stride };
        let own = Strided { values: &coefficients[rows.start * stride + start..], stride };
        transpose(across, columns.len(), rows.len(), Some(own), &mut sums, WIDTH);
        // Pairs too close for the Gram form would cancel here as well: they go one by one.
        for pair in upper.iter().flat_map(|strip| &strip.close) {
            let (row, column) = (pair.row as usize, pair.column as usize);
            for (point, other) in [(row, column), (column, row)] {
                // Inside a strip's own square, both (x, y) and (y, x) are listed: the second finds 0.
                if rows.contains(&point) && columns.contains(&other) {
                    let at = (point - rows.start) * WIDTH + other - start;
                    let coefficient = std::mem::take(&mut sums[at]);
                    apart_pulls.push((point, other, coefficient));
                }
            }
        }
        for (line, total) in sums.chunks_exact(WIDTH).zip(&mut totals) {
            *total += sum(&line[..columns.len()]);
        }
        let sums = Operand::strided(&sums, rows.len(), columns.len(), WIDTH);
        let others = Operand::new(points.gram_rows(columns.clone()), columns.len(), d);
        product(gradient, start > 0, -1.0, sums, others);
    }
    for ((row, total), gradient) in rows.clone().zip(totals).zip(gradient.chunks_exact_mut(d)) {
        for (g, &x) in gradient.iter_mut().zip(points.gram_rows(row..row + 1)) {
            *g += total as f32 * x;
        }
    }
    for (point, other, coefficient) in apart_pulls {
        let own = &mut gradient[(point - rows.start) * d..][..d];
        add_force(own, points.row(point), points.row(other), coefficient);
    }
}
