//! Tests with small graphs whose embeddings are known.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use ndarray::{Array2, array};
use prost::Message;
use tercet::ParameterError;
use tercet_train::Views;
use tercet_train::data::{Examples, Input, PrepareOptions, Source};
use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::tensor_shape_proto::{Dimension, dimension::Value as Side};
use tract_onnx::pb::{
    AttributeProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto, StringStringEntryProto,
    TensorProto, TensorShapeProto, TypeProto, ValueInfoProto, attribute_proto, type_proto,
};

use crate::{OnnxEncoder, OnnxError, OnnxOptions};

/// A float32 value of this shape; the length of an axis with 0 is not fixed.
fn value(name: &str, sides: &[i64]) -> ValueInfoProto {
    let axis = |&side: &i64| Dimension {
        value: Some(if side > 0 { Side::DimValue(side) } else { Side::DimParam("n".to_owned()) }),
        ..Default::default()
    };
    let shape = Some(TensorShapeProto { dim: sides.iter().map(axis).collect() });
    let tensor = type_proto::Tensor { elem_type: DataType::Float as i32, shape };
    let kind =
        TypeProto { value: Some(type_proto::Value::TensorType(tensor)), ..Default::default() };
    ValueInfoProto { name: name.to_owned(), r#type: Some(kind), ..Default::default() }
}

fn node(operator: &str, inputs: &[&str], output: &str, axes: &[i64]) -> NodeProto {
    let attribute = AttributeProto {
        name: "perm".to_owned(),
        r#type: attribute_proto::AttributeType::Ints as i32,
        ints: axes.to_vec(),
        ..Default::default()
    };
    NodeProto {
        op_type: operator.to_owned(),
        input: inputs.iter().map(|&input| input.to_owned()).collect(),
        output: vec![output.to_owned()],
        attribute: if axes.is_empty() { Vec::new() } else { vec![attribute] },
        ..Default::default()
    }
}

fn write(folder: &Path, graph: GraphProto, card: Option<&str>) -> PathBuf {
    let property =
        |value: &str| StringStringEntryProto { key: "tercet".to_owned(), value: value.to_owned() };
    let model = ModelProto {
        ir_version: 8,
        opset_import: vec![OperatorSetIdProto { domain: String::new(), version: 17 }],
        graph: Some(graph),
        metadata_props: card.into_iter().map(property).collect(),
        ..Default::default()
    };
    let path = folder.join("encoder.onnx");
    std::fs::write(&path, model.encode_to_vec()).unwrap();
    path
}

/// A graph with channels last and a batch of one; the embedding is the mean of each channel, and
/// there is a second output with a map.
fn means() -> GraphProto {
    GraphProto {
        name: "means".to_owned(),
        node: vec![
            node("Transpose", &["pixels"], "planes", &[0, 3, 1, 2]),
            node("Relu", &["planes"], "map", &[]),
            node("GlobalAveragePool", &["planes"], "means", &[]),
        ],
        input: vec![value("pixels", &[1, 2, 4, 3])],
        output: vec![value("map", &[1, 3, 2, 4]), value("means", &[1, 3, 1, 1])],
        ..Default::default()
    }
}

/// x · W with W of 3×2.
fn product() -> GraphProto {
    let weight = TensorProto {
        name: "weight".to_owned(),
        dims: vec![3, 2],
        data_type: DataType::Float as i32,
        float_data: vec![1.0, 0.0, 0.0, 1.0, 2.0, -1.0],
        ..Default::default()
    };
    GraphProto {
        name: "product".to_owned(),
        node: vec![node("MatMul", &["x", "weight"], "y", &[])],
        initializer: vec![weight],
        input: vec![value("x", &[0, 3])],
        output: vec![value("y", &[0, 2])],
        ..Default::default()
    }
}

/// Two images of one colour each, as PNG of 4×2 pixels.
fn images(folder: &Path) -> Source {
    for (name, colour) in [("a", [255, 0, 51]), ("b", [102, 204, 0])] {
        let folder = folder.join("images").join(name);
        std::fs::create_dir_all(&folder).unwrap();
        image::RgbImage::from_pixel(4, 2, image::Rgb(colour)).save(folder.join("0.png")).unwrap();
    }
    format!("folder:{}", folder.join("images").display()).parse().unwrap()
}

/// Eleven vectors of three components: more than one batch, and not a multiple of it.
fn vectors(folder: &Path) -> (Source, Array2<f32>) {
    let rows = Array2::from_shape_fn((11, 3), |(row, column)| (row * 3 + column) as f32);
    let head = "{'descr': '<f4', 'fortran_order': False, 'shape': (11, 3), }";
    let head = format!("{head:<117}\n");
    let mut bytes = b"\x93NUMPY\x01\x00\x76\x00".to_vec();
    bytes.extend(head.bytes());
    bytes.extend(rows.iter().flat_map(|number| number.to_le_bytes()));
    std::fs::write(folder.join("rows.labels.txt"), "one\n".repeat(11)).unwrap();
    let path = folder.join("rows.npy");
    std::fs::write(&path, bytes).unwrap();
    (format!("features:{}", path.display()).parse().unwrap(), rows)
}

fn embed(encoder: &OnnxEncoder, source: &Source, views: Views) -> Result<Array2<f32>, String> {
    let input = views.input(encoder.input()).unwrap();
    let options = PrepareOptions::default();
    let (examples, _) =
        Examples::prepare(source.catalogue().unwrap(), &input, &options, &|_, _| ()).unwrap();
    let items: Vec<u32> = (0..examples.len() as u32).collect();
    encoder
        .embed(&examples, &items, views, &|_| ControlFlow::Continue(()))
        .map_err(|error| error.to_string())
}

fn assert_close(got: &Array2<f32>, expected: &Array2<f32>) {
    assert_eq!(got.dim(), expected.dim());
    let apart = (got - expected).iter().fold(0.0f32, |most, x| most.max(x.abs()));
    assert!(apart < 1e-5, "{got} is {apart} from {expected}");
}

#[test]
fn channels_last_one_at_a_time_and_the_output_named() {
    let folder = tempfile::tempdir().unwrap();
    let (path, source) = (write(folder.path(), means(), None), images(folder.path()));
    let options = OnnxOptions {
        output: Some("means".to_owned()),
        mean: Some(vec![0.5, 0.4, 0.0]),
        std: Some(vec![0.5, 1.0, 0.1]),
        ..OnnxOptions::default()
    };
    let encoder = OnnxEncoder::load(&path, &options).unwrap();
    let expected = array![[1.0, -0.4, 2.0], [-0.2, 0.4, 0.0]];
    assert_close(&embed(&encoder, &source, Views::Single).unwrap(), &expected);
    // All crops of an image of one colour are the same.
    assert_close(&embed(&encoder, &source, Views::CropsFlip).unwrap(), &expected);

    let normal = OnnxEncoder::load(&path, &OnnxOptions { normalize: true, ..options }).unwrap();
    assert!(normal.is_normalized() && normal.fingerprint != encoder.fingerprint);
    let rows = embed(&normal, &source, Views::Single).unwrap();
    let lengths: Vec<f32> = rows.outer_iter().map(|row| row.dot(&row)).collect();
    assert!(lengths.iter().all(|length| (length - 1.0).abs() < 1e-5), "{lengths:?}");
}

#[test]
fn images_are_prepared_as_for_imagenet_unless_told_otherwise() {
    let folder = tempfile::tempdir().unwrap();
    let path = write(folder.path(), means(), None);
    let Input::Images(input) =
        OnnxEncoder::load(&path, &OnnxOptions::default()).unwrap().input().clone()
    else {
        panic!("vectors")
    };
    assert_eq!((input.height, input.width, input.channels), (2, 4, 3));
    assert_eq!(
        (&input.mean[..], &input.std[..]),
        (&[0.485, 0.456, 0.406][..], &[0.229, 0.224, 0.225][..])
    );
}

#[test]
fn vectors_pass_in_any_number() {
    let folder = tempfile::tempdir().unwrap();
    let (source, rows) = vectors(folder.path());
    let path = write(folder.path(), product(), None);
    let encoder = OnnxEncoder::load(&path, &OnnxOptions::default()).unwrap();
    let weight = array![[1.0, 0.0], [0.0, 1.0], [2.0, -1.0]];
    assert_close(&embed(&encoder, &source, Views::Single).unwrap(), &rows.dot(&weight));
}

#[test]
fn files_that_cannot_embed_are_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let refused = |path: &Path, options: OnnxOptions| {
        OnnxEncoder::load(path, &options).map(|_| ()).unwrap_err().to_string()
    };
    let none = OnnxOptions::default;

    let missing = folder.path().join("missing.onnx");
    assert!(refused(&missing, none()).starts_with("cannot read the encoder"));
    let text = folder.path().join("text.onnx");
    std::fs::write(&text, "not a network").unwrap();
    let message = refused(&text, none());
    assert!(message.contains("text.onnx cannot embed: it is not ONNX"), "{message}");
    std::fs::write(&text, "").unwrap();
    assert!(refused(&text, none()).contains("no graph"));

    let mut unknown = product();
    unknown.node[0].op_type = "Conjure".to_owned();
    let message = refused(&write(folder.path(), unknown, None), none());
    assert!(message.contains("Conjure"), "{message}");
    let mut torn = product();
    torn.initializer[0].float_data.pop();
    let message = refused(&write(folder.path(), torn, None), none());
    assert!(message.contains("encoder.onnx cannot embed"), "{message}");
    let mut apart = product();
    apart.node[0].input[1] = "nowhere".to_owned();
    let message = refused(&write(folder.path(), apart, None), none());
    assert!(message.contains("encoder.onnx cannot embed"), "{message}");

    let path = write(folder.path(), product(), Some("{\"format\": 99}"));
    assert!(refused(&path, none()).contains("format 99, newer than the 2"));
    let path = write(folder.path(), product(), None);
    let mean = OnnxOptions { mean: Some(vec![0.5]), ..none() };
    let message = refused(&path, mean);
    assert_eq!(message, "mean is given: expected none: the encoder takes vectors; leave it out");
    let output = OnnxOptions { output: Some("z".to_owned()), ..none() };
    assert_eq!(refused(&path, output), "output is `z`: expected one of y");
    let path = write(folder.path(), means(), None);
    let std = OnnxOptions { std: Some(vec![0.0, 1.0, 1.0]), ..none() };
    assert!(matches!(
        OnnxEncoder::load(&path, &std),
        Err(OnnxError::Option(ParameterError { parameter: "std", .. }))
    ));
}

