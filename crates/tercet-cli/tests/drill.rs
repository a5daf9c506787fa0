//! A drill: random kills, full disks and simultaneous resumes lose nothing of a run.
//!
//! By default a few rounds of each; `TERCET_TEST_KILLS=100` makes 100 rounds in all.

#![allow(clippy::unwrap_used)] // tests may panic

mod common;

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use common::{TINY, pictures, stderr, tercet};
use rand::rngs::ChaCha8Rng;
use rand::{RngExt, SeedableRng};

const STEPS: &str = "240";

/// What is tried, and the bytes in which an unbroken run ends.
struct Drill {
    folder: tempfile::TempDir,
    source: String,
    whole: Vec<u8>,
    metrics: Vec<String>,
    random: ChaCha8Rng,
}

impl Drill {
    fn new(seed: u64) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        pictures(&data);
        let source = format!("folder:{}", data.display());
        let mut drill = Self {
            folder,
            source,
            whole: Vec::new(),
            metrics: Vec::new(),
            random: ChaCha8Rng::seed_from_u64(seed),
        };
        let whole = drill.path("whole");
        let output = drill.start(&whole).output().unwrap();
        assert!(output.status.success(), "{}", stderr(&output));
        drill.whole = model(&whole);
        drill.metrics = metrics(&whole);
        drill
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn start(&self, run: &Path) -> Command {
        let run = run.to_str().unwrap();
        let arguments = ["train", &self.source, "--run", run, "--steps", STEPS, "--quiet"];
        let often = ["--checkpoint-every", "3", "--log-every", "1", "--judge-every", "20"];
        quiet(tercet(&[&arguments[..], &often, &TINY[..]].concat()))
    }

    fn sleep(&mut self, most: u64) {
        let time = self.random.random_range(0..most);
        thread::sleep(Duration::from_millis(time));
    }

    /// Resumes to the end, which must be that of the unbroken run.
    fn finish(&self, run: &Path, what: &str) {
        let output = match run.join("config.toml").exists() {
            true => resume(run).stderr(Stdio::piped()).output().unwrap(),
            // Killed before it began: nothing is there that could be lost.
            false => self.start(run).stderr(Stdio::piped()).output().unwrap(),
        };
        assert!(output.status.success(), "{what}: {}", stderr(&output));
        assert!(!stderr(&output).contains("panicked"), "{what}: {}", stderr(&output));
        assert!(model(run) == self.whole, "{what}: the models differ");
        assert_eq!(metrics(run), self.metrics, "{what}");
        let left = leftovers(run);
        assert!(left.is_empty(), "{what}: {left:?}");
        fs::remove_dir_all(run).unwrap();
    }
}

fn quiet(mut command: Command) -> Command {
    command.stdout(Stdio::null()).stderr(Stdio::null());
    command
}

fn resume(run: &Path) -> Command {
    quiet(tercet(&["train", "--resume", run.to_str().unwrap(), "--quiet"]))
}

fn model(run: &Path) -> Vec<u8> {
    fs::read(run.join("model.safetensors")).unwrap()
}

/// Steps and losses of the metrics.
fn metrics(run: &Path) -> Vec<String> {
    let text = fs::read_to_string(run.join("metrics.jsonl")).unwrap();
    let line = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
    text.lines()
        .map(line)
        .map(|line| {
            format!("{} {} {} {}", line["kind"], line["step"], line["loss"], line["map_at_r"])
        })
        .collect()
}

/// Temporary files and folders in a run.
fn leftovers(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if name.ends_with(".tmp") || name.ends_with(".old") {
            found.push(path);
        } else if path.is_dir() {
            found.extend(leftovers(&path));
        }
    }
    found
}

/// Rounds of one kind: its share of all.
fn rounds(fast: usize, share: f64) -> usize {
    let all = env::var("TERCET_TEST_KILLS").ok().and_then(|all| all.parse::<f64>().ok());
    all.map_or(fast, |all| (all * share).ceil() as usize)
}

