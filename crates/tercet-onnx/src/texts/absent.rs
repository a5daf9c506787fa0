//! The encoder of texts in a build without a tokeniser: it refuses every file.

use std::convert::Infallible;
use std::ops::ControlFlow;

use ndarray::Array2;
use tercet_train::data::TextInput;
use tercet_train::model::ModelError;
use tract_onnx::pb::ModelProto;

use super::TextGraph;

/// An encoder of texts. This build cannot run one, so no value of this type exists.
#[derive(Debug)]
pub(crate) struct TextEncoder {
    never: Infallible,
}

impl TextEncoder {
    pub(crate) fn new(
        _: ModelProto,
        _: &TextGraph,
        _: Option<&str>,
        _: &[u8],
        _: TextInput,
    ) -> Result<Self, String> {
        Err(format!("it reads texts, and this build has no tokeniser: {}", tercet::FULL_BUILD))
    }

    pub(crate) fn embed(
        &self,
        _: &[&str],
        _: &dyn Fn(usize) -> ControlFlow<()>,
    ) -> Result<Array2<f32>, ModelError> {
        match self.never {}
    }
}
