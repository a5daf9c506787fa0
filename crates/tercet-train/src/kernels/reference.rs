//! The kernels in terms of Burn's own operations, with which the tests compare them.

use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::pool::MaxPool2dConfig;
use burn::nn::{BatchNorm, BatchNormConfig, PaddingConfig2d};
use burn::tensor::activation::leaky_relu;
use burn::tensor::{Device, Distribution, Tensor, Tolerance};

use super::{convolve, normalize, normalize_relu6};

fn layers(channels: usize, filters: usize, side: usize, device: &Device) -> (Conv2d, BatchNorm) {
    let convolution = Conv2dConfig::new([channels, filters], [side, side])
        .with_padding(PaddingConfig2d::Same)
        .with_bias(false)
        .init(device);
    (convolution, BatchNormConfig::new(filters).init(device))
}

fn finished(norm: &BatchNorm, map: Tensor<4>, slope: f32, pool: bool) -> Tensor<4> {
    let map = leaky_relu(norm.forward(map), f64::from(slope));
    if pool { MaxPool2dConfig::new([2, 2]).init().forward(map) } else { map }
}

#[track_caller]
fn close<const D: usize>(what: &str, ours: Tensor<D>, reference: Tensor<D>) {
    let scale = reference.clone().abs().max().into_scalar::<f32>().max(1e-3);
    let worst = (ours - reference).abs().max().into_scalar::<f32>();
    assert!(worst <= 2e-5 * scale, "{what}: off by {worst}, of {scale}");
}

#[test]
fn forward_and_backward_agree_with_the_framework() {
    let device = Device::flex().autodiff();
    device.seed(7);
    // The columns are images, channels, filters, height, width, side, slope, pool.
    let cases = [
        (5, 1, 4, 6, 6, 3, 0.0, true),
        (3, 3, 8, 7, 9, 3, 0.0, true), // odd sides: the last row and column are not pooled
        (9, 8, 5, 6, 4, 3, 0.3, false),
        (4, 16, 7, 5, 5, 5, 1.0, false),
        (2, 6, 3, 4, 7, 1, 0.1, true),
        (17, 2, 2, 2, 2, 7, 0.0, true),
        (40, 33, 19, 14, 14, 3, 0.0, true),
    ];
    for (images, channels, filters, height, width, side, slope, pool) in cases {
        let what =
            format!("{images}×{channels}×{height}×{width}, {filters} × {side}, {slope} {pool}");
        let (convolution, norm) = layers(channels, filters, side, &device);
        let (_, norm_reference) = layers(channels, filters, side, &device);
        let map = Tensor::<4>::random(
            [images, channels, height, width],
            Distribution::Normal(0.5, 2.0),
            &device,
        )
        .require_grad();
        let reference = map.clone().inner();
        let reference = Tensor::from_inner(reference).require_grad();

        let ours = normalize(&norm, convolve(&convolution, map.clone()), slope, pool);
        let theirs = finished(&norm_reference, convolution.forward(reference.clone()), slope, pool);
        close(&what, ours.clone(), theirs.clone());
        let (mean, variance) = (norm.running_mean.value_sync(), norm.running_var.value_sync());
        close(&what, mean, norm_reference.running_mean.value_sync());
        close(&what, variance, norm_reference.running_var.value_sync());

        let weights = Tensor::<4>::random(ours.dims(), Distribution::Default, &device);
        let ours = (ours * weights.clone()).sum().backward();
        let theirs = (theirs * weights).sum().backward();
        let gradient = |tensor: &Tensor<4>, of: &burn::tensor::Gradients| tensor.grad(of).unwrap();
        close(&what, gradient(&map, &ours), gradient(&reference, &theirs));
        let weight = convolution.weight.val();
        close(&what, gradient(&weight, &ours), gradient(&weight, &theirs));
        for (param, reference) in
            [(&norm.gamma, &norm_reference.gamma), (&norm.beta, &norm_reference.beta)]
        {
            let ours = param.val().grad(&ours).unwrap();
            close(&what, ours, reference.val().grad(&theirs).unwrap());
        }
    }
}

#[test]
fn inference_agrees_with_the_framework() {
    let device = Device::flex();
    device.seed(3);
    let (convolution, norm) = layers(5, 6, 3, &device);
    norm.running_mean.update(Tensor::random([6], Distribution::Default, &device));
    norm.running_var.update(Tensor::random([6], Distribution::Uniform(0.5, 2.0), &device));
    let map = Tensor::<4>::random([3, 5, 9, 8], Distribution::Normal(0.0, 1.0), &device);
    for (slope, pool) in [(0.0, true), (0.3, false), (1.0, true)] {
        let ours = normalize(&norm, convolve(&convolution, map.clone()), slope, pool);
        close("inference", ours, finished(&norm, convolution.forward(map.clone()), slope, pool));
    }
}

#[test]
fn strided_and_flipped_maps_are_read_in_their_logical_order() {
    let device = Device::flex();
    device.seed(5);
    let (convolution, _) = layers(4, 3, 3, &device);
    let map = Tensor::<4>::random([4, 6, 5, 4], Distribution::Default, &device);
    let views = [map.clone().permute([0, 3, 1, 2]), map.clone().flip([2]).swap_dims(1, 3)];
    for view in views {
        let copied = Tensor::<4>::from_data(view.clone().into_data(), &device);
        close("view", convolve(&convolution, view), convolution.forward(copied));
    }
}

