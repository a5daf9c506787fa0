//! The likelihood ratio: how much more frequent a distance is among same pairs than among different
//! ones.

use super::curve::Curve;

/// The smallest ratio that is distinguished.
const LEAST_RATIO: f64 = 1e-12;

/// ln(density of same pairs / density of different pairs), which decreases with distance: intervals
/// are pooled until it does (pool adjacent violators), and between the centres of the intervals it
/// is linear. Towards distance 0 it follows the two power laws if it increases there.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Likelihood {
    middles: Vec<f64>,
    logs: Vec<f64>,
    exponent: f64,
}

/// Neighbouring intervals with one ratio.
struct Pool {
    same: f64,
    different: f64,
    intervals: usize,
}

impl Pool {
    /// Whether this pool's ratio is at least that of the `other`.
    fn exceeds(&self, other: &Self) -> bool {
        self.same * other.different >= other.same * self.different
    }
}

impl Likelihood {
    pub(super) fn of(same: &Curve, different: &Curve) -> Self {
        let mut ends: Vec<f64> =
            same.distances().iter().chain(different.distances()).map(|&at| f64::from(at)).collect();
        ends.sort_by(f64::total_cmp);
        ends.dedup();
        let (mut middles, mut pools) = (Vec::new(), Vec::<Pool>::new());
        let mut start = 0.0;
        for &end in &ends {
            middles.push(f64::midpoint(start, end));
            let share = |curve: &Curve| (curve.at(end) - curve.at(start)).max(0.0);
            let mut pool = Pool { same: share(same), different: share(different), intervals: 1 };
            if pool.same == 0.0
                && pool.different == 0.0
                && let Some(before) = pools.last_mut()
            {
                // No pair was measured in between.
                before.intervals += 1;
                start = end;
                continue;
            }
            while let Some(before) = pools.pop_if(|before| !before.exceeds(&pool)) {
                pool.same += before.same;
                pool.different += before.different;
                pool.intervals += before.intervals;
            }
            pools.push(pool);
            start = end;
        }
        let log = |pool: &Pool| {
            let ratio = pool.same / pool.different.max(f64::MIN_POSITIVE);
            ratio.clamp(LEAST_RATIO, 1.0 / LEAST_RATIO).ln()
        };
        let logs = pools.iter().flat_map(|pool| std::iter::repeat_n(log(pool), pool.intervals));
        Self {
            logs: logs.collect(),
            middles,
            exponent: (different.exponent() - same.exponent()).max(0.0),
        }
    }

    fn log_ratio(&self, distance: f64) -> f64 {
        let after = self.middles.partition_point(|&middle| middle <= distance);
        match (after.checked_sub(1), self.middles.get(after)) {
            (None, Some(&first)) => {
                self.logs[0] + self.exponent * (first / distance.max(f64::MIN_POSITIVE)).ln()
            }
            (None, None) => 0.0,
            (Some(before), None) => self.logs[before],
            (Some(before), Some(&end)) => {
                let start = self.middles[before];
                let share = (distance - start) / (end - start);
                self.logs[before] + share * (self.logs[after] - self.logs[before])
            }
        }
    }

    /// σ(ln ratio + ln(π / (1 − π)))
    pub(super) fn probability(&self, distance: f64, prior: f64) -> f64 {
        let odds = self.log_ratio(distance) + (prior / (1.0 - prior)).ln();
        1.0 / (1.0 + (-odds).exp())
    }
}
