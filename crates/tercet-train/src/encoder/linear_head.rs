//! A linear map of vectors that another network computed.

use burn::module::{Module, Param};
use burn::nn::{Initializer, Linear, LinearConfig};
use burn::tensor::{Device, Tensor};
use serde::{Deserialize, Serialize};
use tercet::ParameterError;

use super::options::check_range;
use super::trail::Trail;
use super::{EncoderOptions, InputShape};
use crate::onnx_graph::{Flow, Graph};

/// The largest number of components of an embedding; a matrix of 2^14 × 2^14 takes a gigabyte.
pub(super) const LARGEST: usize = 1 << 14;

/// Options of [`LinearHead`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct LinearHeadConfig {
    /// Number of components of an embedding. 0 (default): as many as the vector has.
    pub embedding_dim: usize,
}

/// z = x·W, where W is initialised as the identity: before its first step the head is as good as
/// the vectors themselves, and training changes their metric.
///
/// If the embedding has more components than the vector, W has random orthonormal rows at the
/// start. If it has fewer, W has orthonormal columns: random ones, which a training run replaces by
/// the principal components of the vectors ([`starting_from`](super::Encoder::starting_from)).
#[derive(Module, Debug)]
pub struct LinearHead {
    projection: Linear,
}

impl LinearHeadConfig {
    /// The name used on the command line and in files.
    pub const NAME: &str = "linear-head";

    pub(super) fn with(options: &mut EncoderOptions) -> Self {
        let mut config = Self::default();
        EncoderOptions::take(&mut options.embedding_dim, &mut config.embedding_dim);
        config
    }

    /// Creates the head with its initial weights.
    ///
    /// # Errors
    /// Sizes outside their range.
    pub fn init(&self, input: InputShape, device: &Device) -> Result<LinearHead, ParameterError> {
        let projection = projection(input.channels, self.embedding_dim, device)?;
        Ok(LinearHead { projection })
    }
}

impl LinearHead {
    /// The matrix W, D×D'.
    pub(super) fn projection_mut(&mut self) -> &mut Param<Tensor<2>> {
        &mut self.projection.weight
    }

    /// # Shapes
    /// - vectors: N×D, embeddings: N×D'
    pub fn forward(&self, vectors: Tensor<2>) -> Tensor<2> {
        self.projection.forward(vectors)
    }

    pub(super) fn follow(&self, trail: Trail) -> Trail {
        trail.linear(&self.projection)
    }

    /// [`forward`](Self::forward) as layers of a graph.
    pub(super) fn graph(&self, graph: &mut Graph, vectors: &Flow) -> Flow {
        graph.linear(vectors, &self.projection)
    }
}

/// A matrix without bias that retains distances as far as its size allows, because it is the
/// identity or has orthonormal rows or columns. If `to` is 0, it has as many columns as the vector
/// has components.
pub(super) fn projection(
    from: usize,
    to: usize,
    device: &Device,
) -> Result<Linear, ParameterError> {
    check_range("components of a vector", from, 1..=LARGEST)?;
    check_range("embedding-dim", to, 0..=LARGEST)?;
    let to = if to == 0 { from } else { to };
    let linear = LinearConfig::new(from, to).with_bias(false);
    if from != to {
        return Ok(linear.with_initializer(Initializer::Orthogonal { gain: 1.0 }).init(device));
    }
    let identity = Param::from_tensor(Tensor::eye(from, device));
    Ok(Linear { weight: identity, bias: None })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encoder::parameters;

    fn distances(vectors: Tensor<2>) -> Vec<f32> {
        let [n, _] = vectors.dims();
        let rows: Vec<f32> = vectors.into_data().try_to_vec().unwrap();
        let dim = rows.len() / n;
        let distance = |i: usize, j: usize| {
            (0..dim).map(|k| (rows[i * dim + k] - rows[j * dim + k]).powi(2)).sum::<f32>().sqrt()
        };
        (0..n).flat_map(|i| (0..i).map(move |j| distance(i, j)).collect::<Vec<_>>()).collect()
    }

    #[test]
    fn it_starts_without_changing_a_distance() {
        let device = Device::flex();
        let vectors = Tensor::<2>::random([5, 6], burn::tensor::Distribution::Default, &device);
        for embedding_dim in [0, 6, 9] {
            let config = LinearHeadConfig { embedding_dim };
            let head = config.init(InputShape::vectors(6), &device).unwrap();
            let embedded = head.forward(vectors.clone());
            assert_eq!(embedded.dims(), [5, embedding_dim.max(6)]);
            for (got, raw) in distances(embedded).into_iter().zip(distances(vectors.clone())) {
                assert!((got - raw).abs() < 1e-5, "{got} {raw}");
            }
        }
        let narrow = LinearHeadConfig { embedding_dim: 2 };
        let head = narrow.init(InputShape::vectors(6), &device).unwrap();
        assert_eq!(parameters(&head), 12);
        let columns = head.projection.weight.val().transpose();
        for (place, product) in
            columns.clone().matmul(columns.transpose()).into_data().iter::<f32>().enumerate()
        {
            let expected = if place % 3 == 0 { 1.0 } else { 0.0 };
            assert!((product - expected).abs() < 1e-5);
        }
    }
}
