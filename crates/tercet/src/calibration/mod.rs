//! The probability that two items are of the same class, as a function of their distance.
//!
//! The probability is that of pairs like those of the calibration: if half of these were the same,
//! a distance at which same and different pairs are equally frequent has probability ½. Evaluate it
//! on other pairs than those, by [`Quality`].

mod isotonic;
mod logistic;

pub use isotonic::Isotonic;
pub use logistic::Logistic;

use serde::{Deserialize, Serialize};

use crate::Error;
use crate::verification::{Pair, sorted_by_distance};

/// The number of same pairs, and of different pairs, that a calibration needs.
pub const LEAST_PAIRS: usize = 10;

/// The least probability for which the log loss is computed, as in scikit-learn: without it, one
/// certain error among many pairs would make the loss infinite.
const LEAST_PROBABILITY: f64 = f64::EPSILON;

/// The probability of *same* as a function of distance that never increases.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Calibration {
    /// Any non-increasing function: exact if there are many pairs.
    Isotonic(Isotonic),
    /// A sigmoid: stable if there are few pairs.
    Logistic(Logistic),
}

impl Calibration {
    /// The [isotonic](Isotonic) regression of the pairs.
    ///
    /// # Errors
    /// A distance that is not finite; fewer than [`LEAST_PAIRS`] same or different pairs.
    pub fn isotonic(pairs: &[Pair]) -> Result<Self, Error> {
        Ok(Self::Isotonic(Isotonic::fit(&usable(pairs)?)))
    }

    /// The [logistic](Logistic) regression of the pairs.
    ///
    /// # Errors
    /// A distance that is not finite; fewer than [`LEAST_PAIRS`] same or different pairs.
    pub fn logistic(pairs: &[Pair]) -> Result<Self, Error> {
        Ok(Self::Logistic(Logistic::fit(&usable(pairs)?)))
    }

    /// The probability that two items at this distance are of the same class.
    pub fn probability(&self, distance: f32) -> f64 {
        match self {
            Self::Isotonic(isotonic) => isotonic.probability(distance),
            Self::Logistic(logistic) => logistic.probability(distance),
        }
    }

    /// The largest distance at which the probability is still at least `probability`, for example
    /// as a threshold for links between items. `None` if it is at no distance.
    ///
    /// If it is at every distance that files can hold, the largest of these.
    pub fn distance(&self, probability: f64) -> Option<f32> {
        match self {
            Self::Isotonic(isotonic) => isotonic.distance(probability),
            Self::Logistic(logistic) => logistic.distance(probability),
        }
    }

    /// How much the probabilities differ from the truth about other pairs.
    ///
    /// # Errors
    /// A distance that is not finite; no pairs.
    pub fn quality(&self, pairs: &[Pair]) -> Result<Quality, Error> {
        let sorted = sorted_by_distance(pairs)?;
        if sorted.is_empty() {
            return Err(Error::NotEnough {
                what: "the quality of a calibration",
                expected: "at least one pair".to_owned(),
                got: "none".to_owned(),
            });
        }
        let count = sorted.len() as f64;
        let (mut brier, mut log_loss) = (0.0, 0.0);
        let mut bins = [ReliabilityBin::default(); BINS];
        for pair in &sorted {
            let probability = self.probability(pair.distance);
            let truth = f64::from(u8::from(pair.same));
            brier += (probability - truth).powi(2);
            let right = if pair.same { probability } else { 1.0 - probability };
            log_loss -= right.clamp(LEAST_PROBABILITY, 1.0 - LEAST_PROBABILITY).ln();
            let bin = &mut bins[((probability * BINS as f64) as usize).min(BINS - 1)];
            bin.pairs += 1;
            bin.predicted += probability;
            bin.observed += truth;
        }
        let reliability: Vec<ReliabilityBin> = bins
            .into_iter()
            .filter(|bin| bin.pairs > 0)
            .map(|bin| ReliabilityBin {
                pairs: bin.pairs,
                predicted: bin.predicted / bin.pairs as f64,
                observed: bin.observed / bin.pairs as f64,
            })
            .collect();
        let gap = |bin: &ReliabilityBin| bin.pairs as f64 * (bin.predicted - bin.observed).abs();
        Ok(Quality {
            pairs: sorted.len() as u64,
            brier: brier / count,
            log_loss: log_loss / count,
            calibration_error: reliability.iter().map(gap).sum::<f64>() / count,
            reliability,
        })
    }
}

/// The number of bins of equal width into which probabilities are divided.
const BINS: usize = 10;

/// The quality of probabilities, evaluated on pairs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Quality {
    /// The number of pairs.
    pub pairs: u64,
    /// Mean of (p − y)², with y = 1 for same pairs and 0 for different ones.
    pub brier: f64,
    /// Mean of −ln p for same pairs and −ln(1 − p) for different ones, where p is at least the
    /// precision of f64 away from 0 and 1.
    pub log_loss: f64,
    /// Mean |predicted − observed| over the pairs of the bins (the expected calibration error).
    pub calibration_error: f64,
    /// Predicted probabilities in ten bins of equal width, with the observed shares; without empty
    /// bins.
    pub reliability: Vec<ReliabilityBin>,
}

/// Pairs with similar probabilities.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct ReliabilityBin {
    /// The number of pairs.
    pub pairs: u64,
    /// Their mean probability.
    pub predicted: f64,
    /// The share of the pairs that are the same.
    pub observed: f64,
}

fn usable(pairs: &[Pair]) -> Result<Vec<Pair>, Error> {
    let sorted = sorted_by_distance(pairs)?;
    let same = sorted.iter().filter(|pair| pair.same).count();
    let different = sorted.len() - same;
    if same.min(different) < LEAST_PAIRS {
        return Err(Error::NotEnough {
            what: "a calibration",
            expected: format!("{LEAST_PAIRS} same and {LEAST_PAIRS} different pairs"),
            got: format!("{same} same and {different} different"),
        });
    }
    Ok(sorted)
}

#[cfg(test)]
mod tests;
