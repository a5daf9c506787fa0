//! The folder of a run: whole configurations, one process at a time, nothing left behind.

#![allow(clippy::unwrap_used)] // tests may panic

mod common;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use common::{TINY, fail, json, pictures, run, stderr, succeed, tercet};
use tercet_train::fingerprint::Fingerprint;

/// A folder with pictures and a run of a few steps on them, interrupted in no way.
struct Place {
    folder: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        let place = Self { folder: tempfile::tempdir().unwrap() };
        pictures(&place.path("data"));
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn text(&self, name: &str) -> String {
        self.path(name).to_str().unwrap().to_owned()
    }

    /// Trains into a folder of this name.
    fn train(&self, name: &str, more: &[&str]) -> String {
        let (data, run) = (self.text("data"), self.text(name));
        succeed(&[&["train", &data, "--run", &run, "--quiet"], &TINY[..], more].concat());
        run
    }
}

fn model(run: &str) -> Vec<u8> {
    fs::read(Path::new(run).join("model.safetensors")).unwrap()
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        match entry.file_type().unwrap().is_dir() {
            true => copy(&entry.path(), &target),
            false => drop(fs::copy(entry.path(), target).unwrap()),
        }
    }
}

/// The command that a message ends with.
fn command_in(text: &str, start: &str) -> String {
    let at = text.rfind(start).unwrap_or_else(|| panic!("no `{start}` in {text}"));
    text[at..].lines().next().unwrap().split(';').next().unwrap().to_owned()
}

#[test]
fn an_incomplete_configuration_is_refused_and_restored_as_the_message_says() {
    let place = Place::new();
    let run_folder = place.train("a run", &["--steps", "4"]);
    let config = Path::new(&run_folder).join("config.toml");
    let whole = fs::read(&config).unwrap();
    let mut cuts: Vec<usize> = (0..whole.len()).step_by(97).collect();
    cuts.push(whole.len() - 2);
    for cut in cuts {
        fs::write(&config, &whole[..cut]).unwrap();
        let error = fail(&["train", "--resume", &run_folder], 1);
        assert!(error.contains("config.toml cannot be used: it is incomplete"), "{cut}: {error}");
        assert_eq!(error.lines().count(), 1, "{error}");
        assert_eq!(fs::read(&config).unwrap(), &whole[..cut], "not touched");
    }
    let without_source: String = String::from_utf8(whole.clone())
        .unwrap()
        .lines()
        .filter(|line| !line.starts_with("source"))
        .map(|line| format!("{line}\n"))
        .collect();
    fs::write(&config, without_source).unwrap();
    let error = fail(&["train", "--resume", &run_folder], 1);
    assert!(error.contains("it has no key `source`"), "{error}");
    fs::write(&config, [&whole[..], b"\xff\xfe"].concat()).unwrap();
    fail(&["train", "--resume", &run_folder], 1);
    fs::remove_file(&config).unwrap();
    let error = fail(&["train", "--resume", &run_folder], 1);
    assert!(error.contains("config.toml cannot be used: it is missing"), "{error}");

    let restore = command_in(&error, "cp ");
    assert!(Command::new("sh").args(["-c", &restore]).status().unwrap().success(), "{restore}");
    assert_eq!(fs::read(&config).unwrap(), whole);
    let before = model(&run_folder);
    succeed(&["train", "--resume", &run_folder, "--quiet"]);
    assert!(model(&run_folder) == before);

    // A setting that decides what is learnt does not change in the middle of a run.
    let changed = String::from_utf8(whole).unwrap().replace("seed = 0", "seed = 5");
    fs::write(&config, changed).unwrap();
    let error = fail(&["train", "--resume", &run_folder], 1);
    assert!(error.contains("`seed` is 5, and was 0"), "{error}");
    let restore = command_in(&error, "cp ");
    assert!(Command::new("sh").args(["-c", &restore]).status().unwrap().success(), "{restore}");
    succeed(&["train", "--resume", &run_folder, "--quiet"]);

    // A folder without a run is named as such.
    let error = fail(&["train", "--resume", &place.text("data")], 1);
    assert!(error.contains("holds no run") && error.contains("tercet runs"), "{error}");
}

#[test]
fn every_file_that_a_resume_reads_is_checked() {
    let place = Place::new();
    let run_folder = place.train("run", &["--steps", "4", "--checkpoint-every", "2"]);
    let newest = Path::new(&run_folder).join("checkpoints/step-00000004");
    let whole = model(&run_folder);
    for entry in fs::read_dir(&newest).unwrap() {
        let file = entry.unwrap().path();
        let bytes = fs::read(&file).unwrap();
        let mut damaged = bytes;
        let middle = damaged.len() / 2;
        damaged[middle] ^= 1;
        fs::write(&file, &damaged).unwrap();
        let output = run(&["train", "--resume", &run_folder]);
        assert!(output.status.success(), "{}", stderr(&output));
        let text = stderr(&output);
        assert!(text.contains("trying the checkpoint before"), "{}: {text}", file.display());
        assert!(model(&run_folder) == whole, "{}", file.display());
        assert!(fs::read(&file).unwrap() != damaged, "not written again: {}", file.display());
    }
}

