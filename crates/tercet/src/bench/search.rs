//! The speed of search in a gallery and of its evaluation, as ratios to the matrix product of all
//! distances.

use std::time::Instant;

use ndarray::Array2;
use rand::rngs::ChaCha8Rng;
use rand::{RngExt, SeedableRng};
use rayon::prelude::*;
use serde::Serialize;

use super::{DIMENSIONS, forget_peak, median, peak_bytes};
use crate::matrix::{Operand, product};
use crate::{Error, Labels, Metric, Retrieval, neighbors};

/// Shapes of the products, rows and columns of a block. The floor is the faster one.
const FLOOR_BLOCKS: [(usize, usize); 2] = [(128, 1_024), (64, usize::MAX)];

/// A gallery in which every item searches all others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Search {
    /// The number of items.
    pub items: usize,
    /// The number of classes, of equal size as far as possible.
    pub classes: usize,
}

/// The measurement of one search. Times are medians.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Searched {
    /// The task that was measured.
    pub task: String,
    /// The number of items, which are queries and gallery.
    pub items: usize,
    /// The dimensions of the items.
    pub dimensions: usize,
    /// Seconds for the task.
    pub seconds: f64,
    /// Seconds for the matrix product of all items with all others, on the same threads.
    pub floor_seconds: f64,
    /// `seconds / floor_seconds`.
    pub ratio: f64,
    /// The peak memory of the process during the task, including its vectors, if the system
    /// provides it (Linux).
    pub peak_bytes: Option<u64>,
}

impl Search {
    /// Vectors around one centre per class, in overlapping clouds.
    pub fn data(&self) -> (Array2<f32>, Labels) {
        let mut rng = ChaCha8Rng::seed_from_u64(self.items as u64);
        let centres = Array2::from_shape_simple_fn((self.classes, DIMENSIONS), || {
            rng.random_range(-0.05_f32..0.05)
        });
        let vectors = Array2::from_shape_fn((self.items, DIMENSIONS), |(item, k)| {
            centres[[item % self.classes, k]] + rng.random_range(-0.1_f32..0.1)
        });
        (vectors, Labels::from_iter((0..self.items).map(|item| item % self.classes)))
    }

    /// Measures the search for the `k` nearest of all items for every item.
    ///
    /// # Errors
    /// The errors of [`neighbors::nearest`].
    pub fn nearest(&self, k: usize, repetitions: usize) -> Result<Searched, Error> {
        let (vectors, _) = self.data();
        let name = format!("{k} nearest");
        self.measure(name, &vectors, repetitions, || {
            neighbors::nearest(vectors.view(), vectors.view(), k, Metric::default()).map(drop)
        })
    }

    /// Measures leave-one-out retrieval with all its figures.
    ///
    /// # Errors
    /// The errors of [`Retrieval::leave_one_out`].
    pub fn retrieval(&self, repetitions: usize) -> Result<Searched, Error> {
        let (vectors, labels) = self.data();
        let name = format!("retrieval, {} classes", self.classes);
        self.measure(name, &vectors, repetitions, || {
            Retrieval::leave_one_out(vectors.view(), &labels, Metric::default()).map(drop)
        })
    }

    fn measure(
        &self,
        task: String,
        vectors: &Array2<f32>,
        repetitions: usize,
        run: impl Fn() -> Result<(), Error>,
    ) -> Result<Searched, Error> {
        let rows: Vec<f32> = vectors.iter().copied().collect();
        let (mut seconds, mut floor_seconds, mut peak) = (Vec::new(), Vec::new(), None);
        for _ in 0..repetitions.max(1) {
            let floors = FLOOR_BLOCKS.map(|block| floor(&rows, self.items, block));
            floor_seconds.push(floors[0].min(floors[1]));
            forget_peak();
            let start = Instant::now();
            run()?;
            seconds.push(start.elapsed().as_secs_f64());
            peak = peak_bytes().max(peak);
        }
        let (seconds, floor_seconds) = (median(seconds), median(floor_seconds));
        Ok(Searched {
            task,
            items: self.items,
            dimensions: DIMENSIONS,
            seconds,
            floor_seconds,
            ratio: seconds / floor_seconds,
            peak_bytes: peak,
        })
    }
}

/// Seconds for the product of all rows with all rows, in blocks that are discarded.
fn floor(rows: &[f32], items: usize, (height, width): (usize, usize)) -> f64 {
    let some = |first: usize, count: usize| {
        let values = &rows[first * DIMENSIONS..(first + count) * DIMENSIONS];
        Operand::new(values, count, DIMENSIONS)
    };
    let start = Instant::now();
    (0..items.div_ceil(height)).into_par_iter().for_each_init(Vec::new, |out, block| {
        let first = block * height;
        let height = height.min(items - first);
        for column in (0..items).step_by(width.min(items)) {
            let width = width.min(items - column);
            out.resize(height * width, 0.0);
            product(out, false, -2.0, some(first, height), some(column, width).t());
        }
        std::hint::black_box(out);
    });
    start.elapsed().as_secs_f64()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn searches_are_measured() {
        let search = Search { items: 300, classes: 30 };
        for measured in [search.nearest(5, 1), search.retrieval(1)] {
            let measured = measured.unwrap();
            assert!(measured.seconds > 0.0 && measured.floor_seconds > 0.0, "{measured:?}");
        }
    }
}
