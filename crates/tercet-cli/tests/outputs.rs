//! No command writes over what it reads, and every output has the ending of its format.

#![allow(clippy::unwrap_used)] // tests may panic

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use common::{World, fail, succeed};

/// Inputs of every kind in one folder.
struct Desk {
    folder: tempfile::TempDir,
}

impl Desk {
    fn new() -> Self {
        let (desk, world) = (Self { folder: tempfile::tempdir().unwrap() }, World::get());
        fs::copy(world.path("model.safetensors"), desk.path("m.safetensors")).unwrap();
        for class in [0, 7] {
            let to = desk.path(&format!("photos/{class}"));
            fs::create_dir_all(&to).unwrap();
            for picture in [0, 2] {
                let from = world.path(&format!("photos/class {class}/{picture}.png"));
                fs::copy(from, format!("{to}/{picture}.png")).unwrap();
            }
        }
        let vectors = desk.path("e.npy");
        let model = desk.path("m.safetensors");
        succeed(&["embed", &model, &desk.path("photos"), "--out", &vectors, "--quiet"]);
        succeed(&["export", &model, "--onnx", &desk.path("m.onnx")]);
        for (name, text) in [
            ("e.labels.txt", "a\na\nb\nb\n"),
            ("labels.txt", "a\na\nb\nb\n"),
            ("cameras.txt", "1\n2\n1\n2\n"),
            ("triplets.txt", "0,1,2\n"),
            ("pairs.csv", "path1,path2,same\n0,1,1\n0,2,0\n"),
            ("classes.txt", "0\n7\n"),
            ("train.toml", "steps = 1\n"),
            ("list.csv", "path,label\nphotos/0/0.png,a\nphotos/0/2.png,a\nphotos/7/0.png,b\n"),
        ] {
            fs::write(desk.path(name), text).unwrap();
        }
        desk
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    /// Another name of a file, with another ending.
    fn link(&self, input: &str, name: &str) -> String {
        let (from, to) = (self.path(input), self.path(name));
        let _ = fs::remove_file(&to);
        fs::hard_link(from, &to).unwrap();
        to
    }

    /// Every file with its content.
    fn content(&self) -> BTreeMap<String, Vec<u8>> {
        let mut content = BTreeMap::new();
        let mut folders = vec![self.folder.path().to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                match path.is_dir() {
                    true => folders.push(path),
                    false => {
                        drop(content.insert(path.display().to_string(), fs::read(&path).unwrap()))
                    }
                }
            }
        }
        content
    }

    /// The command must refuse to write to `out`, and leave every file as it is.
    fn refuses(&self, command: &str, out: &str) {
        let before = self.content();
        let words: Vec<String> = command
            .split(' ')
            .map(|word| match word {
                "OUT" => out.to_owned(),
                // A file or folder of the desk.
                word if word.starts_with('@') => self.path(&word[1..]),
                word => match word.split_once(":@") {
                    Some((kind, path)) => format!("{kind}:{}", self.path(path)),
                    None => word.to_owned(),
                },
            })
            .collect();
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let error = fail(&words, 2);
        assert!(error.contains("would overwrite the input"), "{command}, {out}: {error}");
        assert!(before == self.content(), "{command} changed a file");
    }
}

