//! `tercet cluster`.

#![allow(clippy::unwrap_used)] // tests may panic

mod common;

use std::fs;
use std::path::Path;

use common::{World, fail, json, succeed};

fn files(folder: &Path) -> Vec<String> {
    let mut all: Vec<String> = fs::read_dir(folder)
        .unwrap()
        .flat_map(|entry| {
            let group = entry.unwrap().path();
            fs::read_dir(group).unwrap().map(|file| file.unwrap().path().display().to_string())
        })
        .collect();
    all.sort();
    all
}

#[test]
fn a_flat_folder_becomes_groups() {
    let world = World::get();
    let model = world.text("model.safetensors");
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    fs::create_dir(path("flat")).unwrap();
    for class in [0, 7] {
        for picture in [0, 2, 4] {
            let from = world.path(&format!("photos/class {class}/{picture}.png"));
            fs::copy(from, path(&format!("flat/{class}, {picture}.png"))).unwrap();
        }
    }
    let (out, folders) = (path("groups.csv"), path("groups"));
    let start = ["cluster", &model, &path("flat"), "--json", "--quiet"];
    let more = ["--clusters", "2", "--out", &out, "--folders", &folders];
    let grouped = json(&[&start[..], &more].concat());
    assert_eq!((&grouped["groups"], &grouped["items"]), (&2.into(), &6.into()));
    assert_eq!(grouped["sizes"], serde_json::json!([3, 3]));
    let table = fs::read_to_string(&out).unwrap();
    let mut lines = table.lines();
    assert_eq!(lines.next(), Some("id,group"));
    assert_eq!(lines.next(), Some("\"0, 0.png\",1"));
    assert_eq!(lines.last(), Some("\"7, 4.png\",2"));
    let placed = files(folders.as_ref());
    assert_eq!(placed.len(), 6);
    assert!(placed[0].ends_with("group-1/0, 0.png") && placed[5].ends_with("group-2/7, 4.png"));
    assert_eq!(fs::read(&placed[0]).unwrap(), fs::read(path("flat/0, 0.png")).unwrap());
    let error = fail(&[&start[..], &["--folders", &folders]].concat(), 2);
    assert!(error.contains("not empty"), "{error}");

    // At the model's own threshold; every algorithm; whoever is alone has a folder of its own.
    let own = json(&start);
    assert_eq!(own["cut"]["threshold"].as_f64().map(|cut| cut > 0.0), Some(true));
    for algorithm in ["single-linkage", "dbscan", "chinese-whispers", "hdbscan"] {
        let more = ["--algorithm", algorithm, "--min-items", "2"];
        assert_eq!(json(&[&start[..], &more].concat())["items"], 6, "{algorithm}");
    }
    let alone = path("alone-folders");
    let more = ["--threshold", "0", "--folders", &alone];
    assert_eq!(json(&[&start[..], &more].concat())["alone"], 6);
    assert_eq!(fs::read_dir(Path::new(&alone).join("alone")).unwrap().count(), 6);
    let text = succeed(&["cluster", &model, &path("flat"), "--clusters", "2"]);
    assert!(
        text.contains("6 items: 2 groups of two or more") && text.contains("as many groups"),
        "{text}"
    );
}

#[test]
fn embeddings_are_grouped_as_their_pictures_are() {
    let world = World::get();
    let (model, photos) = (world.text("model.safetensors"), world.text("photos"));
    let vectors = world.text("e.safetensors");
    succeed(&["embed", &model, &photos, "--out", &vectors, "--quiet"]);
    let by_pictures = json(&["cluster", &model, &photos, "--json", "--quiet", "--threshold", "2"]);
    let by_vectors = json(&["cluster", &vectors, "--json", "--threshold", "2"]);
    assert_eq!(by_vectors["of_items"], by_pictures["of_items"]);
    assert_eq!(by_vectors["of_items"][47]["id"], "class 7/5.jpg");

    // Pictures that lie in no file of their own are written.
    let folder = tempfile::tempdir().unwrap();
    let folders = folder.path().join("groups").to_str().unwrap().to_owned();
    let list = folder.path().join("list.csv");
    let photo = world.text("photos/class 0/5.jpg");
    fs::write(&list, format!("path,label,x1,y1,x2,y2\n{photo},a,0,0,9,9\n{photo},a,9,0,20,9\n"))
        .unwrap();
    let start = ["cluster", &model, list.to_str().unwrap(), "--folders", &folders, "--quiet"];
    succeed(&[&start[..], &["--clusters", "1"]].concat());
    let placed = files(folders.as_ref());
    assert_eq!(placed.len(), 2);
    assert_eq!(image::open(&placed[0]).unwrap().width().min(11), 9);
}