#[test]
fn an_output_that_is_no_row_for_each_item_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let (path, source) = (write(folder.path(), means(), None), images(folder.path()));
    let encoder = OnnxEncoder::load(&path, &OnnxOptions::default()).unwrap();
    let message = embed(&encoder, &source, Views::Single).unwrap_err();
    assert!(message.contains("output is 1×3×2×4 for 1 items"), "{message}");
}

#[test]
fn a_graph_written_for_one_item_takes_them_one_by_one() {
    let folder = tempfile::tempdir().unwrap();
    let shape = TensorProto {
        name: "shape".to_owned(),
        dims: vec![2],
        data_type: DataType::Int64 as i32,
        int64_data: vec![1, -1],
        ..Default::default()
    };
    let graph = GraphProto {
        name: "flat".to_owned(),
        node: vec![node("Reshape", &["x", "shape"], "y", &[])],
        initializer: vec![shape],
        input: vec![value("x", &[0, 3])],
        output: vec![value("y", &[1, 3])],
        ..Default::default()
    };
    let (source, rows) = vectors(folder.path());
    let encoder = OnnxEncoder::load(&write(folder.path(), graph, None), &OnnxOptions::default());
    let encoder = encoder.unwrap();
    assert_eq!(encoder.fixed_batch, Some(1));
    assert_close(&embed(&encoder, &source, Views::Single).unwrap(), &rows);
    let encoder =
        OnnxEncoder::load(&write(folder.path(), product(), None), &OnnxOptions::default());
    assert_eq!(encoder.unwrap().fixed_batch, None);
}

