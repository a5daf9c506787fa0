//! Embeddings by the encoder of any ONNX file.
//!
//! An [`OnnxEncoder`] takes the place that a [`Model`](tercet_train::Model) has elsewhere: it says how
//! items are prepared, and embeds them. Files of `tercet export` say all of that themselves; of
//! others the shape of the input is read, and [`OnnxOptions`] tell the rest.

mod encoder;
mod error;
mod input;
mod network;
#[cfg(test)]
mod tests;

pub use encoder::{OnnxEncoder, OnnxOptions};
pub use error::OnnxError;
pub use input::Layout;
