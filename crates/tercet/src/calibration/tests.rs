//! Tests of calibrations: optima, degenerate pairs, and thresholds.

use proptest::prelude::*;

use super::*;

fn pairs(of: &[(f32, bool)]) -> Vec<Pair> {
    of.iter().map(|&(distance, same)| Pair { distance, same, fold: 0 }).collect()
}

/// Each of the pairs, repeated.
fn repeated(of: &[(f32, bool)], times: usize) -> Vec<Pair> {
    pairs(&of.repeat(times))
}

#[test]
fn pools_of_a_worked_example() {
    // The shares of same pairs at distances 1, 2, 3 and 4 are 1, 0, 1 and 0, so 2 and 3 are pooled
    // to ½.
    let learnt = repeated(&[(1.0, true), (2.0, false), (3.0, true), (4.0, false)], 10);
    let isotonic = Calibration::isotonic(&learnt).unwrap();
    let at = [0.0, 1.0, 1.5, 2.0, 2.7, 3.5, 4.0, 9.0].map(|d| isotonic.probability(d));
    assert_eq!(at, [1.0, 1.0, 0.75, 0.5, 0.5, 0.25, 0.0, 0.0]);
    assert_eq!(isotonic.distance(0.75), Some(1.5));
    assert_eq!(isotonic.distance(0.5), Some(3.0));
    assert_eq!(isotonic.distance(0.0), Some(f32::MAX));
    assert_eq!(isotonic.distance(1.1), None);
}

#[test]
fn a_sigmoid_is_found_again() {
    // At each distance, the share of same pairs among 1,000 is that of the sigmoid.
    let truth = Logistic { slope: 3.0, intercept: -4.0 };
    let mut learnt = Vec::new();
    for step in 0..30 {
        let distance = step as f32 / 10.0;
        let same = (truth.probability(distance) * 1_000.0).round() as usize;
        learnt.extend((0..1_000).map(|n| Pair { distance, same: n < same, fold: 0 }));
    }
    let Calibration::Logistic(found) = Calibration::logistic(&learnt).unwrap() else { panic!() };
    assert!((found.slope - 3.0).abs() < 0.02 && (found.intercept + 4.0).abs() < 0.02, "{found:?}");
    let half = found.distance(0.5).unwrap();
    assert!((found.probability(half) - 0.5).abs() < 1e-6);
}

#[test]
fn perfect_separation_stays_finite() {
    let learnt = repeated(&[(1.0, true), (2.0, false)], 20);
    let logistic = Calibration::logistic(&learnt).unwrap();
    // The optimum is the assumed truth: 21/22 and 1/22.
    assert!((logistic.probability(1.0) - 21.0 / 22.0).abs() < 1e-9);
    assert!((logistic.probability(2.0) - 1.0 / 22.0).abs() < 1e-9);
    let isotonic = Calibration::isotonic(&learnt).unwrap();
    let quality = isotonic.quality(&learnt).unwrap();
    assert_eq!((quality.brier, quality.calibration_error), (0.0, 0.0));
    assert!(quality.log_loss < 1e-12);
}

#[test]
fn equal_distances_have_the_share_of_same_pairs() {
    let learnt = repeated(&[(1.0, true), (1.0, false), (1.0, false)], 10);
    let isotonic = Calibration::isotonic(&learnt).unwrap();
    assert!((isotonic.probability(7.0) - 1.0 / 3.0).abs() < 1e-12);
    let logistic = Calibration::logistic(&learnt).unwrap();
    assert!((logistic.probability(1.0) - 1.0 / 3.0).abs() < 0.02);
    assert!(logistic.probability(1e30).is_finite());
}

