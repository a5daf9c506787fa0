//! Isotonic regression by pooling adjacent violators.

use serde::{Deserialize, Serialize};

use crate::Error;
use crate::verification::Pair;

/// The non-increasing function with the least squared error (Zadrozny & Elkan, KDD 2002), by
/// pooling adjacent violators. It is linear between the ends of two pools, and constant before the
/// first and after the last, as in scikit-learn's `IsotonicRegression`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Knots")]
pub struct Isotonic {
    distances: Vec<f32>,
    probabilities: Vec<f64>,
}

/// The contents of a file, before they are checked.
#[derive(Deserialize)]
struct Knots {
    distances: Vec<f32>,
    probabilities: Vec<f64>,
}

impl TryFrom<Knots> for Isotonic {
    type Error = Error;

    fn try_from(knots: Knots) -> Result<Self, Error> {
        let Knots { distances, probabilities } = knots;
        let falls = probabilities.windows(2).all(|ends| ends[0] >= ends[1]);
        let shares = probabilities.iter().all(|share| (0.0..=1.0).contains(share));
        let rises = distances.windows(2).all(|ends| ends[0] < ends[1]);
        let finite = distances.iter().all(|distance| distance.is_finite());
        let even = distances.len() == probabilities.len() && !distances.is_empty();
        if even && rises && finite && falls && shares {
            return Ok(Self { distances, probabilities });
        }
        Err(Error::parameter(
            "isotonic calibration",
            format!("{} distances, {} probabilities", distances.len(), probabilities.len()),
            "as many of each, finite distances that rise and shares that fall",
        ))
    }
}

/// Pairs that have one probability.
struct Pool {
    first: f32,
    last: f32,
    same: f64,
    count: f64,
}

impl Pool {
    fn share(&self) -> f64 {
        self.same / self.count
    }
}

impl Isotonic {
    pub(super) fn fit(sorted: &[Pair]) -> Self {
        let mut pools: Vec<Pool> = Vec::new();
        for tied in sorted.chunk_by(|x, y| x.distance == y.distance) {
            let same = tied.iter().filter(|pair| pair.same).count() as f64;
            let at = tied[0].distance;
            let mut pool = Pool { first: at, last: at, same, count: tied.len() as f64 };
            while let Some(before) = pools.pop_if(|before| before.share() <= pool.share()) {
                pool.first = before.first;
                pool.same += before.same;
                pool.count += before.count;
            }
            pools.push(pool);
        }
        let (mut distances, mut probabilities) = (Vec::new(), Vec::new());
        for pool in &pools {
            distances.push(pool.first);
            probabilities.push(pool.share());
            if pool.last > pool.first {
                distances.push(pool.last);
                probabilities.push(pool.share());
            }
        }
        Self { distances, probabilities }
    }

    pub(super) fn probability(&self, distance: f32) -> f64 {
        let (distances, probabilities) = (&self.distances, &self.probabilities);
        let after = distances.partition_point(|&knot| knot <= distance);
        match (after.checked_sub(1), distances.get(after)) {
            (None, _) => probabilities[0],
            (Some(before), None) => probabilities[before],
            (Some(before), Some(&end)) => {
                let start = f64::from(distances[before]);
                let share = (f64::from(distance) - start) / (f64::from(end) - start);
                probabilities[before] + share * (probabilities[after] - probabilities[before])
            }
        }
    }

    pub(super) fn distance(&self, probability: f64) -> Option<f32> {
        let (distances, probabilities) = (&self.distances, &self.probabilities);
        let after = probabilities.partition_point(|&share| share >= probability);
        let before = after.checked_sub(1)?;
        let Some(&end) = distances.get(after) else { return Some(f32::MAX) };
        let start = f64::from(distances[before]);
        let fall = probabilities[before] - probabilities[after];
        let share = (probabilities[before] - probability) / fall;
        Some((start + share * (f64::from(end) - start)) as f32)
    }
}
