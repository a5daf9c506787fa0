//! `tercet train`, `eval` and `embed` on vectors instead of pictures.

#![allow(clippy::unwrap_used)] // tests may panic

mod common;

use std::fs;
use std::path::{Path, PathBuf};

use common::{fail, json, pictures, stderr, succeed};
use npyz::WriterBuilder;

const CLASSES: usize = 40;

/// Numbers between −1 and 1.
fn random(state: &mut u64) -> f32 {
    *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963);
    (*state >> 40) as f32 / (1 << 23) as f32 - 1.0
}

/// `NAME.npy` and `NAME.labels.txt`: 40 classes of 8 vectors, four components that tell the class
/// and twelve that tell nothing.
fn vectors(folder: &Path, name: &str, seed: u64) -> PathBuf {
    let (mut places, mut noise) = (7, seed);
    let places: Vec<f32> = (0..4 * CLASSES).map(|_| 1.2 * random(&mut places)).collect();
    let mut values = Vec::new();
    for item in 0..8 * CLASSES {
        let place = &places[4 * (item % CLASSES)..][..4];
        values.extend(place.iter().map(|x| x + 0.3 * random(&mut noise)));
        values.extend((0..12).map(|_| 0.6 * random(&mut noise)));
    }
    let mut bytes = Vec::new();
    let mut writer = npyz::WriteOptions::new()
        .default_dtype()
        .shape(&[8 * CLASSES as u64, 16])
        .writer(&mut bytes)
        .begin_nd()
        .unwrap();
    writer.extend(values).unwrap();
    writer.finish().unwrap();
    let file = folder.join(format!("{name}.npy"));
    fs::write(&file, bytes).unwrap();
    let labels: String = (0..8 * CLASSES).map(|i| format!("class {}\n", i % CLASSES)).collect();
    fs::write(folder.join(format!("{name}.labels.txt")), labels).unwrap();
    file
}

#[test]
fn a_head_learns_which_components_tell_classes_apart() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let source = format!("features:{}", vectors(folder.path(), "train", 1).display());
    let other = format!("features:{}", vectors(folder.path(), "test", 2).display());
    fs::write(
        path("apart.txt"),
        (0..10).map(|class| format!("class {class}\n")).collect::<String>(),
    )
    .unwrap();
    let (run, model, apart) = (path("run"), path("model.safetensors"), path("apart.txt"));

    let train = [
        "train",
        &source,
        "--holdout-classes",
        &apart,
        "--steps",
        "80",
        "--learning-rate",
        "0.01",
        "--json",
        "-q",
    ];
    let trained = json(&[&train[..], &["--run", &run, "--out", &model]].concat());
    assert_eq!(
        (&trained["encoder"], &trained["objective"]),
        (&"linear-head".into(), &"facenet".into())
    );
    assert_eq!(trained["parameters"], 16 * 16);
    assert_eq!(trained["holdout"], serde_json::json!({ "classes": 10, "items": 80 }));
    assert!(trained["before"]["pixels"].is_null());
    let map = |judged: &serde_json::Value| judged["map_at_r"].as_f64().unwrap();
    let raw = map(&trained["before"]["features"]);
    // The head starts as the vectors themselves.
    assert!((map(&trained["before"]["untrained"]) - raw).abs() < 1e-6);
    assert!(map(&trained["after"]) > raw + 0.1, "{raw} {}", map(&trained["after"]));
    let page = fs::read_to_string(Path::new(&run).join("report.html")).unwrap();
    assert!(page.contains("16 components") && page.contains("features"));

    // The same seed gives the same bytes.
    succeed(&[&train[..], &["--run", &path("again")]].concat());
    let bytes = |path: &str| fs::read(path).unwrap();
    assert!(bytes(&model) == bytes(&path("again/model.safetensors")));

    // Judged from its file: on the classes kept apart, here and in another source.
    let eval = |more: &[&str]| json(&[&["eval", "--json", "-q"], more].concat());
    let again = eval(&[&model, &source]);
    assert_eq!(again["judged_classes"], "held-out");
    assert_eq!(again["map_at_r"], trained["after"]["map_at_r"]);
    let there = eval(&[&model, &other, "--classes", "held-out"]);
    assert_eq!((&there["classes"], &there["items"]), (&10.into(), &80.into()));
    assert_eq!(there["map_at_r"], eval(&[&model, &other, "--classes", &apart])["map_at_r"]);
    let file = path("test.npy");
    let labels = path("test.labels.txt");
    let named = ["--labels", &labels, "--classes", &apart, "--normalize"];
    let before = eval(&[&[file.as_str()][..], &named[..]].concat());
    assert_eq!(before["items"], 80);
    assert!(map(&there) > map(&before) + 0.1, "{} {}", map(&there), map(&before));

    // Embedded, the vectors are worth the same.
    let out = path("e.safetensors");
    let embedded = json(&["embed", &model, &other, "--out", &out, "--json", "-q"]);
    assert_eq!((&embedded["items"], &embedded["dimensions"]), (&320.into(), &16.into()));
    let all = eval(&[&model, &other]);
    assert_eq!(eval(&[&out])["map_at_r"], all["map_at_r"]);
}

