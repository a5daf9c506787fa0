//! Collapse: all embeddings end up in one place, and no triplet says where to go from there.
//!
//! It shows as a loss that stands at the penalty of equal distances (the margin, or ln 2 with a soft
//! margin) while embeddings contract. Both are also a phase of healthy training: on hard data
//! batch-hard stands at ln 2 for hundreds of steps before it learns ("In Defense", section 4.4). What
//! tells them apart is whether classes come apart meanwhile.

use std::fmt;

use ndarray::Array2;
use serde::{Deserialize, Serialize};
use tercet::{Census, Labels, Objective, Outcome, Penalty, Reduction};

use super::choice::named;

/// What a run does once it has collapsed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnCollapse {
    /// Say so and go on.
    #[default]
    Warn,
    /// Write a checkpoint and stop.
    Stop,
    /// Go back to the last checkpoint before the collapse and on with an easier task.
    Soften,
}

named!(
    OnCollapse,
    "on-collapse",
    [("warn", Self::Warn), ("stop", Self::Stop), ("soften", Self::Soften),]
);

/// What a person can do about it.
pub const REMEDY: &str = "Try --on-collapse soften, --objective batch-all or facenet, a lower --learning-rate, or a curriculum that starts with a small batch.";

/// Steps over which the running means reach.
const WINDOW: u64 = 50;

/// How near to its collapse value a loss counts as standing there, as a share of that value.
const NEAR: f32 = 0.03;

/// By how much the separation must grow to count as progress.
const PROGRESS: f32 = 0.01;

/// Embeddings closer together than this share of their first distance are one point, whatever the
/// loss says.
const POINT: f32 = 1e-4;

/// How a run fares.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "kebab-case")]
pub enum Condition {
    /// The loss is not at its collapse value.
    Learning,
    /// It is, and it may still leave it.
    Waiting {
        /// Steps at the value.
        steps: u64,
        /// Steps since the classes last came further apart.
        idle: u64,
    },
    /// It stayed there for longer than the run's patience, or all embeddings are one point.
    Collapsed {
        /// The step with which it began.
        since: u64,
    },
}

impl Condition {
    /// Steps at the collapse value, if the run waits there.
    pub fn waiting(self) -> u64 {
        if let Self::Waiting { steps, .. } = self { steps } else { 0 }
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Learning => f.write_str("learning"),
            Self::Waiting { steps, idle } => {
                write!(f, "waiting at the collapse value for {steps} steps")?;
                if *idle < *steps { write!(f, ", progress {idle} steps ago") } else { Ok(()) }
            }
            Self::Collapsed { since } => write!(f, "collapsed since step {since}"),
        }
    }
}

/// Watches the steps of a run. Its state is part of checkpoints; numbers are f32, which JSON keeps
/// exactly.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct CollapseWatch {
    /// Steps seen since it began to watch: from the start, a change of objective, or a softening.
    seen: u64,
    /// Mean distance between classes over the first [`WINDOW`] steps.
    first_distance: f32,
    /// Running means of the loss over its collapse value, the distance between classes, and the
    /// separation 1 − d(same)/d(different).
    loss: f32,
    distance: f32,
    separation: f32,
    /// The separation that counted as progress last.
    best_separation: f32,
    /// Steps at the collapse value, and those since the last progress.
    waiting: u64,
    idle: u64,
    /// Steps as one point.
    point: u64,
    /// The longest wait so far.
    longest: u64,
    collapsed_since: Option<u64>,
}

impl CollapseWatch {
    /// Takes in the step that brought their number to `step`. `value` is where the objective's loss
    /// stands when all embeddings are equal ([`collapse_value`]). True once, when the run collapses.
    pub(super) fn observe(
        &mut self,
        step: u64,
        outcome: &Outcome,
        value: f64,
        patience: u64,
    ) -> bool {
        self.seen += 1;
        let share = 1.0 / self.seen.min(WINDOW) as f32;
        let follow = |mean: &mut f32, new: f64| *mean += (new as f32 - *mean) * share;
        let census = &outcome.census;
        let (same, different) = (census.mean_positive_distance, census.mean_negative_distance);
        follow(&mut self.loss, if value > 0.0 { outcome.value / value } else { f64::INFINITY });
        follow(&mut self.distance, different);
        follow(&mut self.separation, if different > 0.0 { 1.0 - same / different } else { 0.0 });
        if self.seen <= WINDOW {
            self.first_distance = self.distance;
            self.best_separation = self.separation;
            return false;
        }
        if (self.loss - 1.0).abs() <= NEAR {
            self.waiting += 1;
            self.idle += 1;
        } else {
            (self.waiting, self.idle) = (0, 0);
        }
        if self.separation > self.best_separation + PROGRESS {
            self.best_separation = self.separation;
            self.idle = 0;
        }
        self.point = if self.distance <= POINT * self.first_distance { self.point + 1 } else { 0 };
        self.longest = self.longest.max(self.waiting);
        let stuck = self.idle.max(if self.point > WINDOW { self.point } else { 0 });
        if self.point > WINDOW || self.idle >= patience {
            let told = self.collapsed_since.is_some();
            self.collapsed_since.get_or_insert(step.saturating_sub(stuck));
            return !told;
        }
        if self.waiting == 0 {
            self.collapsed_since = None;
        }
        false
    }

    /// A held-out figure got better: the network learns, whatever its loss says.
    pub(super) fn progressed(&mut self) {
        self.idle = 0;
    }

    /// Begins anew, as after a change of the objective; the longest wait stays.
    pub(super) fn restart(&mut self) {
        *self = Self { longest: self.longest, ..Self::default() };
    }

    pub(super) fn condition(&self) -> Condition {
        match self.collapsed_since {
            Some(since) => Condition::Collapsed { since },
            None if self.waiting > 0 => Condition::Waiting { steps: self.waiting, idle: self.idle },
            None => Condition::Learning,
        }
    }

    /// Whether it has seen enough to say that no collapse is in sight.
    pub(super) fn is_at_ease(&self) -> bool {
        self.seen > WINDOW && self.condition() == Condition::Learning
    }

    /// Mean distance between classes as a share of what it was at the start.
    pub(super) fn spread(&self) -> f64 {
        f64::from(self.distance) / f64::from(self.first_distance.max(f32::MIN_POSITIVE))
    }

    /// The longest wait at the collapse value, in steps.
    pub(super) fn longest(&self) -> u64 {
        self.longest
    }
}

/// The value of an objective when all embeddings are equal: φ(0) a triplet. Semi-hard selections take
/// nothing there, but what they take just before costs that.
pub(super) fn collapse_value(objective: &Objective, labels: &Labels, census: &Census) -> f64 {
    let loss = match objective {
        Objective::Triplet(loss) => loss,
        Objective::Lifted(_) => {
            let equal = Array2::zeros((labels.len(), 1));
            return objective.evaluate(equal.view(), labels).map_or(0.0, |outcome| outcome.value);
        }
    };
    let cost = match loss.penalty {
        Penalty::Hinge { margin } => f64::from(margin),
        Penalty::SquaredHinge { margin } => f64::from(margin).powi(2),
        Penalty::Soft { margin } => f64::from(margin).exp().ln_1p(),
    };
    let triplets = census.selected as f64;
    match loss.reduction {
        Reduction::Mean | Reduction::MeanActive => cost,
        Reduction::MeanAnchors => cost * triplets / census.anchors.max(1) as f64,
        Reduction::Sum => cost * triplets,
    }
}
