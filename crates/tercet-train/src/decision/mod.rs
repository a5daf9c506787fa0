//! Decides which hits of a search show the same as the query, and which items of a collection
//! belong together.
//!
//! The threshold is chosen such that the expected number of false matches is small for a query
//! whose class is not in the gallery (a stranger, see [`tercet::open_set`]); probabilities use the
//! gallery's prior. Both are based on the measurements in the model file, which are compared with
//! the gallery's own vectors: if a model is used on pictures of another kind than it was trained
//! on, strangers must not be called the same.

use std::sync::Arc;

use ndarray::{Array2, ArrayView2, Axis};
use serde::Serialize;
use tercet::calibration::Calibration;
use tercet::open_set::{Bound, GallerySize, OpenSet, Operating};
use tercet::{Error, Labels, Metric};

use crate::model::ModelCard;

/// The expected number of false matches per query of an unknown class that a search accepts by
/// default.
pub const FALSE_MATCHES: f64 = 0.01;

/// The assumed share of queries whose class is in the gallery.
pub const KNOWN_SHARE: f64 = 0.5;

/// Number of items of a gallery that are used to check a model against it.
pub const SAMPLE: usize = 1000;

/// Number of classes that the labels of a gallery must have to be used for the threshold.
const LEAST_CLASSES: usize = 10;

/// The vectors of a gallery count as closer together than those of the model's held-out classes if
/// their spread is below this share of theirs.
const CLOSER: f32 = 0.9;

/// Number of items from whose distances the spread of a gallery is computed.
const SPREAD_ITEMS: usize = 500;

const PAIRS: &str = "nothing says how close different classes come, so this is the model's \
                     threshold for pairs of which half are the same, and many queries of unknown \
                     classes will be called the same: train the model again, or give --threshold";

const OWN_CLASSES: &str = "no model says how close different classes come: the threshold is by this \
                           gallery's own classes";

const CLOSE_CLASSES: &str = "the classes of this gallery are closer to each other than those that \
                             the model was evaluated on: the threshold is by the gallery's own \
                             classes";

/// The origin of a threshold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Basis {
    /// The model's measurement on held-out classes.
    Model,
    /// The same measurement, scaled to a gallery whose vectors are closer together.
    ModelScaled,
    /// The gallery's own labelled items, each used as a query without its own class.
    Gallery,
    /// An approximation from the false accept rates in a model file of an earlier version.
    FalseAcceptRates,
    /// The model's threshold for pairs of which half are the same.
    Pairs,
    /// A distance that the user gave, or a threshold that the user chose by name.
    Given,
}

/// How the user wants the threshold to be chosen.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Ask {
    /// At most this expected number of false matches of a query of an unknown class.
    FalseMatches(f64),
    /// This distance as threshold.
    Distance(f32),
}

/// Some items of a gallery.
#[derive(Debug, Clone)]
pub struct Sample {
    /// The vector of each item, one per row.
    pub vectors: Array2<f32>,
    /// The class of each item, if it is known.
    pub labels: Vec<Option<String>>,
}

/// How it is decided whether hits of a search show the same as the query.
#[derive(Debug, Clone, Serialize)]
pub struct Decision {
    /// Hits below this distance are the same; none if there is neither a model nor enough labels to
    /// choose it.
    pub threshold: Option<f32>,
    /// The prior: the probability that a hit is the same before its distance is known.
    pub prior: f64,
    /// Expected number of false matches of a query whose class is not in the gallery: the requested
    /// one, or the upper bound at a given threshold. None if nothing was measured.
    pub false_matches_per_query: Option<f64>,
    /// The expected share of queries of known classes that find their class.
    pub expected_known_found: Option<f64>,
    /// The origin of the threshold.
    pub basis: Option<Basis>,
    /// What the user should know about it, in a sentence or two.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    #[serde(skip)]
    odds: Odds,
}

#[derive(Debug, Clone)]
enum Odds {
    Measured(Arc<OpenSet>),
    Pairs(Calibration),
    Unknown,
}

/// The measurements on which the decisions in a gallery are based, collected once for many
/// searches.
#[derive(Debug, Clone)]
pub struct Evidence {
    /// The model's measurement, scaled if the vectors of the gallery are closer together.
    of_model: Option<Measured>,
    /// The measurement on the gallery's own classes, if there are enough.
    of_gallery: Option<Measured>,
    pair_threshold: Option<f32>,
    calibration: Option<Calibration>,
}

/// The distances of strangers, and where they were measured.
#[derive(Debug, Clone)]
struct Measured {
    open_set: Arc<OpenSet>,
    basis: Basis,
    note: Option<String>,
}

