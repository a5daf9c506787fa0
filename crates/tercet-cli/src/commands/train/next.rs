//! Next steps with a trained model: commands that work exactly as they are printed.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use tercet_train::data::Source;
use tercet_train::shell;
use tercet_train::trainer::{TrainConfig, Trained};

/// The commands, each with a short description.
pub(super) fn steps(trained: &Trained, config: &TrainConfig) -> String {
    let Ok(source) = config.source.parse::<Source>() else { return String::new() };
    let model = trained.model.clone().into_os_string();
    let name: OsString = config.source.clone().into();
    let mut lines = Vec::new();
    let mut add = |what: &str, words: Vec<OsString>| {
        let words = [OsString::from("tercet")].into_iter().chain(words);
        lines.push(format!("  # {what}\n  {}", shell::command(words)));
    };
    let labels = config.labels.iter().flat_map(|file| ["--labels".into(), file.into()]);
    let label_from: Vec<OsString> = config
        .label_from
        .iter()
        .flat_map(|pattern| ["--label-from".into(), pattern.to_string().into()])
        .collect();
    let labels: Vec<OsString> = labels.chain(label_from.clone()).collect();
    if trained.holdout.items > 0 {
        let report = trained.run.join("evaluation.html").into_os_string();
        let words = vec!["eval".into(), model.clone(), name.clone()];
        let words = words.into_iter().chain(labels.clone());
        add("curves, map and errors", words.chain(["--report".into(), report]).collect());
    }
    // A gallery of vectors cannot be searched by a picture, and this build may not support
    // galleries.
    if matches!(source, Source::Features { .. }) || !cfg!(feature = "gallery") {
        let out = trained.run.join("embeddings.safetensors").into_os_string();
        let words = vec!["embed".into(), model, name];
        let words = words.into_iter().chain(labels);
        add("embed all items", words.chain(["--out".into(), out]).collect());
    } else {
        let gallery: OsString = free_gallery(&source.name()).into();
        let skip = config.skip_bad.then(|| OsString::from("--skip-bad"));
        let create = ["gallery".into(), "create".into(), gallery.clone(), name];
        let create = create.into_iter().chain(["--model".into(), model]).chain(label_from);
        let what = match source {
            Source::Texts(_) => "make the sentences searchable",
            _ => "make the pictures searchable",
        };
        add(what, create.chain(skip).collect());
        if cfg!(feature = "serve") {
            add("search them in a browser", vec!["serve".into(), gallery]);
        }
    }
    add("train further", further(trained));
    format!("next\n{}", lines.join("\n"))
}

/// The message if a resumed run had no steps left.
pub(super) fn nothing_was_left(trained: &Trained) -> String {
    let words = [OsString::from("tercet")].into_iter().chain(further(trained));
    format!(
        "note: this run had made all its steps, so only its evaluation was repeated; train it further with: {}",
        shell::command(words)
    )
}

fn further(trained: &Trained) -> Vec<OsString> {
    let run = trained.run.clone().into_os_string();
    let steps = (2 * trained.steps).to_string();
    ["train".into(), "--resume".into(), run, "--steps".into(), steps.into()].into()
}

/// A folder name for a gallery that does not exist yet.
fn free_gallery(name: &str) -> PathBuf {
    let names = (1_u64..).map(|number| match number {
        1 => format!("{name}.gallery"),
        _ => format!("{name}-{number}.gallery"),
    });
    names.map(PathBuf::from).find(|path| !Path::exists(path)).unwrap_or_default()
}
