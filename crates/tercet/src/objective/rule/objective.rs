//! Any objective: a triplet loss, or one with a term for each anchor over all of its pairs.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Lifted, MultiSimilarity, SupervisedContrastive, TripletLoss};
use crate::{Error, Metric};

/// Any objective: a product of distance, selection, penalty and reduction, or one of the losses that
/// are not such a product, but have one term for each anchor over all of its pairs.
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
    /// Multi-similarity.
    MultiSimilarity(MultiSimilarity),
    /// Supervised contrastive.
    SupervisedContrastive(SupervisedContrastive),
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

impl From<MultiSimilarity> for Objective {
    fn from(loss: MultiSimilarity) -> Self {
        Self::MultiSimilarity(loss)
    }
}

impl From<SupervisedContrastive> for Objective {
    fn from(loss: SupervisedContrastive) -> Self {
        Self::SupervisedContrastive(loss)
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
            Self::MultiSimilarity(loss) => loss.fmt(f),
            Self::SupervisedContrastive(loss) => loss.fmt(f),
        }
    }
}

impl Objective {
    /// How distances are measured.
    pub fn metric(&self) -> Metric {
        match self {
            Self::Triplet(loss) => loss.metric,
            Self::Lifted(loss) => loss.metric,
            Self::MultiSimilarity(loss) => loss.metric,
            Self::SupervisedContrastive(loss) => loss.metric,
        }
    }

    /// The margin; 0 for an objective that has none.
    pub fn margin(&self) -> f32 {
        match self {
            Self::Triplet(loss) => loss.penalty.margin(),
            Self::Lifted(loss) => loss.margin,
            Self::MultiSimilarity(_) | Self::SupervisedContrastive(_) => 0.0,
        }
    }

    /// The same objective with another margin; without a margin nothing changes.
    pub fn with_margin(self, margin: f32) -> Self {
        match self {
            Self::Triplet(loss) => loss.with_margin(margin).into(),
            Self::Lifted(loss) => loss.with_margin(margin).into(),
            Self::MultiSimilarity(_) | Self::SupervisedContrastive(_) => self,
        }
    }

    /// The same objective with another seed of its selection; without random draws nothing changes.
    pub fn with_seed(self, seed: u64) -> Self {
        match self {
            Self::Triplet(loss) => loss.with_seed(seed).into(),
            Self::Lifted(_) | Self::MultiSimilarity(_) | Self::SupervisedContrastive(_) => self,
        }
    }

    /// Checks that a network can be trained on this objective.
    ///
    /// # Errors
    /// Parameters that are out of range, or with which nothing is ever selected.
    pub fn check_trainable(&self) -> Result<(), Error> {
        match self {
            Self::Triplet(loss) => loss.check_trainable(),
            Self::Lifted(loss) => loss.check_trainable(),
            Self::MultiSimilarity(loss) => loss.check_trainable(),
            Self::SupervisedContrastive(loss) => loss.check_trainable(),
        }
    }
}
