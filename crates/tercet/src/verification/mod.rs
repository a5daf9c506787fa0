//! Do two items show the same class? Judged on pairs, as LFW does.

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

/// Two items compared.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pair {
    /// How far apart they are; any unit, but one for all pairs.
    pub distance: f32,
    /// Whether they are of the same class.
    pub same: bool,
    /// The fold that this pair is tested in. Any numbers that tell folds apart.
    pub fold: u32,
}

/// What accepting pairs below a distance achieves (Huang et al., "Labeled Faces in the Wild",
/// 2007; VAL and FAR as in Schroff et al., "FaceNet", 2015).
///
/// A pair is accepted as *same* iff its distance is **strictly below** a threshold, as in
/// davidsandberg/facenet. FAR is the share of different pairs that are accepted, VAL the share of
/// same pairs.
///
/// Thresholds are chosen on all folds but one and applied to that one. Where there is only one
/// fold, or where the other folds hold no different pair to choose a FAR threshold by, the choice
/// is made on all pairs instead, and the figure is optimistic by that much.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Verification {
    /// Pairs judged.
    pub pairs: u64,
    /// Share of the pairs judged rightly, at thresholds chosen for it.
    ///
    /// Of the thresholds halfway between neighbouring distances (and the two beyond them), the
    /// lowest with the best accuracy on the other folds is taken.
    pub accuracy: Accuracy,
    /// The probability that a same pair is closer than a different pair, ties counted half: the
    /// area under the ROC curve over all pairs.
    pub auc: f64,
    /// The rate at which FAR equals the share of same pairs refused, over all pairs; interpolated
    /// linearly between neighbouring points of the ROC curve.
    pub eer: f64,
    /// The lowest threshold with the best accuracy over all pairs, for use on other data.
    pub threshold: f32,
    /// The validation rate at each false accept rate asked for, by the rate as text.
    pub val_at_far: BTreeMap<String, ValAtFar>,
    /// The share of same pairs refused at each of these rates as a false match rate, over all
    /// pairs, by the rate as text.
    pub fnmr_at_fmr: BTreeMap<String, FnmrAtFmr>,
    /// How far these figures would vary with other folds; none with one fold only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ci95: Option<Intervals>,
    /// The ROC curve over all pairs, thinned for a plot, by rising threshold.
    #[serde(skip)]
    pub roc: Vec<RocPoint>,
    /// What became of every fold, by rising number.
    #[serde(skip)]
    pub by_fold: Vec<FoldJudgement>,
}

impl Verification {
    /// Judges pairs that are already measured, at the [default false accept rates](FAR_TARGETS),
    /// in O(P log P + F·P) for P pairs in F folds, and as much again for a bootstrap resample.
    ///
    /// # Errors
    /// A distance that is not finite; no same pairs; no different pairs; no pairs, and hence no
    /// folds, at all.
    pub fn judge(pairs: &[Pair]) -> Result<Self, Error> {
        Self::judge_at(pairs, &FAR_TARGETS.map(|(_, far)| far))
    }

    /// [`judge`](Self::judge) at these false accept rates.
    ///
    /// # Errors
    /// As [`judge`](Self::judge); a rate outside 0…1.
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
    /// system on the same folds; each fold is a class of its own there.
    pub fn scores(&self) -> Scores {
        self.by_fold.iter().map(|fold| (fold.fold, fold.accuracy)).collect()
    }
}

/// The pairs by rising distance, if there are some of both kinds.
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
