//! Writes a model with a backbone as one ONNX graph: preprocessing, backbone, and head.

use prost::Message;
use tercet_train::data::{Input, Preprocessing, TextInput, TokenPooling};
use tercet_train::model::{Model, ModelCard, Opened};
use tercet_train::onnx::{self, CARD, IMAGES, OUTPUT, OnnxError, VECTORS};
use tercet_train::trainer::ImageSize;
use tract_onnx::pb::attribute_proto::AttributeType;
use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::tensor_shape_proto::Dimension;
use tract_onnx::pb::tensor_shape_proto::dimension::Value::DimValue;
use tract_onnx::pb::type_proto::Tensor;
use tract_onnx::pb::type_proto::Value::TensorType;
use tract_onnx::pb::{
    AttributeProto, GraphProto, ModelProto, NodeProto, StringStringEntryProto, TensorProto,
    ValueInfoProto,
};

use crate::Layout;
use crate::backbone::GRAPH;
use crate::input::{Item, Refusal, Seen};
use crate::texts::TextGraph;

/// The first operator set in which the operations around the backbone mean the same as in that of
/// [`onnx::export`].
const OLDEST: i64 = 13;

/// The start of all names of the backbone, and of all others.
const BACKBONE: &str = "backbone/";
const OWN: &str = "tercet/";

/// The addend that avoids the division of a zero vector by zero.
const TINY: f32 = 1e-24;

/// The bytes of an ONNX file; the same model gives the same bytes. A model without a backbone is
/// written by [`onnx::export`].
///
/// # Shapes
/// - images: input `images`, pixels from 0 to 255, in the shape and layout of the backbone
/// - vectors: input `vectors`, N×D
/// - texts: the inputs of the backbone (`input_ids`, `attention_mask`, …), N×T
/// - output `embeddings`: N×D, float32; N is the backbone's if that is fixed
///
/// # Errors
/// Weights that cannot be read; a backbone whose operators are older than version 13, or whose output
/// is not a vector for each item or token.
pub fn export(model: &Model) -> Result<Vec<u8>, OnnxError> {
    let Some(opened) = model.backbone() else { return onnx::export(model) };
    let refuse = |reason: String| OnnxError { encoder: model.card.encoder.name(), reason };
    joined(model, opened, &onnx::export_head(model)?).map_err(refuse)
}

fn joined(model: &Model, opened: &Opened, head: &[u8]) -> Result<Vec<u8>, String> {
    let decode = |bytes: &[u8]| ModelProto::decode(bytes).map_err(|error| error.to_string());
    let bytes = opened.files.get(GRAPH).ok_or("the model file has no graph of its backbone")?;
    let mut file = decode(bytes)?;
    let version = file.opset_import.iter().find(|set| set.domain.is_empty()).map(|set| set.version);
    if version.is_none_or(|version| version < OLDEST) {
        return Err(format!(
            "the backbone has operators of version {}, expected {OLDEST} or later: \
             onnx.version_converter of Python converts it",
            version.map_or_else(|| "unknown".to_owned(), |version| version.to_string())
        ));
    }
    let graph = file.graph.as_mut().ok_or("the backbone has no graph")?;
    let mut added = Added::default();
    // Its names must differ from those that are added.
    let tokens = match &model.card.preprocessing {
        Input::Texts(_) => Some(TextGraph::of(graph, None)?),
        _ => None,
    };
    let kept: Vec<String> = match tokens {
        Some(_) => graph.input.iter().map(|input| input.name.clone()).collect(),
        None => Vec::new(),
    };
    rename(graph, &kept);
    let vectors = match &model.card.preprocessing {
        Input::Texts(input) => {
            let output = tokens.map(|tokens| tokens.output).unwrap_or_default();
            added.pooled(graph, &format!("{BACKBONE}{output}"), input)?
        }
        Input::Images(preprocessing) => added.standardized(graph, Some(preprocessing))?,
        Input::Vectors(_) => added.standardized(graph, None)?,
    };
    let (mut before, after) = (added.before, added.after);
    before.append(&mut graph.node);
    before.extend(after);
    graph.node = before;
    graph.initializer.extend(added.weights);
    append_head(graph, decode(head)?, &vectors)?;
    file.producer_name = "tercet".to_owned();
    file.producer_version = env!("CARGO_PKG_VERSION").to_owned();
    file.metadata_props =
        vec![StringStringEntryProto { key: CARD.to_owned(), value: json(&model.card)? }];
    Ok(file.encode_to_vec())
}

fn json(card: &ModelCard) -> Result<String, String> {
    serde_json::to_string(card).map_err(|error| error.to_string())
}

/// What is added to the graph of a backbone.
#[derive(Default)]
struct Added {
    before: Vec<NodeProto>,
    after: Vec<NodeProto>,
    weights: Vec<TensorProto>,
}

