//! A small convolutional network, the default for images of up to about a hundred pixels per side.

use burn::module::Module;
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::pool::MaxPool2dConfig;
use burn::nn::{BatchNorm, BatchNormConfig, Linear, LinearConfig, PaddingConfig2d};
use burn::tensor::{Device, Tensor};
use serde::{Deserialize, Serialize};
use tercet::ParameterError;

use super::trail::Trail;
use super::{EncoderOptions, InputShape, Pooling};
use crate::kernels::{convolve, normalize};
use crate::onnx_graph::{Flow, Graph};

/// By default there are no further blocks once a side has at most this length: a head that receives
/// every position gives better results than global pooling.
const SMALLEST_SIDE: usize = 4;

/// The largest number of weights; more, which take over a gigabyte, are taken for a mistake in the
/// options.
const LARGEST: usize = 1 << 28;

/// Options of [`SmallCnn`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct SmallCnnConfig {
    /// Channels of every block. Default 64.
    pub width: usize,
    /// Number of blocks; each halves the image. 0 (default): until a side is at most 4 pixels.
    pub depth: usize,
    /// Number of components of an embedding. Default 64.
    pub embedding_dim: usize,
    /// What the head receives of the last feature map. Default `flatten`.
    pub pooling: Pooling,
}

impl Default for SmallCnnConfig {
    fn default() -> Self {
        Self { width: 64, depth: 0, embedding_dim: 64, pooling: Pooling::Flatten }
    }
}

/// `depth` blocks of convolution 3×3, batch norm, ReLU and max-pooling 2×2, followed by one linear
/// layer on the flattened or averaged map. The embedding is not normalised, as "In Defense" (arXiv
/// 1703.07737) advises.
#[derive(Module, Debug)]
pub struct SmallCnn {
    blocks: Vec<Block>,
    head: Linear,
    global: bool,
}

#[derive(Module, Debug)]
struct Block {
    convolution: Conv2d,
    norm: BatchNorm,
}

impl SmallCnnConfig {
    /// The name used on the command line and in files.
    pub const NAME: &str = "small-cnn";

    pub(super) fn with(options: &mut EncoderOptions) -> Self {
        let mut config = Self::default();
        EncoderOptions::take(&mut options.width, &mut config.width);
        EncoderOptions::take(&mut options.depth, &mut config.depth);
        EncoderOptions::take(&mut options.embedding_dim, &mut config.embedding_dim);
        EncoderOptions::take(&mut options.pooling, &mut config.pooling);
        config
    }

    /// Creates the network with random initial weights.
    ///
    /// # Errors
    /// A width or embedding dimension outside its range; more blocks than the image can be halved;
    /// too many weights.
    pub fn init(&self, input: InputShape, device: &Device) -> Result<SmallCnn, ParameterError> {
        for (option, got) in [("width", self.width), ("embedding-dim", self.embedding_dim)] {
            if !(1..=4096).contains(&got) {
                return Err(ParameterError {
                    parameter: option,
                    got: got.to_string(),
                    expected: "1 to 4096".to_owned(),
                });
            }
        }
        let shorter = input.height.min(input.width);
        let possible = shorter.checked_ilog2().unwrap_or(0) as usize;
        let depth = match self.depth {
            0 => {
                (1..=possible).find(|&depth| shorter >> depth <= SMALLEST_SIDE).unwrap_or(possible)
            }
            depth => depth,
        };
        if depth == 0 || depth > possible {
            return Err(ParameterError {
                parameter: "depth",
                got: depth.to_string(),
                expected: format!(
                    "1 to {possible} blocks for images of {}×{} pixels",
                    input.width, input.height
                ),
            });
        }

        let global = self.pooling == Pooling::Global;
        let places = if global { 1 } else { (input.height >> depth) * (input.width >> depth) };
        let map = places * self.width;
        let weights = map * self.embedding_dim + depth * 9 * self.width * self.width;
        if weights > LARGEST {
            return Err(ParameterError {
                parameter: "width × embedding-dim",
                got: format!("{weights} weights"),
                expected: format!("at most {LARGEST}: more blocks, or smaller numbers"),
            });
        }
        let mut channels = input.channels;
        let blocks = (0..depth)
            .map(|_| {
                let convolution = Conv2dConfig::new([channels, self.width], [3, 3])
                    .with_padding(PaddingConfig2d::Same)
                    .with_bias(false) // batch norm would subtract it
                    .init(device);
                channels = self.width;
                Block { convolution, norm: BatchNormConfig::new(self.width).init(device) }
            })
            .collect();
        let head = LinearConfig::new(map, self.embedding_dim).init(device);
        Ok(SmallCnn { blocks, head, global })
    }
}