#[test]
fn wrong_input_is_named() {
    let world = World::get();
    let (model, photos) = (world.text("model.safetensors"), world.text("photos"));
    let folder = tempfile::tempdir().unwrap();
    let vectors = folder.path().join("e.npy").to_str().unwrap().to_owned();
    succeed(&["embed", &model, &photos, "--out", &vectors, "--quiet"]);
    for (arguments, status, words) in [
        (vec!["cluster", &model], 2, vec!["SOURCE"]),
        (vec!["cluster", &vectors, &photos], 2, vec!["need no source"]),
        (vec!["cluster", &vectors], 2, vec!["--threshold", "hdbscan"]),
        (vec!["cluster", &vectors, "--folders", "x"], 2, vec!["--out"]),
        (vec!["cluster", &vectors, "--clusters", "49"], 1, vec!["49 of 48"]),
        (vec!["cluster", &vectors, "--algorithm", "k-means"], 2, vec!["--clusters"]),
        (vec!["cluster", &vectors, "--algorithm", "k-meens"], 2, vec!["k-meens"]),
        (vec!["cluster", &model, &photos, "--distance", "cosine"], 2, vec!["--distance"]),
        (vec!["cluster", "none.npy", "--threshold", "1"], 1, vec!["none.npy"]),
        (vec!["cluster", &model, "nowhere"], 1, vec!["nowhere"]),
    ] {
        let error = fail(&arguments, status);
        for word in words {
            assert!(error.contains(word), "{arguments:?} does not say `{word}`: {error}");
        }
    }
}

#[test]
#[cfg(unix)]
fn links_and_long_names_become_pictures_in_folders() {
    let world = World::get();
    let model = world.text("model.safetensors");
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let deep = format!("in/{}/{}/{}", "a".repeat(120), "b".repeat(120), "é".repeat(40));
    fs::create_dir_all(path(&deep)).unwrap();
    fs::create_dir(path("else")).unwrap();
    // A picture behind a relative link, one behind a link to a link, and one with a long id.
    fs::copy(world.path("photos/class 0/0.png"), path("else/real.png")).unwrap();
    std::os::unix::fs::symlink("../else/real.png", path("in/link.png")).unwrap();
    std::os::unix::fs::symlink("link.png", path("in/again.png")).unwrap();
    fs::copy(world.path("photos/class 7/0.png"), path(&format!("{deep}/0.png"))).unwrap();
    let source = format!("images:{}", path("in").display());
    let out = path("out").display().to_string();
    let run = |out: &str| {
        let start = ["cluster", &model, &source, "--clusters", "1", "--folders"];
        json(&[&start[..], &[out, "--json", "--quiet"]].concat())
    };
    assert_eq!(run(&out)["pictures"], serde_json::json!({ "linked": 3, "copied": 0 }));
    let placed = files(out.as_ref());
    assert_eq!(placed.len(), 3);
    for file in &placed {
        let metadata = fs::symlink_metadata(file).unwrap();
        assert!(metadata.is_file() && metadata.len() > 50, "{file}");
        assert!(Path::new(file).file_name().unwrap().len() <= 255);
    }
    // The same names again.
    let again = path("again").display().to_string();
    run(&again);
    let names = |files: Vec<String>, root: &str| -> Vec<String> {
        files.iter().map(|file| file.strip_prefix(root).unwrap().to_owned()).collect()
    };
    assert_eq!(names(placed, &out), names(files(again.as_ref()), &again));
}

#[test]
fn a_single_group_is_one_group() {
    let world = World::get();
    let (model, photos) = (world.text("model.safetensors"), world.text("photos"));
    let text = succeed(&["cluster", &model, &photos, "--clusters", "1", "--quiet"]);
    assert!(text.starts_with("48 items: 1 group of two or more, 0 items alone"), "{text}");
}
