//! `tercet train`, `eval` and `embed` on folders of pictures.

#![allow(clippy::unwrap_used)] // tests may panic

mod common;

use std::fs;
use std::path::Path;

use common::{TINY, World, fail, json, pictures, run, stderr, succeed, tercet};

fn train<'a>(source: &'a str, run: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    [&["train", source, "--run", run, "--quiet"], &TINY[..], more].concat()
}

#[test]
fn a_folder_of_pictures_becomes_a_judged_model() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    pictures(&data);
    let source = format!("folder:{}", data.display());
    let run = folder.path().join("run");
    let run = run.to_str().unwrap();
    let out = folder.path().join("deep/model.safetensors");
    let out = out.to_str().unwrap();

    let trained = json(&train(&source, run, &["--steps", "30", "--json", "--out", out]));
    assert_eq!(trained["model"], out);
    assert_eq!(trained["steps"], 30);
    assert_eq!(trained["seed"], 0);
    assert_eq!(trained["objective"], "facenet");
    assert_eq!(trained["encoder"], "small-cnn");
    assert_eq!(trained["train"], serde_json::json!({ "classes": 6, "items": 36 }));
    assert_eq!(trained["holdout"], serde_json::json!({ "classes": 2, "items": 12 }));
    let objects =
        [&trained["before"]["pixels"], &trained["before"]["untrained"], &trained["after"]];
    for judged in objects {
        assert_eq!(judged["queries"], 12);
        assert_eq!(judged["skipped_queries"], 0);
        for metric in ["r_precision", "map_at_r", "map", "mrr"] {
            let value = judged[metric].as_f64().unwrap();
            assert!((0.0..=1.0).contains(&value));
            let interval = &judged["ci95"][metric];
            assert!(interval[0].as_f64().unwrap() <= interval[1].as_f64().unwrap());
        }
        assert!(judged["recall_at_k"]["1"].is_f64());
    }
    assert!(trained["after"]["verification"]["accuracy"]["mean"].is_f64());
    // The best weights are kept, those before training included.
    assert!(
        trained["after"]["map_at_r"].as_f64()
            >= trained["before"]["untrained"]["map_at_r"].as_f64()
    );
    for file in ["config.toml", "metrics.jsonl", "report.html", "model.safetensors"] {
        assert!(Path::new(run).join(file).is_file(), "{file}");
    }

    // Judged again from its file, on the very classes that were kept apart.
    let judged = json(&["eval", out, &source, "--protocol", "retrieval", "--json", "--quiet"]);
    assert_eq!(judged["judged_classes"], "held-out");
    for key in ["queries", "recall_at_k", "r_precision", "map_at_r", "map", "mrr", "ci95"] {
        assert_eq!(judged[key], trained["after"][key], "{key}");
    }

    // Embedded into both kinds of file, and judged from there.
    let vectors = folder.path().join("e.safetensors");
    let vectors = vectors.to_str().unwrap();
    let plain = folder.path().join("e.npy");
    let plain = plain.to_str().unwrap();
    let embedded = json(&["embed", out, &source, "--out", vectors, "--json", "--quiet"]);
    assert_eq!((&embedded["items"], &embedded["dimensions"]), (&48.into(), &8.into()));
    succeed(&["embed", out, &source, "--out", plain, "--quiet"]);
    let labels = folder.path().join("labels.txt");
    let text: String = (0..8).flat_map(|class| vec![format!("{class}\n"); 6]).collect();
    fs::write(&labels, text).unwrap();
    let from_model = json(&["eval", out, &source, "--all-classes", "--json", "--quiet"]);
    let from_vectors = json(&["eval", vectors, "--json"]);
    let from_plain = json(&["eval", plain, "--labels", labels.to_str().unwrap(), "--json"]);
    for judged in [&from_vectors, &from_plain] {
        assert_eq!(judged["map_at_r"], from_model["map_at_r"]);
        assert_eq!(judged["recall_at_k"], from_model["recall_at_k"]);
    }
}

