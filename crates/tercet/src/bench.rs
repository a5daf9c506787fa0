//! The speed of the objectives, as ratios to the matrix products that they need at least.
//!
//! Seconds on one machine say little about another. So every case is timed in turns with its
//! *floor*: the dense B×B×D products of its definition, by the same GEMM kernels on the same
//! threads. One product gives the distances. Where many of an anchor's pairs have a weight, two
//! more turn the weights W into the gradient: W·X and Wᵀ·X. This applies to batch-all, to lifted
//! structure, and to semi-hard in large classes, where every positive of an anchor and as many
//! negatives may have a weight. Where few pairs have one (batch-hard, semi-hard with K = 4), the
//! gradient needs no product, and the floor is the product of the distances. (A ratio below 1 is
//! possible, because W + Wᵀ needs only one of the two products and distances are symmetric.) Ratios
//! are comparable only within one run.

pub mod search;

use std::time::{Duration, Instant};

use ndarray::{Array2, ArrayView2};
use rand::rngs::ChaCha8Rng;
use rand::{RngExt, SeedableRng};
use serde::Serialize;

use crate::matrix::{Operand, Threads, product_by};
use crate::{Error, Labels, Lifted, Objective, Penalty, TripletLoss};

/// The number of dimensions of the vectors in every case.
pub const DIMENSIONS: usize = 128;

/// The number of rows of W that the floor computes at a time.
const FLOOR_ROWS: usize = 1024;

/// An objective on a batch of a certain shape.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Case {
    /// The name of the objective in the table.
    pub name: &'static str,
    /// The objective.
    pub objective: Objective,
    /// Items in the batch.
    pub batch: usize,
    /// Classes in the batch, of equal size as far as possible.
    pub classes: usize,
}

/// The measurement of one case. Times are medians.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Measured {
    /// Name of the objective.
    pub objective: &'static str,
    /// Items in the batch.
    pub batch: usize,
    /// Classes in the batch.
    pub classes: usize,
    /// Dimensions of the vectors.
    pub dimensions: usize,
    /// Seconds for value, gradient and census.
    pub seconds: f64,
    /// Seconds for the matrix products alone.
    pub floor_seconds: f64,
    /// Dense B×B×D products in the floor: 1, or 3 where many pairs have a weight.
    pub floor_products: usize,
    /// `seconds / floor_seconds`.
    pub ratio: f64,
    /// The ratio of the shortest times, which are least disturbed by other work on the machine.
    pub least_ratio: f64,
    /// Triplets selected.
    pub triplets: u64,
    /// Selected triplets that have a gradient.
    pub active: u64,
    /// The peak memory of the process while the case ran, if the system provides it (Linux).
    pub peak_bytes: Option<u64>,
}

/// Which cases to measure.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Extent {
    /// Whether to measure only a few small batches.
    pub quick: bool,
    /// Whether to include batches that take seconds.
    pub large: bool,
}

/// The cases of the table: P×K batches of 4 items per class, and batches of 10 classes.
pub fn cases(extent: Extent) -> Vec<Case> {
    let batch_all = TripletLoss::batch_all();
    let penalised = |penalty| TripletLoss { penalty, ..batch_all }.into();
    let objectives: [(&str, Objective); 7] = [
        ("batch-all hinge", batch_all.into()),
        ("batch-all-nonzero hinge", TripletLoss::batch_all_nonzero().into()),
        ("batch-all squared-hinge", penalised(Penalty::SquaredHinge { margin: 0.2 })),
        ("batch-all soft", penalised(Penalty::Soft { margin: 0.0 })),
        ("batch-hard soft", TripletLoss::batch_hard().into()),
        ("semi-hard facenet", TripletLoss::facenet().into()),
        ("lifted", Lifted::default().into()),
    ];
    let mut shapes = vec![(128, 32), (512, 128)];
    if !extent.quick {
        shapes.extend([(1024, 256), (2048, 512)]);
    }
    shapes.push((512, 10));
    if !extent.quick {
        shapes.extend([(1024, 10), (4096, 10)]);
    }
    if extent.large {
        shapes.push((16_384, 10));
    }
    let case = |(name, objective)| {
        shapes.iter().map(move |&(batch, classes)| Case { name, objective, batch, classes })
    };
    objectives.into_iter().flat_map(case).collect()
}

impl Case {
    /// Vectors around one centre per class, close enough that triplets of every kind occur.
    pub fn data(&self) -> (Array2<f32>, Labels) {
        let mut rng = ChaCha8Rng::seed_from_u64(self.batch as u64);
        let centres = Array2::from_shape_simple_fn((self.classes, DIMENSIONS), || {
            rng.random_range(-0.05_f32..0.05)
        });
        let vectors = Array2::from_shape_fn((self.batch, DIMENSIONS), |(item, k)| {
            centres[[item % self.classes, k]] + rng.random_range(-0.1_f32..0.1)
        });
        (vectors, Labels::from_iter((0..self.batch).map(|item| item % self.classes)))
    }

    fn floor_products(&self, labels: &Labels) -> usize {
        if self.objective.is_dense(labels) { 3 } else { 1 }
    }

    /// The matrix products that the case needs at least, ready to be timed.
    pub fn floor(&self, vectors: ArrayView2<f32>, labels: &Labels) -> Floor {
        let mut floor = Floor::new(vectors, self.floor_products(labels));
        floor.choose_threads();
        floor
    }

