//! Which triplets of a batch are selected.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::Ranks;
use crate::{Error, Metric};

/// Which triplets of a batch are selected. Whether training succeeds depends on this choice more
/// than on any other.
///
/// Below, d is the distance of the metric and margin that of the [`Penalty`](super::Penalty). Of
/// several items at the same distance, the one with the lowest index is selected. Ranks count from
/// the hardest (0).
///
/// As text, a selection is its name, followed by the parameters that differ from their defaults:
/// `semi-hard`, `random:triplets=4`, `n-hard:positives=0..2,negatives=1..5`.
///
/// Seeded selections use one random stream for each seed and anchor (and positive, except
/// `random`), so their draws depend neither on the number of threads nor on the order of the work.
/// Give each training step a seed of its own with [`with_seed`](Self::with_seed); otherwise every
/// step draws the same positions of the batch.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum Selection {
    /// `all`: every valid triplet ("In Defense of the Triplet Loss", arXiv 1703.07737, eq. 6).
    All,
    /// `hard`: for each anchor its farthest positive and its nearest negative ("In Defense", eq.
    /// 5).
    #[default]
    Hard,
    /// `semi-hard`: for each anchor and positive the nearest negative with
    /// d(a,p) < d(a,n) < d(a,p) + margin (FaceNet, arXiv 1503.03832, eq. 4). A pair without such a
    /// negative is dropped.
    SemiHard,
    /// `semi-hard-all`: every triplet with 0 < d(a,n) − d(a,p) ≤ margin (the miner of type
    /// `semihard` of pytorch-metric-learning).
    SemiHardAll,
    /// `semi-hard-fallback`: for each anchor and positive the nearest negative with d(a,n) >
    /// d(a,p), whatever the margin, or the farthest negative if there is none (TensorFlow Addons,
    /// sentence-transformers).
    SemiHardFallback,
    /// `violating-random`: for each anchor and each positive later in the batch, one negative drawn
    /// uniformly among those with d(a,n) − d(a,p) < margin (davidsandberg/facenet).
    ViolatingRandom {
        /// Seed of the draws; 0 by default.
        seed: u64,
    },
    /// `easy-positive`: for each anchor its nearest positive and its nearest negative (`EPHN` of
    /// Xuan et al.: "Improved Embeddings with Easy Positive Triplet Mining", WACV 2020).
    EasyPositive,
    /// `easy-positive-semi-hard`: for each anchor its nearest positive p and the nearest negative
    /// with d(a,n) > d(a,p), whatever the margin (`EPSHN` of Xuan et al.). An anchor without such a
    /// negative is dropped.
    EasyPositiveSemiHard,
    /// `distance-weighted`: for each anchor and positive one negative, drawn with a weight inverse
    /// to the density of distances on the unit sphere (Wu et al.: "Sampling Matters in Deep
    /// Embedding Learning", ICCV 2017; conventions of pytorch-metric-learning). It needs normalised
    /// vectors or the cosine distance. An anchor without a negative nearer than
    /// `nonzero_loss_cutoff` is dropped.
    DistanceWeighted {
        /// Euclidean distance between unit vectors below which the weight is constant; 0.5 by
        /// default.
        cutoff: f32,
        /// Euclidean distance between unit vectors from which on the weight is 0; 1.4 by default,
        /// at most 2.
        nonzero_loss_cutoff: f32,
        /// Seed of the draws; 0 by default.
        seed: u64,
    },
    /// `n-hard`: for each anchor every pair of a positive and a negative of the given ranks, where
    /// rank 0 is the farthest positive and the nearest negative. It is meant for data with wrong
    /// labels: by default rank 0 is skipped and rank 1 is selected. Ranks that an anchor does not
    /// have are left out, so with K = 2 items per class rank 1 selects nothing.
    NHard {
        /// Ranks of the positives, 1..2 by default.
        positives: Ranks,
        /// Ranks of the negatives, 1..2 by default.
        negatives: Ranks,
    },
    /// `random`: for each anchor as many different triplets as given, drawn uniformly from its
    /// valid ones, or all of them if there are not more. It is the baseline of the other
    /// selections.
    Random {
        /// Triplets per anchor; 1 by default.
        triplets: u32,
        /// Seed of the draws; 0 by default.
        seed: u64,
    },
}

impl Selection {
    /// Every selection, with the default parameters.
    pub const ALL: [Self; 11] = [
        Self::All,
        Self::Hard,
        Self::SemiHard,
        Self::SemiHardAll,
        Self::SemiHardFallback,
        Self::ViolatingRandom { seed: 0 },
        Self::EasyPositive,
        Self::EasyPositiveSemiHard,
        Self::DistanceWeighted { cutoff: 0.5, nonzero_loss_cutoff: 1.4, seed: 0 },
        Self::NHard { positives: Ranks { from: 1, to: 2 }, negatives: Ranks { from: 1, to: 2 } },
        Self::Random { triplets: 1, seed: 0 },
    ];

