//! Batches whose B×B matrices fit into memory: what is symmetric is computed once.
//!
//! Distances are, so only the upper triangle is measured; a row's other half is read down the
//! columns. And the gradient needs the coefficients C only as S = C + Cᵀ: point x receives
//! Σ_y S(x,y)·(x − y), one product of the two. Every strip of rows is a task of its own with its
//! own place to write, so the result does not depend on the threads at all.

use std::ops::Range;
use std::sync::Mutex;

use rayon::prelude::*;

use super::ranked::Ranks;
use super::row::{Row, Rule, Tally};
use crate::distance::{Close, Points};
use crate::labels::ClassOrder;
use crate::matrix::{Operand, product};
use crate::simd::{LANES, Strided, sum, transpose, vectorised};

/// The largest batch worked on this way: 96 MiB of matrices, little more than caches hold.
pub(super) const MOST: usize = 4096;

/// Rows measured by one product.
const STRIP: usize = 128;

/// Rows of weights or of gradient made by one task; divides [`STRIP`].
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
}

/// Σ φ with its census and ∂(Σ φ)/∂points (B×D in class order).
pub(super) fn evaluate(rule: &Rule, points: &Points, order: &ClassOrder) -> (Tally, Vec<f32>) {
    // Whoever comes while another has the room gets one of its own.
    let mut room = ROOM.lock().map(|mut room| std::mem::take(&mut *room)).unwrap_or_default();
    let result = evaluate_in(rule, points, order, &mut room);
    if let Ok(mut kept) = ROOM.lock()
        && kept.upper.capacity() < room.upper.capacity()
    {
        *kept = room;
    }
    result
}

fn evaluate_in(
    rule: &Rule,
    points: &Points,
    order: &ClassOrder,
    room: &mut Room,
) -> (Tally, Vec<f32>) {
    let batch = points.len();
    turn(points, &mut room.turned);
    room.upper.resize(upper_values(batch), 0.0);
    let upper = measure(points, &room.turned, &mut room.upper);
    let mut gradient = vec![0.0; batch * points.dimensions()];
    let dense = rule.dense;
    let stride = if dense { apart(batch) } else { 0 };
    let coefficients = &mut room.coefficients;
    coefficients.resize(batch * stride, 0.0);

    let (tally, pulls) = if dense {
        let bands = coefficients.par_chunks_mut(BAND * stride).enumerate();
        let tallies: Vec<Tally> = bands
            .map_init(Scratch::default, |scratch, (band, lines)| {
                weigh_dense(rule, points, order, &upper, band, lines, stride, scratch)
            })
            .collect();
        (total(tallies), Vec::new())
    } else {
        let (tallies, pulls): (Vec<Tally>, Vec<Vec<Pull>>) = (0..batch.div_ceil(BAND))
            .into_par_iter()
            .map_init(Scratch::default, |scratch, band| {
                weigh_sparse(rule, points, order, &upper, band, scratch)
            })
            .unzip();
        (total(tallies), pulls)
    };
    if dense {
        let bands = gradient.par_chunks_mut(BAND * points.dimensions()).enumerate();
        bands.for_each_init(Vec::new, |sums, (band, gradient)| {
            let rows = band * BAND..((band + 1) * BAND).min(batch);
            spread(points, coefficients, stride, &upper, rows, sums, gradient);
        });
    } else {
        apply(points, &pulls, &mut gradient);
    }
    (tally, gradient)
}

fn total(tallies: Vec<Tally>) -> Tally {
    tallies.iter().fold(Tally::default(), |mut total, tally| {
        total.add(tally);
        total
    })
}

/// The points as columns: every strip's product would turn them anew.
fn turn(points: &Points, turned: &mut Vec<f32>) {
    let (batch, d) = (points.len(), points.dimensions());
    let (stride, all) = (apart(batch), points.gram_rows(0..batch));
    turned.resize(d * stride, 0.0);
    turned.par_chunks_mut(GROUP * stride).enumerate().for_each(|(group, out)| {
        let columns = group * GROUP..((group + 1) * GROUP).min(d);
        let source = Strided { values: all.get(columns.start..).unwrap_or_default(), stride: d };
        transpose(source, batch, columns.len(), None, out, stride);
    });
}

