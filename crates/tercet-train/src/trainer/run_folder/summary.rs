//! Summaries of the runs in a folder, read without locking them.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use serde::Serialize;

use super::stored::{Stored, differences};
use super::{Checkpoint, Line, RunFolder, lock};
use crate::model::ModelCard;
use crate::trainer::{TrainConfig, TrainError};

/// The progress of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Progress {
    /// Its model was written.
    Finished,
    /// A process is training it.
    Running,
    /// It is not finished and can be resumed.
    Stopped,
}

impl std::fmt::Display for Progress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Finished => "finished",
            Self::Running => "running",
            Self::Stopped => "stopped",
        })
    }
}

/// The summary of a run.
#[derive(Debug, Clone, Serialize)]
pub struct RunSummary {
    /// Its folder.
    pub run: PathBuf,
    /// When it began, in seconds since 1970.
    pub begun: Option<u64>,
    /// Its progress.
    pub state: Progress,
    /// Steps done, according to checkpoints and metrics.
    pub steps_done: u64,
    /// Steps of its configuration.
    pub steps: u64,
    /// Where its items come from.
    pub source: String,
    /// Its objective.
    pub objective: String,
    /// Its architecture.
    pub encoder: String,
    /// Recall@1 on held-out classes: of the model, otherwise of the last evaluation during the run.
    pub recall_at_1: Option<f64>,
    /// MAP@R, of the same evaluation.
    pub map_at_r: Option<f64>,
    /// The path of the model, once it is written.
    pub model: Option<PathBuf>,
    #[serde(skip)]
    config: TrainConfig,
    /// Fingerprint of the data, and the held-out classes; of finished runs only.
    #[serde(skip)]
    judged_on: Option<(String, BTreeSet<String>)>,
}

impl RunSummary {
    /// Reads a run's folder.
    ///
    /// # Errors
    /// A folder without a run; a configuration that cannot be understood.
    pub fn read(path: &Path) -> Result<Self, TrainError> {
        let run = RunFolder::only_named(path);
        if !run.has_begun() {
            return Err(TrainError::NoRun(path.to_owned()));
        }
        let bad = |reason: String| TrainError::BadConfig {
            path: run.config_file(),
            reason,
            copy: run.newest_config(),
        };
        let text = fs::read_to_string(run.config_file()).map_err(|error| bad(error.to_string()))?;
        let Stored { config, begun } = Stored::parse(&text).map_err(bad)?;
        let begun = begun.or_else(|| run.config_file().metadata().ok()?.modified().ok());
        let seconds = |time: SystemTime| Some(time.duration_since(UNIX_EPOCH).ok()?.as_secs());

        let lines = run.lines().unwrap_or_default();
        let checkpoints = Checkpoint::list(&run.checkpoints()).unwrap_or_default();
        let checkpoint = checkpoints.last().map_or(0, |(step, _)| *step);
        let steps_done = lines.iter().map(Line::step).max().unwrap_or(0).max(checkpoint);
        let along = lines.iter().rev().find_map(|line| match line {
            Line::Judged(line) => Some((line.recall_at_1, line.map_at_r)),
            _ => None,
        });
        let card = ModelCard::load(&run.model_file()).ok();
        let after = card.as_ref().map(|card| &card.provenance.results["after"]);
        let number = |value: &serde_json::Value| value.as_f64();
        let figures =
            after.map(|after| (number(&after["recall_at_k"]["1"]), number(&after["map_at_r"])));
        let (recall_at_1, map_at_r) = figures
            .unwrap_or((along.map(|(recall, _)| recall), along.map(|(_, map_at_r)| map_at_r)));
        let state = match (lock::is_held(path), &card) {
            (true, _) => Progress::Running,
            (false, Some(_)) => Progress::Finished,
            (false, None) => Progress::Stopped,
        };
        Ok(Self {
            run: path.to_owned(),
            begun: begun.and_then(seconds),
            state,
            steps_done,
            steps: config.steps,
            source: config.source.clone(),
            objective: config.objective_name(),
            encoder: config.encoder.clone(),
            recall_at_1,
            map_at_r,
            model: card.as_ref().map(|_| run.model_file()),
            judged_on: card
                .map(|card| (card.provenance.data, card.provenance.held_out.into_iter().collect())),
            config,
        })
    }

    /// The runs in a folder, oldest first, and the errors of those that cannot be read.
    ///
    /// # Errors
    /// A folder that exists but cannot be read.
    pub fn list(base: &Path) -> std::io::Result<(Vec<Self>, Vec<TrainError>)> {
        let (mut runs, mut bad) = (Vec::new(), Vec::new());
        if !base.exists() {
            return Ok((runs, bad));
        }
        for entry in fs::read_dir(base)? {
            let path = entry?.path();
            match Self::read(&path) {
                Ok(run) => runs.push(run),
                Err(TrainError::NoRun(_)) => {}
                Err(error) => bad.push(error),
            }
        }
        runs.sort_by(|x, y| {
            x.begun.cmp(&y.begun).then_with(|| natural(&x.run).cmp(&natural(&y.run)))
        });
        Ok((runs, bad))
    }

    /// The settings in which two runs differ: key, value of this run, value of the other.
    pub fn differences(&self, other: &Self) -> Vec<(String, String, String)> {
        let mut all = differences(&self.config, &other.config);
        if self.config.steps != other.config.steps {
            let steps = |run: &Self| run.config.steps.to_string();
            all.push(("steps".to_owned(), steps(self), steps(other)));
        }
        all
    }

    /// Whether the figures of two finished runs are on the same held-out classes of the same data.
    pub fn is_comparable(&self, other: &Self) -> bool {
        self.judged_on.is_some() && self.judged_on == other.judged_on
    }

    /// The newest finished run of `base/NAME-1`, `base/NAME-2` and so on; and of those that are
    /// comparable with it and have a better MAP@R, the best one, if there is any.
    pub fn newest(base: &Path, name: &str) -> Option<(Self, Option<Self>)> {
        let number = |run: &Self| {
            let folder = run.run.file_name()?.to_str()?;
            folder.strip_prefix(name)?.strip_prefix('-')?.parse::<u64>().ok()
        };
        let (runs, _) = Self::list(base).ok()?;
        let mut finished: Vec<(u64, Self)> = runs
            .into_iter()
            .filter(|run| run.model.is_some())
            .filter_map(|run| Some((number(&run)?, run)))
            .collect();
        finished.sort_by_key(|(number, _)| *number);
        let (_, newest) = finished.pop()?;
        let figure = |run: &Self| run.map_at_r.unwrap_or(f64::NEG_INFINITY);
        let better = finished
            .into_iter()
            .map(|(_, run)| run)
            .filter(|run| run.is_comparable(&newest) && figure(run) > figure(&newest))
            .max_by(|x, y| figure(x).total_cmp(&figure(y)));
        Some((newest, better))
    }
}

/// A path as text and trailing number, so that `photos-2` is sorted before `photos-10`.
fn natural(path: &Path) -> (String, u64) {
    let text = path.to_string_lossy().into_owned();
    let digits = text.bytes().rev().take_while(u8::is_ascii_digit).count();
    let (front, number) = text.split_at(text.len() - digits);
    (front.to_owned(), number.parse().unwrap_or(0))
}