    /// Times the case and its floor in turns, for at least `budget`.
    ///
    /// # Errors
    /// The errors of [`Objective::evaluate`].
    pub fn measure(&self, budget: Duration) -> Result<Measured, Error> {
        const LEAST: usize = 3;
        const MOST: usize = 301;
        let (vectors, labels) = self.data();
        let mut floor = self.floor(vectors.view(), &labels);

        forget_peak();
        let outcome = self.objective.evaluate(vectors.view(), &labels)?;
        let peak_bytes = peak_bytes();

        let (mut seconds, mut floor_seconds) = (Vec::new(), Vec::new());
        let started = Instant::now();
        while seconds.len() < LEAST || (started.elapsed() < budget && seconds.len() < MOST) {
            floor_seconds.push(floor.work().as_secs_f64());
            let start = Instant::now();
            std::hint::black_box(self.objective.evaluate(vectors.view(), &labels)?);
            seconds.push(start.elapsed().as_secs_f64());
        }
        let least = |times: &[f64]| times.iter().copied().fold(f64::INFINITY, f64::min);
        let least_ratio = least(&seconds) / least(&floor_seconds);
        let (seconds, floor_seconds) = (median(seconds), median(floor_seconds));
        Ok(Measured {
            objective: self.name,
            batch: self.batch,
            classes: self.classes,
            dimensions: DIMENSIONS,
            seconds,
            floor_seconds,
            floor_products: floor.products,
            ratio: seconds / floor_seconds,
            least_ratio,
            triplets: outcome.census.selected,
            active: outcome.census.active,
            peak_bytes,
        })
    }
}

/// The matrix products of an objective and nothing else.
#[derive(Debug)]
pub struct Floor {
    vectors: Vec<f32>,
    batch: usize,
    products: usize,
    weights: Vec<f32>,
    gradient: Vec<f32>,
    threads: Threads,
}

impl Floor {
    fn new(vectors: ArrayView2<f32>, products: usize) -> Self {
        let batch = vectors.nrows();
        Self {
            vectors: vectors.iter().copied().collect(),
            batch,
            products,
            weights: vec![0.0; FLOOR_ROWS.min(batch) * batch],
            gradient: vec![0.0; batch * DIMENSIONS],
            threads: Threads::All,
        }
    }

    /// Chooses one thread or all, whichever is faster, because one thread may be faster on a small
    /// batch.
    fn choose_threads(&mut self) {
        let mut time = |threads| {
            self.threads = threads;
            (0..5).map(|_| self.work()).min()
        };
        let (one, all) = (time(Threads::One), time(Threads::All));
        self.threads = if one < all { Threads::One } else { Threads::All };
    }

    /// Computes the products once, and returns the time that they took.
    pub fn work(&mut self) -> Duration {
        let start = Instant::now();
        let d = DIMENSIONS;
        let all = Operand::new(&self.vectors, self.batch, d);
        for first in (0..self.batch).step_by(FLOOR_ROWS) {
            let last = (first + FLOOR_ROWS).min(self.batch);
            let rows = last - first;
            let some = Operand::new(&self.vectors[first * d..last * d], rows, d);
            let weights = &mut self.weights[..rows * self.batch];
            product_by(self.threads, weights, false, -2.0, some, all.t());
            if self.products > 1 {
                let weights = Operand::new(weights, rows, self.batch);
                let own = &mut self.gradient[first * d..last * d];
                product_by(self.threads, own, false, 1.0, weights, all);
                product_by(self.threads, &mut self.gradient, true, 1.0, weights.t(), some);
            }
        }
        std::hint::black_box((&mut self.weights, &mut self.gradient));
        start.elapsed()
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// Resets the system's record of peak memory, if possible.
fn forget_peak() {
    // Other systems, or missing permissions, refuse this. The peak is then that of the whole
    // process so far.
    let _ = std::fs::write("/proc/self/clear_refs", "5");
}

/// `VmHWM` of `/proc/self/status`.
fn peak_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_small_case_is_measured() {
        for case in cases(Extent { quick: true, large: false }) {
            if case.batch > 128 {
                continue;
            }
            let measured = case.measure(Duration::ZERO).unwrap();
            assert!(measured.seconds > 0.0 && measured.floor_seconds > 0.0);
            assert!(measured.triplets > 0, "{measured:?}");
        }
    }

    #[test]
    fn the_floor_follows_the_weights() {
        for case in cases(Extent::default()) {
            let labels = Labels::from_iter((0..case.batch).map(|item| item % case.classes));
            let every_pair = case.name.starts_with("batch-all") || case.name == "lifted";
            let large_classes = case.classes == 10 && case.name == "semi-hard facenet";
            let products = if every_pair || large_classes { 3 } else { 1 };
            assert_eq!(case.floor_products(&labels), products, "{case:?}");
        }
    }

    #[test]
    fn cases_grow_with_the_extent() {
        let count = |quick, large| cases(Extent { quick, large }).len();
        assert!(count(true, false) < count(false, false));
        assert!(count(false, false) < count(false, true));
    }

    #[test]
    fn the_batch_has_active_and_inactive_triplets() {
        let case = cases(Extent::default())[0];
        let (vectors, labels) = case.data();
        let census = case.objective.evaluate(vectors.view(), &labels).unwrap().census;
        assert!(census.violated > 0 && census.active > census.violated);
        assert!(census.active < census.selected);
    }
}
