//! Builds an ONNX graph layer by layer; each encoder describes itself with these methods.

pub(crate) mod messages;

use burn::module::Param;
use burn::nn::conv::Conv2d;
use burn::nn::pool::{AvgPool2d, MaxPool2d};
use burn::nn::{BatchNorm, Linear, PaddingConfig2d};
use burn::tensor::Tensor;

use messages::{Attribute, GraphMessage, Node, Weights, kind};

/// A value in a graph: the output of a layer, or the input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Flow(String);

/// A graph that is being built. Each method adds a layer in inference mode and returns its output.
#[derive(Debug, Default)]
pub(crate) struct Graph {
    nodes: Vec<Node>,
    weights: Vec<Weights>,
    /// The first weight that could not be read.
    error: Option<String>,
}

impl Graph {
    pub(crate) fn input(&self, name: &str) -> Flow {
        Flow(name.to_owned())
    }

    /// Returns the graph, with its last value renamed to `output`. Inputs and outputs are not
    /// declared yet.
    pub(crate) fn finish(mut self, last: Flow, output: &str) -> Result<GraphMessage, String> {
        if let Some(error) = self.error {
            return Err(error);
        }
        let given = self.nodes.iter_mut().flat_map(|node| &mut node.output);
        given.filter(|name| **name == last.0).for_each(|name| output.clone_into(name));
        let taken = self.nodes.iter_mut().flat_map(|node| &mut node.input);
        taken.filter(|name| **name == last.0).for_each(|name| output.clone_into(name));
        Ok(GraphMessage { node: self.nodes, initializer: self.weights, ..Default::default() })
    }

    /// A convolution, N×C×H×W to N×C'×H'×W'.
    pub(crate) fn convolution(&mut self, map: &Flow, layer: &Conv2d) -> Flow {
        let name = self.next("convolution");
        let mut inputs = vec![map.clone(), self.parameter(&name, "weight", &layer.weight)];
        inputs.extend(layer.bias.as_ref().map(|bias| self.parameter(&name, "bias", bias)));
        let attributes = vec![
            sides("kernel_shape", &layer.kernel_size),
            sides("strides", &layer.stride),
            sides("dilations", &layer.dilation),
            padding(&layer.padding),
            whole("group", layer.groups as i64),
        ];
        self.node(name, "Conv", inputs, attributes)
    }

    /// γ·(x − mean)/√(var + ε) + β for each channel, with the running statistics.
    pub(crate) fn norm(&mut self, map: &Flow, layer: &BatchNorm) -> Flow {
        let name = self.next("norm");
        let inputs = vec![
            map.clone(),
            self.parameter(&name, "scale", &layer.gamma),
            self.parameter(&name, "shift", &layer.beta),
            self.tensor(&name, "mean", layer.running_mean.value()),
            self.tensor(&name, "variance", layer.running_var.value()),
        ];
        self.node(name, "BatchNormalization", inputs, vec![real("epsilon", layer.epsilon)])
    }

    /// max(x, 0).
    pub(crate) fn relu(&mut self, map: &Flow) -> Flow {
        let name = self.next("relu");
        self.node(name, "Relu", vec![map.clone()], vec![])
    }

    /// min(max(x, 0), 6).
    pub(crate) fn relu6(&mut self, map: &Flow) -> Flow {
        // All of them share their limits.
        let limits = [("low", 0.0), ("high", 6.0)].map(|(name, limit)| {
            let flow = Flow(format!("relu6.{name}"));
            match self.weights.iter().any(|weights| weights.name == flow.0) {
                true => flow,
                false => self.values("relu6", name, &[], &[limit]),
            }
        });
        let name = self.next("relu6");
        let inputs = [map.clone()].into_iter().chain(limits).collect();
        self.node(name, "Clip", inputs, vec![])
    }

    /// x if x > 0, otherwise slope·x.
    pub(crate) fn leaky_relu(&mut self, map: &Flow, slope: f64) -> Flow {
        let name = self.next("relu");
        self.node(name, "LeakyRelu", vec![map.clone()], vec![real("alpha", slope)])
    }

    pub(crate) fn max_pool(&mut self, map: &Flow, layer: &MaxPool2d) -> Flow {
        let name = self.next("pool");
        let attributes = vec![
            sides("kernel_shape", &layer.kernel_size),
            sides("strides", &layer.stride),
            sides("dilations", &layer.dilation),
            padding(&layer.padding),
            whole("ceil_mode", layer.ceil_mode.into()),
        ];
        self.node(name, "MaxPool", vec![map.clone()], attributes)
    }

    pub(crate) fn average_pool(&mut self, map: &Flow, layer: &AvgPool2d) -> Flow {
        let name = self.next("pool");
        let attributes = vec![
            sides("kernel_shape", &layer.kernel_size),
            sides("strides", &layer.stride),
            padding(&layer.padding),
            whole("count_include_pad", layer.count_include_pad.into()),
            whole("ceil_mode", layer.ceil_mode.into()),
        ];
        self.node(name, "AveragePool", vec![map.clone()], attributes)
    }

    /// The mean over rows and columns, N×C×H×W to N×C.
    pub(crate) fn mean_over_map(&mut self, map: &Flow) -> Flow {
        let name = self.next("mean");
        let mean = self.node(name, "GlobalAveragePool", vec![map.clone()], vec![]);
        self.flatten(&mean)
    }

    /// N×C×H×W to N×CHW.
    pub(crate) fn flatten(&mut self, map: &Flow) -> Flow {
        let name = self.next("flatten");
        self.node(name, "Flatten", vec![map.clone()], vec![whole("axis", 1)])
    }

