//! `tercet eval` as a person calls it, on arrays whose figures can be told by hand.

#![allow(clippy::unwrap_used)]

mod common;

use std::fs;
use std::path::PathBuf;

use common::{TINY, fail, json, pictures, succeed};
use npyz::WriterBuilder;
use serde_json::Value;

struct Desk {
    folder: tempfile::TempDir,
}

impl Desk {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    fn path(&self, name: &str) -> String {
        let path: PathBuf = self.folder.path().join(name);
        path.display().to_string()
    }

    fn text(&self, name: &str, content: &str) -> String {
        fs::write(self.path(name), content).unwrap();
        self.path(name)
    }

    fn npy(&self, name: &str, dimensions: usize, values: &[f32]) -> String {
        let mut bytes = Vec::new();
        let shape = [(values.len() / dimensions) as u64, dimensions as u64];
        let mut writer = npyz::WriteOptions::new()
            .default_dtype()
            .shape(&shape)
            .writer(&mut bytes)
            .begin_nd()
            .unwrap();
        writer.extend(values.iter().copied()).unwrap();
        writer.finish().unwrap();
        fs::write(self.path(name), bytes).unwrap();
        self.path(name)
    }

    /// 12 classes of 5 points in the plane, the classes well apart.
    fn clusters(&self) -> (String, String) {
        let place = |item: usize| {
            let (class, member) = (item / 5, item % 5);
            let (x, y) = ((class % 4) as f32 * 10.0, (class / 4) as f32 * 10.0);
            [x + member as f32 * 0.31, y - member as f32 * 0.17]
        };
        let values: Vec<f32> = (0..60).flat_map(place).collect();
        let labels: Vec<String> = (0..60).map(|item| format!("c{}", item / 5)).collect();
        (self.npy("clusters.npy", 2, &values), self.text("clusters.txt", &labels.join("\n")))
    }

    /// The same classes, much of it noise.
    fn noise(&self) -> String {
        let value = |n: usize| ((n * 7919 + 13) % 1009) as f32 / 50.0;
        self.npy("noise.npy", 2, &(0..120).map(value).collect::<Vec<_>>())
    }
}

