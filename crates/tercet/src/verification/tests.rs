//! Tests of verification: accuracy, rates, thresholds, and intervals over folds.

use proptest::prelude::*;

use super::*;

fn pairs(same: &[f32], different: &[f32]) -> Vec<Pair> {
    let of = |same: bool| {
        move |(n, &distance): (usize, &f32)| Pair { distance, same, fold: (n % 2) as u32 }
    };
    let same = same.iter().enumerate().map(of(true));
    same.chain(different.iter().enumerate().map(of(false))).collect()
}

fn one_fold(mut pairs: Vec<Pair>) -> Vec<Pair> {
    pairs.iter_mut().for_each(|pair| pair.fold = 7);
    pairs
}

fn close(got: f64, expected: f64) -> bool {
    (got - expected).abs() < 1e-12
}

#[test]
fn a_perfect_separation_is_perfect_everywhere() {
    let judged = Verification::judge(&pairs(&[0.1, 0.2, 0.3, 0.4], &[0.7, 0.9, 1.1, 1.3]));
    let judged = judged.unwrap();
    assert_eq!(judged.accuracy, Accuracy { mean: 1.0, std: 0.0 });
    assert_eq!((judged.pairs, judged.auc, judged.eer), (8, 1.0, 0.0));
    assert!((judged.threshold - 0.55).abs() < 1e-6);
    for (target, at) in &judged.val_at_far {
        assert_eq!(at.val, 1.0, "at {target}");
    }
    // The threshold of fold 0 is .9, the smallest different pair of fold 1, so its own at .7 is
    // accepted.
    assert_eq!(judged.val_at_far["0.001"].far, 0.25);
}

#[test]
fn a_worked_example_with_one_fold() {
    // By distance: same 1, different 2, same 3 and different 3, same 4, different 5.
    let judged = Verification::judge(&one_fold(pairs(&[1.0, 3.0, 4.0], &[2.0, 3.0, 5.0])));
    let judged = judged.unwrap();
    // At 1.5 one same pair and all different pairs are correct; at 4.5 no more than that.
    assert_eq!(judged.threshold, 1.5);
    assert!(close(judged.accuracy.mean, 4.0 / 6.0));
    assert_eq!(judged.accuracy.std, 0.0);
    // Same–different pairs in the right order: 3 with the 1, 1.5 with the 3, 1 with the 4, of 9.
    assert!(close(judged.auc, 5.5 / 9.0));
    // From (1/3, 1/3) to (2/3, 2/3) the curve crosses FAR = 1 − VAL halfway.
    assert!(close(judged.eer, 0.5));
    let at = judged.val_at_far["0.1"];
    assert!(close(at.val, 1.0 / 3.0));
    assert_eq!((at.std, at.far), (0.0, 0.0));
}

#[test]
fn each_fold_is_judged_at_the_others_threshold() {
    let pair = |distance, same, fold| Pair { distance, same, fold };
    let judged = Verification::judge(&[
        pair(1.0, true, 0),
        pair(2.0, false, 0),
        pair(3.0, true, 1),
        pair(5.0, false, 1),
    ])
    .unwrap();
    // The threshold of fold 0 is 4, where its different pair is accepted; that of fold 1 is 1.5,
    // where none is.
    assert_eq!(judged.accuracy, Accuracy { mean: 0.5, std: 0.0 });
    let at = judged.val_at_far["0.01"];
    assert_eq!(at, ValAtFar { val: 0.5, std: 0.5, far: 0.5 });
    assert_eq!(judged.threshold, 1.5);
}

#[test]
fn all_ties_are_chance() {
    let judged = Verification::judge(&pairs(&[0.7; 4], &[0.7; 4])).unwrap();
    assert_eq!((judged.auc, judged.eer), (0.5, 0.5));
    assert_eq!(judged.accuracy.mean, 0.5);
    assert_eq!(judged.threshold, 0.7);
    assert_eq!(judged.val_at_far["0.1"], ValAtFar { val: 0.0, std: 0.0, far: 0.0 });
}

