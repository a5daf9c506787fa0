//! From weights on distances to a gradient with respect to the points, a tile of anchors at a time.

use rayon::prelude::*;

use super::ranked::Ranks;
use super::row::{Row, Rule, Tally};
use crate::distance::{Close, Points};
use crate::kept::Buffer;
use crate::labels::ClassOrder;
use crate::matrix::{Operand, product};
use crate::simd::{add, sum};
use crate::watch::Steps;

/// Anchors a tile.
const TILE: usize = 64;

/// Σ φ with its census and ∂(Σ φ)/∂points (B×D in class order).
pub(super) fn evaluate(
    rule: &Rule,
    points: &Points,
    order: &ClassOrder,
    steps: &Steps,
) -> (Tally, Buffer) {
    let tiles = points.len().div_ceil(TILE);
    let lanes = rayon::current_num_threads().min(tiles);
    let lane = |lane: usize| {
        let mut work = Lane::new(rule, points, order);
        for tile in (lane..tiles).step_by(lanes) {
            work.tile(tile);
            if steps.done(TILE.min(points.len() - tile * TILE)).is_break() {
                break;
            }
        }
        work.finish()
    };
    // Each lane works through a fixed share of the tiles and the shares are added in order: the
    // same number of threads gives the same bits.
    (0..lanes)
        .into_par_iter()
        .map(lane)
        .collect::<Vec<_>>()
        .into_iter()
        .reduce(|mut left, right| {
            left.0.add(&right.0);
            add(&mut left.1, &right.1);
            left
        })
        .unwrap_or_default()
}

/// One thread's share of the tiles, with its own sums.
struct Lane<'a> {
    rule: &'a Rule<'a>,
    points: &'a Points,
    order: &'a ClassOrder,
    tally: Tally,
    /// Σ over pairs of c·(x − y), B×D, still without the part that `diagonal` holds.
    sums: Buffer,
    /// Σ of the coefficients c that belong to each point; times the point it completes `sums`.
    diagonal: Vec<f32>,
    distances: Vec<f32>,
    weights: Vec<f32>,
    close: Vec<Close>,
    touched: Vec<u32>,
    ranks: Ranks,
}

impl<'a> Lane<'a> {
    fn new(rule: &'a Rule<'a>, points: &'a Points, order: &'a ClassOrder) -> Self {
        let batch = points.len();
        let tile = TILE.min(batch) * batch;
        Self {
            rule,
            points,
            order,
            tally: Tally::default(),
            sums: Buffer::own(batch * points.dimensions()),
            diagonal: vec![0.0; batch],
            distances: vec![0.0; tile],
            weights: vec![0.0; tile],
            close: Vec::new(),
            touched: Vec::new(),
            ranks: Ranks::default(),
        }
    }

    /// Works through the anchors of one tile.
    fn tile(&mut self, tile: usize) {
        let batch = self.points.len();
        let rows = tile * TILE..((tile + 1) * TILE).min(batch);
        let area = rows.len() * batch;
        self.close.clear();
        let points = self.points;
        let distances = &mut self.distances[..area];
        points.tile(rows.clone(), points, distances, Some(&mut self.close));

        let dense = self.rule.dense;
        for (index, anchor) in rows.clone().enumerate() {
            let span = index * batch..(index + 1) * batch;
            let class = self.order.positives_of(anchor);
            let mut row = Row {
                anchor,
                distances: &self.distances[span.clone()],
                class,
                order: self.order,
                penalty: self.rule.penalty,
                weights: &mut self.weights[span.clone()],
                touched: (!dense).then_some(&mut self.touched),
                tally: &mut self.tally,
                ranks: &mut self.ranks,
            };
            let within: f64 = sum(&row.distances[row.class.clone()]);
            let total: f64 = sum(row.distances);
            row.tally.positive_distances += within;
            row.tally.negative_distances += total - within;
            if row.has_triplets() {
                (self.rule.weigh)(&mut row, self.points);
            } else {
                row.clear();
            }
            if !dense {
                self.spread_touched(anchor, span.start);
            }
        }
        if dense {
            self.spread_tile(rows);
        }
    }

    /// Adds c·(x − y) to the first point and takes it from the second.
    fn pull(&mut self, first: usize, second: usize, coefficient: f32) {
        let d = self.points.dimensions();
        let (x, y) = (self.points.row(first), self.points.row(second));
        for k in 0..d {
            let force = coefficient * (x[k] - y[k]);
            self.sums[first * d + k] += force;
            self.sums[second * d + k] -= force;
        }
    }

    /// The few weights of a sparse row, pair by pair; leaves the row's weights at zero.
    fn spread_touched(&mut self, anchor: usize, start: usize) {
        while let Some(place) = self.touched.pop() {
            let place = place as usize;
            let weight = std::mem::take(&mut self.weights[start + place]);
            let coefficient = self.points.coefficient(weight, self.distances[start + place]);
            if coefficient != 0.0 {
                self.pull(anchor, place, coefficient);
            }
        }
    }

    /// A dense tile C of coefficients, by two products: −C·X to the anchors, −Cᵀ·X to the batch.
    fn spread_tile(&mut self, rows: std::ops::Range<usize>) {
        let (batch, d) = (self.points.len(), self.points.dimensions());
        let area = rows.len() * batch;
        self.points.to_coefficients(&mut self.weights[..area], &self.distances[..area]);
        // Pairs too close for the Gram form would cancel here as well: they go one by one.
        let close = std::mem::take(&mut self.close);
        for pair in &close {
            let (row, column) = (pair.row as usize, pair.column as usize);
            let at = (row - rows.start) * batch + column;
            let coefficient = std::mem::take(&mut self.weights[at]);
            if coefficient != 0.0 {
                self.pull(row, column, coefficient);
            }
        }
        self.close = close;

        for (anchor, line) in rows.clone().zip(self.weights[..area].chunks_exact(batch)) {
            add(&mut self.diagonal, line);
            self.diagonal[anchor] += sum(line) as f32;
        }
        let tile = Operand::new(&self.weights[..area], rows.len(), batch);
        let all = Operand::new(self.points.gram_rows(0..batch), batch, d);
        let anchors = Operand::new(self.points.gram_rows(rows.clone()), rows.len(), d);
        product(&mut self.sums[rows.start * d..rows.end * d], true, -1.0, tile, all);
        product(&mut self.sums, true, -1.0, tile.t(), anchors);
    }

    /// The sums of this lane: tally, and ∂(Σ φ)/∂points (B×D in class order).
    fn finish(mut self) -> (Tally, Buffer) {
        let d = self.points.dimensions();
        if self.rule.dense {
            let points = self.points.gram_rows(0..self.points.len()).chunks_exact(d);
            for ((sums, point), &total) in
                self.sums.chunks_exact_mut(d).zip(points).zip(&self.diagonal)
            {
                for (sum, &x) in sums.iter_mut().zip(point) {
                    *sum += total * x;
                }
            }
        }
        (self.tally, self.sums)
    }
}
