//! What a run leaves behind, as `tercet train --json` prints it.

use std::ops::AddAssign;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use tercet::{Labels, Retrieval};

use super::best::{Best, Monitor};
use super::collapse::Condition;
use super::softening::Softening;
use super::verdict::Verdict;
use crate::data::BadItem;
use crate::judgement::Judgement;

/// Numbers of classes and items.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Count {
    /// Classes.
    pub classes: usize,
    /// Items.
    pub items: usize,
}

impl Count {
    pub(super) fn of(labels: &Labels) -> Self {
        Self { classes: labels.class_count(), items: labels.len() }
    }
}

/// Items that steps looked at, and those that a backward pass was spent on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Work {
    /// Items that were embedded and evaluated.
    pub items: u64,
    /// Items that went back through the network.
    pub backward: u64,
}

impl Work {
    pub(super) fn new(items: usize, backward: usize) -> Self {
        Self { items: items as u64, backward: backward as u64 }
    }

    /// Share of the items that went back.
    pub fn share(self) -> f64 {
        self.backward as f64 / self.items.max(1) as f64
    }
}

impl AddAssign for Work {
    fn add_assign(&mut self, other: Self) {
        self.items += other.items;
        self.backward += other.backward;
    }
}

/// What a run found before its first step.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Before {
    /// Nearest neighbours on the raw pixels, in Euclidean distance; of sources of images.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pixels: Option<Retrieval>,
    /// Nearest neighbours on the raw vectors, compared as the embeddings are; of sources of vectors.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub features: Option<Retrieval>,
    /// The network with fresh weights.
    pub untrained: Option<Retrieval>,
}

impl Before {
    /// The untouched input, by its name.
    pub fn raw(&self) -> Option<(&'static str, &Retrieval)> {
        let named = |name| move |judged| (name, judged);
        let pixels = self.pixels.as_ref().map(named("pixels"));
        pixels.or_else(|| self.features.as_ref().map(named("features")))
    }
}

/// What the collapse watch saw over a run.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Collapse {
    /// How the run fared at its end.
    #[serde(flatten)]
    pub condition: Condition,
    /// The longest wait at the collapse value, in steps.
    pub longest_wait: u64,
    /// How the task was made easier.
    pub softened: Vec<Softening>,
}

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
