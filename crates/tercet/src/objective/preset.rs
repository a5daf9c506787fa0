use serde::{Deserialize, Serialize};

use super::{Penalty, Reduction, Selection, TripletLoss};
use crate::named::named;
use crate::{Distance, Metric};

/// The products that papers made known.
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
}

named!(Preset, "objective");

impl Preset {
    /// Every preset.
    pub const ALL: [Self; 4] =
        [Self::Facenet, Self::BatchHard, Self::BatchAll, Self::BatchAllNonzero];

    /// The name used on the command line and in files.
    pub fn name(self) -> &'static str {
        match self {
            Self::Facenet => "facenet",
            Self::BatchHard => "batch-hard",
            Self::BatchAll => "batch-all",
            Self::BatchAllNonzero => "batch-all-nonzero",
        }
    }

    /// The objective that carries this name.
    pub fn loss(self) -> TripletLoss {
        let euclidean = Metric::from(Distance::Euclidean);
        let all = TripletLoss {
            metric: euclidean,
            selection: Selection::All,
            penalty: Penalty::Hinge { margin: 0.2 },
            reduction: Reduction::Mean,
        };
        match self {
            Self::Facenet => TripletLoss {
                metric: Metric { distance: Distance::SquaredEuclidean, normalize: true },
                selection: Selection::SemiHard,
                ..all
            },
            Self::BatchHard => TripletLoss {
                selection: Selection::Hard,
                penalty: Penalty::Soft { margin: 0.0 },
                ..all
            },
            Self::BatchAll => all,
            Self::BatchAllNonzero => TripletLoss { reduction: Reduction::MeanActive, ..all },
        }
    }
}
