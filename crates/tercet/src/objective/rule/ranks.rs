//! Ranges of ranks.

use std::fmt;
use std::ops::Range;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The ranks `from`, …, `to` − 1, where rank 0 is the hardest. As text: `1..3`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Ranks {
    /// The first rank taken.
    pub from: u32,
    /// The first rank no longer taken.
    pub to: u32,
}

impl From<Range<u32>> for Ranks {
    fn from(range: Range<u32>) -> Self {
        Self { from: range.start, to: range.end }
    }
}

impl fmt::Display for Ranks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}..{}", self.from, self.to)
    }
}

impl FromStr for Ranks {
    type Err = crate::Error;

    fn from_str(text: &str) -> Result<Self, crate::Error> {
        text.split_once("..")
            .and_then(|(from, to)| Some(Self { from: from.parse().ok()?, to: to.parse().ok()? }))
            .ok_or_else(|| {
                crate::Error::parameter(
                    "ranks",
                    format!("`{text}`"),
                    "FROM..TO counted from 0, the end excluded, such as 1..3",
                )
            })
    }
}
