//! The state of a run that is saved besides its weights.

use serde::{Deserialize, Serialize};

use super::best::Best;
use super::collapse::CollapseWatch;
use super::collapse::softening::Softening;
use super::counts::Work;

/// What is needed besides weights and optimiser to resume a run; sampler and schedule are functions
/// of the step alone.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct State {
    /// Steps done.
    pub(super) step: u64,
    /// Fingerprint of the data: a run is resumed with the same data only.
    pub(super) data: String,
    /// Mean and standard deviation with which the input is standardised.
    pub(super) statistics: Vec<f32>,
    /// Number of threads: another number gives different rounding.
    pub(super) threads: usize,
    /// Items that go through the network at once, none if the whole batch does. Another number
    /// gives different rounding and different statistics of batch norm.
    pub(super) chunk: Option<usize>,
    /// Items that the steps processed.
    pub(super) work: Work,
    /// The best evaluation so far.
    pub(super) best: Option<Best>,
    /// The state of the collapse watch.
    pub(super) watch: CollapseWatch,
    /// The changes that made the task easier, in order.
    pub(super) softened: Vec<Softening>,
    /// The step of the newest checkpoint at which no collapse had begun; this checkpoint is
    /// retained.
    pub(super) good: Option<u64>,
    /// Fingerprint of the model file that the run started from, or of its backbone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) start: Option<String>,
    /// Fingerprint of the older model with which the run stays compatible.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) compatible: Option<String>,
    /// Whether the last step revealed a collapse to which the run has not yet reacted.
    #[serde(default)]
    pub(super) collapsed: bool,
    /// Whether the run was stopped after the step, but before the evaluation that follows it.
    #[serde(default)]
    pub(super) unfinished: bool,
}
