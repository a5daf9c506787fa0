//! Every encoder as a graph; `tests/onnx/check.py` of the command line runs them in onnxruntime.

use std::collections::{BTreeMap, BTreeSet};

use burn::module::Module;
use burn::tensor::{Device, Distribution, Tensor};
use prost::Message;
use tercet::Distance;

use super::messages::{GraphMessage, kind};
use super::*;
use crate::data::{Input, Preprocessing, Standardization};
use crate::encoder::{ENCODER_NAMES, EncoderConfig, EncoderOptions, Takes};
use crate::model::{FORMAT, Model, ModelCard, Provenance};

/// A narrow model of an architecture, whose batch norms have seen items.
fn model(name: &str, channels: u32, normalized: bool) -> Model {
    let mean = [0.3, 0.4, 0.5][..channels as usize].to_vec();
    let std = [0.2, 0.3, 0.4][..channels as usize].to_vec();
    let (preprocessing, width) = match takes(name) {
        Takes::Images => {
            let preprocessing = Preprocessing { mean, std, ..Preprocessing::new(24, 32, channels) };
            (Input::Images(preprocessing), Some(4))
        }
        Takes::Vectors => {
            let dimensions = channels as usize;
            // Grey stands for vectors that are left as they are.
            let (mean, std) = if channels == 1 { (vec![], vec![]) } else { (mean, std) };
            (Input::Vectors(Standardization { dimensions, mean, std }), None)
        }
    };
    let options = EncoderOptions { width, ..Default::default() };
    let encoder = EncoderConfig::named(name, options).unwrap();
    let device = Device::flex().autodiff();
    device.seed(3);
    let shape = preprocessing.shape();
    let network = encoder.init(shape, &device).unwrap();
    let sides = [4, shape.channels, shape.height, shape.width];
    network.forward(Tensor::random(sides, Distribution::Normal(0.5, 2.0), &device));
    let card = ModelCard {
        format: FORMAT,
        encoder,
        preprocessing,
        distance: Distance::Euclidean,
        normalized,
        threshold: Some(0.7),
        calibration: None,
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
            // Beside the weights: scale and shift of each channel, and of sums.
            let network = model.encoder().num_params();
            assert!((network..network + 20).contains(&numbers), "{name}: {numbers} of {network}");
        }
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
