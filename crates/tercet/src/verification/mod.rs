//! Verification: are two items of the same class? Evaluated on pairs, as in LFW.

mod curve;
mod folds;
mod intervals;
mod pairs;
mod rates;
mod thresholds;

pub use curve::RocPoint;
pub use folds::{Accuracy, FoldJudgement, facenet_accuracy};
pub use intervals::Intervals;
pub use pairs::{RowPair, balanced_pairs, balanced_rows, measured_pairs};
pub use rates::{FAR_TARGETS, FnmrAtFmr, ValAtFar, threshold_at_far};

use std::collections::BTreeMap;

use serde::Serialize;

use crate::Error;
use crate::comparison::Scores;
use folds::{Fold, mean_and_std};
use rates::{Accepted, check_far};
use thresholds::best_threshold;

/// The comparison of two items.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pair {
    /// Their distance, in any unit that is the same for all pairs.
    pub distance: f32,
    /// Whether they are of the same class.
    pub same: bool,
    /// The fold in which this pair is tested. Folds can have any numbers.
    pub fold: u32,
}

/// The figures of accepting pairs below a distance (Huang et al., "Labeled Faces in the Wild",
/// 2007; VAL and FAR as in Schroff et al., "FaceNet", 2015).
///
/// A pair is accepted as *same* iff its distance is **strictly below** a threshold, as in
/// davidsandberg/facenet. FAR is the share of different pairs that are accepted, VAL the share of
/// same pairs.
///
/// Thresholds are chosen on all folds except one and applied to that one. If there is only one
/// fold, or if the other folds have no different pair to choose a FAR threshold with, the threshold
/// is chosen on all pairs instead, and the figure is too optimistic.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Verification {
    /// The number of pairs.
    pub pairs: u64,
    /// Share of the pairs that are classified correctly, at the thresholds chosen for this.
    ///
    /// Of the thresholds halfway between neighbouring distances (and one below and one above all),
    /// the lowest with the best accuracy on the other folds is used.
    pub accuracy: Accuracy,
    /// The probability that a same pair is closer than a different pair, where ties count half: the
    /// area under the ROC curve over all pairs.
    pub auc: f64,
    /// The rate at which FAR equals the share of same pairs that are refused, over all pairs,
    /// interpolated linearly between neighbouring points of the ROC curve.
    pub eer: f64,
    /// The lowest threshold with the best accuracy over all pairs, for use on other data.
    pub threshold: f32,
    /// The validation rate at each of the false accept rates, by the rate as text.
    pub val_at_far: BTreeMap<String, ValAtFar>,
    /// The share of same pairs that are refused if the false match rate is at most each of these
    /// rates, over all pairs, by the rate as text.
    pub fnmr_at_fmr: BTreeMap<String, FnmrAtFmr>,
    /// How much these figures would vary with other folds; `None` with one fold only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ci95: Option<Intervals>,
    /// The ROC curve over all pairs, thinned for a plot, by increasing threshold.
    #[serde(skip)]
    pub roc: Vec<RocPoint>,
    /// The result of every fold, by increasing number.
    #[serde(skip)]
    pub by_fold: Vec<FoldJudgement>,
}

impl Verification {
    /// Evaluates pairs with given distances, at the [default false accept rates](FAR_TARGETS), in
    /// O(P log P + F·P) for P pairs in F folds, and O(P + F) for each bootstrap resample.
    ///
    /// # Errors
    /// A distance that is not finite; no same pairs; no different pairs.
    pub fn judge(pairs: &[Pair]) -> Result<Self, Error> {
        Self::judge_at(pairs, &FAR_TARGETS.map(|(_, far)| far))
    }

    /// [`judge`](Self::judge) at these false accept rates.
    ///
    /// # Errors
    /// The errors of [`judge`](Self::judge), and a rate outside 0…1.
    pub fn judge_at(pairs: &[Pair], far_targets: &[f64]) -> Result<Self, Error> {
        far_targets.iter().try_for_each(|&far| check_far(far))?;
        let sorted = usable(pairs)?;
        let folds = Fold::split(&sorted);
        let by_fold: Vec<FoldJudgement> = folds.iter().map(Fold::judge).collect();
        let accuracies: Vec<f64> = by_fold.iter().map(|fold| fold.accuracy).collect();
        let (mean, std) = mean_and_std(&accuracies);
        let accepted: Vec<(String, Accepted)> = far_targets
            .iter()
            .map(|&far| (far.to_string(), Accepted::new(&sorted, &folds, far)))
            .collect();
        let curve = curve::roc(&sorted);
        Ok(Self {
            pairs: pairs.len() as u64,
            accuracy: Accuracy { mean, std },
            auc: curve::area_under(&curve),
            eer: curve::equal_error_rate(&curve),
            threshold: best_threshold(&sorted),
            fnmr_at_fmr: far_targets
                .iter()
                .filter_map(|&far| Some((far.to_string(), FnmrAtFmr::judge(&sorted, far)?)))
                .collect(),
            ci95: Intervals::new(&sorted, &by_fold, &accepted)?,
            val_at_far: accepted
                .into_iter()
                .map(|(name, accepted)| (name, accepted.summary()))
                .collect(),
            roc: curve::thinned(&sorted, &curve),
            by_fold,
        })
    }
}

impl Verification {
    /// The accuracy of every fold by its number, for a [comparison](crate::comparison) with another
    /// system on the same folds, in which each fold counts as a class.
    pub fn scores(&self) -> Scores {
        self.by_fold.iter().map(|fold| (fold.fold, fold.accuracy)).collect()
    }
}

/// The pairs by increasing distance, if there are some of both kinds.
fn usable(pairs: &[Pair]) -> Result<Vec<Pair>, Error> {
    let sorted = sorted_by_distance(pairs)?;
    let same = sorted.iter().filter(|pair| pair.same).count();
    if same == 0 || same == sorted.len() {
        return Err(Error::NotEnough {
            what: "verification",
            expected: "same pairs and different pairs".to_owned(),
            got: format!("{same} same and {} different", sorted.len() - same),
        });
    }
    Ok(sorted)
}

pub(crate) fn sorted_by_distance(pairs: &[Pair]) -> Result<Vec<Pair>, Error> {
    if let Some(n) = pairs.iter().position(|pair| !pair.distance.is_finite()) {
        return Err(Error::parameter(
            "distance",
            format!("{} at pair {n}", pairs[n].distance),
            "finite numbers",
        ));
    }
    let mut sorted = pairs.to_vec();
    sorted.sort_by(|x, y| x.distance.total_cmp(&y.distance));
    Ok(sorted)
}

#[cfg(test)]
mod tests;