/// Makes a run's folder what an earlier version would have written.
fn as_an_earlier_version(run: &Path) {
    let config = run.join("config.toml");
    let text = fs::read_to_string(&config).unwrap();
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    fs::write(&config, lines.map(|line| format!("{line}\n")).collect::<String>()).unwrap();
    fs::remove_file(run.join("run.lock")).unwrap();
    for entry in fs::read_dir(run.join("checkpoints")).unwrap() {
        let folder = entry.unwrap().path();
        fs::remove_file(folder.join("seal")).unwrap();
        fs::remove_file(folder.join("config.toml")).unwrap();
        let file = folder.join("state.json");
        let mut state: serde_json::Value =
            serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
        let state = state.as_object_mut().unwrap();
        state.remove("collapsed");
        state.remove("unfinished");
        let records = state["records"].as_array().unwrap().clone();
        let records: Vec<_> =
            records.into_iter().filter(|name| name.as_str() != Some("config.toml")).collect();
        let mut hash = Fingerprint::new();
        for name in &records {
            let name = name.as_str().unwrap();
            let bytes = fs::read(folder.join(name)).unwrap();
            hash.bytes(name.as_bytes());
            hash.number(bytes.len() as u64);
            hash.bytes(&bytes);
        }
        state.insert("records".to_owned(), records.into());
        state.insert("seal".to_owned(), hash.hex().into());
        fs::write(&file, serde_json::to_vec(&state).unwrap()).unwrap();
    }
}

#[test]
fn runs_of_earlier_versions_are_resumed() {
    let place = Place::new();
    let run_folder = place.train("run", &["--steps", "6", "--checkpoint-every", "2"]);
    let whole = model(&run_folder);
    let run_folder = Path::new(&run_folder);
    as_an_earlier_version(run_folder);
    fs::remove_dir_all(run_folder.join("checkpoints/step-00000006")).unwrap();
    fs::remove_file(run_folder.join("model.safetensors")).unwrap();
    let text = run_folder.to_str().unwrap();
    let output = run(&["train", "--resume", text]);
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(!stderr(&output).contains("trying the checkpoint before"), "{}", stderr(&output));
    assert!(model(text) == whole);
}

/// A run of many steps in another process, which has written a checkpoint.
fn long_run(place: &Place, name: &str) -> Child {
    let (data, run) = (place.text("data"), place.text(name));
    let arguments = ["train", &data, "--run", &run, "--steps", "100000", "--quiet"];
    let child = tercet(&[&arguments[..], &TINY[..], &["--checkpoint-every", "5"]].concat())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let began = Instant::now();
    while fs::read_dir(place.path(name).join("checkpoints")).is_ok_and(|all| all.count() == 0)
        || !place.path(name).join("checkpoints").exists()
    {
        assert!(began.elapsed() < Duration::from_secs(60), "no checkpoint");
        std::thread::sleep(Duration::from_millis(5));
    }
    child
}

#[test]
fn a_run_in_use_is_refused_at_once_and_a_killed_one_is_not() {
    let place = Place::new();
    let mut child = long_run(&place, "run");
    let run_folder = place.text("run");
    let began = Instant::now();
    let error = fail(&["train", "--resume", &run_folder], 1);
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    let process = format!("in use by another training process (process {})", child.id());
    assert!(error.contains(&process), "{error}");
    let error = fail(&["train", &place.text("data"), "--run", &run_folder], 1);
    assert!(error.contains(&process), "{error}");
    let listed = json(&["runs", "list", place.folder.path().to_str().unwrap(), "--json"]);
    assert_eq!(listed["runs"][0]["state"], "running", "{listed}");
    child.kill().unwrap();
    child.wait().unwrap();

    // What the killed process left is removed, and what is not its own stays.
    let at = |name: &str| Path::new(&run_folder).join(name);
    let dead = child.id();
    let leftovers = [
        format!("config.toml.{dead}.tmp"),
        format!("metrics.jsonl.{dead}.tmp"),
        format!("model.safetensors.{dead}.tmp"),
        format!("tensorboard/events.out.tfevents.7.tercet.{dead}.tmp"),
    ];
    for name in &leftovers {
        fs::write(at(name), "").unwrap();
    }
    fs::create_dir(at("checkpoints/.step-00000099.tmp")).unwrap();
    fs::write(at("notes.7.tmp"), "mine").unwrap();
    let mut resumed = tercet(&["train", "--resume", &run_folder, "--quiet"]).spawn().unwrap();
    let began = Instant::now();
    while leftovers.iter().any(|name| at(name).exists())
        || at("checkpoints/.step-00000099.tmp").exists()
    {
        assert!(began.elapsed() < Duration::from_secs(30), "leftovers stay");
        std::thread::sleep(Duration::from_millis(5));
    }
    resumed.kill().unwrap();
    resumed.wait().unwrap();
    assert!(at("notes.7.tmp").exists());
}

