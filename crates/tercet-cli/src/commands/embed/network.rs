//! Whatever turns images into embeddings.

use std::ops::ControlFlow;

use ndarray::Array2;
use tercet_train::data::{Examples, Input};
use tercet_train::model::{Model, ModelError};
#[cfg(feature = "onnx")]
use tercet_train::onnx::OnnxEncoder;
use tercet_train::Views;

/// A network of ours or, from an ONNX file, of others.
pub(super) enum Network {
    Model(Box<Model>),
    #[cfg(feature = "onnx")]
    Onnx(Box<OnnxEncoder>),
}

impl Network {
    pub(super) fn input(&self) -> Input {
        match self {
            Self::Model(model) => model.card.preprocessing.clone(),
            #[cfg(feature = "onnx")]
            Self::Onnx(encoder) => Input::Images(encoder.preprocessing().clone()),
        }
    }

    pub(super) fn fingerprint(&self) -> &str {
        match self {
            Self::Model(model) => &model.fingerprint,
            #[cfg(feature = "onnx")]
            Self::Onnx(encoder) => &encoder.fingerprint,
        }
    }

    pub(super) fn is_normalized(&self) -> bool {
        match self {
            Self::Model(model) => model.card.normalized,
            #[cfg(feature = "onnx")]
            Self::Onnx(encoder) => encoder.is_normalized(),
        }
    }

    pub(super) fn embed(
        &self,
        examples: &Examples,
        items: &[u32],
        views: Views,
        progress: &dyn Fn(usize) -> ControlFlow<()>,
    ) -> Result<Array2<f32>, ModelError> {
        match self {
            Self::Model(model) => model.embed(examples, items, views, progress),
            #[cfg(feature = "onnx")]
            Self::Onnx(encoder) => encoder.embed(examples, items, views, progress),
        }
    }
}