fn measure<'a>(points: &Points, turned: &[f32], mut room: &'a mut [f32]) -> Vec<Upper<'a>> {
    let (batch, d) = (points.len(), points.dimensions());
    let strips: Vec<_> = (0..batch)
        .step_by(STRIP)
        .map(|start| {
            let (rows, stride) = (start..(start + STRIP).min(batch), apart(batch - start));
            let (own, rest) = std::mem::take(&mut room).split_at_mut(rows.len() * stride);
            room = rest;
            (rows, own)
        })
        .collect();
    strips
        .into_par_iter()
        .with_max_len(1)
        .map(|(rows, distances)| {
            let (start, stride) = (rows.start, apart(batch - rows.start));
            let mut close = Vec::new();
            let (own, columns) = (&turned[start..], start..batch);
            let others = Operand::strided(own, d, columns.len(), apart(batch));
            points.part(rows, points, others, columns, distances, stride, Some(&mut close));
            Upper { start, stride, distances, close }
        })
        .collect()
}

/// Values that [`measure`] writes.
fn upper_values(batch: usize) -> usize {
    let rows = |start: usize| STRIP.min(batch - start);
    (0..batch).step_by(STRIP).map(|start| rows(start) * apart(batch - start)).sum()
}

/// The stride of rows: whole vectors, and a little off a power of two, where the lines of a column
/// would share a cache set.
fn apart(columns: usize) -> usize {
    columns.next_multiple_of(LANES) + LANES
}

/// The matrices stay for the next batch: the system takes as long to hand out fresh pages as the
/// products take to fill them. So a process that evaluates keeps what its largest batch took: 6·B²
/// bytes, 96 MiB after a batch of [`MOST`], and its points as columns.
#[derive(Default)]
struct Room {
    /// D rows, see [`turn`].
    turned: Vec<f32>,
    upper: Vec<f32>,
    coefficients: Vec<f32>,
}

static ROOM: Mutex<Room> =
    Mutex::new(Room { turned: Vec::new(), upper: Vec::new(), coefficients: Vec::new() });

/// Buffers that one thread uses again and again.
#[derive(Default)]
struct Scratch {
    /// [`GROUP`] rows of distances.
    distances: Vec<f32>,
    /// One row of weights, where the selection is sparse.
    weights: Vec<f32>,
    touched: Vec<u32>,
    ranks: Ranks,
}