#[test]
fn a_truncated_picture_stops_training_or_is_left_out_by_name() {
    let folder = tempfile::tempdir().unwrap();
    pictures(folder.path());
    let bad = folder.path().join("class 3/1.jpg");
    let bytes = fs::read(&bad).unwrap();
    fs::write(&bad, &bytes[..bytes.len() / 2]).unwrap();
    let source = format!("folder:{}", folder.path().display());
    let runs = tempfile::tempdir().unwrap();
    let run_folder = runs.path().join("run");
    let run_folder = run_folder.to_str().unwrap();

    let error = fail(&train(&source, run_folder, &["--steps", "2"]), 1);
    assert!(error.contains("class 3/1.jpg") && error.contains("--skip-bad"), "{error}");

    let other = format!("{run_folder}-2");
    let arguments: Vec<&str> = train(&source, &other, &["--steps", "2", "--skip-bad", "--json"])
        .into_iter()
        .filter(|argument| *argument != "--quiet")
        .collect();
    let output = run(&arguments);
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(stderr(&output).contains("class 3/1.jpg"), "{}", stderr(&output));
    let trained: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(trained["skipped"][0]["id"], "class 3/1.jpg");
    assert_eq!(
        trained["train"]["items"].as_u64().unwrap() + trained["holdout"]["items"].as_u64().unwrap(),
        47
    );

    let survey = json(&["data", "info", &source, "--json"]);
    assert_eq!((&survey["classes"], &survey["items"]), (&8.into(), &48.into()));
    assert_eq!(survey["unreadable"][0]["id"], "class 3/1.jpg");
}

#[test]
fn flags_win_over_the_file_and_the_merged_configuration_is_shown() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("train.toml");
    fs::write(&file, "steps = 7\nmargin = 0.5\nembedding-dim = 16\n").unwrap();
    let file = file.to_str().unwrap();
    let merged = json(&["train", "--config", file, "--steps", "9", "--print-config", "--json"]);
    assert_eq!(merged["steps"], 9);
    assert_eq!(merged["margin"], "0.5");
    assert_eq!(merged["embedding-dim"], 16);
    assert_eq!(merged["source"], "glyphs");

    fs::write(file, "steps = 7\nstpes = 8\n").unwrap();
    let error = fail(&["train", "--config", file, "--print-config"], 1);
    assert!(error.contains("stpes") && error.contains("line 2"), "{error}");
}

#[test]
fn every_selection_trains_from_flags_and_from_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    pictures(&data);
    let source = format!("folder:{}", data.display());
    for (number, selection) in tercet::Selection::ALL.into_iter().enumerate() {
        let run = folder.path().join(number.to_string());
        let run = run.to_str().unwrap();
        let selection = selection.to_string();
        let parts =
            ["--steps", "2", "--json", "--distance", "cosine", "--penalty", "squared-hinge"];
        let base = ["--objective", "batch-hard"];
        let parts = [&base[..], &parts, &["--reduction", "mean-active", "--selection", &selection]]
            .concat();
        let trained = json(&train(&source, run, &parts));
        let expected = format!("cosine distance, {selection}, squared-hinge 0.2, mean-active");
        assert_eq!(trained["objective"], expected.as_str());
    }
    let file = folder.path().join("train.toml");
    fs::write(&file, "objective = 'facenet'\nselection = 'random:triplets=3'\nmargin = 0.5\n")
        .unwrap();
    let run = folder.path().join("file");
    let arguments = ["--steps", "2", "--json", "--config", file.to_str().unwrap()];
    let trained = json(&train(&source, run.to_str().unwrap(), &arguments));
    assert_eq!(
        trained["objective"],
        "normalised squared-euclidean distance, random:triplets=3, hinge 0.5, mean"
    );
}

