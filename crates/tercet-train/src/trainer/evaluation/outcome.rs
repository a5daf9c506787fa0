//! The result of a run, as `tercet train --json` prints it.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Serialize;
use tercet::Retrieval;

use super::findings::{Before, Collapse};
use super::verdict::Verdict;
use crate::data::BadItem;
use crate::judgement::Judgement;
use crate::trainer::best::Best;
use crate::trainer::compatible::Compatibility;
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
    /// Whether the run stopped before the last step because its patience was exhausted.
    pub stopped_early: bool,
    /// The number of steps after which the model's weights were taken.
    pub kept_step: u64,
    /// The best evaluation during the run.
    pub best: Option<Best>,
    /// The figure by which evaluations are compared.
    pub monitor: Monitor,
    /// What the collapse watch observed.
    pub collapse: Collapse,
    /// Duration of this call in seconds.
    pub seconds: f64,
    /// Seed of every random choice.
    pub seed: u64,
    /// The objective's name.
    pub objective: String,
    /// The architecture's name.
    pub encoder: String,
    /// Number of weights of the network, without running statistics of batch norm.
    pub parameters: usize,
    /// Classes and items that were trained on.
    pub train: Count,
    /// Classes and items of the evaluations during the run.
    pub validation: Count,
    /// Classes and items that were held out.
    pub holdout: Count,
    /// The baselines on the held-out classes.
    pub before: Before,
    /// The trained network on the held-out classes; none if no classes were held out.
    pub after: Option<Judgement>,
    /// Retrieval on the held-out classes with the first components alone, by their number, for a
    /// run with `matryoshka`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub after_by_dimensions: BTreeMap<usize, Retrieval>,
    /// Old and new queries in galleries of old and new vectors, if the run stays compatible with a
    /// model.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub compatible: Option<Compatibility>,
    /// How the result compares with the raw input and the untrained network, in a sentence.
    pub verdict: Verdict,
    /// Items that went through the network at once; none if a whole batch did.
    pub chunk: Option<usize>,
    /// Items that the steps processed.
    pub work: Work,
    /// Items left out because of `skip-bad`.
    pub skipped: Vec<BadItem>,
}

/// How a run ended.
#[derive(Debug)]
pub enum Ended {
    /// All steps were done.
    Finished(Box<Trained>),
    /// Stopped on request after a checkpoint; nothing is lost.
    Interrupted {
        /// Steps done; none if the run had not begun or not yet been resumed.
        step: Option<u64>,
    },
}
