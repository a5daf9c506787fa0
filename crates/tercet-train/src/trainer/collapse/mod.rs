//! Collapse: all embeddings become equal, and no triplet has a gradient that separates them again.
//!
//! The loss then stays at φ(0), the penalty of equal distances (the margin, or ln 2 with a soft
//! margin without offset), while distances shrink. Both also happen during healthy training: on
//! hard data the loss of batch-hard stays at ln 2 for hundreds of steps before the network learns
//! ("In Defense of the Triplet Loss", section 4.4). What distinguishes the two cases is whether the
//! classes become better separated meanwhile.

pub(super) mod softening;

use std::fmt;

use ndarray::Array2;
use serde::{Deserialize, Serialize};
use tercet::{Census, Labels, Objective, Outcome, Penalty, Reduction};

/// What a user can do about a collapse.
pub const REMEDY: &str =
    "Try --objective facenet, --on-collapse soften or a lower --learning-rate.";

/// The number of steps that the running means cover. It is also the shortest time at the collapse
/// value that is reported, because a healthy loss crosses this value on its way down.
const WINDOW: u64 = 50;

/// A loss counts as being at its collapse value if it differs from it by at most this share of it.
const NEAR: f32 = 0.05;

/// The increase of the separation that counts as progress.
const PROGRESS: f32 = 0.01;

/// If the mean distance is below this share of its initial value, a collapse may have begun.
const AT_EASE: f64 = 0.5;

/// If the mean distance is at most this share of its initial value, all embeddings count as one
/// point, whatever the loss is.
const POINT: f32 = 1e-4;

/// Whether a run learns, is at the collapse value of its loss, or has collapsed.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "kebab-case")]
pub enum Condition {
    /// The loss is not at its collapse value, or has been there for less than 50 steps.
    Learning,
    /// The loss has been at its collapse value for 50 steps or more, but may still leave it.
    Waiting {
        /// Steps at the collapse value.
        steps: u64,
        /// Steps since the separation of the classes last grew.
        idle: u64,
    },
    /// The loss stayed there for longer than the run's patience, or all embeddings are one point.
    Collapsed {
        /// The step with which the collapse began.
        since: u64,
    },
}

impl Condition {
    /// Steps at the collapse value; 0 unless the condition is `Waiting`.
    pub fn waiting(self) -> u64 {
        if let Self::Waiting { steps, .. } = self { steps } else { 0 }
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Learning => f.write_str("learning"),
            Self::Waiting { steps, idle } => {
                write!(f, "loss at its collapse value for {steps} steps")?;
                match *idle {
                    0 => f.write_str(", classes still separate"),
                    idle if idle < *steps => write!(f, ", last progress {idle} steps ago"),
                    _ => Ok(()),
                }
            }
            Self::Collapsed { since } => write!(f, "collapsed since step {since}"),
        }
    }
}

/// Observes the steps of a run to notice a collapse. Its state is part of a checkpoint; its numbers
/// are f32, which JSON stores exactly.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct CollapseWatch {
    /// Steps observed since the start, a change of the objective, or a softening.
    seen: u64,
    /// Mean distance between classes over the first [`WINDOW`] steps.
    first_distance: f32,
    /// Running means of loss / collapse value, of the distance between classes, and of the
    /// separation 1 − d(same)/d(different).
    loss: f32,
    distance: f32,
    separation: f32,
    /// The separation at the last progress.
    best_separation: f32,
    /// Steps at the collapse value, and the number of them since the last progress.
    waiting: u64,
    idle: u64,
    /// Consecutive steps in which all embeddings were one point.
    point: u64,
    /// The longest time at the collapse value so far, in steps.
    longest: u64,
    collapsed_since: Option<u64>,
}

impl CollapseWatch {
    /// Records the outcome of the step after which `step` steps are done. `value` is the loss when
    /// all embeddings are equal ([`collapse_value`]). Returns true once, when the run collapses.
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
        let is_point = different as f32 <= POINT * self.first_distance;
        self.point = if is_point { self.point + 1 } else { 0 };
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

    /// A figure on the held-out classes improved, so the network learns, whatever its loss is.
    pub(super) fn progressed(&mut self) {
        self.idle = 0;
    }

    /// Starts observing again, as after a change of the objective; the longest time at the collapse
    /// value is retained.
    pub(super) fn restart(&mut self) {
        *self = Self { longest: self.longest, ..Self::default() };
    }

    pub(super) fn condition(&self) -> Condition {
        match self.collapsed_since {
            Some(since) => Condition::Collapsed { since },
            None if self.waiting >= WINDOW => {
                Condition::Waiting { steps: self.waiting, idle: self.idle }
            }
            None => Condition::Learning,
        }
    }

    /// Whether enough steps were observed, and none of them indicates that a collapse has begun.
    pub(super) fn is_at_ease(&self) -> bool {
        self.seen > WINDOW
            && self.waiting == 0
            && self.condition() == Condition::Learning
            && self.spread() > AT_EASE
    }

    /// The mean distance between classes divided by its mean over the first 50 steps.
    pub(super) fn spread(&self) -> f64 {
        f64::from(self.distance) / f64::from(self.first_distance.max(f32::MIN_POSITIVE))
    }

    /// The separation of the classes, 1 − d(same)/d(different).
    pub(super) fn separation(&self) -> f64 {
        f64::from(self.separation)
    }

    /// The longest time at the collapse value, in steps; 0 if it was too short to report.
    pub(super) fn longest(&self) -> u64 {
        if self.longest >= WINDOW { self.longest } else { 0 }
    }
}

