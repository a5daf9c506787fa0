//! `tercet data`: every kind of source, told by what lies there, and one bad input of each.

#![allow(clippy::unwrap_used)] // tests may panic

mod common;

use std::fs;
use std::path::Path;

use common::{TINY, fail, json, pictures, succeed};
use image::{GrayImage, Luma};
use serde_json::{Value, json as value};

/// Files by their paths; images where the name is one, each with a picture of its own.
fn put(root: &Path, paths: &[&str]) {
    for (index, path) in paths.iter().enumerate() {
        let path = root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        if path.extension().is_some_and(|ending| ending == "jpg" || ending == "png") {
            let light = |x, y| Luma([(16 * index as u32 + 3 * x + y) as u8]);
            GrayImage::from_fn(9 + index as u32, 12, light).save(path).unwrap();
        } else {
            fs::write(path, "").unwrap();
        }
    }
}

/// What `data info` says of a bare path, which must be recognised.
fn info(root: &Path, path: &str, kind: &str) -> Value {
    let path = root.join(path).display().to_string();
    let survey = json(&["data", "info", &path, "--json", "--quiet"]);
    assert_eq!(survey["source"], format!("{kind}:{path}"));
    assert_eq!(survey["kind"], kind);
    survey
}

/// What `data info` says of a source that it must refuse.
fn refuse(source: &str, words: &[&str]) {
    let error = fail(&["data", "info", source], 1);
    for word in words {
        assert!(error.contains(word), "{source} does not say `{word}`: {error}");
    }
}

#[test]
fn market1501() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    put(
        &root.join("market"),
        &[
            "bounding_box_train/0002_c1s1_000451_03.jpg",
            "bounding_box_train/0002_c2s1_000451_03.jpg",
            "query/0003_c1s1_000001_00.jpg",
            "query/Thumbs.db",
            "bounding_box_test/-1_c1s1_000001_00.jpg",
            "bounding_box_test/0003_c2s2_000001_00.jpg",
        ],
    );
    let survey = info(root, "market", "market1501");
    assert_eq!(
        survey["parts"],
        value!([
            { "part": "train", "classes": 1, "items": 2 },
            { "part": "query", "classes": 1, "items": 1 },
            { "part": "gallery", "classes": 2, "items": 2 },
        ])
    );
    let cameras = value!([{ "camera": "1", "items": 3 }, { "camera": "2", "items": 2 }]);
    assert_eq!(survey["cameras"], cameras);
    assert_eq!(survey["problems"], value!([]));

    put(&root.join("market"), &["query/portrait.jpg"]);
    let market = root.join("market").display().to_string();
    let table = succeed(&["data", "info", &market]);
    for part in ["train (2 items of 1 class)", "1 (3), 2 (2)", "portrait.jpg: its name"] {
        assert!(table.contains(part), "{part}: {table}");
    }
    refuse(&format!("market1501:{}", root.display()), &["no image", "query"]);
}

#[test]
fn lfw() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    put(root, &["lfw/Ann_Lee/Ann_Lee_0001.jpg", "lfw/Bo/Bo_0001.jpg", "pairs.txt", "x/a/1.jpg"]);
    let survey = info(root, "lfw", "lfw");
    assert_eq!((&survey["classes"], &survey["items"]), (&value!(2), &value!(2)));
    assert_eq!(survey["lone_classes"], value!(["Ann_Lee", "Bo"]));
    refuse(&format!("lfw:{}", root.join("x").display()), &["x holds 1 images", "Ann_Lee_0001.jpg"]);
}

#[test]
fn omniglot() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    put(
        root,
        &[
            "images_background/Latin/character01/0001_01.png",
            "images_background/Latin/character01/0001_02.png",
            "images_evaluation/Greek/character01/0002_01.png",
            "images_evaluation/Greek/.DS_Store",
        ],
    );
    let survey = info(root, "", "omniglot");
    assert_eq!(survey["parts"][1], value!({ "part": "test", "classes": 1, "items": 1 }));
    assert!(survey["problems"][0].as_str().unwrap().contains(".DS_Store"), "{survey}");
    info(root, "images_background", "omniglot");
    fs::write(root.join("all_runs.zip"), "no zip").unwrap();
    refuse(&root.join("all_runs.zip").display().to_string(), &["all_runs.zip", "a zip file"]);
}

#[test]
fn manifest() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    put(root, &["pictures/1.png", "pictures/2.png"]);
    let file = root.join("list.csv");
    let rows = "path,label,split,camera,x1,y1,x2,y2\npictures/1.png,a,train,3,1,1,4,5\n\
                pictures/2.png,b,query,4,,,,\npictures/3.png,b,gallery,4,,,,\n";
    fs::write(&file, rows).unwrap();
    let survey = info(root, "list.csv", "manifest");
    assert_eq!((&survey["items"], &survey["width"]["min"]), (&value!(3), &value!(3)));
    assert_eq!(survey["unreadable"][0]["id"], "pictures/3.png");
    fs::write(&file, rows.replace("1,1,4,5", "1,1,4,x")).unwrap();
    refuse(&file.display().to_string(), &["list.csv:2: column `y2`: `x`"]);
}

