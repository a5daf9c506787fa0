//! Triplet objectives: value, gradient and census of a batch, for all triplets that a rule selects.
//!
//! A triplet is an anchor a, a positive p of the same class and a negative n of another; all three
//! are different items. An objective is a product of four choices,
//!
//! ```text
//! TripletLoss = Distance × Selection × Penalty × Reduction
//! ```
//!
//! and its value is the [`Reduction`] of φ(d(a,p) − d(a,n)) over the selected triplets, where φ is
//! the [`Penalty`] and d the [`Metric`]. [`Preset`]s name the products that papers made known.
//!
//! What no such product expresses stands beside it with the same interface: [`Lifted`] structure,
//! and candidates that carry no gradient ([`Objective::evaluate_with_frozen`], [`Memory`]).
//! [`Objective`] is any of them. For a loss of one's own, [`Selection::triplets`] names the
//! triplets, and [`TripletLoss::evaluate_triplets`] takes triplets that were chosen elsewhere.
//!
//! The batch is put into class order and worked through in tiles of anchors. A matrix product
//! gives a tile of distances; its [`Selection`] turns each row into weights ∂L/∂d; the weights
//! become gradient by two more products, or directly where only a few distances matter.

mod all;
mod any;
mod candidates;
mod census;
#[cfg(any(test, feature = "reference"))]
#[doc(hidden)]
pub mod crossover;
mod distance_weighted;
mod easy_positive;
mod field;
mod gradient;
mod hard;
mod lifted;
mod memory;
mod n_hard;
mod nearest;
mod penalty;
mod places;
mod preset;
mod random;
mod ranked;
mod reduction;
#[cfg(any(test, feature = "reference"))]
#[doc(hidden)]
pub mod reference;
mod row;
mod selection;
mod semi_hard;
mod semi_hard_all;
mod semi_hard_fallback;
mod soft;
mod soft_nodes;
mod symmetric;
mod triplets;
mod violating_random;

pub use any::Objective;
pub use census::Census;
pub use lifted::Lifted;
pub use memory::Memory;
pub use n_hard::Ranks;
pub use penalty::Penalty;
pub use preset::Preset;
pub use reduction::Reduction;
pub use selection::Selection;
pub use triplets::{TRIPLET_LIMIT, Triplet};

use ndarray::{Array2, ArrayView2};
use serde::{Deserialize, Serialize};

use crate::distance::Metric;
use crate::watch::{Steps, Watch};
use crate::{Error, Labels};
use field::{Field, on_pool};
use row::Rule;

/// A triplet objective. `Default` is [`TripletLoss::batch_hard`].
///
/// # Degenerate input
/// Anchors without a positive or without a negative contribute nothing and are counted in the
/// [`Census`]. Without any selected triplet (an empty batch, one class only, one item a class…) the
/// value is 0 and so is the gradient. The gradient of a Euclidean distance at 0 is 0.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct TripletLoss {
    /// How distances are measured.
    pub metric: Metric,
    /// Which triplets count.
    pub selection: Selection,
    /// What a triplet costs.
    pub penalty: Penalty,
    /// How the costs become one number.
    pub reduction: Reduction,
}

/// What an objective says of a batch.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// The loss.
    pub value: f64,
    /// ∂value/∂embeddings, of the shape of the embeddings (B×D).
    pub gradient: Array2<f32>,
    /// What was counted on the way.
    pub census: Census,
}

impl TripletLoss {
    /// The same objective with another margin.
    pub fn with_margin(mut self, margin: f32) -> Self {
        self.penalty = self.penalty.with_margin(margin);
        self
    }

    /// The same objective with another seed of its selection; see [`Selection::with_seed`].
    pub fn with_seed(mut self, seed: u64) -> Self {
        self.selection = self.selection.with_seed(seed);
        self
    }

    /// Whether a network can be trained on this objective.
    ///
    /// # Errors
    /// A margin that is not finite or is negative for a hinge; a semi-hard band that is empty
    /// because the margin is not above 0; parameters of the selection out of range.
    pub fn check_trainable(&self) -> Result<(), Error> {
        self.penalty.check()?;
        self.selection.check(self.metric)?;
        if self.selection.is_empty_at(self.penalty.margin()) {
            return Err(Error::Parameter {
                parameter: "margin",
                got: self.penalty.margin().to_string(),
                expected: "a number above 0, since the semi-hard band d_ap < d_an < d_ap + margin is empty otherwise",
            });
        }
        Ok(())
    }

    /// The value of the objective over a batch, its gradient, and the census of its triplets.
    ///
    /// Results do not depend on the number of threads beyond rounding, and are identical for the
    /// same number of threads.
    ///
    /// # Shapes
    /// - `embeddings`: B×D, `labels`: B
    /// - gradient: B×D
    ///
    /// # Errors
    /// Unequal numbers of rows and labels; values that are not finite or too long to square; a
    /// margin or a parameter of the selection out of range; distance-weighted selection between
    /// vectors that are not normalised.
    pub fn evaluate(&self, embeddings: ArrayView2<f32>, labels: &Labels) -> Result<Outcome, Error> {
        self.over(embeddings, labels, None, &Steps::unwatched())
    }

    /// As [`evaluate`](Self::evaluate), telling `watch` how many of the anchors are done; see
    /// [`Objective::evaluate_watched`].
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
        self.penalty.check()?;
        self.selection.check(self.metric)?;
        on_pool(|| {
            let field = Field::new(self.metric, embeddings, labels, frozen)?;
            let rule = Rule {
                penalty: self.penalty,
                dense: self.selection.is_dense(&field.order),
                weigh: &|row, points| self.selection.weigh(row, points),
            };
            let sums = field.sums(&rule, steps);
            Ok(field.outcome(&sums, self.reduction.divisor(self.penalty, &sums.census)))
        })
    }
}

#[cfg(test)]
mod tests;
#[cfg(test)]
mod tests_beyond;
#[cfg(test)]
mod tests_corpus;
#[cfg(test)]
mod tests_properties;