impl Evidence {
    /// Collects the measurements in the model's card and those on a sample of the gallery's items;
    /// `metric` is the gallery's.
    ///
    /// # Errors
    /// A sample whose vectors are not finite or have no dimensions.
    pub fn new(
        card: Option<&ModelCard>,
        metric: Metric,
        sample: Option<&Sample>,
    ) -> Result<Self, Error> {
        let mut of_model = card.and_then(Measured::of_model);
        let mut of_gallery = None;
        match sample.map(|sample| (sample, sample.labelled())) {
            Some((_, Some((vectors, labels)))) => {
                of_gallery = Measured::of_gallery(&vectors, &labels, metric, of_model.is_some())?;
            }
            Some((sample, None)) => {
                of_model = match of_model {
                    Some(measured) => Some(measured.scaled_to(sample.vectors.view(), metric)?),
                    None => None,
                };
            }
            None => {}
        }
        Ok(Self {
            of_model,
            of_gallery,
            pair_threshold: card.and_then(|card| card.threshold).map(|own| own as f32),
            calibration: card.and_then(|card| card.calibration.clone()),
        })
    }

    /// The stricter one of the measurements of the model and of the gallery.
    fn strictest(&self, rate: f64, size: GallerySize) -> Option<&Measured> {
        match (&self.of_model, &self.of_gallery) {
            (Some(model), Some(gallery)) => {
                let threshold = |measured: &Measured| measured.open_set.threshold(rate, size);
                Some(if threshold(gallery) < threshold(model) { gallery } else { model })
            }
            (model, gallery) => model.as_ref().or(gallery.as_ref()),
        }
    }

    /// The decision for a gallery of this size.
    pub fn decide(&self, size: GallerySize, ask: Ask) -> Decision {
        let prior = size.prior(KNOWN_SHARE);
        let rate = match ask {
            Ask::FalseMatches(rate) => rate,
            Ask::Distance(_) => FALSE_MATCHES,
        };
        let Some(Measured { open_set, basis, note }) = self.strictest(rate, size) else {
            return self.by_pairs(prior, ask);
        };
        let (threshold, false_matches, basis) = match ask {
            Ask::FalseMatches(rate) => {
                // A hit that is called the same must also be the same with a probability of at
                // least one half.
                let even = open_set.distance(0.5, prior);
                (open_set.threshold(rate, size).min(even), rate, *basis)
            }
            Ask::Distance(distance) => {
                (distance, open_set.false_matches(distance, size), Basis::Given)
            }
        };
        Decision {
            threshold: Some(threshold),
            prior,
            false_matches_per_query: Some(false_matches),
            expected_known_found: Some(open_set.known_found(threshold, size)),
            basis: Some(basis),
            note: note.clone().filter(|_| basis != Basis::Given),
            odds: Odds::Measured(open_set.clone()),
        }
    }

    /// The decision if no distances of strangers were measured.
    fn by_pairs(&self, prior: f64, ask: Ask) -> Decision {
        let (threshold, basis, note) = match (ask, self.pair_threshold) {
            (Ask::Distance(distance), _) => (Some(distance), Some(Basis::Given), None),
            (_, None) => (None, None, None),
            (_, Some(own)) => (Some(own), Some(Basis::Pairs), Some(PAIRS.to_owned())),
        };
        Decision {
            threshold,
            prior,
            false_matches_per_query: None,
            expected_known_found: None,
            basis,
            note,
            odds: self.calibration.clone().map_or(Odds::Unknown, Odds::Pairs),
        }
    }
}

impl Decision {
    /// Whether an item at this distance is called the same; none if there is no threshold.
    pub fn same(&self, distance: f32) -> Option<bool> {
        self.threshold.map(|threshold| distance < threshold)
    }

    /// The probability that an item at this distance is the same, under the gallery's prior: log
    /// odds = log odds for pairs of which half are the same + ln(prior / (1 − prior)).
    pub fn probability(&self, distance: f32) -> Option<f64> {
        match &self.odds {
            Odds::Measured(open_set) => Some(open_set.probability(distance, self.prior)),
            Odds::Pairs(calibration) => {
                let even = calibration.probability(distance);
                let odds = even / (1.0 - even) * self.prior / (1.0 - self.prior);
                Some(if odds.is_finite() { odds / (1.0 + odds) } else { 1.0 })
            }
            Odds::Unknown => None,
        }
    }
}

/// The distance at which an item has `rate` expected false links to the others of a collection, as
/// a default for clustering; none if nothing was measured. The collection's labels are not used.
///
/// # Errors
/// Vectors that are not finite.
pub fn link_threshold(
    card: &ModelCard,
    vectors: ArrayView2<f32>,
    rate: f64,
) -> Result<Option<(f32, Option<String>)>, Error> {
    let items = vectors.nrows();
    let size = GallerySize { items: items as u64, classes: items as u64 };
    let metric = Metric { distance: card.distance, normalize: card.normalized };
    let every = items.div_ceil(SPREAD_ITEMS).max(1);
    let chosen: Vec<usize> = (0..items).step_by(every).collect();
    let labels = vec![None; chosen.len()];
    let sample = Sample { vectors: vectors.select(Axis(0), &chosen), labels };
    let evidence = Evidence::new(Some(card), metric, Some(&sample))?;
    Ok(evidence
        .strictest(rate, size)
        .map(|measured| (measured.open_set.threshold(rate, size), measured.note.clone())))
}

