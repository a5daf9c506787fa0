//! Sentences on the command line, with the small encoder of `tercet-onnx/tests/sentences`.

#![allow(clippy::unwrap_used)] // tests may panic

mod common;

use std::fs;
use std::path::{Path, PathBuf};

use common::{fail, json, run, stderr, succeed};
use safetensors::SafeTensors;

/// A folder as sentence-transformers writes it.
fn encoder() -> String {
    let folder =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../tercet-onnx/tests/sentences/encoder");
    folder.to_str().unwrap().to_owned()
}

/// Eight classes of six sentences, whose words tell the class.
fn sentences(folder: &Path) -> PathBuf {
    let classes = [
        ("travel", ["fly", "flight", "plane", "ticket"]),
        ("hotel", ["hotel", "room", "night", "city"]),
        ("weather", ["weather", "rain", "sun", "snow"]),
        ("temperature", ["cold", "warm", "today", "tomorrow"]),
        ("music", ["play", "song", "music", "loud"]),
        ("artist", ["stop", "next", "artist", "album"]),
        ("money", ["pay", "bill", "money", "bank"]),
        ("food", ["cook", "eat", "food", "recipe"]),
    ];
    let fillers =
        ["please {}", "can you {} for i", "is it {}", "{} to the", "my {}", "what will {}"];
    let mut table = "text,label\n".to_owned();
    for (class, words) in classes {
        for (place, filler) in fillers.iter().enumerate() {
            let pair = [words[place % 4], words[(place + 1 + place / 4) % 4]].join(" ");
            table += &format!("{},{class}\n", filler.replace("{}", &pair));
        }
    }
    let path = folder.join("sentences.csv");
    fs::write(&path, table).unwrap();
    path
}

/// The vectors of a file of embeddings, and how many numbers each has.
fn vectors(path: &Path) -> (Vec<f32>, usize) {
    let bytes = fs::read(path).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let tensor = file.tensor("embeddings").unwrap();
    let numbers = tensor.data().chunks_exact(4);
    let numbers = numbers.map(|bytes| f32::from_le_bytes(bytes.try_into().unwrap())).collect();
    (numbers, tensor.shape()[1])
}

#[test]
fn data_info_tells_lengths_and_what_is_wrong() {
    let folder = tempfile::tempdir().unwrap();
    let path = sentences(folder.path()).to_str().unwrap().to_owned();
    let survey = json(&["data", "info", &path, "--json"]);
    assert_eq!(survey["source"], format!("texts:{path}"));
    assert_eq!((&survey["classes"], &survey["items"]), (&8.into(), &48.into()));
    assert_eq!(survey["characters"]["min"], 12, "{survey}");
    assert_eq!(survey["width"], serde_json::Value::Null);

    let file = folder.path().join("bad.csv");
    let bad = file.to_str().unwrap().to_owned();
    fs::write(&file, "sentence,label\nx,y\n").unwrap();
    let message = fail(&["data", "info", &format!("texts:{bad}")], 1);
    assert!(
        message.contains("bad.csv:1: there is no column `text`, but `sentence,label`"),
        "{message}"
    );
    fs::write(&file, b"text,label\nna\xefve,y\n").unwrap();
    let message = fail(&["data", "info", &bad], 1);
    for part in ["line 2", "byte 3 is 0xEF", "iconv -f LATIN1 -t UTF-8 IN > OUT"] {
        assert!(message.contains(part), "{part}: {message}");
    }
}

#[test]
fn sentences_are_embedded_by_an_onnx_encoder() {
    let folder = tempfile::tempdir().unwrap();
    let golden = include_str!("../../tercet-onnx/tests/sentences/golden.json");
    let golden: serde_json::Value = serde_json::from_str(golden).unwrap();
    let golden = golden.as_array().unwrap();
    let lines: String = golden
        .iter()
        .map(|each| format!("{{\"text\": {}, \"label\": 1}}\n", each["text"]))
        .collect();
    let [source, out] = ["texts.jsonl", "out.safetensors"].map(|name| folder.path().join(name));
    fs::write(&source, &lines).unwrap();
    let [source_text, out_text] = [&source, &out].map(|path| path.to_str().unwrap());
    let arguments = ["embed", "--onnx", &encoder(), source_text, "--out", out_text];
    let told = json(&[&arguments[..], &["--json", "--quiet"]].concat());
    assert_eq!((&told["items"], &told["dimensions"]), (&golden.len().into(), &12.into()));
    assert_eq!(told["normalized"], true);
    let (got, width) = vectors(&out);
    for (row, each) in got.chunks_exact(width).zip(golden) {
        for (got, expected) in row.iter().zip(each["mean"].as_array().unwrap()) {
            assert!((f64::from(*got) - expected.as_f64().unwrap()).abs() < 1e-6, "{each}");
        }
    }

    // A bad row is an error with its line, unless such rows are to be left out.
    fs::write(&source, lines + "{\"text\": \" \", \"label\": 1}\n").unwrap();
    let message = fail(&arguments, 1);
    assert!(message.contains("texts.jsonl:7: column `text`: it is empty"), "{message}");
    let output = run(&[&arguments[..], &["--skip-bad"]].concat());
    assert!(output.status.success());
    let told = stderr(&output);
    assert!(told.contains("left out") && told.contains("texts.jsonl:7"), "{told}");
    assert!(told.contains("reads at most 8 tokens of a text, pooled by mean"), "{told}");
    assert_eq!(vectors(&out).0.len(), 12 * golden.len());

    let cls = json(&[&arguments[..], &["--skip-bad", "--token-pooling", "cls", "--json"]].concat());
    assert_ne!(cls["fingerprint"], serde_json::Value::Null);
    let (got, _) = vectors(&out);
    let expected = golden[0]["cls"][0].as_f64().unwrap();
    assert!((f64::from(got[0]) - expected).abs() < 1e-6);
}

