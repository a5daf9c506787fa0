//! Tests with the small encoder of `tests/sentences`, whose embeddings onnxruntime computed.

use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use ndarray::Array2;
use prost::Message;
use tercet_train::Views;
use tercet_train::data::{Examples, Input, PrepareOptions, Source, TokenPooling};
use tract_onnx::pb::ModelProto;

use crate::{OnnxEncoder, OnnxOptions};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/sentences/encoder")
}

/// A copy of the encoder, to be damaged.
fn copy() -> tempfile::TempDir {
    let copy = tempfile::tempdir().unwrap();
    fs::create_dir(copy.path().join("1_Pooling")).unwrap();
    for name in ["model.onnx", "tokenizer.json", "modules.json", "sentence_bert_config.json"] {
        fs::copy(folder().join(name), copy.path().join(name)).unwrap();
    }
    let pooling = "1_Pooling/config.json";
    fs::copy(folder().join(pooling), copy.path().join(pooling)).unwrap();
    copy
}

/// Changes the graph of a copy.
fn change(copy: &Path, change: impl FnOnce(&mut ModelProto)) {
    let path = copy.join("model.onnx");
    let mut proto = ModelProto::decode(&*fs::read(&path).unwrap()).unwrap();
    change(&mut proto);
    fs::write(path, proto.encode_to_vec()).unwrap();
}

/// The sentences and their embeddings by onnxruntime, one sentence at a time.
fn golden(pooling: &str) -> (Vec<String>, Array2<f32>) {
    let text = include_str!("../../tests/sentences/golden.json");
    let all: serde_json::Value = serde_json::from_str(text).unwrap();
    let all = all.as_array().unwrap();
    let row = |each: &serde_json::Value| -> Vec<f32> {
        let numbers = each[pooling].as_array().unwrap();
        numbers.iter().map(|number| number.as_f64().unwrap() as f32).collect()
    };
    let rows: Vec<Vec<f32>> = all.iter().map(row).collect();
    let shape = (rows.len(), rows[0].len());
    let texts = all.iter().map(|each| each["text"].as_str().unwrap().to_owned()).collect();
    (texts, Array2::from_shape_vec(shape, rows.concat()).unwrap())
}

fn apart(one: &Array2<f32>, other: &Array2<f32>) -> f32 {
    assert_eq!(one.dim(), other.dim());
    (one - other).iter().fold(0.0, |most, x| most.max(x.abs()))
}

fn load(path: &Path) -> Result<OnnxEncoder, String> {
    OnnxEncoder::load(path, &OnnxOptions::default()).map_err(|error| error.to_string())
}

#[test]
fn embeddings_agree_with_onnxruntime() {
    let (texts, expected) = golden("mean");
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let encoder = load(&folder()).unwrap();
    assert!(encoder.is_normalized());
    let Input::Texts(input) = encoder.input() else { panic!("{:?}", encoder.input()) };
    assert_eq!((input.max_tokens, input.pooling), (8, TokenPooling::Mean));
    assert!(apart(&encoder.embed_texts(&texts).unwrap(), &expected) < 1e-6);

    // A graph for one text at a time, named by its file.
    let one = load(&folder().join("one.onnx")).unwrap();
    assert!(apart(&one.embed_texts(&texts).unwrap(), &expected) < 1e-6);
    assert_ne!(one.fingerprint, encoder.fingerprint);

    let (_, expected) = golden("cls");
    let options = OnnxOptions { pooling: Some(TokenPooling::Cls), ..OnnxOptions::default() };
    let cls = OnnxEncoder::load(&folder(), &options).unwrap();
    assert!(apart(&cls.embed_texts(&texts).unwrap(), &expected) < 1e-6);
    assert_ne!(cls.fingerprint, encoder.fingerprint);
}

