//! The charts that compare systems: ROC, CMC, precision and recall, calibration.

use super::Figure;
use super::lines::{Line, Plot, Reading, Ring};
use crate::evaluation::{Calibration, Curve, RankCurve, RocCurve};
use crate::number::{grouped, percent, rate, significant};
use crate::scale::{Axis, Base, Unit};

/// How many ranks of a CMC curve are drawn.
const RANKS: usize = 50;

/// ROC: validation rate by false accept rate on a logarithmic axis, with dots at the target rates.
pub(crate) fn roc(systems: &[RocCurve]) -> Option<Figure> {
    let rings: Vec<Ring> = systems
        .iter()
        .enumerate()
        .flat_map(|(system, curve)| {
            let targets = curve.targets.iter().filter(|(far, _)| *far > 0.0);
            targets.map(move |(far, val)| Ring { system, x: *far, y: *val })
        })
        .collect();
    let rates = systems.iter().flat_map(|curve| &curve.points).map(|(far, _)| *far);
    let x = Axis::of_rates(rates.chain(rings.iter().map(|ring| ring.x)));
    // The legend shows the strictest target, or the middle of the axis.
    let strictest = rings.iter().map(|ring| ring.x).reduce(f64::min);
    Plot {
        heading: "ROC: true accepts by false accepts",
        across: "false accept rate",
        rest: strictest.unwrap_or_else(|| x.value_at(0.5)),
        x,
        base: Base::WholeShare,
        lines: systems
            .iter()
            .map(|curve| Line { name: &curve.name, points: curve.points.clone() })
            .collect(),
        reading: Reading::Steps,
        caption: if rings.is_empty() { "" } else { "Dots: the rates at target FARs." }.into(),
        rings,
        diagonal: false,
        place: |far| format!("FAR {}", rate(far)),
    }
    .figure()
}

/// CMC: the share of queries with a right match within the first ranks.
pub(crate) fn cmc(systems: &[RankCurve]) -> Option<Figure> {
    let ranks = systems.iter().map(|curve| curve.rates.len()).max()?.clamp(2, RANKS);
    Plot {
        heading: "CMC: right match within the first ranks",
        across: "rank",
        x: Axis::exact([1.0, ranks as f64].into_iter(), Unit::Steps),
        base: Base::Free,
        lines: systems
            .iter()
            .map(|curve| Line {
                name: &curve.name,
                points: curve
                    .rates
                    .iter()
                    .take(RANKS)
                    .enumerate()
                    .map(|(index, share)| ((index + 1) as f64, *share))
                    .collect(),
            })
            .collect(),
        reading: Reading::Whole,
        rings: Vec::new(),
        diagonal: false,
        rest: 1.0,
        place: |rank| format!("rank {rank:.0}"),
        caption: String::new(),
    }
    .figure()
}

/// Precision by recall.
pub(crate) fn precision_recall(systems: &[Curve]) -> Option<Figure> {
    Plot {
        heading: "Precision by recall",
        across: "recall",
        x: Axis::of_values([0.0, 1.0].into_iter(), Unit::Share, Base::WholeShare),
        base: Base::WholeShare,
        lines: lines(systems.iter().map(|curve| (&curve.name, &curve.points))),
        reading: Reading::Straight,
        rings: Vec::new(),
        diagonal: false,
        rest: 0.5,
        place: |recall| format!("recall {} %", percent(recall)),
        caption: String::new(),
    }
    .figure()
}

/// The calibrated probability as a function of the distance.
pub(crate) fn probability(systems: &[Calibration]) -> Option<Figure> {
    let distances = systems.iter().flat_map(|system| &system.probability).map(|(at, _)| *at);
    let x = Axis::exact(distances, Unit::Plain);
    Plot {
        heading: "Probability of one class by distance",
        across: "distance",
        rest: x.value_at(0.5),
        x,
        base: Base::WholeShare,
        lines: lines(systems.iter().map(|system| (&system.name, &system.probability))),
        reading: Reading::Straight,
        rings: Vec::new(),
        diagonal: false,
        place: |distance| format!("distance {}", significant(distance)),
        caption: String::new(),
    }
    .figure()
}

/// Reliability: the observed share by the predicted probability.
pub(crate) fn reliability(systems: &[Calibration]) -> Option<Figure> {
    let groups = |system: &Calibration| -> Vec<(f64, f64)> {
        let counted = system.reliability.iter().filter(|group| group.pairs > 0);
        counted.map(|group| (group.foretold, group.observed)).collect()
    };
    let rings = systems.iter().enumerate().flat_map(|(system, calibration)| {
        groups(calibration).into_iter().map(move |(x, y)| Ring { system, x, y })
    });
    let pairs: u64 =
        systems.iter().flat_map(|system| &system.reliability).map(|group| group.pairs).sum();
    Plot {
        heading: "Do the probabilities hold?",
        across: "probability foretold",
        x: Axis::of_values([0.0, 1.0].into_iter(), Unit::Share, Base::WholeShare),
        base: Base::WholeShare,
        rings: rings.collect(),
        lines: systems
            .iter()
            .map(|system| Line { name: &system.name, points: groups(system) })
            .collect(),
        reading: Reading::Straight,
        diagonal: true,
        rest: 0.5,
        place: |foretold| format!("foretold {} %", percent(foretold)),
        caption: format!(
            "Share of one class that was observed, over {} pairs. On the thin line the two agree.",
            grouped(pairs as f64)
        ),
    }
    .figure()
}

fn lines<'report>(
    named: impl Iterator<Item = (&'report String, &'report Vec<(f64, f64)>)>,
) -> Vec<Line<'report>> {
    named.map(|(name, points)| Line { name, points: points.clone() }).collect()
}
