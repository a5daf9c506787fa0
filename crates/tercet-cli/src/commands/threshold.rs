//! Which distance tells same from different.

use std::fmt;

use anyhow::bail;
use clap::Args;
use tercet_train::model::ModelCard;

use crate::exit::Usage;

/// How to decide.
#[derive(Debug, Args)]
pub(crate) struct Deciding {
    /// Two are the same if they are nearer than this [default: the model's own threshold].
    #[arg(long, value_name = "DISTANCE", conflicts_with = "far")]
    threshold: Option<f32>,
    /// Take the model's threshold for this false accept rate, such as 0.001.
    #[arg(long, value_name = "RATE")]
    far: Option<f64>,
}

/// A distance, and why it is the one.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Threshold {
    pub(crate) distance: f32,
    from: From,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum From {
    Given,
    Model,
    Far(f64),
}

impl fmt::Display for Threshold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.4}", self.distance)?;
        match self.from {
            From::Given => f.write_str(", as given"),
            From::Model => f.write_str(", the model's threshold"),
            From::Far(far) => write!(f, ", the model's threshold for a false accept rate of {far}"),
        }
    }
}

impl Deciding {
    /// None where nothing was given and the model has none, or there is no model.
    pub(crate) fn threshold(&self, card: Option<&ModelCard>) -> anyhow::Result<Option<Threshold>> {
        if let Some(distance) = self.threshold {
            if !(distance >= 0.0 && distance.is_finite()) {
                bail!(Usage(format!(
                    "--threshold is {distance}: expected a distance of at least 0"
                )));
            }
            return Ok(Some(Threshold { distance, from: From::Given }));
        }
        let Some(far) = self.far else {
            let own = card.and_then(|card| card.threshold);
            return Ok(own.map(|own| Threshold { distance: own as f32, from: From::Model }));
        };
        let known = card.map(|card| &card.thresholds);
        let of_rate = known.and_then(|known| {
            known.iter().find(|(name, _)| name.parse::<f64>().is_ok_and(|rate| rate == far))
        });
        match (of_rate, known) {
            (Some((_, &distance)), _) => {
                Ok(Some(Threshold { distance: distance as f32, from: From::Far(far) }))
            }
            (None, Some(known)) if !known.is_empty() => bail!(Usage(format!(
                "--far is {far}: the model has thresholds for {}",
                known.keys().map(String::as_str).collect::<Vec<_>>().join(", ")
            ))),
            _ => bail!(Usage(
                "--far needs a model that was judged on held-out classes: give --threshold"
                    .to_owned()
            )),
        }
    }
}
