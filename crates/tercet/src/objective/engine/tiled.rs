//! Anchors against candidates in rounds, for batches of any size and for candidates of which only
//! some, or none, receive a gradient.
//!
//! A round takes some anchors. Its first half treats each anchor separately: distances to all
//! candidates, the row kernel, and the gradient of the anchor. Its second half treats each
//! candidate separately: it adds the contributions of the round's anchors to the candidate's
//! gradient. In both halves every task writes its own rows, so there are no partial sums per
//! thread, and the gradient does not depend on the number of threads.
//!
//! # Memory
//! Besides vectors and gradient, a round holds two matrices of [`Plan::rows`] × candidates values
//! (one for a sparse rule), together at most 8·max([`ROUND_VALUES`], candidates) bytes, which is
//! 128 MiB up to 16 million candidates, for any number of threads. It also holds the pairs that are
//! accumulated one by one. Each thread adds the scratch of a row, a few values per candidate.

use std::ops::Range;

use rayon::prelude::*;

use super::accumulate::{PairGradient, add_pair, add_scaled, add_to_anchor, add_to_candidates};
use super::{Moving, Problem, Sums};
use crate::buffer_pool::Buffer;
use crate::distance::Close;
use crate::matrix::{Operand, product};
use crate::objective::kernel::{Kernel, Scratch};
use crate::objective::row::{RowGradient, TripletSums};
use crate::simd::{add, sum};
use crate::watch::Steps;

/// The largest number of values in one matrix of a round, 64 MiB, unless one row has more.
const ROUND_VALUES: usize = 1 << 24;

/// Anchors per round: enough that the matrix products of the second half are efficient.
const ROUND_ROWS: usize = 512;

/// Anchors per task: enough that the matrix products of the first half are efficient.
const TASK_ROWS: usize = 64;

/// Candidates per task in the second half.
const TASK_COLUMNS: usize = 256;

/// How the anchors are divided.
struct Plan {
    /// Anchors per round. It does not depend on the number of threads.
    rows: usize,
    /// Anchors per task.
    task_rows: usize,
}

impl Plan {
    fn new(anchors: usize, candidates: usize, threads: usize) -> Self {
        let rows = (ROUND_VALUES / candidates.max(1)).clamp(1, ROUND_ROWS).min(anchors.max(1));
        // With two tasks per thread, threads are idle only for a short time at the end of a round.
        Self { rows, task_rows: rows.div_ceil(2 * threads).clamp(1, TASK_ROWS) }
    }
}

/// The anchors of one task, with the parts of the buffers that it writes.
struct Task<'a> {
    anchors: Range<usize>,
    distances: &'a mut [f32],
    /// Empty for a sparse rule.
    weights: &'a mut [f32],
    gradient: &'a mut [f32],
}

/// Buffers of a thread, which are reused from task to task.
#[derive(Default)]
struct Worker {
    scratch: Scratch,
    /// One row of weights for a sparse rule, all 0 between two rows.
    weights: Vec<f32>,
    touched: Vec<u32>,
    pairs: Vec<PairGradient>,
    close: Vec<Close>,
}