impl Measured {
    fn of_model(card: &ModelCard) -> Option<Self> {
        if let Some(open_set) = card.open_set.clone() {
            return Some(Self { open_set: Arc::new(open_set), basis: Basis::Model, note: None });
        }
        approximated(card).map(|open_set| Self {
            open_set: Arc::new(open_set),
            basis: Basis::FalseAcceptRates,
            note: Some(
                "the model file is of an earlier version: the threshold is extrapolated from its \
                 false accept rates. Train the model again for one that is measured"
                    .to_owned(),
            ),
        })
    }

    /// Measures the gallery's own classes. The upper bound is used if there is no measurement of a
    /// model, otherwise the median.
    fn of_gallery(
        vectors: &Array2<f32>,
        labels: &Labels,
        metric: Metric,
        has_model: bool,
    ) -> Result<Option<Self>, Error> {
        let (bound, note) = match has_model {
            true => (Bound::Median, CLOSE_CLASSES),
            false => (Bound::Upper, OWN_CLASSES),
        };
        match OpenSet::measure(vectors.view(), labels, metric, bound, 0) {
            Err(Error::NotEnough { .. }) => Ok(None),
            measured => Ok(Some(Self {
                open_set: Arc::new(measured?),
                basis: Basis::Gallery,
                note: Some(note.to_owned()),
            })),
        }
    }

    /// Scales the measured distances if the spread of the vectors is smaller than that of the
    /// vectors on which the model was measured.
    fn scaled_to(self, vectors: ArrayView2<f32>, metric: Metric) -> Result<Self, Error> {
        let Some(measured) = self.open_set.spread() else { return Ok(self) };
        let Some(own) = spread(vectors, metric)? else { return Ok(self) };
        let factor = own / measured;
        if factor >= CLOSER || factor <= 0.0 {
            return Ok(self);
        }
        Ok(Self {
            open_set: Arc::new(self.open_set.scaled(factor)),
            basis: Basis::ModelScaled,
            note: Some(format!(
                "the vectors of this gallery are {:.1} times as close together as those that the \
                 model was evaluated on, as pictures of another kind are: distances are scaled by \
                 that",
                1.0 / factor
            )),
        })
    }
}

impl Sample {
    /// The labelled items, if they have enough classes to choose the threshold by them.
    fn labelled(&self) -> Option<(Array2<f32>, Labels)> {
        let rows: Vec<usize> =
            (0..self.labels.len()).filter(|&row| self.labels[row].is_some()).collect();
        let labels: Labels = self.labels.iter().flatten().collect();
        let enough = labels.class_count() >= LEAST_CLASSES;
        enough.then(|| (self.vectors.select(Axis(0), &rows), labels))
    }
}

/// The distance that nine in ten pairs do not exceed, computed as by [`OpenSet::spread`]; none if
/// there are fewer than two vectors.
fn spread(vectors: ArrayView2<f32>, metric: Metric) -> Result<Option<f32>, Error> {
    let every = vectors.nrows().div_ceil(SPREAD_ITEMS).max(1);
    let rows: Vec<usize> = (0..vectors.nrows()).step_by(every).collect();
    if rows.len() < 2 {
        return Ok(None);
    }
    let chosen = vectors.select(Axis(0), &rows);
    let distances = metric.distances(chosen.view(), chosen.view())?;
    let mut pairs: Vec<f32> = distances
        .indexed_iter()
        .filter(|((one, other), _)| one < other)
        .map(|(_, &distance)| distance)
        .collect();
    let at = pairs.len() * 9 / 10;
    let (_, &mut spread, _) = pairs.select_nth_unstable_by(at, f32::total_cmp);
    Ok(Some(spread))
}

/// The open-set measurement approximated from the false accept rates of a card of an earlier
/// version, and from the rates of accepted same pairs in its results.
fn approximated(card: &ModelCard) -> Option<OpenSet> {
    let verification = card.provenance.results.get("after")?.get("verification")?;
    let pairs = verification.get("pairs")?.as_u64()? / 2;
    let val_at_far = verification.get("val_at_far")?;
    let points = card.thresholds.iter().filter_map(|(name, &distance)| {
        let val = val_at_far.get(name)?.get("val")?.as_f64()?;
        Some(Operating { distance, far: name.parse().ok()?, val })
    });
    OpenSet::from_false_accepts(&points.collect::<Vec<_>>(), pairs).ok()
}

#[cfg(test)]
mod tests;
