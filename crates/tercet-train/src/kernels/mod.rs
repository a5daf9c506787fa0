//! What a convolutional network spends its time on, made for the CPU backend: convolution, and
//! batch norm with its activation and pooling, each with its own backward pass.
//!
//! Maps stay *channels last* in memory, whatever their logical order N×C×H×W says, so that a row of
//! channels is a vector and a convolution is a handful of matrix products over the map as it lies
//! ([`convolution`]). `reference.rs` says the same with the framework's operations; tests hold one
//! to the other.
//!
//! [`convolve`] and [`normalize`] take what a network is made of, and go by the framework's own
//! operations where these kernels do not apply.

mod convolution;
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
use normalization::{Finish, Normalization};

/// The operations, as the framework's backends have them.
#[backend_extension(Autodiff, Flex)]
pub(crate) trait Kernels: Backend {
    /// Convolution with stride 1 that keeps the size of the map.
    ///
    /// # Shapes
    /// - map: N×C×H×W, weight: D×C×k×k with odd k, result: N×D×H×W
    fn convolution(map: FloatTensor<Self>, weight: FloatTensor<Self>) -> FloatTensor<Self>;

    /// Batch norm by the statistics of the batch, then `finish`; with mean and biased variance.
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

/// What is only needed where nothing learns.
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

/// The convolution of a layer.
pub(crate) fn convolve(layer: &Conv2d, map: Tensor<4>) -> Tensor<4> {
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

/// The batch norm of a layer, a leaky ReLU of slope `slope` below 0 (0 is ReLU, 1 is none), and, if
/// `pool`, max-pooling 2×2.
///
/// In training the layer normalises by the statistics of the batch and moves its running ones, as
/// the framework's own forward pass does.
pub(crate) fn normalize(layer: &BatchNorm, map: Tensor<4>, slope: f32, pool: bool) -> Tensor<4> {
    let finish = Finish { slope, pool };
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
        // A frozen layer among learning ones: rare enough for the framework's own operations.
        let map = layer.forward(map);
        let map = if slope == 1.0 { map } else { leaky_relu(map, f64::from(slope)) };
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
