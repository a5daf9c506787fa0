//! Why a model could not be read, written or used.

use std::path::PathBuf;

use tercet::ParameterError;

use crate::data::DataError;
use crate::files::FileError;
use crate::printable::printable_path;

/// Why a model could not be read, written or used.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// The file could not be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// The file is not a safetensors file with a card, or is damaged.
    #[error("{} is not a model file: {reason}", printable_path(path))]
    NotAModel {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The options in the file do not describe a valid network.
    #[error(transparent)]
    Encoder(#[from] ParameterError),
    /// A backbone that cannot be used.
    #[error("{} cannot be used as an encoder: {reason}", printable_path(path))]
    Backbone {
        /// The path of the backbone, or of the model file that contains it.
        path: PathBuf,
        /// The reason.
        reason: String,
    },
    /// The items to embed could not be read.
    #[error(transparent)]
    Data(#[from] DataError),
    /// The weights could not be collected.
    #[error("cannot collect the weights: {0}")]
    Collect(String),
    /// The network returned no values, or values that are not finite.
    #[error("no embeddings: {0}")]
    Embed(String),
}
