//! Encoders of other programs: as frozen backbones of a trained head, and in the place of a model.

#![allow(clippy::unwrap_used)] // tests may panic

mod common;

use std::fs;
use std::path::Path;
use std::process::Output;

use common::{World, fail, json, succeed, tercet};
use safetensors::SafeTensors;
use serde_json::Value;

/// The vectors of a file of embeddings.
fn vectors(path: &str) -> Vec<f32> {
    let bytes = fs::read(path).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let data = file.tensor("embeddings").unwrap().data().to_vec();
    data.chunks_exact(4).map(|bytes| f32::from_le_bytes(bytes.try_into().unwrap())).collect()
}

fn apart(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

/// An encoder of the world's photos as an ONNX file.
fn encoder(world: &World, name: &str) -> String {
    let [model, onnx] = ["model.safetensors", name].map(|name| world.text(name));
    succeed(&["export", &model, "--onnx", &onnx]);
    onnx
}

/// Trains a head for a moment; vectors are kept in `cache`.
fn train(source: &str, backbone: &str, run: &str, cache: &Path, more: &[&str]) -> Output {
    let settings = ["--batch", "3x2", "--steps", "6", "--holdout", "0.5", "--json", "--quiet"];
    let named = ["train", source, "--backbone", backbone, "--run", run];
    let mut command = tercet(&[&named[..], &settings, more].concat());
    command.env("TERCET_CACHE", cache).output().unwrap()
}

fn trained(output: Output) -> Value {
    assert!(output.status.success(), "{}", common::stderr(&output));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn a_head_and_its_backbone_are_one_model() {
    let world = World::get();
    let (onnx, photos) = (encoder(world, "backbone.onnx"), world.text("photos"));
    let [run, again, cache] = ["head-1", "head-2", "cache"].map(|name| world.path(name));
    let [run, again] = [run, again].map(|path| path.to_str().unwrap().to_owned());
    let first = trained(train(&photos, &onnx, &run, &cache, &[]));
    assert!(first["before"]["features"]["map_at_r"].as_f64().unwrap() > 0.1, "{first}");
    // The second run reads all vectors from the cache, and gives the same file.
    let stored = |cache: &Path| {
        fs::read_dir(cache).unwrap().map(|file| file.unwrap().path()).collect::<Vec<_>>()
    };
    let [file] = &stored(&cache)[..] else { panic!("{:?}", stored(&cache)) };
    let length = fs::metadata(file).unwrap().len();
    assert_eq!(length, 20 + 48 * (8 + 4 * 8 + 4));
    trained(train(&photos, &onnx, &again, &cache, &[]));
    assert_eq!(fs::metadata(file).unwrap().len(), length);
    let [model, other] = [&run, &again].map(|run| format!("{run}/model.safetensors"));
    let card = |path: &str| {
        let bytes = fs::read(path).unwrap();
        let (_, header) = SafeTensors::read_metadata(&bytes).unwrap();
        let card: Value =
            serde_json::from_str(&header.metadata().as_ref().unwrap()["tercet"]).unwrap();
        card
    };
    assert_eq!(card(&model)["backbone"], card(&other)["backbone"]);
    assert_eq!(
        (&card(&model)["backbone"]["name"], &card(&model)["format"]),
        (&"backbone.onnx".into(), &2.into())
    );

    // The file of the encoder is not needed any more.
    fs::rename(&onnx, world.path("away.onnx")).unwrap();
    let [ours, joined, theirs] =
        ["head.safetensors", "joined.onnx", "joined.safetensors"].map(|name| world.text(name));
    let by_model = json(&["embed", &model, &photos, "--out", &ours, "--json"]);
    assert_eq!((&by_model["items"], &by_model["dimensions"]), (&48.into(), &8.into()));
    let tail = [&photos, "--out", &other, "--json"];
    let same = json(&[&["embed", &other], &tail[..1], &["--out", &theirs, "--json"]].concat());
    assert_eq!(same["dimensions"], 8);
    assert_eq!(vectors(&ours), vectors(&theirs));

    // Head and backbone are exported as one graph.
    let exported = json(&["export", &model, "--onnx", &joined, "--json"]);
    assert_eq!(exported["input"]["shape"], serde_json::json!(["batch", 3, 16, 16]));
    for views in ["single", "flip"] {
        succeed(&["embed", &model, &photos, "--views", views, "--out", &ours]);
        succeed(&["embed", "--onnx", &joined, &photos, "--views", views, "--out", &theirs]);
        let largest = apart(&vectors(&ours), &vectors(&theirs));
        assert!(largest < 1e-4, "{views}: {largest}");
    }

    // Every command uses it as any other model.
    let evaluated = json(&["eval", &model, &photos, "--json"]);
    assert_eq!(evaluated["map_at_r"], first["after"]["map_at_r"]);
    let [one, two] = ["photos/class 0/0.png", "photos/class 0/1.jpg"].map(|name| world.text(name));
    let compared = json(&["compare", &model, &one, &two, "--json"]);
    assert!(compared["pairs"][0]["distance"].as_f64().unwrap() > 0.0, "{compared}");
    let gallery = world.text("gallery");
    succeed(&["gallery", "create", &gallery, &photos, "--model", &model]);
    let found = json(&["gallery", "search", &gallery, &one, "-k", "1", "--json"]);
    assert_eq!(found["queries"][0]["hits"][0]["id"], "class 0/0.png", "{found}");
    let grouped = json(&["cluster", &model, &photos, "--clusters", "8", "--json"]);
    assert_eq!(grouped["groups"], 8);
    // Neither model nor encoder can be continued; a new head is trained instead.
    let more = ["--run", &world.text("more"), "--steps", "1", "--quiet"];
    let message = fail(&[&["train", &photos, "--from", &model][..], &more].concat(), 2);
    assert!(message.contains("train a new head with --backbone"), "{message}");
    // A run is resumed with its encoder.
    fs::copy(world.path("away.onnx"), &onnx).unwrap();
    let resumed = tercet(&["train", "--resume", &run, "--steps", "8", "--json", "--quiet"]);
    let mut resumed = resumed;
    let output = resumed.env("TERCET_CACHE", &cache).output().unwrap();
    assert_eq!(trained(output)["steps"], 8);
}

#[test]
fn an_encoder_takes_the_place_of_a_model() {
    let world = World::get();
    let (onnx, photos) = (encoder(world, "plain.onnx"), world.text("photos"));
    let [own, direct] = ["own.safetensors", "direct.safetensors"].map(|name| world.text(name));
    succeed(&["embed", &onnx, &photos, "--out", &own]);
    succeed(&["embed", "--onnx", &onnx, "--normalize", &photos, "--out", &direct]);
    assert!(apart(&vectors(&own), &vectors(&direct)) < 1e-6);
    let by_encoder = json(&["eval", &onnx, &photos, "--json"]);
    let by_vectors = json(&["eval", &direct, "--json"]);
    assert_eq!(by_encoder["map_at_r"], by_vectors["map_at_r"]);
    let gallery = world.text("plain-gallery");
    succeed(&["gallery", "create", &gallery, &photos, "--model", &onnx]);
    fs::remove_file(&onnx).unwrap();
    let picture = world.text("photos/class 1/2.png");
    let found = json(&["gallery", "search", &gallery, &picture, "-k", "1", "--json"]);
    assert_eq!(found["queries"][0]["hits"][0]["id"], "class 1/2.png", "{found}");
}

#[test]
fn wrong_backbones_are_refused() {
    let world = World::get();
    let (onnx, photos) = (encoder(world, "refused.onnx"), world.text("photos"));
    let text = world.text("text.onnx");
    fs::write(&text, "not a network").unwrap();
    for (arguments, status, words) in [
        (vec![&*photos, "--backbone", &text], 1, vec!["text.onnx", "it is not ONNX"]),
        (vec![&photos, "--backbone", "none.onnx"], 1, vec!["none.onnx"]),
        (
            vec![&photos, "--backbone", &onnx, "--encoder", "resnet18"],
            2,
            vec!["resnet18", "linear-head or mlp-head"],
        ),
        (vec![&photos, "--backbone", &onnx, "--pretrained", "w.pth"], 2, vec!["--pretrained"]),
        (
            vec![&photos, "--backbone", &onnx, "--size", "32"],
            1,
            vec!["refused.onnx", "size is 32", "×16×16"],
        ),
        (vec![&photos, "--backbone-std", "1"], 2, vec!["--backbone"]),
        (vec!["features:none.npy", "--backbone", &onnx], 1, vec!["none.npy"]),
    ] {
        let message = fail(&[&["train"], &arguments[..], &["--steps", "1"]].concat(), status);
        for word in words {
            assert!(message.contains(word), "{arguments:?}: {word}: {message}");
        }
    }
}
