//! ResNet-18, 34 and 50 (v1) in the layout of torchvision, with the head of TriNet.

use burn::module::Module;
use burn::nn::BatchNorm;
use burn::nn::conv::Conv2d;
use burn::nn::pool::MaxPool2d;
use burn::tensor::activation::relu;
use burn::tensor::{Device, Tensor};
use serde::{Deserialize, Serialize};
use tercet::ParameterError;

use super::layers::{EmbeddingHead, convolution, norm, pool};
use super::options::check_range;
use super::trail::Trail;
use super::{EncoderOptions, InputShape, Stage};
use crate::onnx_graph::{Flow, Graph};

/// Options of [`ResNet`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct ResNetConfig {
    /// Channels of the first convolution; those of the others are proportional to it. Default 64,
    /// as in pretrained weights.
    pub width: usize,
    /// Number of components of the hidden layer of the head. Default 1024.
    pub hidden: usize,
    /// Number of components of an embedding. Default 128.
    pub embedding_dim: usize,
}

impl Default for ResNetConfig {
    fn default() -> Self {
        Self { width: 64, hidden: 1024, embedding_dim: 128 }
    }
}

/// The members of the family, which differ in the number and the kind of the blocks of each stage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResNetDepth {
    /// 2, 2, 2, 2 basic blocks.
    D18,
    /// 3, 4, 6, 3 basic blocks.
    D34,
    /// 3, 4, 6, 3 bottlenecks.
    D50,
}

impl ResNetDepth {
    /// The name used on the command line and in files.
    pub const fn name(self) -> &'static str {
        match self {
            Self::D18 => "resnet18",
            Self::D34 => "resnet34",
            Self::D50 => "resnet50",
        }
    }

    fn blocks(self) -> [usize; 4] {
        match self {
            Self::D18 => [2, 2, 2, 2],
            Self::D34 | Self::D50 => [3, 4, 6, 3],
        }
    }

    /// The number of output channels of a block divided by the number of its inner channels.
    fn expansion(self) -> usize {
        match self {
            Self::D18 | Self::D34 => 1,
            Self::D50 => 4,
        }
    }
}

/// "Deep Residual Learning" (arXiv 1512.03385), where the 3×3 convolution of a bottleneck has the
/// stride, as in torchvision. Weights have torchvision's names (`layer1.0.conv1.weight`), except
/// `fc`, which is replaced by the head of "In Defense of the Triplet Loss": mean over the map,
/// linear to 1024, batch norm, ReLU, linear to 128.
///
/// The numbers of parameters without the head are 11,176,512 (18), 21,284,672 (34) and 23,508,032
/// (50).
#[derive(Module, Debug)]
pub struct ResNet {
    conv1: Conv2d,
    bn1: BatchNorm,
    pool: MaxPool2d,
    layer1: Vec<Block>,
    layer2: Vec<Block>,
    layer3: Vec<Block>,
    layer4: Vec<Block>,
    head: EmbeddingHead,
}

/// Two convolutions 3×3, or 1×1, 3×3 and 1×1, and a shortcut around them.
#[derive(Module, Debug)]
struct Block {
    conv1: Conv2d,
    bn1: BatchNorm,
    conv2: Conv2d,
    bn2: BatchNorm,
    conv3: Option<Conv2d>,
    bn3: Option<BatchNorm>,
    downsample: Option<(Conv2d, BatchNorm)>,
}

impl ResNetConfig {
    pub(super) const STAGES: [Stage; 5] = [
        Stage { name: "stem", modules: &["conv1", "bn1"] },
        Stage { name: "layer1", modules: &["layer1"] },
        Stage { name: "layer2", modules: &["layer2"] },
        Stage { name: "layer3", modules: &["layer3"] },
        Stage { name: "layer4", modules: &["layer4"] },
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
        depth: ResNetDepth,
        input: InputShape,
        device: &Device,
    ) -> Result<ResNet, ParameterError> {
        check_range("width", self.width, 1..=256)?;
        check_range("hidden", self.hidden, 1..=16384)?;
        check_range("embedding-dim", self.embedding_dim, 1..=4096)?;
        let mut channels = self.width;
        let [layer1, layer2, layer3, layer4] = [0, 1, 2, 3].map(|stage| {
            let width = self.width << stage;
            (0..depth.blocks()[stage])
                .map(|block| {
                    let stride = if stage > 0 && block == 0 { 2 } else { 1 };
                    let from = std::mem::replace(&mut channels, width * depth.expansion());
                    Block::new(from, width, depth, stride, device)
                })
                .collect()
        });
        Ok(ResNet {
            conv1: convolution([input.channels, self.width], 7, 2, device),
            bn1: norm(self.width, device),
            pool: pool(2),
            layer1,
            layer2,
            layer3,
            layer4,
            head: EmbeddingHead::new(channels, self.hidden, self.embedding_dim, device),
        })
    }
}

impl ResNet {
    /// # Shapes
    /// - images: N×C×H×W, embeddings: N×D
    pub fn forward(&self, images: Tensor<4>) -> Tensor<2> {
        self.head.forward(self.features(images))
    }

