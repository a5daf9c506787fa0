//! Advice that the program prints is followed: each case runs a command that fails, finds the advice
//! in its message, and runs what the advice says, which must succeed. A last test finds advice in the
//! sources that no case follows.

#![allow(clippy::unwrap_used)] // tests may panic

mod common;

use std::fs;
use std::path::Path;
use std::sync::OnceLock;

use common::{World, run, stderr, succeed};

/// A command that fails, words of its advice, and the command that follows it. Words that begin with
/// `@` are files of the desk.
struct Case {
    fails: &'static str,
    says: &'static str,
    follows: &'static str,
}

const fn case(fails: &'static str, says: &'static str, follows: &'static str) -> Case {
    Case { fails, says, follows }
}

const CASES: &[Case] = &[
    // eval
    case(
        "eval @e.npy",
        "has no labels: name a file with --labels",
        "eval @e.npy --labels @labels.txt",
    ),
    case(
        "eval @e.npy --labels @labels.txt --gallery @e.npy",
        "has no labels: name a file with --gallery-labels",
        "eval @e.npy --labels @labels.txt --gallery @e.npy --gallery-labels @labels.txt",
    ),
    case("eval @m.safetensors", "tercet eval", "eval @m.safetensors @photos"),
    case("eval @e.safetensors @photos", "need no source: drop", "eval @e.safetensors"),
    case(
        "eval @m.safetensors @photos --normalize",
        "is for files of embeddings",
        "eval @m.safetensors @photos",
    ),
    case(
        "eval @e.safetensors --classes held-out",
        "give --classes a file of class names",
        "eval @e.safetensors --classes @classes.txt",
    ),
    case(
        "eval @all.safetensors @photos --classes held-out",
        "no classes were held out in training: give --classes a file of class names",
        "eval @all.safetensors @photos --classes @classes.txt",
    ),
    case(
        "eval @m.safetensors @photos",
        "--all-classes evaluates all",
        "eval @m.safetensors @photos --all-classes",
    ),
    case(
        "eval @e.safetensors --protocol reid",
        "--gallery, --cameras and --gallery-cameras with embeddings",
        "eval @e.safetensors --protocol reid --gallery @e.safetensors --cameras @one.txt --gallery-cameras @two.txt",
    ),
    case(
        "eval @e.safetensors --protocol reid --gallery @e.safetensors --cameras @one.txt",
        "--gallery-cameras is missing",
        "eval @e.safetensors --protocol reid --gallery @e.safetensors --cameras @one.txt --gallery-cameras @two.txt",
    ),
    case(
        "eval @e.safetensors --protocol reid --gallery @e.safetensors --gallery-cameras @one.txt",
        "--cameras is missing",
        "eval @e.safetensors --protocol reid --gallery @e.safetensors --cameras @one.txt --gallery-cameras @two.txt",
    ),
    case(
        "eval @e.safetensors --protocol reid --gallery @e.safetensors --cameras @one.txt --gallery-cameras @two.txt --multi-query --rerank",
        "--rerank and --multi-query cannot be combined: drop one of them",
        "eval @e.safetensors --protocol reid --gallery @e.safetensors --cameras @one.txt --gallery-cameras @two.txt --rerank",
    ),
    case(
        "eval @e.npy --labels @alone.txt --protocol clustering",
        "name one with --threshold, or --clusters",
        "eval @e.npy --labels @alone.txt --protocol clustering --clusters 3",
    ),
    case(
        "eval @m.safetensors @swapped.safetensors @photos",
        "share none of them: give --all-classes, or the classes to evaluate with --classes FILE",
        "eval @m.safetensors @swapped.safetensors @photos --classes @classes.txt",
    ),
    case(
        "eval @m.safetensors @unreadable.safetensors @photos",
        "name the classes to evaluate with --classes FILE",
        "eval @m.safetensors @unreadable.safetensors @photos --classes @classes.txt",
    ),
    // cluster
    case("cluster @m.safetensors", "tercet cluster", "cluster @m.safetensors @photos"),
    case(
        "cluster @e.npy @photos --clusters 2",
        "need no source: drop",
        "cluster @e.npy --clusters 2",
    ),
    case(
        "cluster @e.npy --clusters 2 --folders @new",
        "--folders needs pictures: embeddings have none, use --out",
        "cluster @e.npy --clusters 2 --out @groups.csv",
    ),
    case(
        "cluster @e.npy --algorithm k-means",
        "needs --clusters",
        "cluster @e.npy --algorithm k-means --clusters 2",
    ),
    case(
        "cluster @e.npy",
        "give --threshold or --clusters, or take --algorithm hdbscan",
        "cluster @e.npy --algorithm hdbscan",
    ),
    case(
        "cluster @e.npy",
        "give --threshold or --clusters, or take --algorithm hdbscan",
        "cluster @e.npy --threshold 0.5",
    ),
    case(
        "cluster @m.safetensors @photos --distance cosine",
        "--distance and --normalize",
        "cluster @m.safetensors @photos",
    ),
    case(
        "cluster @m.safetensors @photos --folders @photos/a.png",
        "--folders",
        "cluster @m.safetensors @photos --folders @new-groups",
    ),
    case(
        "cluster @m.safetensors @photos --false-matches 2",
        "expected a number above 0 and at most 1, such as 0.01",
        "cluster @m.safetensors @photos --false-matches 0.01",
    ),
    // compare
    case(
        "compare @m.safetensors @photos/a.png @photos/b.png --far 0.5",
        "the model has thresholds for",
        "compare @m.safetensors @photos/a.png @photos/b.png --far 0.001",
    ),
    case(
        "compare @all.safetensors @photos/a.png @photos/b.png --far 0.001",
        "give --threshold",
        "compare @all.safetensors @photos/a.png @photos/b.png --threshold 1",
    ),
    case(
        "compare @all.safetensors @photos/a.png @photos/b.png",
        "give --threshold",
        "compare @all.safetensors @photos/a.png @photos/b.png --threshold 1",
    ),
    case(
        "compare @m.safetensors @photos/a.png @photos/b.png --threshold -1",
        "expected a distance of at least 0",
        "compare @m.safetensors @photos/a.png @photos/b.png --threshold 1",
    ),
    // embed and export
    case(
        "embed @m.safetensors --out @x.npy",
        "tercet embed MODEL SOURCE",
        "embed @m.safetensors @photos --out @x.npy",
    ),
    case(
        "embed @m.safetensors @photos --onnx @m.onnx --out @x.npy",
        "since --onnx names the encoder",
        "embed @photos --onnx @m.onnx --out @x.npy",
    ),
    case(
        "export @m.safetensors --onnx @m.txt",
        "expected a name that ends in .onnx, such as",
        "export @m.safetensors --onnx @m.onnx",
    ),
    // loss
    case(
        "loss @e.npy",
        "has no labels: name a file with --labels",
        "loss @e.npy --labels @labels.txt",
    ),
    case(
        "loss @e.npy --selection explicit",
        "--selection explicit: name a file with --triplets",
        "loss @e.npy --selection explicit --triplets @triplets.txt",
    ),
    case(
        "loss @e.npy --triplets @triplets.txt",
        "--triplets: expected --selection explicit beside it",
        "loss @e.npy --selection explicit --triplets @triplets.txt",
    ),
    case(
        "loss @e.npy --labels @labels.txt --selection semi-hard --margin 0",
        "give --margin a number above 0",
        "loss @e.npy --labels @labels.txt --selection semi-hard --margin 0.2",
    ),
];

