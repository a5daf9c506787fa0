//! Tests of every encoder as a graph; `tests/onnx/check.py` of the command line also runs them in
//! onnxruntime.

use std::collections::{BTreeMap, BTreeSet};

use burn::module::Module;
use burn::tensor::{Device, Distribution, Tensor, TensorData};
use ndarray::Array2;
use prost::Message;
use tercet::Distance;

use super::*;
use crate::data::{Input, Preprocessing, Standardization};
use crate::encoder::{
    ENCODER_NAMES, EncoderConfig, EncoderOptions, Pooling, SmallCnnConfig, Takes,
};
use crate::model::{FORMAT, Model, ModelCard, Provenance, normalize_rows, values};
use crate::onnx_graph::messages::{self, GraphMessage, kind};

/// A narrow model of an architecture, whose batch norms have running statistics of some items.
fn model(name: &str, channels: u32, normalized: bool) -> Model {
    let width = (takes(name) == Takes::Images).then_some(4);
    let options = EncoderOptions { width, ..Default::default() };
    model_of(EncoderConfig::named(name, options).unwrap(), channels, normalized)
}

fn model_of(encoder: EncoderConfig, channels: u32, normalized: bool) -> Model {
    let mean = [0.3, 0.4, 0.5][..channels as usize].to_vec();
    let std = [0.2, 0.3, 0.4][..channels as usize].to_vec();
    let preprocessing = match encoder.takes() {
        Takes::Images => {
            let preprocessing = Preprocessing { mean, std, ..Preprocessing::new(24, 32, channels) };
            Input::Images(preprocessing)
        }
        Takes::Vectors => {
            let dimensions = channels as usize;
            // Grey also stands for vectors that are not standardised.
            let (mean, std) = if channels == 1 { (vec![], vec![]) } else { (mean, std) };
            Input::Vectors(Standardization { dimensions, mean, std })
        }
    };
    let device = Device::flex().autodiff();
    device.seed(3);
    let shape = preprocessing.shape();
    let network = encoder.init(shape, &device).unwrap();
    let sides = [4, shape.channels, shape.height, shape.width];
    network.forward(Tensor::random(sides, Distribution::Normal(0.5, 2.0), &device));
    let card = ModelCard {
        format: FORMAT,
        backbone: None,
        encoder,
        preprocessing,
        distance: Distance::Euclidean,
        normalized,
        matryoshka: Vec::new(),
        threshold: Some(0.7),
        calibration: None,
        open_set: None,
        compatible: None,
        thresholds: BTreeMap::new(),
        provenance: Provenance {
            held_out: Vec::new(),
            tercet: String::new(),
            config: serde_json::Value::Null,
            seed: 3,
            data: String::new(),
            results: serde_json::Value::Null,
        },
    };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    Model::save(&card, &network.valid(), &path).unwrap();
    Model::load(&path).unwrap()
}

fn takes(name: &str) -> Takes {
    EncoderConfig::named(name, EncoderOptions::default()).unwrap().takes()
}

fn graph(bytes: &[u8]) -> GraphMessage {
    messages::Model::decode(bytes).unwrap().graph.unwrap()
}

#[test]
fn every_encoder_is_a_graph_whose_values_are_all_given() {
    for name in ENCODER_NAMES {
        for (channels, normalized) in [(3, false), (1, true)] {
            let model = model(name, channels, normalized);
            let bytes = export(&model).unwrap();
            assert_eq!(bytes, export(&model).unwrap(), "{name}: other bytes the second time");
            let graph = graph(&bytes);
            let weights = graph.initializer.iter().map(|weight| weight.name.clone());
            let mut given: BTreeSet<String> = weights.collect();
            assert_eq!(given.len(), graph.initializer.len(), "{name}: weights of the same name");
            given.insert(graph.input[0].name.clone());
            for node in &graph.node {
                assert!(node.input.iter().all(|value| given.contains(value)), "{name}: {node:?}");
                assert!(node.output.iter().all(|value| given.insert(value.clone())), "{node:?}");
            }
            assert!(given.contains(OUTPUT));
            let numbers: usize = graph
                .initializer
                .iter()
                .filter(|weight| weight.data_type == kind::TENSOR_FLOAT)
                .map(|weight| weight.raw_data.len() / 4)
                .sum();
            // Besides the weights there are a scale and a shift of each channel, and of sums.
            let network = model.encoder().num_params();
            assert!((network..network + 20).contains(&numbers), "{name}: {numbers} of {network}");
        }
    }
}

