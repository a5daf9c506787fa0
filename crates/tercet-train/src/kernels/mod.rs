//! The most expensive operations of a convolutional network, with kernels of our own for the CPU
//! backend: convolution, depthwise convolution, and batch norm with its activation and pooling, each
//! with its backward pass.
//!
//! Maps are stored *channels last*, whatever their logical order N×C×H×W is, so that the channels
//! of a pixel are a vector and a convolution is a few matrix products that read the map in place
//! ([`convolution`]). `reference.rs` computes the same with the operations of Burn; the tests
//! compare the two.
//!
//! [`convolve`] and [`normalize`] take the layers of a network. Where these kernels do not apply,
//! they use Burn's own operations.

mod convolution;
mod depthwise;
mod grid;
mod map;
mod normalization;
mod product;
#[cfg(test)]
mod reference;

use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, AutodiffBackend, Backend, Dispatch, Flex, backend_extension};
use burn::nn::conv::Conv2d;
use burn::nn::pool::MaxPool2dConfig;
use burn::nn::{BatchNorm, PaddingConfig2d};
use burn::tensor::Tensor;
use burn::tensor::activation::leaky_relu;

use convolution::Convolution;
use depthwise::{Depthwise, Placement};
use normalization::{Finish, Normalization};

/// The operations with a backward pass, as an extension of Burn's backends.
#[backend_extension(Autodiff, Flex)]
pub(crate) trait Kernels: Backend {
    /// Convolution with stride 1 that retains the size of the map.
    ///
    /// # Shapes
    /// - map: N×C×H×W, weight: D×C×k×k with odd k, result: N×D×H×W
    fn convolution(map: FloatTensor<Self>, weight: FloatTensor<Self>) -> FloatTensor<Self>;

    /// Convolution in which each channel has a kernel of its own.
    ///
    /// # Shapes
    /// - map: N×C×H×W, weight: C×1×k×k, result: N×C×H'×W'
    fn depthwise(
        map: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        placement: Placement,
    ) -> FloatTensor<Self>;

    /// Batch norm with the statistics of the batch, then `finish`. Returns the result, the mean and
    /// the biased variance.
    ///
    /// # Shapes
    /// - map: N×C×H×W, scale, shift, mean, variance: C
    fn normalization(
        map: FloatTensor<Self>,
        scale: FloatTensor<Self>,
        shift: FloatTensor<Self>,
        epsilon: f64,
        finish: Finish,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>);
}

/// The operations that are only needed without gradients.
#[backend_extension(Flex)]
pub(crate) trait PlainKernels: Backend {
    /// scale · map + shift for each channel, then `finish`.
    ///
    /// # Shapes
    /// - map: N×C×H×W, scale, shift: C
    fn affine(
        map: FloatTensor<Self>,
        scale: FloatTensor<Self>,
        shift: FloatTensor<Self>,
        finish: Finish,
    ) -> FloatTensor<Self>;
}

/// Applies a convolution layer.
pub(crate) fn convolve(layer: &Conv2d, map: Tensor<4>) -> Tensor<4> {
    if let Some(placement) = depthwise_placement(layer, &map) {
        let weight = layer.weight.val();
        return Tensor::from_dispatch(<Dispatch as Kernels>::depthwise(
            map.into_dispatch(),
            weight.into_dispatch(),
            placement,
        ));
    }
    let [height, width] = layer.kernel_size;
    let keeps_size = match &layer.padding {
        PaddingConfig2d::Same => true,
        PaddingConfig2d::Valid => height == 1,
        PaddingConfig2d::Explicit(top, left, bottom, right) => {
            [top, left, bottom, right].iter().all(|&&side| side == height / 2)
        }
    };
    let simple = layer.stride == [1, 1] && layer.dilation == [1, 1] && layer.groups == 1;
    if !(simple && keeps_size && height == width && height % 2 == 1 && layer.bias.is_none()) {
        return layer.forward(map);
    }
    let weight = layer.weight.val();
    Tensor::from_dispatch(<Dispatch as Kernels>::convolution(
        map.into_dispatch(),
        weight.into_dispatch(),
    ))
}

