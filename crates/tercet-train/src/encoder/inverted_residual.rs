//! The inverted residual of MobileNetV2 (arXiv 1801.04381), of which mobile networks consist:
//! 1×1 to more channels, a depthwise convolution, 1×1 to few channels, and a shortcut around them if
//! the size stays the same. Architectures differ in the names of its layers, in the padding, and in
//! the constants of the norms.

use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::{BatchNorm, BatchNormConfig, Initializer, PaddingConfig2d};
use burn::tensor::{Device, Tensor};

use super::trail::Trail;
use crate::kernels::{convolve, normalize, normalize_relu6};
use crate::onnx_graph::{Flow, Graph};

/// The number of channels of the first convolution in published weights.
pub(super) const WIDTH: usize = 32;

/// A convolution and its norm.
pub(super) type ConvolutionNorm = (Conv2d, BatchNorm);

/// What all layers of an architecture have in common.
#[derive(Debug, Clone, Copy)]
pub(super) struct Style {
    /// Whether the padding is that of TensorFlow, with an additional row at the end if the number of
    /// zeros is odd; otherwise ⌊k/2⌋ on each side.
    pub(super) is_same_padding: bool,
    /// ε of the norms.
    pub(super) epsilon: f64,
    /// The weight of a new batch in the running statistics of the norms.
    pub(super) momentum: f64,
}

/// Blocks of the same number of output channels; the first of them has the stride.
#[derive(Debug, Clone, Copy)]
pub(super) struct Group {
    pub(super) repeats: usize,
    pub(super) kernel: usize,
    pub(super) stride: usize,
    /// The factor by which a block has more channels inside than at its input.
    pub(super) expansion: usize,
    /// Output channels for the published [`WIDTH`].
    pub(super) channels: usize,
}

/// The sizes of one block.
#[derive(Debug, Clone, Copy)]
pub(super) struct BlockShape {
    pub(super) from: usize,
    pub(super) to: usize,
    pub(super) kernel: usize,
    pub(super) stride: usize,
    pub(super) expansion: usize,
}

/// The layers of a new block.
pub(super) struct Layers {
    /// Missing if the block has as many channels inside as at its input.
    pub(super) expand: Option<ConvolutionNorm>,
    pub(super) depthwise: ConvolutionNorm,
    pub(super) project: ConvolutionNorm,
}

/// The layers of a block, which its architecture owns under the published names.
pub(super) struct InvertedResidual<'a> {
    pub(super) expand: Option<(&'a Conv2d, &'a BatchNorm)>,
    pub(super) depthwise: (&'a Conv2d, &'a BatchNorm),
    pub(super) project: (&'a Conv2d, &'a BatchNorm),
}

/// A number of channels for another width of the first convolution.
pub(super) fn scaled(channels: usize, width: usize) -> usize {
    ((channels * width + WIDTH / 2) / WIDTH).max(1)
}

/// The sizes of all blocks, from the first on.
pub(super) fn shapes(groups: &[Group], width: usize) -> Vec<BlockShape> {
    let mut from = width;
    let mut shapes = Vec::new();
    for group in groups {
        for repeat in 0..group.repeats {
            let to = scaled(group.channels, width);
            let stride = if repeat == 0 { group.stride } else { 1 };
            let Group { kernel, expansion, .. } = *group;
            shapes.push(BlockShape { from, to, kernel, stride, expansion });
            from = to;
        }
    }
    shapes
}

impl Style {
    /// A convolution without bias in `groups` groups, with He's normal initialisation by the number
    /// of outputs, as in torchvision; and its norm.
    pub(super) fn convolution(
        &self,
        channels: [usize; 2],
        kernel: usize,
        stride: usize,
        groups: usize,
        device: &Device,
    ) -> ConvolutionNorm {
        let side = kernel / 2;
        let padding = match self.is_same_padding {
            true => PaddingConfig2d::Same,
            false => PaddingConfig2d::Explicit(side, side, side, side),
        };
        let convolution = Conv2dConfig::new(channels, [kernel, kernel])
            .with_stride([stride, stride])
            .with_padding(padding)
            .with_groups(groups)
            .with_bias(false)
            .with_initializer(Initializer::Normal {
                mean: 0.0,
                std: (2.0 / (kernel * kernel * channels[1] / groups) as f64).sqrt(),
            })
            .init(device);
        let norm = BatchNormConfig::new(channels[1])
            .with_epsilon(self.epsilon)
            .with_momentum(self.momentum)
            .init(device);
        (convolution, norm)
    }

    /// The layers of a block with random initial weights.
    pub(super) fn block(&self, shape: BlockShape, device: &Device) -> Layers {
        let BlockShape { from, to, kernel, stride, expansion } = shape;
        let inside = from * expansion;
        Layers {
            expand: (expansion != 1).then(|| self.convolution([from, inside], 1, 1, 1, device)),
            depthwise: self.convolution([inside, inside], kernel, stride, inside, device),
            project: self.convolution([inside, to], 1, 1, 1, device),
        }
    }
}

/// A convolution, its norm and ReLU6.
pub(super) fn forward_relu6(
    (convolution, norm): (&Conv2d, &BatchNorm),
    map: Tensor<4>,
) -> Tensor<4> {
    normalize_relu6(norm, convolve(convolution, map))
}

/// [`forward_relu6`] as layers of a graph.
pub(super) fn graph_relu6(
    graph: &mut Graph,
    (convolution, norm): (&Conv2d, &BatchNorm),
    map: &Flow,
) -> Flow {
    let map = graph.convolution(map, convolution);
    let map = graph.norm(&map, norm);
    graph.relu6(&map)
}

impl InvertedResidual<'_> {
    /// # Shapes
    /// - map: N×C×H×W, result: N×D×⌈H/s⌉×⌈W/s⌉ with the stride s
    pub(super) fn forward(&self, map: Tensor<4>) -> Tensor<4> {
        let shortcut = self.has_shortcut().then(|| map.clone());
        let map = match self.expand {
            Some(expand) => forward_relu6(expand, map),
            None => map,
        };
        let map = forward_relu6(self.depthwise, map);
        let (convolution, norm) = self.project;
        let map = normalize(norm, convolve(convolution, map), 1.0, false);
        match shortcut {
            Some(shortcut) => map + shortcut,
            None => map,
        }
    }

    pub(super) fn follow(&self, trail: Trail) -> Trail {
        let trail = match self.expand {
            Some((convolution, _)) => trail.convolution(convolution).leave(2),
            None => trail,
        };
        let trail = trail.convolution(self.depthwise.0).leave(2);
        trail.convolution(self.project.0).leave(1 + usize::from(self.has_shortcut()))
    }

    pub(super) fn graph(&self, graph: &mut Graph, from: &Flow) -> Flow {
        let map = match self.expand {
            Some(expand) => graph_relu6(graph, expand, from),
            None => from.clone(),
        };
        let map = graph_relu6(graph, self.depthwise, &map);
        let (convolution, norm) = self.project;
        let map = graph.convolution(&map, convolution);
        let map = graph.norm(&map, norm);
        if self.has_shortcut() { graph.add(&map, from) } else { map }
    }

    fn has_shortcut(&self) -> bool {
        let [inside, ..] = self.depthwise.0.weight.dims();
        let from = self.expand.map_or(inside, |(convolution, _)| convolution.weight.dims()[1]);
        self.depthwise.0.stride == [1, 1] && self.project.0.weight.dims()[0] == from
    }
}
