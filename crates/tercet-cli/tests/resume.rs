//! Runs that are killed or interrupted lose nothing.

#![allow(clippy::unwrap_used)] // tests may panic

mod common;

use std::fs;
use std::path::Path;
use std::process::Child;
use std::time::{Duration, Instant};

use common::{TINY, fail, json, pictures, stderr, succeed, tercet};

/// A run with settings that give it 400 steps and a checkpoint every tenth.
fn start(source: &str, run: &Path, more: &[&str]) -> Child {
    let run = run.to_str().unwrap();
    let arguments = ["train", source, "--run", run, "--steps", "400", "--checkpoint-every", "10"];
    tercet(&[&arguments[..], &TINY[..], more].concat())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap()
}

/// Waits until `child` has written a checkpoint beyond `step` and is still at work.
fn wait_for_checkpoint(child: &mut Child, run: &Path, step: u64) {
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(120) {
        let reached =
            fs::read_dir(run.join("checkpoints")).into_iter().flatten().flatten().any(|entry| {
                let name = entry.file_name().to_string_lossy().into_owned();
                name.strip_prefix("step-").is_some_and(|at| at.parse::<u64>().unwrap() > step)
            });
        assert!(child.try_wait().unwrap().is_none(), "the run ended before it could be stopped");
        if reached {
            return;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    panic!("no checkpoint beyond step {step} in two minutes");
}

fn model(run: &Path) -> Vec<u8> {
    fs::read(run.join("model.safetensors")).unwrap()
}

/// Lines of the metrics without what depends on the clock.
fn metrics(run: &Path) -> Vec<serde_json::Value> {
    let text = fs::read_to_string(run.join("metrics.jsonl")).unwrap();
    let mut lines: Vec<serde_json::Value> =
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    for line in &mut lines {
        line.as_object_mut().unwrap().remove("items_per_second");
    }
    lines
}

/// Runs to the end, and again killed twice on the way; both must end in the same bytes.
fn same_with_and_without_kills(more: &[&str], kills: [u64; 2]) -> Vec<serde_json::Value> {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    pictures(&data);
    let source = format!("folder:{}", data.display());
    let whole = folder.path().join("whole");
    let output = start(&source, &whole, more).wait_with_output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    let broken = folder.path().join("broken");
    let mut child = start(&source, &broken, more);
    for step in kills {
        wait_for_checkpoint(&mut child, &broken, step);
        child.kill().unwrap();
        child.wait().unwrap();
        child = tercet(&["train", "--resume", broken.to_str().unwrap(), "--quiet"])
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::piped())
            .spawn()
            .unwrap();
    }
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(model(&whole) == model(&broken), "the models differ");
    assert_eq!(metrics(&whole), metrics(&broken));
    let events = fs::read_dir(broken.join("tensorboard")).unwrap().count();
    assert_eq!(events, 1, "one event file, however often it was gone on with");
    metrics(&whole)
}

#[test]
fn all_that_has_a_state_is_resumed_to_the_byte() {
    let lines = same_with_and_without_kills(
        &[
            "--optimizer",
            "adamw",
            "--schedule",
            "cosine",
            "--warmup",
            "20",
            "--clip-norm",
            "0.5",
            "--ema",
            "0.95",
            "--validation",
            "0.25",
            "--judge-every",
            "25",
            "--keep",
            "best",
            "--patience",
            "12",
            "--curriculum",
            "55:batch-all:2x2,130:facenet:3x3",
        ],
        [40, 120],
    );
    let judged = lines.iter().filter(|line| line["kind"] == "judged").count();
    assert!(judged >= 12, "{judged} judgements");
    assert!(lines[0]["gradient_norm"].is_number());
}

#[test]
fn a_softened_run_is_resumed_to_the_byte() {
    // Beside such a margin no distance counts, and at such a rate nothing is learnt: the loss stands
    // at the margin from the start.
    let stuck = "--margin 1000 --learning-rate 1e-7 --on-collapse soften --collapse-patience 60";
    let more: Vec<&str> = stuck.split(' ').collect();
    let lines = same_with_and_without_kills(&more, [40, 200]);
    let eased: Vec<_> = lines.iter().filter_map(|line| line["easing"].as_str()).collect();
    assert_eq!(eased, ["all-triplets", "tenth-of-the-rate"], "{lines:?}");
}

#[test]
fn a_killed_and_resumed_run_ends_in_the_same_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    pictures(&data);
    let source = format!("folder:{}", data.display());

    let whole = folder.path().join("whole");
    assert!(start(&source, &whole, &[]).wait_with_output().unwrap().status.success());

    let broken = folder.path().join("broken");
    let mut child = start(&source, &broken, &[]);
    wait_for_checkpoint(&mut child, &broken, 40);
    child.kill().unwrap();
    child.wait().unwrap();
    // A second kill, this time of the resumed run.
    let mut child =
        tercet(&["train", "--resume", broken.to_str().unwrap(), "--quiet"]).spawn().unwrap();
    wait_for_checkpoint(&mut child, &broken, 120);
    child.kill().unwrap();
    child.wait().unwrap();
    // What a kill in the middle of a write may leave behind.
    fs::create_dir_all(broken.join("checkpoints/.step-00000390.tmp")).unwrap();
    fs::create_dir_all(broken.join("checkpoints/step-00000395")).unwrap();
    succeed(&["train", "--resume", broken.to_str().unwrap(), "--quiet"]);

    assert!(model(&whole) == model(&broken), "the models differ");
    let steps = |run: &Path| -> Vec<String> {
        let text = fs::read_to_string(run.join("metrics.jsonl")).unwrap();
        let line = |line: &str| serde_json::from_str::<serde_json::Value>(line).unwrap();
        text.lines().map(|text| format!("{} {}", line(text)["step"], line(text)["loss"])).collect()
    };
    assert_eq!(steps(&whole), steps(&broken));

    // Damage is told, and never ends in a silent start from scratch.
    let broken = broken.to_str().unwrap();
    let damage = |step: &str| {
        let file = Path::new(broken).join("checkpoints").join(step).join("encoder.bpk");
        let mut bytes = fs::read(&file).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        fs::write(file, bytes).unwrap();
    };
    damage("step-00000400");
    let output = tercet(&["train", "--resume", broken]).output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(stderr(&output).contains("trying the checkpoint before"), "{}", stderr(&output));
    assert!(model(&whole) == model(Path::new(broken)), "the models differ");
    damage("step-00000400");
    damage("step-00000390");
    let error = fail(&["train", "--resume", broken], 1);
    assert!(error.contains("none of its 2 checkpoints can be read"), "{error}");
}

