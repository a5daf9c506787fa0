//! Training that starts from other weights.

#![allow(clippy::unwrap_used)] // tests may panic

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use common::{fail, json, pictures, run, stderr, succeed};
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
        "--keep",
        "last",
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

/// What a model file says of itself.
fn card(model: &str) -> serde_json::Value {
    let bytes = fs::read(model).unwrap();
    let (_, header) = SafeTensors::read_metadata(&bytes).unwrap();
    serde_json::from_str(&header.metadata().as_ref().unwrap()["tercet"]).unwrap()
}

#[test]
fn a_model_is_continued_with_its_weights_and_preprocessing() {
    let folder = tempfile::tempdir().unwrap();
    let text = |name: &str| folder.path().join(name).display().to_string();
    pictures(Path::new(&text("data")));
    let (data, first) = (text("data"), text("first"));
    let own = "--steps 30 --size 24x16 --channels 1 --fit pad --width 4 --embedding-dim 8 --depth 2 \
               --objective facenet --seed 3 --holdout 0.25 --batch 3x2 --quiet --json";
    let own: Vec<&str> = own.split_whitespace().collect();
    let trained = json(&[&["train", &data, "--run", &first], &own[..]].concat());
    let model = format!("{first}/model.safetensors");

    let second = text("second");
    let more = ["--steps", "1", "--learning-rate", "1e-12", "--batch", "3x2", "--json"];
    let arguments = [&["train", &data, "--from", &model, "--run", &second], &more[..]].concat();
    let output = run(&arguments);
    assert!(output.status.success(), "{}", stderr(&output));
    let continued: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    // Before its first step it is the model that it continues, on the same held-out classes.
    assert_eq!(continued["before"]["untrained"]["map_at_r"], trained["after"]["map_at_r"]);
    assert_eq!(continued["objective"], "facenet");
    assert!(!stderr(&output).contains("too good"), "{}", stderr(&output));
    assert!(stderr(&output).contains("start "), "{}", stderr(&output));
    let (old, new) = (card(&model), card(&format!("{second}/model.safetensors")));
    for key in ["encoder", "preprocessing", "distance", "normalized"] {
        assert_eq!(old[key], new[key], "{key}");
    }
    assert_eq!(old["provenance"]["held_out"], new["provenance"]["held_out"]);

    // Resumed it starts from the same file, or says that it changed.
    succeed(&["train", "--resume", &second, "--steps", "3", "--quiet"]);
    let bytes = fs::read(&model).unwrap();
    fs::copy(format!("{second}/model.safetensors"), &model).unwrap();
    let error = fail(&["train", "--resume", &second], 1);
    assert!(error.contains("changed since this run started from it"), "{error}");
    fs::write(&model, bytes).unwrap();

    // Other held-out classes were trained on.
    let third = text("third");
    let other = ["--seed", "4", "--holdout", "0.25"];
    let output =
        run(&[&["train", &data, "--from", &model, "--run", &third], &more[..], &other].concat());
    assert!(stderr(&output).contains("held-out classes were trained on"), "{}", stderr(&output));

    // What contradicts the file is named with what the file says.
    let refused = |more: &[&str], words: &[&str]| {
        let run = text("refused");
        let error = fail(&[&["train", &data, "--from", &model, "--run", &run], more].concat(), 2);
        for word in words {
            assert!(error.contains(word), "{more:?} does not say `{word}`: {error}");
        }
    };
    refused(&["--width", "8"], &["width is 8", "expected 4", "leave --width out"]);
    refused(&["--encoder", "lunet"], &["encoder is lunet", "small-cnn"]);
    refused(&["--size", "32"], &["size is 32", "24x16"]);
    refused(&["--channels", "3"], &["channels is 3", "expected 1"]);
    refused(&["--fit", "crop"], &["fit is crop", "pad"]);
    refused(&["--hidden", "8"], &["hidden is 8", "nothing"]);
    refused(&["--pretrained", "x.pth"], &["--from", "--pretrained"]);
    // The same values are no contradiction.
    let same = text("same");
    succeed(
        &[
            &["train", &data, "--from", &model, "--run", &same, "--width", "4", "--quiet"],
            &more[..],
        ]
        .concat(),
    );

    let error = fail(&["train", "--from", &model], 2);
    let advice = "tercet train SOURCE --from";
    let command = error.rfind(advice).map(|at| error[at..].trim()).unwrap();
    let command = command.replacen("SOURCE", &data, 1);
    let words = command.split(' ').skip(1).chain(["--dry-run", "--steps", "1", "--batch", "3x2"]);
    succeed(&words.collect::<Vec<_>>());
    let error = fail(&["train", &data, "--from", &data], 1);
    assert!(error.contains("cannot read the model"), "{error}");
    let no_model = weights("resnet18.safetensors");
    let error = fail(&["train", &data, "--from", &no_model], 1);
    assert!(error.contains("is not a model file"), "{error}");
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