/// Puts whole rows of distances together.
fn assemble(upper: &[Upper<'_>], rows: Range<usize>, batch: usize, out: &mut [f32]) {
    let strip = rows.start / STRIP;
    for before in &upper[..strip] {
        let values = &before.distances[rows.start - before.start..];
        let source = Strided { values, stride: before.stride };
        transpose(source, STRIP, rows.len(), None, &mut out[before.start..], apart(batch));
    }
    let own = &upper[strip];
    for (row, line) in rows.zip(out.chunks_exact_mut(apart(batch))) {
        let line = &mut line[own.start..batch];
        line.copy_from_slice(&own.distances[(row - own.start) * own.stride..][..line.len()]);
    }
}

/// Calls `judge` with every row of a band in turn, and adds up the distances.
fn each_row(
    order: &ClassOrder,
    upper: &[Upper<'_>],
    band: usize,
    distances: &mut Vec<f32>,
    tally: &mut Tally,
    mut judge: impl FnMut(usize, &[f32], &mut Tally),
) {
    let batch = order.items.len();
    distances.resize(GROUP * apart(batch), 0.0);
    let rows = band * BAND..((band + 1) * BAND).min(batch);
    for start in rows.clone().step_by(GROUP) {
        let group = start..(start + GROUP).min(rows.end);
        assemble(upper, group.clone(), batch, distances);
        for (anchor, line) in group.zip(distances.chunks_exact(apart(batch))) {
            let line = &line[..batch];
            let within = sum(&line[order.positives_of(anchor)]);
            tally.positive_distances += within;
            tally.negative_distances += sum(line) - within;
            judge(anchor, line, tally);
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
    each_row(order, upper, band, distances, &mut tally, |anchor, distances, tally| {
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
            tally,
            ranks,
        };
        if row.has_triplets() {
            (rule.weigh)(&mut row, points);
            points.to_coefficients(row.weights, distances);
        }
    });
    tally
}

fn weigh_sparse(
    rule: &Rule,
    points: &Points,
    order: &ClassOrder,
    upper: &[Upper<'_>],
    band: usize,
    scratch: &mut Scratch,
) -> (Tally, Vec<Pull>) {
    let mut tally = Tally::default();
    let mut pulls = Vec::new();
    let Scratch { distances, weights, touched, ranks } = scratch;
    weights.resize(points.len(), 0.0);
    each_row(order, upper, band, distances, &mut tally, |anchor, distances, tally| {
        let mut row = Row {
            anchor,
            distances,
            class: order.positives_of(anchor),
            order,
            penalty: rule.penalty,
            weights,
            touched: Some(touched),
            tally,
            ranks,
        };
        if row.has_triplets() {
            (rule.weigh)(&mut row, points);
        }
        for place in touched.drain(..) {
            let weight = std::mem::take(&mut weights[place as usize]);
            let coefficient = points.coefficient(weight, distances[place as usize]);
            if coefficient != 0.0 {
                pulls.push(Pull { first: anchor as u32, second: place, coefficient });
            }
        }
    });
    (tally, pulls)
}

/// Every pull adds to its first point what it takes from its second. Each task owns some of the
/// points and goes through all pulls in order.
fn apply(points: &Points, pulls: &[Vec<Pull>], gradient: &mut [f32]) {
    let (batch, d) = (points.len(), points.dimensions());
    let share = batch.div_ceil(rayon::current_num_threads()).max(1);
    gradient.par_chunks_mut(share * d).enumerate().for_each(|(task, gradient)| {
        let own = task * share..(task + 1) * share;
        for pull in pulls.iter().flatten() {
            let (first, second) = (pull.first as usize, pull.second as usize);
            for (point, other) in [(first, second), (second, first)] {
                if own.contains(&point) {
                    let sums = &mut gradient[(point - own.start) * d..][..d];
                    add_force(sums, points.row(point), points.row(other), pull.coefficient);
                }
            }
        }
    });
}

vectorised! {
    /// sums += c·(x − y).
    fn add_force(sums: &mut [f32], x: &[f32], y: &[f32], coefficient: f32) {
        for ((sum, &x), &y) in sums.iter_mut().zip(x).zip(y) {
            *sum += coefficient * (x - y);
        }
    }
}

/// The gradient of a band of points: row sums of S times the points, less S·X.
fn spread(
    points: &Points,
    coefficients: &[f32],
    stride: usize,
    upper: &[Upper<'_>],
    rows: Range<usize>,
    sums: &mut Vec<f32>,
    gradient: &mut [f32],
) {
    let (batch, d) = (points.len(), points.dimensions());
    let width = apart(batch);
    sums.resize(BAND * width, 0.0);
    let sums = &mut sums[..rows.len() * width];
    let columns = Strided { values: &coefficients[rows.start..], stride };
    let own = Strided { values: &coefficients[rows.start * stride..], stride };
    transpose(columns, batch, rows.len(), Some(own), sums, width);
    // Pairs too close for the Gram form would cancel here as well: they go one by one.
    for pair in upper.iter().flat_map(|strip| &strip.close) {
        let (row, column) = (pair.row as usize, pair.column as usize);
        for (point, other) in [(row, column), (column, row)] {
            // Inside a strip's own square, both (x, y) and (y, x) are listed: the second finds 0.
            if rows.contains(&point) {
                let index = point - rows.start;
                let coefficient = std::mem::take(&mut sums[index * width + other]);
                if coefficient != 0.0 {
                    let own = &mut gradient[index * d..][..d];
                    add_force(own, points.row(point), points.row(other), coefficient);
                }
            }
        }
    }
    for ((row, line), gradient) in
        rows.clone().zip(sums.chunks_exact(width)).zip(gradient.chunks_exact_mut(d))
    {
        let total = sum(&line[..batch]) as f32;
        for (g, &x) in gradient.iter_mut().zip(points.gram_rows(row..row + 1)) {
            *g += total * x;
        }
    }
    let sums = Operand::strided(sums, rows.len(), batch, width);
    product(gradient, true, -1.0, sums, Operand::new(points.gram_rows(0..batch), batch, d));
}
