//! Any objective: a triplet loss or the lifted structure loss.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Lifted, TripletLoss};
use crate::{Error, Metric};

/// Any objective: a product of distance, selection, penalty and reduction, or the lifted structure
/// loss, which is not such a product.
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

    /// Checks that a network can be trained on this objective.
    ///
    /// # Errors
    /// Parameters that are out of range, or with which nothing is ever selected.
    pub fn check_trainable(&self) -> Result<(), Error> {
        match self {
            Self::Triplet(loss) => loss.check_trainable(),
            Self::Lifted(loss) => loss.check_trainable(),
        }
    }
}
