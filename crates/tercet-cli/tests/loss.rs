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

/// As a table of a column store: with labels beside the vectors.
#[test]
#[cfg(feature = "parquet")]
fn parquet_is_read() {
    let tables = concat!(env!("CARGO_MANIFEST_DIR"), "/../tercet-parquet/tests/files");
    let bench = Bench::new();
    let got = bench.json(&format!("{tables}/pyarrow-snappy.parquet --preset batch-all"));
    assert_eq!((&got["triplets"], &got["classes"]), (&12.into(), &3.into()));
    let (status, errors) = bench.fails(&format!("{tables}/null-embedding.parquet"));
    let expected = "null-embedding.parquet: row 2: its embedding is null";
    assert!(status == Some(1) && errors.contains(expected), "{errors}");
    bench.text("l.txt", "x\nx\ny\ny\ny\n");
    let beside = bench.json(&format!("{tables}/pyarrow-split-none.parquet --labels l.txt"));
    assert_eq!(beside["classes"], 2);
}

#[test]
fn given_triplets_take_the_place_of_a_selection() {
    let bench = Bench::new();
    bench.line().text("t.csv", "anchor,positive,negative\n0,1,2\n3,2,0\n0,1,2\n");
    let explicit = "--selection explicit --penalty hinge --margin 2.5 --reduction sum";
    let got = bench.json(&format!("e.npy {explicit} --triplets t.csv --gradient g.npy"));
    // Excess 1 + 2.5 − 3 twice, and 1 + 2.5 − 4.
    assert!((got["value"].as_f64().unwrap() - 1.0).abs() < 1e-6, "{got}");
    for (key, expected) in [("triplets", 3), ("selected", 3), ("active", 2), ("anchors", 2)] {
        assert_eq!(got[key], expected, "{key}");
    }
    assert!(got["classes"].is_null() && got["distance"]["p100"] == 4.0);
    assert_eq!(got["objective"], "explicit, hinge 2.5, sum");
    assert_eq!(read_npy(&bench.path("g.npy")).1, [0.0, 2.0, -2.0, 0.0]);
    bench.npy("t.npy", &[3, 3], &[0_i64, 1, 2, 3, 2, 0, 0, 1, 2]);
    bench.text("t.txt", "0 1 2\n3\t2\t0\r\n0; 1; 2\n").text("none.txt", "a,p,n\n");
    for triplets in ["t.npy", "t.txt"] {
        let same = bench.json(&format!("e.npy --labels l.txt {explicit} --triplets {triplets}"));
        assert_eq!((&same["value"], &same["classes"]), (&got["value"], &2.into()));
    }
    let output = bench.run(&format!("e.npy {explicit} --triplets none.txt"));
    assert!(String::from_utf8_lossy(&output.stderr).contains("the file of triplets is empty"));
    assert!(String::from_utf8_lossy(&output.stdout).contains("e.npy: 4 items, 1 dimension"));
}

#[test]
fn wrong_triplets_are_named() {
    let bench = Bench::new();
    bench.line().npy("t.npy", &[2, 3], &[0_i32, 1, 2, 0, -1, 2]).npy("flat.npy", &[3], &[0, 1, 2]);
    bench.npy("real.npy", &[1, 3], &[0.0_f32, 1.0, 2.0]);
    for (text, expected) in [
        ("0,1,2\n0,1,4\n", "line 2: 4 is no row of the 4, counted from 0"),
        ("0,1,2\n1,1,2\n", "line 2: [1, 1, 2] names one row twice"),
        ("a,p,n\n0,1\n", "line 2: expected three rows (anchor,positive,negative), got 2"),
        ("0,1,2\n\n0,1,2\n", "line 2: expected three rows (anchor,positive,negative), got 0"),
        ("0,1,two\n", "line 1: `two` is no row, expected a whole number"),
        ("0,1,2\n0,2,3\n", "line 2: [0, 2, 3] has the labels `ann`, `bob`, `bob`"),
    ] {
        bench.text("t.csv", text);
        let (status, errors) =
            bench.fails("e.npy --labels l.txt --selection explicit --triplets t.csv");
        assert!(status == Some(1) && errors.contains("t.csv"), "{errors}");
        assert!(errors.contains(expected), "{errors}");
    }
    for (arguments, status, expected) in [
        ("--selection explicit --triplets t.npy", 1, "t.npy: row 1: -1 is no row"),
        ("--selection explicit --triplets flat.npy", 1, "expected triplets × 3"),
        ("--selection explicit --triplets real.npy", 1, "expected integers"),
        ("--selection explicit --triplets gone.csv", 1, "gone.csv"),
        ("--selection explicit", 2, "name a file with --triplets"),
        ("--triplets t.npy", 2, "expected --selection explicit"),
        ("--preset facenet --triplets t.npy", 2, "cannot be used with"),
        ("--selection explcit", 2, "random, explicit"),
    ] {
        let (got, errors) = bench.fails(&format!("e.npy {arguments}"));
        assert!(got == Some(status) && errors.contains(expected), "{arguments}: {got:?} {errors}");
    }
}

