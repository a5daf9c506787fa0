//! Training of embedding networks on triplets, from real images to an evaluated model file.
//!
//! Data flows one way through the modules of this crate. A [`data::Source`] lists a
//! [`data::Catalogue`] of items, whose classes are split into those to train on and those to
//! evaluate on. A sampler draws P×K batches, which loader threads convert to tensors. An
//! [`encoder`] embeds them, the objective of [`tercet`] computes its value and its gradient, and a
//! surrogate passes the gradient back through the encoder. The [`trainer`] observes the run, writes
//! checkpoints and resumes. The [`model`] file contains everything that is needed to use the
//! result, and [`judgement`] evaluates it.
//!
//! This is the only crate of Tercet that depends on Burn.

pub mod confusion;
pub mod data;
pub mod decision;
pub mod embeddings;
pub mod encoder;
pub mod files;
pub mod fingerprint;
pub mod judgement;
mod kernels;
pub mod model;
pub mod onnx;
mod onnx_graph;
pub mod pretrained;
pub mod printable;
pub mod reading;
mod safetensors_head;
pub mod sharing;
pub mod thumbnails;
pub mod trainer;
pub mod views;

pub use model::Model;
pub use trainer::shell;
pub use trainer::{TrainConfig, train};
pub use views::Views;

/// Compiles the example of the README as a test.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