/// Advice that needs what a test cannot make; why, and the words.
const NOT_FOLLOWED: &[(&str, &str)] = &[
    ("names what is missing, nothing to do", "classes asked for by --classes"),
    ("the usage line of the help", "tercet embed [OPTIONS]"),
    ("names another command for another task", "among many, use tercet gallery"),
    ("needs an argument that is no text", "write the texts into a file, and name it with --texts"),
];

/// Files to run the cases on.
struct Desk {
    folder: tempfile::TempDir,
}

impl Desk {
    fn get() -> &'static Self {
        static DESK: OnceLock<Desk> = OnceLock::new();
        DESK.get_or_init(|| {
            let (desk, world) = (Self { folder: tempfile::tempdir().unwrap() }, World::get());
            let model = desk.path("m.safetensors");
            fs::copy(world.path("model.safetensors"), &model).unwrap();
            let photos = desk.path("photos");
            copy_folder(&world.path("photos"), photos.as_ref());
            // Trained on everything, and with the other half of the classes held out.
            let classes: Vec<String> = card(&model)["provenance"]["held_out"]
                .as_array()
                .unwrap()
                .iter()
                .map(|name| name.as_str().unwrap().to_owned())
                .collect();
            let others: Vec<String> = (0..8)
                .map(|class| format!("class {class}"))
                .filter(|name| !classes.contains(name))
                .collect();
            fs::write(desk.path("others.txt"), others.join("\n")).unwrap();
            fs::write(desk.path("classes.txt"), classes.join("\n")).unwrap();
            for (out, holdout) in [
                ("all.safetensors", ["--holdout", "0"]),
                ("swapped.safetensors", ["--holdout-classes", &desk.path("others.txt")]),
            ] {
                let (run, out) = (desk.path(&format!("run-{out}")), desk.path(out));
                let start = ["train", &world.text("photos"), "--steps", "2", "--quiet"];
                let more = ["--run", &run, "--out", &out];
                succeed(&[&start[..], &common::TINY[..8], &more, &holdout].concat());
            }
            let mut bytes = fs::read(&model).unwrap();
            let word = b"\\\"log-every\\\"";
            let alternative = b"\\\"log_every\\\"";
            for word in [&word[..], alternative] {
                if let Some(at) = bytes.windows(word.len()).position(|found| found == word) {
                    bytes[at + 2] = b'#';
                }
            }
            fs::write(desk.path("unreadable.safetensors"), bytes).unwrap();
            for out in ["e.npy", "e.safetensors"] {
                succeed(&["embed", &model, &photos, "--out", &desk.path(out), "--quiet"]);
            }
            succeed(&["export", &model, "--onnx", &desk.path("m.onnx")]);
            let lines = |of: &dyn Fn(usize) -> String| -> String {
                (0..48).map(|row| of(row) + "\n").collect()
            };
            for (name, text) in [
                ("labels.txt", lines(&|row| format!("class {}", row / 6))),
                ("alone.txt", lines(&|row| row.to_string())),
                ("one.txt", lines(&|_| "1".to_owned())),
                ("two.txt", lines(&|_| "2".to_owned())),
                ("triplets.txt", "0,1,7\n".to_owned()),
            ] {
                fs::write(desk.path(name), text).unwrap();
            }
            for (name, from) in [("a.png", "class 0/0.png"), ("b.png", "class 7/2.png")] {
                fs::create_dir_all(desk.path("two pictures")).unwrap();
                fs::copy(
                    world.path("photos").join(from),
                    desk.path(&format!("two pictures/{name}")),
                )
                .unwrap();
            }
            desk
        })
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    /// What a command line prints, and whether it succeeds.
    fn run(&self, line: &str) -> (String, bool) {
        let words: Vec<String> = line
            .split(' ')
            .map(|word| match word.strip_prefix('@') {
                Some(picture) if picture.starts_with("photos/") => {
                    self.path(&picture.replacen("photos/", "two pictures/", 1))
                }
                Some(file) => self.path(file),
                None => word.to_owned(),
            })
            .collect();
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let output = run(&words);
        let text = String::from_utf8_lossy(&output.stdout).into_owned() + &stderr(&output);
        assert!(!text.contains("panicked"), "{line}: {text}");
        (text, output.status.success())
    }
}

