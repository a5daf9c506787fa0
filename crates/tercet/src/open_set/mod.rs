//! Decisions in a search in which almost no item is of the query's class.
//!
//! A threshold that is right for pairs of which half are the same is wrong for a search: a query of
//! an unknown class (a *stranger*) is compared with every item of the gallery, and one distance
//! below the threshold is enough for a false match. This module computes an upper bound of how
//! often that happens, and chooses the threshold by it. Everything is measured on items of classes
//! that the network was not trained on.
//!
//! With N items of K classes in the gallery and a threshold t, the expected number of false matches
//! of a stranger is at most
//!
//! ```text
//! F(t) = min( N · a(t),  K · c(t) · max(1, (N/K) / s) )
//! ```
//!
//! - a(t) is the share of pairs of different classes that are no farther apart than t;
//! - c(t) is the probability that the nearest item of a class of s items is no farther than t from
//!   an item of another class.
//!
//! Both terms are union bounds: they hold for any dependence between the items of a class, and for
//! galleries that are smaller or larger than the measured set. An item whose class is unknown
//! counts as a class of its own. The measured a and c are upper prediction bounds (95 %, one-sided)
//! of clustered counts, for a gallery and strangers of about as many other classes as were
//! measured: the events of one pair of classes, and those that share a class, count as dependent.
//! Below the smallest measured distance both continue as power laws, with an exponent that is a
//! lower bound of Hill's estimate.
//!
//! The probability that a hit at distance d is the same follows from the ratio of the densities of
//! same and different pairs and a prior π: p = σ(ln ratio(d) + ln(π / (1 − π))). In a gallery of K
//! classes, where a share q of the queries is of one of them, π = q / K ([`GallerySize::prior`]).
//!
//! ```
//! use ndarray::Array2;
//! use tercet::open_set::{Bound, GallerySize, OpenSet};
//! use tercet::{Labels, Metric};
//!
//! // 40 classes of 5 items: positions of a class differ by tenths, those of classes by 10.
//! let labels: Labels = (0..200).map(|item| item / 5).collect();
//! let position = |item: usize| (item / 5) as f32 * 10.0 + (item % 5) as f32 / 10.0;
//! let embeddings = Array2::from_shape_fn((200, 1), |(item, _)| position(item));
//! let measured = OpenSet::measure(embeddings.view(), &labels, Metric::default(), Bound::Upper, 0)?;
//!
//! let gallery = GallerySize { items: 200, classes: 40 };
//! let threshold = measured.threshold(0.01, gallery);
//! assert!(threshold > 0.4 && threshold < 9.6);
//! assert!(measured.false_matches(threshold, gallery) <= 0.01);
//! assert_eq!(measured.known_found(threshold, gallery), 1.0);
//! assert!(measured.probability(0.1, gallery.prior(0.5)) > 0.99);
//! # Ok::<(), tercet::Error>(())
//! ```

mod curve;
mod likelihood;
mod measure;

use serde::{Deserialize, Serialize};

use crate::Error;
use curve::Curve;
use likelihood::Likelihood;

/// The number of halvings of an interval after which a threshold is exact up to rounding.
const HALVINGS: usize = 60;

/// The size of a gallery.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct GallerySize {
    /// The number of items that a query is compared with.
    pub items: u64,
    /// The number of their classes. An item whose class is not known counts as a class of its own.
    pub classes: u64,
}

impl GallerySize {
    /// The probability that a hit is of the query's class, before its distance is known: `known` /
    /// classes, where `known` is the share of queries whose class is in the gallery.
    ///
    /// The result is between 0 and 1, both excluded, so that its log odds are finite.
    pub fn prior(self, known: f64) -> f64 {
        (known / self.classes.max(1) as f64).clamp(f64::MIN_POSITIVE, 1.0 - f64::EPSILON)
    }
}

/// How cautious the measured rates are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bound {
    /// One-sided upper prediction bounds of 95 %, for thresholds that are used on about as many
    /// other classes.
    Upper,
    /// Median estimates, for statements about the measured items themselves.
    Median,
}

