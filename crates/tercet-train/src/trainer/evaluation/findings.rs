//! What is known of a run before its first step, and of a collapse after its last.

use serde::Serialize;
use tercet::Retrieval;

use crate::trainer::collapse::Condition;
use crate::trainer::collapse::softening::Softening;

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
