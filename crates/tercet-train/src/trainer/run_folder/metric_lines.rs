//! The lines of `metrics.jsonl`.

use serde::{Deserialize, Serialize};
use tercet::Percentiles;

use crate::trainer::collapse::Condition;
use crate::trainer::collapse::softening::Easing;

/// A line of `metrics.jsonl`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Line {
    /// A training step.
    Step(Box<StepLine>),
    /// A judgement along the way.
    Judged(JudgedLine),
    /// The run collapsed.
    Collapse(CollapseLine),
}

/// One logged step, with the quantities that "In Defense" advises to watch (section 4).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StepLine {
    /// Steps done.
    pub step: u64,
    /// Value of the objective on this step's batch.
    pub loss: f64,
    /// Share of the selected triplets that have a gradient.
    pub active: f64,
    /// Triplets that the selection took.
    pub selected: u64,
    /// Share of the selected triplets whose negative is not farther than the positive.
    pub violated: f64,
    /// Learning rate of this step.
    pub learning_rate: f64,
    /// Percentiles of the embeddings' norms.
    pub norm: Option<Percentiles>,
    /// Percentiles of all pairwise distances of the batch.
    pub distance: Option<Percentiles>,
    /// Norm of the gradient over all weights before it was clipped, if that is on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gradient_norm: Option<f64>,
    /// How the run fares.
    pub collapse: Option<Condition>,
    /// Mean distance between classes, as a share of that over the first steps.
    pub spread: Option<f64>,
    /// How far classes are apart, 1 − d(same)/d(different), as a running mean.
    pub separation: Option<f64>,
    /// Items a second since the line before.
    pub items_per_second: f64,
    /// Share of the step's items that went back through the network.
    #[serde(default)]
    pub backward: Option<f64>,
}

/// One judgement along the way.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct JudgedLine {
    /// Steps done.
    pub step: u64,
    /// Which classes were judged on.
    #[serde(default)]
    pub on: JudgedOn,
    /// Recall@1.
    pub recall_at_1: f64,
    /// MAP@R.
    pub map_at_r: f64,
}

/// The classes that a judgement along the way is made on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum JudgedOn {
    /// Those kept apart for the final judgement.
    #[default]
    Holdout,
    /// Those kept apart to choose by.
    Validation,
}

/// A collapse, and what was done about it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct CollapseLine {
    /// Steps done; after going back, those from which the run went on.
    pub step: u64,
    /// The step at which it was noticed.
    pub noticed: u64,
    /// The step with which it began.
    pub since: u64,
    /// What became easier; nothing if the run just went on or stopped.
    pub easing: Option<Easing>,
}

impl Line {
    /// Steps done.
    pub(in crate::trainer) fn step(&self) -> u64 {
        match self {
            Self::Step(line) => line.step,
            Self::Judged(line) => line.step,
            Self::Collapse(line) => line.step,
        }
    }

    /// The numbers of the line with the names that they have in TensorBoard.
    pub(in crate::trainer) fn scalars(&self) -> Vec<(&'static str, f64)> {
        match self {
            Self::Step(line) => {
                let mut scalars = vec![
                    ("train/loss", line.loss),
                    ("train/active", line.active),
                    ("train/violated", line.violated),
                    ("train/learning_rate", line.learning_rate),
                    ("train/items_per_second", line.items_per_second),
                ];
                scalars.extend(line.gradient_norm.map(|norm| ("train/gradient_norm", norm)));
                scalars.extend(line.spread.map(|spread| ("collapse/spread", spread)));
                scalars.extend(line.separation.map(|apart| ("collapse/separation", apart)));
                if let Some(condition) = line.collapse {
                    scalars.push(("collapse/waiting", condition.waiting() as f64));
                }
                if let Some(norm) = line.norm {
                    scalars.extend([
                        ("norm/p5", norm.p5),
                        ("norm/p50", norm.p50),
                        ("norm/p95", norm.p95),
                    ]);
                }
                if let Some(distance) = line.distance {
                    scalars.extend([
                        ("distance/p5", distance.p5),
                        ("distance/p50", distance.p50),
                        ("distance/p95", distance.p95),
                    ]);
                }
                scalars
            }
            Self::Judged(line) => match line.on {
                JudgedOn::Holdout => vec![
                    ("holdout/recall_at_1", line.recall_at_1),
                    ("holdout/map_at_r", line.map_at_r),
                ],
                JudgedOn::Validation => vec![
                    ("validation/recall_at_1", line.recall_at_1),
                    ("validation/map_at_r", line.map_at_r),
                ],
            },
            Self::Collapse(line) => vec![("collapse/noticed", line.noticed as f64)],
        }
    }

    /// The line as JSON with its line end.
    pub(in crate::trainer) fn to_json(&self) -> Vec<u8> {
        let mut json = serde_json::to_vec(self).unwrap_or_default();
        json.push(b'\n');
        json
    }
}
