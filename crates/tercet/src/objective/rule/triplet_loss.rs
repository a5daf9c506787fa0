//! Distance × selection × penalty × reduction.

use serde::{Deserialize, Serialize};

use super::{Penalty, Reduction, Selection};
use crate::{Error, Metric};

/// A triplet objective: the [`Reduction`] of φ(d(a,p) − d(a,n)) over the selected triplets.
/// `Default` is [`TripletLoss::batch_hard`].
///
/// # Degenerate input
/// Anchors without a positive or without a negative contribute nothing and are counted in the
/// [`Census`](super::Census). If no triplet is selected (an empty batch, one class only, one item
/// per class…), value and gradient are 0. The gradient of a Euclidean distance at 0 is 0.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct TripletLoss {
    /// How distances are measured.
    pub metric: Metric,
    /// Which triplets are selected.
    pub selection: Selection,
    /// What a triplet costs.
    pub penalty: Penalty,
    /// How the costs become one number.
    pub reduction: Reduction,
}

impl TripletLoss {
    /// The same objective with another metric.
    pub fn with_metric(self, metric: Metric) -> Self {
        Self { metric, ..self }
    }

    /// The same objective with another selection.
    pub fn with_selection(self, selection: Selection) -> Self {
        Self { selection, ..self }
    }

    /// The same objective with another penalty.
    pub fn with_penalty(self, penalty: Penalty) -> Self {
        Self { penalty, ..self }
    }

    /// The same objective with another reduction.
    pub fn with_reduction(self, reduction: Reduction) -> Self {
        Self { reduction, ..self }
    }

    /// The same objective with another margin.
    pub fn with_margin(self, margin: f32) -> Self {
        Self { penalty: self.penalty.with_margin(margin), ..self }
    }

    /// The same objective with another seed of its selection; see [`Selection::with_seed`].
    pub fn with_seed(self, seed: u64) -> Self {
        Self { selection: self.selection.with_seed(seed), ..self }
    }

    /// Checks that a network can be trained on this objective.
    ///
    /// # Errors
    /// A margin that is not finite, or is negative for a hinge; a semi-hard band that is empty
    /// because the margin is not above 0; parameters of the selection that are out of range.
    pub fn check_trainable(&self) -> Result<(), Error> {
        self.check()?;
        if self.selection.is_empty_at(self.penalty.margin()) {
            return Err(Error::parameter(
                "margin",
                self.penalty.margin().to_string(),
                "a number above 0, since the semi-hard band d_ap < d_an < d_ap + margin is empty otherwise",
            ));
        }
        Ok(())
    }

    /// Refuses parameters that are out of range.
    pub(in crate::objective) fn check(&self) -> Result<(), Error> {
        self.penalty.check()?;
        self.selection.check(self.metric)
    }
}
