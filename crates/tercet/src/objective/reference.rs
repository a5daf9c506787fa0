//! The definitions, in f64 and triplet by triplet: what the objectives are tested against.

use super::{Penalty, Reduction, Selection, TripletLoss};
use crate::distance::reference::distance_f64;

pub(super) struct Reference {
    pub(super) value: f64,
    pub(super) triplets: u64,
    pub(super) selected: u64,
    pub(super) active: u64,
    pub(super) violated: u64,
}

pub(super) fn evaluate(loss: &TripletLoss, vectors: &[Vec<f64>], classes: &[u32]) -> Reference {
    let points: Vec<Vec<f64>> = vectors
        .iter()
        .map(|v| {
            let norm = v.iter().map(|x| x * x).sum::<f64>().sqrt();
            let scale = if loss.metric.on_sphere() && norm > 0.0 { 1.0 / norm } else { 1.0 };
            v.iter().map(|x| x * scale).collect()
        })
        .collect();
    let d = |i: usize, j: usize| distance_f64(loss.metric.distance, &points[i], &points[j]);
    let margin = f64::from(loss.penalty.margin());
    let n = points.len();
    let lowest = |best: Option<usize>, better: bool, j: usize| {
        if best.is_none() || better { Some(j) } else { best }
    };

    let (mut triplets, mut anchors) = (0, 0);
    let mut selected = Vec::new();
    for a in 0..n {
        let positives: Vec<usize> =
            (0..n).filter(|&p| p != a && classes[p] == classes[a]).collect();
        let negatives: Vec<usize> = (0..n).filter(|&j| classes[j] != classes[a]).collect();
        triplets += (positives.len() * negatives.len()) as u64;
        if positives.is_empty() || negatives.is_empty() {
            continue;
        }
        anchors += 1;
        match loss.selection {
            Selection::All => {
                for &p in &positives {
                    selected.extend(negatives.iter().map(|&j| (d(a, p), d(a, j))));
                }
            }
            Selection::Hard => {
                let p = positives.iter().fold(None, |best: Option<usize>, &p| {
                    lowest(best, best.is_some_and(|b| d(a, p) > d(a, b)), p)
                });
                let j = negatives.iter().fold(None, |best: Option<usize>, &j| {
                    lowest(best, best.is_some_and(|b| d(a, j) < d(a, b)), j)
                });
                selected.push((d(a, p.unwrap()), d(a, j.unwrap())));
            }
            Selection::SemiHard => {
                for &p in &positives {
                    let band = negatives
                        .iter()
                        .filter(|&&j| d(a, p) < d(a, j) && d(a, j) < d(a, p) + margin)
                        .fold(None, |best: Option<usize>, &j| {
                            lowest(best, best.is_some_and(|b| d(a, j) < d(a, b)), j)
                        });
                    selected.extend(band.map(|j| (d(a, p), d(a, j))));
                }
            }
        }
    }

    let penalty = |(ap, an): &(f64, f64)| {
        let excess = ap - an + margin;
        match loss.penalty {
            Penalty::Hinge { .. } => excess.max(0.0),
            Penalty::SquaredHinge { .. } => excess.max(0.0).powi(2),
            Penalty::Soft { .. } => excess.max(0.0) + (-excess.abs()).exp().ln_1p(),
        }
    };
    let threshold = if matches!(loss.penalty, Penalty::Soft { .. }) { 1e-5 } else { 0.0 };
    let count = selected.len() as u64;
    let active = selected.iter().filter(|t| penalty(t) > threshold).count() as u64;
    let positive = selected.iter().filter(|t| penalty(t) > 0.0).count() as u64;
    let sum: f64 = selected.iter().map(penalty).sum();
    let divisor = match loss.reduction {
        Reduction::Mean => count,
        Reduction::MeanActive => positive,
        Reduction::MeanAnchors => anchors,
        Reduction::Sum => 1,
    };
    Reference {
        value: if divisor == 0 { 0.0 } else { sum / divisor as f64 },
        triplets,
        selected: count,
        active,
        violated: selected.iter().filter(|(ap, an)| an <= ap).count() as u64,
    }
}

/// ∂value/∂vectors by central differences.
pub(super) fn differences(
    loss: &TripletLoss,
    vectors: &[Vec<f64>],
    classes: &[u32],
) -> Vec<Vec<f64>> {
    const STEP: f64 = 1e-6;
    let mut moved = vectors.to_vec();
    let mut gradient = vectors.to_vec();
    for i in 0..vectors.len() {
        for k in 0..vectors[i].len() {
            let mut at = |offset: f64| {
                moved[i][k] = vectors[i][k] + offset;
                evaluate(loss, &moved, classes).value
            };
            gradient[i][k] = (at(STEP) - at(-STEP)) / (2.0 * STEP);
            moved[i][k] = vectors[i][k];
        }
    }
    gradient
}