/// How the kernel of a depthwise layer moves over a map; none if the layer is of another kind.
fn depthwise_placement(layer: &Conv2d, map: &Tensor<4>) -> Option<Placement> {
    let [_, channels, height, width] = map.dims();
    let [filters, of_group, side, across] = layer.weight.val().dims();
    let [stride, other] = layer.stride;
    let simple = layer.dilation == [1, 1] && stride == other && side == across;
    let one_each = layer.groups == channels && filters == channels && of_group == 1;
    if !(simple && one_each && channels > 1 && layer.bias.is_none()) {
        return None;
    }
    let placement = match layer.padding {
        PaddingConfig2d::Same => Placement::same(stride, side, height, width),
        PaddingConfig2d::Valid => Placement { stride, rows: [0; 2], columns: [0; 2] },
        PaddingConfig2d::Explicit(top, left, bottom, right) => {
            Placement { stride, rows: [top, bottom], columns: [left, right] }
        }
    };
    placement.fits(side, height, width).then_some(placement)
}

/// Applies a batch norm layer and ReLU6, min(max(x, 0), 6).
pub(crate) fn normalize_relu6(layer: &BatchNorm, map: Tensor<4>) -> Tensor<4> {
    finish(layer, map, Finish { slope: 0.0, limit: 6.0, pool: false })
}

/// Applies a batch norm layer, a leaky ReLU of slope `slope` below 0 (0 is ReLU, 1 is none), and,
/// if `pool`, max-pooling 2×2.
///
/// In training mode the layer normalises with the statistics of the batch and updates its running
/// statistics, as Burn's own forward pass does.
pub(crate) fn normalize(layer: &BatchNorm, map: Tensor<4>, slope: f32, pool: bool) -> Tensor<4> {
    finish(layer, map, Finish { slope, limit: f32::INFINITY, pool })
}

fn finish(layer: &BatchNorm, map: Tensor<4>, finish: Finish) -> Tensor<4> {
    if map.device().is_autodiff() && layer.training.is_enabled() {
        let (output, mean, variance) = <Dispatch as Kernels>::normalization(
            map.into_dispatch(),
            layer.gamma.val().into_dispatch(),
            layer.beta.val().into_dispatch(),
            layer.epsilon,
            finish,
        );
        for (running, now) in [(&layer.running_mean, mean), (&layer.running_var, variance)] {
            let now = Tensor::<1>::from_dispatch(now).detach();
            let before = running.value_sync().to_device(&now.device());
            running.update(
                before
                    .mul_scalar(1.0 - layer.momentum)
                    .add(now.mul_scalar(layer.momentum))
                    .detach(),
            );
        }
        return Tensor::from_dispatch(output);
    }
    let device = map.device();
    if device.is_autodiff() {
        // A frozen layer among trained ones: rare enough to use Burn's own operations.
        let map = layer.forward(map);
        let Finish { slope, limit, pool } = finish;
        let map = if slope == 1.0 { map } else { leaky_relu(map, f64::from(slope)) };
        let map = if limit.is_finite() { map.clamp_max(limit) } else { map };
        return if pool { MaxPool2dConfig::new([2, 2]).init().forward(map) } else { map };
    }
    let mean = layer.running_mean.value().to_device(&device);
    let variance = layer.running_var.value().to_device(&device);
    let scale = layer.gamma.val() / (variance + layer.epsilon).sqrt();
    let shift = layer.beta.val() - mean * scale.clone();
    Tensor::from_dispatch(<Dispatch as PlainKernels>::affine(
        map.into_dispatch(),
        scale.into_dispatch(),
        shift.into_dispatch(),
        finish,
    ))
}

impl Kernels for Flex {
    fn convolution(map: FloatTensor<Self>, weight: FloatTensor<Self>) -> FloatTensor<Self> {
        Convolution::new(&map, &weight).forward()
    }

    fn depthwise(
        map: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        placement: Placement,
    ) -> FloatTensor<Self> {
        Depthwise::new(&map, &weight, placement).forward()
    }

    fn normalization(
        map: FloatTensor<Self>,
        scale: FloatTensor<Self>,
        shift: FloatTensor<Self>,
        epsilon: f64,
        finish: Finish,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        let normalization = Normalization::new(map, &scale, &shift, epsilon, finish);
        let output = normalization.forward();
        let (mean, variance) = normalization.statistics();
        (output, mean, variance)
    }
}