/// The card in a model file.
fn card(model: &str) -> serde_json::Value {
    let bytes = fs::read(model).unwrap();
    let (_, metadata) = safetensors::SafeTensors::read_metadata(&bytes).unwrap();
    let card = &metadata.metadata().as_ref().unwrap()["tercet"];
    serde_json::from_str(card).unwrap()
}

fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        match entry.path().is_dir() {
            true => copy_folder(&entry.path(), &to),
            false => drop(fs::copy(entry.path(), to).unwrap()),
        }
    }
}

#[test]
fn advice_works_when_it_is_followed() {
    let desk = Desk::get();
    for Case { fails, says, follows } in CASES {
        let (text, _) = desk.run(fails);
        assert!(text.contains(says), "`{fails}` does not say `{says}`:\n{text}");
        let (text, succeeded) = desk.run(follows);
        assert!(succeeded && !text.contains(says), "`{follows}` follows `{says}`:\n{text}");
    }
}

/// The sources whose advice is followed here. Galleries, runs and training have tests of their own.
const SOURCES: [&str; 9] = [
    "eval",
    "cluster",
    "embed",
    "loss",
    "compare.rs",
    "export.rs",
    "threshold.rs",
    "bench.rs",
    "doctor.rs",
];

/// The text literals of a source that name a flag or a command of this program.
fn advice_in(source: &str) -> Vec<String> {
    let source = source.split("#[cfg(test)]").next().unwrap();
    // Attributes of flags are descriptions, not advice.
    let lines = source.lines().filter(|line| {
        let line = line.trim_start();
        !line.starts_with("//") && !line.starts_with("#[")
    });
    let source = lines.collect::<Vec<_>>().join("\n");
    let mut found = Vec::new();
    let mut rest = source.as_str();
    while let Some(start) = rest.find('"') {
        let mut end = start + 1;
        let bytes = rest.as_bytes();
        while end < bytes.len() && bytes[end] != b'"' {
            end += if bytes[end] == b'\\' { 2 } else { 1 };
        }
        let literal = &rest[start + 1..end.min(rest.len())];
        let words: String = literal.replace("\\\n", " ");
        let words = words.split_whitespace().collect::<Vec<_>>().join(" ");
        let is_advice = words.contains(' ') && (words.contains("--") || words.contains("tercet "));
        if is_advice {
            found.push(words);
        }
        rest = &rest[(end + 1).min(rest.len())..];
    }
    found
}

#[test]
fn no_advice_is_without_a_test() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/commands");
    let mut missing = Vec::new();
    for source in SOURCES {
        let path = root.join(source);
        let files: Vec<_> = match path.is_dir() {
            true => fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()).collect(),
            false => vec![path],
        };
        for file in files {
            for advice in advice_in(&fs::read_to_string(&file).unwrap()) {
                let says = |words: &str| advice.contains(words) || words.contains(&advice);
                let followed = CASES.iter().any(|case| says(case.says))
                    || NOT_FOLLOWED.iter().any(|(_, words)| says(words))
                    // The doctor's advice is about the machine.
                    || file.ends_with("doctor.rs");
                if !followed {
                    missing.push(format!("{}: {advice}", file.display()));
                }
            }
        }
    }
    assert!(missing.is_empty(), "no case follows:\n{}", missing.join("\n"));
}
