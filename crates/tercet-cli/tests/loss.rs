//! `tercet loss` as a person calls it.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use npyz::WriterBuilder;
use serde_json::Value;

struct Bench {
    folder: tempfile::TempDir,
}

impl Bench {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn text(&self, name: &str, content: &str) -> &Self {
        fs::write(self.path(name), content).unwrap();
        self
    }

    fn npy<T: npyz::AutoSerialize + Copy>(&self, name: &str, shape: &[u64], values: &[T]) -> &Self {
        let mut bytes = Vec::new();
        let mut writer = npyz::WriteOptions::new()
            .default_dtype()
            .shape(shape)
            .writer(&mut bytes)
            .begin_nd()
            .unwrap();
        writer.extend(values.iter().copied()).unwrap();
        writer.finish().unwrap();
        fs::write(self.path(name), bytes).unwrap();
        self
    }

    /// Two classes on a line: 0 and 1, 3 and 4.
    fn line(&self) -> &Self {
        self.npy("e.npy", &[4, 1], &[0.0_f32, 1.0, 3.0, 4.0]).text("l.txt", "ann\nann\nbob\nbob\n")
    }

    fn run(&self, arguments: &str) -> Output {
        Command::new(env!("CARGO_BIN_EXE_tercet"))
            .arg("loss")
            .args(arguments.split_whitespace())
            .current_dir(self.folder.path())
            .output()
            .unwrap()
    }

    fn json(&self, arguments: &str) -> Value {
        let output = self.run(&format!("{arguments} --json"));
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments}: {errors}");
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// Exit status and stderr of a call that must fail without a panic.
    fn fails(&self, arguments: &str) -> (Option<i32>, String) {
        let output = self.run(arguments);
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && output.stdout.is_empty(), "{arguments}");
        assert!(!errors.contains("panicked"), "{errors}");
        (output.status.code(), errors)
    }
}

fn read_npy(path: &Path) -> (Vec<u64>, Vec<f32>) {
    let bytes = fs::read(path).unwrap();
    let file = npyz::NpyFile::new(&bytes[..]).unwrap();
    (file.shape().to_vec(), file.into_vec().unwrap())
}

#[test]
fn the_document_holds_the_keys_of_the_contract() {
    let bench = Bench::new();
    let got = bench.line().json("e.npy --labels l.txt --preset batch-all --margin 2.5");
    // Per anchor: d_ap = 1 against 3 and 4, or 2 and 3: excess .5, 0 and 1.5, .5.
    assert!((got["value"].as_f64().unwrap() - 5.0 / 8.0).abs() < 1e-6, "{got}");
    for (key, expected) in [
        ("triplets", 8),
        ("selected", 8),
        ("active", 6),
        ("violated", 0),
        ("anchors", 4),
        ("anchors_without_positive", 0),
        ("anchors_without_negative", 0),
    ] {
        assert_eq!(got[key], expected, "{key}");
    }
    assert_eq!(got["mean_positive_distance"], 1.0);
    assert_eq!(got["mean_negative_distance"], 3.0);
    for (key, p0, p50, p100) in [("embedding_norm", 0.0, 2.0, 4.0), ("distance", 1.0, 2.5, 4.0)] {
        assert_eq!(got[key]["p0"], p0, "{key}");
        assert_eq!(got[key]["p50"], p50, "{key}");
        assert_eq!(got[key]["p100"], p100, "{key}");
        assert!(got[key]["p5"].is_number() && got[key]["p95"].is_number());
    }
    assert!(got["seconds"].as_f64().unwrap() >= 0.0);
}

#[test]
fn the_gradient_is_written() {
    let bench = Bench::new();
    bench.line().json(
        "e.npy --labels l.txt --selection hard --penalty hinge --margin 1.5 --reduction sum --gradient g.npy",
    );
    let (shape, gradient) = read_npy(&bench.path("g.npy"));
    assert_eq!(shape, [4, 1]);
    // Active: 1 with positive 0 and negative 3, and 3 with positive 4 and negative 1.
    assert_eq!(gradient, [-1.0, 3.0, -3.0, 1.0]);
}

