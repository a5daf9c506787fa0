//! What the head of a network receives of the last feature map.

use serde::{Deserialize, Serialize};
use tercet::named;

/// What the head of a network receives of the last feature map.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Pooling {
    /// The values of every position.
    #[default]
    Flatten,
    /// The mean over all positions.
    Global,
}

named!(Pooling, "pooling", [Flatten = "flatten", Global = "global"]);
