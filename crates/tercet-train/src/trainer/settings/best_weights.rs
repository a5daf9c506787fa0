//! Which evaluation is the best, and which weights become the model.

use serde::{Deserialize, Serialize};
use tercet::{Retrieval, named};

/// The figure that decides which evaluation is the best.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Monitor {
    /// MAP@R, mean average precision over the R nearest.
    #[default]
    MapAtR,
    /// Recall@1, the share of queries whose nearest neighbour has their class.
    #[serde(rename = "recall-at-1")]
    RecallAt1,
    /// R-precision, the share of the R nearest that have the query's class.
    RPrecision,
    /// Mean average precision over the whole ranking.
    Map,
    /// Mean reciprocal rank of the first item of the query's class.
    Mrr,
}

named!(
    Monitor,
    "monitor",
    [
        MapAtR = "map-at-r",
        RecallAt1 = "recall-at-1",
        RPrecision = "r-precision",
        Map = "map",
        Mrr = "mrr",
    ]
);

impl Monitor {
    /// The figure of an evaluation; larger is better.
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
    /// If classes are held out, the best of the weights before the first step and of those
    /// evaluated during the run; otherwise the last.
    #[default]
    Auto,
    /// Those after the last step.
    Last,
    /// The best of those evaluated during the run.
    Best,
}

named!(Keep, "keep", [Auto = "auto", Last = "last", Best = "best"]);
