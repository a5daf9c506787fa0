//! Checks of the settings that are possible before the data are read.

use std::fmt;

use tercet::{FalseNegatives, Objective, ParameterError};

use super::{Curriculum, Keep, ScheduleKind, TrainConfig};
use crate::encoder::{EncoderConfig, Takes};

/// More past embeddings than this are taken for a typing error: with 64 components they take 4 GiB.
const LARGEST_MEMORY: usize = 1 << 24;

impl TrainConfig {
    /// Checks every value that can be checked without the data.
    ///
    /// # Errors
    /// The first value outside its range, with its key.
    pub fn check(&self) -> Result<(), ParameterError> {
        if !(0.0..1.0).contains(&self.holdout) {
            return refuse("holdout", &self.holdout, "a share of the classes from 0 to below 1");
        }
        if self.steps == 0 {
            return refuse("steps", &self.steps, "at least 1");
        }
        self.check_control()?;
        if let Some(channels) = self.channels.filter(|channels| ![1, 3].contains(channels)) {
            return refuse("channels", &channels, "1 (grey) or 3 (RGB)");
        }
        for (key, every) in
            [("log-every", self.log_every), ("checkpoint-every", self.checkpoint_every)]
        {
            if every == 0 {
                return refuse(key, &every, "at least 1 step");
            }
        }
        if self.memory > LARGEST_MEMORY {
            return refuse("memory", &self.memory, &format!("at most {LARGEST_MEMORY} embeddings"));
        }
        if let Some(start) = self.memory_start.filter(|_| self.memory == 0) {
            return refuse("memory-start", &start, "a --memory that starts there");
        }
        if let Some(weight) = self.compatible_weight {
            if self.compatible.is_none() {
                let expected = "a --compatible MODEL whose weight it is";
                return refuse("compatible-weight", &weight, expected);
            }
            if !(weight >= 0.0 && weight.is_finite()) {
                return refuse("compatible-weight", &weight, "a number of at least 0");
            }
        }
        if self.device != "cpu" {
            return refuse("device", &self.device, "cpu, the device compiled into this build");
        }
        self.check_fine_tuning(&self.encoder_config()?)?;
        for phase in self.phases()? {
            self.check_trainable(&phase.objective)?;
            self.check_false_negatives(&phase.objective)?;
        }
        Ok(())
    }

    fn check_false_negatives(&self, objective: &Objective) -> Result<(), ParameterError> {
        match self.false_negatives {
            Some(share) => match (FalseNegatives { share }).check(objective) {
                Ok(()) => Ok(()),
                Err(tercet::Error::Parameter(error)) => {
                    Err(ParameterError { parameter: "false-negatives", ..error })
                }
                Err(error) => refuse("false-negatives", &share, &error.to_string()),
            },
            None => Ok(()),
        }
    }

    /// The lengths of the prefixes on which the objective is evaluated, for embeddings with this many
    /// components, which are the last of them; none if it is only evaluated on whole embeddings.
    ///
    /// # Errors
    /// Prefixes that do not rise, or are longer than the embeddings.
    pub(in crate::trainer) fn prefixes(
        &self,
        components: usize,
    ) -> Result<Vec<usize>, ParameterError> {
        let mut prefixes = self.matryoshka.clone();
        let rising = prefixes.is_sorted_by(|one, next| one < next);
        if !rising || prefixes.iter().any(|prefix| !(1..=components).contains(prefix)) {
            let got: Vec<_> = prefixes.iter().map(usize::to_string).collect();
            let expected = format!(
                "rising numbers of components from 1 to {components}, the length of the embeddings"
            );
            refuse("matryoshka", &got.join(","), &expected)?;
        }
        if prefixes.last().is_some_and(|&last| last < components) {
            prefixes.push(components);
        }
        Ok(prefixes)
    }

    fn check_trainable(&self, objective: &Objective) -> Result<(), ParameterError> {
        objective.check_trainable().map_err(|error| {
            let key = match &error {
                tercet::Error::Parameter(ParameterError {
                    parameter: key @ ("margin" | "distance" | "temperature"),
                    ..
                }) => key,
                _ => "selection",
            };
            let got = match key {
                "margin" => self.margin.map(|margin| margin.to_string()),
                "distance" => self.distance.map(|distance| distance.to_string()),
                "temperature" => self.temperature.map(|temperature| temperature.to_string()),
                _ => self.selection.map(|selection| selection.to_string()),
            };
            let got = got.unwrap_or_else(|| "unset".to_owned());
            ParameterError { parameter: key, got, expected: error.to_string() }
        })
    }

