//! Which evaluation is the best, and which weights become the model.

use serde::{Deserialize, Serialize};
use tercet::Retrieval;

use super::named_choice::named;

/// The figure that decides which evaluation is the best.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Monitor {
    /// Mean average precision over the R nearest.
    #[default]
    MapAtR,
    /// Share of queries whose nearest neighbour is right.
    #[serde(rename = "recall-at-1")]
    RecallAt1,
    /// Share of the R nearest that are right.
    RPrecision,
    /// Mean average precision over the whole ranking.
    Map,
    /// Mean reciprocal rank of the first right one.
    Mrr,
}

named!(
    Monitor,
    "monitor",
    [
        ("map-at-r", Self::MapAtR),
        ("recall-at-1", Self::RecallAt1),
        ("r-precision", Self::RPrecision),
        ("map", Self::Map),
        ("mrr", Self::Mrr),
    ]
);

impl Monitor {
    /// The figure of a judgement; more is better.
    pub fn of(self, judged: &Retrieval) -> f64 {
        match self {
            Self::MapAtR => judged.map_at_r,
            Self::RecallAt1 => judged.recall_at(1).unwrap_or_default(),
            Self::RPrecision => judged.r_precision,
            Self::Map => judged.map,
            Self::Mrr => judged.mrr,
        }
    }
}

/// Which weights become the model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Keep {
    /// Where classes are held out, the best of the weights before the first step and of those
    /// evaluated during the run; otherwise the last.
    #[default]
    Auto,
    /// Those after the last step.
    Last,
    /// The best of those evaluated during the run.
    Best,
}

named!(Keep, "keep", [("auto", Self::Auto), ("last", Self::Last), ("best", Self::Best)]);
