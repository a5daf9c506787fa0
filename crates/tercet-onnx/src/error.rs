use std::path::PathBuf;

use tercet::ParameterError;
use tercet_train::files::FileError;

/// Why an ONNX file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum OnnxError {
    /// It could not be read.
    #[error(transparent)]
    File(#[from] FileError),
    /// It is no ONNX, or no encoder that can be run.
    #[error("{} cannot embed: {reason}", path.display())]
    Unusable {
        /// The file.
        path: PathBuf,
        /// What is in the way.
        reason: String,
    },
    /// This build has nothing that runs ONNX files.
    #[error("{}: this build has no ONNX: {}", path.display(), tercet::FULL_BUILD)]
    NotBuilt {
        /// The file.
        path: PathBuf,
    },
    /// An option contradicts the file, or is missing.
    #[error(transparent)]
    Option(#[from] ParameterError),
}
