//! A rate that increases with distance.

use serde::{Deserialize, Serialize};

use crate::Error;

/// A rate at increasing distances. Between two of them it is a power law, so that it never
/// decreases; below the first it goes to 0 as distance^exponent; after the last it is constant.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Curve {
    distances: Vec<f32>,
    rates: Vec<f32>,
    exponent: f32,
}

impl Curve {
    /// # Panics
    /// Not for curves that [`check`](Self::check) accepts, which the caller ensures.
    pub(super) fn new(distances: Vec<f32>, rates: &[f64], exponent: f64) -> Self {
        // Rates are rounded up, so that an upper bound remains one.
        let rates = rates.iter().map(|&rate| (rate as f32).next_up().min(1.0)).collect();
        Self { distances, rates, exponent: exponent as f32 }
    }

    /// A curve through few points: the exponent is the smallest slope between neighbours, and at
    /// least 2.
    pub(super) fn through(distances: Vec<f32>, mut rates: Vec<f64>) -> Self {
        for place in 1..rates.len() {
            rates[place] = rates[place].max(rates[place - 1]);
        }
        let log = |place: usize| (f64::from(distances[place]).ln(), rates[place].ln());
        let slope =
            |place: usize| (log(place).1 - log(place - 1).1) / (log(place).0 - log(place - 1).0);
        let slopes = (1..rates.len()).map(slope).filter(|slope| slope.is_finite());
        let exponent = slopes.fold(f64::INFINITY, f64::min);
        let exponent =
            if exponent.is_finite() { exponent.max(LEAST_EXPONENT) } else { LEAST_EXPONENT };
        Self::new(distances, &rates, exponent)
    }

    /// Refuses curves that cannot come from a measurement.
    pub(super) fn check(&self) -> Result<(), Error> {
        let Self { distances, rates, exponent } = self;
        let even = distances.len() == rates.len() && !distances.is_empty();
        let rise = distances.windows(2).all(|ends| ends[0] < ends[1]);
        let finite = distances.iter().all(|&at| at > 0.0 && at.is_finite());
        let grow = rates.windows(2).all(|ends| ends[0] <= ends[1]);
        let shares = rates.iter().all(|rate| (0.0..=1.0).contains(rate));
        if even && rise && finite && grow && shares && *exponent >= 0.0 && exponent.is_finite() {
            return Ok(());
        }
        Err(Error::parameter(
            "open set",
            format!("a curve of {} distances and {} rates", distances.len(), rates.len()),
            "as many of each, positive distances that rise and rates that do not fall",
        ))
    }

    pub(super) fn at(&self, distance: f64) -> f64 {
        let after = self.distances.partition_point(|&at| f64::from(at) <= distance);
        let rate = |place: usize| f64::from(self.rates[place]);
        match (after.checked_sub(1), self.distances.get(after)) {
            (None, _) => {
                rate(0) * (distance.max(0.0) / self.first()).powf(f64::from(self.exponent))
            }
            (Some(before), None) => rate(before),
            (Some(before), Some(&end)) => {
                let start = f64::from(self.distances[before]);
                let share = (distance / start).ln() / (f64::from(end) / start).ln();
                match rate(before) > 0.0 {
                    true => rate(before) * (rate(after) / rate(before)).powf(share),
                    false => share * rate(after),
                }
            }
        }
    }

    fn first(&self) -> f64 {
        self.distances.first().map_or(f64::MIN_POSITIVE, |&at| f64::from(at))
    }

    pub(super) fn last(&self) -> f64 {
        self.distances.last().map_or(0.0, |&at| f64::from(at))
    }

    pub(super) fn distances(&self) -> &[f32] {
        &self.distances
    }

    pub(super) fn exponent(&self) -> f64 {
        f64::from(self.exponent)
    }

    pub(super) fn scale(&mut self, factor: f32) {
        self.distances.iter_mut().for_each(|at| *at *= factor);
    }
}

/// The smallest exponent that is assumed towards distance 0 if no pair of different classes
/// coincides: that of points that are uniformly distributed on a surface.
pub(super) const LEAST_EXPONENT: f64 = 2.0;
