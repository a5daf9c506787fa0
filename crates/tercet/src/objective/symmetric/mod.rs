//! Batches whose B×B matrices fit into memory: what is symmetric is computed once.
//!
//! Distances are, so only the [`upper`] triangle is measured; a row's other half is read down the
//! columns. And the gradient needs the coefficients C only as S = C + Cᵀ: point x receives
//! Σ_y S(x,y)·(x − y), one product of the two. Where few pairs have a coefficient, they are [`pulls`].
//! Every part is cut into bands with a place of their own to write, so the result does not depend on
//! which thread does what.

mod pulls;
mod spread;
mod upper;

use rayon::prelude::*;

use super::ranked::Ranks;
use super::row::{Row, Rule, Tally};
use crate::distance::Points;
use crate::kept::Buffer;
use crate::labels::ClassOrder;
use crate::simd::LANES;
use pulls::{Pull, add_forces, move_seconds};
use spread::spread;
use upper::{Upper, strip_rows};

/// The largest batch worked on this way: 96 MiB of matrices, little more than caches hold.
pub(super) const MOST: usize = 4096;

/// Rows of weights or of gradient made by one task.
const BAND: usize = 64;

/// Rows put together at a time, so that they stay in a near cache; divides [`BAND`]. Two cache lines
/// of each row that is read across: with one, half as much is read for every page that is asked for.
const GROUP: usize = 2 * LANES;

/// Σ φ with its census and ∂(Σ φ)/∂points (B×D in class order).
pub(super) fn evaluate(rule: &Rule, points: &Points, order: &ClassOrder) -> (Tally, Buffer) {
    let upper = Upper::measure(points, order);
    let batch = Batch { rule, points, order, upper: &upper };
    let (mut tally, gradient) = if rule.dense { batch.dense() } else { batch.sparse() };
    let (positives, all) = upper.sums();
    tally.positive_distances += positives;
    tally.negative_distances += all - positives;
    (tally, gradient)
}

struct Batch<'a> {
    rule: &'a Rule<'a>,
    points: &'a Points,
    order: &'a ClassOrder,
    upper: &'a Upper,
}

/// Buffers that one thread uses again and again.
#[derive(Default)]
struct Scratch {
    /// [`GROUP`] rows of distances.
    distances: Buffer,
    /// One row of weights, where the selection is sparse.
    weights: Vec<f32>,
    touched: Vec<u32>,
    pulls: Vec<Pull>,
    ranks: Ranks,
}

impl Batch<'_> {
    fn dense(&self) -> (Tally, Buffer) {
        let (batch, d) = (self.points.len(), self.points.dimensions());
        let stride = apart(batch);
        let mut coefficients = Buffer::kept(batch * stride);
        let bands = coefficients.par_chunks_mut(BAND * stride).enumerate();
        let tallies: Vec<Tally> = bands
            .map_init(Scratch::default, |scratch, (band, lines)| {
                self.weigh_densely(band * BAND, lines, scratch)
            })
            .collect();
        let mut gradient = Buffer::kept(batch * d);
        let height = strip_rows(batch);
        gradient.par_chunks_mut(height * d).enumerate().for_each(|(band, gradient)| {
            let rows = band * height..band * height + gradient.len() / d;
            spread(self.points, &coefficients, self.upper.close(), rows, gradient);
        });
        (Tally::total(&tallies), gradient)
    }

    /// The coefficients of a band of rows from `start` on.
    fn weigh_densely(&self, start: usize, lines: &mut [f32], scratch: &mut Scratch) -> Tally {
        let (batch, stride) = (self.points.len(), apart(self.points.len()));
        let rows = start..start + lines.len() / stride;
        let mut tally = Tally::default();
        let Scratch { distances, ranks, .. } = scratch;
        self.upper.each_row(rows, distances, |anchor, distances| {
            let mut row = Row {
                anchor,
                distances,
                class: self.order.positives_of(anchor),
                order: self.order,
                penalty: self.rule.penalty,
                weights: &mut lines[(anchor - start) * stride..][..batch],
                touched: None,
                tally: &mut tally,
                ranks,
            };
            if row.has_triplets() {
                (self.rule.weigh)(&mut row, self.points);
                self.points.to_coefficients(row.weights, distances);
            } else {
                row.clear();
            }
        });
        tally
    }

    fn sparse(&self) -> (Tally, Buffer) {
        let d = self.points.dimensions();
        let mut gradient = Buffer::kept(self.points.len() * d);
        let bands = gradient.par_chunks_mut(BAND * d).enumerate();
        let (tallies, later): (Vec<Tally>, Vec<Vec<Pull>>) = bands
            .map_init(Scratch::default, |scratch, (band, gradient)| {
                self.weigh_sparsely(band * BAND, gradient, scratch)
            })
            .unzip();
        move_seconds(self.points, &later, &mut gradient);
        (Tally::total(&tallies), gradient)
    }

    /// The gradient of a band of points from `start` on, as far as pulls between points of the band,
    /// or from one of them, give it. What they give to points outside is left for later.
    fn weigh_sparsely(
        &self,
        start: usize,
        gradient: &mut [f32],
        scratch: &mut Scratch,
    ) -> (Tally, Vec<Pull>) {
        let (points, d) = (self.points, self.points.dimensions());
        let band = start..start + gradient.len() / d;
        let (mut tally, mut later) = (Tally::default(), Vec::new());
        let Scratch { distances, weights, touched, pulls, ranks } = scratch;
        weights.resize(points.len(), 0.0);
        gradient.fill(0.0);
        self.upper.each_row(band.clone(), distances, |anchor, distances| {
            let mut row = Row {
                anchor,
                distances,
                class: self.order.positives_of(anchor),
                order: self.order,
                penalty: self.rule.penalty,
                weights,
                touched: Some(touched),
                tally: &mut tally,
                ranks,
            };
            if row.has_triplets() {
                (self.rule.weigh)(&mut row, points);
            }
            for place in touched.drain(..) {
                let weight = std::mem::take(&mut weights[place as usize]);
                let coefficient = points.coefficient(weight, distances[place as usize]);
                if coefficient != 0.0 {
                    pulls.push(Pull { first: anchor as u32, second: place, coefficient });
                }
            }
            add_forces(&mut gradient[(anchor - start) * d..][..d], points, anchor, pulls);
            for pull in pulls.drain(..) {
                let second = pull.second as usize;
                if band.contains(&second) {
                    pull.move_second(points, &mut gradient[(second - start) * d..][..d]);
                } else {
                    later.push(pull);
                }
            }
        });
        (tally, later)
    }
}

/// The stride of rows: whole vectors, and a little off a power of two, where the lines of a column
/// would share a cache set.
fn apart(columns: usize) -> usize {
    columns.next_multiple_of(LANES) + LANES
}
