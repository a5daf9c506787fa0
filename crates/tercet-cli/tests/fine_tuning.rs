//! Training that starts from other weights.

#![allow(clippy::unwrap_used)] // tests may panic

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use common::{fail, pictures, run, stderr, succeed};
use safetensors::SafeTensors;

/// A narrow ResNet-18 of torchvision, which `make.py` beside it wrote.
fn weights(name: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tercet-train/tests/pretrained");
    folder.join(name).display().to_string()
}

fn tensors(path: &Path) -> BTreeMap<String, Vec<u8>> {
    let bytes = fs::read(path).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    file.tensors().into_iter().map(|(name, view)| (name, view.data().to_vec())).collect()
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        match entry.file_type().unwrap().is_dir() {
            true => copy(&entry.path(), &target),
            false => drop(fs::copy(entry.path(), target).unwrap()),
        }
    }
}

/// Weights and statistics of the body that are no longer those it started from; stem and layer1 must
/// be.
fn learnt(model: &Path) -> usize {
    let before = tensors(&PathBuf::from(weights("resnet18.safetensors")));
    let mut learnt = 0;
    for (name, bytes) in &tensors(model) {
        let frozen = ["conv1.", "bn1.", "layer1."].iter().any(|stage| name.starts_with(stage));
        match before.get(name) {
            Some(old) if frozen => assert!(old == bytes, "{name} changed"),
            Some(old) => learnt += usize::from(old != bytes),
            None => assert!(name.starts_with("head."), "{name}"),
        }
    }
    learnt
}

#[test]
fn frozen_stages_stay_to_the_bit_and_the_rest_learns() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    pictures(&at("data"));
    let (data, whole) = (at("data").display().to_string(), at("whole").display().to_string());
    let pretrained = weights("resnet18.pth");
    let arguments = [
        "train",
        &data,
        "--run",
        &whole,
        "--encoder",
        "resnet18",
        "--width",
        "4",
        "--hidden",
        "8",
        "--embedding-dim",
        "8",
        "--size",
        "32",
        "--batch",
        "3x2",
        "--steps",
        "6",
        "--holdout",
        "0.25",
        "--checkpoint-every",
        "2",
        "--pretrained",
        &pretrained,
        "--freeze",
        "2",
        "--backbone-learning-rate",
        "1e-4",
    ];
    let output = run(&arguments);
    let text = stderr(&output);
    assert!(output.status.success(), "{text}");
    assert!(text.contains("100 tensors start the body, the head starts afresh"), "{text}");
    assert!(text.contains("not used: fc.bias, fc.weight"), "{text}");

    assert_eq!(learnt(&at("whole/model.safetensors")), 75, "of layer2 to layer4");
    let card = fs::read(at("whole/model.safetensors")).unwrap();
    let (_, header) = SafeTensors::read_metadata(&card).unwrap();
    let card = &header.metadata().as_ref().unwrap()["tercet"];
    assert!(card.contains("0.485") && card.contains("0.225"), "{card}");

    // As if killed after the fourth step.
    copy(&at("whole"), &at("broken"));
    fs::remove_dir_all(at("broken/checkpoints/step-00000006")).unwrap();
    fs::remove_file(at("broken/model.safetensors")).unwrap();
    succeed(&["train", "--resume", &at("broken").display().to_string(), "--quiet"]);
    assert!(
        fs::read(at("whole/model.safetensors")).unwrap()
            == fs::read(at("broken/model.safetensors")).unwrap(),
        "a resumed run ends in other bytes"
    );

    // Nor does a gradient that comes in chunks reach them.
    let chunked = at("chunked").display().to_string();
    let arguments = arguments.map(|word| if word == whole { chunked.as_str() } else { word });
    succeed(&[&arguments[..], &["--chunk", "2", "--quiet"]].concat());
    assert_eq!(learnt(&at("chunked/model.safetensors")), 75, "of layer2 to layer4");
}

#[test]
fn settings_that_do_not_fit_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run").display().to_string();
    let pretrained = weights("resnet18.pth");
    let refused = |more: &[&str], status| {
        fail(&[&["train", "--run", &run, "--steps", "1", "--size", "32"], more].concat(), status)
    };
    let text = refused(&["--pretrained", &pretrained], 2);
    assert!(text.contains("nothing but with an encoder resnet18"), "{text}");
    let resnet = ["--encoder", "resnet18", "--pretrained", &pretrained];
    let text = refused(&[&resnet[..], &["--channels", "1"]].concat(), 2);
    assert!(text.contains("of colour images"), "{text}");
    let text = refused(&[&resnet[..], &["--channels", "3"]].concat(), 1);
    assert!(
        text.contains("does not fit resnet18: shapes differ: `bn1.bias` is 4, not 64"),
        "{text}"
    );
    let text = refused(&["--encoder", "resnet18", "--freeze", "layer9"], 2);
    assert!(text.contains("stages among stem, layer1"), "{text}");
    let text = refused(&["--freeze", "1"], 2);
    assert!(text.contains("small-cnn has no stages"), "{text}");
    let text = refused(&["--backbone-learning-rate", "1e-4"], 2);
    assert!(text.contains("small-cnn has no stages"), "{text}");
    let text = refused(&["--encoder", "resnet18", "--backbone-learning-rate", "0"], 2);
    assert!(text.contains("--freeze keeps weights"), "{text}");
    assert!(!folder.path().join("run").exists());
}