#[test]
fn what_has_nothing_to_teach_costs_no_way_back() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    // Eight classes of four vectors, of which two lie within the margin of each other.
    let mut text = String::new();
    let mut bytes = Vec::new();
    let mut writer = {
        use npyz::WriterBuilder;
        npyz::WriteOptions::new()
            .default_dtype()
            .shape(&[32, 3])
            .writer(&mut bytes)
            .begin_nd()
            .unwrap()
    };
    for item in 0..32_u32 {
        let class = item / 4;
        let apart = if class < 2 { 0.15 } else { 5.0 } * (class % 2) as f32;
        writer.extend([10.0 * (class / 2) as f32, 0.1 * (item % 4) as f32, apart]).unwrap();
        text += &format!("{class}\n");
    }
    writer.finish().unwrap();
    fs::write(path("vectors.npy"), bytes).unwrap();
    fs::write(path("vectors.labels.txt"), text).unwrap();
    let (source, run) = (format!("features:{}", path("vectors.npy")), path("run"));
    let trained = json(&[
        "train",
        &source,
        "--run",
        &run,
        "--batch",
        "8x4",
        "--holdout",
        "0",
        "--chunk",
        "5",
        "--objective",
        "batch-all",
        "--steps",
        "4",
        "--log-every",
        "1",
        "--learning-rate",
        "1e-5",
        "--quiet",
        "--json",
    ]);
    assert_eq!(trained["chunk"], 5);
    assert_eq!(trained["work"], serde_json::json!({ "items": 4 * 32, "backward": 4 * 8 }));
    let metrics = fs::read_to_string(path("run/metrics.jsonl")).unwrap();
    for line in metrics.lines() {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        assert_eq!(line["backward"], 0.25, "{line}");
    }
    let report = fs::read_to_string(path("run/report.html")).unwrap();
    assert!(report.contains("96 had none and were embedded only"));
}

#[test]
fn wrong_input_is_named_and_costs_no_work() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let expect = |arguments: &[&str], status: i32, words: &[&str]| {
        let error = fail(arguments, status);
        for word in words {
            assert!(error.contains(word), "{arguments:?} does not say `{word}`: {error}");
        }
        assert!(error.lines().count() <= 4 || status == 2, "{error}");
    };

    expect(&["train", "photos:x", "--run", &path("r")], 1, &["photos", "folder:DIR"]);
    expect(&["train", &path("nowhere"), "--run", &path("r")], 1, &["nowhere"]);
    fs::create_dir(path("empty")).unwrap();
    expect(&["train", &format!("folder:{}", path("empty")), "--run", &path("r")], 1, &["empty"]);
    expect(&["train", "--batch", "1x4"], 2, &["1x4", "16x4"]);
    expect(&["train", "--objective", "batch-hrad"], 2, &["batch-hrad", "batch-hard"]);
    expect(&["train", "--margin", "-1"], 2, &["--margin"]);
    expect(&["train", "--chunk", "1"], 2, &["`1`", "auto"]);
    expect(&["train", "--ram-limit", "much"], 2, &["much", "8G"]);
    expect(
        &["train", "--ram-limit", "1M", "--run", &path("r4")],
        2,
        &["1M", "at least", "--chunk"],
    );
    expect(
        &["train", "--pool", "10x4", "--run", &path("r5")],
        2,
        &["10x4", "more items than a batch of 16x4"],
    );
    expect(&["train", "--pool", "1800", "--run", &path("r6")], 2, &["450x4", "400x4"]);
    expect(&["train", "--memory-start", "5"], 2, &["memory-start", "--memory"]);
    expect(&["train", "--selection", "explicit"], 2, &["explicit", "semi-hard-all"]);
    expect(&["train", "--penalty", "hing"], 2, &["hing", "squared-hinge"]);
    expect(&["train", "--objective", "lifted", "--reduction", "sum"], 2, &["lifted", "product"]);
    let hard = ["train", "--objective", "batch-hard", "--selection"];
    let selects = |selection| [&hard[..], &[selection]].concat();
    expect(&selects("semi-hard"), 2, &["margin is unset", "band"]);
    expect(&selects("distance-weighted"), 2, &["distance is unset", "cosine"]);
    expect(&["train", "--encoder", "vgg", "--run", &path("r")], 2, &["vgg", "small-cnn"]);
    expect(&["train", "--batch", "600x2", "--run", &path("r2")], 2, &["600", "400x2"]);
    expect(
        &["train", "--out", folder.path().to_str().unwrap(), "--run", &path("r3")],
        2,
        &["ends in .safetensors"],
    );
    expect(&["train", "--resume", &path("no-run")], 1, &["no-run", "config.toml"]);
    expect(&["train", "--device", "tpu"], 2, &["tpu", "cpu"]);

    fs::write(path("text.safetensors"), "not a model").unwrap();
    expect(
        &["embed", &path("text.safetensors"), "glyphs", "--out", &path("e.npy")],
        1,
        &["text.safetensors"],
    );
    expect(
        &["embed", &path("none.safetensors"), "glyphs", "--out", &path("e.npy")],
        1,
        &["none.safetensors"],
    );
    expect(
        &["embed", &path("text.safetensors"), "glyphs", "--out", &path("e.csv")],
        2,
        &["e.csv", ".npy"],
    );
    expect(&["eval", &path("none.npy")], 1, &["none.npy"]);
    expect(&["eval", &path("text.safetensors")], 1, &["text.safetensors"]);
    expect(&["frobnicate"], 2, &["frobnicate"]);
}

