//! Training of embedding networks on triplets, from real images to a judged model file.
//!
//! Data flows one way through the rooms of this crate: a [`data::Source`] lists a
//! [`data::Catalogue`] of items, whose classes are split into those to learn from and those to be
//! judged on; a sampler draws P×K batches, loader threads turn them into tensors, an
//! [`encoder`] embeds them, the objective of [`tercet`] says value and gradient, a surrogate takes
//! the gradient back through the encoder; the [`trainer`] watches, checkpoints and resumes; the
//! [`model`] file carries everything that is needed to use the result; [`judgement`] says what it
//! is worth.
//!
//! This is the only crate of Tercet that names Burn.

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
#[cfg(feature = "parquet")]
mod parquet_claims;
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
