//! EfficientNet-Lite0 in the layout of its PyTorch port, with a linear head.

use burn::module::Module;
use burn::nn::conv::Conv2d;
use burn::nn::{BatchNorm, Linear};
use burn::tensor::{Device, Tensor};
use serde::{Deserialize, Serialize};
use tercet::ParameterError;

use super::inverted_residual::{
    Group, InvertedResidual, Layers, Style, WIDTH, forward_relu6, graph_relu6, scaled, shapes,
};
use super::layers::linear;
use super::options::check_range;
use super::trail::Trail;
use super::{EncoderOptions, InputShape, Stage};
use crate::onnx_graph::{Flow, Graph};

/// Options of [`EfficientNetLite0`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct EfficientNetLite0Config {
    /// Channels of the first convolution; those of the others are proportional to it. Default 32,
    /// as in pretrained weights.
    pub width: usize,
    /// Number of components of an embedding. Default 128.
    pub embedding_dim: usize,
}

impl Default for EfficientNetLite0Config {
    fn default() -> Self {
        Self { width: WIDTH, embedding_dim: 128 }
    }
}

/// EfficientNet (arXiv 1905.11946) for mobile devices, as published by its authors with TensorFlow:
/// EfficientNet-B0 without squeeze-and-excitation and with ReLU6. Weights have the names and the
/// layout of the port `efficientnet-lite-pytorch` (`_blocks.1._expand_conv.weight`), except `_fc`,
/// which is replaced by a linear map of the mean over the last map. The padding is TensorFlow's
/// `SAME`, and ε of the norms is 1e-3.
///
/// The number of parameters without the head is 3,371,008.
#[derive(Module, Debug)]
pub struct EfficientNetLite0 {
    _conv_stem: Conv2d,
    _bn0: BatchNorm,
    _blocks: Vec<Block>,
    _conv_head: Conv2d,
    _bn1: BatchNorm,
    head: Linear,
}

/// An inverted residual under its published names.
#[derive(Module, Debug)]
struct Block {
    _expand_conv: Option<Conv2d>,
    _bn0: Option<BatchNorm>,
    _depthwise_conv: Conv2d,
    _bn1: BatchNorm,
    _project_conv: Conv2d,
    _bn2: BatchNorm,
}

const STYLE: Style = Style { is_same_padding: true, epsilon: 1e-3, momentum: 0.01 };

const GROUPS: [Group; 7] = [
    Group { repeats: 1, kernel: 3, stride: 1, expansion: 1, channels: 16 },
    Group { repeats: 2, kernel: 3, stride: 2, expansion: 6, channels: 24 },
    Group { repeats: 2, kernel: 5, stride: 2, expansion: 6, channels: 40 },
    Group { repeats: 3, kernel: 3, stride: 2, expansion: 6, channels: 80 },
    Group { repeats: 3, kernel: 5, stride: 1, expansion: 6, channels: 112 },
    Group { repeats: 4, kernel: 5, stride: 2, expansion: 6, channels: 192 },
    Group { repeats: 1, kernel: 3, stride: 1, expansion: 6, channels: 320 },
];

/// Channels of the last convolution for the published width.
const LAST: usize = 1280;

impl EfficientNetLite0Config {
    pub(super) const NAME: &'static str = "efficientnet-lite0";

    pub(super) const STAGES: [Stage; 9] = [
        Stage { name: "stem", modules: &["_conv_stem", "_bn0"] },
        Stage { name: "stage1", modules: &["_blocks.0"] },
        Stage { name: "stage2", modules: &["_blocks.1", "_blocks.2"] },
        Stage { name: "stage3", modules: &["_blocks.3", "_blocks.4"] },
        Stage { name: "stage4", modules: &["_blocks.5", "_blocks.6", "_blocks.7"] },
        Stage { name: "stage5", modules: &["_blocks.8", "_blocks.9", "_blocks.10"] },
        Stage {
            name: "stage6",
            modules: &["_blocks.11", "_blocks.12", "_blocks.13", "_blocks.14"],
        },
        Stage { name: "stage7", modules: &["_blocks.15"] },
        Stage { name: "last", modules: &["_conv_head", "_bn1"] },
    ];

    pub(super) fn with(options: &mut EncoderOptions) -> Self {
        let mut config = Self::default();
        EncoderOptions::take(&mut options.width, &mut config.width);
        EncoderOptions::take(&mut options.embedding_dim, &mut config.embedding_dim);
        config
    }

