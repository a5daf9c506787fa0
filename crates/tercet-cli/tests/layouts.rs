//! Folders that are not simply a folder for each class: parts, folds, wrappers, names in other
//! encodings; and classes that the names of files tell. Advice that is printed is followed.

#![allow(clippy::unwrap_used)] // tests may panic

mod common;

use std::fs;
use std::path::Path;

use common::{TINY, World, fail, json, run, stderr, succeed};
use image::{Rgb, RgbImage};
use serde_json::{Value, json as value};

/// Small pictures at these paths, each with colours of its own.
fn put(root: &Path, paths: &[&str]) {
    for (index, path) in (1_u32..).zip(paths) {
        let path = root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let colour = |x: u32, y: u32| Rgb([(7 * index + x) as u8, (11 * index + y) as u8, 90]);
        RgbImage::from_fn(9, 8, colour).save(path).unwrap();
    }
}

fn info(source: &str) -> Value {
    json(&["data", "info", source, "--json", "--quiet"])
}

fn text(path: &Path) -> String {
    path.to_str().unwrap().to_owned()
}

#[test]
fn parts_are_used_as_those_of_a_manifest() {
    let folder = tempfile::tempdir().unwrap();
    let mut paths = Vec::new();
    for (part, classes) in [("Train", ["a", "b", "c", "d"]), ("test", ["e", "f", "a", "b"])] {
        for class in classes {
            paths.extend((0..3).map(|item| format!("{part}/{class}/{item}.png")));
        }
    }
    put(folder.path(), &paths.iter().map(String::as_str).collect::<Vec<_>>());
    let root = text(folder.path());
    let survey = info(&root);
    assert_eq!(
        (&survey["source"], &survey["classes"]),
        (&value!(format!("folder:{root}")), &value!(6))
    );
    let parts = value!([
        { "part": "train", "classes": 4, "items": 12 },
        { "part": "test", "classes": 4, "items": 12 },
    ]);
    assert_eq!(survey["parts"], parts);

    let run = text(&folder.path().join(".run"));
    let trained = json(
        &[
            &["train", &root, "--run", &run, "--steps", "2", "-q", "--json"][..],
            &TINY[2..8],
            &["--batch", "2x2", "--holdout", "0.5"],
        ]
        .concat(),
    );
    assert_eq!(trained["train"], value!({ "classes": 2, "items": 6 }));
    assert_eq!(trained["holdout"], value!({ "classes": 2, "items": 6 }));
    let model = trained["model"].as_str().unwrap();
    let judged = json(&["eval", model, &root, "-q", "--json"]);
    assert_eq!((&judged["classes"], &judged["items"]), (&value!(4), &value!(12)));
}

#[test]
fn folds_and_wrappers_are_refused_and_the_advice_works() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("photos");
    put(
        &root,
        &["fold1/a/1.png", "fold1/b/2.png", "fold2/a/3.png", "fold2/b/4.png", "fold2/b/5.png"],
    );
    let source = text(&root);
    let error = fail(&["data", "info", &source], 1);
    let fold = text(&root.join("fold1"));
    for word in ["`fold1`, `fold2`", &fold, "--label-from"] {
        assert!(error.contains(word), "`{word}` in {error}");
    }
    assert_eq!(info(&fold)["classes"], 2);
    let with = |pattern: &str| {
        assert!(error.contains(pattern), "`{pattern}` in {error}");
        let pattern = ["--label-from", pattern];
        json(&[&["data", "info", &source, "--json", "-q"][..], &pattern].concat())
    };
    let inner = with("([^/]+)/[^/]+$");
    assert_eq!(inner["largest_classes"][0], value!({ "class": "b", "items": 3 }));
    assert_eq!(with("^([^/]+)/")["largest_classes"][0], value!({ "class": "fold2", "items": 3 }));

    // A wrapper around the classes.
    let wrapper = folder.path().join("all");
    put(&wrapper, &["lfw/a/1.png", "lfw/b/2.png"]);
    let error = fail(&["data", "info", &text(&wrapper)], 1);
    let inner = text(&wrapper.join("lfw"));
    assert!(error.contains(&format!("use {inner}")), "{error}");
    assert_eq!(info(&inner)["classes"], 2);
}

