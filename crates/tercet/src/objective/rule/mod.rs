//! The parts of an objective: which triplets are selected, what they cost, and how the costs become
//! one number.

mod census;
mod false_negatives;
mod lifted;
mod multi_similarity;
mod objective;
mod parameter;
mod penalty;
mod preset;
mod ranks;
mod reduction;
mod selection;
mod supervised_contrastive;
mod triplet_loss;

pub use census::Census;
pub use false_negatives::FalseNegatives;
pub use lifted::Lifted;
pub use multi_similarity::MultiSimilarity;
pub use objective::Objective;
pub use penalty::Penalty;
pub(super) use penalty::{SOFT_ACTIVE_FROM, exp_below_0};
pub use preset::Preset;
pub use ranks::Ranks;
pub use reduction::Reduction;
pub use selection::Selection;
pub use supervised_contrastive::SupervisedContrastive;
pub use triplet_loss::TripletLoss;
