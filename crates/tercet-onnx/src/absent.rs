//! The encoder in a build without the feature `tract`: it refuses every file.

use std::convert::Infallible;
use std::ops::ControlFlow;
use std::path::Path;

use ndarray::Array2;
use tercet_train::data::{Examples, Input};
use tercet_train::model::{ModelCard, ModelError};
use tercet_train::views::Views;

use crate::{OnnxError, OnnxOptions};

pub use tercet_train::onnx::export;

/// Does nothing, since there are no encoders that could be backbones.
pub fn use_as_backbones() {}

/// A network in an ONNX file. This build cannot run one, so no value of this type exists.
#[derive(Debug)]
pub struct OnnxEncoder {
    never: Infallible,
    /// The model card, which files of `tercet export` contain.
    pub card: Option<ModelCard>,
    /// The batch size, if the graph is limited to one.
    pub fixed_batch: Option<usize>,
    /// A stable hash of the file's bytes and of the options.
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

    /// The preprocessing of an item.
    pub fn input(&self) -> &Input {
        match self.never {}
    }

    /// Whether embeddings are L2-normalised.
    pub fn is_normalized(&self) -> bool {
        match self.never {}
    }

    /// Embeds texts.
    ///
    /// # Errors
    /// It cannot fail: there is no encoder on which to call it.
    pub fn embed_texts(&self, _: &[&str]) -> Result<Array2<f32>, ModelError> {
        match self.never {}
    }

    /// Embeds items.
    ///
    /// # Errors
    /// It cannot fail: there is no encoder on which to call it.
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
