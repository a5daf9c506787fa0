//! The distance threshold that separates same from different: for two pictures, and in a search.

use std::fmt;

use anyhow::bail;
use clap::Args;
use tercet_train::decision::FALSE_MATCHES;
use tercet_train::model::ModelCard;

use crate::exit::Usage;

/// How to decide.
#[derive(Debug, Args)]
pub(crate) struct Deciding {
    /// Two are the same if they are nearer than this [default: the model's own threshold].
    #[arg(long, value_name = "DISTANCE", conflicts_with = "far", allow_negative_numbers = true)]
    threshold: Option<f32>,
    /// Take the model's threshold for this false accept rate, such as 0.001.
    #[arg(long, value_name = "RATE", allow_negative_numbers = true)]
    far: Option<f64>,
}

/// How to decide where an item is compared with many.
#[derive(Debug, Args)]
pub(crate) struct DecidingAmongMany {
    /// Two are the same if they are nearer than this [default: chosen by --false-matches].
    #[arg(
        long,
        value_name = "DISTANCE",
        conflicts_with_all = ["far", "false_matches"],
        allow_negative_numbers = true
    )]
    threshold: Option<f32>,
    /// Take the model's threshold for pairs at this false accept rate, such as 0.001.
    #[arg(
        long,
        value_name = "RATE",
        conflicts_with = "false_matches",
        allow_negative_numbers = true
    )]
    far: Option<f64>,
    /// How many false matches an item of a class that is not among the others may have on average
    /// [default: 0.01, one in 100 such items].
    #[arg(long, value_name = "RATE", allow_negative_numbers = true)]
    false_matches: Option<f64>,
}

impl DecidingAmongMany {
    /// The threshold that the user gave or selected; `None` if it is to be chosen by
    /// [`false_matches`](Self::false_matches).
    pub(crate) fn given(&self, card: Option<&ModelCard>) -> anyhow::Result<Option<Threshold>> {
        let Self { threshold, far, .. } = *self;
        match (threshold, far) {
            (None, None) => Ok(None),
            _ => Deciding { threshold, far }.threshold(card),
        }
    }

    /// The model's threshold for pairs, for data from which no threshold can be chosen.
    pub(crate) fn of_pairs(&self, card: Option<&ModelCard>) -> anyhow::Result<Option<Threshold>> {
        if let Some(rate) = self.false_matches {
            bail!(Usage(format!(
                "--false-matches is {rate}: nothing tells how close different classes come, so no \
                 threshold can be chosen by it; give --threshold"
            )));
        }
        Deciding { threshold: None, far: None }.threshold(card)
    }

    /// The expected number of false matches for an item of an unknown class.
    pub(crate) fn false_matches(&self) -> anyhow::Result<f64> {
        match self.false_matches {
            Some(rate) if rate > 0.0 && rate <= 1.0 => Ok(rate),
            Some(rate) => bail!(Usage(format!(
                "--false-matches is {rate}: expected a number above 0 and at most 1, such as 0.01 \
                 for one in 100 queries"
            ))),
            None => Ok(FALSE_MATCHES),
        }
    }

    /// Whether the rate was given, and is not the default.
    #[cfg(feature = "gallery")]
    pub(crate) fn asks_for_rate(&self) -> bool {
        self.false_matches.is_some()
    }
}

/// A distance, and its origin.
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
    /// The threshold; `None` if none was given and the model has none or there is no model.
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
