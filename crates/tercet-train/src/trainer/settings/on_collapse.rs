//! What a run does about a collapse.

use serde::{Deserialize, Serialize};

use super::named_choice::named;

/// What a run does once it has collapsed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnCollapse {
    /// Print a warning and continue.
    #[default]
    Warn,
    /// Write a checkpoint and stop.
    Stop,
    /// Return to the last checkpoint before the collapse and continue with an easier task.
    Soften,
}

named!(
    OnCollapse,
    "on-collapse",
    [("warn", Self::Warn), ("stop", Self::Stop), ("soften", Self::Soften),]
);
