//! Triplet objectives: value, gradient and census of a batch, for all triplets that a rule selects.
//!
//! A triplet is an anchor a, a positive p of the same class and a negative n of another; all three
//! are different items. An objective is a product of four choices,
//!
//! ```text
//! TripletLoss = Distance × Selection × Penalty × Reduction
//! ```
//!
//! and its value is the [`Reduction`] of φ(d(a,p) − d(a,n)) over the selected triplets, where φ is
//! the [`Penalty`] and d the [`Metric`](crate::Metric). A [`Preset`] is the objective of a
//! well-known paper.
//!
//! [`Lifted`] structure, [`MultiSimilarity`] and [`SupervisedContrastive`] are not such products, but
//! have the same interface; [`Objective`] is any of them. [`Evaluation`] adds frozen or reference
//! vectors, ignores probable [false negatives](FalseNegatives), and evaluates prefixes of the
//! embeddings; [`Memory`] is a bank of past embeddings. For a loss of your own, [`Selection::triplets`] lists the triplets;
//! [`TripletLoss::evaluate_triplets`] evaluates triplets that were chosen elsewhere.
//!
//! # How it is computed
//! Data flows through the modules in this order: `rule` defines selections, penalties and
//! reductions, `evaluation` checks the inputs and puts them in class order, an `engine` computes
//! distances row by row, a `kernel` turns a row into weights ∂(Σ φ)/∂d, and the engine accumulates
//! the weights into the gradient. `choose` lists the triplets of selections that have no kernel of
//! their own, and `reference` holds the definitions, triplet by triplet in f64, with which the
//! tests compare.

mod choose;
mod engine;
mod evaluation;
mod from_positives;
mod kernel;
mod memory;
#[cfg(any(test, feature = "reference"))]
#[doc(hidden)]
pub mod reference;
mod row;
mod rule;
mod triplets;

pub use evaluation::{Evaluation, Outcome};
#[cfg(any(test, feature = "reference"))]
#[doc(hidden)]
pub use kernel::crossover;
pub use memory::Memory;
pub use rule::{
    Census, FalseNegatives, Lifted, MultiSimilarity, Objective, Penalty, Preset, Ranks, Reduction,
    Selection, SupervisedContrastive, TripletLoss,
};
pub use triplets::{TRIPLET_LIMIT, Triplet};

#[cfg(test)]
mod tests;
