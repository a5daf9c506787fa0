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
    /// An evaluation during the run.
    Judged(JudgedLine),
    /// The run collapsed.
    Collapse(CollapseLine),
}

/// One logged step, with the quantities that "In Defense" (arXiv 1703.07737, section 4) advises to
/// watch.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StepLine {
    /// Steps done.
    pub step: u64,
    /// Value of the objective on this step's batch.
    pub loss: f64,
    /// Value of the objective on this batch together with the older model's vectors of it; none
    /// without `compatible`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compatible_loss: Option<f64>,
    /// Share of the selected triplets that have a gradient.
    pub active: f64,
    /// Number of triplets that the selection took.
    pub selected: u64,
    /// Share of the selected triplets with d(a,n) ≤ d(a,p).
    pub violated: f64,
    /// Learning rate of this step.
    pub learning_rate: f64,
    /// Percentiles of the embeddings' norms.
    pub norm: Option<Percentiles>,
    /// Percentiles of all pairwise distances of the batch.
    pub distance: Option<Percentiles>,
    /// Norm of the gradient over all weights before clipping; none if clipping is off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gradient_norm: Option<f64>,
    /// The condition of the run.
    pub collapse: Option<Condition>,
    /// Mean distance between classes, divided by its mean over the first steps.
    pub spread: Option<f64>,
    /// The separation of the classes, 1 − d(same)/d(different), as a running mean.
    pub separation: Option<f64>,
    /// Items per second since the previous line.
    pub items_per_second: f64,
    /// Share of the step's items for which a backward pass was computed.
    #[serde(default)]
    pub backward: Option<f64>,
}

/// An evaluation during the run.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct JudgedLine {
    /// Steps done.
    pub step: u64,
    /// The classes that it used.
    #[serde(default)]
    pub on: JudgedOn,
    /// Recall@1.
    pub recall_at_1: f64,
    /// MAP@R.
    pub map_at_r: f64,
}

/// The classes that an evaluation during the run uses.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum JudgedOn {
    /// The classes that are held out for the final evaluation.
    #[default]
    Holdout,
    /// The validation classes, by which the best weights are chosen.
    Validation,
}

/// A collapse and the reaction to it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct CollapseLine {
    /// Steps done; if the run returned to a checkpoint, the steps of this checkpoint.
    pub step: u64,
    /// The step at which it was noticed.
    pub noticed: u64,
    /// The step with which it began.
    pub since: u64,
    /// What was made easier; none if the run continued unchanged or stopped.
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

    /// The values of the line with their names in TensorBoard.
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

    /// The line as JSON, with a line feed at its end.
    pub(in crate::trainer) fn to_json(&self) -> Vec<u8> {
        let mut json = serde_json::to_vec(self).unwrap_or_default();
        json.push(b'\n');
        json
    }
}
