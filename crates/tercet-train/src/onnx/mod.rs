//! A trained encoder as an ONNX file, for other programs.
//!
//! [`export`] writes a model as a graph from pixels to embeddings; each encoder adds its layers beside
//! its `forward`.

mod export;
#[cfg(test)]
mod reference;
mod signature;
#[cfg(test)]
mod tests;

pub use export::{OPSET, export};

/// The metadata key that holds the model's card.
pub const CARD: &str = "tercet";

/// The name of the input of a graph of images.
pub const IMAGES: &str = "images";

/// The name of the input of a graph of vectors.
pub const VECTORS: &str = "vectors";

/// The name of the output.
pub const OUTPUT: &str = "embeddings";

/// Why an encoder could not be written as ONNX.
#[derive(Debug, thiserror::Error)]
#[error("cannot write the encoder `{encoder}` as ONNX: {reason}")]
pub struct OnnxError {
    /// The architecture.
    pub encoder: &'static str,
    /// What is in the way.
    pub reason: String,
}
