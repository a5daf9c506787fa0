//! The generalised lifted structure loss.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::Reduction;
use crate::{Error, Metric};

/// The generalised lifted structure loss L_LG of "In Defense of the Triplet Loss" (arXiv
/// 1703.07737, eq. 7), which takes all pairs of an anchor into account with smooth weights instead
/// of selecting some:
///
/// ```text
/// Σ_a [ log Σ_p e^{d(a,p)} + log Σ_n e^{margin − d(a,n)} ]₊
/// ```
///
/// over the anchors a with at least one positive p and one negative n, computed without overflow.
///
/// # Census
/// Every triplet is selected: `selected` equals `triplets`. `active` counts the triplets of the
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
    /// The same objective with another metric.
    pub fn with_metric(self, metric: Metric) -> Self {
        Self { metric, ..self }
    }

    /// The same objective with another margin.
    pub fn with_margin(self, margin: f32) -> Self {
        Self { margin, ..self }
    }

    /// Checks that a network can be trained on this objective.
    ///
    /// # Errors
    /// A margin that is not finite.
    pub fn check_trainable(&self) -> Result<(), Error> {
        if self.margin.is_finite() {
            return Ok(());
        }
        Err(Error::parameter("margin", self.margin.to_string(), "a finite number"))
    }
}