impl Bound {
    /// The normal quantile.
    fn z(self) -> f64 {
        match self {
            // The difference of two counts with the same expectation has √2 times the deviation of
            // one.
            Self::Upper => 1.644_853_626_951_472_2 * std::f64::consts::SQRT_2,
            Self::Median => 0.0,
        }
    }
}

/// A false accept rate and the rate of accepted same pairs, as verification measures them.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Operating {
    /// The threshold.
    pub distance: f64,
    /// The share of different pairs below it.
    pub far: f64,
    /// The share of same pairs below it.
    pub val: f64,
}

/// The rates of false and of right matches in a gallery as functions of distance. See the
/// [module](self) for the formulas.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Stored", into = "Stored")]
pub struct OpenSet {
    stored: Stored,
    likelihood: Likelihood,
}

/// The contents of a file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Stored {
    /// Items that were measured.
    items: u64,
    /// Classes that were measured.
    classes: u64,
    /// s, the geometric mean of the number of items per class.
    items_per_class: f64,
    /// The distance that 90 % of the different pairs do not exceed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    spread: Option<f32>,
    /// a(t)
    item_rate: Curve,
    /// c(t)
    #[serde(default, skip_serializing_if = "Option::is_none")]
    class_rate: Option<Curve>,
    /// The share of same pairs within a distance.
    same_rate: Curve,
    /// The share of items whose nearest item of their own class is within a distance.
    found_rate: Curve,
}

impl TryFrom<Stored> for OpenSet {
    type Error = Error;

    fn try_from(stored: Stored) -> Result<Self, Error> {
        let curves = [&stored.item_rate, &stored.same_rate, &stored.found_rate];
        curves.into_iter().chain(&stored.class_rate).try_for_each(Curve::check)?;
        let positive = |value: f64| value > 0.0 && value.is_finite();
        if !(positive(stored.items_per_class)
            && stored.spread.is_none_or(|spread| positive(f64::from(spread))))
        {
            return Err(Error::parameter(
                "open set",
                format!("{} items per class, spread {:?}", stored.items_per_class, stored.spread),
                "positive numbers",
            ));
        }
        Ok(Self::of(stored))
    }
}

impl From<OpenSet> for Stored {
    fn from(open_set: OpenSet) -> Self {
        open_set.stored
    }
}

impl OpenSet {
    fn of(stored: Stored) -> Self {
        let likelihood = Likelihood::of(&stored.same_rate, &stored.item_rate);
        Self { stored, likelihood }
    }

    /// An approximation from false accept rates, for models that were stored without the
    /// measurement itself. `pairs` is the number of different pairs on which the rates were
    /// measured: each rate is replaced by its upper prediction bound.
    ///
    /// # Errors
    /// Fewer than two different distances above 0; rates outside 0…1; no pairs.
    pub fn from_false_accepts(points: &[Operating], pairs: u64) -> Result<Self, Error> {
        let mut points: Vec<Operating> = points.to_vec();
        points.retain(|point| point.distance > 0.0 && point.distance.is_finite());
        points.sort_by(|one, other| one.distance.total_cmp(&other.distance));
        points.dedup_by_key(|point| point.distance as f32);
        let shares = points.iter().flat_map(|point| [point.far, point.val]);
        if points.len() < 2 || pairs == 0 || !shares.clone().all(|x| (0.0..=1.0).contains(&x)) {
            return Err(Error::NotEnough {
                what: "an estimate of false matches",
                expected: "two thresholds with rates from 0 to 1, measured on pairs".to_owned(),
                got: format!("{} thresholds, {pairs} pairs", points.len()),
            });
        }
        let trials = pairs as f64;
        let distances: Vec<f32> = points.iter().map(|point| point.distance as f32).collect();
        let bound = |far: f64| {
            let events = measure::upper_count(far * trials, 1.0, Bound::Upper);
            (events / trials).min(1.0)
        };
        let rates = |rate: &dyn Fn(&Operating) -> f64| points.iter().map(rate).collect();
        let same = Curve::through(distances.clone(), rates(&|point| point.val));
        Ok(Self::of(Stored {
            items: 0,
            classes: 0,
            items_per_class: 1.0,
            spread: None,
            item_rate: Curve::through(distances, rates(&|point| bound(point.far))),
            class_rate: None,
            found_rate: same.clone(),
            same_rate: same,
        }))
    }