#[test]
fn claims_beyond_all_memory_are_refused_before_they_are_allocated() {
    let folder = tempfile::tempdir().unwrap();
    let shape = |sides: &[i64]| TensorProto {
        name: "shape".to_owned(),
        dims: vec![sides.len() as i64],
        data_type: DataType::Int64 as i32,
        int64_data: sides.to_vec(),
        ..Default::default()
    };
    let terabytes = &[1 << 20, 1 << 20];
    let empty = TensorProto { dims: terabytes.to_vec(), float_data: vec![1.0], ..shape(&[]) };
    let empty = TensorProto { data_type: DataType::Float as i32, int64_data: vec![], ..empty };
    let cases = [
        (node("ConstantOfShape", &["shape"], "large", &[]), shape(terabytes), "ConstantOfShape"),
        (node("Expand", &["weight", "shape"], "large", &[]), shape(terabytes), "Expand"),
        (node("Tile", &["weight", "shape"], "large", &[]), shape(terabytes), "Tile"),
        (node("OneHot", &["weight", "shape"], "large", &[]), shape(&[1 << 40]), "OneHot"),
        (node("Identity", &["shape"], "large", &[]), empty, "its weight `shape` has the shape"),
    ];
    for (large, tensor, word) in cases {
        let mut graph = product();
        graph.node.insert(0, large);
        graph.initializer.push(tensor);
        let path = write(folder.path(), graph, None);
        let error = OnnxEncoder::load(&path, &OnnxOptions::default()).unwrap_err().to_string();
        assert!(error.contains(word) && error.contains("expected"), "{error}");
    }
}

#[test]
fn shapes_that_are_computed_from_constants_are_checked_too() {
    let folder = tempfile::tempdir().unwrap();
    let side = TensorProto {
        name: "side".to_owned(),
        dims: vec![1],
        data_type: DataType::Int64 as i32,
        int64_data: vec![1 << 20],
        ..Default::default()
    };
    for operation in ["Concat", "Mul"] {
        let mut graph = product();
        graph.node.insert(0, node(operation, &["side", "side"], "shape", &[]));
        graph.node.insert(1, node("ConstantOfShape", &["shape"], "large", &[]));
        graph.initializer.push(side.clone());
        let path = write(folder.path(), graph, None);
        let error = OnnxEncoder::load(&path, &OnnxOptions::default()).unwrap_err().to_string();
        assert!(error.contains("ConstantOfShape creates a tensor of"), "{operation}: {error}");
    }
}

#[test]
fn control_flow_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let mut graph = product();
    graph.node.push(node("Loop", &["", "", "y"], "z", &[]));
    graph.output = vec![value("z", &[0, 2])];
    let path = write(folder.path(), graph, None);
    let error = OnnxEncoder::load(&path, &OnnxOptions::default()).unwrap_err().to_string();
    assert!(error.contains("control flow (`Loop`)"), "{error}");
}
