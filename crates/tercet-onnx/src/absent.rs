//! The encoder in a build without the feature `tract`: nothing is ever loaded.

use std::convert::Infallible;
use std::ops::ControlFlow;
use std::path::Path;

use ndarray::Array2;
use tercet_train::data::{Examples, Input};
use tercet_train::model::{ModelCard, ModelError};
use tercet_train::views::Views;

use crate::{OnnxError, OnnxOptions};

/// A network in an ONNX file. This build has nothing that runs one, so there is no such value.
#[derive(Debug)]
pub struct OnnxEncoder {
    never: Infallible,
    /// What a file of `tercet export` says of itself.
    pub card: Option<ModelCard>,
    /// How many items enter at once, where the graph was written for this number.
    pub fixed_batch: Option<usize>,
    /// Stable hash of the file's bytes and of the options.
    pub fingerprint: String,
}

impl OnnxEncoder {
    /// Refuses every file.
    ///
    /// # Errors
    /// Always [`OnnxError::NotBuilt`].
    pub fn load(path: &Path, _: &OnnxOptions) -> Result<Self, OnnxError> {
        Err(OnnxError::NotBuilt { path: path.to_owned() })
    }

    /// How an item becomes the network's input.
    pub fn input(&self) -> &Input {
        match self.never {}
    }

    /// Whether embeddings are L2-normalised.
    pub fn is_normalized(&self) -> bool {
        match self.never {}
    }

    /// Embeds items.
    ///
    /// # Errors
    /// None: there is no encoder to call this on.
    pub fn embed(
        &self,
        _: &Examples,
        _: &[u32],
        _: Views,
        _: &dyn Fn(usize) -> ControlFlow<()>,
    ) -> Result<Array2<f32>, ModelError> {
        match self.never {}
    }
}
