//! The network that computes embeddings: a model or an ONNX encoder.

use std::ops::ControlFlow;

use ndarray::Array2;
use tercet_onnx::OnnxEncoder;
use tercet_train::Views;
use tercet_train::data::{Examples, Input};
use tercet_train::model::{Model, ModelError};

/// A model of `tercet train`, or the encoder of any ONNX file.
pub(super) enum Network {
    Model(Box<Model>),
    Onnx(Box<OnnxEncoder>),
}

impl Network {
    pub(super) fn input(&self) -> &Input {
        match self {
            Self::Model(model) => &model.card.preprocessing,
            Self::Onnx(encoder) => encoder.input(),
        }
    }

    pub(super) fn fingerprint(&self) -> &str {
        match self {
            Self::Model(model) => &model.fingerprint,
            Self::Onnx(encoder) => &encoder.fingerprint,
        }
    }

    pub(super) fn is_normalized(&self) -> bool {
        match self {
            Self::Model(model) => model.card.normalized,
            Self::Onnx(encoder) => encoder.is_normalized(),
        }
    }

    /// A warning if the first `dimensions` components were not trained to be embeddings.
    pub(super) fn untrained_prefix(&self, dimensions: usize) -> Option<String> {
        let Self::Model(model) = self else { return None };
        let trained = &model.card.matryoshka;
        let all = model.card.dimensions();
        let known = trained.contains(&dimensions) || dimensions == all;
        (!known).then(|| match &trained[..] {
            [] => format!(
                "the model was trained for all of its {all} dimensions, not for the first {dimensions}"
            ),
            trained => format!(
                "the model was trained for {} of its {all} dimensions, not for {dimensions}",
                trained.iter().map(usize::to_string).collect::<Vec<_>>().join(", ")
            ),
        })
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
            Self::Onnx(encoder) => encoder.embed(examples, items, views, progress),
        }
    }
}
