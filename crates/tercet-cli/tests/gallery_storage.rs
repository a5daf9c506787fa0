//! `tercet gallery` where something goes wrong: advice that works when it is followed, files that are
//! left alone, writers that wait, codes that say what they find, copies.

#![allow(clippy::unwrap_used)] // tests may panic

mod common;

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use common::{World, fail, json, pictures, run, stderr, succeed, tercet};
use ndarray::{Array2, s};
use tercet_train::embeddings::Embeddings;

/// Vectors that look random and depend on `seed` alone.
fn vectors(rows: usize, dimensions: usize, seed: u64) -> Array2<f32> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    Array2::from_shape_fn((rows, dimensions), |_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 40) as f32 / (1 << 23) as f32 - 1.0
    })
}

fn save(path: &str, vectors: &Array2<f32>, ids: Option<Vec<String>>) {
    let embeddings = Embeddings { vectors: vectors.clone(), labels: None, ids, model: None };
    embeddings.save(Path::new(path)).unwrap();
}

/// Runs the command that a message gives between backticks, as a shell takes it.
fn follow(message: &str) -> String {
    let command = message.split('`').find(|part| part.starts_with("tercet ")).unwrap();
    let binary = env!("CARGO_BIN_EXE_tercet");
    let folder = Path::new(binary).parent().unwrap().display();
    let output = Command::new("sh")
        .args(["-c", &format!("PATH=\"{folder}:$PATH\"; {command} --json --quiet")])
        .output()
        .unwrap();
    assert!(output.status.success(), "{command}: {}", stderr(&output));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn the_advice_after_a_failure_completes_the_work() {
    let world = World::get();
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let model = world.text("model.safetensors");
    let photos = path("my photos");
    pictures(photos.as_ref());
    fs::write(path("my photos/class 5/5.jpg"), "not a picture").unwrap();
    let gallery = path("it's a gallery");

    let create = ["gallery", "create", &gallery, &photos, "--model", &model, "--prefix", "a b/"];
    let error = fail(&[&create[..], &["--thumbnails", "0"]].concat(), 1);
    assert!(error.contains("class 5/5.jpg") && error.contains("--skip-bad"), "{error}");
    let done: serde_json::Value = serde_json::from_str(&follow(&error)).unwrap();
    assert_eq!((&done["items"], &done["skipped"][0]["id"]), (&47.into(), &"class 5/5.jpg".into()));
    let info = json(&["gallery", "info", &gallery, "--verify", "--json"]);
    assert_eq!((&info["items"], &info["has_model"]), (&47.into(), &true.into()));
    let by_id = json(&["gallery", "search", &gallery, "--id", "a b/class 3/2.png", "--json"]);
    assert!(by_id["queries"][0]["hits"][0]["id"].as_str().unwrap().starts_with("a b/"));

    // The same for an addition that replaces, under another prefix.
    let add =
        ["gallery", "add", &gallery, &photos, "--prefix", "c/", "--replace", "--model", &model];
    let done: serde_json::Value = serde_json::from_str(&follow(&fail(&add, 1))).unwrap();
    assert_eq!(done["items"], 94);
}

#[test]
fn a_conflict_of_ids_is_solved_as_the_message_says() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (gallery, first, second) = (path("g"), path("first.npy"), path("second.npy"));
    save(&first, &vectors(9000, 4, 1), None);
    // The same numbers of rows as ids, and the conflict only far behind.
    let mut rows = vectors(9000, 4, 1);
    rows.row_mut(8500).fill(3.0);
    save(&second, &rows, None);
    json(&["gallery", "create", &gallery, &first, "--json", "--quiet"]);
    let again = json(&["gallery", "add", &gallery, &first, "--json", "--quiet"]);
    assert_eq!((&again["added"], &again["kept"]), (&0.into(), &9000.into()));

    let error = fail(&["gallery", "add", &gallery, &second, "--quiet"], 1);
    for word in ["`8500`", "another vector", "--prefix", "--replace", "nothing was added"] {
        assert!(error.contains(word), "{error}");
    }
    assert!(!error.contains("continue with"), "{error}");
    let done =
        json(&["gallery", "add", &gallery, &second, "--prefix", "second/", "--json", "--quiet"]);
    assert_eq!((&done["added"], &done["items"]), (&9000.into(), &18_000.into()));
    let done = json(&["gallery", "add", &gallery, &second, "--replace", "--json", "--quiet"]);
    assert_eq!((&done["replaced"], &done["items"]), (&9000.into(), &18_000.into()));

    // Twice in one source: no prefix helps, and nothing is made.
    let (twice, ids) = (path("twice.safetensors"), ["x", "y", "x"].map(str::to_owned));
    save(&twice, &vectors(3, 4, 2), Some(ids.into()));
    let error = fail(&["gallery", "create", &path("h"), &twice], 1);
    assert!(error.contains("two items with the id `x`") && !error.contains("--prefix"), "{error}");
    assert!(!Path::new(&path("h")).exists());
}

