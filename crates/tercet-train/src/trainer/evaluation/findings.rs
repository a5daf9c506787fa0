//! Results of the evaluations before the first step, and the summary of the collapse watch.

use serde::Serialize;
use tercet::Retrieval;

use crate::trainer::collapse::Condition;
use crate::trainer::collapse::softening::Softening;

/// Results of the baselines, computed before the first step.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Before {
    /// Nearest neighbours of the raw pixels, in Euclidean distance; for sources of images.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pixels: Option<Retrieval>,
    /// Nearest neighbours of the raw vectors, with the metric of the embeddings; for sources of
    /// vectors.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub features: Option<Retrieval>,
    /// The network before its first step.
    pub untrained: Option<Retrieval>,
}

impl Before {
    /// The baseline on the raw input, with its name.
    pub fn raw(&self) -> Option<(&'static str, &Retrieval)> {
        let named = |name| move |judged| (name, judged);
        let pixels = self.pixels.as_ref().map(named("pixels"));
        pixels.or_else(|| self.features.as_ref().map(named("features")))
    }
}

/// What the collapse watch observed during a run.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Collapse {
    /// The condition of the run at its end.
    #[serde(flatten)]
    pub condition: Condition,
    /// The longest time at the collapse value, in steps.
    pub longest_wait: u64,
    /// The changes that made the task easier, in order.
    pub softened: Vec<Softening>,
}
