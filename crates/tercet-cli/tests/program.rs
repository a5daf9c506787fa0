//! `tercet doctor`, `tercet completions` and `tercet man`: what the program says about itself.

#![allow(clippy::unwrap_used)] // tests may panic

mod common;

use std::fs;

use common::{fail, json, succeed};

#[test]
fn the_doctor_lists_every_feature_and_how_to_get_those_that_are_missing() {
    let found = json(&["doctor", "--json"]);
    assert_eq!(found["version"], env!("CARGO_PKG_VERSION"));
    let features = found["build"]["features"].as_array().unwrap();
    let of = |name: &str| features.iter().find(|feature| feature["name"] == name).unwrap();
    assert_eq!(of("gallery")["compiled"], cfg!(feature = "gallery"));
    assert_eq!(of("parquet")["compiled"], cfg!(feature = "parquet"));
    let is_complete = features.iter().all(|feature| feature["compiled"] == true);
    let text = succeed(&["doctor"]);
    assert_eq!(text.contains("--features"), !is_complete, "{text}");
    assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
}

#[test]
fn every_shell_completes_the_commands() {
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let text = succeed(&["completions", shell]);
        for word in ["train", "objective", "eval"] {
            assert!(text.contains(word), "{shell} lacks {word}");
        }
    }
    assert!(fail(&["completions", "csh"], 2).contains("bash"));
}

#[test]
fn manual_pages_are_written_for_every_command() {
    assert!(succeed(&["man"]).contains(".TH tercet 1"));
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("man1");
    succeed(&["man", "--out", out.to_str().unwrap()]);
    let page = |name: &str| fs::read_to_string(out.join(name)).unwrap();
    assert!(page("tercet.1").contains("tercet"));
    let train = page("tercet-train.1");
    for word in ["objective", "learning\\-rate", "facenet"] {
        assert!(train.contains(word), "{word}");
    }
}
