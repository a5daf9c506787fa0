//! Measures the constants in `from_positives`: the number of positives from which sorting is faster
//! than comparing each positive with each negative, and similar crossovers.
//!
//! ```sh
//! cargo run --release -p tercet --features reference --example crossover
//! ```

use std::time::Instant;

use ndarray::Array2;
use rand::rngs::ChaCha8Rng;
use rand::{RngExt, SeedableRng};

use super::{Kernel, Scratch, soft_product};
use crate::distance::Points;
use crate::labels::ClassOrder;
use crate::objective::row::{AnchorRow, RowGradient, TripletSums};
use crate::objective::rule::Penalty;
use crate::{Labels, Metric};

/// The number of negatives of the anchor.
pub const NEGATIVES: usize = 1024;

/// The measured times of two ways of computing the same row.
#[derive(Debug)]
pub struct Measured {
    /// The penalty or selection, and the two ways.
    pub name: &'static str,
    /// The number of positives of the anchor.
    pub positives: usize,
    /// ns per negative of the first way.
    pub each: f64,
    /// ns per negative of the second way.
    pub ranked: f64,
    /// Whether both found the same active triplets, and values equal to 1e-5.
    pub agree: bool,
}

/// One way of computing a row.
#[derive(Debug, Clone, Copy)]
enum Work {
    Kernel(Kernel),
    /// A soft penalty, by products for each positive or by interpolation nodes.
    Soft {
        by_nodes: bool,
    },
}

impl Work {
    fn run(self, row: &AnchorRow, scratch: &mut Scratch, gradient: &mut RowGradient) {
        match self {
            Self::Kernel(kernel) => kernel.compute(row, scratch, gradient),
            Self::Soft { by_nodes } => {
                let Scratch { lookup, soft, .. } = scratch;
                soft_product::compute_either_way(row, by_nodes, lookup, soft, gradient);
            }
        }
    }
}

/// An anchor's distances to its own class and to [`NEGATIVES`] other items, in two ranges that
/// overlap.
struct Case {
    order: ClassOrder,
    points: Points,
    distances: Vec<f32>,
}

impl Case {
    fn new(positives: usize) -> Option<Self> {
        let labels = Labels::from_iter((0..=positives + NEGATIVES).map(|item| item > positives));
        let mut rng = ChaCha8Rng::seed_from_u64(positives as u64);
        // Sums of uniform numbers are denser in the middle of their range, as distances are.
        let mut draw =
            |centre: f32| centre + (0..4).map(|_| rng.random_range(-0.1_f32..0.1)).sum::<f32>();
        let mut distances = vec![0.0];
        distances.extend((0..positives).map(|_| draw(0.8)));
        distances.extend((0..NEGATIVES).map(|_| draw(1.0)));
        // No kernel that is measured here reads the vectors.
        let vectors = Array2::zeros((distances.len(), 1));
        let points = Points::new(vectors.view(), Metric::default()).ok()?;
        Some(Self { order: ClassOrder::new(&labels), points, distances })
    }

    /// The shortest time of several runs of `work`, in ns per negative, and the sums of the last
    /// run.
    fn time(&self, repeats: usize, penalty: Penalty, work: Work) -> (f64, TripletSums) {
        let mut weights = vec![0.0; self.distances.len()];
        let mut scratch = Scratch::default();
        let mut least = f64::INFINITY;
        let mut sums = TripletSums::default();
        for _ in 0..repeats {
            weights.fill(0.0);
            sums = TripletSums::default();
            let row = AnchorRow {
                item: 0,
                own: Some(0),
                distances: &self.distances,
                class: self.order.positives_of(0),
                order: &self.order,
                points: &self.points,
                penalty,
                false_negatives: None,
            };
            let mut gradient =
                RowGradient { weights: &mut weights, touched: None, sums: &mut sums };
            let start = Instant::now();
            work.run(&row, &mut scratch, &mut gradient);
            least = least.min(start.elapsed().as_secs_f64());
        }
        (least * 1e9 / NEGATIVES as f64, sums)
    }
}

/// Measures both ways of every kernel that has two.
pub fn measure(repeats: usize) -> Vec<Measured> {
    let hinge = Penalty::Hinge { margin: 0.2 };
    let squared = Penalty::SquaredHinge { margin: 0.2 };
    let soft = Penalty::Soft { margin: 0.0 };
    let kernel = Work::Kernel;
    let (by_positives, by_nodes) = (Work::Soft { by_nodes: false }, Work::Soft { by_nodes: true });
    let kernels: [(&str, Penalty, Work, Work); 5] = [
        (
            "hinge: pairwise, sorted",
            hinge,
            kernel(Kernel::PairwiseHinge),
            kernel(Kernel::SortedHinge),
        ),
        (
            "squared hinge: pairwise, sorted",
            squared,
            kernel(Kernel::Pairwise),
            kernel(Kernel::SortedSquaredHinge),
        ),
        (
            "semi-hard: pairwise, sorted",
            hinge,
            kernel(Kernel::SemiHard),
            kernel(Kernel::SortedSemiHard),
        ),
        ("soft: pairwise, products", soft, kernel(Kernel::Pairwise), by_positives),
        ("soft: products, nodes", soft, by_positives, by_nodes),
    ];
    let positives = [1, 2, 4, 6, 8, 12, 16, 24, 32, 48, 64, 128, 256, 512];
    let measure = |(name, penalty, first, second): (_, _, Work, Work)| {
        positives.into_iter().filter_map(move |positives| {
            let case = Case::new(positives)?;
            let (slow, expected) = case.time(repeats, penalty, first);
            let (fast, sums) = case.time(repeats, penalty, second);
            let difference = (sums.value - expected.value).abs();
            Some(Measured {
                name,
                positives,
                each: slow,
                ranked: fast,
                agree: (sums.active, sums.violated) == (expected.active, expected.violated)
                    && difference <= 1e-5 * expected.value,
            })
        })
    };
    kernels.into_iter().flat_map(measure).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ways_agree() {
        for measured in measure(1) {
            assert!(measured.agree, "{measured:?}");
        }
    }
}
