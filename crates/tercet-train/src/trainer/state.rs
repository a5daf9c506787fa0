//! What a run remembers from step to step beside its weights.

use serde::{Deserialize, Serialize};

use super::best::Best;
use super::collapse::CollapseWatch;
use super::collapse::softening::Softening;
use super::counts::Work;

/// What is needed beside weights and optimiser to go on: sampler and schedule are functions of the
/// step alone.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct State {
    /// Steps done.
    pub(super) step: u64,
    /// Fingerprint of the data: a run goes on with the same data only.
    pub(super) data: String,
    /// Mean and standard deviation that standardise the pixels.
    pub(super) statistics: Vec<f32>,
    /// Threads that computed: other numbers of threads round differently.
    pub(super) threads: usize,
    /// Items that go through the network at once, none if a whole batch does; other numbers round
    /// differently and give batch norm other statistics.
    pub(super) chunk: Option<usize>,
    /// What the steps looked at and learnt from.
    pub(super) work: Work,
    /// The best judgement so far.
    pub(super) best: Option<Best>,
    /// What the collapse watch saw.
    pub(super) watch: CollapseWatch,
    /// How the task was made easier.
    pub(super) softened: Vec<Softening>,
    /// The step of the newest checkpoint from which no collapse was in sight; it is kept.
    pub(super) good: Option<u64>,
    /// Fingerprint of the model file that the run started from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) start: Option<String>,
    /// Whether the step showed a collapse that nothing was done about yet.
    #[serde(default)]
    pub(super) collapsed: bool,
    /// Whether the run was stopped after the step but before the evaluation that follows it.
    #[serde(default)]
    pub(super) unfinished: bool,
}