/// The value of an objective when all embeddings are equal: φ(0) per triplet, reduced. Semi-hard
/// selections take no triplet there, but the triplets that they take just before have a penalty
/// close to φ(0).
pub(super) fn collapse_value(objective: &Objective, labels: &Labels, census: &Census) -> f64 {
    let Objective::Triplet(loss) = objective else {
        let equal = Array2::ones((labels.len(), 1));
        return objective.evaluate(equal.view(), labels).map_or(0.0, |outcome| outcome.value);
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

#[cfg(test)]
mod tests {
    use super::*;
    use tercet::Preset;

    const LN_2: f64 = std::f64::consts::LN_2;

    fn outcome(loss: f64, same: f64, different: f64) -> Outcome {
        let census = Census {
            selected: 64,
            anchors: 64,
            mean_positive_distance: same,
            mean_negative_distance: different,
            ..Census::default()
        };
        let gradient = Array2::zeros((0, 0));
        Outcome { value: loss, gradient, reference_gradient: None, census }
    }

    /// Passes `steps` outcomes, computed from their step number, to a watch; returns it and the
    /// step at which it noticed a collapse.
    fn watch(
        steps: u64,
        patience: u64,
        step: impl Fn(u64) -> Outcome,
    ) -> (CollapseWatch, Vec<u64>) {
        let mut watch = CollapseWatch::default();
        let noticed =
            (1..=steps).filter(|&at| watch.observe(at, &step(at), LN_2, patience)).collect();
        (watch, noticed)
    }

    #[test]
    fn a_run_that_learns_is_left_alone() {
        let (watch, noticed) = watch(2000, 300, |at| outcome(1.0 / at as f64, 0.1, 1.0));
        assert!(noticed.is_empty());
        assert_eq!(watch.condition(), Condition::Learning);
        assert!(watch.is_at_ease());
    }

    #[test]
    fn a_loss_that_crosses_the_collapse_value_is_not_reported() {
        // A healthy loss falls from 1.0 to 0.2 in 400 steps: its running mean is within 5 % of the
        // collapse value for about 35 of them.
        let healthy = |at: u64| outcome(1.0 - 0.8 * (at as f64 / 400.0), 0.1, 1.0);
        let mut watch = CollapseWatch::default();
        let mut near = 0;
        for at in 1..=400 {
            assert!(!watch.observe(at, &healthy(at), LN_2, 300));
            assert_eq!(watch.condition(), Condition::Learning, "step {at}");
            near += u64::from(watch.waiting > 0);
        }
        assert!((1..WINDOW).contains(&near), "{near}");
        assert_eq!(watch.longest(), 0);
    }

    #[test]
    fn waiting_is_reported_and_becomes_a_collapse_once() {
        let stuck = |at| outcome(LN_2 * (1.0 + 1.0 / at as f64), 0.02, 0.0201);
        let (early, noticed) = watch(300, 400, stuck);
        assert!(noticed.is_empty());
        assert!(matches!(early.condition(), Condition::Waiting { steps, .. } if steps > 150));
        assert!(!early.is_at_ease());
        let (late, noticed) = watch(1000, 400, stuck);
        assert_eq!(noticed.len(), 1);
        assert!((450..550).contains(&noticed[0]), "{noticed:?}");
        let Condition::Collapsed { since } = late.condition() else { panic!("not collapsed") };
        assert_eq!(since, noticed[0] - 400);
    }

    #[test]
    fn classes_that_come_apart_are_progress_whatever_the_loss_says() {
        // The loss stays at its collapse value for 1,500 steps while the separation grows slowly,
        // then falls.
        let (watch, noticed) = watch(2000, 400, |at| {
            let separation = 0.05 + 0.2 * (at as f64 / 1500.0).min(1.0);
            let loss = if at < 1500 { LN_2 } else { 0.3 };
            outcome(loss, 1.0 - separation, 1.0)
        });
        assert!(noticed.is_empty(), "{noticed:?}");
        assert_eq!(watch.condition(), Condition::Learning);
        assert!(watch.longest() > 1400);
    }

    #[test]
    fn one_point_is_a_collapse_without_any_patience() {
        let (watch, noticed) = watch(600, 10_000, |at| {
            let size = if at < 200 { 1.0 } else { 1e-7 };
            outcome(0.0, 0.9 * size, size)
        });
        assert_eq!(noticed, [250]);
        assert_eq!(watch.condition(), Condition::Collapsed { since: 199 });
    }

    #[test]
    fn the_state_survives_json_exactly() {
        let (watch, _) = watch(777, 300, |at| {
            outcome(LN_2 * (1.0 + (at as f64).sin() / 7.0), 1.0 / 3.0, (at as f64).cos().abs())
        });
        let json = serde_json::to_string(&watch).unwrap();
        assert_eq!(serde_json::from_str::<CollapseWatch>(&json).unwrap(), watch);
    }

    #[test]
    fn collapse_values_are_those_of_equal_embeddings() {
        let labels = Labels::from_iter([0, 0, 0, 1, 1, 1, 2, 2, 2]);
        let equal = Array2::from_elem((9, 4), 0.5_f32);
        for preset in [Preset::BatchHard, Preset::BatchAll, Preset::BatchAllNonzero, Preset::Lifted]
        {
            let objective = preset.loss();
            let outcome = objective.evaluate(equal.view(), &labels).unwrap();
            let value = collapse_value(&objective, &labels, &outcome.census);
            assert!((value - outcome.value).abs() < 1e-6, "{preset}: {value}, {}", outcome.value);
        }
        let facenet = collapse_value(&Preset::Facenet.loss(), &labels, &Census::default());
        assert!((facenet - 0.2).abs() < 1e-6);
    }
}
