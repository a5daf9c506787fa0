//! The messages when training stops before its end, or cannot be resumed as requested.

use anyhow::anyhow;
use tercet_train::shell;
use tercet_train::trainer::{RunFolder, TrainConfig, TrainError};

use crate::exit::Interrupted;
use crate::table::count;

/// The command that resumes a run.
pub(super) fn resume(run: &RunFolder) -> String {
    let words = ["tercet".as_ref(), "train".as_ref(), "--resume".as_ref(), run.path().as_os_str()];
    shell::command(words)
}

/// The last message of an interrupted run.
pub(super) fn interrupted(run: &RunFolder, step: Option<u64>, steps: u64) -> anyhow::Error {
    let resume = resume(run);
    Interrupted(match step {
        _ if !run.has_begun() => {
            "interrupted before the first step; nothing was written".to_owned()
        }
        None => format!("interrupted; resume with: {resume}"),
        Some(0) => format!("interrupted before the first step; start it again with: {resume}"),
        Some(step) => format!(
            "interrupted after step {} of {}; resume with: {resume}",
            count(step as usize),
            count(steps as usize)
        ),
    })
    .into()
}

/// An error, extended by the command that resumes the run if that helps.
pub(super) fn advised(error: TrainError, run: &RunFolder) -> anyhow::Error {
    if !run.has_begun() {
        return error.into();
    }
    let resume = resume(run);
    if error.lacks_room() {
        return anyhow!(
            "{error}; the disk is full, and nothing written before is lost: make room, then resume with: {resume}"
        );
    }
    if matches!(error, TrainError::Collapsed { .. }) {
        return anyhow!("{error}; to continue this run regardless, resume it with: {resume}");
    }
    match error.can_be_resumed() {
        true => anyhow!("{error}; the run can be resumed with: {resume}"),
        false => error.into(),
    }
}

/// Why a setting of a resumed run cannot be changed, and what to do instead.
pub(super) fn fixed(
    run: &RunFolder,
    config: &TrainConfig,
    key: &str,
    value: &toml::Value,
) -> String {
    let drop = match key {
        "source" => {
            format!("--resume continues the run on {}: leave the source out", config.source)
        }
        _ => format!("--resume keeps the settings of the run: leave --{key} out"),
    };
    let model = run.model_file();
    if !model.is_file() || !TrainConfig::can_change_with_from(key) {
        return drop;
    }
    let mut words = vec!["tercet".into(), "train".into()];
    match key {
        "source" => words.push(text(value).into()),
        _ => words.push(config.source.clone().into()),
    }
    words.extend(["--from".into(), model.into_os_string()]);
    if key != "source" {
        words.push(format!("--{key}").into());
        if !value.is_bool() {
            words.push(text(value).into());
        }
    }
    format!("{drop}, or start a new run from its model: {}", shell::command(words))
}

fn text(value: &toml::Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
