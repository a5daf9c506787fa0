//! How the penalties of many triplets become one number.

use serde::{Deserialize, Serialize};

use super::{Census, Penalty};
use crate::named;

/// How the penalties of the selected triplets become one number. A mean over nothing is 0.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reduction {
    /// Their sum divided by the number of selected triplets.
    #[default]
    Mean,
    /// Their sum divided by the number of positive penalties ("≠0" in "In Defense of the Triplet
    /// Loss"). A soft penalty is always positive, so with it this equals [`Reduction::Mean`].
    MeanActive,
    /// Their sum divided by the number of anchors that have a valid triplet.
    MeanAnchors,
    /// Their sum.
    Sum,
}

named!(
    Reduction,
    "reduction",
    [Mean = "mean", MeanActive = "mean-active", MeanAnchors = "mean-anchors", Sum = "sum",]
);

impl Reduction {
    /// The number by which Σ φ is divided.
    pub(in crate::objective) fn divisor(self, penalty: Penalty, census: &Census) -> u64 {
        match (self, penalty) {
            (Self::Mean, _) | (Self::MeanActive, Penalty::Soft { .. }) => census.selected,
            (Self::MeanActive, _) => census.active,
            (Self::MeanAnchors, _) => census.anchors,
            (Self::Sum, _) => 1,
        }
    }
}