#[test]
fn inputs_are_never_written_over() {
    let desk = Desk::new();
    let cases: [(&str, &str, &[&str]); 11] = [
        ("embed @m.safetensors @photos --out OUT", "npy", &["m.safetensors", "photos/0/0.png"]),
        (
            "embed @m.safetensors manifest:@list.csv --out OUT",
            "npy",
            &["list.csv", "photos/0/2.png"],
        ),
        (
            "embed @m.safetensors features:@e.npy --labels @labels.txt --out OUT",
            "safetensors",
            &["e.npy", "labels.txt", "e.labels.txt"],
        ),
        ("embed --onnx @m.onnx @photos --out OUT", "npy", &["m.onnx", "photos/7/2.png"]),
        ("export @m.safetensors --onnx OUT", "onnx", &["m.safetensors"]),
        (
            "loss @e.npy --labels @labels.txt --selection explicit --triplets @triplets.txt --gradient OUT",
            "npy",
            &["e.npy", "labels.txt", "triplets.txt", "e.labels.txt"],
        ),
        (
            "eval @e.npy --labels @labels.txt --cameras @cameras.txt --pairs @pairs.csv --classes @classes.txt --report OUT",
            "html",
            &["e.npy", "labels.txt", "cameras.txt", "pairs.csv", "classes.txt"],
        ),
        (
            "eval @e.npy --gallery @m.onnx --gallery-labels @pairs.csv --gallery-cameras @list.csv --report OUT",
            "html",
            &["e.npy", "m.onnx", "pairs.csv", "list.csv"],
        ),
        ("eval @m.safetensors @photos --report OUT", "html", &["m.safetensors", "photos/7/0.png"]),
        (
            "cluster @m.safetensors manifest:@list.csv --clusters 1 --out OUT",
            "csv",
            &["m.safetensors", "list.csv", "photos/0/0.png"],
        ),
        ("cluster @e.npy --clusters 1 --out OUT", "csv", &["e.npy"]),
    ];
    for (command, ending, inputs) in cases {
        for input in inputs {
            desk.refuses(command, &desk.link(input, &format!("other name.{ending}")));
        }
    }
    for (command, out) in [
        ("loss @e.npy --labels @labels.txt --gradient OUT", "e.npy"),
        ("embed @m.safetensors @photos --out OUT", "m.safetensors"),
        ("data preview @photos --out OUT", "photos/0/0.png"),
        ("data preview manifest:@list.csv --out OUT", "photos/7/0.png"),
        ("cluster @m.safetensors @photos --clusters 1 --folders OUT", "photos"),
    ] {
        desk.refuses(command, &desk.path(out));
    }
    for input in ["train.toml", "photos/0/0.png"] {
        let out = desk.link(input, "model.safetensors");
        desk.refuses("train @photos --out OUT --config @train.toml", &out);
    }
    let picture = desk.path("photos/0/0.png");
    let (model, photos) = (desk.path("m.safetensors"), desk.path("photos"));
    let error = fail(&["cluster", &model, &photos, "--clusters", "1", "--folders", &picture], 2);
    assert!(error.contains("is a file"), "{error}");
}

#[test]
#[cfg(unix)]
fn symbolic_links_are_followed() {
    let desk = Desk::new();
    let link = desk.path("link.npy");
    std::os::unix::fs::symlink(desk.path("e.npy"), &link).unwrap();
    desk.refuses("loss @e.npy --labels @labels.txt --gradient OUT", &link);
    // The input is the link.
    desk.refuses("loss @link.npy --labels @labels.txt --gradient OUT", &desk.path("e.npy"));
}

#[test]
fn an_output_has_the_ending_of_its_format() {
    let desk = Desk::new();
    let (model, photos) = (desk.path("m.safetensors"), desk.path("photos"));
    let (vectors, labels) = (desk.path("e.npy"), desk.path("labels.txt"));
    for (arguments, out, right) in [
        (vec!["eval", &vectors, "--labels", &labels, "--report"], "out.pdf", ".html"),
        (vec!["eval", &vectors, "--labels", &labels, "--report"], "out", ".html"),
        (vec!["export", &model, "--onnx"], "x.txt", ".onnx"),
        (vec!["loss", &vectors, "--labels", &labels, "--gradient"], "g.csv", ".npy"),
        (vec!["embed", &model, &photos, "--out"], "e.csv", ".safetensors"),
        (vec!["cluster", &vectors, "--clusters", "2", "--out"], "groups.json", ".csv"),
        (vec!["train", &photos, "--out"], "model.pt", ".safetensors"),
        (vec!["data", "preview", &photos, "--out"], "x.jpg", ".png"),
    ] {
        let path = desk.path(out);
        let error = fail(&[&arguments[..], &[&path]].concat(), 2);
        assert!(error.contains(out) && error.contains(right), "{arguments:?}: {error}");
        assert!(!Path::new(&path).exists(), "{path}");
    }
    // An output in a folder that is not there yet, and one over an earlier result.
    let out = desk.path("new/deep/e.npy");
    for _ in 0..2 {
        succeed(&["embed", &model, &photos, "--out", &out, "--quiet"]);
    }
    let error = fail(&["embed", &model, &photos, "--out", &desk.path("new")], 2);
    assert!(error.contains(".safetensors"), "{error}");
}
