//! From how many positives on ranking an anchor's negatives beats comparing them one by one: the
//! measurement behind the constants `MANY…` and `NODE` of this module.
//!
//! ```sh
//! cargo run --release -p tercet --features reference --example crossover
//! ```

use std::time::Instant;

use rand::rngs::ChaCha8Rng;
use rand::{RngExt, SeedableRng};

use super::ranked::{self, Ranks};
use super::row::{Row, Tally};
use super::{Penalty, all, semi_hard, soft};
use crate::Labels;
use crate::labels::ClassOrder;

/// Negatives of the anchor.
pub const NEGATIVES: usize = 1024;

/// Two ways to one result.
#[derive(Debug)]
pub struct Measured {
    /// Penalty or selection, and the ways.
    pub name: &'static str,
    /// The anchor's positives.
    pub positives: usize,
    /// ns a negative, the first way: meeting each positive.
    pub each: f64,
    /// ns a negative, the second way.
    pub ranked: f64,
    /// Whether both found the same active triplets, and values equal to 1e-5.
    pub agree: bool,
}

type Work = fn(&mut Row);

/// An anchor's distances to its own class and to [`NEGATIVES`] others, the two half mixed.
struct Case {
    order: ClassOrder,
    distances: Vec<f32>,
}

impl Case {
    fn new(positives: usize) -> Self {
        let labels = Labels::from_iter((0..=positives + NEGATIVES).map(|item| item > positives));
        let mut rng = ChaCha8Rng::seed_from_u64(positives as u64);
        // Sums of uniform numbers: dense in the middle, as distances are.
        let mut draw =
            |centre: f32| centre + (0..4).map(|_| rng.random_range(-0.1_f32..0.1)).sum::<f32>();
        let mut distances = vec![0.0];
        distances.extend((0..positives).map(|_| draw(0.8)));
        distances.extend((0..NEGATIVES).map(|_| draw(1.0)));
        Self { order: ClassOrder::new(&labels), distances }
    }

    /// The shortest of several times of `work` on the anchor, in ns a negative, and what it adds up
    /// to.
    fn time(&self, repeats: usize, penalty: Penalty, work: Work) -> (f64, Tally) {
        let mut weights = vec![0.0; self.distances.len()];
        let mut ranks = Ranks::default();
        let mut least = f64::INFINITY;
        let mut tally = Tally::default();
        for _ in 0..repeats {
            weights.fill(0.0);
            tally = Tally::default();
            let mut row = Row {
                anchor: 0,
                distances: &self.distances,
                class: self.order.positives_of(0),
                order: &self.order,
                penalty,
                weights: &mut weights,
                touched: None,
                tally: &mut tally,
                ranks: &mut ranks,
            };
            let start = Instant::now();
            work(&mut row);
            least = least.min(start.elapsed().as_secs_f64());
        }
        (least * 1e9 / NEGATIVES as f64, tally)
    }
}

/// Times both ways of every kernel that has two.
pub fn measure(repeats: usize) -> Vec<Measured> {
    let hinge = Penalty::Hinge { margin: 0.2 };
    let squared = Penalty::SquaredHinge { margin: 0.2 };
    let soft = Penalty::Soft { margin: 0.0 };
    let kernels: [(&str, Penalty, Work, Work); 5] = [
        ("hinge: each, ranked", hinge, all::hinge, ranked::hinge),
        ("squared hinge: each, ranked", squared, all::one_by_one, ranked::squared_hinge),
        ("semi-hard: each, ranked", hinge, semi_hard::weigh_each, semi_hard::weigh_ranked),
        ("soft: each, factors", soft, all::one_by_one, |row| soft::weigh_by(row, false)),
        (
            "soft: factors, nodes",
            soft,
            |row| soft::weigh_by(row, false),
            |row| {
                soft::weigh_by(row, true);
            },
        ),
    ];
    let positives = [1, 2, 4, 6, 8, 12, 16, 24, 32, 48, 64, 128, 256, 512];
    let measure = |(name, penalty, each, ranked): (_, _, Work, Work)| {
        positives.map(|positives| {
            let case = Case::new(positives);
            let (slow, expected) = case.time(repeats, penalty, each);
            let (fast, tally) = case.time(repeats, penalty, ranked);
            let difference = (tally.value - expected.value).abs();
            Measured {
                name,
                positives,
                each: slow,
                ranked: fast,
                agree: (tally.active, tally.violated) == (expected.active, expected.violated)
                    && difference <= 1e-5 * expected.value,
            }
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