/// Σ φ and the counts of the census, with ∂(Σ φ)/∂vectors.
pub(super) fn evaluate(problem: &Problem, steps: &Steps) -> Sums {
    let (count, columns) = (problem.anchor_points().len(), problem.candidates.len());
    let d = problem.candidates.dimensions();
    let plan = Plan::new(count, columns, rayon::current_num_threads());
    let round =
        Round { problem, dense: problem.rule.is_dense(problem.order), kernels: problem.kernels() };

    let mut distances = Buffer::pooled(plan.rows * columns);
    let mut weights =
        if round.dense { Buffer::pooled(plan.rows * columns) } else { Buffer::default() };
    let mut anchors = Buffer::zeroed(count * d);
    let reference = problem.moving == Moving::Reference;
    let mut reference = reference.then(|| Buffer::zeroed(columns * d));
    let mut triplets = TripletSums::default();
    for start in (0..count).step_by(plan.rows) {
        let rows = start..(start + plan.rows).min(count);
        let area = rows.len() * columns;
        let mut weight_chunks = weights.chunks_mut(plan.task_rows * columns.max(1));
        let gradient_chunks = anchors[rows.start * d..rows.end * d].chunks_mut(plan.task_rows * d);
        let mut distance_chunks = distances[..area].chunks_mut(plan.task_rows * columns.max(1));
        let tasks: Vec<Task> = gradient_chunks
            .zip(rows.clone().step_by(plan.task_rows))
            .map(|(gradient, start)| Task {
                anchors: start..start + gradient.len() / d,
                distances: distance_chunks.next().unwrap_or_default(),
                weights: weight_chunks.next().unwrap_or_default(),
                gradient,
            })
            .collect();
        let (sums, pairs): (Vec<TripletSums>, Vec<Vec<PairGradient>>) = tasks
            .into_par_iter()
            .with_max_len(1)
            .map_init(Worker::default, |worker, task| round.anchors(task, worker))
            .unzip();
        triplets.add(&TripletSums::total(&sums));

        let moving = match problem.moving {
            Moving::Reference => columns,
            Moving::FirstAnchors(count) => count,
            Moving::Anchors => count,
        };
        let gradient = match &mut reference {
            Some(gradient) => gradient,
            None => &mut anchors,
        };
        let gradient = &mut gradient[..moving * d];
        if round.dense {
            let height = rows.len();
            round.candidates(rows.clone(), &weights[..height * columns], gradient);
        }
        add_to_candidates(problem.anchor_points(), problem.candidates, &pairs, gradient);
        if steps.done(rows.len()).is_break() {
            break;
        }
    }
    Sums { triplets, anchors, reference }
}

struct Round<'a> {
    problem: &'a Problem<'a>,
    dense: bool,
    kernels: Vec<Kernel>,
}

