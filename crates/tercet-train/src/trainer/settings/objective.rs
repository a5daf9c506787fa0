//! The objective of a run: a preset, possibly with some of its parts replaced.

use std::fmt;
use std::str::FromStr;

use tercet::{
    Distance, Metric, Objective, ParameterError, Penalty, Preset, Reduction, Selection, TripletLoss,
};

use super::text::as_text;

/// The margin of a hinge that is given without one, as in FaceNet (arXiv 1503.03832).
const HINGE_MARGIN: f32 = 0.2;

/// Parts that replace those of a preset.
///
/// ```
/// use tercet::{Preset, Selection};
/// use tercet_train::trainer::Parts;
/// let parts = Parts { selection: Some(Selection::SemiHardAll), penalty: Some("hinge"), ..Parts::default() };
/// let objective = parts.of(Preset::BatchHard)?;
/// assert_eq!(objective.to_string(), "semi-hard-all, hinge 0.2, mean");
/// # Ok::<(), tercet::ParameterError>(())
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Parts<'a> {
    /// The distance.
    pub distance: Option<Distance>,
    /// Whether embeddings are L2-normalised; false leaves it to the preset.
    pub normalize: bool,
    /// Which triplets are selected.
    pub selection: Option<Selection>,
    /// The penalty φ of a triplet: one of [`Penalty::NAMES`].
    pub penalty: Option<&'a str>,
    /// The penalty's margin. A number without a penalty gives a hinge, `soft` without a penalty a
    /// soft penalty.
    pub margin: Option<Margin>,
    /// How the penalties become one number.
    pub reduction: Option<Reduction>,
    /// The temperature of `supervised-contrastive`.
    pub temperature: Option<f32>,
}

impl Parts<'_> {
    /// The preset with these parts replaced. A hinge without a margin gets 0.2, a soft penalty 0.
    ///
    /// # Errors
    /// A penalty that does not exist or contradicts its margin; parts of a product for an objective
    /// that is not one: `lifted` only has a margin, `supervised-contrastive` a temperature,
    /// `multi-similarity` neither.
    pub fn of(self, preset: Preset) -> Result<Objective, ParameterError> {
        let base = match preset.loss() {
            Objective::Triplet(loss) => loss,
            objective => return self.of_terms(preset, objective),
        };
        self.refuse_temperature(preset)?;
        let metric = Metric {
            distance: self.distance.unwrap_or(base.metric.distance),
            normalize: self.normalize || base.metric.normalize,
        };
        Ok(TripletLoss {
            metric,
            selection: self.selection.unwrap_or(base.selection),
            penalty: self.penalty_over(base.penalty)?,
            reduction: self.reduction.unwrap_or(base.reduction),
        }
        .into())
    }

    /// Whether no part other than the margin and the temperature is replaced.
    pub fn is_plain(self) -> bool {
        let Self { margin, temperature, .. } = self;
        self == Self { margin, temperature, ..Self::default() }
    }

    fn penalty_over(self, base: Penalty) -> Result<Penalty, ParameterError> {
        let (name, margin) = match (self.penalty, self.margin) {
            (None, None) => return Ok(base),
            (None | Some("soft"), Some(Margin::Soft)) => ("soft", 0.0),
            (Some(name), Some(Margin::Soft)) => {
                return Err(ParameterError {
                    parameter: "margin",
                    got: Margin::Soft.to_string(),
                    expected: format!("a number, since the penalty is {name}"),
                });
            }
            (name, Some(Margin::Hinge(margin))) => (name.unwrap_or("hinge"), margin),
            (Some("soft"), None) => ("soft", 0.0),
            (Some(name), None) => (name, HINGE_MARGIN),
        };
        Penalty::from_name(name, margin).map_err(|_| ParameterError {
            parameter: "penalty",
            got: name.to_owned(),
            expected: format!("one of {}", Penalty::NAMES.join(", ")),
        })
    }

    /// An objective with one term for each anchor.
    fn of_terms(self, preset: Preset, objective: Objective) -> Result<Objective, ParameterError> {
        let refuse = |key, got: String, expected: String| {
            Err(ParameterError { parameter: key, got, expected })
        };
        if !self.is_plain() {
            let expected = "a product of distance, selection, penalty and reduction, since there are parts for it: batch-hard, say";
            return refuse("objective", preset.to_string(), expected.to_owned());
        }
        let objective = match (objective, self.temperature) {
            (Objective::SupervisedContrastive(loss), Some(temperature)) => {
                loss.with_temperature(temperature).into()
            }
            (objective, _) => {
                self.refuse_temperature(preset)?;
                objective
            }
        };
        match (objective, self.margin) {
            (objective, None) => Ok(objective),
            (Objective::Lifted(_), Some(Margin::Hinge(margin))) => {
                Ok(objective.with_margin(margin))
            }
            (Objective::Lifted(_), Some(Margin::Soft)) => refuse(
                "margin",
                Margin::Soft.to_string(),
                "a number, since lifted has no soft margin".to_owned(),
            ),
            (_, Some(margin)) => refuse(
                "margin",
                margin.to_string(),
                format!("nothing, since {preset} has no margin: leave it out"),
            ),
        }
    }

    fn refuse_temperature(self, preset: Preset) -> Result<(), ParameterError> {
        match self.temperature {
            Some(temperature) if preset != Preset::SupervisedContrastive => Err(ParameterError {
                parameter: "temperature",
                got: temperature.to_string(),
                expected: format!(
                    "nothing, since {preset} has no temperature: --objective supervised-contrastive has one"
                ),
            }),
            _ => Ok(()),
        }
    }
}

