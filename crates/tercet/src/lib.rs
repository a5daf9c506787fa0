//! The mathematics of the triplet loss, free of any neural-network framework.
//!
//! A triplet objective needs three things: vectors, labels, and a rule. It returns a value **and
//! the gradient with respect to the vectors**, so it serves any framework that can continue a
//! backward pass from there.
//!
//! ```
//! use ndarray::array;
//! use tercet::{Labels, TripletLoss};
//!
//! let embeddings = array![[0.0_f32, 0.0], [1.0, 0.0], [0.0, 1.2], [3.0, 1.2]];
//! let labels = Labels::from_iter(["ann", "ann", "bob", "bob"]);
//! let outcome = TripletLoss::batch_hard().evaluate(embeddings.view(), &labels)?;
//!
//! assert_eq!(outcome.gradient.dim(), (4, 2));
//! assert_eq!(outcome.census.triplets, 8);
//! assert_eq!(outcome.census.selected, 4); // one triplet an anchor
//! # Ok::<(), tercet::Error>(())
//! ```
//!
//! The quality of the vectors is evaluated on classes that were not trained on:
//!
//! ```
//! use ndarray::array;
//! use tercet::{Labels, Metric, Retrieval};
//!
//! let embeddings = array![[0.0_f32, 0.0], [1.0, 0.0], [0.0, 5.0], [1.0, 5.0]];
//! let labels = Labels::from_iter(["ann", "ann", "bob", "bob"]);
//! let judged = Retrieval::leave_one_out(embeddings.view(), &labels, Metric::default())?;
//! assert_eq!(judged.recall_at(1), Some(1.0));
//! # Ok::<(), tercet::Error>(())
//! ```
//!
//! The modules, in the order in which data passes through them: [`Labels`] group items into
//! classes, [`sampler`] draws P×K batches, [`Metric`] computes distances, and [`objective`] turns
//! distances into a loss and its gradient. [`retrieval`], [`reidentification`], [`verification`],
//! [`one_shot`] and [`clustering`] evaluate the resulting embeddings, with [`bootstrap`] intervals
//! around each figure. [`comparison`] tests whether two systems differ, [`calibration`] turns
//! distances into probabilities, and [`open_set`] chooses thresholds for searches in which almost
//! no item is of the query's class. [`reranking`], [`expansion`], [`whitening`] and
//! [`quantisation`] change the embeddings or distances before they are evaluated. Where a model is
//! replaced, [`cross_model`] evaluates queries of one in a gallery of the other, and an [`adapter`]
//! maps the vectors of one into the space of the other.

// The code of the fuzzer uses this crate by its name, as other crates do.
#[cfg(test)]
extern crate self as tercet;

pub mod adapter;
pub mod bench;
pub mod bootstrap;
mod buffer_pool;
pub mod calibration;
pub mod clustering;
pub mod comparison;
pub mod cross_model;
pub mod distance;
mod eigen;
mod error;
pub mod expansion;
pub mod labels;
mod matrix;
mod named_choice;
mod neighbor;
pub mod neighbors;
pub mod objective;
pub mod one_shot;
pub mod open_set;
mod parameter;
pub mod percentiles;
pub mod plane;
pub mod quantisation;
mod ranking;
pub mod reidentification;
pub mod reranking;
pub mod retrieval;
mod same_items;
pub mod sampler;
pub mod scan;
mod simd;
mod sorted_lookup;
mod svd;
pub mod verification;
mod watch;
pub mod whitening;

pub use adapter::Adapter;
pub use calibration::Calibration;
pub use clustering::Clustering;
pub use cross_model::CrossModel;
pub use distance::{Distance, Metric};
pub use error::{Error, FULL_BUILD};
pub use labels::Labels;
pub use objective::{
    Census, Evaluation, FalseNegatives, Lifted, Memory, MultiSimilarity, Objective, Outcome,
    Penalty, Preset, Ranks, Reduction, Selection, SupervisedContrastive, Triplet, TripletLoss,
};
pub use one_shot::OneShot;
pub use open_set::OpenSet;
pub use parameter::ParameterError;
pub use percentiles::Percentiles;
pub use reidentification::Reidentification;
pub use retrieval::Retrieval;
pub use same_items::SameItems;
pub use sampler::{PkSampler, Sampling};
pub use verification::Verification;
pub use watch::Watch;

/// The examples of the book and of the README of this crate are compiled and run as tests.
#[cfg(doctest)]
mod documented {
    #[doc = include_str!("../../../docs/book/src/how-to/rust.md")]
    struct Book;
    #[doc = include_str!("../README.md")]
    struct Readme;
}
