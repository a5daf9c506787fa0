use std::fmt;

use ndarray::ArrayView2;
use serde::{Deserialize, Serialize};

use super::field::Field;
use super::row::Row;
use super::{Outcome, Penalty, Reduction};
use crate::watch::{Steps, Watch};
use crate::{Error, Labels, Metric};

/// The generalised lifted structure loss L_LG of "In Defense of the Triplet Loss" (arXiv
/// 1703.07737, eq. 7), which weighs all pairs of an anchor smoothly instead of selecting some:
///
/// ```text
/// Σ_a [ log Σ_p e^{d(a,p)} + log Σ_n e^{margin − d(a,n)} ]₊
/// ```
///
/// over the anchors a with at least one positive p and one negative n, computed without overflow.
///
/// # Census
/// Every triplet takes part: `selected` equals `triplets`. `active` counts the triplets of the
/// anchors whose term is above 0, `violated` those with d(a,n) ≤ d(a,p).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Lifted {
    /// How distances are measured. Default: Euclidean, not normalised.
    pub metric: Metric,
    /// How much farther than the positives the negatives must be. Default: 1.
    pub margin: f32,
    /// How the anchors' terms become one number: their mean over the anchors that have a term (for
    /// `mean` and `mean-anchors`, the default), over those whose term is above 0 (`mean-active`),
    /// or their sum, as eq. 7 writes it.
    pub reduction: Reduction,
}

impl Default for Lifted {
    fn default() -> Self {
        Self { metric: Metric::default(), margin: 1.0, reduction: Reduction::Mean }
    }
}

impl fmt::Display for Lifted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "every pair, margin {}, {}", self.margin, self.reduction)
    }
}

impl Lifted {
    /// The same objective with another margin.
    pub fn with_margin(self, margin: f32) -> Self {
        Self { margin, ..self }
    }

    /// Whether a network can be trained on this objective.
    ///
    /// # Errors
    /// A margin that is not finite.
    pub fn check_trainable(&self) -> Result<(), Error> {
        if self.margin.is_finite() {
            return Ok(());
        }
        Err(Error::Parameter {
            parameter: "margin",
            got: self.margin.to_string(),
            expected: "a finite number",
        })
    }

    /// The value of the objective over a batch, its gradient, and the census of its triplets.
    ///
    /// # Shapes
    /// - `embeddings`: B×D, `labels`: B
    /// - gradient: B×D
    ///
    /// # Errors
    /// Unequal numbers of rows and labels; values that are not finite or too long to square; a
    /// margin that is not finite.
    pub fn evaluate(&self, embeddings: ArrayView2<f32>, labels: &Labels) -> Result<Outcome, Error> {
        self.over(embeddings, labels, None, &Steps::unwatched())
    }

    /// As [`evaluate`](Self::evaluate), telling `watch` how many of the anchors are done.
    ///
    /// # Errors
    /// As [`evaluate`](Self::evaluate), and [`Error::Interrupted`] when `watch` says so.
    pub fn evaluate_watched(
        &self,
        embeddings: ArrayView2<f32>,
        labels: &Labels,
        watch: Watch,
    ) -> Result<Outcome, Error> {
        let steps = Steps::new(Some(watch), embeddings.nrows());
        let outcome = self.over(embeddings, labels, None, &steps)?;
        steps.finish().map(|()| outcome)
    }

    /// As [`evaluate`](Self::evaluate), with frozen vectors (M×D) as further positives and
    /// negatives of the batch's anchors; see [`Objective::evaluate_with_frozen`].
    ///
    /// [`Objective::evaluate_with_frozen`]: super::Objective::evaluate_with_frozen
    ///
    /// # Errors
    /// As [`evaluate`](Self::evaluate), also for the frozen vectors; other dimensions than the
    /// batch's.
    pub fn evaluate_with_frozen(
        &self,
        embeddings: ArrayView2<f32>,
        labels: &Labels,
        frozen: ArrayView2<f32>,
        frozen_labels: &Labels,
    ) -> Result<Outcome, Error> {
        self.over(embeddings, labels, Some((frozen, frozen_labels)), &Steps::unwatched())
    }

    fn over(
        &self,
        embeddings: ArrayView2<f32>,
        labels: &Labels,
        frozen: Option<(ArrayView2<f32>, &Labels)>,
        steps: &Steps,
    ) -> Result<Outcome, Error> {
        self.check_trainable()?;
        let field = Field::new(self.metric, embeddings, labels, frozen)?;
        let sums = field.sums(Penalty::Hinge { margin: self.margin }, true, steps, weigh);
        let divisor = match self.reduction {
            Reduction::Mean | Reduction::MeanAnchors => sums.census.anchors,
            Reduction::MeanActive => sums.teaching_anchors,
            Reduction::Sum => 1,
        };
        Ok(field.outcome(&sums, divisor))
    }
}

/// One anchor's term; the weights are the softmax of the positives and of the negatives.
fn weigh(row: &mut Row) -> bool {
    let (anchor, distances) = (row.anchor, row.distances);
    let positives = || row.class.clone().filter(|&place| place != anchor);
    let negatives = || (0..row.class.start).chain(row.class.end..distances.len());
    let (far, positive_sum) = log_sum_exp(positives().map(|place| f64::from(distances[place])));
    let (near, negative_sum) = log_sum_exp(negatives().map(|place| -f64::from(distances[place])));
    let term = far + positive_sum.ln() + f64::from(row.penalty.margin()) + near + negative_sum.ln();

    let mut sorted: Vec<f32> = positives().map(|place| distances[place]).collect();
    sorted.sort_unstable_by(f32::total_cmp);
    let farther = |d_an: f32| sorted.len() - sorted.partition_point(|&d_ap| d_ap < d_an);
    let violated: u64 = negatives().map(|place| farther(distances[place]) as u64).sum();
    let triplets = sorted.len() as u64 * negatives().count() as u64;
    let active = term > 0.0;
    row.tally.selected += triplets;
    row.tally.violated += violated;
    if active {
        row.tally.value += term;
        row.tally.active += triplets;
        for place in positives() {
            let share = (f64::from(distances[place]) - far).exp() / positive_sum;
            row.weights[place] += share as f32;
        }
        for place in negatives() {
            let share = (-f64::from(distances[place]) - near).exp() / negative_sum;
            row.weights[place] -= share as f32;
        }
    }
    active
}

/// The greatest value m and Σ e^{v − m}: log Σ e^v is m plus the logarithm of the sum.
fn log_sum_exp(values: impl Iterator<Item = f64> + Clone) -> (f64, f64) {
    let greatest = values.clone().fold(f64::NEG_INFINITY, f64::max);
    (greatest, values.map(|value| (value - greatest).exp()).sum())
}
