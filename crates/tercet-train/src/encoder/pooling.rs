//! What the head of a network sees of its last map.

use serde::{Deserialize, Serialize};
use tercet::named;

/// What the head of a network sees of its last map.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Pooling {
    /// Every place.
    #[default]
    Flatten,
    /// The mean over all places.
    Global,
}

named!(Pooling, "pooling", [Flatten = "flatten", Global = "global"]);
