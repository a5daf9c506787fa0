//! The learning rate as a function of the step.

use std::f64::consts::PI;

use serde::{Deserialize, Serialize};
use tercet::{ParameterError, named};

/// How the learning rate changes over a run of T steps; its peak is ε₀ (`learning-rate`).
///
/// A warm-up of W steps multiplies the rate of step t < W (counted from 0) by (t + 1)/W.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ScheduleKind {
    /// Constant up to t₀ = `constant-share`·T, then ε₀·0.001^((t − t₀)/(T − t₀)) ("In Defense",
    /// eq. 8, scaled to T steps).
    #[default]
    Paper,
    /// Half a cosine from the end of the warm-up down to 0: ε₀·(1 + cos(π(t − W)/(T − W)))/2
    /// (Loshchilov and Hutter, arXiv 1608.03983, without restarts).
    Cosine,
    /// Half a cosine from ε₀/25 up to ε₀ over the warm-up (by default 0.3·T steps), and another
    /// down to ε₀/250,000 at the last step (Smith and Topin, arXiv 1708.07120; form and defaults
    /// are those of PyTorch's `OneCycleLR`, except that the momentum is constant).
    OneCycle,
    /// ε₀ throughout.
    Constant,
}

named!(
    ScheduleKind,
    "schedule",
    [Paper = "paper", Cosine = "cosine", OneCycle = "one-cycle", Constant = "constant",]
);

/// The factor of the rate at the end of the paper's decay.
const PAPER_FLOOR: f64 = 0.001;

/// One cycle: the peak divided by the first rate, and the first rate divided by the last.
const CYCLE_RISE: f64 = 25.0;
const CYCLE_FALL: f64 = 1e4;
/// Share of the steps in which the rate of one cycle rises, unless a warm-up is set.
const CYCLE_PEAK: f64 = 0.3;

/// A schedule with its parameters. The rate is a function of the step, so there is no state to
/// save.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Schedule {
    /// Which function of the step it is.
    pub kind: ScheduleKind,
    /// The highest rate, ε₀.
    pub peak: f64,
    /// Steps of the run, T.
    pub steps: u64,
    /// Steps of the warm-up, W.
    pub warmup: u64,
    /// Share of the steps before the rate of `paper` starts to fall.
    pub constant_share: f64,
}

impl Schedule {
    /// # Errors
    /// A warm-up that is as long as the run or longer; a rate or share outside its range.
    pub fn check(&self) -> Result<(), ParameterError> {
        let refuse = |key, got: String, expected: &str| {
            Err(ParameterError { parameter: key, got, expected: expected.to_owned() })
        };
        if !(self.peak > 0.0 && self.peak.is_finite()) {
            return refuse("learning-rate", self.peak.to_string(), "a number above 0");
        }
        if !(0.0..=1.0).contains(&self.constant_share) {
            return refuse(
                "constant-share",
                self.constant_share.to_string(),
                "a share from 0 to 1",
            );
        }
        if self.warmup >= self.steps && self.warmup > 0 {
            return refuse(
                "warmup",
                self.warmup.to_string(),
                &format!("fewer steps than the {} of the run", self.steps),
            );
        }
        Ok(())
    }

    /// The learning rate of a step, counted from 0.
    pub fn rate_at(&self, step: u64) -> f64 {
        let (t, steps, warmup) = (step as f64, self.steps as f64, self.warmup as f64);
        let rise = if step < self.warmup { (t + 1.0) / warmup } else { 1.0 };
        let share = match self.kind {
            ScheduleKind::Constant => rise,
            ScheduleKind::Paper => {
                let start = self.constant_share * steps;
                let fall = if t <= start { 0.0 } else { (t - start) / (steps - start) };
                rise * PAPER_FLOOR.powf(fall)
            }
            ScheduleKind::Cosine => {
                let fall = (t - warmup).max(0.0) / (steps - warmup);
                rise * between(1.0, 0.0, fall)
            }
            ScheduleKind::OneCycle => {
                let rising = if self.warmup > 0 { warmup } else { CYCLE_PEAK * steps };
                // The peak and the last rate are reached exactly at a step, as in PyTorch.
                let (peak, last) = (rising - 1.0, (steps - 1.0).max(1.0));
                if t <= peak {
                    between(1.0 / CYCLE_RISE, 1.0, t / peak.max(1.0))
                } else {
                    let fall = (t - peak) / (last - peak);
                    between(1.0, 1.0 / (CYCLE_RISE * CYCLE_FALL), fall.min(1.0))
                }
            }
        };
        self.peak * share
    }