#[test]
fn rows_that_cannot_be_used_are_named_by_file_and_row_and_left_out() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (gallery, file) = (path("g"), path("rows.npy"));
    let mut rows = vectors(9100, 4, 1);
    rows[[8999, 2]] = f32::NAN;
    rows[[17, 0]] = f32::INFINITY;
    save(&file, &rows, None);
    let create = ["gallery", "create", &gallery, &file, "--quiet"];
    let error = fail(&create, 1);
    for word in ["rows.npy, row 17", "column 0", "inf", "1 more", "--skip-bad"] {
        assert!(error.contains(word), "{error}");
    }
    assert!(!Path::new(&gallery).exists());
    let made = json(&[&create[..], &["--skip-bad", "--json"]].concat());
    assert_eq!((&made["items"], &made["added"]), (&9098.into(), &9098.into()));
    assert_eq!(made["skipped"].as_array().unwrap().len(), 2);
    assert_eq!(made["skipped"][1]["id"], "8999");
    assert!(made["skipped"][1]["path"].as_str().unwrap().contains("rows.npy, row 8999"));
    // The rows behind the bad ones keep their numbers.
    let found = json(&["gallery", "search", &gallery, "--id", "9099", "-k", "1", "--json"]);
    assert_eq!(found["queries"][0]["query"], "9099");

    let mut more = vectors(20, 4, 5);
    more.row_mut(3).fill(f32::NEG_INFINITY);
    save(&file, &more, None);
    let add = ["gallery", "add", &gallery, &file, "--prefix", "more/", "--quiet"];
    assert!(fail(&add, 1).contains("rows.npy, row 3"));
    let added = json(&[&add[..], &["--skip-bad", "--json"]].concat());
    assert_eq!((&added["added"], &added["skipped"][0]["id"]), (&19.into(), &"3".into()));

    // Where only directions count, a row without one is as bad.
    more.row_mut(3).fill(0.0);
    save(&file, &more, None);
    let create = ["gallery", "create", &path("h"), &file, "--distance", "cosine", "--quiet"];
    assert!(fail(&create, 1).contains("length is 0"));
    assert_eq!(json(&[&create[..], &["--skip-bad", "--json"]].concat())["items"], 19);
}

#[test]
fn a_gallery_is_not_made_in_a_folder_with_other_files() {
    let world = World::get();
    let run_folder = tempfile::tempdir().unwrap();
    let kept = run_folder.path().join("model.safetensors");
    fs::copy(world.path("model.safetensors"), &kept).unwrap();
    let before = fs::read(&kept).unwrap();
    let (to, model) = (run_folder.path().to_str().unwrap(), world.text("model.safetensors"));
    let create = ["gallery", "create", to, &world.text("photos"), "--model", &model];
    let error = fail(&create, 1);
    assert!(error.contains("not empty") && error.contains("model.safetensors"), "{error}");
    assert_eq!(fs::read(&kept).unwrap(), before);
    assert_eq!(fs::read_dir(run_folder.path()).unwrap().count(), 1);
}

#[test]
fn a_gallery_without_its_model_is_completed() {
    let world = World::get();
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (gallery, photos) = (path("g"), world.text("photos"));
    let (model, vectors) = (world.text("model.safetensors"), path("e.safetensors"));
    succeed(&["embed", &model, &photos, "--out", &vectors, "--quiet"]);
    json(&["gallery", "create", &gallery, &vectors, "--json", "--quiet"]);
    let add = ["gallery", "add", &gallery, &photos, "--prefix", "p/", "--json", "--quiet"];
    let error = fail(&add, 2);
    assert!(error.contains("--model"), "{error}");
    let added = json(&[&add[..], &["--model", &model]].concat());
    assert_eq!(added["items"], 96);
    // From now on the gallery has it.
    assert_eq!(json(&["gallery", "info", &gallery, "--verify", "--json"])["has_model"], true);
    let picture = world.text("photos/class 3/2.png");
    let found = json(&["gallery", "search", &gallery, &picture, "-k", "2", "--json"]);
    assert_eq!(found["queries"][0]["hits"][0]["label"], "class 3");
}

#[test]
fn a_writer_waits_for_another_one_and_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (gallery, file) = (path("g"), path("rows.npy"));
    save(&file, &vectors(20, 4, 1), None);
    json(&["gallery", "create", &gallery, &file, "--json", "--quiet"]);
    let writer = tercet_gallery::writer(&gallery).unwrap();
    let add = ["gallery", "add", &gallery, &file, "--prefix", "b/"];
    let error = fail(&[&add[..], &["--wait", "0"]].concat(), 1);
    assert!(error.contains("being written") && error.contains("--wait"), "{error}");
    for command in [["compact", &gallery, "--wait", "1"], ["remove", &gallery, "3", "--wait=1"]] {
        let error = fail(&[&["gallery"][..], &command].concat(), 1);
        assert!(error.contains("being written") && error.contains("waited 1 s"), "{error}");
    }
    let waits = tercet(&add).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    std::thread::sleep(Duration::from_secs(1));
    drop(writer);
    let output = waits.wait_with_output().unwrap();
    let told = stderr(&output);
    assert!(output.status.success() && told.contains("at most 30 s"), "{told}");
    assert_eq!(json(&["gallery", "info", &gallery, "--json"])["items"], 40);
}

