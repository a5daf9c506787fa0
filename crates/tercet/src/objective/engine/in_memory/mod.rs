//! Batches whose B×B matrices fit into memory: symmetric quantities are computed once.
//!
//! Distances are symmetric, so only the [upper triangle](upper_triangle) is computed; the other
//! half of a row is read from the columns. The gradient needs the coefficients C only as
//! S = C + Cᵀ: the gradient of x is Σ_y S(x,y)·(x − y), which takes [one product](dense) instead of
//! two. Where few pairs have a coefficient, they are added one by one. Every part of the work is
//! divided into bands that write their own rows, so the result does not depend on which thread
//! computes which band.
//!
//! # Memory
//! Distances and, for a dense rule, coefficients take 6·B² bytes, 96 MiB for [`LARGEST_BATCH`].

mod dense;
mod upper_triangle;

use rayon::prelude::*;

use super::accumulate::{PairGradient, add_to_anchor, add_to_candidates};
use super::{Problem, Sums};
use crate::buffer_pool::Buffer;
use crate::objective::kernel::{Kernel, Scratch};
use crate::objective::row::{RowGradient, TripletSums};
use crate::simd::LANES;
use upper_triangle::{UpperTriangle, strip_rows};

/// The largest batch that is computed in memory. Its matrices are not much larger than the caches.
pub(in crate::objective) const LARGEST_BATCH: usize = 4096;

/// Rows of coefficients or of the gradient that one task computes.
const BAND: usize = 64;

/// Rows that are assembled at a time, few enough to stay in a fast level of cache; a divisor of
/// [`BAND`]. Where the upper triangle is read by columns, these are two cache lines of each of its
/// rows; with one, half as much would be read per memory page.
const GROUP: usize = 2 * LANES;

/// Σ φ and the counts of the census, with ∂(Σ φ)/∂vectors in class order.
pub(super) fn evaluate(problem: &Problem) -> Sums {
    let upper = UpperTriangle::compute(problem.candidates, problem.order);
    let batch = Batch { problem, kernels: problem.kernels(), upper: &upper };
    let dense = problem.rule.is_dense(problem.order);
    let (mut triplets, anchors) = if dense { batch.dense() } else { batch.sparse() };
    let (positives, all) = upper.sums();
    triplets.positive_distances += positives;
    triplets.negative_distances += all - positives;
    Sums { triplets, anchors, reference: None }
}

struct Batch<'a> {
    problem: &'a Problem<'a>,
    kernels: Vec<Kernel>,
    upper: &'a UpperTriangle,
}

/// Buffers of a thread, which are reused from band to band.
#[derive(Default)]
struct Worker {
    /// [`GROUP`] rows of distances.
    distances: Buffer,
    scratch: Scratch,
    /// One row of weights for a sparse rule, all 0 between two rows.
    weights: Vec<f32>,
    touched: Vec<u32>,
    pairs: Vec<PairGradient>,
}

impl Batch<'_> {
    /// Evaluates a rule with which most pairs have a weight.
    fn dense(&self) -> (TripletSums, Buffer) {
        let points = self.problem.candidates;
        let (batch, d) = (points.len(), points.dimensions());
        let stride = padded(batch);
        let mut coefficients = Buffer::pooled(batch * stride);
        let bands = coefficients.par_chunks_mut(BAND * stride).enumerate();
        let sums: Vec<TripletSums> = bands
            .map_init(Worker::default, |worker, (band, lines)| {
                self.coefficients(band * BAND, lines, worker)
            })
            .collect();
        let mut gradient = Buffer::pooled(batch * d);
        let height = strip_rows(batch);
        gradient.par_chunks_mut(height * d).enumerate().for_each(|(band, gradient)| {
            let rows = band * height..band * height + gradient.len() / d;
            dense::gradient(points, &coefficients, self.upper.close(), rows, gradient);
        });
        (TripletSums::total(&sums), gradient)
    }

    /// Writes the coefficients of a band of rows, the first of which is `start`.
    fn coefficients(&self, start: usize, lines: &mut [f32], worker: &mut Worker) -> TripletSums {
        let problem = self.problem;
        let batch = problem.candidates.len();
        let stride = padded(batch);
        let rows = start..start + lines.len() / stride;
        let mut sums = TripletSums::default();
        let Worker { distances, scratch, .. } = worker;
        self.upper.each_row(rows, distances, |anchor, distances| {
            let row = problem.row(anchor, distances);
            let weights = &mut lines[(anchor - start) * stride..][..batch];
            let mut gradient = RowGradient { weights, touched: None, sums: &mut sums };
            if row.has_triplets() {
                self.kernels[problem.class_of(anchor)].compute(&row, scratch, &mut gradient);
                problem.candidates.to_coefficients(gradient.weights, distances);
            } else {
                gradient.clear();
            }
        });
        sums
    }

    /// Evaluates a rule with which few pairs have a weight.
    fn sparse(&self) -> (TripletSums, Buffer) {
        let points = self.problem.candidates;
        let d = points.dimensions();
        let mut gradient = Buffer::pooled(points.len() * d);
        let bands = gradient.par_chunks_mut(BAND * d).enumerate();
        let (sums, later): (Vec<TripletSums>, Vec<Vec<PairGradient>>) = bands
            .map_init(Worker::default, |worker, (band, gradient)| {
                self.pairs(band * BAND, gradient, worker)
            })
            .unzip();
        add_to_candidates(points, points, &later, &mut gradient);
        (TripletSums::total(&sums), gradient)
    }

    /// Computes the gradient of a band of anchors, the first of which is `start`, with the
    /// contributions to candidates of the same band. Returns the contributions to other candidates.
    fn pairs(
        &self,
        start: usize,
        gradient: &mut [f32],
        worker: &mut Worker,
    ) -> (TripletSums, Vec<PairGradient>) {
        let problem = self.problem;
        let (points, d) = (problem.candidates, problem.candidates.dimensions());
        let band = start..start + gradient.len() / d;
        let (mut sums, mut later) = (TripletSums::default(), Vec::new());
        let Worker { distances, scratch, weights, touched, pairs } = worker;
        weights.resize(points.len(), 0.0);
        gradient.fill(0.0);
        self.upper.each_row(band.clone(), distances, |anchor, distances| {
            let row = problem.row(anchor, distances);
            let mut out = RowGradient { weights, touched: Some(touched), sums: &mut sums };
            if row.has_triplets() {
                self.kernels[problem.class_of(anchor)].compute(&row, scratch, &mut out);
            }
            for position in touched.drain(..) {
                let weight = std::mem::take(&mut weights[position as usize]);
                let coefficient = points.coefficient(weight, distances[position as usize]);
                if coefficient != 0.0 {
                    let (anchor, candidate) = (anchor as u32, position);
                    pairs.push(PairGradient { anchor, candidate, row: candidate, coefficient });
                }
            }
            let own = &mut gradient[(anchor - start) * d..][..d];
            add_to_anchor(own, points.row(anchor), points, pairs);
            for pair in pairs.drain(..) {
                let row = pair.row as usize;
                if band.contains(&row) {
                    let row = &mut gradient[(row - start) * d..][..d];
                    pair.add_to_candidate(points, points, row);
                } else {
                    later.push(pair);
                }
            }
        });
        (sums, later)
    }
}

/// The stride of rows: a whole number of SIMD vectors, plus one. Without the additional vector, a
/// stride that is a power of two would map all values of a column to the same set of the cache.
fn padded(columns: usize) -> usize {
    columns.next_multiple_of(LANES) + LANES
}
