//! Layers that several architectures share, with their initialisation.

use crate::onnx_graph::{Flow, Graph};
use burn::module::Module;
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::pool::{MaxPool2d, MaxPool2dConfig};
use burn::nn::{BatchNorm, BatchNormConfig, Initializer, Linear, LinearConfig, PaddingConfig2d};
use burn::tensor::activation::relu;
use burn::tensor::{Device, Tensor};

use super::trail::Trail;

/// A convolution with kernels of `kernel`×`kernel`, without bias, padded so that stride 1 retains
/// the size. Initialised with He's normal distribution (arXiv 1502.01852).
pub(super) fn convolution(
    channels: [usize; 2],
    kernel: usize,
    stride: usize,
    device: &Device,
) -> Conv2d {
    let side = kernel / 2;
    Conv2dConfig::new(channels, [kernel, kernel])
        .with_stride([stride, stride])
        .with_padding(PaddingConfig2d::Explicit(side, side, side, side))
        .with_bias(false)
        .with_initializer(Initializer::KaimingNormal {
            gain: std::f64::consts::SQRT_2,
            fan_out_only: false,
        })
        .init(device)
}

/// [`convolution`] with a bias, which starts at 0.
pub(super) fn convolution_with_bias(
    channels: [usize; 2],
    kernel: usize,
    stride: usize,
    device: &Device,
) -> Conv2d {
    let bias = Some(Initializer::Zeros.init([channels[1]], device));
    Conv2d { bias, ..convolution(channels, kernel, stride, device) }
}

/// A linear layer with Glorot's uniform initialisation and a bias that starts at 0.
pub(super) fn linear(from: usize, to: usize, device: &Device) -> Linear {
    let linear = LinearConfig::new(from, to)
        .with_bias(false)
        .with_initializer(Initializer::XavierUniform { gain: 1.0 })
        .init(device);
    Linear { bias: Some(Initializer::Zeros.init([to], device)), ..linear }
}

pub(super) fn norm(channels: usize, device: &Device) -> BatchNorm {
    BatchNormConfig::new(channels).init(device)
}

/// The maximum of 3×3, padded by 1. Stride 2 halves the size, rounded up.
pub(super) fn pool(stride: usize) -> MaxPool2d {
    MaxPool2dConfig::new([3, 3])
        .with_strides([stride, stride])
        .with_padding(PaddingConfig2d::Explicit(1, 1, 1, 1))
        .init()
}

/// The head of LuNet and TriNet ("In Defense of the Triplet Loss", arXiv 1703.07737): linear, batch
/// norm, ReLU, linear.
#[derive(Module, Debug)]
pub(super) struct EmbeddingHead {
    hidden: Linear,
    norm: BatchNorm,
    output: Linear,
}

impl EmbeddingHead {
    pub(super) fn new(from: usize, hidden: usize, to: usize, device: &Device) -> Self {
        Self {
            hidden: linear(from, hidden, device),
            norm: norm(hidden, device),
            output: linear(hidden, to, device),
        }
    }

    pub(super) fn forward(&self, features: Tensor<2>) -> Tensor<2> {
        self.output.forward(relu(self.norm.forward(self.hidden.forward(features))))
    }

    pub(super) fn follow(&self, trail: Trail) -> Trail {
        trail.linear(&self.hidden).leave(2).linear(&self.output)
    }

    pub(super) fn graph(&self, graph: &mut Graph, features: &Flow) -> Flow {
        let hidden = graph.linear(features, &self.hidden);
        let hidden = graph.norm(&hidden, &self.norm);
        let hidden = graph.relu(&hidden);
        graph.linear(&hidden, &self.output)
    }
}
