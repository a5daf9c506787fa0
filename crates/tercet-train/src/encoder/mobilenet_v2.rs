//! MobileNetV2 in the layout of torchvision, with a linear head.

use burn::module::Module;
use burn::nn::conv::Conv2d;
use burn::nn::{BatchNorm, Linear};
use burn::tensor::{Device, Tensor};
use serde::{Deserialize, Serialize};
use tercet::ParameterError;

use super::inverted_residual::{
    ConvolutionNorm, Group, InvertedResidual, Layers, Style, WIDTH, forward_relu6, graph_relu6,
    scaled, shapes,
};
use super::layers::linear;
use super::options::check_range;
use super::trail::Trail;
use super::{EncoderOptions, InputShape, Stage};
use crate::onnx_graph::{Flow, Graph};

/// Options of [`MobileNetV2`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct MobileNetV2Config {
    /// Channels of the first convolution; those of the others are proportional to it. Default 32,
    /// as in pretrained weights.
    pub width: usize,
    /// Number of components of an embedding. Default 128.
    pub embedding_dim: usize,
}

impl Default for MobileNetV2Config {
    fn default() -> Self {
        Self { width: WIDTH, embedding_dim: 128 }
    }
}

/// "MobileNetV2: Inverted Residuals and Linear Bottlenecks" (arXiv 1801.04381). Weights have
/// torchvision's names (`features.2.conv.0.0.weight`), except `classifier`, which is replaced by a
/// linear map of the mean over the last map.
///
/// The number of parameters without the head is 2,223,872.
#[derive(Module, Debug)]
pub struct MobileNetV2 {
    features: Vec<Feature>,
    head: Linear,
}

/// A module of the sequence `features`.
#[derive(Module, Debug)]
#[allow(clippy::large_enum_variant)] // most are the largest
enum Feature {
    /// A convolution with its norm: the first and the last module.
    Convolution(ConvolutionNorm),
    /// A block that has as many channels inside as at its input.
    Plain(PlainBlock),
    /// A block that has more channels inside.
    Expanding(ExpandingBlock),
}

/// Depthwise convolution and its norm, 1×1 convolution, norm.
#[derive(Module, Debug)]
struct PlainBlock {
    conv: (ConvolutionNorm, Conv2d, BatchNorm),
}

/// 1×1 convolution and its norm, depthwise convolution and its norm, 1×1 convolution, norm.
#[derive(Module, Debug)]
struct ExpandingBlock {
    conv: (ConvolutionNorm, ConvolutionNorm, Conv2d, BatchNorm),
}

const STYLE: Style = Style { is_same_padding: false, epsilon: 1e-5, momentum: 0.1 };

/// Table 2 of the paper.
const GROUPS: [Group; 7] = [
    Group { repeats: 1, kernel: 3, stride: 1, expansion: 1, channels: 16 },
    Group { repeats: 2, kernel: 3, stride: 2, expansion: 6, channels: 24 },
    Group { repeats: 3, kernel: 3, stride: 2, expansion: 6, channels: 32 },
    Group { repeats: 4, kernel: 3, stride: 2, expansion: 6, channels: 64 },
    Group { repeats: 3, kernel: 3, stride: 1, expansion: 6, channels: 96 },
    Group { repeats: 3, kernel: 3, stride: 2, expansion: 6, channels: 160 },
    Group { repeats: 1, kernel: 3, stride: 1, expansion: 6, channels: 320 },
];

/// Channels of the last convolution for the published width.
const LAST: usize = 1280;

impl MobileNetV2Config {
    pub(super) const NAME: &'static str = "mobilenet-v2";