#[test]
fn other_heads_and_other_beginnings() {
    let folder = tempfile::tempdir().unwrap();
    let source = format!("features:{}", vectors(folder.path(), "train", 1).display());
    let train = |name: &str, more: &[&str]| {
        let run = folder.path().join(name);
        let fixed =
            ["train", &source, "--run", run.to_str().unwrap(), "--steps", "3", "-q", "--json"];
        json(&[&fixed[..], more].concat())
    };
    let map = |judged: &serde_json::Value| judged["map_at_r"].as_f64().unwrap();

    // Six principal components hold the four that tell classes apart.
    let narrow = train("narrow", &["--embedding-dim", "6"]);
    let before = &narrow["before"];
    assert_eq!(narrow["parameters"], 16 * 6);
    assert!(map(&before["untrained"]) > map(&before["features"]), "{before}");

    let mlp = ["--encoder", "mlp-head", "--hidden", "9", "--embedding-dim", "6", "--standardize"];
    let mlp = train("mlp", &mlp);
    assert_eq!(mlp["parameters"], 16 * 6 + 17 * 9 + 9 * 6);
    let model = folder.path().join("mlp/model.safetensors");
    let again = json(&["eval", model.to_str().unwrap(), &source, "--json", "-q"]);
    assert_eq!(again["map_at_r"], mlp["after"]["map_at_r"]);
}

#[test]
fn what_does_not_fit_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let source = format!("features:{}", vectors(folder.path(), "train", 1).display());
    pictures(&folder.path().join("pictures"));
    let images = format!("folder:{}", path("pictures"));
    let run = path("run");
    let expect = |arguments: &[&str], status, words: &[&str]| {
        let error = fail(arguments, status);
        for word in words {
            assert!(error.contains(word), "{arguments:?} does not say `{word}`: {error}");
        }
    };
    let heads = &["encoder is lunet", "linear-head or mlp-head", "vectors"];
    expect(&["train", &source, "--run", &run, "--encoder", "lunet"], 2, heads);
    let pictured = &["encoder is mlp-head", "holds images"];
    expect(&["train", &images, "--run", &run, "--encoder", "mlp-head"], 2, pictured);
    expect(&["train", &source, "--run", &run, "--width", "3"], 2, &["width is 3", "linear-head"]);
    expect(&["train", "--size", "3x", "--print-config"], 2, &["128x64"]);
    fs::write(path("apart.txt"), "class 1\nclass 99\n").unwrap();
    let apart = ["--holdout-classes", &path("apart.txt")];
    let arguments = [&["train", &source, "--run", &run][..], &apart].concat();
    expect(&arguments, 1, &["holdout-classes names `class 99`", "40 classes"]);

    succeed(&["train", &source, "--run", &run, "--steps", "1", "-q"]);
    let model = format!("{run}/model.safetensors");
    expect(&["eval", &model, &images], 1, &["holds images, not vectors"]);
    expect(&["eval", &model, &source, "--views", "flip"], 1, &["views is flip"]);
    fs::write(path("none.txt"), "class 99\n").unwrap();
    expect(&["eval", &model, &source, "--classes", &path("none.txt")], 1, &["`class 99`"]);
}

#[test]
fn encoders_are_listed() {
    let text = succeed(&["train", "--encoder"]);
    for name in tercet_train::encoder::ENCODER_NAMES {
        assert!(text.contains(name), "{text}");
    }
    let listed = json(&["train", "--encoder", "--json"]);
    assert_eq!(listed.as_array().unwrap().len(), tercet_train::encoder::ENCODER_NAMES.len());
}

/// A `.npy` file of version 1 with this type, shape and content.
fn npy(path: &str, kind: &str, shape: &str, data: &[u8]) {
    let head = format!("{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}, }}\n");
    let length = (head.len() as u16).to_le_bytes();
    fs::write(path, [b"\x93NUMPY\x01\x00", &length[..], head.as_bytes(), data].concat()).unwrap();
}