/// Batches larger than those that are worked on as a whole.
#[test]
#[cfg(target_os = "linux")]
fn ctrl_c_stops_within_a_census() {
    let bench = Bench::new();
    let values: Vec<f32> = (0..10_000).map(|i| ((i * 37) % 1009) as f32).collect();
    bench.npy("e.npy", &[5000, 2], &values).npy("l.npy", &[5000], &[0, 1, 2, 3].repeat(1250));
    let child = Command::new(env!("CARGO_BIN_EXE_tercet"))
        .args("loss e.npy --labels l.npy --preset batch-all --repeat 1000000".split(' '))
        .current_dir(bench.folder.path())
        .stderr(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    // Before the command listens, the signal would end it at once.
    let listens = || {
        let status = fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
        let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:")).unwrap();
        u64::from_str_radix(caught.trim(), 16).unwrap() & 2 != 0
    };
    let began = std::time::Instant::now();
    while !listens() {
        assert!(began.elapsed().as_secs() < 120);
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    let sent = Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(sent.success());
    let output = child.wait_with_output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(130), "{errors}");
    assert!(errors.contains("interrupted") && output.stdout.is_empty(), "{errors}");
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
    for preset in [
        "facenet",
        "batch-hard",
        "batch-all",
        "batch-all-nonzero",
        "lifted",
        "multi-similarity",
        "supervised-contrastive",
    ] {
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
fn false_negatives_are_ignored_and_prefixes_add_up() {
    let bench = Bench::new();
    // The third vector lies between the first two, but is of another class.
    let values: [f32; 8] = [1.0, 0.0, 0.6, 0.8, 0.8, 0.6, -1.0, 0.0];
    bench.npy("e.npy", &[4, 2], &values).npy("l.npy", &[4], &[0, 0, 1, 1]);
    let facenet = "e.npy --labels l.npy --preset facenet";
    let (all, left) = (bench.json(facenet), bench.json(&format!("{facenet} --false-negatives")));
    assert_eq!((&all["filtered"], &all["triplets"]), (&0.into(), &8.into()));
    // Anchors 0 and 1 lose the negative 2. With anchor 2 the positive has the similarity −0.8, that
    // of both negatives is above; with anchor 3 the positive has −0.8, the negatives have −1 and −0.6.
    assert_eq!(left["filtered"], 2 + 2 + 1);
    let text = bench.run(&format!("{facenet} --false-negatives 0.9"));
    let text = String::from_utf8(text.stdout).unwrap();
    assert!(text.contains("with a negative that is probably false"), "{text}");
    let (status, error) = bench.fails("e.npy --labels l.npy --preset batch-hard --false-negatives");
    assert!(status == Some(2) && error.contains("normalised embeddings"), "{error}");
    let (status, error) = bench.fails(&format!("{facenet} --false-negatives 2"));
    assert!(status == Some(2) && error.contains("false-negatives is 2: expected"), "{error}");

    let hinge = "e.npy --labels l.npy --normalize --selection all --penalty hinge --margin 0.3";
    let whole = bench.json(hinge)["value"].as_f64().unwrap();
    let both = bench.json(&format!("{hinge} --matryoshka 1,2"))["value"].as_f64().unwrap();
    // On the first component alone, three vectors become 1 and one −1. Anchors 0 and 1: positive at
    // 0, negatives at 0 and 2. Anchor 2: positive at 2, negatives at 0. Anchor 3: all at 2.
    let first = (2.0 * 0.3 + 2.0 * 2.3 + 2.0 * 0.3) / 8.0;
    assert!((both - whole - first).abs() < 1e-6, "{both} {whole} {first}");
    let (status, error) = bench.fails("e.npy --labels l.npy --matryoshka 3");
    assert!(
        status == Some(2) && error.contains("matryoshka is 3: expected from 1 to 2"),
        "{error}"
    );

    let warm = bench.json("e.npy --labels l.npy --preset supervised-contrastive --temperature 1");
    let cold = bench.json("e.npy --labels l.npy --preset supervised-contrastive");
    assert!(warm["value"].as_f64().unwrap() < cold["value"].as_f64().unwrap());
    let (_, error) = bench.fails("e.npy --labels l.npy --preset facenet --temperature 1");
    assert!(error.contains("facenet has no temperature"), "{error}");
    let contrastive = "e.npy --labels l.npy --preset supervised-contrastive";
    let (status, error) = bench.fails(&format!("{contrastive} --temperature 0"));
    assert!(
        status == Some(2) && error.contains("temperature is 0: expected a positive"),
        "{error}"
    );
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
        ("--labels one.txt", "4 items without one of another class"),
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
    bench.line().text("short.txt", "a\nb\n").text("gap.txt", "a\n\nb\nb\n");
    bench.npy("nan.npy", &[4, 1], &[0.0_f32, f32::NAN, 3.0, 4.0]);
    bench.npy("flat.npy", &[4], &[0.0_f32, 1.0, 3.0, 4.0]);
    for (arguments, status, expected) in [
        ("e.npy", 1, "e.npy has no labels: name a file with --labels"),
        ("e.npy --labels short.txt", 1, "short.txt has 2 labels: expected 4"),
        ("e.npy --labels none.txt", 1, "none.txt"),
        ("e.npy --labels gap.txt", 1, "gap.txt: line 2 is empty"),
        ("none.npy --labels l.txt", 1, "none.npy"),
        ("nan.npy --labels l.txt", 1, "nan.npy: row 1: component 0 is NaN"),
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
        ("e.npy --labels l.txt --penalty hinge --margin soft", 2, "since the penalty is hinge"),
        ("e.npy --labels l.txt --gradient g.txt", 2, "ends in .npy"),
        ("e.npy --labels l.txt --gradient e.npy/g.npy", 1, "e.npy"),
    ] {
        let (got, errors) = bench.fails(arguments);
        assert!(got == Some(status) && errors.contains(expected), "{arguments}: {got:?} {errors}");
    }
}
