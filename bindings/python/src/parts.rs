//! From the keywords of Python to an objective, with the rules of the command line.

use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyString;
use tercet::{Distance, Metric, Objective, Penalty, Preset, Reduction, Selection, TripletLoss};

use crate::errors::OrRaise;

/// Margin of a hinge that is asked for without one, as in FaceNet.
const HINGE_MARGIN: f32 = 0.2;

/// What takes the place of a preset's parts.
#[derive(Default)]
pub(crate) struct Parts<'a> {
    pub(crate) distance: Option<&'a str>,
    pub(crate) normalize: Option<bool>,
    pub(crate) selection: Option<&'a str>,
    pub(crate) penalty: Option<&'a str>,
    pub(crate) margin: Option<Margin>,
    pub(crate) reduction: Option<&'a str>,
    pub(crate) temperature: Option<f32>,
}

/// `margin=` and `soft=`.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Margin {
    /// ln(1 + eˣ) instead of a margin.
    Soft,
    /// A number.
    Number(f32),
}

impl Margin {
    /// A number or `soft`.
    pub(crate) fn read(margin: &Bound<'_, PyAny>) -> PyResult<Self> {
        if let Ok(text) = margin.cast::<PyString>() {
            return match text.to_str()? {
                "soft" => Ok(Self::Soft),
                other => Err(PyValueError::new_err(format!(
                    "margin is `{other}`: expected a number of at least 0, or `soft`"
                ))),
            };
        }
        margin.extract::<f64>().map(|margin| Self::Number(margin as f32)).map_err(|_| {
            let got = margin.get_type().name().map_or_else(|_| "?".to_owned(), |n| n.to_string());
            PyTypeError::new_err(format!("margin is a {got}: expected a number, or `soft`"))
        })
    }
}

impl Parts<'_> {
    /// The preset (default: batch-hard) with these parts. A hinge without a margin gets 0.2, a soft
    /// penalty 0.
    pub(crate) fn of(self, preset: Option<&str>) -> PyResult<Objective> {
        let preset: Preset = preset.map_or(Ok(Preset::default()), str::parse).or_raise()?;
        let base = match preset.loss() {
            Objective::Triplet(loss) => loss,
            objective => return self.of_terms(preset, objective),
        };
        self.refuse_temperature(preset)?;
        let distance: Option<Distance> = parsed(self.distance)?;
        let selection: Option<Selection> = parsed(self.selection)?;
        let reduction: Option<Reduction> = parsed(self.reduction)?;
        let loss = TripletLoss {
            metric: Metric {
                distance: distance.unwrap_or(base.metric.distance),
                normalize: self.normalize.unwrap_or(base.metric.normalize),
            },
            selection: selection.unwrap_or(base.selection),
            penalty: self.penalty_over(base.penalty)?,
            reduction: reduction.unwrap_or(base.reduction),
        };
        loss.check_trainable().or_raise()?;
        Ok(loss.into())
    }

    fn penalty_over(&self, base: Penalty) -> PyResult<Penalty> {
        let (name, margin) = match (self.penalty, self.margin) {
            (None, None) => return Ok(base),
            (None | Some("soft"), Some(Margin::Soft)) => ("soft", 0.0),
            (Some(name), Some(Margin::Soft)) => {
                return Err(PyValueError::new_err(format!(
                    "margin is soft: expected a number, since the penalty is {name}"
                )));
            }
            (name, Some(Margin::Number(margin))) => (name.unwrap_or("hinge"), margin),
            (Some("soft"), None) => ("soft", 0.0),
            (Some(name), None) => (name, HINGE_MARGIN),
        };
        Penalty::from_name(name, margin).or_raise()
    }

    /// Objectives over all pairs are no products; they have a metric, a reduction, and `lifted` a
    /// margin, `supervised-contrastive` a temperature.
    fn of_terms(self, preset: Preset, objective: Objective) -> PyResult<Objective> {
        if self.selection.is_some() || self.penalty.is_some() {
            return Err(PyValueError::new_err(format!(
                "objective is {preset}: expected a product of distance, selection, penalty and reduction, since there are parts for it: batch-hard, say",
            )));
        }
        let of = |metric: Metric| -> PyResult<Metric> {
            Ok(Metric {
                distance: parsed(self.distance)?.unwrap_or(metric.distance),
                normalize: self.normalize.unwrap_or(metric.normalize),
            })
        };
        let reduction =
            |own: Reduction| -> PyResult<Reduction> { Ok(parsed(self.reduction)?.unwrap_or(own)) };
        let objective = match objective {
            Objective::Triplet(loss) => loss.into(),
            Objective::Lifted(mut loss) => {
                self.refuse_temperature(preset)?;
                match self.margin {
                    Some(Margin::Number(margin)) => loss = loss.with_margin(margin),
                    Some(Margin::Soft) => {
                        return Err(PyValueError::new_err(
                            "margin is soft: expected a number, since lifted has no soft margin",
                        ));
                    }
                    None => {}
                }
                (loss.metric, loss.reduction) = (of(loss.metric)?, reduction(loss.reduction)?);
                loss.into()
            }
            Objective::MultiSimilarity(mut loss) => {
                self.refuse_temperature(preset)?;
                self.refuse_margin(preset)?;
                (loss.metric, loss.reduction) = (of(loss.metric)?, reduction(loss.reduction)?);
                loss.into()
            }
            Objective::SupervisedContrastive(mut loss) => {
                self.refuse_margin(preset)?;
                loss.temperature = self.temperature.unwrap_or(loss.temperature);
                (loss.metric, loss.reduction) = (of(loss.metric)?, reduction(loss.reduction)?);
                Objective::from(loss)
            }
        };
        objective.check_trainable().or_raise()?;
        Ok(objective)
    }

    fn refuse_margin(&self, preset: Preset) -> PyResult<()> {
        match self.margin {
            Some(_) => Err(PyValueError::new_err(format!(
                "margin is given: expected nothing, since {preset} has no margin: leave it out"
            ))),
            None => Ok(()),
        }
    }

    fn refuse_temperature(&self, preset: Preset) -> PyResult<()> {
        match self.temperature {
            Some(temperature) if preset != Preset::SupervisedContrastive => {
                Err(PyValueError::new_err(format!(
                    "temperature is {temperature}: expected nothing, since {preset} has no temperature: supervised-contrastive has one"
                )))
            }
            _ => Ok(()),
        }
    }
}

/// A metric by the name of its distance.
pub(crate) fn metric(distance: &str, normalize: bool) -> PyResult<Metric> {
    Ok(Metric { distance: distance.parse().or_raise()?, normalize })
}

fn parsed<T: std::str::FromStr<Err = tercet::Error>>(name: Option<&str>) -> PyResult<Option<T>> {
    name.map(str::parse).transpose().or_raise()
}