#[test]
fn a_dry_run_says_what_would_be_trained_and_writes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    pictures(&at.join("photos"));
    let dry = |more: &[&str]| {
        let arguments = [&["train", "photos", "--dry-run"], &TINY[..], more].concat();
        let output = tercet(&arguments).current_dir(at).output().unwrap();
        assert!(output.status.success(), "{}", stderr(&output));
        String::from_utf8(output.stdout).unwrap()
    };
    let plan: serde_json::Value = serde_json::from_str(&dry(&["--steps", "60", "--json"])).unwrap();
    assert_eq!(plan["source"], "folder:photos");
    assert_eq!(plan["train"], serde_json::json!({ "classes": 6, "items": 36 }));
    assert_eq!(plan["holdout"], serde_json::json!({ "classes": 2, "items": 12 }));
    assert_eq!((&plan["batch"], &plan["steps"]), (&"3x2".into(), &60.into()));
    assert_eq!(plan["epochs"], 10.0);
    let [step, all] = [&plan["seconds_per_step"], &plan["seconds"]].map(|n| n.as_f64().unwrap());
    assert!(step > 0.0 && all >= 60.0 * step, "{step} {all}");
    let memory = |plan: &serde_json::Value| plan["memory_bytes"].as_u64().unwrap();
    let larger = dry(&["--pool", "6x6", "--steps", "1", "--json"]);
    assert!(memory(&serde_json::from_str(&larger).unwrap()) > memory(&plan));
    let text = dry(&["--steps", "60"]);
    assert!(text.contains("60, each item about 10.0 times") && text.contains("about"), "{text}");
    assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
    let left: Vec<_> = fs::read_dir(at).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["photos"], "nothing was written");
}

#[test]
fn flags_of_other_programs_are_answered_with_a_command_that_works() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    pictures(&at.join("my photos"));
    let model = World::get().text("model.safetensors");
    let cases: [(&[&str], &str); 4] = [
        (&["--epochs", "10"], "10 epochs × 36 training items / 6 items of a batch = 60 steps"),
        (&["--epochs=0.5"], "= 3 steps"),
        (&["--model", "lunet"], "--encoder lunet"),
        (&["--model", &model], "--from"),
    ];
    let own = ["train", "my photos", "--dry-run", "--quiet"];
    for (foreign, expected) in cases {
        // A model decides settings that the others give.
        let rest: &[&str] = if foreign[0] == "--model" { &TINY[..2] } else { &TINY };
        let arguments = [&own[..], rest, foreign].concat();
        let output = tercet(&arguments).current_dir(at).output().unwrap();
        let error = stderr(&output);
        assert_eq!(output.status.code(), Some(2), "{error}");
        assert!(error.contains(expected) && error.lines().count() == 1, "{error}");
        let command = error.rfind("tercet train ").map(|at| error[at..].trim()).unwrap();
        let command = command.replacen("tercet", "\"$TERCET\"", 1);
        let output = std::process::Command::new("sh")
            .args(["-c", &command])
            .env("TERCET", env!("CARGO_BIN_EXE_tercet"))
            .current_dir(at)
            .output()
            .unwrap();
        assert!(output.status.success(), "{command}: {}", stderr(&output));
    }
    let error = fail(&["train", "--epochs", "many"], 2);
    assert!(error.contains("epochs × training items"), "{error}");
    let error = fail(&["train", "--model", "vgg"], 2);
    assert!(error.contains("--encoder") && error.contains("resnet18"), "{error}");
}

