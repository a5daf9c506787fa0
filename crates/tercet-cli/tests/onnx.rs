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

#[test]
fn a_graph_for_one_item_is_used_one_by_one_and_says_so_once() {
    let world = World::get();
    // An input of any batch, and a `Reshape` to 1 row: `x (?×3×16×16) → [1, -1]`.
    let graph = [
        &b"\x08\x08\x3a\x75\x0a\x18\x0a\x04data\x0a\x02sh\x12\x03emb\"\x07Reshape\x12\x01g"[..],
        b"*\x1a\x08\x02\x10\x07B\x02shJ\x10\x01\0\0\0\0\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff",
        b"Z\"\x0a\x04data\x12\x1a\x0a\x18\x08\x01\x12\x14\x0a\x06\x12\x04None\x0a\x02\x08\x03\x0a\x02\x08\x10\x0a\x02\x08\x10",
        b"b\x16\x0a\x03emb\x12\x0f\x0a\x0d\x08\x01\x12\x09\x0a\x02\x08\x01\x0a\x03\x08\x80\x06B\x04\x0a\0\x10\x0d",
    ]
    .concat();
    let [onnx, out] = ["one.onnx", "one.safetensors"].map(|name| world.text(name));
    fs::write(&onnx, graph).unwrap();
    let arguments = ["embed", "--onnx", &onnx, &world.text("photos"), "--mean", "0,0,0", "--std"];
    let output = common::run(&[&arguments[..], &["1,1,1", "--json", "--out", &out]].concat());
    let told = common::stderr(&output);
    assert!(output.status.success(), "{told}");
    assert_eq!(told.matches("one item at a time").count(), 1, "{told}");
    let embedded: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&embedded["items"], &embedded["dimensions"]), (&48.into(), &768.into()));
}