/// One command line of two parts.
fn joined<'a>(first: &[&'a str], more: &[&'a str]) -> Vec<&'a str> {
    [first, more].concat()
}

fn near(value: &Value, expected: f64) -> bool {
    (value.as_f64().unwrap() - expected).abs() < 1e-9
}

#[test]
fn retrieval_has_the_keys_of_the_contract() {
    let desk = Desk::new();
    let embeddings = desk.npy("line.npy", 1, &[0.0, 1.0, 3.0, 4.5, 50.0]);
    let labels = desk.text("line.txt", "ann\nann\nbob\nbob\ncarl\n");
    let judged = json(&["eval", &embeddings, "--labels", &labels, "--json"]);
    for key in ["queries", "gallery", "r_precision", "map_at_r", "map", "mrr", "ci95"] {
        assert!(judged.get(key).is_some(), "{key}: {judged}");
    }
    assert_eq!((&judged["queries"], &judged["skipped_queries"]), (&4.into(), &1.into()));
    assert_eq!(judged["recall_at_k"]["1"], 1.0);
    let text = succeed(&["eval", &embeddings, "--labels", &labels, "--quiet"]);
    assert!(
        text.contains("Recall@1") && text.contains("1 queries have no relevant item"),
        "{text}"
    );
}

#[test]
fn a_gallery_of_its_own_is_searched() {
    let desk = Desk::new();
    let queries = desk.npy("q.npy", 1, &[0.0, 10.0]);
    let labels = desk.text("q.txt", "a\nb\n");
    let gallery = desk.npy("g.npy", 1, &[1.0, 2.0, 9.0]);
    let gallery_labels = desk.text("g.txt", "b\na\nb\n");
    let arguments = ["eval", &queries, "--labels", &labels, "--gallery", &gallery];
    let judged = json(&joined(&arguments, &["--gallery-labels", &gallery_labels, "--json"]));
    assert!(near(&judged["map"], (0.5 + (1.0 + 2.0 / 3.0) / 2.0) / 2.0), "{judged}");
    let text = fail(&joined(&arguments, &[]), 1);
    assert!(text.contains("g.npy has no labels"), "{text}");
    let wide = desk.npy("wide.npy", 3, &[0.0; 9]);
    let text = fail(
        &[
            "eval",
            &queries,
            "--labels",
            &labels,
            "--gallery",
            &wide,
            "--gallery-labels",
            &gallery_labels,
        ],
        1,
    );
    assert!(text.contains("3 dimensions: expected 1"), "{text}");
}

#[test]
fn reidentification_names_both_precisions() {
    let desk = Desk::new();
    // Same camera, match, other person, match: precisions 1 and 2/3 at the matches.
    let queries = desk.npy("q.npy", 1, &[0.0]);
    let gallery = desk.npy("g.npy", 1, &[0.0, 1.0, 2.0, 3.0, 0.5, 0.6]);
    let files = [
        ("q.txt", "7\n"),
        ("qc.txt", "1\n"),
        ("g.txt", "7\n7\n3\n7\n-1\n0\n"),
        ("gc.txt", "1\n2\n2\n3\n4\n4\n"),
    ]
    .map(|(name, content)| desk.text(name, content));
    let [labels, cameras, gallery_labels, gallery_cameras] = &files;
    let arguments = [
        "eval",
        &queries,
        "--protocol",
        "reid",
        "--labels",
        labels,
        "--cameras",
        cameras,
        "--gallery",
        &gallery,
        "--gallery-labels",
        gallery_labels,
    ];
    let judged = json(&joined(
        &arguments,
        &["--gallery-cameras", gallery_cameras, "--single-shot", "--json"],
    ));
    // The distractor of identity 0 comes first, junk does not count.
    assert!(near(&judged["map"], (1.0 / 2.0 + 2.0 / 4.0) / 2.0), "{judged}");
    assert!(near(&judged["map_market"], (0.25 + (1.0 / 3.0 + 0.5) / 2.0) / 2.0), "{judged}");
    assert_eq!((&judged["cmc"]["1"], &judged["cmc"]["2"]), (&0.0.into(), &1.0.into()));
    assert!(near(&judged["minp"], 0.5) && judged["convention"].is_string(), "{judged}");
    assert!(judged["single_shot"]["cmc"]["1"].is_number(), "{judged}");
    let text = fail(&joined(&arguments, &[]), 2);
    assert!(text.contains("--gallery-cameras is missing"), "{text}");
    let text = fail(&["eval", &queries, "--labels", labels, "--protocol", "reid"], 2);
    assert!(text.contains("has not a query and a gallery"), "{text}");
}

#[test]
fn verification_takes_drawn_and_listed_pairs() {
    let desk = Desk::new();
    let (embeddings, labels) = desk.clusters();
    let arguments = ["eval", &embeddings, "--labels", &labels, "--protocol", "verification"];
    let judged = json(&joined(&arguments, &["--json"]));
    assert_eq!((&judged["accuracy"]["mean"], &judged["auc"]), (&1.0.into(), &1.0.into()));
    assert_eq!((&judged["eer"], &judged["val_at_far"]["0.001"]["val"]), (&0.0.into(), &1.0.into()));
    assert!(judged["pairs"].is_number() && judged["threshold"].is_number());

    let pairs =
        desk.text("pairs.csv", "path1,path2,same,fold\n0,1,1,0\n0,59,0,0\n5,6,1,1\n5,58,0,1\n");
    let judged = json(&joined(&arguments, &["--pairs", &pairs, "--json"]));
    assert_eq!((&judged["pairs"], &judged["accuracy"]["mean"]), (&4.into(), &1.0.into()));

    let pairs = desk.text("missing.csv", "path1,path2,same\n0,1,1\n0,77,0\n");
    let text = fail(&joined(&arguments, &["--pairs", &pairs]), 1);
    assert!(text.contains("missing.csv") && text.contains("77"), "{text}");
    let one = desk.text("one.txt", &"a\n".repeat(60));
    let text = fail(&["eval", &embeddings, "--labels", &one, "--protocol", "verification"], 1);
    assert!(text.contains("two classes"), "{text}");
}

#[test]
fn episodes_and_clusters_of_well_separated_classes_are_perfect() {
    let desk = Desk::new();
    let (embeddings, labels) = desk.clusters();
    let arguments = ["eval", &embeddings, "--labels", &labels];
    let judged = json(&joined(&arguments, &["--protocol", "one-shot", "--ways", "5", "--json"]));
    assert_eq!(judged["error"], 0.0);
    let text = fail(&joined(&arguments, &["--protocol", "one-shot", "--ways", "13"]), 1);
    assert!(text.contains("13"), "{text}");
    for algorithm in ["average-linkage", "k-means", "hdbscan", "chinese-whispers"] {
        let judged = json(&joined(
            &arguments,
            &["--protocol", "clustering", "--algorithm", algorithm, "--min-items", "3", "--json"],
        ));
        assert_eq!(judged["clusters"], 12, "{algorithm}: {judged}");
        for key in ["nmi", "ami", "ari", "pairwise_f1", "bcubed_f1"] {
            assert!(near(&judged[key], 1.0), "{algorithm} {key}: {judged}");
        }
    }
}

#[test]
fn systems_are_compared_in_pairs_and_the_page_is_written() {
    let desk = Desk::new();
    let (good, labels) = desk.clusters();
    let noise = desk.noise();
    let page = desk.path("page.html");
    let judged = json(&[
        "eval", &noise, &good, "--labels", &labels, "--report", &page, "--census", "--json",
    ]);
    assert_eq!(judged["systems"].as_array().unwrap().len(), 2);
    let first = &judged["differences"][0];
    assert_eq!((&first["figure"], &first["real"]), (&"Recall@1".into(), &true.into()));
    assert_eq!(judged["systems"][0]["census"]["triplets"], 60 * 4 * 55);
    let html = fs::read_to_string(page).unwrap();
    assert!(html.starts_with("<!DOCTYPE html>") && html.contains("noise.npy"), "no page");
}

#[test]
fn every_step_after_embedding_is_a_row() {
    let desk = Desk::new();
    let (embeddings, labels) = desk.clusters();
    let judged = json(&[
        "eval",
        &embeddings,
        "--labels",
        &labels,
        "--whiten",
        "2",
        "--quantize",
        "8-bit",
        "--expand",
        "3,1",
        "--rerank",
        "4,2,0.3",
        "--json",
    ]);
    let systems = judged["systems"].as_array().unwrap();
    let names: Vec<&str> =
        systems.iter().map(|system| system["judged"].as_str().unwrap()).collect();
    assert_eq!(names.len(), 5, "{names:?}");
    assert!(names[4].ends_with("clusters.npy + whiten 2 + 8-bit, 2 bytes + expand 3,1 + rerank"));
    assert!(systems.iter().all(|system| near(&system["map_at_r"], 1.0)), "{judged}");
    let text = fail(&["eval", &embeddings, "--labels", &labels, "--pca", "3"], 1);
    assert!(text.contains('3') && text.contains('2'), "{text}");
}

#[test]
fn a_model_is_judged_with_views() {
    let desk = Desk::new();
    let photos = desk.path("photos");
    pictures(photos.as_ref());
    let model = desk.path("model.safetensors");
    let run = desk.path("run");
    let train = ["train", &photos, "--run", &run, "--out", &model, "--steps", "4", "--quiet"];
    succeed(&[&train[..], &TINY].concat());
    let page = desk.path("page.html");
    for (protocol, key) in
        [("retrieval", "map_at_r"), ("verification", "auc"), ("clustering", "nmi")]
    {
        let judged = json(&[
            "eval",
            &model,
            &photos,
            "--all-classes",
            "--protocol",
            protocol,
            "--views",
            "crops-flip",
            "--report",
            &page,
            "--json",
        ]);
        assert!(judged[key].is_number(), "{protocol}: {judged}");
    }
    assert!(fs::read_to_string(&page).unwrap().contains("data:image/png"));
    let text = fail(&["eval", &model], 2);
    assert!(text.contains("needs a source"), "{text}");
}

#[test]
fn bad_arrays_are_named() {
    let desk = Desk::new();
    let (embeddings, _) = desk.clusters();
    let labels = desk.text("short.txt", "a\nb\n");
    let text = fail(&["eval", &embeddings, "--labels", &labels], 1);
    assert!(text.contains("short.txt has 2 labels: expected 60"), "{text}");
    let nan = desk.npy("nan.npy", 1, &[0.0, f32::NAN, 1.0, 2.0]);
    let labels = desk.text("four.txt", "a\na\nb\nb\n");
    let text = fail(&["eval", &nan, "--labels", &labels], 1);
    assert!(text.contains("nan.npy") && text.contains("row 1"), "{text}");
    let text =
        fail(&["eval", &embeddings, "--labels", &desk.text("one.txt", &"a\n".repeat(60))], 1);
    assert!(text.contains("all items are of one class"), "{text}");
    let text = fail(&["eval", "nothing.npy", "--labels", &labels], 1);
    assert!(text.contains("nothing.npy"), "{text}");
    let text = fail(&["eval", "folder-of-photos", &nan], 2);
    assert!(text.contains("a source comes last"), "{text}");
}
