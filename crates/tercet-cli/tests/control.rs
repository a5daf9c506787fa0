//! Control of training: the best weights, stopping early, collapse, full disks.

#![allow(clippy::unwrap_used)] // tests may panic

mod common;

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use common::{TINY, fail, json, pictures, stderr, succeed, tercet};

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

/// Vectors of 60 classes of six items each, four components of which the first two tell the class.
fn vectors(folder: &Path, classes: usize) -> String {
    use npyz::WriterBuilder;
    let mut bytes = Vec::new();
    let options = npyz::WriteOptions::new().default_dtype().shape(&[6 * classes as u64, 4]);
    let mut writer = options.writer(&mut bytes).begin_nd().unwrap();
    let mut labels = String::new();
    for item in 0..6 * classes {
        let (class, at) = (item % classes, item as f32);
        let angle = class as f32 * 2.4;
        let noise = |scale: f32| scale * (at * 12.9898).sin();
        let place = [angle.cos() + noise(0.05), angle.sin() + noise(0.07), noise(2.0), noise(1.3)];
        writer.extend(place).unwrap();
        labels += &format!("{class}\n");
    }
    writer.finish().unwrap();
    let file = folder.join(format!("v{classes}.npy"));
    fs::write(&file, bytes).unwrap();
    fs::write(folder.join(format!("v{classes}.labels.txt")), labels).unwrap();
    format!("features:{}", file.display())
}

#[test]
fn the_closing_sentence_is_true_and_its_advice_helps() {
    let folder = tempfile::tempdir().unwrap();
    let source = vectors(folder.path(), 60);
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let train = |name: &str, source: &str, more: &[&str]| {
        json(&[&["train", source, "--run", &path(name), "-q", "--json"], more].concat())
    };
    let map = |judged: &serde_json::Value| judged["map_at_r"].as_f64().unwrap();
    let verdict = |trained: &serde_json::Value| trained["verdict"].as_str().unwrap().to_owned();

    let good = train("good", &source, &["--steps", "200", "--learning-rate", "0.003"]);
    let gain = map(&good["after"]) - map(&good["before"]["features"]);
    let expected = format!("better than raw features by {}", &format!("{gain:.3}")[1..]);
    assert_eq!(verdict(&good), format!("{expected} MAP@R (significant)"));
    // Resumed when it is over, it says the same; the text and the report say it too.
    let again = json(&["train", "--resume", &path("good"), "-q", "--json"]);
    assert_eq!(verdict(&again), verdict(&good));
    let text = succeed(&["train", "--resume", &path("good"), "-q"]);
    assert!(text.contains(&format!("result  {}", verdict(&good))), "{text}");
    let page = fs::read_to_string(path("good/report.html")).unwrap();
    let points = format!("Better than raw features by {:.1} points of MAP@R", 100.0 * gain);
    assert!(page.contains(&points), "{points}");

    // Whatever a rate does to the head: by default it never ends below the untrained one, and the
    // sentence says which weights were kept.
    let wild = ["--steps", "60", "--learning-rate", "30"];
    let kept = train("kept", &source, &wild);
    assert!(map(&kept["after"]) >= map(&kept["before"]["untrained"]), "{}", verdict(&kept));
    let is_untrained = verdict(&kept).starts_with("worse than before training, so");
    assert_eq!(is_untrained, kept["kept_step"] == 0, "{}", verdict(&kept));
    // Those who want the last weights get them, with the size of the loss.
    let last = train("last", &source, &[&wild[..], &["--keep", "last"]].concat());
    let loss = map(&last["before"]["untrained"]) - map(&last["after"]);
    assert_eq!(last["kept_step"], 60);
    let expected = format!("worse than before training by {loss:.3}").replace(" 0.", " .");
    assert_eq!(verdict(&last).starts_with(&expected), loss > 0.0, "{}", verdict(&last));
    if loss > 0.0 {
        assert!(verdict(&last).contains("try --learning-rate 0.001"), "{}", verdict(&last));
    }

    let few = train("few", &vectors(folder.path(), 10), &["--steps", "5"]);
    let text = verdict(&few);
    assert!(text.contains("only 2 classes evaluated: do not trust these figures"), "{text}");
    assert!(!text.contains("significant") && !text.contains("--holdout"), "{text}");
    let some = vectors(folder.path(), 30);
    let text = verdict(&train("some", &some, &["--steps", "5"]));
    assert!(text.contains("only 6 classes") && text.ends_with("--holdout 0.5"), "{text}");
    let text = verdict(&train("more", &some, &["--steps", "5", "--holdout", "0.5"]));
    assert!(!text.contains("do not trust"), "{text}");
    let text = verdict(&train("none", &some, &["--steps", "5", "--holdout", "0"]));
    assert_eq!(text, "not evaluated: no classes were held out; try --holdout 0.2");

    // Numbers that leave the range of numbers end the run by the step and what to lower.
    let diverged = ["--steps", "9", "--learning-rate", "1e30", "--objective", "batch-hard"];
    let run = path("diverged");
    let arguments = [&["train", &source, "--run", &run, "-q"], &diverged[..]].concat();
    let error = fail(&arguments, 1);
    assert!(error.contains("training diverged at step 2: lower --learning-rate"), "{error}");
}

