//! Row kernels: from the distances of one anchor to the slopes of its penalties.
//!
//! [`Kernel::for_class`] is the table that says which kernel computes which objective. The kernel
//! depends on the number of positives, so it is chosen once per class.

#[cfg(any(test, feature = "reference"))]
#[doc(hidden)]
pub mod crossover;
mod extent;
mod hardest;
mod lifted;
mod nearest;
mod pairwise;
mod semi_hard;
mod semi_hard_band;
mod soft_interpolated;
mod soft_product;
mod sorted_hinge;

use super::choose;
use super::from_positives;
use super::row::{AnchorRow, RowGradient};
use super::rule::{Penalty, Selection};
use crate::labels::ClassOrder;
use crate::sorted_lookup::SortedLookup;

/// What an objective computes for each anchor.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Rule {
    /// The penalty of each selected triplet.
    Triplets { selection: Selection, penalty: Penalty },
    /// One term per anchor: generalised lifted structure with this margin.
    Lifted { margin: f32 },
}

/// Buffers of the kernels, which one row after the other uses.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    /// The anchor's positives in rising order of distance.
    lookup: SortedLookup,
    hinge: sorted_hinge::Scratch,
    semi_hard: semi_hard::Scratch,
    soft: soft_product::Scratch,
}

/// How the row of an anchor is computed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Kernel {
    /// Every triplet, hinge: each positive is compared with each negative.
    PairwiseHinge,
    /// Every triplet, any penalty: each positive is compared with each negative.
    Pairwise,
    /// Every triplet, hinge: negatives are looked up among the sorted positives.
    SortedHinge,
    /// Every triplet, squared hinge: the same.
    SortedSquaredHinge,
    /// Every triplet, soft penalty: products of exponentials, or interpolation nodes.
    Soft,
    /// The farthest positive and the nearest negative.
    Hardest,
    /// For each positive the nearest negative inside the band: searched for each positive.
    SemiHard,
    /// The same, looked up among the sorted positives.
    SortedSemiHard,
    /// Every triplet of the band.
    SemiHardBand,
    /// The triplets that a selection lists one by one.
    Listed(Selection),
    /// Generalised lifted structure.
    Lifted,
}

impl Kernel {
    /// The kernel for anchors with so many positives.
    pub(super) fn for_class(rule: Rule, positives: usize) -> Self {
        let Rule::Triplets { selection, penalty } = rule else { return Self::Lifted };
        match (selection, penalty) {
            (Selection::All, Penalty::Hinge { .. }) if positives < from_positives::SORTED_HINGE => {
                Self::PairwiseHinge
            }
            (Selection::All, Penalty::Hinge { .. }) => Self::SortedHinge,
            (Selection::All, Penalty::SquaredHinge { .. })
                if positives < from_positives::SORTED_SQUARED_HINGE =>
            {
                Self::Pairwise
            }
            (Selection::All, Penalty::SquaredHinge { .. }) => Self::SortedSquaredHinge,
            (Selection::All, Penalty::Soft { .. }) => Self::Soft,
            (Selection::Hard, _) => Self::Hardest,
            (Selection::SemiHard, _) if positives < from_positives::SORTED_SEMI_HARD => {
                Self::SemiHard
            }
            (Selection::SemiHard, _) => Self::SortedSemiHard,
            (Selection::SemiHardAll, _) => Self::SemiHardBand,
            (listed, _) => Self::Listed(listed),
        }
    }

    /// Computes one row. The anchor has at least one positive and one negative.
    pub(super) fn compute(
        self,
        row: &AnchorRow,
        scratch: &mut Scratch,
        gradient: &mut RowGradient,
    ) {
        let Scratch { lookup, hinge, semi_hard, soft } = scratch;
        match self {
            Self::PairwiseHinge => pairwise::hinge(row, gradient),
            Self::Pairwise => pairwise::any_penalty(row, gradient),
            Self::SortedHinge => sorted_hinge::hinge(row, lookup, hinge, gradient),
            Self::SortedSquaredHinge => sorted_hinge::squared_hinge(row, lookup, hinge, gradient),
            Self::Soft => soft_product::compute(row, lookup, soft, gradient),
            Self::Hardest => hardest::compute(row, gradient),
            Self::SemiHard => semi_hard::pairwise(row, gradient),
            Self::SortedSemiHard => semi_hard::sorted(row, lookup, semi_hard, gradient),
            Self::SemiHardBand => semi_hard_band::compute(row, gradient),
            Self::Listed(selection) => {
                gradient.clear();
                choose::triplets(selection, row, &mut |positive, negative| {
                    gradient.select(row, positive, negative);
                });
            }
            Self::Lifted => lifted::compute(row, lookup, gradient),
        }
    }
}

impl Rule {
    /// The penalty that a row's triplets are counted by.
    pub(super) fn penalty(self) -> Penalty {
        match self {
            Self::Triplets { penalty, .. } => penalty,
            Self::Lifted { margin } => Penalty::Hinge { margin },
        }
    }

    /// Whether so many distances of a row have a weight that the gradient is accumulated by matrix
    /// products. `order` holds the candidates.
    pub(super) fn is_dense(self, order: &ClassOrder) -> bool {
        match self {
            Self::Lifted { .. } => true,
            Self::Triplets { selection, .. } => match selection {
                Selection::All | Selection::SemiHardAll => true,
                // One weight for each positive and for its negative.
                Selection::SemiHard | Selection::SemiHardFallback => {
                    let dense = from_positives::DENSE_SEMI_HARD;
                    order.ranges.iter().any(|class| class.len() > dense)
                }
                _ => false,
            },
        }
    }
}