#[test]
fn several_values_of_an_attribute_are_alternatives() {
    let world = World::get();
    let folder = tempfile::tempdir().unwrap();
    let manifest = folder.path().join("list.csv");
    let photos = world.text("photos");
    let rows: String = (0..6)
        .map(|of| {
            let ending = if of % 2 == 0 { "png" } else { "jpg" };
            format!("{photos}/class 1/{of}.{ending},one,camera-{}\n", of % 3)
        })
        .collect();
    fs::write(&manifest, format!("path,label,camera\n{rows}")).unwrap();
    let gallery = folder.path().join("g").to_str().unwrap().to_owned();
    let model = world.text("model.safetensors");
    let create = ["gallery", "create", &gallery, manifest.to_str().unwrap(), "--model", &model];
    succeed(&[&create[..], &["--quiet"]].concat());
    let query = world.text("photos/class 1/0.png");
    let found = |attributes: &[&str]| {
        let mut search = vec!["gallery", "search", &gallery, &query, "--json"];
        attributes.iter().for_each(|of| search.extend(["--attribute", of]));
        json(&search)["queries"][0]["hits"].as_array().unwrap().len()
    };
    assert_eq!(found(&["camera=camera-0"]), 2);
    assert_eq!(found(&["camera=camera-0", "camera=camera-1"]), 4);
    assert_eq!(found(&["camera=camera-0", "camera=camera-0"]), 2);
    assert_eq!(found(&["camera=camera-0", "sequence=none"]), 0);
}

#[test]
fn codes_say_how_much_they_find() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    // As positions on the Earth in metres: large offsets, differences of kilometres.
    let rows =
        1500.0 * vectors(300, 3, 1) + ndarray::array![4_208_800.0_f32, 2_335_000.0, 4_171_200.0];
    save(&path("gps.npy"), &rows, None);
    save(&path("query.npy"), &rows.slice(s![40..45, ..]).to_owned(), None);
    succeed(&["gallery", "create", &path("exact"), &path("gps.npy"), "--quiet"]);
    for code in ["i8", "b1"] {
        let gallery = path(code);
        let create = ["gallery", "create", &gallery, &path("gps.npy"), "--quantize", code];
        let text = succeed(&create);
        assert!(text.contains("of the ten nearest"), "{text}");
        let info = json(&["gallery", "info", &gallery, "--json"]);
        let recall = info["codes"]["recall_at_10"].as_f64().unwrap();
        assert!(recall >= 0.95, "{code}: {recall}");
        assert!(succeed(&["gallery", "info", &gallery]).contains("of the ten nearest"));
        let hits = |gallery: &str| {
            json(&["gallery", "search", gallery, &path("query.npy"), "--json"])["queries"].clone()
        };
        assert_eq!(hits(&gallery), hits(&path("exact")), "{code}");
    }

    // What no byte can tell apart is said: all but a few of the vectors lie very close together.
    let mut close = 1e-6 * vectors(6000, 2, 3);
    for (row, mut far) in close.outer_iter_mut().step_by(20).enumerate() {
        far.fill(row as f32);
    }
    save(&path("close.npy"), &close, None);
    let create = ["gallery", "create", &path("close"), &path("close.npy"), "--quantize", "i8"];
    let output = run(&create);
    assert!(output.status.success());
    let recall = json(&["gallery", "info", &path("close"), "--json"])["codes"]["recall_at_10"]
        .as_f64()
        .unwrap();
    let warned = stderr(&output).contains("warning: the codes find only");
    assert_eq!(warned, recall < 0.95, "{recall}: {}", stderr(&output));
}

#[test]
fn a_gallery_is_copied_while_it_is_open() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (gallery, copy, file) = (path("g"), path("copy"), path("rows.npy"));
    save(&file, &vectors(50, 4, 1), None);
    json(&["gallery", "create", &gallery, &file, "--json", "--quiet"]);
    let _writer = tercet_gallery::writer(&gallery).unwrap();
    let done = json(&["gallery", "backup", &gallery, &copy, "--json"]);
    assert_eq!((&done["items"], &done["generation"]), (&50.into(), &2.into()));
    assert_eq!(json(&["gallery", "info", &copy, "--verify", "--json"])["items"], 50);
    let error = fail(&["gallery", "backup", &gallery, &copy], 1);
    assert!(error.contains("copy") && error.contains("already"), "{error}");
    assert!(succeed(&["gallery", "backup", &gallery, &path("other")]).contains("copied 50 items"));
}
