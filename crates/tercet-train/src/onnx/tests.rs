//! Every encoder as a graph, run by another engine.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use burn::module::Module;
use burn::tensor::{Device, Distribution, Tensor};
use prost::Message;
use tercet::Distance;
use tract_onnx::pb::ModelProto;

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

#[test]
fn every_encoder_is_the_same_as_a_graph() {
    for name in ENCODER_NAMES {
        for (channels, normalized) in [(3, false), (1, true)] {
            let model = model(name, channels, normalized);
            let bytes = export(&model).unwrap();
            let difference = check(&model, &bytes).unwrap();
            assert!(difference <= 1e-4, "{name} differs by {difference}");
            assert_eq!(bytes, export(&model).unwrap(), "{name}: other bytes the second time");
        }
    }
}

#[test]
fn a_graph_says_what_it_wants_and_gives() {
    let model = model("small-cnn", 3, true);
    let bytes = export(&model).unwrap();
    let proto = ModelProto::decode(&bytes[..]).unwrap();
    let graph = proto.graph.unwrap();
    assert_eq!((&*graph.input[0].name, &*graph.output[0].name), (IMAGES, OUTPUT));
    assert!(graph.input[0].doc_string.contains("pixels from 0 to 255, red, green, blue"));
    let card: ModelCard = serde_json::from_str(&proto.metadata_props[0].value).unwrap();
    assert_eq!(card, model.card);

    let encoder =
        OnnxEncoder::from_bytes(&bytes, Path::new(""), &OnnxOptions::default()).unwrap();
    assert_eq!(encoder.card.as_ref(), Some(&model.card));
    assert_eq!(encoder.preprocessing().width, 24);
    assert!(encoder.is_normalized());
    let rows = encoder.forward(vec![100.0; 3 * 3 * 24 * 32]).unwrap();
    for row in rows.chunks(rows.len() / 3) {
        let norm = row.iter().map(|x| x * x).sum::<f32>().sqrt();
        assert!((norm - 1.0).abs() < 1e-5, "{norm}");
    }
    let options = OnnxOptions { mean: Some(vec![0.0; 3]), ..Default::default() };
    let refused = OnnxEncoder::from_bytes(&bytes, Path::new(""), &options).unwrap_err();
    assert!(refused.to_string().starts_with("mean is given: expected none"), "{refused}");
}

#[test]
fn another_graph_than_the_model_is_found_out() {
    let model = model("small-cnn", 1, false);
    let mut proto = ModelProto::decode(&export(&model).unwrap()[..]).unwrap();
    let weights = &mut proto.graph.as_mut().unwrap().initializer;
    let weight = weights.iter_mut().max_by_key(|weight| weight.raw_data.len()).unwrap();
    for number in weight.raw_data.chunks_exact_mut(4) {
        number[3] ^= 0x80; // the sign
    }
    let refused = check(&model, &proto.encode_to_vec()).unwrap_err().to_string();
    assert!(refused.contains("the graph differs from the model by"), "{refused}");
}

#[test]
fn damaged_files_are_errors() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("encoder.onnx");
    let bytes = export(&model("small-cnn", 1, false)).unwrap();
    let mut refused = |content: &[u8]| {
        fs::write(&path, content).unwrap();
        let error = OnnxEncoder::load(&path, &OnnxOptions::default()).unwrap_err().to_string();
        assert!(error.contains("encoder.onnx cannot be used: "), "{error}");
        error
    };
    for length in [0, 1, 7, bytes.len() / 2, bytes.len() - 1] {
        refused(&bytes[..length]);
    }
    refused(b"neither protobuf nor anything else");

    // An output that no node makes, a node whose input nothing makes, an unknown operation.
    let proto = ModelProto::decode(&bytes[..]).unwrap();
    let mut changed = |change: &dyn Fn(&mut tract_onnx::pb::GraphProto)| {
        let mut proto = proto.clone();
        change(proto.graph.as_mut().unwrap());
        refused(&proto.encode_to_vec())
    };
    changed(&|graph| graph.output[0].name = "elsewhere".to_owned());
    changed(&|graph| graph.node[0].input[0] = "elsewhere".to_owned());
    let error = changed(&|graph| graph.node[0].op_type = "Frobnicate".to_owned());
    assert!(error.contains("Frobnicate"), "{error}");
    let error = changed(&|graph| graph.input.clear());
    assert!(error.contains("it has 0 inputs"), "{error}");

    let missing = OnnxEncoder::load(&folder.path().join("none.onnx"), &OnnxOptions::default());
    assert!(matches!(missing, Err(OnnxError::File(_))));
}