impl Added {
    /// Standardises images in front of the graph. The result is the name of its vectors, N×D.
    fn standardized(
        &mut self,
        graph: &mut GraphProto,
        preprocessing: Option<&Preprocessing>,
    ) -> Result<String, String> {
        let size = preprocessing.map(|to| ImageSize { height: to.height, width: to.width });
        let seen = Seen::of(graph, size, None).map_err(|refusal| match refusal {
            Refusal::File(reason) => reason,
            Refusal::Option(error) => error.to_string(),
        })?;
        let weights: Vec<&str> = graph.initializer.iter().map(|tensor| &*tensor.name).collect();
        let given = graph.input.iter_mut().find(|input| !weights.contains(&&*input.name));
        let input = given.ok_or("the backbone has no input")?;
        let own = input.name.clone(); // what the backbone calls its input
        if let Some(Preprocessing { mean, std, .. }) = preprocessing {
            let channels = mean.len() as i64;
            let per_channel = match seen.item {
                Item::Image { layout: Layout::Nhwc, .. } => vec![1, 1, 1, channels],
                _ => vec![1, channels, 1, 1],
            };
            let scale: Vec<f32> = std.iter().map(|std| 1.0 / (255.0 * std)).collect();
            let shift: Vec<f32> = mean.iter().zip(std).map(|(mean, std)| -mean / std).collect();
            let scale = self.floats("scale", per_channel.clone(), &scale);
            let shift = self.floats("shift", per_channel, &shift);
            IMAGES.clone_into(&mut input.name);
            let shape = seen.shape(1);
            for (axis, &side) in shape.iter().enumerate().skip(1) {
                fix_side(input, axis, side as i64);
            }
            let scaled = format!("{OWN}scaled");
            self.before.push(node("Mul", &[IMAGES, &scale], &scaled, vec![]));
            self.before.push(node("Add", &[&scaled, &shift], &own, vec![]));
        } else {
            VECTORS.clone_into(&mut input.name);
            self.before.push(node("Identity", &[VECTORS], &own, vec![]));
        }
        let output = graph.output.first().ok_or("the backbone has no output")?.name.clone();
        let vectors = format!("{OWN}vectors");
        self.after.push(node("Flatten", &[&output], &vectors, vec![whole("axis", 1)]));
        Ok(vectors)
    }

    /// Pools the tokens of texts. The result is the name of their vectors, N×D.
    fn pooled(
        &mut self,
        graph: &GraphProto,
        output: &str,
        input: &TextInput,
    ) -> Result<String, String> {
        let declared = graph.output.iter().find(|declared| declared.name == output);
        let axes = declared.map(|declared| sides(declared).len());
        let pooled = format!("{OWN}pooled");
        match (axes, input.pooling) {
            (Some(2), _) => self.after.push(node("Identity", &[output], &pooled, vec![])),
            (Some(3), TokenPooling::Cls) => {
                let first = self.wholes("first", vec![], &[0]);
                let axis = vec![whole("axis", 1)];
                self.after.push(node("Gather", &[output, &first], &pooled, axis));
            }
            (Some(3), TokenPooling::Mean) => {
                let [mask, masks, kept, sum, count] =
                    ["mask", "masks", "kept", "sum", "count"].map(|name| format!("{OWN}{name}"));
                let float = vec![whole("to", DataType::Float as i64)];
                let (last, tokens) =
                    (self.wholes("last", vec![1], &[2]), self.wholes("tokens", vec![1], &[1]));
                let flat = || vec![whole("keepdims", 0)];
                self.after.extend([
                    node("Cast", &["attention_mask"], &mask, float),
                    node("Unsqueeze", &[&mask, &last], &masks, vec![]),
                    node("Mul", &[output, &masks], &kept, vec![]),
                    node("ReduceSum", &[&kept, &tokens], &sum, flat()),
                    node("ReduceSum", &[&masks, &tokens], &count, flat()),
                    node("Div", &[&sum, &count], &pooled, vec![]),
                ]);
            }
            (axes, _) => {
                return Err(format!(
                    "the output `{}` of the backbone has {} axes: expected 3 for tokens or 2 for \
                     texts",
                    output,
                    axes.map_or_else(|| "unknown".to_owned(), |axes| axes.to_string())
                ));
            }
        }
        if !input.normalize {
            return Ok(pooled);
        }
        let [squares, sum, positive, length, vectors] =
            ["squares", "squared", "positive", "length", "vectors"]
                .map(|name| format!("{OWN}{name}"));
        let axis = self.wholes("components", vec![1], &[1]);
        let tiny = self.floats("tiny", vec![1], &[TINY]);
        self.after.extend([
            node("Mul", &[&pooled, &pooled], &squares, vec![]),
            node("ReduceSum", &[&squares, &axis], &sum, vec![whole("keepdims", 1)]),
            node("Add", &[&sum, &tiny], &positive, vec![]),
            node("Sqrt", &[&positive], &length, vec![]),
            node("Div", &[&pooled, &length], &vectors, vec![]),
        ]);
        Ok(vectors)
    }

