//! A linear map plus a network with one hidden layer, on vectors that another network computed.

use burn::module::{Module, Param};
use burn::nn::{Initializer, Linear, LinearConfig};
use burn::tensor::activation::relu;
use burn::tensor::{Device, Tensor};
use serde::{Deserialize, Serialize};
use tercet::ParameterError;

use super::layers::linear;
use super::linear_head::{LARGEST, projection};
use super::options::check_range;
use super::trail::Trail;
use super::{EncoderOptions, InputShape};
use crate::onnx_graph::{Flow, Graph};

/// Options of [`MlpHead`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct MlpHeadConfig {
    /// Number of components of the hidden layer. Default 512.
    pub hidden: usize,
    /// Number of components of an embedding. 0 (default): as many as the vector has.
    pub embedding_dim: usize,
}

impl Default for MlpHeadConfig {
    fn default() -> Self {
        Self { hidden: 512, embedding_dim: 0 }
    }
}

/// z = x·P + relu(x·A + a)·B, where P is initialised as in the [linear head](super::LinearHead) and
/// B as 0: before its first step the head is as good as the vectors themselves.
#[derive(Module, Debug)]
pub struct MlpHead {
    projection: Linear,
    hidden: Linear,
    output: Linear,
}

impl MlpHeadConfig {
    /// The name used on the command line and in files.
    pub const NAME: &str = "mlp-head";

    pub(super) fn with(options: &mut EncoderOptions) -> Self {
        let mut config = Self::default();
        EncoderOptions::take(&mut options.hidden, &mut config.hidden);
        EncoderOptions::take(&mut options.embedding_dim, &mut config.embedding_dim);
        config
    }

    /// Creates the head with its initial weights.
    ///
    /// # Errors
    /// Sizes outside their range.
    pub fn init(&self, input: InputShape, device: &Device) -> Result<MlpHead, ParameterError> {
        check_range("hidden", self.hidden, 1..=LARGEST)?;
        let projection = projection(input.channels, self.embedding_dim, device)?;
        let [_, to] = projection.weight.val().dims();
        let output = LinearConfig::new(self.hidden, to)
            .with_bias(false)
            .with_initializer(Initializer::Zeros)
            .init(device);
        Ok(MlpHead { projection, hidden: linear(input.channels, self.hidden, device), output })
    }
}

impl MlpHead {
    /// The matrix P, D×D'.
    pub(super) fn projection_mut(&mut self) -> &mut Param<Tensor<2>> {
        &mut self.projection.weight
    }

    /// # Shapes
    /// - vectors: N×D, embeddings: N×D'
    pub fn forward(&self, vectors: Tensor<2>) -> Tensor<2> {
        let hidden = relu(self.hidden.forward(vectors.clone()));
        self.projection.forward(vectors) + self.output.forward(hidden)
    }

    pub(super) fn follow(&self, start: Trail) -> Trail {
        let hidden = start.linear(&self.hidden).leave(1).linear(&self.output);
        start.linear(&self.projection).beside(start, hidden).leave(1)
    }

    /// [`forward`](Self::forward) as layers of a graph.
    pub(super) fn graph(&self, graph: &mut Graph, vectors: &Flow) -> Flow {
        let hidden = graph.linear(vectors, &self.hidden);
        let hidden = graph.relu(&hidden);
        let projected = graph.linear(vectors, &self.projection);
        let added = graph.linear(&hidden, &self.output);
        graph.add(&projected, &added)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encoder::parameters;

    #[test]
    fn it_starts_as_the_vectors_themselves() {
        let device = Device::flex();
        let head = MlpHeadConfig::default().init(InputShape::vectors(6), &device).unwrap();
        assert_eq!(parameters(&head), 6 * 6 + (6 * 512 + 512) + 512 * 6);
        let vectors = Tensor::<2>::random([5, 6], burn::tensor::Distribution::Default, &device);
        let embedded = head.forward(vectors.clone());
        embedded
            .into_data()
            .assert_approx_eq::<f32>(&vectors.into_data(), burn::tensor::Tolerance::absolute(1e-6));
    }
}
