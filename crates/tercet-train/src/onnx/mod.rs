//! Trained encoders as ONNX files, for other programs.
//!
//! [`export`] writes a model as a graph from pixels to embeddings. Each encoder describes its
//! layers in a method `graph` next to its `forward`.

mod export;
#[cfg(test)]
mod reference;
mod signature;
#[cfg(test)]
mod tests;

pub use export::{OPSET, export, export_head};

/// The metadata key of the model's card.
pub const CARD: &str = "tercet";

/// The name of the input of a graph of images.
pub const IMAGES: &str = "images";

/// The name of the input of a graph of vectors.
pub const VECTORS: &str = "vectors";

/// The name of the output.
pub const OUTPUT: &str = "embeddings";

/// The error of writing an encoder as ONNX.
#[derive(Debug, thiserror::Error)]
#[error("cannot write the encoder `{encoder}` as ONNX: {reason}")]
pub struct OnnxError {
    /// The architecture.
    pub encoder: &'static str,
    /// The reason.
    pub reason: String,
}
