//! `--protocol verification`: whether two items are of one class.

use serde_json::Value;
use tercet::calibration::Calibration;
use tercet::comparison::Scores;
use tercet::verification::{Pair, RowPair, balanced_rows, facenet_accuracy, measured_pairs};
use tercet::{Distance, Labels, Verification};
use tercet_train::judgement::PAIRS_PER_FOLD;

use super::system::System;
use super::verdict::{
    Calibrated, Detail, Figure, Judgements, Quantity, Verdict, Verified, document,
};
use crate::table::count;

pub(super) fn judge(system: &System, seed: u64) -> anyhow::Result<Verdict> {
    if system.pairs.is_some() {
        return of(system, seed);
    }
    let distinct = system.distinct();
    let mut verdict = of(&distinct.system, seed)?;
    verdict.conventions.extend(distinct.convention);
    Ok(verdict)
}

fn of(system: &System, seed: u64) -> anyhow::Result<Verdict> {
    let rows: Vec<RowPair> = match &system.pairs {
        Some(pairs) => pairs
            .iter()
            .map(|pair| RowPair {
                left: pair.first,
                right: pair.second,
                same: pair.same,
                fold: pair.fold,
            })
            .collect(),
        None => balanced_rows(&system.labels, PAIRS_PER_FOLD, seed)?,
    };
    let pairs = measured_pairs(system.vectors.view(), &rows, system.metric)?;
    let judged = Verification::judge(&pairs)?;
    let calibrations = calibrations(&pairs)?;

    let mut keys = document(&judged)?;
    if let Value::Object(keys) = &mut keys {
        // The grid of thresholds of the program `facenet`, from 0 to 4, is for squared distances of
        // unit vectors.
        if system.metric.normalize && system.metric.distance == Distance::SquaredEuclidean {
            keys.insert("accuracy_facenet_grid".to_owned(), document(&facenet_accuracy(&pairs)?)?);
        }
        let qualities = calibrations.iter().map(|c| Ok((c.name.to_owned(), document(&c.quality)?)));
        let qualities: serde_json::Map<String, Value> = qualities.collect::<anyhow::Result<_>>()?;
        keys.insert("calibration".to_owned(), Value::Object(qualities));
    }
    let folds = judged.by_fold.len();
    let ci95 = judged.ci95.as_ref();
    let with = |figure: Figure, interval: Option<[f64; 2]>| match interval {
        Some(interval) => figure.within(interval),
        None => figure,
    };
    let mut figures = vec![
        with(Figure::share("accuracy", judged.accuracy.mean), ci95.map(|ci95| ci95.accuracy)),
        with(Figure::share("AUC", judged.auc), ci95.map(|ci95| ci95.auc)),
        with(Figure::share("EER", judged.eer), ci95.map(|ci95| ci95.eer)).of(Quantity::Error),
    ];
    figures.push(Figure::share("std of accuracy", judged.accuracy.std).of(Quantity::Error));
    for (far, val) in judged.val_at_far.iter().rev() {
        let interval = ci95.and_then(|ci95| ci95.val_at_far.get(far)).copied();
        figures.push(with(Figure::share(format!("VAL@FAR {far}"), val.val), interval));
    }
    figures.push(Figure::share("threshold", f64::from(judged.threshold)).of(Quantity::Distance));
    let mut conventions = vec![
        match &system.pairs {
            Some(_) => format!("{} listed pairs in {folds} folds.", count(pairs.len())),
            None => format!(
                "{} pairs, as many different as same, drawn in {folds} folds that share no class.",
                count(pairs.len())
            ),
        },
        if folds > 1 {
            "The threshold is chosen on all folds but one and applied to that one; mean ± standard deviation over the folds.".to_owned()
        } else {
            "There is one fold: the threshold is chosen on the very pairs that it is judged on, which is optimistic.".to_owned()
        },
        "A pair is accepted if its distance is strictly below the threshold; ties count half in the AUC.".to_owned(),
    ];
    if ci95.is_some() {
        conventions.push("Intervals are 95 % bootstrap intervals over the folds.".to_owned());
    }
    let scores = Judgements {
        by_figure: vec![("accuracy", rightly(&judged, &pairs))],
        classes: rows.iter().map(|pair| system.class(pair.left)).collect::<Labels>(),
    };
    Ok(Verdict {
        document: keys,
        figures,
        conventions,
        scores: Some(scores),
        detail: Detail::Verification(Box::new(Verified { judged, pairs, calibrations })),
    })
}

/// Whether each pair is classified correctly at the threshold of its fold.
fn rightly(judged: &Verification, pairs: &[Pair]) -> Scores {
    let threshold = |fold: u32| {
        let of_fold = judged.by_fold.iter().find(|judgement| judgement.fold == fold);
        of_fold.map_or(judged.threshold, |judgement| judgement.threshold)
    };
    let right = |pair: &Pair| f64::from((pair.distance < threshold(pair.fold)) == pair.same);
    (0..).zip(pairs.iter().map(right)).collect()
}

/// Calibrations that are fitted on every second fold and evaluated on the others; empty if there
/// are too few pairs.
fn calibrations(pairs: &[Pair]) -> anyhow::Result<Vec<Calibrated>> {
    let mut folds: Vec<u32> = pairs.iter().map(|pair| pair.fold).collect();
    folds.sort_unstable();
    folds.dedup();
    let is_learnt =
        |pair: &&Pair| folds.binary_search(&pair.fold).is_ok_and(|place| place % 2 == 0);
    let (learnt, others): (Vec<&Pair>, Vec<&Pair>) = pairs.iter().partition(is_learnt);
    let owned = |pairs: Vec<&Pair>| -> Vec<Pair> { pairs.into_iter().copied().collect() };
    let (learnt, others) = (owned(learnt), owned(others));
    let mut calibrated = Vec::new();
    for (name, fit) in [
        ("isotonic", Calibration::isotonic as fn(&[Pair]) -> Result<Calibration, tercet::Error>),
        ("logistic", Calibration::logistic),
    ] {
        match fit(&learnt) {
            Err(tercet::Error::NotEnough { .. }) => {}
            Err(error) => return Err(error.into()),
            Ok(_) if others.is_empty() => {}
            Ok(calibration) => {
                let quality = calibration.quality(&others)?;
                calibrated.push(Calibrated { name, calibration, quality });
            }
        }
    }
    Ok(calibrated)
}
