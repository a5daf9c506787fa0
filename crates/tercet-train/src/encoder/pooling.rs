//! What the head of a network sees of its last map.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::EncoderError;

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

impl fmt::Display for Pooling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Flatten => "flatten",
            Self::Global => "global",
        })
    }
}

impl FromStr for Pooling {
    type Err = EncoderError;

    fn from_str(text: &str) -> Result<Self, EncoderError> {
        [Self::Flatten, Self::Global]
            .into_iter()
            .find(|pooling| pooling.to_string() == text)
            .ok_or_else(|| EncoderError::Option {
                option: "pooling",
                got: format!("`{text}`"),
                expected: "flatten or global".to_owned(),
            })
    }
}
