//! Control of training: the best weights, stopping early, collapse, full disks.

#![allow(clippy::unwrap_used)] // tests may panic

mod common;

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use common::{TINY, fail, json, pictures, stderr, succeed};

fn model(run: &Path) -> Vec<u8> {
    fs::read(run.join("model.safetensors")).unwrap()
}

fn lines(run: &str) -> Vec<serde_json::Value> {
    let text = fs::read_to_string(Path::new(run).join("metrics.jsonl")).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn the_best_weights_are_kept_and_patience_ends_the_run() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    pictures(&data);
    let source = format!("folder:{}", data.display());
    let run = folder.path().join("run");
    let run = run.to_str().unwrap();
    let control = [
        "--steps",
        "400",
        "--judge-every",
        "10",
        "--patience",
        "2",
        "--keep",
        "best",
        "--monitor",
        "recall-at-1",
        "--ema",
        "0.9",
        "--json",
        "--quiet",
    ];
    let arguments = [&["train", &source, "--run", run], &TINY[..], &control].concat();
    let trained = json(&arguments);
    // Four classes of held-out stripes are soon told apart as well as they will ever be.
    assert_eq!(trained["stopped_early"], true);
    let [steps, kept] = [&trained["steps"], &trained["kept_step"]].map(|n| n.as_u64().unwrap());
    assert_eq!(steps, kept + 20, "two judgements without a better one");
    assert_eq!(trained["best"]["step"], kept);
    let best = trained["after"]["recall_at_k"]["1"].as_f64().unwrap();
    assert!((trained["best"]["value"].as_f64().unwrap() - best).abs() < 1e-6);
    let judged: Vec<_> = lines(run).into_iter().filter(|line| line["kind"] == "judged").collect();
    assert_eq!(judged.len() as u64, steps / 10);
    assert!(judged.iter().all(|line| line["recall_at_1"].as_f64().unwrap() <= best + 1e-9));

    // Judged from its file it is what the run says; resumed, it is over and stays as it is.
    let model_file = trained["model"].as_str().unwrap();
    let judged = json(&["eval", model_file, &source, "--json", "--quiet"]);
    assert_eq!(judged["map_at_r"], trained["after"]["map_at_r"]);
    let before = model(Path::new(run));
    succeed(&["train", "--resume", run, "--quiet"]);
    assert!(before == model(Path::new(run)));
    let report = fs::read_to_string(Path::new(run).join("report.html")).unwrap();
    assert!(report.contains("stopped early") && report.contains("--validation"), "no word of it");

    // With classes of its own to choose by, held-out classes are judged once.
    let run = folder.path().join("validated");
    let run = run.to_str().unwrap();
    let control = ["--steps", "20", "--keep", "best", "--validation", "0.25", "--json", "--quiet"];
    let arguments = [&["train", &source, "--run", run], &TINY[..], &control].concat();
    let trained = json(&arguments);
    assert_eq!(trained["validation"], serde_json::json!({ "classes": 2, "items": 12 }));
    assert_eq!(trained["train"]["classes"], 4);
    assert!(lines(run).iter().all(|line| line["kind"] != "judged" || line["on"] == "validation"));
    let report = fs::read_to_string(Path::new(run).join("report.html")).unwrap();
    assert!(!report.contains("a little too good"));
}

#[test]
fn wrong_numbers_are_named_by_their_key() {
    let cases: [(&[&str], &[&str]); 10] = [
        (&["--schedule", "linear"], &["linear", "one-cycle"]),
        (&["--optimizer", "adma"], &["adma", "adamw"]),
        (&["--momentum", "0.9"], &["momentum", "sgd"]),
        (&["--warmup", "600"], &["warmup", "600"]),
        (&["--ema", "1"], &["ema", "0.999"]),
        (&["--validation", "0.9"], &["validation", "0.8"]),
        (&["--keep", "best", "--holdout", "0"], &["keep", "holdout"]),
        (&["--curriculum", "400:batch-hrad"], &["400:batch-hrad", "400:batch-all:8x4"]),
        (&["--falling-beta1", "0.5", "--schedule", "cosine"], &["falling-beta1", "paper"]),
        (&["--on-collapse", "panic"], &["panic", "soften"]),
    ];
    for (arguments, words) in cases {
        let error = fail(&[&["train"], arguments].concat(), 2);
        for word in words {
            assert!(error.contains(word), "{arguments:?} does not say `{word}`: {error}");
        }
    }
}

/// A disk of 2 MB in a namespace of its own, where the system allows one: the script finds it in
/// the folder $DISK. Returns status and stderr.
fn on_a_small_disk(folder: &Path, script: &str) -> Option<(i32, String)> {
    let disk = folder.join("disk");
    fs::create_dir_all(&disk).unwrap();
    let mount = format!("mount -t tmpfs -o size=2m tmpfs \"$DISK\" || exit 77\n{script}");
    let output = Command::new("unshare")
        .args(["--user", "--map-root-user", "--mount", "sh", "-c", &mount])
        .env("DISK", &disk)
        .env("TERCET", env!("CARGO_BIN_EXE_tercet"))
        .stdin(Stdio::null())
        .output()
        .ok()?;
    let status = output.status.code()?;
    let refused = status == 77 || stderr(&output).contains("unshare:");
    (!refused).then(|| (status, stderr(&output)))
}

#[test]
fn a_full_disk_costs_no_checkpoint_and_the_run_goes_on_once_there_is_room() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    pictures(&data);
    let source = format!("folder:{}", data.display());
    let arguments = [
        &["train", &source, "--steps", "300", "--checkpoint-every", "10"][..],
        &["--judge-every", "300", "--log-every", "300"],
        &TINY[..],
    ]
    .concat();
    let quoted: Vec<_> = arguments.iter().map(|argument| format!("'{argument}'")).collect();
    let copy = folder.path().join("model.safetensors");
    let script = format!(
        r#"
        "$TERCET" {train} --run "$DISK/run" & pid=$!
        while ! ls "$DISK"/run/checkpoints/step-* >/dev/null 2>&1; do sleep 0.01; done
        cat /dev/zero > "$DISK/filler" 2>/dev/null
        wait $pid; [ $? = 1 ] || exit 3
        ls "$DISK"/run/checkpoints/.step* >/dev/null 2>&1 && exit 4
        ls "$DISK"/run/checkpoints/step-*/state.json >/dev/null || exit 5
        rm "$DISK/filler"
        "$TERCET" train --resume "$DISK/run" --quiet || exit 6
        cp "$DISK/run/model.safetensors" '{copy}'
        "#,
        train = quoted.join(" "),
        copy = copy.display()
    );
    let Some((status, text)) = on_a_small_disk(folder.path(), &script) else {
        eprintln!("skipped: this system gives no file system of its own to a test");
        return;
    };
    assert_eq!(status, 0, "{text}");
    assert!(text.contains("the disk is full") && text.contains("train --resume"), "{text}");
    assert!(!text.contains("panicked"), "{text}");
    let whole = folder.path().join("whole");
    succeed(&[&arguments[..], &["--run", whole.to_str().unwrap(), "--quiet"]].concat());
    assert!(model(&whole) == fs::read(copy).unwrap(), "the models differ");
}

#[test]
fn a_run_that_cannot_be_written_fails_by_its_path_before_it_starts() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "no folder").unwrap();
    let run = file.join("run");
    let error = fail(
        &[&["train", "--run", run.to_str().unwrap(), "--steps", "1"][..], &TINY[..]].concat(),
        1,
    );
    assert!(error.contains(run.to_str().unwrap()), "{error}");
    assert!(!error.contains("step      1"), "{error}");
}
