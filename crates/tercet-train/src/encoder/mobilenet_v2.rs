//! MobileNetV2 in the layout of torchvision, with the head of TriNet.

use burn::module::Module;
use burn::nn::BatchNorm;
use burn::nn::conv::Conv2d;
use burn::tensor::{Device, Tensor};
use serde::{Deserialize, Serialize};
use tercet::ParameterError;

use super::inverted_residual::{
    Style, activated, activated_graph, convolved, convolved_graph, follow_activated,
};
use super::layers::EmbeddingHead;
use super::options::check_range;
use super::trail::Trail;
use super::{EncoderOptions, InputShape, Stage};
use crate::onnx_graph::{Flow, Graph};

/// The stages: widening, output channels for a width of 32, blocks, stride of the first block.
const STAGES: [(usize, usize, usize, usize); 7] = [
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
];

/// Channels of the last map for a width of 32.
const LAST: usize = 1280;

/// Channels of the first map in pretrained weights.
const WIDTH: usize = 32;

/// Options of [`MobileNetV2`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct MobileNetV2Config {
    /// Channels of the first convolution; those of the others are proportional to it. Default 32,
    /// as in pretrained weights.
    pub width: usize,
    /// Number of components of the hidden layer of the head. Default 1024.
    pub hidden: usize,
    /// Number of components of an embedding. Default 128.
    pub embedding_dim: usize,
}

impl Default for MobileNetV2Config {
    fn default() -> Self {
        Self { width: WIDTH, hidden: 1024, embedding_dim: 128 }
    }
}

/// "MobileNetV2: Inverted Residuals and Linear Bottlenecks" (arXiv 1801.04381) as in torchvision,
/// whose names its weights have (`features.1.conv.0.0.weight`), except `classifier`, which is
/// replaced by the head of "In Defense of the Triplet Loss": mean over the map, linear to 1024, batch
/// norm, ReLU, linear to 128.
///
/// Without the head it has 2,223,872 parameters.
#[derive(Module, Debug)]
pub struct MobileNetV2 {
    features: Vec<Feature>,
    head: EmbeddingHead,
}

/// A convolution with its norm, or a block.
#[derive(Module, Debug)]
#[allow(clippy::large_enum_variant)] // 19 exist in a network
enum Feature {
    Convolution((Conv2d, BatchNorm)),
    Block(Block),
}

/// An inverted residual. Its layers are numbered as in torchvision.
#[derive(Module, Debug)]
struct Block {
    conv: Vec<Layer>,
}

/// A layer of a block: convolution, norm and ReLU6 together, or convolution and norm apart.
#[derive(Module, Debug)]
#[allow(clippy::large_enum_variant)] // 66 exist in a network
enum Layer {
    Activated((Conv2d, BatchNorm)),
    Convolution(Conv2d),
    Norm(BatchNorm),
}

impl MobileNetV2Config {
    /// The name used on the command line and in files.
    pub const NAME: &str = "mobilenet-v2";

    pub(super) const STAGES: [Stage; 6] = [
        Stage { name: "stem", modules: &[r"features\.0", r"features\.1"] },
        Stage { name: "stage1", modules: &[r"features\.[23]"] },
        Stage { name: "stage2", modules: &[r"features\.[456]"] },
        Stage { name: "stage3", modules: &[r"features\.([789]|1[0123])"] },
        Stage { name: "stage4", modules: &[r"features\.1[4567]"] },
        Stage { name: "last", modules: &[r"features\.18"] },
    ];

    pub(super) fn with(options: &mut EncoderOptions) -> Self {
        let mut config = Self::default();
        EncoderOptions::take(&mut options.width, &mut config.width);
        EncoderOptions::take(&mut options.hidden, &mut config.hidden);
        EncoderOptions::take(&mut options.embedding_dim, &mut config.embedding_dim);
        config
    }

    /// Creates the network with random initial weights.
    ///
    /// # Errors
    /// Sizes outside their range.
    pub fn init(&self, input: InputShape, device: &Device) -> Result<MobileNetV2, ParameterError> {
        check_range("width", self.width, 1..=256)?;
        check_range("hidden", self.hidden, 1..=16384)?;
        check_range("embedding-dim", self.embedding_dim, 1..=4096)?;
        let scaled = |channels: usize| (channels * self.width / WIDTH).max(1);
        let style = Style::PyTorch;
        let first = style.convolution([input.channels, self.width], 3, 2, 1, device);
        let mut features = vec![Feature::Convolution((first, style.norm(self.width, device)))];
        let mut channels = self.width;
        for (widening, to, blocks, stride) in STAGES {
            for block in 0..blocks {
                let stride = if block == 0 { stride } else { 1 };
                let from = std::mem::replace(&mut channels, scaled(to));
                let block = Block::new([from, channels], widening, stride, device);
                features.push(Feature::Block(block));
            }
        }
        let last = scaled(LAST);
        let convolution = style.convolution([channels, last], 1, 1, 1, device);
        features.push(Feature::Convolution((convolution, style.norm(last, device))));
        let head = EmbeddingHead::new(last, self.hidden, self.embedding_dim, device);
        Ok(MobileNetV2 { features, head })
    }
}

