//! The multi-similarity loss.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::Reduction;
use super::parameter::positive_number;
use crate::{Distance, Error, Metric};

/// The multi-similarity loss (Wang et al., "Multi-Similarity Loss with General Pair Weighting for
/// Deep Metric Learning", CVPR 2019, arXiv 1904.06627, eq. 15 without its mining step), which takes
/// all pairs of an anchor into account:
///
/// ```text
/// Σ_a [ 1/α · ln(1 + Σ_p e^{α (d(a,p) − λ)}) + 1/β · ln(1 + Σ_n e^{β (λ − d(a,n))}) ]
/// ```
///
/// over the anchors a with at least one positive p and one negative n, computed without overflow.
/// With the cosine distance d = 1 − s, the default λ = 0.5 is the similarity 0.5 of the paper.
/// Defaults are those of the paper and of pytorch-metric-learning's `MultiSimilarityLoss`, which
/// also counts the second term of anchors that have no positive.
///
/// # Census
/// Every triplet is selected and active, `violated` are those with d(a,n) ≤ d(a,p).
///
/// ```
/// use ndarray::array;
/// use tercet::{Labels, MultiSimilarity};
/// let embeddings = array![[1.0_f32, 0.0], [0.8, 0.6], [0.0, 1.0], [-0.6, 0.8]];
/// let labels = Labels::from_iter(["ann", "ann", "bob", "bob"]);
/// let outcome = MultiSimilarity::default().evaluate(embeddings.view(), &labels)?;
/// assert!(outcome.value > 0.0);
/// # Ok::<(), tercet::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct MultiSimilarity {
    /// How distances are measured. Default: cosine, embeddings are normalised.
    pub metric: Metric,
    /// The weight α of the exponents of positives. Default: 2.
    pub alpha: f32,
    /// The weight β of the exponents of negatives. Default: 50.
    pub beta: f32,
    /// The distance λ between near and far. Default: 0.5.
    pub base: f32,
    /// How the anchors' terms become one number: their mean over the anchors (`mean`,
    /// `mean-anchors`, `mean-active`), or their sum.
    pub reduction: Reduction,
}

impl Default for MultiSimilarity {
    fn default() -> Self {
        let metric = Metric { distance: Distance::Cosine, normalize: true };
        Self { metric, alpha: 2.0, beta: 50.0, base: 0.5, reduction: Reduction::Mean }
    }
}

impl fmt::Display for MultiSimilarity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { alpha, beta, base, reduction, .. } = self;
        write!(f, "every pair, alpha {alpha}, beta {beta}, base {base}, {reduction}")
    }
}

impl MultiSimilarity {
    /// The same objective with another metric.
    pub fn with_metric(self, metric: Metric) -> Self {
        Self { metric, ..self }
    }

    /// Checks that a network can be trained on this objective.
    ///
    /// # Errors
    /// `alpha` or `beta` that is not a positive number; a `base` that is not finite.
    pub fn check_trainable(&self) -> Result<(), Error> {
        positive_number("alpha", self.alpha)?;
        positive_number("beta", self.beta)?;
        match self.base.is_finite() {
            true => Ok(()),
            false => Err(Error::parameter("base", self.base.to_string(), "a finite number")),
        }
    }
}
