//! `tercet export --onnx` and `tercet embed --onnx`.

#![allow(clippy::unwrap_used)] // tests may panic

mod common;

use std::fs;

use common::{World, fail, json, succeed};
use safetensors::SafeTensors;

/// The numbers of a file of embeddings.
fn numbers(path: &std::path::Path) -> Vec<f32> {
    let bytes = fs::read(path).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let data = file.tensor("embeddings").unwrap().data().to_vec();
    data.chunks_exact(4).map(|bytes| f32::from_le_bytes(bytes.try_into().unwrap())).collect()
}

#[test]
fn an_exported_encoder_embeds_as_its_model_does() {
    let world = World::get();
    let [model, photos, onnx] =
        ["model.safetensors", "photos", "model.onnx"].map(|n| world.text(n));
    succeed(&["export", &model, "--onnx", &onnx]);
    for views in ["single", "crops-flip"] {
        let [ours, theirs] = ["ours", "theirs"].map(|n| world.text(&format!("{n}.safetensors")));
        let tail = [&photos, "--views", views, "--json", "--out"];
        let by_model = json(&[&["embed", &model], &tail[..], &[&ours]].concat());
        let by_graph = json(&[&["embed", "--onnx", &onnx], &tail[..], &[&theirs]].concat());
        for key in ["items", "classes", "dimensions", "normalized", "source"] {
            assert_eq!(by_model[key], by_graph[key], "{key}");
        }
        assert_ne!(by_model["fingerprint"], by_graph["fingerprint"]);
        let (ours, theirs) = (numbers(ours.as_ref()), numbers(theirs.as_ref()));
        assert_eq!(ours.len(), 48 * by_model["dimensions"].as_u64().unwrap() as usize);
        let apart = ours.iter().zip(&theirs).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(apart <= 1e-4, "{views}: {apart}");
    }
}

#[test]
fn wrong_input_is_named() {
    let world = World::get();
    let [model, photos, onnx] =
        ["model.safetensors", "photos", "named.onnx"].map(|n| world.text(n));
    let [out, text] = ["wrong.safetensors", "text.onnx"].map(|n| world.text(n));
    succeed(&["export", &model, "--onnx", &onnx]);
    fs::write(&text, "not a network").unwrap();
    for (arguments, status, words) in [
        (vec!["--onnx", &text, &photos], 1, vec!["text.onnx", "not ONNX"]),
        (vec!["--onnx", "none.onnx", &photos], 1, vec!["none.onnx"]),
        (vec!["--onnx", &onnx, &model, &photos], 2, vec!["2 operands", "the source alone"]),
        (vec![&model], 2, vec!["one operand", "a model and a source"]),
        (vec![&model, &photos, "--size", "32"], 2, vec!["--onnx"]),
        (vec!["--onnx", &onnx, &photos, "--size", "32"], 2, vec!["size is 32", "×16×16"]),
        (vec!["--onnx", &onnx, &photos, "--mean", "0.5"], 2, vec!["mean is given"]),
        (vec!["--onnx", &onnx, &photos, "--output", "map"], 2, vec!["`map`", "embeddings"]),
        (vec!["--onnx", &onnx, &photos, "--layout", "chw"], 2, vec!["chw", "nhwc"]),
        (vec!["--onnx", &onnx, "glyphs", "--views", "ten"], 2, vec!["ten"]),
    ] {
        let message = fail(&[&["embed"], &arguments[..], &["--out", &out]].concat(), status);
        for word in words {
            assert!(message.contains(word), "{arguments:?}: {message}");
        }
        assert!(!world.path("wrong.safetensors").exists());
    }
}
