//! What a run leaves behind, as `tercet train --json` prints it.

use std::path::PathBuf;

use serde::Serialize;

use super::findings::{Before, Collapse};
use super::verdict::Verdict;
use crate::data::BadItem;
use crate::judgement::Judgement;
use crate::trainer::best::Best;
use crate::trainer::counts::{Count, Work};
use crate::trainer::settings::Monitor;

/// A finished run, as `tercet train --json` prints it.
#[derive(Debug, Clone, Serialize)]
pub struct Trained {
    /// The model file.
    pub model: PathBuf,
    /// The run's folder.
    pub run: PathBuf,
    /// Where the items came from.
    pub source: String,
    /// Steps done.
    pub steps: u64,
    /// Whether the patience was over before the last step.
    pub stopped_early: bool,
    /// The step after which the model's weights were.
    pub kept_step: u64,
    /// The best judgement along the way.
    pub best: Option<Best>,
    /// The figure that it is the best by.
    pub monitor: Monitor,
    /// What the collapse watch saw.
    pub collapse: Collapse,
    /// Seconds that this call took.
    pub seconds: f64,
    /// Seed of every random choice.
    pub seed: u64,
    /// The objective's name.
    pub objective: String,
    /// The architecture's name.
    pub encoder: String,
    /// Weights of the network that are learnt.
    pub parameters: usize,
    /// What was learnt from.
    pub train: Count,
    /// What was chosen by along the way.
    pub validation: Count,
    /// What was kept apart.
    pub holdout: Count,
    /// The baselines on the held-out classes.
    pub before: Before,
    /// The trained network on the held-out classes; none without any.
    pub after: Option<Judgement>,
    /// How the result compares with raw input and untrained network, in a sentence.
    pub verdict: Verdict,
    /// Items that went through the network at once; none if a whole batch did.
    pub chunk: Option<usize>,
    /// What the steps looked at and learnt from.
    pub work: Work,
    /// Items left out by `skip-bad`.
    pub skipped: Vec<BadItem>,
}

/// How a run ended.
#[derive(Debug)]
pub enum Ended {
    /// All steps were done.
    Finished(Box<Trained>),
    /// Interrupted after a checkpoint; nothing is lost.
    Interrupted {
        /// Steps done; none if the run had not begun or not yet gone on.
        step: Option<u64>,
    },
}