impl SmallCnn {
    /// # Shapes
    /// - images: N×C×H×W, embeddings: N×D
    pub fn forward(&self, images: Tensor<4>) -> Tensor<2> {
        let map = self.blocks.iter().fold(images, |map, block| {
            normalize(&block.norm, convolve(&block.convolution, map), 0.0, true)
        });
        let map = if self.global { map.mean_dim(3).mean_dim(2) } else { map };
        self.head.forward(map.flatten(1, 3))
    }

    pub(super) fn follow(&self, trail: Trail) -> Trail {
        let blocks = self.blocks.iter();
        blocks
            .fold(trail, |trail, block| {
                trail.convolution(&block.convolution).leave(2).pool_whole(2)
            })
            .linear(&self.head)
    }

    /// [`forward`](Self::forward) as layers of a graph.
    pub(super) fn graph(&self, graph: &mut Graph, images: &Flow) -> Flow {
        let pool = MaxPool2dConfig::new([2, 2]).init();
        let map = self.blocks.iter().fold(images.clone(), |map, block| {
            let map = graph.convolution(&map, &block.convolution);
            let map = graph.norm(&map, &block.norm);
            let map = graph.relu(&map);
            graph.max_pool(&map, &pool)
        });
        let features = if self.global { graph.mean_over_map(&map) } else { graph.flatten(&map) };
        graph.linear(&features, &self.head)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape(side: usize, channels: usize) -> InputShape {
        InputShape { channels, height: side, width: side }
    }

    #[test]
    fn parameters_are_as_counted_by_hand() {
        let device = Device::flex();
        let network = SmallCnnConfig::default().init(shape(28, 1), &device).unwrap();
        let convolutions = 9 * 64 + 2 * 9 * 64 * 64;
        let norms = 3 * 2 * 64 + 3 * 2 * 64; // scale, shift; running mean and variance
        let head = 3 * 3 * 64 * 64 + 64;
        assert_eq!(network.num_params(), convolutions + norms + head);
        assert_eq!(network.blocks.len(), 3);
    }

    #[test]
    fn depth_follows_the_image() {
        let device = Device::flex();
        for (side, depth) in [(2, 1), (8, 1), (28, 3), (32, 3), (64, 4), (96, 5), (128, 5)] {
            let network = SmallCnnConfig { width: 2, ..Default::default() };
            let network = network.init(shape(side, 3), &device).unwrap();
            assert_eq!(network.blocks.len(), depth, "{side} pixels");
            let out = network.forward(Tensor::zeros([2, 3, side, side], &device));
            assert_eq!(out.dims(), [2, 64]);
        }
    }

    #[test]
    fn a_global_head_sees_the_mean_alone() {
        let device = Device::flex();
        let config = SmallCnnConfig { pooling: Pooling::Global, ..Default::default() };
        let network = config.init(shape(28, 1), &device).unwrap();
        assert_eq!(network.head.weight.dims(), [64, 64]);
        assert_eq!(network.forward(Tensor::zeros([2, 1, 28, 28], &device)).dims(), [2, 64]);
    }

    #[test]
    fn impossible_options_are_refused() {
        let device = Device::flex();
        let refused = |config: SmallCnnConfig, side| {
            config.init(shape(side, 1), &device).unwrap_err().to_string()
        };
        let deep = SmallCnnConfig { depth: 9, ..Default::default() };
        assert_eq!(
            refused(deep, 28),
            "depth is 9: expected 1 to 4 blocks for images of 28×28 pixels"
        );
        let empty = SmallCnnConfig { embedding_dim: 0, ..Default::default() };
        assert!(refused(empty, 28).starts_with("embedding-dim is 0"));
        assert!(refused(SmallCnnConfig::default(), 1).starts_with("depth is 0"));
    }
}