    /// The input of the head: N×512, or N×2048 for ResNet-50 (with the default width).
    pub(crate) fn features(&self, images: Tensor<4>) -> Tensor<2> {
        let map = relu(self.bn1.forward(self.conv1.forward(images)));
        let map = [&self.layer1, &self.layer2, &self.layer3, &self.layer4]
            .into_iter()
            .flatten()
            .fold(self.pool.forward(map), |map, block| block.forward(map));
        map.flatten::<3>(2, 3).mean_dim(2).flatten(1, 2)
    }

    pub(super) fn follow(&self, trail: Trail) -> Trail {
        let trail = trail.convolution(&self.conv1).leave(2).pool(2);
        let trail = [&self.layer1, &self.layer2, &self.layer3, &self.layer4]
            .into_iter()
            .flatten()
            .fold(trail, |trail, block| block.follow(trail));
        self.head.follow(trail)
    }

    /// [`forward`](Self::forward) as layers of a graph.
    pub(super) fn graph(&self, graph: &mut Graph, images: &Flow) -> Flow {
        let map = graph.convolution(images, &self.conv1);
        let map = graph.norm(&map, &self.bn1);
        let map = graph.relu(&map);
        let map = graph.max_pool(&map, &self.pool);
        let map = [&self.layer1, &self.layer2, &self.layer3, &self.layer4]
            .into_iter()
            .flatten()
            .fold(map, |map, block| block.graph(graph, &map));
        let features = graph.mean_over_map(&map);
        self.head.graph(graph, &features)
    }
}

impl Block {
    fn new(from: usize, width: usize, depth: ResNetDepth, stride: usize, device: &Device) -> Self {
        let to = width * depth.expansion();
        let downsample = (from != to || stride != 1)
            .then(|| (convolution([from, to], 1, stride, device), norm(to, device)));
        let (conv1, conv2, conv3) = match depth {
            ResNetDepth::D18 | ResNetDepth::D34 => (
                convolution([from, width], 3, stride, device),
                convolution([width, to], 3, 1, device),
                None,
            ),
            ResNetDepth::D50 => (
                convolution([from, width], 1, 1, device),
                convolution([width, width], 3, stride, device),
                Some(convolution([width, to], 1, 1, device)),
            ),
        };
        Self {
            conv1,
            bn1: norm(width, device),
            conv2,
            bn2: norm(width, device),
            bn3: conv3.is_some().then(|| norm(to, device)),
            conv3,
            downsample,
        }
    }

    fn forward(&self, map: Tensor<4>) -> Tensor<4> {
        let shortcut = match &self.downsample {
            Some((convolution, norm)) => norm.forward(convolution.forward(map.clone())),
            None => map.clone(),
        };
        let map = relu(self.bn1.forward(self.conv1.forward(map)));
        let mut map = self.bn2.forward(self.conv2.forward(map));
        if let (Some(conv3), Some(bn3)) = (&self.conv3, &self.bn3) {
            map = bn3.forward(conv3.forward(relu(map)));
        }
        relu(map + shortcut)
    }

    fn follow(&self, start: Trail) -> Trail {
        let mut trail = start.convolution(&self.conv1).leave(2).convolution(&self.conv2).leave(1);
        if let Some(conv3) = &self.conv3 {
            trail = trail.leave(1).convolution(conv3).leave(1);
        }
        if let Some((convolution, _)) = &self.downsample {
            trail = trail.beside(start, start.convolution(convolution).leave(1));
        }
        trail.leave(2)
    }

    fn graph(&self, graph: &mut Graph, from: &Flow) -> Flow {
        let shortcut = match &self.downsample {
            Some((convolution, norm)) => {
                let map = graph.convolution(from, convolution);
                graph.norm(&map, norm)
            }
            None => from.clone(),
        };
        let map = graph.convolution(from, &self.conv1);
        let map = graph.norm(&map, &self.bn1);
        let map = graph.relu(&map);
        let map = graph.convolution(&map, &self.conv2);
        let mut map = graph.norm(&map, &self.bn2);
        if let (Some(conv3), Some(bn3)) = (&self.conv3, &self.bn3) {
            let bent = graph.relu(&map);
            map = graph.convolution(&bent, conv3);
            map = graph.norm(&map, bn3);
        }
        let sum = graph.add(&map, &shortcut);
        graph.relu(&sum)
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
        for (depth, published, features) in [
            (ResNetDepth::D18, 11_689_512, 512),
            (ResNetDepth::D34, 21_797_672, 512),
            (ResNetDepth::D50, 25_557_032, 2048),
        ] {
            let network = ResNetConfig::default().init(depth, input, &device).unwrap();
            let fc = (features + 1) * 1000;
            let head = (features + 1) * 1024 + 2 * 1024 + (1024 + 1) * 128;
            assert_eq!(parameters(&network) - head + fc, published, "{}", depth.name());
        }
    }

    #[test]
    fn any_size_gives_one_embedding_an_image() {
        let device = Device::flex();
        let config = ResNetConfig { width: 2, hidden: 6, embedding_dim: 5 };
        for depth in [ResNetDepth::D18, ResNetDepth::D34, ResNetDepth::D50] {
            for (height, width) in [(64, 32), (28, 31)] {
                let input = InputShape { channels: 1, height, width };
                let network = config.init(depth, input, &device).unwrap();
                let out = network.forward(Tensor::ones([2, 1, height, width], &device));
                assert_eq!(out.dims(), [2, 5]);
            }
        }
    }
}