#[test]
fn runs_that_start_together_get_folders_of_their_own() {
    let place = Place::new();
    fs::rename(place.path("data"), place.path("photos")).unwrap();
    let start = |_| {
        let arguments = [&["train", "photos", "--steps", "2", "--quiet"], &TINY[..]].concat();
        tercet(&arguments).current_dir(place.folder.path()).spawn().unwrap()
    };
    let children: Vec<Child> = (0..3).map(start).collect();
    for mut child in children {
        assert!(child.wait().unwrap().success());
    }
    for number in 1..=3 {
        let run = place.path(&format!("runs/photos-{number}"));
        assert!(run.join("model.safetensors").is_file(), "{}", run.display());
    }
    // A start that fails leaves no folder.
    let arguments = [&["train", "photos", "--batch", "9x2", "--quiet"][..], &TINY[2..]].concat();
    let output = tercet(&arguments).current_dir(place.folder.path()).output().unwrap();
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
    assert_eq!(fs::read_dir(place.path("runs")).unwrap().count(), 3);
}

#[test]
fn runs_are_listed_and_compared() {
    let place = Place::new();
    fs::rename(place.path("data"), place.path("photos")).unwrap();
    let at = place.folder.path();
    let tercet_here = |arguments: &[&str]| {
        let output = tercet(arguments).current_dir(at).output().unwrap();
        assert!(output.status.success(), "{}", stderr(&output));
        (String::from_utf8(output.stdout.clone()).unwrap(), stderr(&output))
    };
    let (text, _) = tercet_here(&["runs"]);
    assert!(text.contains("no runs in runs"), "{text}");
    let train = |steps: &str, rate: &str| {
        let flags = ["--steps", steps, "--learning-rate", rate, "--quiet"];
        let flags = [&flags[..], &["--objective", "batch-hard", "--keep", "last"]].concat();
        tercet_here(&[&["train", "photos"], &flags[..], &TINY[..]].concat())
    };
    train("40", "1e-3");
    train("2", "1e-9");
    let (text, _) = tercet_here(&["runs", "--json"]);
    let listed: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(
        listed,
        serde_json::from_str::<serde_json::Value>(&tercet_here(&["runs", "list", "--json"]).0)
            .unwrap()
    );
    let runs = listed["runs"].as_array().unwrap();
    let of = |key: &str| runs.iter().map(|run| run[key].clone()).collect::<Vec<_>>();
    assert_eq!(of("run"), ["runs/photos-1", "runs/photos-2"]);
    assert_eq!(of("state"), ["finished", "finished"]);
    assert_eq!(of("steps"), [40, 2]);
    assert_eq!(of("source"), ["photos", "photos"]);
    assert!(of("begun").iter().all(|begun| begun.as_u64() > Some(1_700_000_000)));
    assert!(of("map_at_r")[0].as_f64() > of("map_at_r")[1].as_f64());
    let (text, _) = tercet_here(&["runs"]);
    assert!(text.lines().count() == 3 && text.contains("MAP@R"), "{text}");
    assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");

    let arguments = ["runs", "compare", "runs/photos-1", "runs/photos-2"];
    let (text, _) = tercet_here(&arguments);
    assert!(text.contains("runs/photos-1 is better"), "{text}");
    assert!(text.contains("learning-rate"), "{text}");
    let (text, _) = tercet_here(&[&arguments[..], &["--json"]].concat());
    let compared: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(
        (&compared["comparable"], &compared["better"]),
        (&true.into(), &"runs/photos-1".into())
    );
    let changed: Vec<_> =
        compared["changed"].as_array().unwrap().iter().map(|one| one["key"].clone()).collect();
    assert_eq!(changed, ["learning-rate", "steps"]);

    // Where the newest model is taken, a better one is named, by a flag that works.
    if cfg!(feature = "gallery") {
        let (_, remarks) = tercet_here(&["gallery", "create", "one.gallery", "photos"]);
        assert!(remarks.contains("runs/photos-2/model.safetensors of the newest run"), "{remarks}");
        let flag = command_in(&remarks, "--model runs");
        let words: Vec<&str> = flag.split(' ').collect();
        assert_eq!(words[1], "runs/photos-1/model.safetensors");
        let create = ["gallery", "create", "two.gallery", "photos"];
        let (_, remarks) = tercet_here(&[&create[..], &words].concat());
        assert!(!remarks.contains("better"), "{remarks}");
    }

    fs::write(at.join("runs/photos-2/config.toml"), "seed = 1").unwrap();
    let (text, remarks) = tercet_here(&["runs"]);
    assert_eq!(text.lines().count(), 2, "{text}");
    assert!(remarks.contains("left out: runs/photos-2/config.toml"), "{remarks}");
    let error = fail(&["runs", "compare", at.to_str().unwrap(), "x"], 1);
    assert!(error.contains("holds no run"), "{error}");
}

#[test]
fn a_copy_of_a_run_is_a_run() {
    let place = Place::new();
    let run_folder = place.train("run", &["--steps", "2"]);
    copy(Path::new(&run_folder), &place.path("copy"));
    succeed(&["train", "--resume", &place.text("copy"), "--quiet"]);
    assert!(model(&run_folder) == model(&place.text("copy")));
}
