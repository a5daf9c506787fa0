//! What a run does about a collapse.

use serde::{Deserialize, Serialize};
use tercet::named;

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

named!(OnCollapse, "on-collapse", [Warn = "warn", Stop = "stop", Soften = "soften"]);