    /// An upper bound of the expected number of items (or classes, if these are fewer) within
    /// `distance` of a query whose class is not in the gallery. It increases with the distance and
    /// with the gallery.
    pub fn false_matches(&self, distance: f32, gallery: GallerySize) -> f64 {
        self.false_matches_at(f64::from(distance), gallery)
    }

    fn false_matches_at(&self, distance: f64, gallery: GallerySize) -> f64 {
        let items = gallery.items as f64;
        let by_items = items * self.stored.item_rate.at(distance);
        let Some(class_rate) = &self.stored.class_rate else { return by_items };
        let classes = gallery.classes.max(1) as f64;
        let larger = (items / classes / self.stored.items_per_class).max(1.0);
        by_items.min(classes * larger * class_rate.at(distance))
    }

    /// The largest distance at which a query of an unknown class has an expected number of at most
    /// `rate` false matches; 0 if there is none.
    pub fn threshold(&self, rate: f64, gallery: GallerySize) -> f32 {
        self.largest(|distance| self.false_matches_at(distance, gallery) <= rate)
    }

    /// The largest distance at which a hit is at least as probable as `probability`.
    pub fn distance(&self, probability: f64, prior: f64) -> f32 {
        self.largest(|distance| self.likelihood.probability(distance, prior) >= probability)
    }

    /// The largest distance, up to the largest measured one, for which `holds` is true. If it is
    /// true for a distance, it must be true for all smaller ones.
    fn largest(&self, holds: impl Fn(f64) -> bool) -> f32 {
        let curves = [&self.stored.item_rate, &self.stored.same_rate];
        let last = curves.into_iter().map(Curve::last).fold(0.0, f64::max);
        if holds(last) {
            return last as f32;
        }
        let (mut low, mut high) = (0.0, last);
        for _ in 0..HALVINGS {
            let middle = f64::midpoint(low, high);
            if holds(middle) { low = middle } else { high = middle }
        }
        // The conversion to f32 may round up.
        let found = low as f32;
        if f64::from(found) > low { found.next_down().max(0.0) } else { found }
    }

    /// The expected share of queries of known classes that find an item of their class within
    /// `distance`. If the gallery has between one item of their class and as many as were measured,
    /// the share is interpolated linearly; if it has more, this is a lower bound.
    pub fn known_found(&self, distance: f32, gallery: GallerySize) -> f64 {
        let distance = f64::from(distance);
        let one = self.stored.same_rate.at(distance);
        let all = self.stored.found_rate.at(distance).max(one);
        let mates = (gallery.items as f64 / gallery.classes.max(1) as f64).max(1.0) - 1.0;
        let measured = self.stored.items_per_class - 2.0;
        let share = if measured > 0.0 { (mates / measured).min(1.0) } else { 1.0 };
        one + share * (all - one)
    }

    /// The probability that an item at `distance` is of the query's class, if it was `prior` before
    /// the distance was known. It never increases with the distance.
    pub fn probability(&self, distance: f32, prior: f64) -> f64 {
        self.likelihood.probability(f64::from(distance), prior)
    }

    /// The distance that nine in ten pairs of different classes do not exceed, or `None` if it was
    /// not measured.
    pub fn spread(&self) -> Option<f32> {
        self.stored.spread
    }

    /// Items that were measured.
    pub fn items(&self) -> u64 {
        self.stored.items
    }

    /// Classes that were measured.
    pub fn classes(&self) -> u64 {
        self.stored.classes
    }

    /// The same rates with every distance multiplied by a positive `factor`, for vectors that are
    /// closer together than the measured ones.
    pub fn scaled(&self, factor: f32) -> Self {
        let mut stored = self.stored.clone();
        stored.spread = stored.spread.map(|spread| spread * factor);
        let curves = [&mut stored.item_rate, &mut stored.same_rate, &mut stored.found_rate];
        curves.into_iter().chain(&mut stored.class_rate).for_each(|curve| curve.scale(factor));
        Self::of(stored)
    }
}

#[cfg(test)]
mod tests;
