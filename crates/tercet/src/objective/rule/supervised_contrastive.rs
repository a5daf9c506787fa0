//! The supervised contrastive loss.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::Reduction;
use super::parameter::positive_number;
use crate::{Distance, Error, Metric};

/// The supervised contrastive loss L_out (Khosla et al., "Supervised Contrastive Learning", NeurIPS
/// 2020, arXiv 2004.11362, eq. 2), which takes all pairs of an anchor into account:
///
/// ```text
/// Σ_a 1/|P(a)| Σ_p −ln( e^{−d(a,p)/τ} / Σ_{k≠a} e^{−d(a,k)/τ} )
/// ```
///
/// over the anchors a with at least one positive p and one negative; k runs over both, computed
/// without overflow. With the cosine distance d = 1 − s this is the loss of the similarities s,
/// since the constant cancels. The default τ = 0.1 is that of the paper and of
/// pytorch-metric-learning's `SupConLoss`.
///
/// # Census
/// Every triplet is selected and active, `violated` are those with d(a,n) ≤ d(a,p).
///
/// ```
/// use ndarray::array;
/// use tercet::{Labels, SupervisedContrastive};
/// let embeddings = array![[1.0_f32, 0.0], [0.8, 0.6], [0.0, 1.0], [-0.6, 0.8]];
/// let labels = Labels::from_iter(["ann", "ann", "bob", "bob"]);
/// let outcome = SupervisedContrastive::default().evaluate(embeddings.view(), &labels)?;
/// assert!(outcome.value > 0.0);
/// # Ok::<(), tercet::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct SupervisedContrastive {
    /// How distances are measured. Default: cosine, embeddings are normalised.
    pub metric: Metric,
    /// The temperature τ. Default: 0.1.
    pub temperature: f32,
    /// How the anchors' terms become one number: their mean over the anchors (`mean`,
    /// `mean-anchors`, `mean-active`), or their sum.
    pub reduction: Reduction,
}

impl Default for SupervisedContrastive {
    fn default() -> Self {
        let metric = Metric { distance: Distance::Cosine, normalize: true };
        Self { metric, temperature: 0.1, reduction: Reduction::Mean }
    }
}

impl fmt::Display for SupervisedContrastive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "every pair, temperature {}, {}", self.temperature, self.reduction)
    }
}

impl SupervisedContrastive {
    /// The same objective with another metric.
    pub fn with_metric(self, metric: Metric) -> Self {
        Self { metric, ..self }
    }

    /// The same objective with another temperature.
    pub fn with_temperature(self, temperature: f32) -> Self {
        Self { temperature, ..self }
    }

    /// Checks that a network can be trained on this objective.
    ///
    /// # Errors
    /// A temperature that is not a positive number.
    pub fn check_trainable(&self) -> Result<(), Error> {
        positive_number("temperature", self.temperature)
    }
}