#[test]
fn pool_memory_and_chunks_survive_a_kill_to_the_byte() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    pictures(&data);
    let source = format!("folder:{}", data.display());
    let more = "--pool 6x4 --chunk 4 --memory 30 --memory-start 7 --selection all --margin 0.1";
    let more: Vec<&str> = more.split(' ').chain(["--reduction", "mean-active", "--json"]).collect();

    let whole = folder.path().join("whole");
    let output = start(&source, &whole, &more).wait_with_output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    let trained: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&trained["chunk"], &trained["work"]["items"]), (&4.into(), &(400 * 24).into()));
    let backward = trained["work"]["backward"].as_u64().unwrap();
    assert!((1..=400 * 6).contains(&backward), "{backward}");

    let broken = folder.path().join("broken");
    let mut child = start(&source, &broken, &more);
    wait_for_checkpoint(&mut child, &broken, 40);
    child.kill().unwrap();
    child.wait().unwrap();
    let resumed = json(&["train", "--resume", broken.to_str().unwrap(), "--quiet", "--json"]);
    assert_eq!(resumed["work"], trained["work"]);
    let model = |run: &Path| fs::read(run.join("model.safetensors")).unwrap();
    assert!(model(&whole) == model(&broken), "the models differ");

    let memory = whole.join("checkpoints/step-00000400/memory.safetensors");
    let mut bytes = fs::read(&memory).unwrap();
    bytes.truncate(bytes.len() - 4);
    fs::write(&memory, bytes).unwrap();
    let output = tercet(&["train", "--resume", whole.to_str().unwrap()]).output().unwrap();
    assert!(stderr(&output).contains("trying the checkpoint before"), "{}", stderr(&output));
    assert!(model(&whole) == model(&broken), "the models differ");
}

#[test]
fn a_resumed_run_still_knows_where_its_model_goes() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    pictures(&data);
    let source = format!("folder:{}", data.display());
    let (run, out) = (folder.path().join("run"), folder.path().join("out.safetensors"));
    let [run, out] = [&run, &out].map(|path| path.to_str().unwrap());
    let arguments = ["train", &source, "--run", run, "--out", out, "--steps", "3", "--quiet"];
    succeed(&[&arguments[..], &TINY[..]].concat());
    fs::remove_file(out).unwrap();
    succeed(&["train", "--resume", run, "--quiet"]);
    assert_eq!(fs::read(out).unwrap(), fs::read(Path::new(run).join("model.safetensors")).unwrap());

    // Another picture under an old name is other data.
    fs::copy(data.join("class 0/0.png"), data.join("class 7/2.png")).unwrap();
    let error = fail(&["train", "--resume", run], 1);
    assert!(error.contains("changed since this run began"), "{error}");

    let error = fail(&["train", "--resume", run, "--width", "9"], 2);
    assert!(error.contains("leave --width out"), "{error}");
    let error = fail(&["train", &source, "--run", run], 1);
    assert!(error.contains("holds a run already"), "{error}");
}

