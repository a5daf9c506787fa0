//! Layers of the networks that are made of inverted residuals (MobileNetV2, arXiv 1801.04381): a 1×1
//! convolution that widens the map, a depthwise convolution, and a 1×1 convolution that narrows it.

use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::{BatchNorm, BatchNormConfig, Initializer, PaddingConfig2d};
use burn::tensor::{Device, Tensor};

use super::trail::Trail;
use crate::kernels::{convolve, normalize};
use crate::onnx_graph::{Flow, Graph};

/// The upper limit of the activation ReLU6, min(max(x, 0), 6).
pub(super) const LIMIT: f32 = 6.0;

/// How a network pads maps and normalises.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Style {
    /// Equal zeros on both sides; ε = 1e-5.
    PyTorch,
    /// As many zeros as the output needs, an odd one at the end; ε = 1e-3.
    TensorFlow,
}

impl Style {
    /// A convolution without bias, whose channels are divided into `groups`, with He's normal
    /// initialisation by the number of outputs (as in torchvision).
    pub(super) fn convolution(
        self,
        channels: [usize; 2],
        kernel: usize,
        stride: usize,
        groups: usize,
        device: &Device,
    ) -> Conv2d {
        let side = kernel / 2;
        let padding = match self {
            _ if kernel == 1 => PaddingConfig2d::Valid,
            Self::PyTorch => PaddingConfig2d::Explicit(side, side, side, side),
            Self::TensorFlow => PaddingConfig2d::Same,
        };
        Conv2dConfig::new(channels, [kernel, kernel])
            .with_stride([stride, stride])
            .with_groups(groups)
            .with_padding(padding)
            .with_bias(false)
            .with_initializer(Initializer::KaimingNormal {
                gain: std::f64::consts::SQRT_2,
                fan_out_only: true,
            })
            .init(device)
    }

    pub(super) fn norm(self, channels: usize, device: &Device) -> BatchNorm {
        let (epsilon, momentum) = match self {
            Self::PyTorch => (1e-5, 0.1),
            Self::TensorFlow => (1e-3, 0.01),
        };
        BatchNormConfig::new(channels).with_epsilon(epsilon).with_momentum(momentum).init(device)
    }
}

/// A convolution and its batch norm.
pub(super) fn convolved(convolution: &Conv2d, norm: &BatchNorm, map: Tensor<4>) -> Tensor<4> {
    normalize(norm, convolve(convolution, map), 1.0, false)
}

/// A convolution, its batch norm, and ReLU6.
pub(super) fn activated(convolution: &Conv2d, norm: &BatchNorm, map: Tensor<4>) -> Tensor<4> {
    normalize(norm, convolve(convolution, map), 0.0, false).clamp_max(LIMIT)
}

/// [`convolved`] as layers of a graph.
pub(super) fn convolved_graph(
    graph: &mut Graph,
    convolution: &Conv2d,
    norm: &BatchNorm,
    map: &Flow,
) -> Flow {
    let map = graph.convolution(map, convolution);
    graph.norm(&map, norm)
}

/// [`activated`] as layers of a graph.
pub(super) fn activated_graph(
    graph: &mut Graph,
    convolution: &Conv2d,
    norm: &BatchNorm,
    map: &Flow,
) -> Flow {
    let map = convolved_graph(graph, convolution, norm, map);
    graph.clip(&map, 0.0, LIMIT)
}

/// Counts a convolution, its norm and its activation.
pub(super) fn follow_activated(trail: Trail, convolution: &Conv2d) -> Trail {
    trail.convolution(convolution).leave(3)
}
