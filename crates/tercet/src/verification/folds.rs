//! Accuracy at thresholds that were chosen on other folds.

use serde::Serialize;

use super::Pair;
use super::thresholds::best_threshold;
use crate::Error;

/// The thresholds of davidsandberg/facenet: 0, 0.01, …, 3.99.
const GRID_STEPS: u32 = 400;

/// Accuracy over folds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Accuracy {
    /// Mean of the folds' accuracies.
    pub mean: f64,
    /// Their population standard deviation; 0 with one fold.
    pub std: f64,
}

/// The result of one fold.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct FoldJudgement {
    /// The number of the fold.
    pub fold: u32,
    /// The number of its pairs.
    pub pairs: u64,
    /// The threshold chosen on the other folds.
    pub threshold: f32,
    /// Share of its pairs that are classified correctly at this threshold.
    pub accuracy: f64,
}

/// The pairs of one fold and those on which its threshold is chosen, both by increasing distance.
pub(super) struct Fold {
    pub(super) number: u32,
    pub(super) held_out: Vec<Pair>,
    pub(super) others: Vec<Pair>,
}

impl Fold {
    pub(super) fn split(sorted: &[Pair]) -> Vec<Self> {
        let mut numbers: Vec<u32> = sorted.iter().map(|pair| pair.fold).collect();
        numbers.sort_unstable();
        numbers.dedup();
        let fold = |&number: &u32| {
            let (held_out, others) = sorted.iter().partition(|pair| pair.fold == number);
            Self { number, held_out, others }
        };
        match numbers.as_slice() {
            [number] => {
                vec![Self { number: *number, held_out: sorted.to_vec(), others: sorted.to_vec() }]
            }
            numbers => numbers.iter().map(fold).collect(),
        }
    }

    pub(super) fn judge(&self) -> FoldJudgement {
        let threshold = best_threshold(&self.others);
        let right = self.held_out.iter().filter(|pair| (pair.distance < threshold) == pair.same);
        FoldJudgement {
            fold: self.number,
            pairs: self.held_out.len() as u64,
            threshold,
            accuracy: right.count() as f64 / self.held_out.len() as f64,
        }
    }
}

/// Accuracy by the convention of davidsandberg/facenet, for squared distances between normalised
/// vectors: of the thresholds 0, 0.01, …, 3.99, the first with the best accuracy on the other
/// folds. A pair is accepted as same if its distance is strictly below the threshold.
///
/// [`Verification::accuracy`](super::Verification::accuracy) tries every threshold instead.
///
/// # Errors
/// The errors of [`Verification::judge`](super::Verification::judge).
pub fn facenet_accuracy(pairs: &[Pair]) -> Result<Accuracy, Error> {
    let sorted = super::usable(pairs)?;
    let accuracies: Vec<f64> = Fold::split(&sorted)
        .iter()
        .map(|fold| {
            let mut best = (i64::MIN, 0);
            for (step, right) in (0..).zip(right_on_grid(&fold.others)) {
                if right > best.0 {
                    best = (right, step);
                }
            }
            let threshold = f64::from(best.1) * 0.01;
            let right = |pair: &&Pair| (f64::from(pair.distance) < threshold) == pair.same;
            fold.held_out.iter().filter(right).count() as f64 / fold.held_out.len() as f64
        })
        .collect();
    let (mean, std) = mean_and_std(&accuracies);
    Ok(Accuracy { mean, std })
}

/// For each threshold of the grid, how many more pairs it classifies correctly than accepting none.
fn right_on_grid(sorted: &[Pair]) -> impl Iterator<Item = i64> {
    let mut accepted = 0;
    let mut right = 0;
    (0..GRID_STEPS).map(move |step| {
        let threshold = f64::from(step) * 0.01;
        while let Some(pair) = sorted.get(accepted).filter(|p| f64::from(p.distance) < threshold) {
            right += if pair.same { 1 } else { -1 };
            accepted += 1;
        }
        right
    })
}

/// Mean and population standard deviation; NaN without values.
pub(super) fn mean_and_std(values: &[f64]) -> (f64, f64) {
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count;
    let variance = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / count;
    (mean, variance.sqrt())
}
