//! The evaluation of embeddings of held-out classes: retrieval and verification.

use ndarray::ArrayView2;
use serde::Serialize;
use tercet::calibration::Calibration;
use tercet::open_set::{Bound, OpenSet};
use tercet::verification::{FAR_TARGETS, Pair, balanced_pairs, threshold_at_far};
use tercet::{Error, Labels, Metric, Retrieval, Verification};
use tercet_report::DistanceHistogram;

/// Number of bins of a [`histogram`].
pub const HISTOGRAM_BINS: usize = 60;

/// The largest number of same pairs per fold; there are as many different pairs.
pub const PAIRS_PER_FOLD: usize = 30_000;

/// The figures of retrieval, and those of verification if there are enough pairs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Judgement {
    /// Leave-one-out retrieval.
    #[serde(flatten)]
    pub retrieval: Retrieval,
    /// Verification on balanced pairs, in folds without common classes; none with fewer than two
    /// classes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verification: Option<Verification>,
    /// The pairs on which verification is evaluated.
    #[serde(skip)]
    pub pairs: Vec<Pair>,
}

impl Judgement {
    /// Evaluates embeddings by leave-one-out retrieval, and on pairs drawn with `seed`.
    ///
    /// # Errors
    /// The errors of [`Retrieval::leave_one_out`].
    pub fn new(
        embeddings: ArrayView2<f32>,
        labels: &Labels,
        metric: Metric,
        seed: u64,
    ) -> Result<Self, Error> {
        let retrieval = Retrieval::leave_one_out(embeddings, labels, metric)?;
        let pairs = pairs(embeddings, labels, metric, seed)?;
        let verification = match Verification::judge(&pairs) {
            Err(Error::NotEnough { .. }) => None,
            verification => Some(verification?),
        };
        Ok(Self { retrieval, verification, pairs })
    }

    /// The distance below which two items count as the same, at each of [`FAR_TARGETS`], chosen on
    /// all pairs.
    pub fn thresholds(&self) -> impl Iterator<Item = (&'static str, f32)> {
        FAR_TARGETS
            .iter()
            .filter_map(|&(name, far)| Some((name, threshold_at_far(&self.pairs, far).ok()?)))
    }

    /// The probability that a pair is the same as a function of its distance, fitted to all pairs;
    /// none if there are too few.
    pub fn calibration(&self) -> Option<Calibration> {
        Calibration::logistic(&self.pairs).ok()
    }
}

/// The pairs on which verification is evaluated; empty if the classes do not have enough items.
///
/// # Errors
/// Vectors that [`Retrieval::leave_one_out`] refuses.
pub fn pairs(
    embeddings: ArrayView2<f32>,
    labels: &Labels,
    metric: Metric,
    seed: u64,
) -> Result<Vec<Pair>, Error> {
    match balanced_pairs(embeddings, labels, metric, PAIRS_PER_FOLD, seed) {
        Err(Error::NotEnough { .. }) => Ok(Vec::new()),
        pairs => pairs,
    }
}

/// The distances of queries of unknown and of known classes to a gallery of these embeddings; none
/// if there are too few classes.
///
/// # Errors
/// Vectors that [`Retrieval::leave_one_out`] refuses.
pub fn open_set(
    embeddings: ArrayView2<f32>,
    labels: &Labels,
    metric: Metric,
    seed: u64,
) -> Result<Option<OpenSet>, Error> {
    match OpenSet::measure(embeddings, labels, metric, Bound::Upper, seed) {
        Err(Error::NotEnough { .. }) => Ok(None),
        measured => measured.map(Some),
    }
}

/// The distribution of the distances of pairs, from 0 to the largest, in [`HISTOGRAM_BINS`] bins.
pub fn histogram(name: &str, pairs: &[Pair]) -> DistanceHistogram {
    let to = pairs.iter().map(|pair| pair.distance).fold(f32::MIN_POSITIVE, f32::max);
    let mut counts = [[0_u64; HISTOGRAM_BINS]; 2];
    for pair in pairs {
        let bin = (pair.distance / to * HISTOGRAM_BINS as f32) as usize;
        counts[usize::from(pair.same)][bin.min(HISTOGRAM_BINS - 1)] += 1;
    }
    let shares = |counts: &[u64; HISTOGRAM_BINS]| {
        let total = counts.iter().sum::<u64>().max(1) as f64;
        counts.iter().map(|&count| count as f64 / total).collect()
    };
    DistanceHistogram {
        name: name.to_owned(),
        from: 0.0,
        to: f64::from(to),
        same: shares(&counts[1]),
        different: shares(&counts[0]),
    }
}
