//! Anchors against candidates: what every objective is evaluated over.
//!
//! The anchors are the rows of a batch. The candidates are the same rows and, behind them, frozen
//! ones: positives and negatives that cannot be moved. A batch alone has paths of its own
//! ([`symmetric`], [`gradient`]). With frozen candidates, too, a tile of anchors meets all
//! candidates in one matrix product, and its weights go back by two more, or pair by pair where few
//! of them matter.

use std::borrow::Cow;

use ndarray::{Array2, ArrayView2, Axis, concatenate};
use rayon::prelude::*;

use super::candidates::Candidates;
use super::ranked::Ranks;
use super::row::{Row, Rule, Tally};
use super::{Census, Outcome, gradient, symmetric};
use crate::distance::{Close, Points, multiply};
use crate::kept::Buffer;
use crate::labels::ClassOrder;
use crate::matrix::{Operand, product};
use crate::simd::{add, sum};
use crate::watch::Steps;
use crate::{Error, Labels, Metric};

/// Anchors a tile.
const TILE: usize = 64;

/// Rows of the gradient that one task finishes.
const BLOCK: usize = 64;

/// Distances one tile may hold (32 MiB a thread): many candidates get fewer anchors a tile.
const TILE_VALUES: usize = 1 << 23;

/// A batch and, behind it, frozen candidates.
pub(super) struct Field {
    /// Items of the batch.
    batch: usize,
    /// The batch in its own order, where there are candidates behind it.
    beside_frozen: Option<Points>,
    /// Batch and frozen vectors, in class order.
    pub(super) candidates: Points,
    pub(super) order: ClassOrder,
}

/// What the anchors of a field add up to.
pub(super) struct Sums {
    pub(super) tally: Tally,
    pub(super) census: Census,
    /// ∂(Σ φ)/∂points of the batch, B×D: its own order with frozen candidates, class order without.
    gradient: Buffer,
}

/// Works on a thread of the pool, whose parallel parts begin without waking the pool each time.
pub(super) fn on_pool<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    rayon::scope(|_| work())
}

impl Field {
    pub(super) fn new(
        metric: Metric,
        embeddings: ArrayView2<f32>,
        labels: &Labels,
        frozen: Option<(ArrayView2<f32>, &Labels)>,
    ) -> Result<Self, Error> {
        let batch = embeddings.nrows();
        if batch != labels.len() {
            return Err(Error::LabelCount { rows: batch, labels: labels.len() });
        }
        if let Some((vectors, frozen_labels)) = frozen
            && vectors.nrows() != frozen_labels.len()
        {
            let (rows, labels) = (vectors.nrows(), frozen_labels.len());
            return Err(Error::Frozen(Box::new(Error::LabelCount { rows, labels })));
        }
        let Some((vectors, frozen_labels)) = frozen.filter(|(vectors, _)| vectors.nrows() > 0)
        else {
            let order = ClassOrder::new(labels);
            let candidates = Points::of_batch(embeddings, metric, &order.items)?;
            return Ok(Self { batch, beside_frozen: None, candidates, order });
        };
        let all = concatenate(Axis(0), &[embeddings, vectors]).map_err(|_| {
            Error::DimensionMismatch { queries: embeddings.ncols(), gallery: vectors.ncols() }
        })?;
        let all = Points::new(all.view(), metric).map_err(|error| among(error, batch))?;
        let order = ClassOrder::new(&labels.chain(frozen_labels));
        let candidates = all.reordered(&order.items);
        let anchors = all.reordered(&(0..batch as u32).collect::<Vec<_>>());
        Ok(Self { batch, beside_frozen: Some(anchors), candidates, order })
    }