#[test]
fn other_convolutions_go_by_the_framework() {
    let device = Device::flex();
    let strided = Conv2dConfig::new([3, 4], [3, 3])
        .with_stride([2, 2])
        .with_padding(PaddingConfig2d::Explicit(1, 1, 1, 1))
        .init(&device);
    let map = Tensor::<4>::random([2, 3, 8, 8], Distribution::Default, &device);
    let expected = strided.forward(map.clone()).into_data();
    convolve(&strided, map).into_data().assert_approx_eq::<f32>(&expected, Tolerance::default());
}

#[test]
fn depthwise_convolution_and_its_gradients_agree_with_the_framework() {
    let device = Device::flex().autodiff();
    device.seed(11);
    let same = PaddingConfig2d::Same;
    let explicit = |top, left, bottom, right| PaddingConfig2d::Explicit(top, left, bottom, right);
    // The columns are images, channels, height, width, side, stride, padding.
    let cases = [
        (3, 5, 7, 9, 3, 1, explicit(1, 1, 1, 1)),
        (2, 24, 8, 6, 3, 2, explicit(1, 1, 1, 1)),
        (2, 17, 8, 6, 3, 2, same.clone()), // zeros below and to the right only
        (5, 8, 7, 9, 5, 2, same.clone()),
        (2, 33, 6, 10, 5, 2, same.clone()),
        (2, 4, 5, 4, 5, 1, same.clone()),
        (2, 3, 2, 1, 5, 1, same.clone()), // the kernel is larger than the map
        (1, 6, 1, 1, 3, 2, same),
        (3, 7, 9, 8, 3, 1, PaddingConfig2d::Valid),
        (2, 9, 9, 8, 3, 3, explicit(0, 2, 1, 0)),
        (70, 2, 4, 4, 3, 1, explicit(1, 1, 1, 1)),
    ];
    for (images, channels, height, width, side, stride, padding) in cases {
        let what = format!("{images}×{channels}×{height}×{width}, {side} {stride} {padding:?}");
        let layer = Conv2dConfig::new([channels, channels], [side, side])
            .with_stride([stride, stride])
            .with_padding(padding)
            .with_groups(channels)
            .with_bias(false)
            .init(&device);
        let shape = [images, channels, height, width];
        let map = Tensor::<4>::random(shape, Distribution::Normal(0.5, 2.0), &device);
        let map = map.require_grad();
        let reference = Tensor::from_inner(map.clone().inner()).require_grad();

        assert!(super::depthwise_placement(&layer, &map).is_some(), "{what}");
        let ours = convolve(&layer, map.clone());
        let theirs = layer.forward(reference.clone());
        close(&what, ours.clone(), theirs.clone());
        let weights = Tensor::<4>::random(ours.dims(), Distribution::Default, &device);
        let ours = (ours * weights.clone()).sum().backward();
        let theirs = (theirs * weights).sum().backward();
        close(&what, map.grad(&ours).unwrap(), reference.grad(&theirs).unwrap());
        let weight = layer.weight.val();
        close(&what, weight.grad(&ours).unwrap(), weight.grad(&theirs).unwrap());
    }
}

#[test]
fn relu6_and_its_gradient_agree_with_the_framework() {
    let device = Device::flex().autodiff();
    device.seed(13);
    let norm = || BatchNormConfig::new(6).init(&device);
    let (ours, reference) = (norm(), norm());
    let scale = || Tensor::<1>::from_floats([4.0, 9.0, -6.0, 1.0, 0.5, 20.0], &device);
    let with_scale =
        |norm: BatchNorm| BatchNorm { gamma: burn::module::Param::from_tensor(scale()), ..norm };
    let (ours, reference) = (with_scale(ours), with_scale(reference));
    let map = Tensor::<4>::random([3, 6, 5, 7], Distribution::Normal(0.5, 2.0), &device);
    let map = map.require_grad();
    let other = Tensor::from_inner(map.clone().inner()).require_grad();
    let got = normalize_relu6(&ours, map.clone());
    let expected = reference.forward(other.clone()).clamp(0.0, 6.0);
    let limited = expected.clone().equal_elem(6.0).int().sum().into_scalar::<i64>();
    assert!(limited > 20, "{limited} of 630 values reach the limit");
    close("relu6", got.clone(), expected.clone());
    let weights = Tensor::<4>::random(got.dims(), Distribution::Default, &device);
    let got = (got * weights.clone()).sum().backward();
    let expected = (expected * weights).sum().backward();
    close("map", map.grad(&got).unwrap(), other.grad(&expected).unwrap());
    for (ours, reference) in [(&ours.gamma, &reference.gamma), (&ours.beta, &reference.beta)] {
        let reference = reference.val().grad(&expected).unwrap();
        close("scale and shift", ours.val().grad(&got).unwrap(), reference);
    }

    // Without gradients, with the running statistics.
    let device = Device::flex();
    let norm = BatchNormConfig::new(4).init(&device);
    norm.running_var.update(Tensor::from_floats([0.01, 0.1, 1.0, 10.0], &device));
    let map = Tensor::<4>::random([2, 4, 3, 3], Distribution::Normal(0.0, 3.0), &device);
    let expected = norm.forward(map.clone()).clamp(0.0, 6.0);
    close("inference", normalize_relu6(&norm, map), expected);
}