    /// Creates the network with random initial weights.
    ///
    /// # Errors
    /// Sizes outside their range.
    pub fn init(
        &self,
        input: InputShape,
        device: &Device,
    ) -> Result<EfficientNetLite0, ParameterError> {
        check_range("width", self.width, 1..=256)?;
        check_range("embedding-dim", self.embedding_dim, 1..=4096)?;
        let blocks = shapes(&GROUPS, self.width);
        let inner = blocks.last().map_or(self.width, |block| block.to);
        let outer = scaled(LAST, self.width);
        let (stem, stem_norm) = STYLE.convolution([input.channels, self.width], 3, 2, 1, device);
        let (last, last_norm) = STYLE.convolution([inner, outer], 1, 1, 1, device);
        Ok(EfficientNetLite0 {
            _conv_stem: stem,
            _bn0: stem_norm,
            _blocks: blocks
                .into_iter()
                .map(|shape| Block::new(STYLE.block(shape, device)))
                .collect(),
            _conv_head: last,
            _bn1: last_norm,
            head: linear(outer, self.embedding_dim, device),
        })
    }
}

impl EfficientNetLite0 {
    /// # Shapes
    /// - images: N×C×H×W, embeddings: N×D
    pub fn forward(&self, images: Tensor<4>) -> Tensor<2> {
        self.head.forward(self.features(images))
    }

    /// The input of the head: N×1280 (with the default width).
    pub(crate) fn features(&self, images: Tensor<4>) -> Tensor<2> {
        let map = forward_relu6((&self._conv_stem, &self._bn0), images);
        let map = self._blocks.iter().fold(map, |map, block| block.layers().forward(map));
        let map = forward_relu6((&self._conv_head, &self._bn1), map);
        map.flatten::<3>(2, 3).mean_dim(2).flatten(1, 2)
    }

    pub(super) fn follow(&self, trail: Trail) -> Trail {
        let trail = trail.convolution(&self._conv_stem).leave(2);
        let trail = self._blocks.iter().fold(trail, |trail, block| block.layers().follow(trail));
        trail.convolution(&self._conv_head).leave(2).linear(&self.head)
    }

    /// [`forward`](Self::forward) as layers of a graph.
    pub(super) fn graph(&self, graph: &mut Graph, images: &Flow) -> Flow {
        let map = graph_relu6(graph, (&self._conv_stem, &self._bn0), images);
        let blocks = self._blocks.iter();
        let map = blocks.fold(map, |map, block| block.layers().graph(graph, &map));
        let map = graph_relu6(graph, (&self._conv_head, &self._bn1), &map);
        let means = graph.mean_over_map(&map);
        graph.linear(&means, &self.head)
    }
}

impl Block {
    fn new(layers: Layers) -> Self {
        let Layers { expand, depthwise, project } = layers;
        let (expand, first) = expand.unzip();
        Self {
            _expand_conv: expand,
            _bn0: first,
            _depthwise_conv: depthwise.0,
            _bn1: depthwise.1,
            _project_conv: project.0,
            _bn2: project.1,
        }
    }

    fn layers(&self) -> InvertedResidual<'_> {
        InvertedResidual {
            expand: self._expand_conv.as_ref().zip(self._bn0.as_ref()),
            depthwise: (&self._depthwise_conv, &self._bn1),
            project: (&self._project_conv, &self._bn2),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encoder::parameters;

    #[test]
    fn parameters_are_the_published_ones() {
        let device = Device::flex();
        let input = InputShape { channels: 3, height: 224, width: 224 };
        let network = EfficientNetLite0Config::default().init(input, &device).unwrap();
        // The port counts 4,652,008 with the classifier.
        let (classifier, head) = (1281 * 1000, 1281 * 128);
        assert_eq!(parameters(&network) - head + classifier, 4_652_008);
    }

    #[test]
    fn any_size_gives_one_embedding_an_image() {
        let device = Device::flex();
        let config = EfficientNetLite0Config { width: 3, embedding_dim: 5 };
        for (height, width) in [(64, 32), (28, 31), (1, 2)] {
            let input = InputShape { channels: 1, height, width };
            let network = config.init(input, &device).unwrap();
            let out = network.forward(Tensor::ones([2, 1, height, width], &device));
            assert_eq!(out.dims(), [2, 5]);
        }
    }
}