fn kill(child: &mut Child) {
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn random_kills_lose_nothing() {
    let mut drill = Drill::new(1);
    for round in 0..rounds(3, 0.5) {
        let run = drill.path(&format!("killed-{round}"));
        let mut child = drill.start(&run).spawn().unwrap();
        for _ in 0..3 {
            drill.sleep(700);
            if drill.random.random_bool(0.3) {
                // A polite stop, which may come while the run is being killed.
                let number = child.id().to_string();
                let _ = Command::new("kill").args(["-TERM", &number]).status();
                drill.sleep(50);
            }
            kill(&mut child);
            child = match run.join("config.toml").exists() {
                true => resume(&run).spawn().unwrap(),
                false => drill.start(&run).spawn().unwrap(),
            };
        }
        drill.sleep(400);
        kill(&mut child);
        drill.finish(&run, &format!("round {round} of kills"));
    }
}

#[test]
fn simultaneous_resumes_lose_nothing() {
    let mut drill = Drill::new(2);
    for round in 0..rounds(2, 0.3) {
        let run = drill.path(&format!("together-{round}"));
        let mut child = drill.start(&run).spawn().unwrap();
        drill.sleep(900);
        kill(&mut child);
        if !run.join("config.toml").exists() {
            drill.finish(&run, "killed before it began");
            continue;
        }
        let mut resumes: Vec<Child> = (0..3).map(|_| resume(&run).spawn().unwrap()).collect();
        if drill.random.random_bool(0.5) {
            drill.sleep(500);
            // Whichever of them has the run: the folder must be free for the next start at once.
            resumes.iter_mut().for_each(kill);
        } else {
            let ended = resumes.iter_mut().map(|child| child.wait().unwrap().code().unwrap());
            let mut ended: Vec<i32> = ended.collect();
            ended.sort_unstable();
            // The others are refused, unless they came after the first had ended.
            assert!(ended[0] == 0 && ended.iter().all(|code| [0, 1].contains(code)), "{ended:?}");
        }
        drill.finish(&run, &format!("round {round} of simultaneous resumes"));
    }
}

#[test]
fn full_disks_lose_nothing() {
    let mut drill = Drill::new(3);
    for round in 0..rounds(2, 0.2) {
        let run = drill.path(&format!("full-{round}"));
        let (disk, copy) = (drill.path("disk"), run.display().to_string());
        fs::create_dir_all(&disk).unwrap();
        // The disk fills up at some moment and becomes free again at another.
        let [before, after] = [0, 1].map(|_| drill.random.random_range(0..600));
        let script = format!(
            r#"
            mount -t tmpfs -o size=3m tmpfs "$DISK" || exit 77
            "$TERCET" train '{source}' --run "$DISK/run" --steps {STEPS} --quiet \
                --checkpoint-every 3 --log-every 1 --judge-every 20 {tiny} & pid=$!
            sleep 0.{before:03}
            cat /dev/zero > "$DISK/filler" 2>/dev/null
            sleep 0.{after:03}
            wait $pid; code=$?
            [ $code = 0 ] || [ $code = 1 ] || exit 3
            rm "$DISK/filler"
            cp -r "$DISK/run" '{copy}' 2>/dev/null
            exit 0
            "#,
            source = drill.source,
            tiny = TINY.join(" "),
        );
        let output = Command::new("unshare")
            .args(["--user", "--map-root-user", "--mount", "sh", "-c", &script])
            .env("DISK", &disk)
            .env("TERCET", env!("CARGO_BIN_EXE_tercet"))
            .stdin(Stdio::null())
            .output();
        let Ok(output) = output else { return };
        let text = stderr(&output);
        if output.status.code() == Some(77) || text.contains("unshare:") {
            eprintln!("skipped: this system gives no file system of its own to a test");
            return;
        }
        assert_eq!(output.status.code(), Some(0), "{text}");
        assert!(!text.contains("panicked"), "{text}");
        drill.finish(&run, &format!("round {round} of full disks"));
    }
}
