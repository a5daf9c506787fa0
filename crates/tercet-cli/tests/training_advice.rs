//! Every piece of advice that training prints is followed by a test, and works.
//!
//! The last test here reads the messages in the source of the trainer and its command: a message
//! that names a flag or a command and is not listed in [`FOLLOWED`] fails it.

#![allow(clippy::unwrap_used)] // tests may panic

mod common;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use common::{TINY, fail, json, pictures, run, stderr, succeed};

/// Pictures, and folders for runs.
struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Self {
        let place = Self(tempfile::tempdir().unwrap());
        pictures(&place.0.path().join("data"));
        place
    }

    fn text(&self, name: &str) -> String {
        self.0.path().join(name).to_str().unwrap().to_owned()
    }

    /// The words of `train` on the pictures, with a run folder of this name.
    fn train(&self, name: &str, more: &str) -> Vec<String> {
        let fixed = ["train".to_owned(), self.text("data"), "--run".to_owned(), self.text(name)];
        // Its batch is left out where another one is given.
        let tiny = if more.contains("--batch") { &TINY[2..] } else { &TINY[..] };
        let tiny = tiny.iter().map(|&word| word.to_owned());
        let more = more.split_whitespace().map(str::to_owned);
        fixed.into_iter().chain(tiny).chain(["--quiet".to_owned()]).chain(more).collect()
    }
}

fn words(words: &[String]) -> Vec<&str> {
    words.iter().map(String::as_str).collect()
}