    /// Checks the schedule, the optimiser, and how the weights are chosen.
    fn check_control(&self) -> Result<(), ParameterError> {
        self.learning_schedule().check()?;
        self.optimizer_config().check()?;
        if let Some(beta) = self.falling_beta1.filter(|_| self.schedule != ScheduleKind::Paper) {
            return refuse("falling-beta1", &beta, "no such key but with the schedule paper");
        }
        if !(0.0..1.0).contains(&self.ema) {
            return refuse("ema", &self.ema, "a decay from 0 (none) to below 1, such as 0.999");
        }
        let rest = if self.holdout_classes.is_empty() { 1.0 - self.holdout } else { 1.0 };
        if !(0.0..rest).contains(&self.validation) {
            let expected = format!("a share of the classes from 0 to below {rest}");
            return refuse("validation", &self.validation, &expected);
        }
        let named = !self.holdout_classes.is_empty();
        if self.holdout == 0.0 && !named && self.validation == 0.0 {
            for (key, asked) in [("keep", self.keep == Keep::Best), ("patience", self.patience > 0)]
            {
                if asked {
                    let expected = "classes to judge on: a holdout or a validation above 0";
                    return refuse(key, &"set", expected);
                }
            }
        }
        self.curriculum.as_ref().map_or(Ok(()), Curriculum::check)
    }

    fn check_fine_tuning(&self, encoder: &EncoderConfig) -> Result<(), ParameterError> {
        if let Some(file) = &self.pretrained {
            let refuse = |expected| refuse("pretrained", &file.display(), expected);
            if encoder.stages().is_empty() {
                return refuse(
                    "nothing but with an encoder resnet18, resnet34, resnet50, mobilenet-v2 or \
                     efficientnet-lite0",
                );
            }
            if self.channels == Some(1) {
                return refuse("nothing with 1 channel: these weights are of colour images");
            }
        }
        if let Some(backbone) = &self.backbone {
            if encoder.takes() == Takes::Images {
                let expected = "linear-head or mlp-head, which take the vectors of --backbone";
                return refuse("encoder", &self.encoder, expected);
            }
            for (key, is_set) in
                [("from", self.from.is_some()), ("pretrained", self.pretrained.is_some())]
            {
                if is_set {
                    let expected = format!("nothing but with {key} left out: both name weights");
                    return refuse("backbone", &backbone.display(), &expected);
                }
            }
        }
        if let Some(freeze) = &self.freeze {
            encoder.frozen(freeze)?;
        }
        if let Some(rate) =
            self.backbone_learning_rate.filter(|rate| !(*rate > 0.0 && rate.is_finite()))
        {
            let expected = "a number above 0; --freeze keeps weights as they are";
            return refuse("backbone-learning-rate", &rate, expected);
        }
        self.slower().map(drop)
    }
}

fn refuse(key: &'static str, got: &dyn fmt::Display, expected: &str) -> Result<(), ParameterError> {
    Err(ParameterError { parameter: key, got: got.to_string(), expected: expected.to_owned() })
}

#[cfg(test)]
mod tests {
    use tercet::Preset;

    use super::*;
    use crate::trainer::Margin;

    #[test]
    fn wrong_values_are_named() {
        let cases = [
            (TrainConfig { holdout: 1.0, ..Default::default() }, "holdout is 1"),
            (TrainConfig { steps: 0, ..Default::default() }, "steps is 0"),
            (TrainConfig { encoder: "vgg".into(), ..Default::default() }, "encoder is vgg"),
            (TrainConfig { device: "cuda".into(), ..Default::default() }, "device is cuda"),
            (
                TrainConfig {
                    objective: Preset::Facenet,
                    margin: Some(Margin::Soft),
                    ..Default::default()
                },
                "margin is soft",
            ),
            (
                TrainConfig {
                    objective: Preset::Lifted,
                    margin: Some(Margin::Soft),
                    ..Default::default()
                },
                "margin is soft: expected a number",
            ),
        ];
        for (config, expected) in cases {
            let error = config.check().unwrap_err().to_string();
            assert!(error.starts_with(expected), "{error}");
        }
        assert!("-1".parse::<Margin>().is_err());
    }
}
