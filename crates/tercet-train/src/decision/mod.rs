//! Which hits of a search show the same as the query, and which items of a collection belong
//! together.
//!
//! The threshold is chosen by the false matches of a query whose class the gallery does not hold
//! ([`tercet::open_set`]), and probabilities are those under the gallery's prior. Both come from
//! what the model file says, checked against the gallery's own vectors: a model that is used on
//! pictures of another kind than it was trained for must not call strangers the same.

use std::sync::Arc;

use ndarray::{Array2, ArrayView2, Axis};
use serde::Serialize;
use tercet::calibration::Calibration;
use tercet::open_set::{Bound, GallerySize, OpenSet, Operating};
use tercet::{Error, Labels, Metric};

use crate::model::ModelCard;

/// False matches of a query of an unknown class that a search accepts by default.
pub const FALSE_MATCHES: f64 = 0.01;

/// The share of the queries that is assumed to be of a class that the gallery holds.
pub const KNOWN_SHARE: f64 = 0.5;

/// Items of a gallery that are looked at to check a model against it.
pub const SAMPLE: usize = 1000;

/// Classes that a gallery's own labels need before strangers are judged by them.
const LEAST_CLASSES: usize = 10;

/// The vectors of a gallery are closer together than the model's held-out classes where their
/// spread is below this share of theirs.
const CLOSER: f32 = 0.9;

/// Items whose distances tell how far a gallery is spread.
const SPREAD_ITEMS: usize = 500;

const PAIRS: &str = "nothing says how close different classes come, so this is the model's \
                     threshold for pairs of which half are the same, and many queries of unknown \
                     classes will be called the same: train the model again, or give --threshold";

const OWN_CLASSES: &str = "no model says how close different classes come: the threshold is by this \
                           gallery's own classes";

const CLOSE_CLASSES: &str = "the classes of this gallery are closer to each other than those that \
                             the model was evaluated on: the threshold is by the gallery's own \
                             classes";

/// Where a threshold comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Basis {
    /// The model's measurement on held-out classes.
    Model,
    /// The same, with distances scaled to a gallery whose vectors are closer together.
    ModelScaled,
    /// The gallery's own labelled items, each searched without its own class.
    Gallery,
    /// An approximation from the false accept rates in a model file of an earlier version.
    FalseAcceptRates,
    /// The model's threshold for pairs of which half are the same.
    Pairs,
    /// A distance that the user gave, or a threshold that the user named.
    Given,
}

/// What a user asks for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Ask {
    /// At most so many false matches of a query of an unknown class, in expectation.
    FalseMatches(f64),
    /// This threshold.
    Distance(f32),
}

/// Some items of a gallery.
#[derive(Debug, Clone)]
pub struct Sample {
    /// A row for each.
    pub vectors: Array2<f32>,
    /// The class of each, where it is known.
    pub labels: Vec<Option<String>>,
}

/// How the hits of a search are decided.
#[derive(Debug, Clone, Serialize)]
pub struct Decision {
    /// Nearer hits are the same; none without a model and labels to tell by.
    pub threshold: Option<f32>,
    /// The probability that a hit is the same before its distance is known.
    pub prior: f64,
    /// Expected false matches of a query whose class the gallery does not hold: as asked for, or
    /// the upper bound at a threshold that was given. None where nothing was measured.
    pub false_matches_per_query: Option<f64>,
    /// The expected share of the queries of known classes that find their class.
    pub expected_known_found: Option<f64>,
    /// Where the threshold comes from.
    pub basis: Option<Basis>,
    /// What a user should know about it, in a sentence or two.
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

/// What a gallery is decided by, gathered once for many searches.
#[derive(Debug, Clone)]
pub struct Evidence {
    /// By the model, scaled to the gallery where its vectors are closer together.
    of_model: Option<Measured>,
    /// By the gallery's own classes, where it has enough.
    of_gallery: Option<Measured>,
    pair_threshold: Option<f32>,
    calibration: Option<Calibration>,
}

/// What strangers meet, and how that is known.
#[derive(Debug, Clone)]
struct Measured {
    open_set: Arc<OpenSet>,
    basis: Basis,
    note: Option<String>,
}

impl Evidence {
    /// What the model's card and a sample of the gallery's items say; `metric` is the gallery's.
    ///
    /// # Errors
    /// A sample with vectors that are not finite or without dimensions.
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

    /// The stricter of what the model and the gallery say.
    fn strictest(&self, rate: f64, size: GallerySize) -> Option<&Measured> {
        match (&self.of_model, &self.of_gallery) {
            (Some(model), Some(gallery)) => {
                let threshold = |measured: &Measured| measured.open_set.threshold(rate, size);
                Some(if threshold(gallery) < threshold(model) { gallery } else { model })
            }
            (model, gallery) => model.as_ref().or(gallery.as_ref()),
        }
    }

    /// How hits are decided in a gallery of this size.
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
                // What is called the same must also be more probable than not.
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

    /// What is left where nothing says how close different classes come.
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
    /// Whether an item at this distance is called the same; none without a threshold.
    pub fn same(&self, distance: f32) -> Option<bool> {
        self.threshold.map(|threshold| distance < threshold)
    }

    /// The probability that an item at this distance is the same, under the gallery's prior: the
    /// log odds are those of pairs of which half are the same, plus ln(prior / (1 − prior)).
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

/// The distance at which an item has `rate` false links to the others of a collection in
/// expectation, for a default of clustering; none where nothing was measured. The collection's
/// labels are not looked at.
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

    /// Of the gallery's own classes: cautious where there is nothing else to decide by.
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

    /// Multiplies distances where the vectors are spread less than those that the model was
    /// measured on.
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
    /// The items with labels, if they are of classes enough to judge strangers by.
    fn labelled(&self) -> Option<(Array2<f32>, Labels)> {
        let rows: Vec<usize> =
            (0..self.labels.len()).filter(|&row| self.labels[row].is_some()).collect();
        let labels: Labels = self.labels.iter().flatten().collect();
        let enough = labels.class_count() >= LEAST_CLASSES;
        enough.then(|| (self.vectors.select(Axis(0), &rows), labels))
    }
}

/// The distance that nine in ten pairs do not exceed, as [`OpenSet::spread`] measures it; none
/// of fewer than two vectors.
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

/// What the false accept rates of a card of an earlier version say, with the rates of same pairs
/// that its results hold.
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
