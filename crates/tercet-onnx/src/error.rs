//! The error type of ONNX encoders.

use std::path::PathBuf;

use tercet::ParameterError;
use tercet_train::files::FileError;

/// Why an ONNX file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum OnnxError {
    /// The file could not be read.
    #[error(transparent)]
    File(#[from] FileError),
    /// The file is not ONNX, or not an encoder that can be run.
    #[error("{} cannot embed: {reason}", path.display())]
    Unusable {
        /// The file.
        path: PathBuf,
        /// The reason.
        reason: String,
    },
    /// This build cannot run ONNX files.
    #[error("{}: this build has no ONNX: {}", path.display(), tercet::FULL_BUILD)]
    NotBuilt {
        /// The file.
        path: PathBuf,
    },
    /// An option contradicts the file, or is missing.
    #[error(transparent)]
    Option(#[from] ParameterError),
}