    /// The batch, in its own order.
    pub(super) fn anchors(&self) -> Cow<'_, Points> {
        match &self.beside_frozen {
            Some(anchors) => Cow::Borrowed(anchors),
            None => Cow::Owned(self.candidates.reordered(&self.order.ranks)),
        }
    }

    /// Anchors of a tile.
    pub(super) fn tile_rows(&self) -> usize {
        (TILE_VALUES / self.candidates.len().max(1)).clamp(1, TILE)
    }

    /// What a selection looks at for one anchor, given its distances in class order.
    pub(super) fn candidates_of<'a>(
        &'a self,
        anchor: usize,
        distances: &'a [f32],
        margin: f32,
    ) -> Candidates<'a> {
        let place = self.order.ranks[anchor] as usize;
        Candidates {
            anchor: place,
            distances,
            class: self.order.positives_of(place),
            items: &self.order.items,
            margin,
            distance: self.candidates.distance(),
            dimensions: self.candidates.dimensions(),
        }
    }

    /// Turns each anchor's distances into weights by a rule, and the weights into a gradient.
    pub(super) fn sums(&self, rule: &Rule, steps: &Steps) -> Sums {
        let (tally, gradient) = if let Some(anchors) = &self.beside_frozen {
            self.beside_frozen(anchors, rule, steps)
        } else if self.candidates.len() <= symmetric::MOST {
            let result = symmetric::evaluate(rule, &self.candidates, &self.order);
            // Done as a whole: there is nothing left to break off.
            let _ = steps.done(self.candidates.len());
            result
        } else {
            gradient::evaluate(rule, &self.candidates, &self.order, steps)
        };
        let anchors = self.order.ranks[..self.batch].iter().map(|&place| place as usize);
        let census = Census::of_anchors(&self.order, anchors, &tally);
        Sums { tally, census, gradient }
    }

    fn beside_frozen(&self, anchors: &Points, rule: &Rule, steps: &Steps) -> (Tally, Buffer) {
        let height = self.tile_rows();
        let tiles = self.batch.div_ceil(height);
        let lanes = rayon::current_num_threads().min(tiles);
        // A fixed share of the tiles for each lane, and the shares added in order: the same number
        // of threads gives the same bits.
        (0..lanes)
            .into_par_iter()
            .map(|lane| {
                let mut work = Lane::new(self, anchors, rule);
                for tile in (lane..tiles).step_by(lanes) {
                    work.tile(tile);
                    if steps.done(height.min(self.batch - tile * height)).is_break() {
                        break;
                    }
                }
                work.finish()
            })
            .collect::<Vec<_>>()
            .into_iter()
            .reduce(|mut left, right| {
                left.0.add(&right.0);
                add(&mut left.1, &right.1);
                left
            })
            .unwrap_or_default()
    }

    /// The outcome of a sum over `divisor` terms.
    pub(super) fn outcome(&self, sums: &Sums, divisor: u64) -> Outcome {
        let scale = if divisor == 0 { 0.0 } else { 1.0 / divisor as f64 };
        let (batch, d) = (self.batch, self.candidates.dimensions());
        let mut gradient = vec![0.0; batch * d];
        gradient.par_chunks_mut(BLOCK * d).enumerate().for_each(|(block, rows)| {
            for (item, row) in (block * BLOCK..).zip(rows.chunks_exact_mut(d)) {
                let (points, at) = match &self.beside_frozen {
                    Some(anchors) => (anchors, item),
                    None => (&self.candidates, self.order.ranks[item] as usize),
                };
                row.copy_from_slice(&sums.gradient[at * d..][..d]);
                multiply(row, scale);
                points.pull_back(at, row);
            }
        });
        // As many rows as the batch has, all of them D long: the shape fits.
        let gradient = Array2::from_shape_vec((batch, d), gradient).unwrap_or_default();
        Outcome { value: sums.tally.value * scale, gradient, census: sums.census }
    }
}

/// Errors that name a row behind the batch speak of the frozen vectors.
fn among(error: Error, batch: usize) -> Error {
    match error {
        Error::NotFinite { row, column, value } if row >= batch => {
            Error::Frozen(Box::new(Error::NotFinite { row: row - batch, column, value }))
        }
        Error::TooLong { row, norm, limit } if row >= batch => {
            Error::Frozen(Box::new(Error::TooLong { row: row - batch, norm, limit }))
        }
        error => error,
    }
}

/// One thread's share of the tiles, with its own sums.
struct Lane<'a> {
    field: &'a Field,
    anchors: &'a Points,
    rule: &'a Rule<'a>,
    tally: Tally,
    /// Σ over pairs of c·(x − y), B×D, still without the part that `diagonal` holds.
    sums: Buffer,
    /// Σ of the coefficients c that belong to each row of the batch.
    diagonal: Vec<f32>,
    distances: Vec<f32>,
    weights: Vec<f32>,
    /// The columns of the weights that belong to the batch, in its order.
    batch_weights: Vec<f32>,
    close: Vec<Close>,
    touched: Vec<u32>,
    ranks: Ranks,
}

impl<'a> Lane<'a> {
    fn new(field: &'a Field, anchors: &'a Points, rule: &'a Rule<'a>) -> Self {
        let (batch, columns) = (anchors.len(), field.candidates.len());
        let rows = field.tile_rows().min(batch);
        Self {
            field,
            anchors,
            rule,
            tally: Tally::default(),
            sums: Buffer::own(batch * anchors.dimensions()),
            diagonal: vec![0.0; batch],
            distances: vec![0.0; rows * columns],
            weights: vec![0.0; rows * columns],
            batch_weights: if rule.dense { vec![0.0; rows * batch] } else { Vec::new() },
            close: Vec::new(),
            touched: Vec::new(),
            ranks: Ranks::default(),
        }
    }