#[test]
fn names_of_files_tell_classes_in_every_command() {
    let world = World::get();
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("flat");
    put(&root, &["1_a.png", "1_b.png", "2_a.png", "2_b.png", "2_c.png", "cover.png"]);
    let (source, out) = (text(&root), text(&folder.path().join("e.safetensors")));
    let model = world.text("model.safetensors");
    let pattern = ["--label-from", r"^(\d+)_"];
    let survey = json(&[&["data", "info", &source, "--json", "-q"][..], &pattern].concat());
    assert_eq!(
        (&survey["kind"], &survey["classes"], &survey["items"]),
        (&value!("images"), &value!(2), &value!(5))
    );
    assert_eq!(survey["unreadable"][0]["id"], "cover.png");

    let embed = [&["embed", &model, &source, "--out", &out][..], &pattern].concat();
    let error = fail(&embed, 1);
    assert!(error.contains("cover.png") && error.contains("--label-from"), "{error}");
    let embedded = json(&[&embed[..], &["--skip-bad", "--json", "-q"]].concat());
    assert_eq!((&embedded["items"], &embedded["classes"]), (&value!(5), &value!(2)));
    assert_eq!(embedded["skipped"][0]["id"], "cover.png");

    let skipping = [&pattern[..], &["--skip-bad", "--json", "-q"]].concat();
    let judged = json(&[&["eval", &model, &source][..], &skipping].concat());
    assert_eq!((&judged["classes"], &judged["items"]), (&value!(2), &value!(5)));
    if cfg!(feature = "gallery") {
        let gallery = text(&folder.path().join("g"));
        let create = ["gallery", "create", &gallery, &source, "--model", &model];
        let created = json(&[&create[..], &skipping].concat());
        assert_eq!(created["added"], 5);
    }
    let grouped = json(&[&["cluster", &model, &source, "--clusters", "2"][..], &skipping].concat());
    assert_eq!(grouped["items"], 5);
    let run_folder = text(&folder.path().join("run"));
    let train = ["train", &source, "--run", &run_folder, "--steps", "1", "--holdout", "0"];
    let tiny = ["--batch", "2x2", "--size", "16", "--width", "4", "--embedding-dim", "8"];
    let trained = json(&[&train[..], &tiny, &skipping].concat());
    assert_eq!(trained["train"], value!({ "classes": 2, "items": 5 }));
    let config = fs::read_to_string(Path::new(&run_folder).join("config.toml")).unwrap();
    assert!(config.contains("label-from"), "{config}");

    let error = fail(&["data", "info", "glyphs", "--label-from", "(a)"], 1);
    assert!(error.contains("only a `folder` or `images` source"), "{error}");
    let error = fail(&["data", "info", &source, "--label-from", "(a)(b)"], 2);
    assert!(error.contains("it has 2 groups"), "{error}");
    let error = fail(&["data", "info", &source, "--label-from", "^(x+)"], 1);
    assert!(error.contains("6 images, none of which"), "{error}");
}