#[test]
fn idx() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    let images = [&[0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 2][..], &[1, 2, 1, 2]].concat();
    let labels = [0, 0, 8, 1, 0, 0, 0, 2, 7, 9];
    fs::write(root.join("t10k-images-idx3-ubyte"), &images).unwrap();
    fs::write(root.join("t10k-labels-idx1-ubyte"), labels).unwrap();
    let survey = info(root, "", "idx");
    assert_eq!((&survey["width"]["max"], &survey["height"]["max"]), (&value!(2), &value!(1)));
    assert_eq!(survey["duplicates"], value!([{ "items": ["t10k/0", "t10k/1"], "classes": 2 }]));
    fs::write(root.join("t10k-images-idx3-ubyte"), &images[..19]).unwrap();
    refuse(&root.display().to_string(), &["t10k-images-idx3-ubyte: 3 bytes", "expected 4"]);
}

#[test]
fn features() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    let data: Vec<u8> = [1_f32, 2.0, 1.0, 2.0].into_iter().flat_map(f32::to_le_bytes).collect();
    let view = safetensors::tensor::TensorView::new(safetensors::Dtype::F32, vec![2, 2], &data);
    let file = root.join("vectors.safetensors");
    let bytes = safetensors::serialize([("embeddings", view.unwrap())], None).unwrap();
    fs::write(&file, bytes).unwrap();
    let path = file.display().to_string();
    refuse(&path, &["vectors.safetensors", "--labels"]);

    let labels = root.join("names.txt");
    fs::write(&labels, "a\nb\n").unwrap();
    let labels = labels.display().to_string();
    let survey = json(&["data", "info", &path, "--labels", &labels, "--json"]);
    assert_eq!((&survey["dimensions"], &survey["width"]), (&value!(2), &Value::Null));
    assert_eq!(survey["duplicates"][0]["items"], value!(["0", "1"]));
    let error = fail(&["data", "info", "glyphs", "--labels", &labels], 1);
    assert!(error.contains("only a `features` source takes --labels"), "{error}");
}

#[test]
fn training_takes_its_part_and_judging_the_other() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    pictures(root);
    let mut rows = "path,label,split\n".to_owned();
    for class in 0..8 {
        for instance in 0..6 {
            let ending = if instance % 2 == 0 { "png" } else { "jpg" };
            let split = if class < 6 { "train" } else { "test" };
            rows += &format!("class {class}/{instance}.{ending},{class},{split}\n");
        }
    }
    fs::write(root.join("list.csv"), rows.as_str()).unwrap();
    let list = root.join("list.csv").display().to_string();
    let run = root.join("run").display().to_string();
    let trained = json(
        &[&["train", &list, "--run", &run, "--steps", "2", "--quiet", "--json"], &TINY[..]]
            .concat(),
    );
    let count = |part: &str| trained[part]["classes"].as_u64().unwrap();
    assert_eq!(count("train") + count("holdout"), 6);
    let model = trained["model"].as_str().unwrap();
    let judged = json(&["eval", model, &list, "--quiet", "--json"]);
    assert_eq!((&judged["classes"], &judged["items"]), (&value!(2), &value!(12)));

    fs::write(root.join("list.csv"), rows.replace("train", "gallery")).unwrap();
    let run = root.join("another").display().to_string();
    let error = fail(&[&["train", &list, "--run", &run], &TINY[..]].concat(), 1);
    assert!(error.contains("it has the parts test, gallery, expected `train`"), "{error}");
}

#[test]
fn the_emoji_are_six_styles_of_each() {
    let survey = json(&["data", "info", "emoji", "--json", "--quiet"]);
    assert_eq!(survey["items_per_class"], value!({ "min": 4, "median": 6.0, "max": 6 }));
    assert_eq!(survey["cameras"].as_array().unwrap().len(), 6);
    assert_eq!(survey["width"], value!({ "min": 32, "median": 32.0, "max": 32 }));
    assert_eq!(survey["lone_classes"], value!([]));
    assert_eq!(survey["unreadable"], value!([]));
}

#[test]
fn a_preview_shows_items_and_their_changed_copies() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("new/preview.png");
    let out = out.to_str().unwrap();
    let preview = ["data", "preview", "emoji", "--out", out, "--items", "3", "--copies", "2"];
    let told = json(&[&preview[..], &["--json", "--quiet"]].concat());
    assert_eq!(told["augment"], "glyph");
    assert_eq!(told["items"].as_array().unwrap().len(), 3);
    let first = image::open(out).unwrap().to_rgb8();
    assert_eq!(first.dimensions(), (3 * 66 - 2, 3 * 66 - 2));
    succeed(&preview);
    assert_eq!(image::open(out).unwrap().to_rgb8(), first);
    succeed(&[&preview[..], &["--augment", "glyph:invert=1", "--seed", "1"]].concat());
    assert_ne!(image::open(out).unwrap().to_rgb8(), first);
    let error = fail(&[&preview[..], &["--augment", "glyph:turn=1"]].concat(), 2);
    assert!(error.contains("NAME is one of crop, flip"), "{error}");
}
