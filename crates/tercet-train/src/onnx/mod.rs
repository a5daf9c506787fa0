//! ONNX files: a trained encoder written as one, and any encoder in one put to use.
//!
//! [`export`] traces a model's forward pass into a graph, so that every encoder can be exported
//! without code of its own. [`OnnxEncoder`] runs a file, ours or another's, on images.

mod encoder;
mod export;
mod input;
mod network;
mod signature;
#[cfg(test)]
mod tests;

pub use encoder::{OnnxEncoder, OnnxOptions};
pub use export::{OPSET, check, export};
pub use input::Layout;

use std::path::PathBuf;

use crate::files::FileError;

/// The metadata key that holds the model's card.
const CARD: &str = "tercet";

/// The name of the input of an exported graph of images.
pub const IMAGES: &str = "images";

/// The name of the input of an exported graph of vectors.
pub const VECTORS: &str = "vectors";

/// The name of the output of an exported graph.
pub const OUTPUT: &str = "embeddings";

/// Why an encoder could not be written as ONNX, or an ONNX file not be used.
#[derive(Debug, thiserror::Error)]
pub enum OnnxError {
    /// The forward pass has no ONNX graph.
    #[error("cannot write the encoder `{encoder}` as ONNX: {reason}")]
    Export {
        /// The architecture.
        encoder: &'static str,
        /// What is in the way.
        reason: String,
    },
    /// The file could not be read.
    #[error(transparent)]
    File(#[from] FileError),
    /// Not ONNX, or a network that cannot be run.
    #[error("{} cannot be used: {reason}", path.display())]
    Unusable {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// An option that does not fit the network, or is missing.
    #[error("{option} is {got}: expected {expected}")]
    Option {
        /// Which option.
        option: &'static str,
        /// What was given.
        got: String,
        /// What the network wants.
        expected: String,
    },
}
