use std::fmt;

use ndarray::ArrayView2;
use serde::{Deserialize, Serialize};

use super::field::{Field, on_pool};
use super::penalty::exp_below_0;
use super::ranked::{self, Span};
use super::row::{Row, Rule};
use super::{Outcome, Penalty, Reduction};
use crate::distance::multiply;
use crate::simd::{sum, vectorised};
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
///
/// ```
/// use ndarray::array;
/// use tercet::{Labels, Lifted};
/// let embeddings = array![[0.0_f32], [1.0], [1.5], [9.0]];
/// let labels = Labels::from_iter(["ann", "ann", "bob", "bob"]);
/// let outcome = Lifted::default().evaluate(embeddings.view(), &labels)?;
/// assert_eq!(outcome.census.anchors, 4);
/// // Without a second class there is no term: value and gradient are 0.
/// let alone = Labels::from_iter(["ann"; 4]);
/// assert_eq!(Lifted::default().evaluate(embeddings.view(), &alone)?.value, 0.0);
/// # Ok::<(), tercet::Error>(())
/// ```
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
        on_pool(|| {
            let field = Field::new(self.metric, embeddings, labels, frozen)?;
            let rule = Rule {
                penalty: Penalty::Hinge { margin: self.margin },
                dense: true,
                weigh: &|row, _| weigh(row),
            };
            let sums = field.sums(&rule, steps);
            let divisor = match self.reduction {
                Reduction::Mean | Reduction::MeanAnchors => sums.census.anchors,
                Reduction::MeanActive => sums.tally.teaching_anchors,
                Reduction::Sum => 1,
            };
            Ok(field.outcome(&sums, divisor))
        })
    }
}

/// One anchor's term; the weights are the softmax of the positives and of the negatives.
fn weigh(row: &mut Row) {
    let class = row.class.clone();
    let positives = [class.start..row.anchor, row.anchor + 1..class.end];
    let negatives = row.negatives();
    let span = Span::of(row);
    let (far, near) = (span.high, span.near);
    let triplets = (class.len() - 1) as u64 * (row.distances.len() - class.len()) as u64;
    row.tally.selected += triplets;
    row.tally.violated += ranked::violated(row, span);

    // e^{d − far} and e^{near − d} do not overflow; the weights hold them until their sum is known.
    let [mut positive_sum, mut negative_sum] = [0.0; 2];
    for range in positives.clone() {
        positive_sum +=
            exponentials(&row.distances[range.clone()], far, 1.0, &mut row.weights[range]);
    }
    for range in negatives.clone() {
        negative_sum +=
            exponentials(&row.distances[range.clone()], near, -1.0, &mut row.weights[range]);
    }
    let term = f64::from(far) + positive_sum.ln() + f64::from(row.penalty.margin())
        - f64::from(near)
        + negative_sum.ln();
    row.weights[row.anchor] = 0.0;
    if term > 0.0 {
        row.tally.value += term;
        row.tally.active += triplets;
        row.tally.teaching_anchors += 1;
        for range in positives {
            multiply(&mut row.weights[range], 1.0 / positive_sum);
        }
        for range in negatives {
            multiply(&mut row.weights[range], -1.0 / negative_sum);
        }
    } else {
        row.weights.fill(0.0);
    }
}

vectorised! {
    /// Writes e^{sign·(d − extreme)}, of exponents that are not positive, and returns the sum.
    fn exponentials(distances: &[f32], extreme: f32, sign: f32, out: &mut [f32]) -> f64 {
        for (&d, out) in distances.iter().zip(&mut *out) {
            *out = exp_below_0(sign * (d - extreme));
        }
        sum(out)
    }
}