#[test]
fn rows_that_are_no_numbers_are_named_by_file_and_row_or_left_out() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let file = vectors(folder.path(), "some", 1).to_str().unwrap().to_owned();
    // Labels are found beside the file, as `data info` finds them.
    let whole = json(&["eval", &file, "--json", "-q"]);
    assert_eq!((&whole["items"], &whole["skipped"]), (&320.into(), &serde_json::json!([])));
    let mut bytes = fs::read(&file).unwrap();
    let start = bytes.len() - 4 * 16 * 8 * CLASSES;
    for (row, number) in [(300, f32::NAN), (17, f32::INFINITY), (301, f32::NEG_INFINITY)] {
        bytes[start + 4 * (16 * row + 3)..][..4].copy_from_slice(&number.to_le_bytes());
    }
    fs::write(&file, bytes).unwrap();
    let cameras: String = (0..320).map(|row| format!("camera {}\n", row % 3)).collect();
    fs::write(path("cameras.txt"), cameras).unwrap();
    let cameras = path("cameras.txt");
    let cameras = [
        "--gallery",
        &file,
        "--cameras",
        &cameras,
        "--gallery-cameras",
        &cameras,
        "--protocol",
        "reid",
    ];
    for command in [&["eval", &file][..], &["cluster", &file, "--clusters", "3"]] {
        let error = fail(command, 1);
        for word in ["some.npy: row 17: component 3 is inf", "2 more bad rows", "--skip-bad"] {
            assert!(error.contains(word), "{word}: {error}");
        }
        let skipping = json(&[command, &["--skip-bad", "--json", "-q"]].concat());
        assert_eq!(skipping["items"], 317);
        let rows: Vec<_> =
            skipping["skipped"].as_array().unwrap().iter().map(|item| &item["id"]).collect();
        assert_eq!(rows, ["17", "300", "301"]);
    }
    let reid = [&["eval", &file, "--skip-bad", "--json", "-q"][..], &cameras].concat();
    assert_eq!(json(&reid)["items"], 317);
    let grouped = json(&["cluster", &file, "--clusters", "3", "--skip-bad", "--json", "-q"]);
    assert_eq!(grouped["of_items"][17]["id"], "18");
    // What has no such flag does not speak of it.
    let error = fail(&["loss", &file, "--labels", &path("some.labels.txt")], 1);
    assert!(error.contains("some.npy: row 17") && !error.contains("--skip-bad"), "{error}");
}

#[test]
fn labels_and_numbers_of_other_types_are_read_or_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (file, labels) = (path("v.npy"), path("l.npy"));
    let numbers: Vec<u8> = (0..8_u8).flat_map(|i| f64::from(i / 2).to_le_bytes()).collect();
    npy(&file, "<f8", "(4, 2)", &numbers);
    let unicode: Vec<u8> = "annbobannbob".chars().flat_map(|c| (c as u32).to_le_bytes()).collect();
    npy(&labels, "<U3", "(4,)", &unicode);
    let judged = json(&["eval", &file, "--labels", &labels, "--json", "-q"]);
    assert_eq!((&judged["classes"], &judged["items"]), (&2.into(), &4.into()));
    let refuse = |words: &[&str]| {
        let error = fail(&["eval", &file, "--labels", &labels], 1);
        for word in words {
            assert!(error.contains(word), "{word}: {error}");
        }
    };
    npy(&labels, "|O", "(4,)", b"\x80\x04.");
    refuse(&["l.npy", "|O", "dtype=str"]);
    npy(&labels, "<f8", "(4,)", &numbers[..32]);
    refuse(&["l.npy", "<f8", "astype(int)"]);
    fs::write(&labels, "version https://git-lfs.github.com/spec/v1\nsize 99\n").unwrap();
    refuse(&["l.npy", "git lfs pull"]);
    npy(&labels, "|S1", "(4,)", b"abab");
    let large: Vec<u8> = numbers[..56].iter().copied().chain(1e300_f64.to_le_bytes()).collect();
    npy(&file, "<f8", "(4, 2)", &large);
    refuse(&["row 3: component 1 is 1e300, beyond single precision"]);
    npy(&file, "<f4", "(4000000000, 2)", &[0; 8]);
    refuse(&["takes 32000000000 bytes, the file holds 8"]);
    let tiny: Vec<u8> = (0..8_u8).flat_map(|i| (1e-25 * f32::from(i + 1)).to_le_bytes()).collect();
    npy(&file, "<f4", "(4, 2)", &tiny);
    refuse(&["row 0 is too short", "scale the vectors up"]);
}

