//! Sentences on the command line, with the small encoder of `tercet-onnx/tests/sentences`.

#![allow(clippy::unwrap_used)] // tests may panic

mod common;

use std::fs;
use std::path::{Path, PathBuf};

use common::{fail, json, run, stderr};
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
    assert_eq!(survey["characters"]["min"], 11, "{survey}");
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
