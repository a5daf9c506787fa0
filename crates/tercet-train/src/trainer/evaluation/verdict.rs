//! The result of a run in one plain sentence.

use std::fmt;

use serde::{Serialize, Serializer};
use tercet::comparison::{RESAMPLES, compare};
use tercet::{Labels, Retrieval, Selection};

use super::findings::{Before, Collapse};
use crate::trainer::collapse::Condition;
use crate::trainer::{TrainConfig, TrainError};

/// With fewer evaluated classes than this, no figure is reliable and no difference is tested.
const FEW_CLASSES: usize = 10;

/// If the result is poor, a learning rate above this is the likely cause.
const HIGH_RATE: f64 = 3e-3;

/// If the result is poor, fewer steps than this are the likely cause.
const FEW_STEPS: u64 = 300;

/// The result of a run, compared with the network before training and with the raw input.
///
/// As text, and in `--json`, one line such as
/// `better than raw pixels by .393 MAP@R (significant)`.
#[derive(Debug, Clone, PartialEq)]
pub struct Verdict {
    result: Result,
    /// The number of evaluated classes, if it is too small to trust the figures.
    few_classes: Option<usize>,
    /// The step at which the run collapsed.
    collapsed: Option<u64>,
    /// Flags of `tercet train` that are likely to improve the result; empty if nothing is wrong.
    advice: Vec<String>,
}

#[derive(Debug, Clone, PartialEq)]
enum Result {
    /// No classes were held out.
    NotEvaluated,
    /// The network before training was better; whether its weights became the model.
    WorseThanUntrained { loss: f64, untrained_kept: bool },
    /// MAP@R minus that of the raw input, which is named `against`.
    Compared { against: &'static str, difference: f64, certainty: Certainty },
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Certainty {
    Significant,
    MayBeChance,
    /// Too few classes for a test.
    Untested,
}

/// How differences of shares are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Notation {
    /// `.393`, as in tables on the terminal.
    Share,
    /// `39.3 points`, as in the report, whose figures are percentages.
    Points,
}

impl Notation {
    fn write(self, difference: f64) -> String {
        match self {
            Self::Points => format!("{:.1} points of MAP@R", 100.0 * difference),
            Self::Share => {
                let text = format!("{difference:.3} MAP@R");
                text.strip_prefix('0').map_or(text.clone(), str::to_owned)
            }
        }
    }
}

/// The results from which a verdict is formed.
pub(in crate::trainer) struct Findings<'a> {
    pub(in crate::trainer) config: &'a TrainConfig,
    pub(in crate::trainer) before: &'a Before,
    /// The trained network on the held-out classes.
    pub(in crate::trainer) after: Option<&'a Retrieval>,
    /// The held-out classes.
    pub(in crate::trainer) labels: &'a Labels,
    pub(in crate::trainer) collapse: &'a Collapse,
    /// The step after which the model's weights were taken.
    pub(in crate::trainer) kept_step: u64,
    /// Number of classes of the whole source.
    pub(in crate::trainer) classes: usize,
}

impl Verdict {
    pub(in crate::trainer) fn of(findings: &Findings) -> std::result::Result<Self, TrainError> {
        let collapsed = match findings.collapse.condition {
            Condition::Collapsed { since } => Some(since),
            _ => None,
        };
        let (Some(after), Some((against, raw))) = (findings.after, findings.before.raw()) else {
            let advice = vec!["--holdout 0.2".to_owned()];
            return Ok(Self { result: Result::NotEvaluated, few_classes: None, collapsed, advice });
        };
        let evaluated = after.per_class.len();
        let few_classes = (evaluated < FEW_CLASSES).then_some(evaluated);
        let result = match &findings.before.untrained {
            Some(_) if findings.kept_step == 0 => {
                Result::WorseThanUntrained { loss: 0.0, untrained_kept: true }
            }
            Some(untrained) if after.map_at_r < untrained.map_at_r => Result::WorseThanUntrained {
                loss: untrained.map_at_r - after.map_at_r,
                untrained_kept: false,
            },
            _ => Result::Compared {
                against,
                difference: after.map_at_r - raw.map_at_r,
                certainty: match few_classes {
                    Some(_) => Certainty::Untested,
                    None => certainty(raw, after, findings)?,
                },
            },
        };
        let mut advice = Vec::new();
        let is_poor = match result {
            Result::NotEvaluated => false,
            Result::WorseThanUntrained { .. } => true,
            Result::Compared { difference, .. } => difference <= 0.0,
        };
        if is_poor || collapsed.is_some() {
            advice.push(remedy(findings.config, collapsed.is_some()));
        }
        // Half of the classes must be enough for a test, otherwise the advice would not help.
        if few_classes.is_some() && findings.classes >= 2 * FEW_CLASSES {
            advice.push("--holdout 0.5".to_owned());
        }
        Ok(Self { result, few_classes, collapsed, advice })
    }