#[cfg(unix)]
#[test]
fn only_regular_files_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let file = vectors(folder.path(), "some", 1).to_str().unwrap().to_owned();
    let pipe = path("pipe");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    for (arguments, found) in [
        (vec!["eval", &file, "--labels", "/dev/zero"], "a device"),
        (vec!["eval", &file, "--labels", &pipe], "a pipe (FIFO)"),
        (vec!["eval", &file, "--classes", &pipe], "a pipe (FIFO)"),
        (vec!["data", "info", "manifest:/dev/zero"], "a device"),
        (vec!["embed", "/dev/zero", "glyphs", "--out", &path("e.npy")], "a device"),
        (vec!["embed", &pipe, "glyphs", "--out", &path("e.npy")], "a pipe (FIFO)"),
        (vec!["embed", "--onnx", "/dev/zero", "glyphs", "--out", &path("e.npy")], "a device"),
        (
            vec!["train", "--pretrained", &pipe, "--encoder", "resnet18", "--run", &path("run")],
            "a pipe (FIFO)",
        ),
    ] {
        if arguments.contains(&"--onnx") && !cfg!(feature = "onnx") {
            continue;
        }
        let output = common::run(&arguments);
        let error = common::stderr(&output);
        assert!(!output.status.success() && error.contains(found), "{arguments:?}: {error}");
        assert!(error.contains("expected a regular file"), "{arguments:?}: {error}");
    }
    for name in ["z.npy", "z.safetensors", "z.parquet"] {
        if name == "z.parquet" && !cfg!(feature = "parquet") {
            continue;
        }
        std::os::unix::fs::symlink("/dev/zero", path(name)).unwrap();
        let error = fail(&["cluster", &path(name), "--clusters", "2"], 1);
        assert!(error.contains(name) && error.contains("a device"), "{error}");
    }
}

#[test]
fn lists_of_classes_are_read_by_one_reader() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let file = vectors(folder.path(), "some", 1).to_str().unwrap().to_owned();
    let list = path("classes.txt");
    fs::write(&list, "\u{feff}class 3 \r\nclass 5\t\r\n\r\n").unwrap();
    let judged = json(&["eval", &file, "--classes", &list, "--json", "-q"]);
    assert_eq!((&judged["classes"], &judged["items"]), (&2.into(), &16.into()));
    fs::write(&list, "class 3\nclas 5\nclass 77\n").unwrap();
    let source = format!("features:{file}");
    let run = path("run");
    for command in [
        &["eval", &file, "--classes", &list][..],
        &["train", &source, "--holdout-classes", &list, "--run", &run],
    ] {
        let error = fail(command, 1);
        for word in ["`clas 5` and 1 more", "40 classes", "did you mean `class 5`"] {
            assert!(error.contains(word), "{command:?}: `{word}` in {error}");
        }
    }
}

#[test]
fn prefixes_are_trained_and_used() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let source = format!("features:{}", vectors(folder.path(), "train", 1).display());
    let (run, model) = (path("run"), path("model.safetensors"));
    let train = ["train", &source, "--steps", "40", "--quiet", "--run", &run, "--out", &model];
    let options = ["--matryoshka", "2,4", "--false-negatives", "--batch", "16x4", "--json"];
    let trained = json(&[&train[..], &options].concat());
    let by_dimensions = &trained["after_by_dimensions"];
    for dimensions in ["2", "4"] {
        assert!(by_dimensions[dimensions]["map_at_r"].as_f64().unwrap() > 0.0, "{by_dimensions}");
    }
    let embed = |dimensions: &str| {
        let out = path("embedded.npy");
        let arguments = ["embed", &model, &source, "--out", &out, "--dimensions", dimensions];
        json(&[&arguments[..], &["--json"]].concat())["dimensions"].clone()
    };
    assert_eq!(embed("4"), 4);
    let out = path("other.npy");
    let other = ["embed", &model, &source, "--out", &out, "--dimensions"];
    let told = stderr(&common::run(&[&other[..], &["3"]].concat()));
    assert!(told.contains("trained for 2, 4 of its 16 dimensions, not for 3"), "{told}");
    let error = fail(&[&other[..], &["17"]].concat(), 2);
    assert!(error.contains("dimensions is 17: expected from 1 to 16"), "{error}");

    let held_out = json(&["eval", &model, &source, "--dimensions", "4", "--json"]);
    let rows = held_out["systems"].as_array().or(held_out["results"].as_array());
    assert!(rows.is_none_or(|rows| rows.len() == 2), "{held_out}");

    for (flags, expected) in [
        (["--matryoshka", "17"], "rising numbers of components from 1 to 16"),
        (["--matryoshka", "4,2"], "rising numbers of components"),
        (["--false-negatives", "1.5"], "a share of the similarity in (0, 1]"),
        (["--temperature", "0.2"], "facenet has no temperature"),
    ] {
        let run = path("refused");
        let train = ["train", &source, "--steps", "2", "--run", &run];
        let error = fail(&[&train[..], &flags].concat(), 2);
        assert!(error.contains(expected), "{flags:?}: {error}");
    }
    let run = path("contrastive");
    let train = ["train", &source, "--steps", "5", "--quiet", "--run", &run, "--json"];
    let options = ["--objective", "supervised-contrastive", "--temperature", "0.05"];
    let trained = json(&[&train[..], &options].concat());
    assert_eq!(trained["objective"], "supervised-contrastive");
}