#[test]
fn labels_may_lie_inside_and_numbers_may_be_f64() {
    let bench = Bench::new();
    let bytes: Vec<u8> = [0.0_f32, 1.0, 3.0, 4.0].iter().flat_map(|x| x.to_le_bytes()).collect();
    let view = safetensors::tensor::TensorView::new(safetensors::Dtype::F32, vec![4, 1], &bytes);
    let metadata = [("labels".to_owned(), r#"["ann","ann","bob","bob"]"#.to_owned())];
    let file =
        safetensors::serialize([("embeddings", view.unwrap())], Some(metadata.into())).unwrap();
    fs::write(bench.path("e.safetensors"), file).unwrap();
    let inside = bench.json("e.safetensors");
    bench.npy("e.npy", &[4, 1], &[0.0_f64, 1.0, 3.0, 4.0]).npy("l.npy", &[4], &[7_i64, 7, -1, -1]);
    let beside = bench.json("e.npy --labels l.npy");
    assert_eq!(inside["value"], beside["value"]);
    assert_eq!(inside["selected"], 4);
}

#[test]
fn every_selection_penalty_reduction_and_preset_has_its_name() {
    let bench = Bench::new();
    let values: Vec<f32> = (0..48).map(|i| ((i * 37) % 23) as f32 - 11.0).collect();
    bench.npy("e.npy", &[16, 3], &values).npy("l.npy", &[16], &[0, 1, 2, 3].repeat(4));
    for selection in [
        "all",
        "hard",
        "semi-hard",
        "semi-hard-all",
        "semi-hard-fallback",
        "violating-random",
        "easy-positive",
        "easy-positive-semi-hard",
        "distance-weighted",
        "n-hard",
        "random",
        "n-hard:positives=0..2,negatives=1..4",
        "random:triplets=5",
        "distance-weighted:cutoff=0.7",
    ] {
        let got = bench.json(&format!(
            "e.npy --labels l.npy --normalize --selection {selection} --penalty squared-hinge --reduction mean-anchors --seed 3"
        ));
        assert!(got["selected"].as_u64().unwrap() > 0, "{selection}: {got}");
        assert!(got["objective"].as_str().unwrap().starts_with(selection), "{got}");
    }
    for preset in ["facenet", "batch-hard", "batch-all", "batch-all-nonzero", "lifted"] {
        let got = bench.json(&format!("e.npy --labels l.npy --preset {preset} --threads 1"));
        assert_eq!(got["triplets"], 16 * 3 * 12, "{preset}");
    }
    let draw = |seed: u64| {
        bench.json(&format!("e.npy --labels l.npy --selection random --seed {seed}"))["value"]
            .clone()
    };
    assert_eq!(draw(1), draw(1));
    assert_ne!(draw(1), draw(2));
}

#[test]
fn a_person_reads_a_table() {
    let bench = Bench::new();
    let output = bench.line().run("e.npy --labels l.txt --preset lifted");
    let text = String::from_utf8(output.stdout).unwrap();
    for part in ["4 items of 2 classes", "lifted: euclidean distance", "value ", "median", "kernel"]
    {
        assert!(text.contains(part), "{part} is missing in:\n{text}");
    }
}

#[test]
fn losses_without_triplets_are_explained() {
    let bench = Bench::new();
    bench.line().text("one.txt", "a\na\na\na\n");
    for (arguments, warning) in [
        ("--labels l.txt --selection semi-hard", "empty at margin 0"),
        (
            "--labels l.txt --selection semi-hard-all --penalty hinge --margin 0",
            "empty at margin 0",
        ),
        ("--labels one.txt", "4 meet no other class"),
        ("--labels l.txt --selection semi-hard --margin 0.5", "takes none of them"),
    ] {
        let output = bench.run(&format!("e.npy {arguments}"));
        let errors = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success() && errors.contains(warning), "{arguments}: {errors}");
        assert!(bench.run(&format!("e.npy {arguments} --quiet")).stderr.is_empty());
        assert_eq!(bench.json(&format!("e.npy {arguments}"))["value"], 0.0);
    }
    let nothing = Bench::new();
    nothing.npy::<f32>("e.npy", &[0, 3], &[]).text("l.txt", "");
    let got = nothing.json("e.npy --labels l.txt");
    assert!(got["distance"].is_null() && got["value"] == 0.0);
}

#[test]
fn wrong_input_is_named() {
    let bench = Bench::new();
    bench.line().text("short.txt", "a\nb\n");
    bench.npy("nan.npy", &[4, 1], &[0.0_f32, f32::NAN, 3.0, 4.0]);
    bench.npy("flat.npy", &[4], &[0.0_f32, 1.0, 3.0, 4.0]);
    for (arguments, status, expected) in [
        ("e.npy", 1, "e.npy has no labels: name a file with --labels"),
        ("e.npy --labels short.txt", 1, "short.txt has 2 labels: expected 4"),
        ("e.npy --labels none.txt", 1, "none.txt"),
        ("none.npy --labels l.txt", 1, "none.npy"),
        ("nan.npy --labels l.txt", 1, "nan.npy: row 1, column 0 holds NaN"),
        ("flat.npy --labels l.txt", 1, "flat.npy"),
        ("e.npy --labels l.txt --preset batch-hrad", 2, "batch-hard"),
        ("e.npy --labels l.txt --selection semihard", 2, "semi-hard"),
        ("e.npy --labels l.txt --selection n-hard:positives=3", 2, "FROM..TO"),
        ("e.npy --labels l.txt --penalty hing", 2, "squared-hinge"),
        ("e.npy --labels l.txt --reduction avg", 2, "mean-active"),
        ("e.npy --labels l.txt --distance l2", 2, "squared-euclidean"),
        ("e.npy --labels l.txt --preset facenet --selection all", 2, "cannot be used with"),
        ("e.npy --labels l.txt --selection distance-weighted", 1, "normalised vectors"),
        ("e.npy --labels l.txt --preset lifted --margin soft", 2, "lifted has no soft margin"),
        ("e.npy --labels l.txt --penalty hinge --margin soft", 2, "contradicts --penalty hinge"),
        ("e.npy --labels l.txt --gradient g.txt", 2, "ends in .npy"),
        ("e.npy --labels l.txt --gradient e.npy/g.npy", 1, "e.npy"),
    ] {
        let (got, errors) = bench.fails(arguments);
        assert!(got == Some(status) && errors.contains(expected), "{arguments}: {got:?} {errors}");
    }
}