#[test]
fn what_is_shared_names_no_folder_of_this_machine() {
    let folder = tempfile::tempdir().unwrap();
    let source = vectors(folder.path(), 60);
    let secret = folder.path().to_str().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (run, page, graph) = (path("run"), path("page.html"), path("model.onnx"));
    let labels = path("v60.labels.txt");
    let arguments = ["train", &source, "--run", &run, "--steps", "3", "-q", "--labels", &labels];
    succeed(&arguments);
    let model = format!("{run}/model.safetensors");
    succeed(&["eval", &model, &source, "--report", &page, "-q"]);
    succeed(&["export", &model, "--onnx", &graph, "-q"]);
    for file in [&model, &format!("{run}/report.html"), &page, &graph] {
        let bytes = fs::read(file).unwrap();
        let text = String::from_utf8_lossy(&bytes);
        assert!(!text.contains(secret), "{file} names {secret}");
    }
    let report = fs::read_to_string(format!("{run}/report.html")).unwrap();
    let command = "tercet train features:v60.npy --labels v60.labels.txt --steps 3";
    assert!(report.contains(command) && report.contains(" UTC"), "no command or date");
    let page = fs::read_to_string(&page).unwrap();
    assert!(page.contains("model.safetensors on features:v60.npy"));
    // What was trained on is still recognised.
    let text = succeed(&["eval", &model, &source, "-q"]);
    assert!(text.contains("held-out"), "{text}");
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

/// A file that takes nothing, as a disk that is full.
fn full() -> Stdio {
    fs::OpenOptions::new().write(true).open("/dev/full").unwrap().into()
}

#[test]
fn output_that_cannot_be_written_ends_no_command() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    pictures(&data);
    let source = format!("folder:{}", data.display());
    let run = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let train = |name: &str| {
        let run = run(name);
        let words = ["train", &source, "--run", &run, "--steps", "12", "--log-every", "1"];
        tercet(&[&words[..], &TINY[..]].concat())
    };
    // A reader of both streams that goes away at once, as `2>&1 | head -n 1`.
    let mut child = train("piped").stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop((child.stdout.take(), child.stderr.take()));
    assert_eq!(child.wait().unwrap().code(), Some(0));
    // A log on a full disk.
    let status = train("full").stdout(Stdio::null()).stderr(full()).status().unwrap();
    assert_eq!(status.code(), Some(0));
    for name in ["piped", "full"] {
        assert!(Path::new(&run(name)).join("model.safetensors").is_file());
    }
    assert!(model(Path::new(&run("piped"))) == model(Path::new(&run("full"))));

    // Other commands: success stays success, and errors keep their status.
    let model = format!("{}/model.safetensors", run("full"));
    let vectors = run("e.npy");
    let gallery = run("gallery");
    let cases: [(&[&str], i32); 7] = [
        (&["eval", &model, &source], 0),
        (&["embed", &model, &source, "--out", &vectors], 0),
        (&["gallery", "create", &gallery, &source, "--model", &model], 0),
        (&["cluster", &model, &source], 0),
        (&["data", "info", &source], 0),
        (&["eval", "none.npy"], 1),
        (&["train", "--batch", "1x4"], 2),
    ];
    let built_in = |words: &[&str]| cfg!(feature = "gallery") || words[0] != "gallery";
    for (words, expected) in cases.into_iter().filter(|(words, _)| built_in(words)) {
        let status = tercet(words).stdout(Stdio::null()).stderr(full()).status().unwrap();
        assert_eq!(status.code(), Some(expected), "{words:?}");
    }
    // A result that cannot be written is an error, and no panic.
    let output = tercet(&["data", "list"]).stdout(full()).stderr(Stdio::piped()).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    assert!(stderr(&output).contains("cannot write the result"), "{}", stderr(&output));
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
