//! The objectives of well-known papers.

use serde::{Deserialize, Serialize};

use super::{
    Lifted, MultiSimilarity, Objective, Penalty, Reduction, Selection, SupervisedContrastive,
    TripletLoss,
};
use crate::named;
use crate::{Distance, Metric};

/// The objectives of well-known papers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Preset {
    /// FaceNet (arXiv 1503.03832): normalised, squared Euclidean, semi-hard, hinge 0.2, mean.
    Facenet,
    /// "In Defense of the Triplet Loss" (arXiv 1703.07737), eq. 5 with soft margin: Euclidean,
    /// hard, soft, mean.
    #[default]
    BatchHard,
    /// "In Defense", eq. 6: Euclidean, all triplets, hinge 0.2, mean.
    BatchAll,
    /// "In Defense", eq. 6 averaged over the non-zero terms only.
    BatchAllNonzero,
    /// "In Defense", eq. 7, averaged over the anchors: Euclidean, margin 1.
    Lifted,
    /// Multi-similarity (arXiv 1904.06627): cosine, α 2, β 50, λ 0.5, averaged over the anchors.
    MultiSimilarity,
    /// Supervised contrastive (arXiv 2004.11362): cosine, temperature 0.1, averaged over the
    /// anchors.
    SupervisedContrastive,
}

named!(
    Preset,
    "objective",
    [
        Facenet = "facenet",
        BatchHard = "batch-hard",
        BatchAll = "batch-all",
        BatchAllNonzero = "batch-all-nonzero",
        Lifted = "lifted",
        MultiSimilarity = "multi-similarity",
        SupervisedContrastive = "supervised-contrastive",
    ]
);

impl Preset {
    /// The objective with this name.
    pub fn loss(self) -> Objective {
        match self {
            Self::Facenet => TripletLoss::facenet().into(),
            Self::BatchHard => TripletLoss::batch_hard().into(),
            Self::BatchAll => TripletLoss::batch_all().into(),
            Self::BatchAllNonzero => TripletLoss::batch_all_nonzero().into(),
            Self::Lifted => Lifted::default().into(),
            Self::MultiSimilarity => MultiSimilarity::default().into(),
            Self::SupervisedContrastive => SupervisedContrastive::default().into(),
        }
    }
}

impl TripletLoss {
    /// Batch-hard with soft margin: [`Preset::BatchHard`].
    pub fn batch_hard() -> Self {
        Self {
            selection: Selection::Hard,
            penalty: Penalty::Soft { margin: 0.0 },
            ..Self::batch_all()
        }
    }

    /// All triplets with a hinge, mean over them: [`Preset::BatchAll`].
    pub fn batch_all() -> Self {
        Self {
            metric: Metric::from(Distance::Euclidean),
            selection: Selection::All,
            penalty: Penalty::Hinge { margin: 0.2 },
            reduction: Reduction::Mean,
        }
    }

    /// All triplets, mean over those with a positive penalty: [`Preset::BatchAllNonzero`].
    pub fn batch_all_nonzero() -> Self {
        Self { reduction: Reduction::MeanActive, ..Self::batch_all() }
    }

    /// Semi-hard triplets of normalised embeddings: [`Preset::Facenet`].
    pub fn facenet() -> Self {
        Self {
            metric: Metric { distance: Distance::SquaredEuclidean, normalize: true },
            selection: Selection::SemiHard,
            ..Self::batch_all()
        }
    }
}
