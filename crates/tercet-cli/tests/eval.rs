//! `tercet eval` as a person calls it, on arrays whose figures can be told by hand.

#![allow(clippy::unwrap_used)]

mod common;

use std::fs;
use std::path::PathBuf;

use common::{World, fail, json, run, stderr, succeed};
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
        text.contains("Recall@1") && text.contains("1 query has no relevant item and is left out"),
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
    assert!(text.contains("has no queries and a gallery"), "{text}");
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
fn a_model_is_evaluated_with_views() {
    let (desk, world) = (Desk::new(), World::get());
    let (model, photos) = (world.text("model.safetensors"), world.text("photos"));
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

/// The figures of a retrieval that do not depend on how its sides are called.
fn figures(judged: &Value) -> [f64; 4] {
    ["map_at_r", "map", "mrr", "r_precision"].map(|key| judged[key].as_f64().unwrap())
}

fn same_figures(one: &Value, other: &Value) -> bool {
    figures(one).iter().zip(figures(other)).all(|(one, other)| (one - other).abs() < 1e-6)
}

#[test]
fn an_array_that_searches_itself_is_left_one_out() {
    let desk = Desk::new();
    let noise = desk.noise();
    let (_, labels) = desk.clusters();
    let alone = ["eval", &noise, "--labels", &labels, "--json"];
    let both = joined(&alone, &["--gallery", &noise, "--gallery-labels", &labels]);
    for steps in [&[][..], &["--rerank", "4,2,0.3"], &["--expand", "3,1"], &["--whiten", "2"]] {
        let (alone, both) = (json(&joined(&alone, steps)), json(&joined(&both, steps)));
        let last = |judged: &Value| match judged["systems"].as_array() {
            Some(systems) => systems.last().unwrap().clone(),
            None => judged.clone(),
        };
        let (alone, both) = (last(&alone), last(&both));
        assert!(same_figures(&alone, &both), "{steps:?}: {alone} {both}");
        assert!(both["recall_at_k"]["1"].as_f64().unwrap() < 0.6, "{both}");
        assert_eq!(both["queries_in_gallery"], 60, "{both}");
        assert_eq!(both["same_item_by"], "content", "{both}");
    }
    // Items are not paired, or grouped, with themselves either.
    for protocol in ["verification", "one-shot", "clustering"] {
        let protocol = ["--protocol", protocol];
        let (alone, both) = (json(&joined(&alone, &protocol)), json(&joined(&both, &protocol)));
        for key in ["accuracy", "error", "nmi"] {
            assert_eq!(alone[key], both[key], "{protocol:?}");
        }
    }
    let arguments = joined(&both[..4], &["--gallery", &noise, "--gallery-labels", &labels]);
    let text = succeed(&arguments);
    assert!(text.contains("exactly the vector of a query") && text.contains("60 of 60"), "{text}");

    // Some of the rows query all of them: the others of a class are found, the row itself is not.
    let queries = desk.npy("some.npy", 1, &[0.0, 10.0]);
    let gallery = desk.npy("all.npy", 1, &[0.0, 10.0, 1.0, 11.0, 0.5]);
    let (few, all) = (desk.text("few.txt", "a\nb\n"), desk.text("all.txt", "a\nb\na\nb\nb\n"));
    let arguments = ["eval", &queries, "--labels", &few, "--gallery", &gallery];
    let judged = json(&joined(&arguments, &["--gallery-labels", &all, "--json"]));
    assert_eq!(judged["recall_at_k"]["1"], 0.5, "{judged}");
    assert!(near(&judged["mrr"], 0.75), "{judged}");
}

#[test]
fn ids_tell_which_items_are_the_same() {
    let (desk, world) = (Desk::new(), World::get());
    let (model, photos) = (world.text("model.safetensors"), world.text("photos"));
    let vectors = desk.path("e.safetensors");
    succeed(&["embed", &model, &photos, "--out", &vectors, "--quiet"]);
    let alone = json(&["eval", &vectors, "--json"]);
    let both = ["eval", &vectors, "--gallery", &vectors];
    let judged = json(&joined(&both, &["--json"]));
    assert!(same_figures(&alone, &judged), "{alone} {judged}");
    assert_eq!(
        (&judged["same_item_by"], &judged["queries_in_gallery"]),
        (&"id".into(), &48.into())
    );
    let text = succeed(&both);
    assert!(text.contains("48 of the 48 queries are in the gallery too"), "{text}");
    // Other vectors under the same ids, as another model makes them, are the same items.
    let views = desk.path("views.safetensors");
    succeed(&["embed", &model, &photos, "--views", "flip", "--out", &views, "--quiet"]);
    let judged = json(&["eval", &vectors, "--gallery", &views, "--json"]);
    assert_eq!(judged["queries_in_gallery"], 48, "{judged}");
    assert!((figures(&judged)[1] - figures(&alone)[1]).abs() < 0.2, "{judged} {alone}");
}

/// 40 pictures of noise in 10 classes, and what a manifest says of each.
fn noise_pictures(desk: &Desk, columns: &str, row: &str) -> String {
    let mut manifest = format!("path,label,{columns}\n");
    for item in 0..40_u32 {
        let name = format!("{item}.png");
        let pixel = |x: u32, y: u32| {
            let mut bits = (x * 131 + y * 17 + item * 7919).wrapping_mul(0x9E37_79B9) ^ item;
            bits ^= bits >> 15;
            image::Luma([(bits.wrapping_mul(0x85EB_CA6B) >> 24) as u8])
        };
        image::GrayImage::from_fn(16, 16, pixel).save(desk.path(&name)).unwrap();
        manifest += &format!("{name},{},{row}\n", item % 10);
    }
    desk.text(&format!("{}.csv", columns.len()), &manifest)
}

#[test]
fn a_picture_with_both_flags_does_not_find_itself() {
    let (desk, world) = (Desk::new(), World::get());
    let model = world.text("model.safetensors");
    let plain = noise_pictures(&desk, "split", "validation");
    let both = noise_pictures(&desk, "split,is_query,is_gallery", "validation,True,True");
    for steps in [&[][..], &["--rerank"], &["--expand", "3"], &["--whiten", "4"]] {
        let arguments = |list: &str| json(&joined(&["eval", &model, list, "--json"], steps));
        let (plain, both) = (arguments(&plain), arguments(&both));
        let last = |judged: &Value| match judged["systems"].as_array() {
            Some(systems) => systems.last().unwrap().clone(),
            None => judged.clone(),
        };
        let (plain, both) = (last(&plain), last(&both));
        assert!(same_figures(&plain, &both), "{steps:?}: {plain} {both}");
        assert!(both["recall_at_k"]["1"].as_f64().unwrap() < 0.5, "{both}");
        assert_eq!(both["queries_in_gallery"], 40);
    }
    // One picture under two names is one item.
    let twice = fs::read_to_string(&plain).unwrap();
    let twice: String = twice
        .lines()
        .skip(1)
        .flat_map(|line| {
            let line = line.strip_suffix(",validation").unwrap();
            [format!("{line},1,0\n"), format!("./{line},0,1\n")]
        })
        .collect();
    let twice = desk.text("twice.csv", &format!("path,label,is_query,is_gallery\n{twice}"));
    let judged = json(&["eval", &model, &twice, "--json"]);
    let alone = json(&["eval", &model, &plain, "--json"]);
    assert!(same_figures(&alone, &judged), "{alone} {judged}");
    // Re-identification: another camera on each side would let a picture find itself.
    let cameras: String = fs::read_to_string(&twice)
        .unwrap()
        .lines()
        .skip(1)
        .enumerate()
        .map(|(place, line)| format!("{line},c{}\n", place % 2))
        .collect();
    let cameras =
        desk.text("cameras.csv", &format!("path,label,is_query,is_gallery,camera\n{cameras}"));
    for steps in [&[][..], &["--rerank"]] {
        let arguments = joined(&["eval", &model, &cameras, "--protocol", "reid", "--json"], steps);
        let judged = json(&arguments);
        let judged = judged["systems"].as_array().map_or(&judged, |all| all.last().unwrap());
        assert!(judged["cmc"]["1"].as_f64().unwrap() < 0.5, "{judged}");
    }
}

#[test]
fn several_systems_of_every_kind_are_compared() {
    let (desk, world) = (Desk::new(), World::get());
    let (model, photos) = (world.text("model.safetensors"), world.text("photos"));
    let other = desk.path("other.safetensors");
    fs::copy(&model, &other).unwrap();
    let two = json(&["eval", &model, &other, &photos, "--json", "--quiet"]);
    assert_eq!(two["systems"].as_array().unwrap().len(), 2);
    assert_eq!(two["differences"][0]["difference"], 0.0);
    // The held-out classes of the models, and a file of embeddings of all classes beside them.
    let vectors = desk.path("e.safetensors");
    succeed(&["embed", &model, &photos, "--out", &vectors, "--quiet"]);
    let three = ["eval", &model, &vectors, &other, &photos, "--quiet"];
    let judged = json(&joined(&three, &["--all-classes", "--json"]));
    assert_eq!(judged["systems"].as_array().unwrap().len(), 3);
    assert_eq!(judged["differences"].as_array().unwrap().len(), 9);
    let judged = json(&joined(&three, &["--json"]));
    assert!(judged["differences"].as_array().unwrap().is_empty(), "{judged}");
    let text = succeed(&three);
    assert!(text.contains("their differences are not tested"), "{text}");
    let embeddings = json(&["eval", &vectors, &vectors, "--json"]);
    assert_eq!(embeddings["differences"][0]["difference"], 0.0);
    let text = fail(&["eval", &vectors, &vectors, &photos], 2);
    assert!(text.contains("need no source"), "{text}");
    let text = fail(&["eval", &model, &photos, "--normalize"], 2);
    assert!(text.contains("--normalize is for files of embeddings"), "{text}");
}

#[test]
fn classes_that_were_trained_on_are_counted() {
    let (desk, world) = (Desk::new(), World::get());
    let (model, photos) = (world.text("model.safetensors"), world.text("photos"));
    let page = desk.path("page.html");
    let all = ["eval", &model, &photos, "--all-classes", "--report", &page];
    let judged = json(&joined(&all, &["--json"]));
    assert_eq!((&judged["seen_classes"], &judged["unseen_classes"]), (&4.into(), &4.into()));
    let text = succeed(&all);
    assert!(text.contains("8 classes (all: 4 seen in training, 4 not)"), "{text}");
    assert!(fs::read_to_string(page).unwrap().contains("all: 4 seen in training, 4 not"));
    let judged = json(&["eval", &model, &photos, "--json", "--quiet"]);
    assert_eq!((&judged["judged_classes"], &judged["classes"]), (&"held-out".into(), &4.into()));
    assert!(judged.get("seen_classes").is_none(), "{judged}");
}

#[test]
fn figures_fit_a_narrow_terminal() {
    let desk = Desk::new();
    let (good, labels) = desk.clusters();
    let noise = desk.noise();
    for columns in [60, 80] {
        for arguments in [
            vec!["eval", &good, &noise, "--labels", &labels, "--census"],
            vec!["eval", &good, "--labels", &labels, "--protocol", "verification"],
            vec!["eval", &good, "--labels", &labels, "--protocol", "clustering", "--whiten", "2"],
            vec!["eval", &good, "--labels", &labels, "--protocol", "one-shot"],
            vec!["loss", &noise, "--labels", &labels],
        ] {
            let output = common::tercet(&arguments).env("COLUMNS", columns.to_string()).output();
            let text = String::from_utf8(output.unwrap().stdout).unwrap();
            assert!(!text.is_empty());
            for line in text.lines().filter(|line| !line.contains('/')) {
                assert!(line.chars().count() <= columns, "{columns}: {line}\n{text}");
            }
        }
    }
    let wide = run(&["eval", &good, "--labels", &labels]);
    assert!(stderr(&wide).is_empty(), "{}", stderr(&wide));
}
