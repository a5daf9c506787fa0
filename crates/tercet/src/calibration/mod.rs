//! From a distance to the probability that two items show the same class.
//!
//! The probability is that of pairs like those it was learnt from: where one pair in two was the
//! same, a distance that same and different pairs share equally gets ½. Judge it on other pairs
//! than those, by [`Quality`].

mod isotonic;
mod logistic;

pub use isotonic::Isotonic;
pub use logistic::Logistic;

use serde::{Deserialize, Serialize};

use crate::Error;
use crate::verification::{Pair, sorted_by_distance};

/// Same pairs, and different pairs, that a calibration needs.
pub const LEAST_PAIRS: usize = 10;

/// The least probability that the log loss is given, as in scikit-learn: one certain error among
/// many pairs would be infinite otherwise.
const LEAST_PROBABILITY: f64 = f64::EPSILON;

/// The probability of *same* as a function of distance that never rises.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Calibration {
    /// Any falling function: faithful where there are many pairs.
    Isotonic(Isotonic),
    /// A falling sigmoid: steady where there are few.
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

    /// The probability that two items so far apart are the same.
    pub fn probability(&self, distance: f32) -> f64 {
        match self {
            Self::Isotonic(isotonic) => isotonic.probability(distance),
            Self::Logistic(logistic) => logistic.probability(distance),
        }
    }

    /// The largest distance at which the probability is still at least `probability`: a threshold
    /// for links between items, say. None where it is so at no distance.
    ///
    /// Where it is so at every distance that files can hold, the largest of these.
    pub fn distance(&self, probability: f64) -> Option<f32> {
        match self {
            Self::Isotonic(isotonic) => isotonic.distance(probability),
            Self::Logistic(logistic) => logistic.distance(probability),
        }
    }

    /// How far the probabilities are from what the pairs turned out to be.
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

/// Bins of equal width that probabilities are put in.
const BINS: usize = 10;

/// How good probabilities are.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Quality {
    /// Pairs judged.
    pub pairs: u64,
    /// Mean of (p − y)², with y = 1 for same pairs and 0 for different ones.
    pub brier: f64,
    /// Mean of −ln p for same pairs and −ln(1 − p) for different ones, with p no nearer to 0 or 1
    /// than the precision of f64.
    pub log_loss: f64,
    /// Mean |predicted − observed| over the pairs of the bins (the expected calibration error).
    pub calibration_error: f64,
    /// Probabilities in ten bins of equal width against what was observed; without empty bins.
    pub reliability: Vec<ReliabilityBin>,
}

/// Pairs of about the same probability.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct ReliabilityBin {
    /// How many.
    pub pairs: u64,
    /// Their mean probability.
    pub predicted: f64,
    /// The share of them that is the same.
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