#[test]
fn quality_of_a_worked_example() {
    let even = Calibration::Logistic(Logistic { slope: 0.0, intercept: 0.0 });
    let quality = even.quality(&pairs(&[(1.0, true), (2.0, true), (3.0, false), (4.0, true)]));
    let quality = quality.unwrap();
    assert_eq!((quality.pairs, quality.brier, quality.calibration_error), (4, 0.25, 0.25));
    assert!((quality.log_loss - 2.0_f64.ln()).abs() < 1e-12);
    assert_eq!(quality.reliability, [ReliabilityBin { pairs: 4, predicted: 0.5, observed: 0.75 }]);
    assert!(even.quality(&[]).is_err());
    assert_eq!((even.distance(0.4), even.distance(0.6)), (Some(f32::MAX), None));
}

#[test]
fn too_few_pairs_are_refused() {
    let few = repeated(&[(1.0, true), (2.0, false)], 9);
    for refused in [Calibration::isotonic(&few), Calibration::logistic(&few)] {
        assert_eq!(
            refused.unwrap_err().to_string(),
            "a calibration needs 10 same and 10 different pairs, got 9 same and 9 different"
        );
    }
}

#[test]
fn files_carry_calibrations_and_are_checked() {
    let learnt = repeated(&[(1.0, true), (2.0, false), (3.0, true), (4.0, false)], 10);
    for made in [Calibration::isotonic(&learnt), Calibration::logistic(&learnt)] {
        let made = made.unwrap();
        let text = serde_json::to_string(&made).unwrap();
        assert_eq!(serde_json::from_str::<Calibration>(&text).unwrap(), made);
    }
    for knots in [
        r#"{"kind":"isotonic","distances":[],"probabilities":[]}"#,
        r#"{"kind":"isotonic","distances":[1.0],"probabilities":[]}"#,
        r#"{"kind":"isotonic","distances":[2.0,1.0],"probabilities":[1.0,0.0]}"#,
        r#"{"kind":"isotonic","distances":[1.0,2.0],"probabilities":[0.0,1.0]}"#,
        r#"{"kind":"isotonic","distances":[1.0],"probabilities":[1.5]}"#,
    ] {
        assert!(serde_json::from_str::<Calibration>(knots).is_err(), "{knots}");
    }
}

proptest! {
    /// The least squares among non-increasing functions: max–min of the means of intervals.
    #[test]
    fn pools_are_the_least_squares(
        of in prop::collection::vec((0_u8..8, any::<bool>()), 1..30),
    ) {
        let of: Vec<(f32, bool)> = of.into_iter().map(|(d, same)| (d.into(), same)).collect();
        let mut learnt = pairs(&of);
        learnt.sort_by(|x, y| x.distance.total_cmp(&y.distance));
        let isotonic = Isotonic::fit(&learnt);
        let share = |from: f32, to: f32| {
            let within = learnt.iter().filter(|p| from <= p.distance && p.distance <= to);
            let same = within.clone().filter(|pair| pair.same).count();
            let count = within.count();
            (count > 0).then(|| same as f64 / count as f64)
        };
        for &(at, _) in &of {
            let least_up_to = |to: f32| {
                let froms = of.iter().filter(|o| o.0 <= at).filter_map(|o| share(o.0, to));
                froms.fold(f64::INFINITY, f64::min)
            };
            let tos = of.iter().filter(|o| o.0 >= at).map(|o| o.0);
            let expected = tos.map(least_up_to).fold(0.0, f64::max);
            prop_assert!((isotonic.probability(at) - expected).abs() < 1e-12);
        }
    }

    #[test]
    fn probabilities_never_rise_with_distance(
        of in prop::collection::vec((0_u8..20, any::<bool>()), 1..60),
    ) {
        let mut learnt = repeated(&[(3.0, true), (9.0, false)], 10);
        learnt.extend(pairs(&of.iter().map(|o| (o.0.into(), o.1)).collect::<Vec<_>>()));
        let isotonic = Calibration::isotonic(&learnt).unwrap();
        let at: Vec<f64> = (0..80).map(|d| isotonic.probability(d as f32 / 4.0)).collect();
        prop_assert!(at.is_sorted_by(|x, y| x >= y));
        for p in &at {
            prop_assert!(isotonic.distance(*p).is_some_and(|d| isotonic.probability(d) >= p - 1e-6));
        }
    }
}