impl MobileNetV2 {
    /// # Shapes
    /// - images: N×C×H×W, embeddings: N×D
    pub fn forward(&self, images: Tensor<4>) -> Tensor<2> {
        self.head.forward(self.features(images))
    }

    /// The input of the head: N×1280 with the default width.
    pub(crate) fn features(&self, images: Tensor<4>) -> Tensor<2> {
        let map = self.features.iter().fold(images, |map, feature| match feature {
            Feature::Convolution((convolution, norm)) => activated(convolution, norm, map),
            Feature::Block(block) => block.forward(map),
        });
        map.flatten::<3>(2, 3).mean_dim(2).flatten(1, 2)
    }

    pub(super) fn follow(&self, trail: Trail) -> Trail {
        let trail = self.features.iter().fold(trail, |trail, feature| match feature {
            Feature::Convolution((convolution, _)) => follow_activated(trail, convolution),
            Feature::Block(block) => block.follow(trail),
        });
        self.head.follow(trail)
    }

    /// [`forward`](Self::forward) as layers of a graph.
    pub(super) fn graph(&self, graph: &mut Graph, images: &Flow) -> Flow {
        let map = self.features.iter().fold(images.clone(), |map, feature| match feature {
            Feature::Convolution((convolution, norm)) => {
                activated_graph(graph, convolution, norm, &map)
            }
            Feature::Block(block) => block.graph(graph, &map),
        });
        let features = graph.mean_over_map(&map);
        self.head.graph(graph, &features)
    }
}

impl Block {
    fn new([from, to]: [usize; 2], widening: usize, stride: usize, device: &Device) -> Self {
        let (style, wide) = (Style::PyTorch, from * widening);
        let mut conv = Vec::new();
        if widening > 1 {
            let convolution = style.convolution([from, wide], 1, 1, 1, device);
            conv.push(Layer::Activated((convolution, style.norm(wide, device))));
        }
        let depthwise = style.convolution([wide, wide], 3, stride, wide, device);
        conv.push(Layer::Activated((depthwise, style.norm(wide, device))));
        conv.push(Layer::Convolution(style.convolution([wide, to], 1, 1, 1, device)));
        conv.push(Layer::Norm(style.norm(to, device)));
        Self { conv }
    }

    /// Whether the input is added to the output: the map has the same channels and size.
    fn is_residual(&self) -> bool {
        let convolutions = || {
            self.conv.iter().filter_map(|layer| match layer {
                Layer::Activated((convolution, _)) | Layer::Convolution(convolution) => {
                    Some(convolution)
                }
                Layer::Norm(_) => None,
            })
        };
        let (Some(first), Some(last)) = (convolutions().next(), convolutions().next_back()) else {
            return false;
        };
        let [outputs, ..] = last.weight.dims();
        let [_, inputs, ..] = first.weight.dims();
        inputs * first.groups == outputs && convolutions().all(|layer| layer.stride == [1, 1])
    }

    fn forward(&self, from: Tensor<4>) -> Tensor<4> {
        let mut map = from.clone();
        let mut layers = self.conv.iter().peekable();
        while let Some(layer) = layers.next() {
            map = match (layer, layers.peek()) {
                (Layer::Activated((convolution, norm)), _) => activated(convolution, norm, map),
                (Layer::Convolution(convolution), Some(Layer::Norm(norm))) => {
                    convolved(convolution, norm, map)
                }
                _ => map, // the norm, which is applied together with the convolution before it
            };
        }
        if self.is_residual() { map + from } else { map }
    }

    fn follow(&self, trail: Trail) -> Trail {
        let trail = self.conv.iter().fold(trail, |trail, layer| match layer {
            Layer::Activated((convolution, _)) => follow_activated(trail, convolution),
            Layer::Convolution(convolution) => trail.convolution(convolution),
            Layer::Norm(_) => trail.leave(1),
        });
        if self.is_residual() { trail.leave(1) } else { trail }
    }

    fn graph(&self, graph: &mut Graph, from: &Flow) -> Flow {
        let mut map = from.clone();
        let mut layers = self.conv.iter().peekable();
        while let Some(layer) = layers.next() {
            map = match (layer, layers.peek()) {
                (Layer::Activated((convolution, norm)), _) => {
                    activated_graph(graph, convolution, norm, &map)
                }
                (Layer::Convolution(convolution), Some(Layer::Norm(norm))) => {
                    convolved_graph(graph, convolution, norm, &map)
                }
                _ => map,
            };
        }
        if self.is_residual() { graph.add(&map, from) } else { map }
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
        let head = (1280 + 1) * 1024 + 2 * 1024 + (1024 + 1) * 128;
        assert_eq!(parameters(&network) - head, 2_223_872);
    }
}
