//! What a run says of itself while it goes on.

use serde::{Deserialize, Serialize};
use tercet::Percentiles;

/// A line of `metrics.jsonl`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Line {
    /// A training step.
    Step(StepLine),
    /// A judgement on the held-out classes.
    Judged(JudgedLine),
}

/// One logged step, with the quantities that "In Defense" advises to watch (section 4).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StepLine {
    /// Steps done.
    pub step: u64,
    /// Value of the objective on this step's batch.
    pub loss: f64,
    /// Share of the selected triplets that still teach.
    pub active: f64,
    /// Triplets that the selection took.
    pub selected: u64,
    /// Share of the selected triplets whose negative is not farther than the positive.
    pub violated: f64,
    /// Learning rate of this step.
    pub learning_rate: f64,
    /// Percentiles of the embeddings' norms.
    pub norm: Option<Percentiles>,
    /// Percentiles of all pairwise distances of the batch.
    pub distance: Option<Percentiles>,
    /// Items a second since the line before.
    pub items_per_second: f64,
    /// Share of the step's items that went back through the network.
    #[serde(default)]
    pub backward: Option<f64>,
}

/// One judgement along the way.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct JudgedLine {
    /// Steps done.
    pub step: u64,
    /// Held-out Recall@1.
    pub recall_at_1: f64,
    /// Held-out MAP@R.
    pub map_at_r: f64,
}

impl Line {
    /// The line as JSON with its line end.
    pub(super) fn to_json(&self) -> Vec<u8> {
        let mut json = serde_json::to_vec(self).unwrap_or_default();
        json.push(b'\n');
        json
    }
}