    /// The sentence, with differences in the given notation.
    pub fn sentence(&self, notation: Notation) -> String {
        let mut text = match &self.result {
            Result::NotEvaluated => "not evaluated: no classes were held out".to_owned(),
            Result::WorseThanUntrained { untrained_kept: true, .. } => {
                "worse than before training, so the untrained weights were kept".to_owned()
            }
            Result::WorseThanUntrained { loss, .. } => {
                format!("worse than before training by {}", notation.write(*loss))
            }
            Result::Compared { against, difference, certainty } => {
                let size = notation.write(difference.abs());
                let compared = match difference {
                    difference if *difference > 0.0 => {
                        format!("better than raw {against} by {size}")
                    }
                    difference if *difference < 0.0 => {
                        format!("worse than raw {against} by {size}")
                    }
                    _ => format!("no better than raw {against}"),
                };
                match certainty {
                    Certainty::Significant => compared + " (significant)",
                    Certainty::MayBeChance => compared + " (may be chance)",
                    Certainty::Untested => compared,
                }
            }
        };
        if let Some(step) = self.collapsed {
            text += &format!("; training collapsed at step {step}");
        }
        if let Some(classes) = self.few_classes {
            let classes = if classes == 1 { "1 class" } else { &format!("{classes} classes") };
            text += &format!("; only {classes} evaluated: do not trust these figures");
        }
        if !self.advice.is_empty() {
            text += &format!("; try {}", self.advice.join(" and "));
        }
        text
    }
}

/// Whether the difference in MAP@R is significant by the paired bootstrap over classes.
fn certainty(
    raw: &Retrieval,
    after: &Retrieval,
    findings: &Findings,
) -> std::result::Result<Certainty, TrainError> {
    let [raw, after] = [raw, after].map(|judged| judged.scores(|query| query.map_at_r));
    let systems = [("raw", &raw), ("trained", &after)];
    let differences = compare(&systems, findings.labels, RESAMPLES, findings.config.seed)?;
    Ok(match differences.first().is_some_and(|difference| difference.real) {
        true => Certainty::Significant,
        false => Certainty::MayBeChance,
    })
}

/// The flag that is the most likely cause, with a better value.
fn remedy(config: &TrainConfig, collapsed: bool) -> String {
    let default = TrainConfig::default();
    let picks_hard = matches!(
        config.loss(),
        Ok(tercet::Objective::Triplet(loss)) if loss.selection == Selection::Hard
    );
    if config.learning_rate > HIGH_RATE {
        format!("--learning-rate {}", default.learning_rate)
    } else if collapsed && picks_hard {
        format!("--objective {}", default.objective)
    } else if collapsed {
        format!("--learning-rate {}", config.learning_rate / 10.0)
    } else if config.steps < FEW_STEPS {
        format!("--steps {}", default.steps)
    } else if picks_hard {
        format!("--objective {}", default.objective)
    } else {
        format!("--steps {}", 4 * config.steps)
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.sentence(Notation::Share))
    }
}

impl Serialize for Verdict {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
