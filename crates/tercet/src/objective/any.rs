use std::fmt;

use ndarray::ArrayView2;
use serde::{Deserialize, Serialize};

use super::{Lifted, Outcome, TripletLoss};
use crate::labels::ClassOrder;
use crate::{Error, Labels, Metric, Watch};

/// Any objective: a product of choices, or one that no product expresses.
///
/// ```
/// use ndarray::array;
/// use tercet::{Labels, Objective};
/// let objective: Objective = "lifted".parse::<tercet::Preset>()?.loss();
/// let embeddings = array![[0.0_f32], [1.0], [1.5], [9.0]];
/// let labels = Labels::from_iter(["ann", "ann", "bob", "bob"]);
/// assert!(objective.evaluate(embeddings.view(), &labels)?.value > 0.0);
/// # Ok::<(), tercet::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Objective {
    /// Distance × selection × penalty × reduction.
    Triplet(TripletLoss),
    /// Generalised lifted structure.
    Lifted(Lifted),
}

impl Default for Objective {
    fn default() -> Self {
        TripletLoss::default().into()
    }
}

impl From<TripletLoss> for Objective {
    fn from(loss: TripletLoss) -> Self {
        Self::Triplet(loss)
    }
}

impl From<Lifted> for Objective {
    fn from(loss: Lifted) -> Self {
        Self::Lifted(loss)
    }
}

/// Selection, penalty and reduction, without the distance: `hard, soft margin, mean`.
impl fmt::Display for Objective {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Triplet(loss) => {
                write!(f, "{}, {}, {}", loss.selection, loss.penalty, loss.reduction)
            }
            Self::Lifted(loss) => loss.fmt(f),
        }
    }
}

impl Objective {
    /// How distances are measured.
    pub fn metric(&self) -> Metric {
        match self {
            Self::Triplet(loss) => loss.metric,
            Self::Lifted(loss) => loss.metric,
        }
    }

    /// The margin.
    pub fn margin(&self) -> f32 {
        match self {
            Self::Triplet(loss) => loss.penalty.margin(),
            Self::Lifted(loss) => loss.margin,
        }
    }

    /// The same objective with another margin.
    pub fn with_margin(self, margin: f32) -> Self {
        match self {
            Self::Triplet(loss) => loss.with_margin(margin).into(),
            Self::Lifted(loss) => loss.with_margin(margin).into(),
        }
    }

    /// The same objective with another seed of its selection; without random draws nothing changes.
    pub fn with_seed(self, seed: u64) -> Self {
        match self {
            Self::Triplet(loss) => loss.with_seed(seed).into(),
            Self::Lifted(_) => self,
        }
    }

    /// Whether a network can be trained on this objective.
    ///
    /// # Errors
    /// Parameters out of range, or with which nothing is ever selected.
    pub fn check_trainable(&self) -> Result<(), Error> {
        match self {
            Self::Triplet(loss) => loss.check_trainable(),
            Self::Lifted(loss) => loss.check_trainable(),
        }
    }

    /// Whether so many pairs have a weight that the gradient goes by matrix products.
    pub(crate) fn is_dense(&self, labels: &Labels) -> bool {
        match self {
            Self::Triplet(loss) => loss.selection.is_dense(&ClassOrder::new(labels)),
            Self::Lifted(_) => true,
        }
    }

    /// The value of the objective over a batch, its gradient, and the census of its triplets.
    ///
    /// # Shapes
    /// - `embeddings`: B×D, `labels`: B
    /// - gradient: B×D
    ///
    /// # Errors
    /// Unequal numbers of rows and labels; values that are not finite or too long to square;
    /// parameters out of range.
    pub fn evaluate(&self, embeddings: ArrayView2<f32>, labels: &Labels) -> Result<Outcome, Error> {
        match self {
            Self::Triplet(loss) => loss.evaluate(embeddings, labels),
            Self::Lifted(loss) => loss.evaluate(embeddings, labels),
        }
    }

    /// As [`evaluate`](Self::evaluate), telling `watch` how many of the anchors are done.
    ///
    /// Batches that are worked on in memory as a whole (up to 4096 rows, less than a second) are
    /// told of when they are done, by a [`TripletLoss`].
    ///
    /// # Errors
    /// As [`evaluate`](Self::evaluate), and [`Error::Interrupted`] when `watch` says so.
    pub fn evaluate_watched(
        &self,
        embeddings: ArrayView2<f32>,
        labels: &Labels,
        watch: Watch,
    ) -> Result<Outcome, Error> {
        match self {
            Self::Triplet(loss) => loss.evaluate_watched(embeddings, labels, watch),
            Self::Lifted(loss) => loss.evaluate_watched(embeddings, labels, watch),
        }
    }

    /// As [`evaluate`](Self::evaluate), with frozen vectors as further positives and negatives.
    ///
    /// The anchors are the rows of the batch; positives and negatives are the other rows of the
    /// batch and the frozen rows, which count as items behind the batch (row i of the frozen
    /// vectors has index B + i). The gradient goes to the batch alone.
    ///
    /// Two uses: a bank of past embeddings ([`Memory`](super::Memory)), and harmonic triplets
    /// (FaceNet, section on harmonic embedding), where the frozen vectors come from an older model
    /// and the new one learns to live in the same space.
    ///
    /// # Shapes
    /// - `embeddings`: B×D, `labels`: B, `frozen`: M×D, `frozen_labels`: M (M may be 0)
    /// - gradient: B×D; the census speaks of the batch's anchors and of their pairs and triplets
    ///
    /// # Errors
    /// As [`evaluate`](Self::evaluate), also for the frozen vectors ([`Error::Frozen`]); frozen
    /// vectors of other dimensions.
    ///
    /// ```
    /// use ndarray::array;
    /// use tercet::{Labels, Objective, TripletLoss};
    /// // Harmonic triplets: new embeddings among those of the model before.
    /// let (new, new_labels) = (array![[0.1_f32], [2.0]], Labels::from_iter(["ann", "bob"]));
    /// let (old, old_labels) = (array![[0.0_f32], [1.0]], Labels::from_iter(["ann", "bob"]));
    /// let objective = Objective::from(TripletLoss::batch_all());
    /// let outcome =
    ///     objective.evaluate_with_frozen(new.view(), &new_labels, old.view(), &old_labels)?;
    /// assert_eq!(outcome.gradient.dim(), (2, 1));
    /// assert_eq!(outcome.census.triplets, 4); // each new one with its old self, two negatives each
    /// # Ok::<(), tercet::Error>(())
    /// ```
    pub fn evaluate_with_frozen(
        &self,
        embeddings: ArrayView2<f32>,
        labels: &Labels,
        frozen: ArrayView2<f32>,
        frozen_labels: &Labels,
    ) -> Result<Outcome, Error> {
        match self {
            Self::Triplet(loss) => {
                loss.evaluate_with_frozen(embeddings, labels, frozen, frozen_labels)
            }
            Self::Lifted(loss) => {
                loss.evaluate_with_frozen(embeddings, labels, frozen, frozen_labels)
            }
        }
    }
}
