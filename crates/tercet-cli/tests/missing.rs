//! What a build without some of the cargo features says when they are asked for.
//!
//! With `--features full` nothing is missing, and only the first test has something to check.

#![allow(clippy::unwrap_used)] // tests may panic

mod common;

use common::{World, fail, run, succeed};

/// The end of each message.
const ADVICE: &str = "cargo install --path crates/tercet-cli --features full";

/// A command line that needs a missing feature fails with one line that says how to get it.
fn refuses(built: bool, arguments: &[&str], what: &str) {
    if built {
        return;
    }
    let text = fail(arguments, 1);
    assert!(text.contains(&format!("this build has no {what}: {ADVICE}")), "{arguments:?}: {text}");
    assert_eq!(text.trim_end().lines().count(), 1, "{text}");
}

#[test]
fn every_command_is_listed_in_every_build() {
    let help = succeed(&["--help"]);
    for (command, built) in [
        ("gallery", cfg!(feature = "gallery")),
        ("serve", cfg!(feature = "serve")),
        ("upgrade", cfg!(feature = "gallery")),
    ] {
        let mut lines = help.lines().map(str::trim_start);
        let line = lines.find(|line| line.starts_with(&format!("{command} "))).unwrap();
        assert_eq!(line.contains("not in this build"), !built, "{line}");
        assert!(run(&[command, "--help"]).status.success(), "{command}");
    }
}

#[test]
fn missing_commands_say_how_to_get_them() {
    refuses(cfg!(feature = "gallery"), &["gallery"], "`tercet gallery`");
    let create = ["gallery", "create", "faces", "photos", "--model", "m", "--skip-bad"];
    refuses(cfg!(feature = "gallery"), &create, "`tercet gallery`");
    let upgrade = ["upgrade", "faces", "--model", "new.safetensors"];
    refuses(cfg!(feature = "gallery"), &upgrade, "`tercet upgrade`");
    refuses(cfg!(feature = "serve"), &["serve"], "`tercet serve`");
    refuses(cfg!(feature = "serve"), &["serve", "faces", "--port", "0"], "`tercet serve`");
}

#[test]
fn missing_encoders_say_how_to_get_them() {
    let photos = World::get().text("photos");
    let train = ["train", &photos, "--backbone", "encoder.onnx", "--steps", "1"];
    refuses(cfg!(feature = "onnx"), &train, "ONNX");
    refuses(cfg!(feature = "onnx"), &["eval", "encoder.onnx", &photos], "ONNX");
}

#[test]
fn missing_kinds_of_files_say_how_to_get_them() {
    let world = World::get();
    let model = world.text("model.safetensors");
    let [photos, table, out] = ["photos", "table.parquet", "out.parquet"].map(|n| world.text(n));
    std::fs::write(&table, b"PAR1").unwrap();
    let built = cfg!(feature = "parquet");
    refuses(built, &["eval", &table], "Parquet");
    refuses(built, &["loss", &table], "Parquet");
    refuses(built, &["cluster", &table], "Parquet");
    refuses(built, &["embed", &model, &photos, "--out", &out], "Parquet");
    refuses(built, &["train", &table, "--steps", "1"], "Parquet");
    refuses(built, &["train", &format!("manifest:{table}"), "--steps", "1"], "Parquet");
    refuses(built, &["data", "info", &table], "Parquet");
    let embed = ["embed", "--onnx", "net.onnx", "--size", "32", "glyphs", "--out", "e.npy"];
    refuses(cfg!(feature = "onnx"), &embed, "ONNX");
    let page = world.text("page.html");
    let eval = ["eval", &model, &photos, "--report", &page, "--map", "t-sne"];
    refuses(cfg!(feature = "tsne"), &eval, "t-SNE");
}

#[cfg(all(feature = "gallery", not(all(feature = "hnsw", feature = "postgres"))))]
#[test]
fn missing_kinds_of_galleries_say_how_to_get_them() {
    let world = World::get();
    let [photos, model, gallery] =
        ["photos", "model.safetensors", "new.gallery"].map(|n| world.text(n));
    let create = ["gallery", "create", &gallery, &photos, "--model", &model, "--index", "hnsw"];
    refuses(cfg!(feature = "hnsw"), &create, "--index hnsw");
    assert_eq!(world.path("new.gallery").exists(), cfg!(feature = "hnsw"));
    let info = ["gallery", "info", "postgres://ann:secret@host/faces"];
    refuses(cfg!(feature = "postgres"), &info, "galleries in PostgreSQL");
}
