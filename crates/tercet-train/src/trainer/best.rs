//! The best evaluation so far: which weights to keep, and when to stop.

use serde::{Deserialize, Serialize};
use tercet::Retrieval;

use super::choice::named;

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

/// The best evaluation so far.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Best {
    /// Steps done when it was made.
    pub step: u64,
    /// Its figure, in f32, which JSON keeps exactly.
    pub value: f32,
    /// Evaluations since, none of which was better.
    pub without_gain: u64,
}

impl Best {
    /// Takes in an evaluation; true if it is the best so far. Of equal ones the first stays.
    pub(super) fn judge(best: &mut Option<Self>, step: u64, value: f64) -> bool {
        let value = value as f32;
        match best {
            Some(best) if value <= best.value => {
                best.without_gain += 1;
                false
            }
            _ => {
                *best = Some(Self { step, value, without_gain: 0 });
                true
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_of_equals_stays_and_patience_is_counted() {
        let mut best = None;
        let better: Vec<bool> = [0.3, 0.5, 0.5, 0.4, 0.6, 0.1]
            .into_iter()
            .zip(1..)
            .map(|(value, step)| Best::judge(&mut best, step, value))
            .collect();
        assert_eq!(better, [true, true, false, false, true, false]);
        assert_eq!(best, Some(Best { step: 5, value: 0.6, without_gain: 1 }));
    }
}