#[cfg(target_os = "linux")]
#[test]
fn names_in_other_encodings_stay_apart_in_every_file() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    let world = World::get();
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("names");
    // 中 and 文 in GBK, テ in Shift-JIS, é in Latin-1; and a name that looks like an escape.
    let names: [&[u8]; 5] = [b"\xd6\xd0", b"\xce\xc4", b"\x83\x65", b"caf\xe9", br"caf\xE9"];
    for (index, name) in names.iter().enumerate() {
        let class = root.join(OsStr::from_bytes(name));
        fs::create_dir_all(&class).unwrap();
        let picture = RgbImage::from_pixel(8, 8, Rgb([40 * index as u8, 9, 200]));
        picture.save(class.join("1.png")).unwrap();
        fs::copy(class.join("1.png"), class.join(OsStr::from_bytes(b"\xe4.png"))).unwrap();
        fs::copy(class.join("1.png"), class.join(OsStr::from_bytes(b"\xe5.png"))).unwrap();
    }
    let source = text(&root);
    assert_eq!((&info(&source)["classes"], &info(&source)["items"]), (&value!(5), &value!(15)));
    let table = succeed(&["data", "info", &source, "-q"]);
    assert!(table.contains(r"caf\xE9 (3)") && table.contains(r"caf\x5CxE9 (3)"), "{table}");

    let model = world.text("model.safetensors");
    let out = text(&folder.path().join("e.safetensors"));
    let embedded = json(&["embed", &model, &source, "--out", &out, "--json", "-q"]);
    assert_eq!((&embedded["items"], &embedded["classes"]), (&value!(15), &value!(5)));
    let bytes = fs::read(&out).unwrap();
    let (_, head) = safetensors::SafeTensors::read_metadata(&bytes).unwrap();
    let ids: Vec<String> = serde_json::from_str(&head.metadata().as_ref().unwrap()["ids"]).unwrap();
    let distinct: std::collections::BTreeSet<&String> = ids.iter().collect();
    assert_eq!(distinct.len(), 15);
    assert!(ids.contains(&r"\xD6\xD0/\xE4.png".to_owned()), "{ids:?}");
    if cfg!(feature = "gallery") {
        let gallery = text(&folder.path().join("g"));
        let created =
            json(&["gallery", "create", &gallery, &source, "--model", &model, "--json", "-q"]);
        assert_eq!(created["added"], 15);
    }
}

#[test]
fn one_name_composed_and_decomposed_is_worth_a_warning() {
    let folder = tempfile::tempdir().unwrap();
    put(folder.path(), &["caf\u{e9}/1.png", "cafe\u{301}/2.png", "the/3.png"]);
    let survey = info(&text(folder.path()));
    if survey["classes"] == 2 {
        return; // this file system makes one name of them
    }
    let problem = survey["problems"][0].as_str().unwrap();
    assert!(
        problem.contains("composed (NFC)") && problem.contains("decomposed (NFD)"),
        "{problem}"
    );
}

#[test]
fn names_cannot_write_to_the_terminal() {
    let folder = tempfile::tempdir().unwrap();
    let class = "red\u{1b}[31m\u{202e}\ntext";
    put(folder.path(), &[&format!("{class}/1.png"), "plain/2.png"]);
    let source = text(folder.path());
    assert_eq!(info(&source)["lone_classes"], value!(["plain", class]));
    fs::write(folder.path().join(class).join("bad\u{7}\n.png"), "no picture").unwrap();
    let shown = run(&["data", "info", &source]);
    let refused = run(&[
        "embed",
        &World::get().text("model.safetensors"),
        &source,
        "--out",
        &text(&folder.path().join("e.npy")),
    ]);
    assert!(!refused.status.success());
    for shown in [String::from_utf8(shown.stdout).unwrap(), stderr(&refused)] {
        assert!(!shown.contains(['\u{1b}', '\u{202e}', '\u{7}']), "{shown:?}");
        assert!(shown.contains(r"\u{1b}[31m\u{202e}\ntext"), "{shown:?}");
    }
}

#[test]
fn pictures_in_formats_that_are_not_read_are_named_with_a_remedy() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("photos");
    put(&root, &["a/1.png", "b/1.tif", "b/2.TIFF"]);
    for name in ["a/IMG_1.HEIC", "a/IMG_2.heic", "b/x.avif"] {
        fs::write(root.join(name), "").unwrap();
    }
    let survey = info(&text(&root));
    assert_eq!((&survey["items"], &survey["unreadable"]), (&value!(3), &value!([])));
    let problems = survey["problems"].to_string();
    for part in [
        "2 .heic (`a/IMG_1.HEIC`, `a/IMG_2.heic`)",
        "1 .avif (`b/x.avif`)",
        "-iname '*.heic' -exec mogrify -format jpg {} +",
    ] {
        assert!(problems.contains(part), "{part}: {problems}");
    }
    for name in ["a/1.png", "b/1.tif", "b/2.TIFF"] {
        fs::remove_file(root.join(name)).unwrap();
    }
    let error = fail(&["data", "info", &text(&root)], 1);
    assert!(error.contains("2 .heic") && error.contains("mogrify"), "{error}");
}
