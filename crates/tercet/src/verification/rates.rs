//! The rates of accepted pairs when false accepts are limited.

use serde::Serialize;

use super::folds::{Fold, mean_and_std};
use super::thresholds::just_above;
use super::{Pair, sorted_by_distance};
use crate::Error;

/// The default false accept rates, with the text that names them in the output.
pub const FAR_TARGETS: [(&str, f64); 3] = [("0.1", 0.1), ("0.01", 0.01), ("0.001", 0.001)];

/// The validation rate when false accepts are limited.
///
/// For each fold the threshold is [`threshold_at_far`] of the other folds. It does not interpolate
/// between ties, increases with the target, and gives VAL 1 whenever some threshold separates all
/// same pairs from all different ones. If there are too few different pairs to resolve the target,
/// it accepts none of those on which it was chosen.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct ValAtFar {
    /// Mean over the folds (those with same pairs) of the share of same pairs accepted.
    pub val: f64,
    /// Population standard deviation of that share.
    pub std: f64,
    /// Mean over the folds (those with different pairs) of the share of different pairs accepted:
    /// the rate on pairs that were not used to choose the threshold.
    pub far: f64,
}

/// The share of same pairs that are refused when false matches are limited, as in biometrics.
///
/// It is computed over all pairs: the threshold is [`threshold_at_far`] of the same pairs to which
/// it is applied, as in NIST's evaluations. [`ValAtFar`] is the more cautious figure.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct FnmrAtFmr {
    /// False non-match rate: the share of same pairs that are not accepted.
    pub fnmr: f64,
    /// False match rate: the share of different pairs accepted, at most the target.
    pub fmr: f64,
    /// The threshold: pairs strictly below it are accepted.
    pub threshold: f32,
}

/// The shares of same and of different pairs that each fold accepts.
pub(super) struct Accepted {
    /// The share of same pairs of every fold that has some.
    pub(super) vals: Vec<Option<f64>>,
    fars: Vec<f64>,
}

impl Accepted {
    pub(super) fn new(sorted: &[Pair], folds: &[Fold], target: f64) -> Self {
        let mut vals = Vec::new();
        let mut fars = Vec::new();
        for fold in folds {
            let threshold = limit_far(&fold.others, target).or_else(|| limit_far(sorted, target));
            let Some(threshold) = threshold else { continue };
            let (accepted_same, accepted_different) = accepted(&fold.held_out, threshold);
            vals.push(accepted_same);
            fars.extend(accepted_different);
        }
        Self { vals, fars }
    }

    pub(super) fn summary(&self) -> ValAtFar {
        let vals: Vec<f64> = self.vals.iter().copied().flatten().collect();
        let (val, std) = mean_and_std(&vals);
        let (far, _) = mean_and_std(&self.fars);
        ValAtFar { val, std, far }
    }
}

impl FnmrAtFmr {
    /// `None` without same or without different pairs.
    pub(super) fn judge(sorted: &[Pair], target: f64) -> Option<Self> {
        let threshold = limit_far(sorted, target)?;
        let (same, different) = accepted(sorted, threshold);
        Some(Self { fnmr: 1.0 - same?, fmr: different?, threshold })
    }
}

/// The largest threshold at which the share of different pairs strictly below it is at most `far`.
///
/// It is the distance of a different pair (which it refuses), or with `far` = 1 a distance just
/// above all pairs. If `far` is below one in the number of different pairs, it is the smallest
/// distance of a different pair: none is accepted. Same pairs and folds have no effect.
///
/// # Errors
/// A distance that is not finite; no different pairs; `far` outside 0…1.
///
/// ```
/// use tercet::verification::{Pair, threshold_at_far};
/// let pairs = [1.0_f32, 2.0, 3.0, 4.0].map(|distance| Pair { distance, same: false, fold: 0 });
/// assert_eq!(threshold_at_far(&pairs, 0.5)?, 3.0);
/// assert_eq!(threshold_at_far(&pairs, 0.1)?, 1.0);
/// # Ok::<(), tercet::Error>(())
/// ```
pub fn threshold_at_far(pairs: &[Pair], far: f64) -> Result<f32, Error> {
    check_far(far)?;
    let sorted = sorted_by_distance(pairs)?;
    limit_far(&sorted, far).ok_or_else(|| Error::NotEnough {
        what: "a threshold at a false accept rate",
        expected: "different pairs".to_owned(),
        got: format!("{} same and 0 different", pairs.len()),
    })
}

pub(super) fn check_far(far: f64) -> Result<(), Error> {
    if (0.0..=1.0).contains(&far) {
        return Ok(());
    }
    let expected = "a share from 0 to 1";
    Err(Error::parameter("far", far.to_string(), expected))
}

/// [`threshold_at_far`] of sorted pairs, or `None` without different pairs.
fn limit_far(sorted: &[Pair], far: f64) -> Option<f32> {
    let different: Vec<f32> =
        sorted.iter().filter(|pair| !pair.same).map(|pair| pair.distance).collect();
    let count = different.len();
    // The quotient decides, as in a calculation by hand: 0.29 · 100 is below 29 in f64.
    let guess = (far * count as f64) as usize;
    let within = |accepted: usize| accepted as f64 / count as f64 <= far;
    let allowed = if within(guess + 1) { guess + 1 } else { guess };
    match different.get(allowed) {
        Some(&threshold) => Some(threshold),
        None if count == 0 => None,
        None => sorted.last().map(|pair| just_above(pair.distance)),
    }
}

/// The shares of the same and of the different pairs below the threshold, if there are any.
fn accepted(pairs: &[Pair], threshold: f32) -> (Option<f64>, Option<f64>) {
    let share = |same: bool| {
        let kind = pairs.iter().filter(|pair| pair.same == same);
        let below = kind.clone().filter(|pair| pair.distance < threshold).count();
        Some(kind.count()).filter(|&count| count > 0).map(|count| below as f64 / count as f64)
    };
    (share(true), share(false))
}