/// Runs the command that a message ends with, from `tercet` on, in a shell.
fn follow(message: &str) {
    let at = message.rfind("tercet ").unwrap_or_else(|| panic!("no command in {message}"));
    let command = message[at..].lines().next().unwrap().replacen("tercet", "\"$TERCET\"", 1);
    let output = Command::new("sh")
        .args(["-c", &format!("{command} --quiet")])
        .env("TERCET", env!("CARGO_BIN_EXE_tercet"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{command}: {}", stderr(&output));
}

#[test]
fn a_taken_folder() {
    let place = Place::new();
    succeed(&words(&place.train("a run", "--steps 2")));
    let error = fail(&words(&place.train("a run", "--steps 2")), 1);
    follow(error.split("; or").next().unwrap());
    succeed(&words(&place.train("another", "--steps 2")));

    fs::create_dir(place.text("taken")).unwrap();
    fs::write(format!("{}/report.html", place.text("taken")), "mine").unwrap();
    let error = fail(&words(&place.train("taken", "--steps 2")), 1);
    assert!(error.contains("`report.html`") && error.contains("with --run"), "{error}");
}

#[test]
fn a_collapse() {
    let place = Place::new();
    let stuck = "--objective batch-hard --margin 1000 --learning-rate 1e-7 --collapse-patience 60 --steps 150";
    let error = fail(&words(&place.train("stopped", &format!("{stuck} --on-collapse stop"))), 1);
    assert!(error.contains("collapsed at step"), "{error}");
    follow(&error);
    for (number, advice) in ["--on-collapse soften", "--objective facenet"].iter().enumerate() {
        assert!(error.contains(&format!("`{advice}`")), "{error}");
        let settings = "--collapse-patience 60 --steps 4";
        succeed(&words(&place.train(&format!("new-{number}"), &format!("{settings} {advice}"))));
    }
    // The note of a run that only warns names the same flags and two more.
    let output = run(&words(&place.train("warned", stuck))
        .into_iter()
        .filter(|word| *word != "--quiet")
        .collect::<Vec<_>>());
    let text = stderr(&output);
    assert!(output.status.success() && text.contains("--on-collapse soften"), "{text}");
    for advice in ["--objective batch-all", "--curriculum 2:2x2", "--learning-rate 1e-9"] {
        let name = advice.replace(' ', "");
        succeed(&words(&place.train(&name, &format!("--steps 4 {advice}"))));
    }
}

#[test]
fn a_run_that_diverges() {
    let place = Place::new();
    let error = fail(&words(&place.train("far", "--steps 9 --learning-rate 1e30")), 1);
    assert!(error.contains("lower --learning-rate"), "{error}");
    succeed(&words(&place.train("near", "--steps 9 --learning-rate 1e-3")));
}

#[test]
fn settings_that_need_others() {
    let place = Place::new();
    let error = fail(&words(&place.train("a", "--memory-start 2 --steps 3")), 2);
    assert!(error.contains("a --memory that starts there"), "{error}");
    succeed(&words(&place.train("b", "--memory-start 2 --steps 3 --memory 9")));

    let resnet = "--encoder resnet18 --hidden 8 --steps 1 --backbone-learning-rate";
    let error = fail(&words(&place.train("c", &format!("{resnet} 0"))), 2);
    assert!(error.contains("--freeze keeps weights"), "{error}");
    succeed(&words(&place.train("d", &format!("{resnet} 1e-5 --freeze 1"))));

    let error = fail(&words(&place.train("e", "--steps 1 --ram-limit 1")), 2);
    let least = error.split("at least ").nth(1).unwrap().split(' ').next().unwrap();
    succeed(&words(&place.train("f", &format!("--steps 1 --ram-limit {least}"))));
    succeed(&words(&place.train("g", "--steps 1 --ram-limit 1 --chunk 4")));

    let error = fail(&words(&place.train("h", "--steps 1 --batch 9x2")), 2);
    let shape = error.split("such as ").nth(1).unwrap().split(':').next().unwrap();
    succeed(&words(&place.train("i", &format!("--steps 1 --batch {shape}"))));

    let report = "--steps 6 --keep best --judge-every 2";
    succeed(&words(&place.train("j", report)));
    let page = fs::read_to_string(place.text("j/report.html")).unwrap();
    assert!(page.contains("--validation"), "the report does not name it");
    succeed(&words(&place.train("k", &format!("{report} --validation 0.25"))));
}

#[test]
fn another_number_of_threads() {
    let place = Place::new();
    succeed(&words(&place.train("run", "--steps 3 --threads 1")));
    let folder = place.text("run");
    let output = run(&["train", "--resume", &folder, "--threads", "2", "--steps", "4"]);
    let text = stderr(&output);
    let advice = text.split("(`").nth(1).unwrap_or_else(|| panic!("{text}"));
    let advice: Vec<&str> = advice.split('`').next().unwrap().split(' ').collect();
    assert_eq!(advice, ["--threads", "1"]);
    let output = run(&[&["train", "--resume", &folder, "--steps", "5"], &advice[..]].concat());
    assert!(output.status.success(), "{}", stderr(&output));
}

/// A folder with `classes` classes of `items` pictures each.
fn few(place: &Place, name: &str, classes: &[usize]) -> String {
    for (class, items) in classes.iter().enumerate() {
        let folder = place.0.path().join(name).join(class.to_string());
        fs::create_dir_all(&folder).unwrap();
        for item in 0..*items {
            let image = image::open(place.0.path().join("data/class 0/0.png")).unwrap();
            image.save(folder.join(format!("{item}.png"))).unwrap();
        }
    }
    place.text(name)
}

#[test]
fn too_few_classes_to_hold_some_out() {
    let place = Place::new();
    let tiny = ["--steps", "1", "--batch", "2x2", "--size", "16", "--width", "4", "--quiet"];
    let own_batch = ["--steps", "1", "--size", "16", "--width", "4", "--quiet"];
    // Where nothing is left to train on, `--holdout 0` is no advice: P would be 1.
    for (name, classes) in [("one", &[6_usize, 1, 1][..]), ("none", &[1, 1, 1, 1, 1, 1])] {
        let source = few(&place, name, classes);
        for holdout in ["0.2", "0"] {
            let run = place.text("refused");
            let flags = ["train", &source, "--run", &run, "--holdout", holdout];
            let error = fail(&[&flags[..], &own_batch].concat(), 1);
            assert!(!error.contains("--holdout 0"), "{error}");
            assert!(error.contains("needs two such classes"), "{error}");
            assert!(error.contains(&source), "{error}");
        }
    }
    for (number, classes) in [&[4_usize, 4][..], &[4, 4, 4], &[4, 4, 1, 1, 1, 1]].iter().enumerate()
    {
        let source = few(&place, &format!("few-{number}"), classes);
        let run = place.text(&format!("few-run-{number}"));
        let error = fail(&[&["train", &source, "--run", &run], &tiny[..]].concat(), 1);
        assert!(error.contains("`--holdout 0` trains on everything"), "{error}");
        for batch in [&tiny[..], &own_batch] {
            let run = format!("{run}-{}", batch.len());
            let flags = ["train", &source, "--run", &run, "--holdout", "0"];
            let trained = json(&[&flags[..], batch, &["--json"]].concat());
            assert_eq!(trained["train"]["classes"], classes.len());
        }
    }
}

#[test]
fn names_of_people_that_cannot_be_understood() {
    let place = Place::new();
    let market = place.0.path().join("market");
    for folder in ["bounding_box_train", "query", "bounding_box_test"] {
        fs::create_dir_all(market.join(folder)).unwrap();
    }
    let picture = place.0.path().join("data/class 0/0.png");
    let put = |name: &str| drop(fs::copy(&picture, market.join("bounding_box_train").join(name)));
    for name in ["ann_front.png", "ann_back.png", "bob.png"] {
        put(name);
    }
    let source = format!("market1501:{}", market.display());
    let run = place.text("run");
    let train = ["train", &source, "--run", &run, "--batch", "2x2", "--steps", "1", "--quiet"];
    for more in [&[][..], &["--skip-bad"]] {
        let error = fail(&[&train[..], more].concat(), 1);
        assert!(!error.contains("hold out"), "{error}");
        assert!(
            error.contains("ann_back.png") && error.contains("0002_c1s1_000451_03.jpg"),
            "{error}"
        );
        // Leaving all of them out would leave nothing.
        assert!(!error.contains("`--skip-bad`"), "{error}");
    }
    for person in 1..=5 {
        for frame in 0..3 {
            put(&format!("000{person}_c{}s1_00000{frame}_00.png", frame + 1));
        }
    }
    let error = fail(&train, 1);
    assert!(error.contains("ann_back.png") && error.contains("`--skip-bad`"), "{error}");
    succeed(&[&train[..], &["--skip-bad", "--size", "16x8", "--width", "4"]].concat());
}

/// Where messages of training are written, below the folder of the crates.
const SOURCES: [&str; 9] = [
    "tercet-train/src/trainer",
    "tercet-train/src/data/error.rs",
    "tercet-train/src/data/split.rs",
    "tercet-train/src/pretrained/mod.rs",
    "tercet-train/src/encoder/stages.rs",
    "tercet-train/src/encoder/options.rs",
    "tercet-cli/src/commands/train.rs",
    "tercet-cli/src/commands/train",
    "tercet-cli/src/commands/runs.rs",
];

/// A part of each message that names a flag or a command, and the test that follows it: the file
/// (here or below the crates) and the name of the test.
const FOLLOWED: &[(&str, &str, &str)] = &[
    ("has no temperature", "tercet-cli/tests/features.rs", "prefixes_are_trained_and_used"),
    (
        "a --compatible MODEL whose weight it is",
        "tercet-cli/tests/upgrade.rs",
        "models_that_cannot_be_compatible_are_refused",
    ),
    (
        "of --compatible changed since this run began",
        "tercet-cli/tests/upgrade.rs",
        "a_killed_compatible_run_resumes_to_the_same_bytes",
    ),
    (
        "--distance {}",
        "tercet-cli/tests/upgrade.rs",
        "models_that_cannot_be_compatible_are_refused",
    ),
    (
        "give --embedding-dim {old}",
        "tercet-cli/tests/upgrade.rs",
        "models_that_cannot_be_compatible_are_refused",
    ),
    ("holds a run already", "", "a_taken_folder"),
    ("a run would overwrite", "", "a_taken_folder"),
    (
        "holds no run: it has no config.toml",
        "tercet-cli/tests/run_folders.rs",
        "runs_are_listed_and_compared",
    ),
    ("as --steps continues it", "tercet-cli/tests/resume.rs", "a_finished_run_is_trained_further"),
    ("collapsed at step", "", "a_collapse"),
    ("--on-collapse soften", "", "a_collapse"),
    ("lower --learning-rate", "", "a_run_that_diverges"),
    ("a --memory that starts there", "", "settings_that_need_others"),
    ("--freeze keeps weights", "", "settings_that_need_others"),
    (
        "train a new head with --backbone",
        "tercet-cli/tests/backbone.rs",
        "a_head_and_its_backbone_are_one_model",
    ),
    (
        "which take the vectors of --backbone",
        "tercet-cli/tests/backbone.rs",
        "wrong_backbones_are_refused",
    ),
    (
        "an encoder of texts (--backbone FOLDER)",
        "tercet-cli/tests/texts.rs",
        "a_head_on_an_encoder_of_sentences_is_used_like_any_model",
    ),
    ("or name --chunk", "", "settings_that_need_others"),
    ("--validation", "", "settings_that_need_others"),
    ("`--threads {then}` keeps", "", "another_number_of_threads"),
    ("`--skip-bad` leaves such items out", "", "names_of_people_that_cannot_be_understood"),
    ("`--holdout", "", "too_few_classes_to_hold_some_out"),
    (
        "leave --seed and --holdout out",
        "tercet-cli/tests/fine_tuning.rs",
        "a_model_is_continued_with_its_weights_and_preprocessing",
    ),
    (
        "leave --{key} out",
        "tercet-cli/tests/fine_tuning.rs",
        "a_model_is_continued_with_its_weights_and_preprocessing",
    ),
    (
        "--from needs a SOURCE",
        "tercet-cli/tests/fine_tuning.rs",
        "a_model_is_continued_with_its_weights_and_preprocessing",
    ),
    ("leave the source out", "tercet-cli/tests/resume.rs", "a_finished_run_is_trained_further"),
    (
        "without --dry-run the run starts",
        "tercet-cli/tests/train.rs",
        "a_dry_run_says_what_would_be_trained_and_writes_nothing",
    ),
    (
        "is no flag of `tercet train`",
        "tercet-cli/tests/train.rs",
        "flags_of_other_programs_are_answered_with_a_command_that_works",
    ),
    (
        "it has --",
        "tercet-cli/tests/train.rs",
        "flags_of_other_programs_are_answered_with_a_command_that_works",
    ),
    (
        "continues a model with --from",
        "tercet-cli/tests/train.rs",
        "flags_of_other_programs_are_answered_with_a_command_that_works",
    ),
    (
        "start one with: tercet train SOURCE",
        "tercet-cli/tests/run_folders.rs",
        "runs_are_listed_and_compared",
    ),
    (
        "`tercet eval` with both models",
        "tercet-cli/tests/run_folders.rs",
        "runs_are_listed_and_compared",
    ),
    ("--model takes another", "tercet-cli/tests/run_folders.rs", "runs_are_listed_and_compared"),
    (
        "better on the same held-out classes",
        "tercet-cli/tests/run_folders.rs",
        "runs_are_listed_and_compared",
    ),
];

/// Files that put commands together from words, which are tested as a whole.
const COMMANDS: [(&str, &str, &str); 4] = [
    ("train/next.rs", "tercet-cli/tests/train.rs", "the_next_steps_that_are_printed_work"),
    ("train/stopping.rs", "tercet-cli/tests/resume.rs", "a_finished_run_is_trained_further"),
    (
        "train/foreign.rs",
        "tercet-cli/tests/train.rs",
        "flags_of_other_programs_are_answered_with_a_command_that_works",
    ),
    (
        "train.rs",
        "tercet-cli/tests/fine_tuning.rs",
        "a_model_is_continued_with_its_weights_and_preprocessing",
    ),
];

/// Files whose advice has tests of its own.
const ELSEWHERE: [(&str, &str, &str); 2] = [
    (
        "settings/command.rs",
        "tercet-train/src/trainer/settings/command.rs",
        "a_command_names_what_differs_from_the_defaults",
    ),
    (
        "evaluation/verdict.rs",
        "tercet-cli/tests/control.rs",
        "the_closing_sentence_is_true_and_its_advice_helps",
    ),
];

/// The string literals of a source file before its tests, without comments and attributes of flags.
fn literals(text: &str) -> Vec<String> {
    let text = text.split("#[cfg(test)]").next().unwrap();
    let (mut found, mut characters) = (Vec::new(), text.chars().peekable());
    while let Some(character) = characters.next() {
        match character {
            '/' if characters.peek() == Some(&'/') => {
                characters.by_ref().find(|character| *character == '\n');
            }
            '\'' if characters.peek() == Some(&'"') => {
                characters.next();
            }
            '"' => {
                let mut literal = String::new();
                while let Some(character) = characters.next() {
                    match character {
                        '"' => break,
                        '\\' => literal.extend(characters.next()),
                        _ => literal.push(character),
                    }
                }
                found.push(literal);
            }
            _ => {}
        }
    }
    found
}

fn files(path: &Path) -> Vec<PathBuf> {
    if path.is_file() {
        return vec![path.to_owned()];
    }
    let entries = fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| files(&path)).collect()
}

/// Whether a literal names a flag or a command of this program.
fn advises(literal: &str) -> bool {
    let is_flag = |word: &str| {
        let word = word.trim_start_matches(|c: char| !c.is_alphanumeric() && c != '-');
        word.strip_prefix("--")
            .is_some_and(|flag| flag.starts_with(|c: char| c.is_ascii_lowercase() || c == '{'))
    };
    literal.split_whitespace().any(is_flag) || literal.contains("tercet ")
}

#[test]
fn all_advice_is_followed_by_a_test() {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut used = vec![false; FOLLOWED.len()];
    let mut missing = Vec::new();
    for source in SOURCES {
        for file in files(&crates.join(source)) {
            if ELSEWHERE.iter().any(|(end, ..)| file.ends_with(end)) {
                continue;
            }
            let text = fs::read_to_string(&file).unwrap();
            let is_command =
                |(end, ..): &(&str, &str, &str)| file.ends_with(format!("commands/{end}"));
            let builds_commands = COMMANDS.iter().any(is_command);
            for literal in literals(&text).into_iter().filter(|literal| advises(literal)) {
                if builds_commands && !literal.contains(' ') {
                    continue; // a word of a command
                }
                let places: Vec<usize> =
                    (0..FOLLOWED.len()).filter(|&at| literal.contains(FOLLOWED[at].0)).collect();
                places.iter().for_each(|&at| used[at] = true);
                if places.is_empty() {
                    missing.push(format!("{}: {literal}", file.display()));
                }
            }
        }
    }
    assert!(missing.is_empty(), "no test follows this advice:\n{}", missing.join("\n"));
    let unused: Vec<_> =
        FOLLOWED.iter().zip(used).filter(|(_, used)| !used).map(|(entry, _)| entry.0).collect();
    assert!(unused.is_empty(), "no message says this any more: {unused:?}");
    for (_, file, test) in FOLLOWED.iter().chain(&COMMANDS).chain(&ELSEWHERE) {
        let file = if file.is_empty() { "tercet-cli/tests/training_advice.rs" } else { file };
        let text = fs::read_to_string(crates.join(file)).unwrap();
        assert!(text.contains(&format!("fn {test}()")), "{file} has no test {test}");
    }
}