    pub(super) const STAGES: [Stage; 9] = [
        Stage { name: "stem", modules: &["features.0"] },
        Stage { name: "stage1", modules: &["features.1"] },
        Stage { name: "stage2", modules: &["features.2", "features.3"] },
        Stage { name: "stage3", modules: &["features.4", "features.5", "features.6"] },
        Stage {
            name: "stage4",
            modules: &["features.7", "features.8", "features.9", "features.10"],
        },
        Stage { name: "stage5", modules: &["features.11", "features.12", "features.13"] },
        Stage { name: "stage6", modules: &["features.14", "features.15", "features.16"] },
        Stage { name: "stage7", modules: &["features.17"] },
        Stage { name: "last", modules: &["features.18"] },
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
    pub fn init(&self, input: InputShape, device: &Device) -> Result<MobileNetV2, ParameterError> {
        check_range("width", self.width, 1..=256)?;
        check_range("embedding-dim", self.embedding_dim, 1..=4096)?;
        let blocks = shapes(&GROUPS, self.width);
        let inner = blocks.last().map_or(self.width, |block| block.to);
        let outer = scaled(LAST, self.width);
        let first = STYLE.convolution([input.channels, self.width], 3, 2, 1, device);
        let mut features = vec![Feature::Convolution(first)];
        features.extend(blocks.into_iter().map(|shape| Feature::block(STYLE.block(shape, device))));
        let last = STYLE.convolution([inner, outer], 1, 1, 1, device);
        features.push(Feature::Convolution(last));
        Ok(MobileNetV2 { features, head: linear(outer, self.embedding_dim, device) })
    }
}

impl MobileNetV2 {
    /// # Shapes
    /// - images: N×C×H×W, embeddings: N×D
    pub fn forward(&self, images: Tensor<4>) -> Tensor<2> {
        self.head.forward(self.features(images))
    }

    /// The input of the head: N×1280 (with the default width).
    pub(crate) fn features(&self, images: Tensor<4>) -> Tensor<2> {
        let map = self.features.iter().fold(images, |map, feature| feature.forward(map));
        map.flatten::<3>(2, 3).mean_dim(2).flatten(1, 2)
    }

    pub(super) fn follow(&self, trail: Trail) -> Trail {
        let trail = self.features.iter().fold(trail, |trail, feature| feature.follow(trail));
        trail.linear(&self.head)
    }

    /// [`forward`](Self::forward) as layers of a graph.
    pub(super) fn graph(&self, graph: &mut Graph, images: &Flow) -> Flow {
        let features = self.features.iter();
        let map = features.fold(images.clone(), |map, feature| feature.graph(graph, &map));
        let means = graph.mean_over_map(&map);
        graph.linear(&means, &self.head)
    }
}

impl Feature {
    fn block(layers: Layers) -> Self {
        let Layers { expand, depthwise, project: (convolution, norm) } = layers;
        match expand {
            None => Self::Plain(PlainBlock { conv: (depthwise, convolution, norm) }),
            Some(expand) => {
                Self::Expanding(ExpandingBlock { conv: (expand, depthwise, convolution, norm) })
            }
        }
    }

    fn forward(&self, map: Tensor<4>) -> Tensor<4> {
        match self {
            Self::Convolution((convolution, norm)) => forward_relu6((convolution, norm), map),
            Self::Plain(block) => block.layers().forward(map),
            Self::Expanding(block) => block.layers().forward(map),
        }
    }

    fn follow(&self, trail: Trail) -> Trail {
        match self {
            Self::Convolution((convolution, _)) => trail.convolution(convolution).leave(2),
            Self::Plain(block) => block.layers().follow(trail),
            Self::Expanding(block) => block.layers().follow(trail),
        }
    }

    fn graph(&self, graph: &mut Graph, map: &Flow) -> Flow {
        match self {
            Self::Convolution((convolution, norm)) => graph_relu6(graph, (convolution, norm), map),
            Self::Plain(block) => block.layers().graph(graph, map),
            Self::Expanding(block) => block.layers().graph(graph, map),
        }
    }
}

impl PlainBlock {
    fn layers(&self) -> InvertedResidual<'_> {
        let ((depthwise, inner), convolution, norm) = &self.conv;
        InvertedResidual {
            expand: None,
            depthwise: (depthwise, inner),
            project: (convolution, norm),
        }
    }
}

impl ExpandingBlock {
    fn layers(&self) -> InvertedResidual<'_> {
        let ((expand, first), (depthwise, inner), convolution, norm) = &self.conv;
        InvertedResidual {
            expand: Some((expand, first)),
            depthwise: (depthwise, inner),
            project: (convolution, norm),
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
        let network = MobileNetV2Config::default().init(input, &device).unwrap();
        // torchvision counts 3,504,872 with the classifier.
        let (classifier, head) = (1281 * 1000, 1281 * 128);
        assert_eq!(parameters(&network) - head + classifier, 3_504_872);
    }

    #[test]
    fn any_size_gives_one_embedding_an_image() {
        let device = Device::flex();
        let config = MobileNetV2Config { width: 3, embedding_dim: 5 };
        for (height, width) in [(64, 32), (28, 31), (1, 2)] {
            let input = InputShape { channels: 1, height, width };
            let network = config.init(input, &device).unwrap();
            let out = network.forward(Tensor::ones([2, 1, height, width], &device));
            assert_eq!(out.dims(), [2, 5]);
        }
    }
}