#[test]
fn sources_and_encoders_of_another_kind_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let texts = sentences(folder.path()).to_str().unwrap().to_owned();
    let out = folder.path().join("out.npy").to_str().unwrap().to_owned();
    let onnx = ["embed", "--out", &out, "--onnx"];
    let message = fail(&[&onnx[..], &[&encoder(), "glyphs"]].concat(), 1);
    assert!(message.contains("glyphs holds images: expected texts"), "{message}");
    let message = fail(&[&onnx[..], &[&encoder(), &texts, "--size", "32"]].concat(), 2);
    assert!(message.contains("size is given: expected none: the encoder takes texts"), "{message}");
    let message = fail(&["train", &texts, "--steps", "1"], 2);
    assert!(message.contains("the source holds texts"), "{message}");
    let empty = tempfile::tempdir().unwrap();
    let message = fail(&[&onnx[..], &[empty.path().to_str().unwrap(), &texts]].concat(), 1);
    assert!(message.contains("it holds no graph: expected onnx/model.onnx"), "{message}");
}

#[test]
fn a_head_on_an_encoder_of_sentences_is_used_like_any_model() {
    let folder = tempfile::tempdir().unwrap();
    let texts = sentences(folder.path()).to_str().unwrap().to_owned();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (run, model) = (path("run"), path("run/model.safetensors"));
    let settings = ["--batch", "4x3", "--steps", "60", "--holdout", "0.5", "--json", "--quiet"];
    let named = ["train", &texts, "--backbone", &encoder(), "--run", &run];
    let mut command = common::tercet(&[&named[..], &settings].concat());
    let output = command.env("TERCET_CACHE", folder.path().join("cache")).output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    let trained: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let before = trained["before"]["features"]["map_at_r"].as_f64().unwrap();
    assert!(before > 0.1 && trained["after"]["map_at_r"].as_f64().unwrap() > 0.1, "{trained}");

    let evaluated = json(&["eval", &model, &texts, "--json"]);
    assert_eq!(evaluated["map_at_r"], trained["after"]["map_at_r"]);
    let compared = json(&["compare", &model, "will it rain", "play a song", "--json"]);
    assert!(compared["pairs"][0]["distance"].as_f64().unwrap() > 0.0, "{compared}");
    let grouped = json(&["cluster", &model, &texts, "--clusters", "8", "--json"]);
    assert_eq!(grouped["groups"], 8);

    // A gallery shows the sentences that it finds.
    let gallery = path("gallery");
    succeed(&["gallery", "create", &gallery, &texts, "--model", &model]);
    let arguments = ["gallery", "search", &gallery, "--text", "please fly flight", "-k", "2"];
    let found = json(&[&arguments[..], &["--json"]].concat());
    let hit = &found["queries"][0]["hits"][0];
    assert_eq!(hit["attributes"]["text"], "please fly flight", "{found}");
    let shown = succeed(&arguments);
    assert!(shown.contains(hit["attributes"]["text"].as_str().unwrap()), "{shown}");

    // The exported graph pools and embeds by itself; its tokeniser lies beside it.
    let joined = path("joined/model.onnx");
    fs::create_dir(folder.path().join("joined")).unwrap();
    let exported = json(&["export", &model, "--onnx", &joined, "--json"]);
    assert_eq!(exported["input"]["name"], "input_ids");
    assert!(folder.path().join("joined/tokenizer.json").exists());
    let [ours, theirs] = ["ours.safetensors", "theirs.safetensors"].map(path);
    succeed(&["embed", &model, &texts, "--out", &ours]);
    let as_graph = ["embed", "--onnx", &joined, "--max-tokens", "8", &texts, "--out", &theirs];
    succeed(&as_graph);
    let ((ours, width), (theirs, other)) = (vectors(Path::new(&ours)), vectors(Path::new(&theirs)));
    assert_eq!(width, other);
    let apart = ours.iter().zip(&theirs).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!(apart < 1e-5, "{apart}");
    // Another tokeniser beside it is not overwritten.
    fs::write(folder.path().join("joined/tokenizer.json"), "{}").unwrap();
    let message = fail(&["export", &model, "--onnx", &joined], 1);
    assert!(message.contains("is the tokeniser of another model"), "{message}");
}