#[test]
fn more_same_than_different_pairs_may_be_best_all_accepted() {
    let judged = Verification::judge(&one_fold(pairs(&[1.0, 2.0, 9.0], &[8.0]))).unwrap();
    assert_eq!(judged.threshold, 5.0);
    let judged = Verification::judge(&one_fold(pairs(&[5.0, 9.0, 9.0], &[1.0]))).unwrap();
    assert_eq!(judged.threshold, 9.0_f32.next_up());
}

#[test]
fn one_sided_folds_are_still_judged() {
    let pair = |distance, same, fold| Pair { distance, same, fold };
    let judged = Verification::judge(&[pair(1.0, true, 0), pair(2.0, false, 1)]).unwrap();
    assert_eq!(judged.val_at_far["0.1"], ValAtFar { val: 1.0, std: 0.0, far: 0.0 });
}

#[test]
fn thresholds_at_far_count_what_they_accept() {
    let hundred: Vec<f32> = (0..100).map(|n| n as f32).collect();
    let pairs = pairs(&[500.0], &hundred);
    assert_eq!(threshold_at_far(&pairs, 0.29), Ok(29.0));
    assert_eq!(threshold_at_far(&pairs, 0.299), Ok(29.0));
    assert_eq!(threshold_at_far(&pairs, 0.0), Ok(0.0));
    assert_eq!(threshold_at_far(&pairs, 1.0), Ok(500.0_f32.next_up()));
    assert!(threshold_at_far(&pairs, 1.5).is_err());
    assert!(threshold_at_far(&pairs, f64::NAN).is_err());
    assert!(threshold_at_far(&pairs[..1], 0.1).is_err());
}

#[test]
fn neighbours_in_f32_still_have_a_threshold_between() {
    let (low, high) = (1.0_f32, 1.0_f32.next_up());
    let judged = Verification::judge(&one_fold(pairs(&[low], &[high]))).unwrap();
    assert_eq!(judged.threshold, high);
    assert_eq!(judged.accuracy.mean, 1.0);
}

#[test]
fn unusable_pairs_are_refused() {
    let message = |pairs: &[Pair]| Verification::judge(pairs).unwrap_err().to_string();
    assert_eq!(
        message(&[]),
        "verification needs same pairs and different pairs, got 0 same and 0 different"
    );
    assert_eq!(
        message(&pairs(&[1.0, 2.0], &[])),
        "verification needs same pairs and different pairs, got 2 same and 0 different"
    );
    assert!(Verification::judge(&pairs(&[], &[1.0])).is_err());
    assert_eq!(
        message(&pairs(&[1.0], &[f32::NAN])),
        "distance is NaN at pair 1: expected finite numbers"
    );
}

