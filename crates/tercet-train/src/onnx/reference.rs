//! Computes a graph operation by operation, as the ONNX specification defines them; the tests
//! compare with it.

use std::collections::HashMap;

use burn::tensor::activation::relu;
use burn::tensor::module::{avg_pool2d, conv2d, max_pool2d};
use burn::tensor::ops::{AvgPoolOptions, ConvOptions, MaxPoolOptions};
use burn::tensor::{Device, Tensor, TensorData};

use crate::onnx_graph::messages::{GraphMessage, Node, Weights, kind};

/// The output of a graph for an input N×C×H×W; missing axes have length 1.
pub(super) fn run(graph: &GraphMessage, input: Tensor<4>) -> Tensor<4> {
    let device = input.device();
    let mut values: HashMap<&str, Tensor<4>> = HashMap::new();
    for weights in graph.initializer.iter().filter(|w| w.data_type == kind::TENSOR_FLOAT) {
        values.insert(&weights.name, read(weights, &device));
    }
    values.insert(&graph.input[0].name, input);
    for node in &graph.node {
        let of = |place: usize| node.input.get(place).and_then(|name| values.get(&**name)).cloned();
        let output = apply(node, &of);
        values.insert(&node.output[0], output);
    }
    values[&*graph.output[0].name].clone()
}

fn read(weights: &Weights, device: &Device) -> Tensor<4> {
    let numbers = weights.raw_data.as_chunks().0.iter().map(|&number| f32::from_le_bytes(number));
    let mut shape: Vec<usize> = weights.dims.iter().map(|&side| side as usize).collect();
    shape.resize(4, 1);
    Tensor::from_data(TensorData::new(numbers.collect(), shape), device)
}

fn apply(node: &Node, of: &dyn Fn(usize) -> Option<Tensor<4>>) -> Tensor<4> {
    let x = of(0).unwrap();
    let [n, c, ..] = x.dims();
    let find = |name: &str| node.attribute.iter().find(|attribute| attribute.name == name);
    let sides = |name: &str| -> Vec<usize> {
        find(name).unwrap().ints.iter().map(|&side| side as usize).collect()
    };
    let pair = |name: &str| <[usize; 2]>::try_from(sides(name)).unwrap();
    let flag = |name: &str| find(name).unwrap().i.unwrap() != 0;
    let real = |name: &str| f64::from(find(name).unwrap().f.unwrap());
    // A vector of channels, in a shape that broadcasts over a map.
    let channels = |place: usize| of(place).unwrap().reshape([1, -1, 1, 1]);
    let row = |tensor: Tensor<4>| tensor.flatten::<2>(1, 3);
    let padding = |kernel: [usize; 2]| match find("auto_pad") {
        // For odd kernels with stride 1, this retains the size.
        Some(_) => kernel.map(|side| [side / 2; 2]),
        None => {
            let pads = sides("pads");
            [[pads[0], pads[2]], [pads[1], pads[3]]]
        }
    };
    // The same padding on both sides.
    let even = |kernel: [usize; 2]| {
        padding(kernel).map(|[before, after]| {
            assert_eq!(before, after, "{node:?}");
            before
        })
    };
    match &*node.op_type {
        "Add" => x + of(1).unwrap(),
        "Mul" => x * of(1).unwrap(),
        "Div" => x / of(1).unwrap(),
        "Sqrt" => x.sqrt(),
        "ReduceSum" => x.sum_dim(1),
        "Relu" => relu(x),
        "Clip" => {
            let limit = |place: usize| of(place).unwrap().into_scalar::<f32>();
            x.clamp(limit(1), limit(2))
        }
        "LeakyRelu" => relu(x.clone()) - relu(x.neg()).mul_scalar(real("alpha")),
        "Concat" => Tensor::cat((0..node.input.len()).map(|place| of(place).unwrap()).collect(), 1),
        "Flatten" => row(x).reshape([n as isize, -1, 1, 1]),
        "GlobalAveragePool" => x.mean_dim(3).mean_dim(2),
        "Gemm" => {
            let [from, to, ..] = of(1).unwrap().dims();
            let product = row(x).matmul(of(1).unwrap().reshape([from, to])).reshape([n, to, 1, 1]);
            if of(2).is_some() { product + channels(2) } else { product }
        }
        "BatchNormalization" => {
            let deviation = channels(4).add_scalar(real("epsilon")).sqrt();
            (x - channels(3)) / deviation * channels(1) + channels(2)
        }
        "Conv" => {
            let kernel = pair("kernel_shape");
            let groups = find("group").unwrap().i.unwrap() as usize;
            assert_eq!(of(1).unwrap().dims()[1] * groups, c);
            let strides = pair("strides");
            // SAME_UPPER: ⌈side / stride⌉ outputs, the additional zero at the end.
            let padding: Vec<[usize; 2]> = match find("auto_pad") {
                Some(_) => (0..2)
                    .map(|axis| {
                        let (side, stride) = (x.dims()[2 + axis], strides[axis]);
                        let covered = (side.div_ceil(stride) - 1) * stride + kernel[axis];
                        let zeros = covered.saturating_sub(side);
                        [zeros / 2, zeros - zeros / 2]
                    })
                    .collect(),
                None => padding(kernel).to_vec(),
            };
            let padding = [0, 1].map(|axis: usize| (padding[axis][0], padding[axis][1]));
            let options =
                ConvOptions::new_with_padding(strides, padding, pair("dilations"), groups);
            conv2d(x, of(1).unwrap(), of(2).map(|bias| bias.flatten::<1>(0, 3)), options)
        }
        "MaxPool" => {
            let kernel = pair("kernel_shape");
            max_pool2d(
                x,
                MaxPoolOptions::new(kernel)
                    .with_stride(pair("strides"))
                    .with_padding(even(kernel))
                    .with_dilation(pair("dilations"))
                    .with_ceil_mode(flag("ceil_mode")),
            )
        }
        "AveragePool" => {
            let kernel = pair("kernel_shape");
            avg_pool2d(
                x,
                AvgPoolOptions::new(kernel)
                    .with_stride(pair("strides"))
                    .with_padding(even(kernel))
                    .with_count_include_pad(flag("count_include_pad"))
                    .with_ceil_mode(flag("ceil_mode")),
            )
        }
        other => panic!("{other} is not known"),
    }
}