    /// x·W + b, N×D to N×D'.
    pub(crate) fn linear(&mut self, rows: &Flow, layer: &Linear) -> Flow {
        let name = self.next("linear");
        let mut inputs = vec![rows.clone(), self.parameter(&name, "weight", &layer.weight)];
        inputs.extend(layer.bias.as_ref().map(|bias| self.parameter(&name, "bias", bias)));
        self.node(name, "Gemm", inputs, vec![])
    }

    pub(crate) fn add(&mut self, x: &Flow, y: &Flow) -> Flow {
        let name = self.next("add");
        self.node(name, "Add", vec![x.clone(), y.clone()], vec![])
    }

    /// Concatenates maps along the channels.
    pub(crate) fn concatenate(&mut self, maps: Vec<Flow>) -> Flow {
        let name = self.next("concatenate");
        self.node(name, "Concat", maps, vec![whole("axis", 1)])
    }

    pub(crate) fn square(&mut self, x: &Flow) -> Flow {
        let name = self.next("square");
        self.node(name, "Mul", vec![x.clone(), x.clone()], vec![])
    }

    pub(crate) fn square_root(&mut self, x: &Flow) -> Flow {
        let name = self.next("root");
        self.node(name, "Sqrt", vec![x.clone()], vec![])
    }

    /// scale·x + shift, with one factor and one addend for all values, or one for each channel.
    pub(crate) fn scale_and_shift(
        &mut self,
        x: &Flow,
        scale: &[f32],
        shift: &[f32],
        axes: usize,
    ) -> Flow {
        let name = self.next("scale");
        // The factor of a channel is broadcast over the axes after it.
        let shape: Vec<usize> = match scale.len() {
            1 => vec![1],
            channels => [1, channels].into_iter().chain(vec![1; axes.saturating_sub(2)]).collect(),
        };
        let scale = self.values(&name, "scale", &shape, scale);
        let shift = self.values(&name, "shift", &shape, shift);
        let scaled = self.node(name, "Mul", vec![x.clone(), scale], vec![]);
        let name = self.next("shift");
        self.node(name, "Add", vec![scaled, shift], vec![])
    }

    /// Rows of length 1, x/√(Σx² + ε); ε leaves rows of zeros as they are.
    pub(crate) fn normalize(&mut self, rows: &Flow, epsilon: f32) -> Flow {
        let squares = self.square(rows);
        let name = self.next("sum");
        let axes = Weights {
            name: format!("{name}.axes"),
            data_type: kind::TENSOR_INT64,
            dims: vec![1],
            raw_data: 1_i64.to_le_bytes().to_vec(),
        };
        let inputs = vec![squares, Flow(axes.name.clone())];
        self.weights.push(axes);
        let sum = self.node(name, "ReduceSum", inputs, vec![whole("keepdims", 1)]);
        let sum = self.scale_and_shift(&sum, &[1.0], &[epsilon], 2);
        let norm = self.square_root(&sum);
        let name = self.next("normalize");
        self.node(name, "Div", vec![rows.clone(), norm], vec![])
    }

    fn next(&self, kind: &str) -> String {
        format!("{kind}_{}", self.nodes.len())
    }

    fn node(
        &mut self,
        name: String,
        operation: &str,
        inputs: Vec<Flow>,
        attributes: Vec<Attribute>,
    ) -> Flow {
        let output = Flow(format!("{name}.out"));
        self.nodes.push(Node {
            name,
            op_type: operation.to_owned(),
            input: inputs.into_iter().map(|Flow(name)| name).collect(),
            output: vec![output.0.clone()],
            attribute: attributes,
        });
        output
    }

    fn parameter<const D: usize>(
        &mut self,
        layer: &str,
        name: &str,
        parameter: &Param<Tensor<D>>,
    ) -> Flow {
        self.tensor(layer, name, parameter.val())
    }

    fn tensor<const D: usize>(&mut self, layer: &str, name: &str, tensor: Tensor<D>) -> Flow {
        let shape = tensor.dims();
        match tensor.try_into_vec_as::<f32>() {
            Ok(values) => self.values(layer, name, &shape, &values),
            Err(error) => {
                self.error.get_or_insert(format!("{layer}.{name}: {error:?}"));
                Flow(format!("{layer}.{name}"))
            }
        }
    }

    fn values(&mut self, layer: &str, name: &str, shape: &[usize], values: &[f32]) -> Flow {
        let name = format!("{layer}.{name}");
        self.weights.push(Weights {
            name: name.clone(),
            data_type: kind::TENSOR_FLOAT,
            dims: shape.iter().map(|&side| side as i64).collect(),
            raw_data: values.iter().flat_map(|value| value.to_le_bytes()).collect(),
        });
        Flow(name)
    }
}

fn whole(name: &str, value: i64) -> Attribute {
    Attribute { name: name.to_owned(), kind: kind::INT, i: Some(value), ..Default::default() }
}

fn real(name: &str, value: f64) -> Attribute {
    Attribute {
        name: name.to_owned(),
        kind: kind::FLOAT,
        f: Some(value as f32),
        ..Default::default()
    }
}

fn sides(name: &str, values: &[usize]) -> Attribute {
    Attribute {
        name: name.to_owned(),
        kind: kind::INTS,
        ints: values.iter().map(|&value| value as i64).collect(),
        ..Default::default()
    }
}

fn padding(padding: &PaddingConfig2d) -> Attribute {
    match *padding {
        PaddingConfig2d::Valid => sides("pads", &[0; 4]),
        PaddingConfig2d::Explicit(top, left, bottom, right) => {
            sides("pads", &[top, left, bottom, right])
        }
        // If the padding is odd, the additional one is at the end, as in Burn.
        PaddingConfig2d::Same => Attribute {
            name: "auto_pad".to_owned(),
            kind: kind::STRING,
            s: Some(b"SAME_UPPER".to_vec()),
            ..Default::default()
        },
    }
}