impl Round<'_> {
    /// The first half: computes the rows and the gradients of some anchors. Returns their sums, and
    /// the pairs that are to be added to the gradients of candidates.
    fn anchors(&self, task: Task, worker: &mut Worker) -> (TripletSums, Vec<PairGradient>) {
        let problem = self.problem;
        let (points, candidates) = (problem.anchor_points(), problem.candidates);
        let (columns, d) = (candidates.len(), candidates.dimensions());
        let Task { anchors, distances, weights, gradient } = task;
        let mut triplets = TripletSums::default();
        let mut later = Vec::new();
        worker.close.clear();
        points.tile(anchors.clone(), candidates, distances, Some(&mut worker.close));
        if !self.dense {
            worker.weights.resize(columns, 0.0);
        }
        for (index, anchor) in anchors.clone().enumerate() {
            let distances = &mut distances[index * columns..][..columns];
            if let Some(own) = problem.own_position(anchor) {
                // The cosine distance of a zero vector to itself is 1, but an anchor and itself are
                // not a pair.
                distances[own] = 0.0;
            }
            let row = problem.row(anchor, distances);
            let within = sum(&distances[row.class.clone()]);
            triplets.positive_distances += within;
            triplets.negative_distances += sum(distances) - within;
            let mut out = RowGradient {
                weights: match self.dense {
                    true => &mut weights[index * columns..][..columns],
                    false => &mut worker.weights,
                },
                touched: (!self.dense).then_some(&mut worker.touched),
                sums: &mut triplets,
            };
            if row.has_triplets() {
                let kernel = self.kernels[problem.class_of(anchor)];
                kernel.compute(&row, &mut worker.scratch, &mut out);
            } else {
                out.clear();
            }
            let gradient = &mut gradient[index * d..][..d];
            if self.dense {
                points.to_coefficients(out.weights, distances);
            } else {
                for position in worker.touched.drain(..) {
                    let weight = std::mem::take(&mut worker.weights[position as usize]);
                    let coefficient = points.coefficient(weight, distances[position as usize]);
                    worker.pairs.extend(self.pair(anchor, position, coefficient));
                }
                add_to_anchor(gradient, points.row(anchor), candidates, &worker.pairs);
                later.extend(worker.pairs.drain(..).filter(|pair| pair.row != FIXED));
            }
        }
        if self.dense {
            // Pairs that are too close for the Gram form would cancel in the products too, so they
            // are added one by one.
            for pair in &worker.close {
                let index = pair.row as usize - anchors.start;
                let at = index * columns + pair.column as usize;
                let coefficient = std::mem::take(&mut weights[at]);
                if let Some(pair) = self.pair(pair.row as usize, pair.column, coefficient) {
                    let candidate = candidates.row(pair.candidate as usize);
                    let gradient = &mut gradient[index * d..][..d];
                    add_pair(gradient, points.row(pair.anchor as usize), candidate, coefficient);
                    later.extend((pair.row != FIXED).then_some(pair));
                }
            }
            let lines = weights.chunks_exact(columns.max(1)).zip(gradient.chunks_exact_mut(d));
            for (anchor, (line, gradient)) in anchors.clone().zip(lines) {
                add_scaled(gradient, points.gram_rows(anchor..anchor + 1), sum(line) as f32);
            }
            let rows = anchors.len();
            let coefficients = Operand::new(&weights[..rows * columns], rows, columns);
            let all = Operand::new(candidates.gram_rows(0..columns), columns, d);
            product(gradient, true, -1.0, coefficients, all);
        }
        (triplets, later)
    }

    /// The pair of an anchor and a candidate, unless its coefficient is 0.
    fn pair(&self, anchor: usize, position: u32, coefficient: f32) -> Option<PairGradient> {
        let row = self.problem.gradient_row(position as usize).map_or(FIXED, |row| row as u32);
        let pair = PairGradient { anchor: anchor as u32, candidate: position, row, coefficient };
        (coefficient != 0.0).then_some(pair)
    }

    /// The second half: for the coefficients C of some anchors X, adds to the gradient of the
    /// candidates Y the matrix diag(Cᵀ1)·Y − Cᵀ·X.
    fn candidates(&self, anchors: Range<usize>, coefficients: &[f32], gradient: &mut [f32]) {
        let problem = self.problem;
        let (points, candidates) = (problem.anchor_points(), problem.candidates);
        let (columns, d, height) = (candidates.len(), candidates.dimensions(), anchors.len());
        let vectors = Operand::new(points.gram_rows(anchors), height, d);
        let blocks = gradient.par_chunks_mut(TASK_COLUMNS * d).enumerate();
        blocks.for_each_init(Vec::new, |gathered, (block, gradient)| {
            let rows = block * TASK_COLUMNS..block * TASK_COLUMNS + gradient.len() / d;
            let width = rows.len();
            let position = |row: usize| match problem.moving {
                Moving::Anchors => row,
                Moving::FirstAnchors(_) | Moving::Reference => problem.order.ranks[row] as usize,
            };
            let (values, stride) = match problem.moving {
                Moving::Anchors => (&coefficients[rows.start..], columns),
                Moving::FirstAnchors(_) | Moving::Reference => {
                    gathered.resize(height * width, 0.0);
                    let lines = coefficients.chunks_exact(columns);
                    for (line, out) in lines.zip(gathered.chunks_exact_mut(width)) {
                        let values = rows.clone().map(|row| line[position(row)]);
                        out.iter_mut().zip(values).for_each(|(out, value)| *out = value);
                    }
                    (&gathered[..], width)
                }
            };
            let mut sums = [0.0; TASK_COLUMNS];
            for line in 0..height {
                add(&mut sums[..width], &values[line * stride..][..width]);
            }
            let block = Operand::strided(values, height, width, stride);
            product(gradient, true, -1.0, block.t(), vectors);
            for ((gradient, row), sum) in gradient.chunks_exact_mut(d).zip(rows).zip(sums) {
                let at = position(row);
                add_scaled(gradient, candidates.gram_rows(at..at + 1), sum);
            }
        });
    }
}

/// The value of [`PairGradient::row`] for a candidate without a gradient.
const FIXED: u32 = u32::MAX;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_round_has_one_memory_bound_for_any_number_of_threads() {
        for candidates in [1, 64, 5_000, 65_536, 1_000_000, 40_000_000] {
            for threads in [1, 2, 64, 1024] {
                let plan = Plan::new(candidates, candidates, threads);
                assert!(plan.rows >= 1 && (1..=TASK_ROWS).contains(&plan.task_rows));
                assert!(plan.rows * candidates <= ROUND_VALUES.max(candidates));
                assert_eq!(plan.rows, Plan::new(candidates, candidates, 1).rows);
            }
        }
    }
}
