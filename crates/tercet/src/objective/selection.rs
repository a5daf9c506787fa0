use serde::{Deserialize, Serialize};

use super::row::Row;
use super::{all, hard, semi_hard};
use crate::labels::ClassOrder;
use crate::named::named;

/// Which triplets of a batch count. Training lives or dies by this choice.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Selection {
    /// Every valid triplet.
    All,
    /// For each anchor its farthest positive and its nearest negative; ties go to the lowest index.
    #[default]
    Hard,
    /// For each anchor and positive the nearest negative with d(a,p) < d(a,n) < d(a,p) + margin;
    /// a pair without one is dropped (FaceNet, eq. 4). Ties go to the lowest index.
    SemiHard,
}

/// Items of a class from which matrix products spread a row's pulls faster than one by one.
const MANY_PULLS: usize = 32;

named!(Selection, "selection");

impl Selection {
    /// Every selection.
    pub const ALL: [Self; 3] = [Self::All, Self::Hard, Self::SemiHard];

    /// The name used on the command line and in files.
    pub fn name(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Hard => "hard",
            Self::SemiHard => "semi-hard",
        }
    }

    /// Whether so many distances of a row may matter that the gradient goes by matrix products.
    pub(super) fn is_dense(self, order: &ClassOrder) -> bool {
        match self {
            Self::All => true,
            Self::Hard => false,
            // A pair and its negative may pull for every positive.
            Self::SemiHard => order.ranges.iter().any(|class| class.len() > MANY_PULLS),
        }
    }

    /// Turns one anchor's distances into weights.
    pub(super) fn weigh(self, row: &mut Row) {
        match self {
            Self::All => all::weigh(row),
            Self::Hard => hard::weigh(row),
            Self::SemiHard => semi_hard::weigh(row),
        }
    }
}