/// The margin of a run's penalty.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Margin {
    /// The soft margin, ln(1 + eˣ) with x = d(a,p) − d(a,n).
    Soft,
    /// The hinge, max(0, x + margin).
    Hinge(f32),
}

impl fmt::Display for Margin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Soft => f.write_str("soft"),
            Self::Hinge(margin) => margin.fmt(f),
        }
    }
}

impl FromStr for Margin {
    type Err = ParameterError;

    fn from_str(text: &str) -> Result<Self, ParameterError> {
        match (text, text.parse::<f32>()) {
            ("soft", _) => Ok(Self::Soft),
            (_, Ok(margin)) if margin.is_finite() && margin >= 0.0 => Ok(Self::Hinge(margin)),
            _ => Err(ParameterError {
                parameter: "margin",
                got: format!("`{text}`"),
                expected: "a number of at least 0, or `soft`".to_owned(),
            }),
        }
    }
}

as_text!(Margin);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_take_the_place_of_the_preset_s() {
        let parts = |parts: Parts, preset: Preset| {
            parts.of(preset).map(|objective| format!("{}: {objective}", objective.metric()))
        };
        let margin = |margin| Parts { margin: Some(margin), ..Parts::default() };
        let expect = |given, preset, expected: &str| {
            assert_eq!(parts(given, preset).unwrap(), expected);
        };
        expect(Parts::default(), Preset::BatchHard, "euclidean: hard, soft margin, mean");
        expect(margin(Margin::Hinge(0.5)), Preset::BatchHard, "euclidean: hard, hinge 0.5, mean");
        expect(margin(Margin::Soft), Preset::BatchAll, "euclidean: all, soft margin, mean");
        let temperature = |value| Parts { temperature: Some(value), ..Parts::default() };
        expect(
            temperature(0.05),
            Preset::SupervisedContrastive,
            "normalised cosine: every pair, temperature 0.05, mean",
        );
        let random = Some("random:triplets=3".parse().unwrap());
        expect(
            Parts {
                distance: Some(Distance::Cosine),
                selection: random,
                penalty: Some("squared-hinge"),
                reduction: Some(Reduction::Sum),
                ..Parts::default()
            },
            Preset::BatchHard,
            "cosine: random:triplets=3, squared-hinge 0.2, sum",
        );
        for (given, preset, expected) in [
            (
                Parts { penalty: Some("hinge"), ..margin(Margin::Soft) },
                Preset::BatchHard,
                "margin is soft",
            ),
            (
                Parts { penalty: Some("hing"), ..Parts::default() },
                Preset::BatchAll,
                "penalty is hing",
            ),
            (
                Parts { selection: random, ..Parts::default() },
                Preset::Lifted,
                "objective is lifted",
            ),
            (margin(Margin::Soft), Preset::Lifted, "margin is soft"),
            (margin(Margin::Hinge(0.1)), Preset::MultiSimilarity, "margin is 0.1"),
            (temperature(0.2), Preset::MultiSimilarity, "temperature is 0.2"),
            (temperature(0.2), Preset::Facenet, "temperature is 0.2"),
        ] {
            let error = parts(given, preset).unwrap_err().to_string();
            assert!(error.starts_with(expected), "{error}");
        }
    }
}