#[test]
fn a_finished_run_is_trained_further() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    pictures(&data);
    let source = format!("folder:{}", data.display());
    let train = |name: &str, steps: &str| {
        let run = folder.path().join(name).to_str().unwrap().to_owned();
        let more = ["--steps", steps, "--schedule", "constant", "--keep", "last", "--quiet"];
        succeed(&[&["train", &source, "--run", &run], &more[..], &TINY[..]].concat());
        run
    };
    let (whole, run) = (train("whole", "9"), train("run", "3"));
    // Resumed as it is, it says how to continue, by a command that works.
    let output = tercet(&["train", "--resume", &run]).output().unwrap();
    let text = stderr(&output);
    let command = text.rfind("tercet train --resume").map(|at| text[at..].trim()).unwrap();
    assert!(command.ends_with("--steps 6"), "{text}");
    let words: Vec<&str> = command.split(' ').skip(1).collect();
    let output = tercet(&words).output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(stderr(&output).contains("6 steps instead of 3"), "{}", stderr(&output));
    let error = fail(&["train", "--resume", &run, "--steps", "6"], 2);
    assert!(error.contains("has made 6 steps") && error.contains("larger number"), "{error}");
    let trained = json(&["train", "--resume", &run, "--steps", "9", "--quiet", "--json"]);
    assert_eq!(trained["steps"], 9);
    // A constant rate does not depend on the number of steps, so neither do the weights.
    assert!(model(Path::new(&run)) == model(Path::new(&whole)), "the models differ");
    // The run keeps its new number of steps.
    fs::remove_dir_all(Path::new(&run).join("checkpoints/step-00000009")).unwrap();
    let trained = json(&["train", "--resume", &run, "--quiet", "--json"]);
    assert_eq!(trained["steps"], 9);

    // Settings that stay are named; a new run from the model may change them.
    let error = fail(&["train", "--resume", &run, "--learning-rate", "1e-4"], 2);
    let command = error.rfind("tercet train").map(|at| error[at..].trim()).unwrap();
    assert!(command.contains("--from") && command.contains("--learning-rate 0.0001"), "{error}");
    let other = folder.path().join("other");
    let words = command.split(' ').skip(1).chain(["--run", other.to_str().unwrap(), "--quiet"]);
    let words: Vec<&str> = words.chain(["--steps", "2", "--batch", "3x2"]).collect();
    succeed(&words);
}

/// Trains `steps` slow steps: at some seconds each, in chunks, with a network that has running
/// statistics.
fn slow(source: &str, run: &str, steps: &str) -> Vec<String> {
    let text = format!(
        "train {source} --run {run} --steps {steps} --batch 6x48 --size 48 --width 32 --chunk 36 \
         --embedding-dim 8 --holdout 0.25 --encoder resnet18 --hidden 8 --checkpoint-every 1 --threads 1"
    );
    text.split(' ').map(str::to_owned).collect()
}

#[test]
fn a_stop_during_a_long_step_leaves_a_checkpoint_within_ten_seconds() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    pictures(&data);
    let source = format!("folder:{}", data.display());
    let [run, whole] = ["run", "whole"].map(|name| folder.path().join(name));
    let words = slow(&source, run.to_str().unwrap(), "2");
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let mut child = tercet(&words).stderr(std::process::Stdio::piped()).spawn().unwrap();
    wait_for_checkpoint(&mut child, &run, 0);
    // In the middle of the second step.
    std::thread::sleep(Duration::from_millis(300));
    let asked = Instant::now();
    std::process::Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(asked.elapsed() < Duration::from_secs(10), "{:?}", asked.elapsed());
    assert_eq!(output.status.code(), Some(130), "{}", stderr(&output));
    let text = stderr(&output);
    assert!(text.contains("interrupted after step"), "{text}");
    let resumed = ["train", "--resume", run.to_str().unwrap(), "--quiet"];
    succeed(&resumed);
    let words = slow(&source, whole.to_str().unwrap(), "2");
    let words: Vec<&str> = words.iter().map(String::as_str).chain(["--quiet"]).collect();
    succeed(&words);
    assert!(model(&run) == model(&whole), "the models differ");
}

#[test]
fn ctrl_c_stops_at_a_safe_point_and_says_how_to_go_on() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    pictures(&data);
    let run = folder.path().join("run");
    let mut child = start(&format!("folder:{}", data.display()), &run, &[]);
    wait_for_checkpoint(&mut child, &run, 5);
    let interrupted = std::process::Command::new("kill")
        .args(["-INT", &child.id().to_string()])
        .status()
        .unwrap();
    assert!(interrupted.success());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130), "{}", stderr(&output));
    let expected = format!("tercet train --resume {}", run.display());
    assert!(stderr(&output).contains(&expected), "{}", stderr(&output));
    succeed(&["train", "--resume", run.to_str().unwrap(), "--quiet"]);
}