#[test]
fn the_next_steps_that_are_printed_work() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    pictures(&at.join("my photos"));
    let arguments = [&["train", "my photos", "--steps", "3", "--quiet"], &TINY[..]].concat();
    let output = tercet(&arguments).current_dir(at).output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    let text = String::from_utf8(output.stdout).unwrap();
    let commands: Vec<&str> =
        text.lines().filter_map(|line| line.trim().strip_prefix("tercet ")).collect();
    let expected = if cfg!(feature = "serve") { 4 } else { 3 };
    assert_eq!(commands.len(), expected, "{text}");
    for command in commands {
        if command.starts_with("serve ") {
            let gallery = command.strip_prefix("serve ").unwrap();
            assert!(at.join(gallery.trim_matches('\'')).is_dir(), "{command}");
            continue;
        }
        let output = std::process::Command::new("sh")
            .args(["-c", &format!("\"$TERCET\" {command}")])
            .env("TERCET", env!("CARGO_BIN_EXE_tercet"))
            .current_dir(at)
            .output()
            .unwrap();
        assert!(output.status.success(), "{command}: {}", stderr(&output));
    }
}

#[test]
fn data_lists_the_kinds_of_sources() {
    let kinds = succeed(&["data", "list"]);
    assert!(kinds.contains("glyphs") && kinds.contains("folder:DIR"));
    let survey = json(&["data", "info", "quickstart", "--json"]);
    assert_eq!((&survey["classes"], &survey["items"]), (&500.into(), &10_500.into()));
}

#[test]
fn changed_images_are_the_same_decoded_before_or_on_demand() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    pictures(&data);
    let source = format!("folder:{}", data.display());
    let model = |name: &str, augment: &str, limit: &str| {
        let run = folder.path().join(name);
        let flags = ["--steps", "4", "--augment", augment, "--cache-limit", limit];
        succeed(&train(&source, run.to_str().unwrap(), &flags));
        fs::read(run.join("model.safetensors")).unwrap()
    };
    let changes = "photo:rotate=20,erase=0.5";
    let cached = model("cached", changes, "1GiB");
    assert_eq!(cached, model("on-demand", changes, "1KiB"));
    assert_ne!(cached, model("plain", "none", "1GiB"));
    let text = String::from_utf8_lossy(&cached);
    assert!(text.contains("photo:rotate=20,erase=0.5"), "the provenance does not tell");
}

#[test]
fn batches_by_camera_or_category_need_them() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    pictures(&data);
    let source = format!("folder:{}", data.display());
    let run = folder.path().join("run");
    let run = run.to_str().unwrap();
    for (flags, words) in [
        (["--sampling", "cameras"], ["tells no cameras", "/0.png"]),
        (["--sampling", "categories"], ["tells no category", "`class "]),
        (["--holdout-by", "category"], ["tells no category", "CATEGORY/CLASS"]),
    ] {
        let error = fail(&train(&source, run, &flags), 1);
        for word in words {
            assert!(error.contains(word), "{error}");
        }
    }
    let mut table = "path,label,camera\n".to_owned();
    for class in 0..8 {
        for instance in 0..6 {
            let ending = if instance % 2 == 0 { "png" } else { "jpg" };
            let (kind, camera) = (class / 4, instance % 3);
            table += &format!("class {class}/{instance}.{ending},{kind}/{class},{camera}\n");
        }
    }
    let file = data.join("list.csv");
    fs::write(&file, table).unwrap();
    let source = format!("manifest:{}", file.display());
    for (sampling, by, apart) in [("cameras", "class", 2), ("categories", "category", 4)] {
        let run = folder.path().join(sampling);
        let run = run.to_str().unwrap();
        let flags = ["--steps", "3", "--json", "--sampling", sampling, "--holdout-by", by];
        let trained = json(&train(&source, run, &flags));
        assert_eq!(trained["holdout"]["classes"], apart);
        // Judged again on the same classes.
        let model = format!("{run}/model.safetensors");
        let judged = json(&["eval", &model, &source, "--json", "--quiet"]);
        assert_eq!(judged["judged_classes"], "held-out");
        assert_eq!(judged["map_at_r"], trained["after"]["map_at_r"]);
    }
}