    fn tile(&mut self, tile: usize) {
        let field = self.field;
        let columns = field.candidates.len();
        let height = field.tile_rows();
        let rows = tile * height..((tile + 1) * height).min(self.anchors.len());
        let area = rows.len() * columns;
        self.close.clear();
        let distances = &mut self.distances[..area];
        self.anchors.tile(rows.clone(), &field.candidates, distances, Some(&mut self.close));
        for (index, anchor) in rows.clone().enumerate() {
            let start = index * columns;
            let place = field.order.ranks[anchor] as usize;
            // Of a zero vector the cosine distance to itself is 1: it is no pair and counts not.
            self.distances[start + place] = 0.0;
            let mut row = Row {
                anchor: place,
                distances: &self.distances[start..start + columns],
                class: field.order.positives_of(place),
                order: &field.order,
                penalty: self.rule.penalty,
                weights: &mut self.weights[start..start + columns],
                touched: (!self.rule.dense).then_some(&mut self.touched),
                tally: &mut self.tally,
                ranks: &mut self.ranks,
            };
            let within = sum(&row.distances[row.class.clone()]);
            let total = sum(row.distances);
            row.tally.positive_distances += within;
            row.tally.negative_distances += total - within;
            if row.has_triplets() {
                (self.rule.weigh)(&mut row, &field.candidates);
            } else {
                row.clear();
            }
            if !self.rule.dense {
                while let Some(touched) = self.touched.pop() {
                    self.pull(anchor, start, touched as usize);
                }
            }
        }
        if self.rule.dense {
            self.spread_tile(rows);
        }
    }

    /// Takes one weight of an anchor's row and moves both ends of its pair.
    fn pull(&mut self, anchor: usize, start: usize, place: usize) {
        let weight = std::mem::take(&mut self.weights[start + place]);
        let c = self.anchors.coefficient(weight, self.distances[start + place]);
        if c == 0.0 {
            return;
        }
        let d = self.anchors.dimensions();
        let (x, y) = (self.anchors.row(anchor), self.field.candidates.row(place));
        let item = self.field.order.items[place] as usize;
        let moves = item < self.anchors.len();
        for k in 0..d {
            let force = c * (x[k] - y[k]);
            self.sums[anchor * d + k] += force;
            if moves {
                self.sums[item * d + k] -= force;
            }
        }
    }

    /// A dense tile C of coefficients, by two products: −C·X to its anchors, and from those of its
    /// columns that belong to the batch −Cᵀ·X to the batch.
    fn spread_tile(&mut self, rows: std::ops::Range<usize>) {
        let field = self.field;
        let (batch, columns) = (self.anchors.len(), field.candidates.len());
        let (d, area) = (self.anchors.dimensions(), rows.len() * columns);
        // Pairs too close for the Gram form would cancel here as well: they go one by one.
        let close = std::mem::take(&mut self.close);
        for pair in &close {
            let anchor = pair.row as usize;
            self.pull(anchor, (anchor - rows.start) * columns, pair.column as usize);
        }
        self.close = close;

        self.anchors.to_coefficients(&mut self.weights[..area], &self.distances[..area]);
        for (index, anchor) in rows.clone().enumerate() {
            let line = &self.weights[index * columns..][..columns];
            self.diagonal[anchor] += sum(line) as f32;
            let gathered = &mut self.batch_weights[index * batch..][..batch];
            for ((gathered, &place), diagonal) in
                gathered.iter_mut().zip(&field.order.ranks).zip(&mut self.diagonal)
            {
                *gathered = line[place as usize];
                *diagonal += *gathered;
            }
        }
        let tile = Operand::new(&self.weights[..area], rows.len(), columns);
        let all = Operand::new(field.candidates.gram_rows(0..columns), columns, d);
        product(&mut self.sums[rows.start * d..rows.end * d], true, -1.0, tile, all);
        let height = rows.len();
        let back = Operand::new(&self.batch_weights[..height * batch], height, batch);
        let anchors = Operand::new(self.anchors.gram_rows(rows), height, d);
        product(&mut self.sums, true, -1.0, back.t(), anchors);
    }

    fn finish(mut self) -> (Tally, Buffer) {
        let (batch, d) = (self.anchors.len(), self.anchors.dimensions());
        let points = self.anchors.gram_rows(0..batch).chunks_exact(d);
        for ((sums, point), &total) in self.sums.chunks_exact_mut(d).zip(points).zip(&self.diagonal)
        {
            for (sum, &x) in sums.iter_mut().zip(point) {
                *sum += total * x;
            }
        }
        (self.tally, self.sums)
    }
}