/// The largest difference between the embeddings of a model and of its graph, both computed from
/// the items as users have them.
fn difference(model: &Model) -> f32 {
    let shape = model.card.preprocessing.shape();
    let sides = [3, shape.channels, shape.height, shape.width];
    let device = Device::flex();
    device.seed(5);
    let items: Tensor<4> = Tensor::random(sides, Distribution::Uniform(0.0, 1.0), &device);
    let (mean, std) = model.card.preprocessing.statistics();
    let (mut standardised, mut unit) = (items.clone(), 1.0);
    if !mean.is_empty() {
        let of = |values: &[f32]| {
            let shape = [1, values.len(), 1, 1];
            Tensor::<4>::from_data(TensorData::new(values.to_vec(), shape), &device)
        };
        standardised = (standardised - of(mean)) / of(std);
    }
    if matches!(model.card.preprocessing, Input::Images(_)) {
        unit = 255.0;
    }
    let rows = values(model.encoder().forward(standardised)).unwrap();
    let mut expected = Array2::from_shape_vec((3, rows.len() / 3), rows).unwrap();
    if model.card.normalized {
        normalize_rows(&mut expected);
    }
    let got = reference::run(&graph(&export(model).unwrap()), items.mul_scalar(unit));
    let got = values(got.flatten::<2>(1, 3)).unwrap();
    assert_eq!(got.len(), expected.len());
    let differences = expected.iter().zip(&got).map(|(expected, got)| (expected - got).abs());
    // NaN counts as the largest difference.
    let most = differences.fold(0.0, |most, new| if new <= most { most } else { new });
    // Weights are random; where embeddings are large, rounding errors are large, too.
    most / expected.iter().fold(1.0, |most: f32, value| most.max(value.abs()))
}

#[test]
fn a_graph_computes_what_its_model_does() {
    let global = SmallCnnConfig { width: 4, pooling: Pooling::Global, ..Default::default() };
    let mut models = vec![model_of(EncoderConfig::SmallCnn(global), 3, false)];
    for name in ENCODER_NAMES {
        models.push(model(name, 3, false));
        models.push(model(name, 1, true));
    }
    for model in models {
        let difference = difference(&model);
        assert!(difference <= 1e-4, "{:?} differs by {difference}", model.card.encoder);
    }
}

#[test]
fn a_graph_says_what_it_wants_and_gives() {
    let model = model("small-cnn", 3, true);
    let file = messages::Model::decode(&export(&model).unwrap()[..]).unwrap();
    let card: ModelCard = serde_json::from_str(&file.metadata_props[0].value).unwrap();
    assert_eq!((&*file.metadata_props[0].key, card), (CARD, model.card.clone()));
    assert_eq!(file.opset_import[0].version, OPSET);
    assert!(file.doc_string.starts_with("Embeds images of 24×32 pixels."));
    let graph = file.graph.unwrap();
    let sides = |value: &messages::Value| -> Vec<Option<i64>> {
        let shape = value.r#type.as_ref().unwrap().tensor_type.as_ref().unwrap().shape.as_ref();
        shape.unwrap().dim.iter().map(|axis| axis.dim_value).collect()
    };
    let [input] = &graph.input[..] else { panic!("{:?}", graph.input) };
    assert_eq!((&*input.name, sides(input)), (IMAGES, vec![None, Some(3), Some(32), Some(24)]));
    assert!(input.doc_string.contains("pixels from 0 to 255, red, green, blue"));
    let [output] = &graph.output[..] else { panic!("{:?}", graph.output) };
    assert_eq!((&*output.name, sides(output)), (OUTPUT, vec![None, Some(64)]));
    assert!(output.doc_string.contains("of length 1"), "{}", output.doc_string);
}