#[test]
fn keys_are_those_of_the_contract() {
    let judged = Verification::judge(&one_fold(pairs(&[1.0], &[2.0]))).unwrap();
    let at = r#"{"val":1.0,"std":0.0,"far":0.0}"#;
    let start = r#"{"pairs":2,"accuracy":{"mean":1.0,"std":0.0},"auc":1.0,"eer":0.0,"#.to_owned()
        + &format!(r#""threshold":1.5,"val_at_far":{{"0.001":{at},"0.01":{at},"0.1":{at}}}"#);
    let json = serde_json::to_string(&judged).unwrap();
    assert!(json.starts_with(&start), "{json}");
    assert!(json.contains(r#""fnmr_at_fmr":{"0.001":{"fnmr":0.0,"fmr":0.0,"threshold":2.0}"#));
    assert!(!json.contains("ci95"));
}

#[test]
fn rates_are_chosen_and_curves_are_thin() {
    let same: Vec<f32> = (0..2_000).map(|n| n as f32).collect();
    let different: Vec<f32> = (0..20_000).map(|n| 500.0 + n as f32 / 4.0).collect();
    let judged = Verification::judge_at(&pairs(&same, &different), &[0.5, 1e-5]).unwrap();
    assert_eq!(judged.val_at_far.keys().collect::<Vec<_>>(), ["0.00001", "0.5"]);
    let strict = judged.fnmr_at_fmr["0.00001"];
    assert_eq!(strict, FnmrAtFmr { fnmr: 0.75, fmr: 0.0, threshold: 500.0 });
    assert!(judged.roc.len() < 1_000, "{}", judged.roc.len());
    let ends = [judged.roc[0], judged.roc[judged.roc.len() - 1]];
    assert_eq!(ends.map(|point| (point.far, point.val)), [(0.0, 0.0), (1.0, 1.0)]);
    let all = pairs(&same, &different);
    for point in &judged.roc {
        let accepted = all.iter().filter(|p| p.same && p.distance < point.threshold).count();
        assert!(close(point.val, accepted as f64 / 2_000.0), "{point:?}");
    }
    assert!(Verification::judge_at(&all, &[-0.1]).is_err());
}

#[test]
fn folds_are_what_intervals_vary() {
    // Three folds that are perfect, one that is wrong throughout.
    let pair = |distance, same, fold| Pair { distance, same, fold };
    let good = (0..3).flat_map(|fold| [pair(1.0, true, fold), pair(2.0, false, fold)]);
    let all: Vec<Pair> = good.chain([pair(2.0, true, 3), pair(1.0, false, 3)]).collect();
    let judged = Verification::judge(&all).unwrap();
    let accuracies: Vec<f64> = judged.by_fold.iter().map(|fold| fold.accuracy).collect();
    assert_eq!(accuracies, [1.0, 1.0, 1.0, 0.0]);
    let ci95 = judged.ci95.unwrap();
    // All four draws are the bad fold in one of 256 resamples; none is in a third of them.
    assert_eq!(ci95.accuracy, [0.25, 1.0]);
    assert!(ci95.auc[0] < 0.5 && ci95.auc[1] == 1.0);
    assert!(ci95.eer[0] == 0.0 && ci95.eer[1] > 0.5);
    let same = Verification::judge(&pairs(&[1.0, 1.0], &[2.0, 2.0])).unwrap().ci95.unwrap();
    assert_eq!((same.auc, same.eer, same.val_at_far["0.1"]), ([1.0; 2], [0.0; 2], [1.0; 2]));
}

#[test]
fn facenet_looks_at_hundredths_only() {
    let exact = one_fold(pairs(&[1.001, 1.002], &[1.003, 1.004]));
    assert_eq!(Verification::judge(&exact).unwrap().accuracy.mean, 1.0);
    assert_eq!(facenet_accuracy(&exact), Ok(Accuracy { mean: 0.5, std: 0.0 }));
    let coarse = pairs(&[0.5, 0.5], &[0.9, 1.0]);
    assert_eq!(facenet_accuracy(&coarse), Ok(Accuracy { mean: 1.0, std: 0.0 }));
    assert!(facenet_accuracy(&[]).is_err());
}

proptest! {
    #[test]
    fn figures_agree_with_their_definitions(
        same in prop::collection::vec(0_u8..8, 1..20),
        different in prop::collection::vec(0_u8..8, 1..20),
    ) {
        let floats = |values: &[u8]| -> Vec<f32> { values.iter().map(|&v| v.into()).collect() };
        let all = one_fold(pairs(&floats(&same), &floats(&different)));
        let judged = Verification::judge(&all).unwrap();
        let mut wins = 0.0;
        for s in &same {
            for d in &different {
                wins += if s < d { 1.0 } else if s == d { 0.5 } else { 0.0 };
            }
        }
        prop_assert!(close(judged.auc, wins / (same.len() * different.len()) as f64));
        let right = |threshold: f32| {
            all.iter().filter(|p| (p.distance < threshold) == p.same).count()
        };
        let most = (0..18).map(|half| right(half as f32 / 2.0)).max().unwrap();
        prop_assert_eq!(right(judged.threshold), most);
        prop_assert!((0.0..=1.0).contains(&judged.eer));
        let vals: Vec<f64> = judged.val_at_far.values().map(|at| at.val).collect();
        prop_assert!(vals.is_sorted());
        for at in judged.val_at_far.iter() {
            prop_assert!(at.1.far <= at.0.parse::<f64>().unwrap());
        }
    }
}
