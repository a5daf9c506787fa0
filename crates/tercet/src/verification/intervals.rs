//! How much the figures would vary with other folds.

use std::collections::BTreeMap;

use rand::rngs::ChaCha8Rng;
use rand::{RngExt, SeedableRng};
use rayon::prelude::*;
use serde::Serialize;

use super::curve::{area_under, equal_error};
use super::rates::Accepted;
use super::{FoldJudgement, Pair};
use crate::{Error, bootstrap};

/// 95 % intervals \[low, high\], by the bootstrap over folds: as many folds are drawn with
/// replacement as there are, each with all its pairs.
///
/// If folds share no class, as in LFW and in [`balanced_pairs`](super::balanced_pairs), this is a
/// bootstrap over groups of classes. Ten of them are few, so the intervals are rough. AUC and EER
/// are those of the resampled pairs; accuracy and VAL are means over the drawn folds, at the
/// thresholds that were chosen for them. Resamples without a same or without a different pair are
/// left out of AUC and EER.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Intervals {
    /// The interval of the mean accuracy.
    pub accuracy: [f64; 2],
    /// The interval of the area under the ROC curve.
    pub auc: [f64; 2],
    /// The interval of the equal error rate.
    pub eer: [f64; 2],
    /// The interval of VAL at each false accept rate, by the rate as text.
    pub val_at_far: BTreeMap<String, [f64; 2]>,
}

impl Intervals {
    /// `None` with one fold, or if no resample has pairs of both kinds.
    pub(super) fn new(
        sorted: &[Pair],
        folds: &[FoldJudgement],
        accepted: &[(String, Accepted)],
    ) -> Result<Option<Self>, Error> {
        if folds.len() < 2 {
            return Ok(None);
        }
        let mut stream = ChaCha8Rng::seed_from_u64(bootstrap::SEED);
        let draws: Vec<Vec<u64>> = (0..bootstrap::RESAMPLES)
            .map(|_| {
                let mut times = vec![0; folds.len()];
                for _ in folds {
                    times[stream.random_range(0..folds.len())] += 1;
                }
                times
            })
            .collect();
        // A fold without same pairs has no VAL, and contributes none.
        let mean_of = |values: &[Option<f64>]| -> Result<[f64; 2], Error> {
            let mean = |times: &Vec<u64>| {
                let drawn = || times.iter().zip(values).filter_map(|(&n, &v)| Some((n as f64, v?)));
                let count: f64 = drawn().map(|(times, _)| times).sum();
                (count > 0.0).then(|| drawn().map(|(n, value)| n * value).sum::<f64>() / count)
            };
            bootstrap::interval95(draws.iter().filter_map(mean).collect())
        };
        let weighed = Weighed::new(sorted, folds);
        let rates: Vec<(f64, f64)> =
            draws.par_iter().filter_map(|times| weighed.auc_and_eer(times)).collect();
        if rates.is_empty() {
            return Ok(None);
        }
        let (aucs, eers) = rates.into_iter().unzip();
        let accuracies: Vec<Option<f64>> = folds.iter().map(|fold| Some(fold.accuracy)).collect();
        Ok(Some(Self {
            accuracy: mean_of(&accuracies)?,
            auc: bootstrap::interval95(aucs)?,
            eer: bootstrap::interval95(eers)?,
            val_at_far: accepted
                .iter()
                .map(|(name, accepted)| Ok((name.clone(), mean_of(&accepted.vals)?)))
                .collect::<Result<_, Error>>()?,
        }))
    }
}

/// Pairs by increasing distance, each with the index of its fold, so that they can be counted
/// several times.
struct Weighed {
    pairs: Vec<Weighable>,
    /// The numbers of different and of same pairs of each fold.
    totals: Vec<[u64; 2]>,
}

struct Weighable {
    fold: u32,
    same: bool,
    /// Whether the next pair has a larger distance.
    ends_tie: bool,
}

impl Weighed {
    fn new(sorted: &[Pair], folds: &[FoldJudgement]) -> Self {
        let place = |pair: &Pair| folds.partition_point(|fold| fold.fold < pair.fold);
        let mut totals = vec![[0; 2]; folds.len()];
        let pairs = sorted
            .iter()
            .enumerate()
            .map(|(n, pair)| {
                let fold = place(pair);
                totals[fold][usize::from(pair.same)] += 1;
                Weighable {
                    fold: fold as u32,
                    same: pair.same,
                    ends_tie: sorted.get(n + 1).is_none_or(|next| next.distance != pair.distance),
                }
            })
            .collect();
        Self { pairs, totals }
    }

    /// AUC and EER, or `None` without pairs of both kinds.
    fn auc_and_eer(&self, times: &[u64]) -> Option<(f64, f64)> {
        let total = |kind: usize| -> u64 {
            self.totals.iter().zip(times).map(|(fold, times)| fold[kind] * times).sum()
        };
        let (different, same) = (total(0), total(1));
        if same == 0 || different == 0 {
            return None;
        }
        let mut accepted = [0_u64; 2];
        let (mut before, mut auc, mut eer) = ((0.0, 0.0), 0.0, None);
        for pair in &self.pairs {
            accepted[usize::from(pair.same)] += times[pair.fold as usize];
            if pair.ends_tie {
                let far = accepted[0] as f64 / different as f64;
                let ends = [before, (far, accepted[1] as f64 / same as f64)];
                auc += area_under(&ends);
                eer = eer.or_else(|| equal_error(ends));
                before = ends[1];
            }
        }
        Some((auc, eer.unwrap_or(1.0)))
    }
}