#[test]
fn a_source_is_embedded_in_its_order_whatever_the_batches() {
    let (texts, rows) = golden("mean");
    let file = tempfile::Builder::new().suffix(".jsonl").tempfile().unwrap();
    // More texts than are tokenised at once.
    let order: Vec<usize> = (0..1500).map(|place| place * 7 % texts.len()).collect();
    let line =
        |&text: &usize| serde_json::json!({"text": texts[text], "label": text}).to_string() + "\n";
    fs::write(file.path(), order.iter().map(line).collect::<String>()).unwrap();
    let encoder = load(&folder()).unwrap();
    let source: Source = format!("texts:{}", file.path().display()).parse().unwrap();
    let options = PrepareOptions::default();
    let (examples, _) =
        Examples::prepare(source.catalogue().unwrap(), encoder.input(), &options, &|_, _| {})
            .unwrap();
    let items: Vec<u32> = (0..order.len() as u32).rev().collect();
    let go_on = |_: usize| ControlFlow::Continue(());
    let embedded = encoder.embed(&examples, &items, Views::Single, &go_on).unwrap();
    let reversed: Vec<usize> = order.iter().rev().copied().collect();
    let expected = rows.select(ndarray::Axis(0), &reversed);
    assert!(apart(&embedded, &expected) < 1e-6);
    let stopped = encoder.embed(&examples, &items, Views::Single, &|_| ControlFlow::Break(()));
    assert!(stopped.unwrap_err().to_string().contains("interrupted"));
}

#[test]
fn wrong_files_are_refused_with_what_was_found() {
    let damaged = copy();
    fs::remove_file(damaged.path().join("tokenizer.json")).unwrap();
    let message = load(damaged.path()).unwrap_err();
    assert!(message.contains("it reads tokens, and its tokeniser"), "{message}");

    // The tokeniser of another model, with more words than the graph has embeddings.
    let damaged = copy();
    change(damaged.path(), |proto| {
        let graph = proto.graph.as_mut().unwrap();
        let matrix = &mut graph.initializer[0];
        matrix.dims[0] = 40;
        matrix.raw_data.truncate(40 * 12 * 4);
    });
    let message = load(damaged.path()).unwrap_err();
    assert!(message.contains("ids up to 6") && message.contains("less than 40"), "{message}");
    assert!(message.contains("`embeddings.word_embeddings.weight`"), "{message}");
    assert!(message.contains("tokeniser of another model"), "{message}");

    let damaged = copy();
    change(damaged.path(), |proto| {
        let graph = proto.graph.as_mut().unwrap();
        graph.input.retain(|input| input.name != "attention_mask");
    });
    let message = load(damaged.path()).unwrap_err();
    assert!(
        message.contains("the inputs input_ids, token_type_ids, no attention_mask"),
        "{message}"
    );

    for (name, content, part) in [
        ("tokenizer.json", "{}", "its tokenizer.json cannot be used"),
        ("modules.json", "[", "its modules.json: "),
        ("modules.json", r#"[{"type": "a.Dense"}]"#, "has a module Dense: expected Transformer"),
        ("1_Pooling/config.json", r#"{"pooling_mode_max_tokens": true}"#, "pools by max"),
        (
            "config_sentence_transformers.json",
            r#"{"default_prompt_name": "query"}"#,
            "puts the prompt `query` before each text",
        ),
    ] {
        let damaged = copy();
        fs::write(damaged.path().join(name), content).unwrap();
        let message = load(damaged.path()).unwrap_err();
        assert!(message.contains(part), "{part}: {message}");
    }

    let empty = tempfile::tempdir().unwrap();
    let message = load(empty.path()).unwrap_err();
    assert!(message.contains("expected onnx/model.onnx or model.onnx"), "{message}");
    let options = OnnxOptions { mean: Some(vec![0.5]), ..OnnxOptions::default() };
    let message = OnnxEncoder::load(&folder(), &options).unwrap_err().to_string();
    assert!(message.contains("mean is given: expected none: the encoder takes texts"), "{message}");
}

#[test]
fn what_the_files_do_not_say_has_a_default() {
    let bare = copy();
    for name in ["modules.json", "sentence_bert_config.json", "1_Pooling/config.json"] {
        fs::remove_file(bare.path().join(name)).unwrap();
    }
    let encoder = load(bare.path()).unwrap();
    let Input::Texts(input) = encoder.input() else { panic!("{:?}", encoder.input()) };
    assert_eq!((input.max_tokens, input.pooling), (512, TokenPooling::Mean));
    assert!(!encoder.is_normalized());
    let config = |name: &str, content: &str| fs::write(bare.path().join(name), content).unwrap();
    config("tokenizer_config.json", r#"{"model_max_length": 100}"#);
    config("config.json", r#"{"max_position_embeddings": 64}"#);
    config("1_Pooling/config.json", r#"{"pooling_mode": "cls"}"#);
    let encoder = load(bare.path()).unwrap();
    let Input::Texts(input) = encoder.input() else { panic!("{:?}", encoder.input()) };
    assert_eq!((input.max_tokens, input.pooling), (64, TokenPooling::Cls));
}