    /// Whether the rate of `paper` has started to fall. From then on "In Defense" (section 4.1)
    /// also lowers Adam's β₁ from 0.9 to 0.5; the code released with it does not.
    pub fn is_falling_at(&self, step: u64) -> bool {
        self.kind == ScheduleKind::Paper && step as f64 > self.constant_share * self.steps as f64
    }

    /// The schedule in words, for the report.
    pub fn describe(&self) -> String {
        let warmup = match (self.kind, self.warmup) {
            (ScheduleKind::OneCycle, _) | (_, 0) => String::new(),
            (_, steps) => format!(", warmed up over {steps} steps"),
        };
        let shape = match self.kind {
            ScheduleKind::Paper => format!(
                "constant, falling to a thousandth from step {:.0}",
                self.constant_share * self.steps as f64
            ),
            ScheduleKind::Cosine => "falling to 0 by half a cosine".to_owned(),
            ScheduleKind::OneCycle => "one cycle up and down".to_owned(),
            ScheduleKind::Constant => "constant".to_owned(),
        };
        format!("{}, {shape}{warmup}", self.peak)
    }
}

/// Half a cosine from the value `from` at share 0 to the value `to` at share 1.
fn between(from: f64, to: f64, share: f64) -> f64 {
    to + (from - to) * (1.0 + (PI * share).cos()) / 2.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schedule(kind: ScheduleKind, warmup: u64) -> Schedule {
        Schedule { kind, peak: 0.01, steps: 100, warmup, constant_share: 0.6 }
    }

    fn close(got: f64, expected: f64) {
        assert!((got / expected - 1.0).abs() < 1e-12, "{got}, expected {expected}");
    }

    #[test]
    fn the_papers_rate_is_constant_and_then_falls_to_a_thousandth() {
        let paper = Schedule {
            kind: ScheduleKind::Paper,
            peak: 1e-3,
            steps: 25_000,
            warmup: 0,
            constant_share: 0.6,
        };
        close(paper.rate_at(0), 1e-3);
        close(paper.rate_at(15_000), 1e-3);
        close(paper.rate_at(20_000), 1e-3 * 0.001_f64.sqrt());
        close(paper.rate_at(25_000), 1e-6);
        assert!(!paper.is_falling_at(15_000) && paper.is_falling_at(15_001));
    }

    #[test]
    fn warm_up_is_linear() {
        for kind in [ScheduleKind::Paper, ScheduleKind::Constant, ScheduleKind::Cosine] {
            let schedule = schedule(kind, 10);
            close(schedule.rate_at(0), 0.001);
            close(schedule.rate_at(4), 0.005);
            close(schedule.rate_at(9), 0.01);
            close(schedule.rate_at(10), 0.01);
        }
    }

    #[test]
    fn cosine_falls_from_the_warm_up_to_nothing() {
        let cosine = schedule(ScheduleKind::Cosine, 20);
        close(cosine.rate_at(60), 0.005);
        close(cosine.rate_at(40), 0.01 * (1.0 + 0.5_f64.sqrt()) / 2.0);
        assert!(cosine.rate_at(100) < 1e-18 && cosine.rate_at(99) > 0.0);
    }

    /// `torch.optim.lr_scheduler.OneCycleLR(SGD, 0.01, total_steps=100).get_last_lr()` of
    /// torch 2.15, by step.
    #[test]
    fn one_cycle_is_pytorchs() {
        let cycle = schedule(ScheduleKind::OneCycle, 0);
        for (step, rate) in [
            (0, 0.0003999999999999993),
            (10, 0.002951639484641007),
            (29, 0.01),
            (30, 0.009994965352845242),
            (60, 0.005892800902855287),
            (99, 4e-8),
        ] {
            close(cycle.rate_at(step), rate);
        }
    }

    #[test]
    fn a_warm_up_of_the_whole_run_is_refused() {
        assert!(schedule(ScheduleKind::Cosine, 99).check().is_ok());
        let error = schedule(ScheduleKind::Cosine, 100).check().unwrap_err().to_string();
        assert!(error.starts_with("warmup is 100: expected fewer"), "{error}");
        assert!("linear".parse::<ScheduleKind>().unwrap_err().to_string().contains("one-cycle"));
    }
}