    /// The name used on the command line and in files, without parameters.
    pub fn name(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Hard => "hard",
            Self::SemiHard => "semi-hard",
            Self::SemiHardAll => "semi-hard-all",
            Self::SemiHardFallback => "semi-hard-fallback",
            Self::ViolatingRandom { .. } => "violating-random",
            Self::EasyPositive => "easy-positive",
            Self::EasyPositiveSemiHard => "easy-positive-semi-hard",
            Self::DistanceWeighted { .. } => "distance-weighted",
            Self::NHard { .. } => "n-hard",
            Self::Random { .. } => "random",
        }
    }

    /// The same selection with another seed. A selection without random draws does not change.
    pub fn with_seed(mut self, new: u64) -> Self {
        if let Self::ViolatingRandom { seed }
        | Self::DistanceWeighted { seed, .. }
        | Self::Random { seed, .. } = &mut self
        {
            *seed = new;
        }
        self
    }

    /// Whether no triplet can be selected with this margin, because the semi-hard band is empty.
    pub fn is_empty_at(self, margin: f32) -> bool {
        matches!(self, Self::SemiHard | Self::SemiHardAll) && margin <= 0.0
    }

    /// Refuses parameters that are out of range, and distances with which the selection is not
    /// defined.
    pub(in crate::objective) fn check(self, metric: Metric) -> Result<(), Error> {
        let refuse =
            |parameter, got: String, expected| Err(Error::parameter(parameter, got, expected));
        match self {
            Self::DistanceWeighted { cutoff, nonzero_loss_cutoff, .. } => {
                if !(cutoff > 0.0 && cutoff < nonzero_loss_cutoff && nonzero_loss_cutoff <= 2.0) {
                    return refuse(
                        "cutoff..nonzero-loss-cutoff",
                        format!("{cutoff}..{nonzero_loss_cutoff}"),
                        "two rising distances above 0 and up to 2",
                    );
                }
                if !metric.on_sphere() {
                    return refuse(
                        "distance",
                        metric.to_string(),
                        "normalised vectors or cosine, since distance-weighted selection knows the density of distances on the unit sphere only",
                    );
                }
            }
            Self::NHard { positives, negatives } => {
                for (parameter, ranks) in [("positives", positives), ("negatives", negatives)] {
                    if ranks.from >= ranks.to {
                        return refuse(
                            parameter,
                            ranks.to_string(),
                            "ranks FROM..TO with FROM below TO",
                        );
                    }
                }
            }
            Self::Random { triplets: 0, .. } => {
                return refuse("triplets", "0".to_owned(), "at least 1 triplet an anchor");
            }
            _ => {}
        }
        Ok(())
    }

    /// The parameters with their values as text.
    fn parameters(self) -> Vec<(&'static str, String)> {
        match self {
            Self::ViolatingRandom { seed } => vec![("seed", seed.to_string())],
            Self::DistanceWeighted { cutoff, nonzero_loss_cutoff, seed } => vec![
                ("cutoff", cutoff.to_string()),
                ("nonzero-loss-cutoff", nonzero_loss_cutoff.to_string()),
                ("seed", seed.to_string()),
            ],
            Self::NHard { positives, negatives } => {
                vec![("positives", positives.to_string()), ("negatives", negatives.to_string())]
            }
            Self::Random { triplets, seed } => {
                vec![("triplets", triplets.to_string()), ("seed", seed.to_string())]
            }
            _ => Vec::new(),
        }
    }

    /// Sets a parameter, given as text.
    fn set(&mut self, key: &str, value: &str) -> Result<(), Error> {
        fn parsed<T: FromStr>(
            parameter: &'static str,
            value: &str,
            expected: &'static str,
        ) -> Result<T, Error> {
            value.parse().map_err(|_| Error::parameter(parameter, format!("`{value}`"), expected))
        }
        let known = self.parameters();
        match (self, key) {
            (
                Self::ViolatingRandom { seed }
                | Self::DistanceWeighted { seed, .. }
                | Self::Random { seed, .. },
                "seed",
            ) => *seed = parsed("seed", value, "a whole number")?,
            (Self::DistanceWeighted { cutoff, .. }, "cutoff") => {
                *cutoff = parsed("cutoff", value, "a number")?;
            }
            (Self::DistanceWeighted { nonzero_loss_cutoff, .. }, "nonzero-loss-cutoff") => {
                *nonzero_loss_cutoff = parsed("nonzero-loss-cutoff", value, "a number")?;
            }
            (Self::NHard { positives, .. }, "positives") => *positives = value.parse()?,
            (Self::NHard { negatives, .. }, "negatives") => *negatives = value.parse()?,
            (Self::Random { triplets, .. }, "triplets") => {
                *triplets = parsed("triplets", value, "a whole number")?;
            }
            _ => {
                let names: Vec<&str> = known.iter().map(|&(name, _)| name).collect();
                return Err(Error::UnknownName {
                    what: "parameter of the selection",
                    got: key.to_owned(),
                    expected: if names.is_empty() { "none".into() } else { names.join(", ") },
                });
            }
        }
        Ok(())
    }
}

impl fmt::Display for Selection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())?;
        let defaults = Self::ALL
            .into_iter()
            .find(|case| case.name() == self.name())
            .map(Self::parameters)
            .unwrap_or_default();
        let mut separator = ':';
        for ((key, value), (_, default)) in self.parameters().into_iter().zip(defaults) {
            if value != default {
                write!(f, "{separator}{key}={value}")?;
                separator = ',';
            }
        }
        Ok(())
    }
}

impl FromStr for Selection {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let (name, parameters) = text.split_once(':').unwrap_or((text, ""));
        let mut selection =
            Self::ALL.into_iter().find(|case| case.name() == name).ok_or_else(|| {
                Error::UnknownName {
                    what: "selection",
                    got: name.to_owned(),
                    expected: Self::ALL.map(Self::name).join(", "),
                }
            })?;
        for parameter in parameters.split(',').filter(|parameter| !parameter.is_empty()) {
            let (key, value) = parameter.split_once('=').unwrap_or((parameter, ""));
            selection.set(key.trim(), value.trim())?;
        }
        Ok(selection)
    }
}

impl From<Selection> for String {
    fn from(selection: Selection) -> Self {
        selection.to_string()
    }
}

impl TryFrom<String> for Selection {
    type Error = Error;

    fn try_from(text: String) -> Result<Self, Error> {
        text.parse()
    }
}
