//! Embeddings by the encoder of any ONNX file.
//!
//! An [`OnnxEncoder`] takes the place that a [`Model`](tercet_train::Model) has elsewhere: it says how
//! items are prepared, and embeds them. Files of `tercet export` say all of that themselves; of
//! others the shape of the input is read, and [`OnnxOptions`] tell the rest.
//!
//! The feature `tract` (default) runs the networks. Without it [`OnnxEncoder::load`] refuses every
//! file and says how to get a build that has it.

#[cfg(not(feature = "tract"))]
mod absent;
#[cfg(feature = "tract")]
mod encoder;
mod error;
#[cfg(feature = "tract")]
mod input;
#[cfg(feature = "tract")]
mod network;
mod options;
#[cfg(feature = "tract")]
#[cfg(test)]
mod tests;

#[cfg(not(feature = "tract"))]
pub use absent::OnnxEncoder;
#[cfg(feature = "tract")]
pub use encoder::OnnxEncoder;
pub use error::OnnxError;
pub use options::{Layout, OnnxOptions};

/// The example of the crate's page is compiled as a test.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
