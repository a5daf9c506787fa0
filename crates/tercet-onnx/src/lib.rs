//! Computes embeddings with the encoder of any ONNX file.
//!
//! An [`OnnxEncoder`] is used in the same way as a [`Model`](tercet_train::Model): it has the
//! preprocessing of its items, and embeds them. Files of `tercet export` contain the preprocessing;
//! for other files it is derived from the shape of the input and the [`OnnxOptions`].
//!
//! Encoders of texts are loaded from a folder of sentence-transformers, or from a graph with its
//! `tokenizer.json` beside it; they need the feature `texts`.
//!
//! After [`use_as_backbones`], models of `tercet-train` can be trained on such encoders, and every
//! function that loads a model accepts an encoder in its place.
//!
//! The feature `tract` (default) runs the networks. Without it [`OnnxEncoder::load`] refuses every
//! file and says how to get a build that has it.

#[cfg(not(feature = "tract"))]
mod absent;
#[cfg(feature = "tract")]
mod backbone;
#[cfg(feature = "tract")]
mod claims;
#[cfg(feature = "tract")]
mod encoder;
mod error;
#[cfg(feature = "tract")]
mod export;
#[cfg(feature = "tract")]
mod input;
#[cfg(feature = "tract")]
mod network;
mod options;
#[cfg(feature = "tract")]
#[cfg(test)]
mod tests;
#[cfg(feature = "tract")]
mod texts;

#[cfg(not(feature = "tract"))]
pub use absent::{OnnxEncoder, export, use_as_backbones};
#[cfg(feature = "tract")]
pub use backbone::use_as_backbones;
#[cfg(feature = "tract")]
pub use encoder::OnnxEncoder;
pub use error::OnnxError;
#[cfg(feature = "tract")]
pub use export::export;
pub use options::{Layout, OnnxOptions};

/// The example of the README is compiled as a test.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
