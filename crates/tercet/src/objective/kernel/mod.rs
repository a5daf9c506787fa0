//! Row kernels: from the distances of one anchor to its weights ∂(Σ φ)/∂d.
//!
//! [`Kernel::for_class`] is the table of which kernel computes which objective. The kernel depends
//! on the number of positives, so it is chosen once per class.

#[cfg(any(test, feature = "reference"))]
#[doc(hidden)]
pub mod crossover;
mod exponentials;
mod extent;
mod hardest;
mod lifted;
mod multi_similarity;
mod nearest;
mod pairwise;
mod semi_hard;
mod semi_hard_band;
mod soft_interpolated;
mod soft_product;
mod sorted_hinge;
mod supervised_contrastive;

use super::choose;
use super::from_positives;
use super::row::{AnchorRow, RowGradient};
use super::rule::{FalseNegatives, Penalty, Selection};
use crate::labels::ClassOrder;
use crate::sorted_lookup::SortedLookup;

/// What an objective computes for each anchor.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Rule {
    /// The penalty of each selected triplet.
    Triplets { selection: Selection, penalty: Penalty, false_negatives: Option<FalseNegatives> },
    /// One term per anchor, over all of its pairs.
    Term(Term),
}

/// The term of an anchor, of an objective that is not made of triplets.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Term {
    /// Generalised lifted structure.
    Lifted { margin: f32 },
    /// Multi-similarity.
    MultiSimilarity { alpha: f32, beta: f32, base: f32 },
    /// Supervised contrastive.
    SupervisedContrastive { temperature: f32 },
}

/// Buffers of the kernels, which are reused from row to row.
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
    /// Every triplet, hinge: negatives are looked up among the sorted thresholds of the positives.
    SortedHinge,
    /// Every triplet, squared hinge: negatives are looked up in the same way.
    SortedSquaredHinge,
    /// Every triplet, soft penalty: products of exponentials, or interpolation nodes.
    Soft,
    /// The farthest positive and the nearest negative.
    Hardest,
    /// For each positive the nearest negative in the semi-hard band: all negatives are searched for
    /// each positive.
    SemiHard,
    /// For each positive the nearest negative in the semi-hard band: negatives are looked up among
    /// the sorted positives.
    SortedSemiHard,
    /// Every triplet of the semi-hard band.
    SemiHardBand,
    /// The triplets that a selection lists one by one.
    Listed(Selection),
    /// The term of an anchor over all of its pairs.
    Term(Term),
}

impl Kernel {
    /// The kernel for anchors with this number of positives.
    pub(super) fn for_class(rule: Rule, positives: usize) -> Self {
        let (selection, penalty) = match rule {
            Rule::Term(term) => return Self::Term(term),
            // The negatives that are left depend on the positive.
            Rule::Triplets { selection, false_negatives: Some(_), .. } => {
                return Self::Listed(selection);
            }
            Rule::Triplets { selection, penalty, false_negatives: None } => (selection, penalty),
        };
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

    /// Computes one row. The anchor must have at least one positive and one negative.
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
                gradient.sums.filtered += choose::false_negatives(row);
                choose::triplets(selection, row, &mut |positive, negative| {
                    gradient.select(row, positive, negative);
                });
            }
            Self::Term(Term::Lifted { .. }) => lifted::compute(row, lookup, gradient),
            Self::Term(Term::MultiSimilarity { alpha, beta, base }) => {
                multi_similarity::compute(row, [alpha, beta, base], lookup, gradient);
            }
            Self::Term(Term::SupervisedContrastive { temperature }) => {
                supervised_contrastive::compute(row, temperature, lookup, gradient);
            }
        }
    }
}

impl Rule {
    /// The penalty, and the margin that thresholds are computed with.
    pub(super) fn penalty(self) -> Penalty {
        match self {
            Self::Triplets { penalty, .. } => penalty,
            Self::Term(Term::Lifted { margin }) => Penalty::Hinge { margin },
            Self::Term(_) => Penalty::Hinge { margin: 0.0 },
        }
    }

    /// Which negatives are ignored as probably false.
    pub(super) fn false_negatives(self) -> Option<FalseNegatives> {
        match self {
            Self::Triplets { false_negatives, .. } => false_negatives,
            Self::Term(_) => None,
        }
    }

    /// Whether so many distances of a row have a weight that matrix products accumulate the
    /// gradient. `order` is that of the candidates.
    pub(super) fn is_dense(self, order: &ClassOrder) -> bool {
        match self {
            Self::Term(_) => true,
            Self::Triplets { selection, .. } => match selection {
                Selection::All | Selection::SemiHardAll => true,
                // Each positive and the negative selected for it have a weight.
                Selection::SemiHard | Selection::SemiHardFallback => {
                    let dense = from_positives::DENSE_SEMI_HARD;
                    order.ranges.iter().any(|class| class.len() > dense)
                }
                _ => false,
            },
        }
    }
}
