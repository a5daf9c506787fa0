//! The parts of an objective: which triplets are selected, what they cost, and how the costs become
//! one number.

mod census;
mod lifted;
mod objective;
mod penalty;
mod preset;
mod ranks;
mod reduction;
mod selection;
mod triplet_loss;

pub use census::Census;
pub use lifted::Lifted;
pub use objective::Objective;
pub use penalty::Penalty;
pub(super) use penalty::{SOFT_ACTIVE_FROM, exp_below_0};
pub use preset::Preset;
pub use ranks::Ranks;
pub use reduction::Reduction;
pub use selection::Selection;
pub use triplet_loss::TripletLoss;