impl PlainKernels for Flex {
    fn affine(
        map: FloatTensor<Self>,
        scale: FloatTensor<Self>,
        shift: FloatTensor<Self>,
        finish: Finish,
    ) -> FloatTensor<Self> {
        normalization::affine(&map, &scale, &shift, finish)
    }
}

impl<C: CheckpointStrategy> Kernels for Autodiff<Flex, C> {
    fn convolution(map: FloatTensor<Self>, weight: FloatTensor<Self>) -> FloatTensor<Self> {
        #[derive(Debug)]
        struct ConvolutionBackward;

        impl Backward<Flex, 2> for ConvolutionBackward {
            type State = Convolution;

            fn backward(
                self,
                ops: Ops<Self::State, 2>,
                grads: &mut Gradients,
                _checkpointer: &mut Checkpointer,
            ) {
                let [map, weight] = ops.parents;
                let gradient = ops.state.gradient(&grads.consume::<Flex>(&ops.node));
                if let Some(node) = weight {
                    grads.register::<Flex>(node.id, gradient.of_weight());
                }
                if let Some(node) = map {
                    grads.register::<Flex>(node.id, gradient.of_map());
                }
            }
        }

        let convolution = Convolution::new(map.primitive(), weight.primitive());
        let output = convolution.forward();
        match ConvolutionBackward
            .prepare::<C>([map.node(), weight.node()])
            .compute_bound()
            .stateful()
        {
            OpsKind::Tracked(prep) => prep.finish(convolution, output),
            OpsKind::UnTracked(prep) => prep.finish(output),
        }
    }

    fn depthwise(
        map: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        placement: Placement,
    ) -> FloatTensor<Self> {
        #[derive(Debug)]
        struct DepthwiseBackward;

        impl Backward<Flex, 2> for DepthwiseBackward {
            type State = Depthwise;

            fn backward(
                self,
                ops: Ops<Self::State, 2>,
                grads: &mut Gradients,
                _checkpointer: &mut Checkpointer,
            ) {
                let [map, weight] = ops.parents;
                let gradient = ops.state.gradient(&grads.consume::<Flex>(&ops.node));
                if let Some(node) = weight {
                    grads.register::<Flex>(node.id, gradient.of_weight());
                }
                if let Some(node) = map {
                    grads.register::<Flex>(node.id, gradient.of_map());
                }
            }
        }

        let depthwise = Depthwise::new(map.primitive(), weight.primitive(), placement);
        let output = depthwise.forward();
        match DepthwiseBackward.prepare::<C>([map.node(), weight.node()]).compute_bound().stateful()
        {
            OpsKind::Tracked(prep) => prep.finish(depthwise, output),
            OpsKind::UnTracked(prep) => prep.finish(output),
        }
    }

    fn normalization(
        map: FloatTensor<Self>,
        scale: FloatTensor<Self>,
        shift: FloatTensor<Self>,
        epsilon: f64,
        finish: Finish,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        #[derive(Debug)]
        struct NormalizationBackward;

        impl Backward<Flex, 3> for NormalizationBackward {
            type State = Normalization;

            fn backward(
                self,
                ops: Ops<Self::State, 3>,
                grads: &mut Gradients,
                _checkpointer: &mut Checkpointer,
            ) {
                let [map, scale, shift] = ops.parents;
                let gradient = ops.state.gradient(&grads.consume::<Flex>(&ops.node));
                for (node, gradient) in
                    [(map, gradient.map), (scale, gradient.scale), (shift, gradient.shift)]
                {
                    if let Some(node) = node {
                        grads.register::<Flex>(node.id, gradient);
                    }
                }
            }
        }

        let nodes = [map.node(), scale.node(), shift.node()];
        let normalization = Normalization::new(
            map.into_primitive(),
            scale.primitive(),
            shift.primitive(),
            epsilon,
            finish,
        );
        let output = normalization.forward();
        let (mean, variance) = normalization.statistics();
        let output = match NormalizationBackward.prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(prep) => prep.finish(normalization, output),
            OpsKind::UnTracked(prep) => prep.finish(output),
        };
        (output, Self::from_inner(mean), Self::from_inner(variance))
    }
}
