//! The ROC curve and the figures of all thresholds together.

use serde::Serialize;

use super::Pair;
use super::thresholds::{groups, just_above};

/// The step in FAR or in VAL between two neighbouring points of a thinned curve, …
const STEP: f64 = 1.0 / 256.0;

/// … unless FAR grows by this factor first, because a logarithmic axis shows small rates too.
const FACTOR: f64 = 1.05;

/// The rates when pairs strictly below a threshold are accepted.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct RocPoint {
    /// The threshold.
    pub threshold: f32,
    /// Share of different pairs accepted.
    pub far: f64,
    /// Share of same pairs accepted.
    pub val: f64,
}

/// The curve from (0, 0) to (1, 1) for a plot: of the points of all thresholds, those that differ
/// from the one before by 1/256 in FAR or VAL, or by 5 % in FAR. These are a few hundred for any
/// number of pairs.
pub(super) fn thinned(sorted: &[Pair], curve: &[(f64, f64)]) -> Vec<RocPoint> {
    // Point i + 1 accepts all distances up to the i-th, so its threshold is the next distance.
    let distances = groups(sorted).map(|(distance, ..)| distance);
    let beyond = sorted.last().map(|pair| just_above(pair.distance));
    let mut points: Vec<RocPoint> = Vec::new();
    let last = curve.len() - 1;
    for (place, (&(far, val), threshold)) in curve.iter().zip(distances.chain(beyond)).enumerate() {
        let differs = points.last().is_none_or(|before| {
            far - before.far >= STEP || val - before.val >= STEP || far > before.far * FACTOR
        });
        if differs || place == last {
            points.push(RocPoint { threshold, far, val });
        }
    }
    points
}

/// The points (FAR, VAL) of all thresholds, from (0, 0) to (1, 1).
pub(super) fn roc(sorted: &[Pair]) -> Vec<(f64, f64)> {
    let same = sorted.iter().filter(|pair| pair.same).count() as f64;
    let different = sorted.len() as f64 - same;
    let (mut accepted_same, mut accepted_different) = (0, 0);
    let mut curve = vec![(0.0, 0.0)];
    for (_, tied_same, tied_different) in groups(sorted) {
        accepted_same += tied_same;
        accepted_different += tied_different;
        curve.push((accepted_different as f64 / different, accepted_same as f64 / same));
    }
    curve
}

/// The area under the curve by trapezoids, with which a tie counts half.
pub(super) fn area_under(curve: &[(f64, f64)]) -> f64 {
    curve.windows(2).map(|ends| (ends[1].0 - ends[0].0) * (ends[1].1 + ends[0].1) / 2.0).sum()
}

/// The equal error rate: FAR where FAR = 1 − VAL on the curve.
pub(super) fn equal_error_rate(curve: &[(f64, f64)]) -> f64 {
    curve.windows(2).find_map(|ends| equal_error([ends[0], ends[1]])).unwrap_or(1.0)
}

/// The equal error rate between two points, the first of which is before it, or `None` if it is
/// after the second.
pub(super) fn equal_error(ends: [(f64, f64); 2]) -> Option<f64> {
    let [before, after] = ends.map(|(far, val)| far - (1.0 - val));
    // The excess is below 0 at the first point and not at the second, so the two differ.
    (after >= 0.0).then(|| {
        let share = -before / (after - before);
        ends[0].0 + share * (ends[1].0 - ends[0].0)
    })
}