    fn floats(&mut self, name: &str, dims: Vec<i64>, values: &[f32]) -> String {
        let bytes = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        self.weight(name, dims, DataType::Float, bytes)
    }

    fn wholes(&mut self, name: &str, dims: Vec<i64>, values: &[i64]) -> String {
        let bytes = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        self.weight(name, dims, DataType::Int64, bytes)
    }

    fn weight(&mut self, name: &str, dims: Vec<i64>, kind: DataType, raw_data: Vec<u8>) -> String {
        let name = format!("{OWN}{name}.constant");
        let data_type = kind as i32;
        self.weights.push(TensorProto {
            name: name.clone(),
            dims,
            data_type,
            raw_data,
            ..Default::default()
        });
        name
    }
}

/// Puts the name of the backbone in front of all names of a graph but some.
fn rename(graph: &mut GraphProto, kept: &[String]) {
    let renamed = |name: &mut String| {
        if !name.is_empty() && !kept.contains(name) {
            name.insert_str(0, BACKBONE);
        }
    };
    for node in &mut graph.node {
        renamed(&mut node.name);
        node.input.iter_mut().for_each(renamed);
        node.output.iter_mut().for_each(renamed);
        for attribute in &mut node.attribute {
            attribute
                .g
                .iter_mut()
                .chain(&mut attribute.graphs)
                .for_each(|graph| rename(graph, kept));
        }
    }
    graph.initializer.iter_mut().for_each(|tensor| renamed(&mut tensor.name));
    graph.input.iter_mut().for_each(|value| renamed(&mut value.name));
    graph.output.iter_mut().for_each(|value| renamed(&mut value.name));
    graph.value_info.clear(); // shapes of values, which a reader derives by itself
}

/// Appends the graph of a head that takes the vectors of this name, and declares its output as the
/// only one.
fn append_head(graph: &mut GraphProto, head: ModelProto, vectors: &str) -> Result<(), String> {
    let mut head = head.graph.ok_or("the head has no graph")?;
    let renamed = |name: &mut String| {
        *name = match &**name {
            VECTORS => vectors.to_owned(),
            OUTPUT => OUTPUT.to_owned(),
            "" => String::new(),
            other => format!("{OWN}{other}"),
        };
    };
    for node in &mut head.node {
        renamed(&mut node.name);
        node.input.iter_mut().for_each(renamed);
        node.output.iter_mut().for_each(renamed);
    }
    head.initializer.iter_mut().for_each(|tensor| renamed(&mut tensor.name));
    graph.node.extend(head.node);
    graph.initializer.extend(head.initializer);
    let fixed = graph.input.first().and_then(|input| sides(input).first().copied().flatten());
    let mut output = head.output.into_iter().next().ok_or("the head has no output")?;
    if let Some(batch) = fixed {
        fix_side(&mut output, 0, batch);
    }
    graph.output = vec![output];
    Ok(())
}

/// Declares the length of an axis.
fn fix_side(value: &mut ValueInfoProto, axis: usize, side: i64) {
    if let Some(TensorType(Tensor { shape: Some(shape), .. })) =
        value.r#type.as_mut().and_then(|kind| kind.value.as_mut())
        && let Some(axis) = shape.dim.get_mut(axis)
    {
        axis.value = Some(DimValue(side));
    }
}

/// The axes of a value: their lengths, as far as they are fixed.
fn sides(value: &ValueInfoProto) -> Vec<Option<i64>> {
    let Some(TensorType(Tensor { shape: Some(shape), .. })) =
        value.r#type.as_ref().and_then(|kind| kind.value.as_ref())
    else {
        return Vec::new();
    };
    let side = |axis: &Dimension| match axis.value {
        Some(DimValue(side)) if side > 0 => Some(side),
        _ => None,
    };
    shape.dim.iter().map(side).collect()
}

fn node(
    operation: &str,
    inputs: &[&str],
    output: &str,
    attribute: Vec<AttributeProto>,
) -> NodeProto {
    NodeProto {
        name: format!("{OWN}node/{output}"),
        op_type: operation.to_owned(),
        input: inputs.iter().map(|&name| name.to_owned()).collect(),
        output: vec![output.to_owned()],
        attribute,
        ..Default::default()
    }
}

fn whole(name: &str, value: i64) -> AttributeProto {
    AttributeProto {
        name: name.to_owned(),
        r#type: AttributeType::Int as i32,
        i: value,
        ..Default::default()
    }
}
