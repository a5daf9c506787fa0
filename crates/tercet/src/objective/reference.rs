//! The definitions of all objectives, triplet by triplet in f64. Tests and the fuzzer compare the
//! engines with them.

#![allow(missing_docs, clippy::unwrap_used)] // for tests only

use rand::RngExt;

use super::choose::{Purpose, distance_weighted, random, stream};
use super::rule::{
    Lifted, MultiSimilarity, Penalty, Reduction, Selection, SupervisedContrastive, TripletLoss,
};
use crate::distance::reference::distance_f64;
use crate::{Distance, Metric};

#[derive(Debug)]
pub struct Reference {
    pub value: f64,
    pub triplets: u64,
    pub selected: u64,
    pub active: u64,
    pub violated: u64,
    pub filtered: u64,
}

/// The cosine similarity of two vectors, 0 with a vector of length 0.
fn similarity(x: &[f64], y: &[f64]) -> f64 {
    let dot = |x: &[f64], y: &[f64]| x.iter().zip(y).map(|(x, y)| x * y).sum::<f64>();
    let norms = (dot(x, x) * dot(y, y)).sqrt();
    if norms > 0.0 { dot(x, y) / norms } else { 0.0 }
}

/// The negatives that are left with a positive: those whose similarity to the anchor is at most
/// `share` of the positive's.
fn remaining(
    share: Option<f64>,
    vectors: &[Vec<f64>],
    anchor: usize,
    positive: usize,
    negatives: &[usize],
) -> Vec<usize> {
    let own = similarity(&vectors[anchor], &vectors[positive]);
    let keeps = |&j: &usize| {
        share.is_none_or(|share| similarity(&vectors[anchor], &vectors[j]) <= share * own)
    };
    negatives.iter().copied().filter(keeps).collect()
}

/// The distances of all pairs.
fn distances(metric: Metric, vectors: &[Vec<f64>]) -> Vec<Vec<f64>> {
    let points: Vec<Vec<f64>> = vectors
        .iter()
        .map(|v| {
            let norm = v.iter().map(|x| x * x).sum::<f64>().sqrt();
            let scale = if metric.on_sphere() && norm > 0.0 { 1.0 / norm } else { 1.0 };
            v.iter().map(|x| x * scale).collect()
        })
        .collect();
    let from = |x: &Vec<f64>| points.iter().map(|y| distance_f64(metric.distance, x, y)).collect();
    points.iter().map(from).collect()
}

/// The first item that no other item beats.
fn first_best(items: &[usize], beats: impl Fn(usize, usize) -> bool) -> Option<usize> {
    items.iter().copied().find(|&x| !items.iter().any(|&y| beats(y, x)))
}

/// The items in rising order of `key`; items with equal keys keep their order.
fn ranked(items: &[usize], key: impl Fn(usize) -> f64) -> Vec<usize> {
    let mut items = items.to_vec();
    items.sort_by(|&x, &y| key(x).total_cmp(&key(y)));
    items
}

/// Positives and negatives of an anchor, in rising order.
fn sides(a: usize, classes: &[u32]) -> (Vec<usize>, Vec<usize>) {
    let items = 0..classes.len();
    (
        items.clone().filter(|&p| p != a && classes[p] == classes[a]).collect(),
        items.filter(|&j| classes[j] != classes[a]).collect(),
    )
}

/// The triplets that the selection takes for the first `anchors` items, of negatives that are at
/// most `share` as similar as the positive.
pub fn select(
    loss: &TripletLoss,
    vectors: &[Vec<f64>],
    classes: &[u32],
    anchors: usize,
    share: Option<f64>,
) -> Vec<[usize; 3]> {
    let distances = distances(loss.metric, vectors);
    let margin = f64::from(loss.penalty.margin());
    let mut selected = Vec::new();
    for (a, d) in distances.iter().enumerate().take(anchors) {
        let (positives, negatives) = sides(a, classes);
        if positives.is_empty() || negatives.is_empty() {
            continue;
        }
        let farther = |x: usize, y: usize| d[x] > d[y];
        let nearer = |x: usize, y: usize| d[x] < d[y];
        let left = |p: usize| remaining(share, vectors, a, p, &negatives);
        let above = |p: usize| -> Option<usize> {
            let above: Vec<usize> = left(p).into_iter().filter(|&j| d[j] > d[p]).collect();
            first_best(&above, nearer)
        };
        match loss.selection {
            Selection::All => {
                for &p in &positives {
                    selected.extend(left(p).into_iter().map(|j| [a, p, j]));
                }
            }
            Selection::Hard => {
                let p = first_best(&positives, farther).unwrap();
                selected.extend(first_best(&left(p), nearer).map(|j| [a, p, j]));
            }
            Selection::SemiHard => {
                for &p in &positives {
                    let band = above(p).filter(|&j| d[j] < d[p] + margin);
                    selected.extend(band.map(|j| [a, p, j]));
                }
            }
            Selection::SemiHardAll => {
                for &p in &positives {
                    let band = |&j: &usize| d[p] < d[j] && d[j] <= d[p] + margin;
                    selected.extend(left(p).into_iter().filter(band).map(|j| [a, p, j]));
                }
            }
            Selection::SemiHardFallback => {
                for &p in &positives {
                    let j = above(p).or_else(|| first_best(&left(p), farther));
                    selected.extend(j.map(|j| [a, p, j]));
                }
            }
            Selection::ViolatingRandom { seed } => {
                for &p in positives.iter().filter(|&&p| p > a) {
                    let mut violators = ranked(&left(p), |j| d[j]);
                    violators.retain(|&j| d[j] - d[p] < margin);
                    if !violators.is_empty() {
                        let purpose = Purpose::ViolatingRandom;
                        let mut draws = stream(seed, purpose, a as u32, Some(p as u32));
                        selected.push([a, p, violators[draws.random_range(0..violators.len())]]);
                    }
                }
            }
            Selection::EasyPositive => {
                let p = first_best(&positives, nearer).unwrap();
                selected.extend(first_best(&left(p), nearer).map(|j| [a, p, j]));
            }
            Selection::EasyPositiveSemiHard => {
                let p = first_best(&positives, nearer).unwrap();
                selected.extend(above(p).map(|j| [a, p, j]));
            }
            Selection::DistanceWeighted { cutoff, nonzero_loss_cutoff, seed } => {
                let euclidean = |j: usize| match loss.metric.distance {
                    Distance::Euclidean => d[j],
                    Distance::SquaredEuclidean => d[j].sqrt(),
                    Distance::Cosine => (2.0 * d[j]).max(0.0).sqrt(),
                };
                let limit = f64::from(nonzero_loss_cutoff);
                let near = |p: usize| -> Vec<usize> {
                    left(p).into_iter().filter(|&j| euclidean(j) < limit).collect()
                };
                let dimensions = vectors[a].len() as f64;
                let weight = |&j: &usize| {
                    let cutoff = f64::from(cutoff);
                    distance_weighted::log_weight(euclidean(j), dimensions, cutoff).exp()
                };
                for &p in positives.iter().filter(|&&p| !near(p).is_empty()) {
                    let near = near(p);
                    let total: f64 = near.iter().map(weight).sum();
                    let purpose = Purpose::DistanceWeighted;
                    let mut rest =
                        stream(seed, purpose, a as u32, Some(p as u32)).random::<f64>() * total;
                    let mut drawn = near[near.len() - 1];
                    for j in &near {
                        rest -= weight(j);
                        if rest < 0.0 {
                            drawn = *j;
                            break;
                        }
                    }
                    selected.push([a, p, drawn]);
                }
            }
            Selection::NHard { positives: by_far, negatives: by_near } => {
                let far = ranked(&positives, |p| -d[p]);
                for p in far.iter().take(by_far.to as usize).skip(by_far.from as usize) {
                    let near = ranked(&left(*p), |j| d[j]);
                    for j in near.iter().take(by_near.to as usize).skip(by_near.from as usize) {
                        selected.push([a, *p, *j]);
                    }
                }
            }
            Selection::Random { triplets, seed } => {
                let pairs: Vec<[usize; 3]> = positives
                    .iter()
                    .flat_map(|&p| left(p).into_iter().map(move |j| [a, p, j]))
                    .collect();
                let mut draws = stream(seed, Purpose::Random, a as u32, None);
                let drawn = random::distinct(&mut draws, pairs.len() as u64, u64::from(triplets));
                selected.extend(drawn.into_iter().map(|number| pairs[number as usize]));
            }
        }
    }
    selected.sort_unstable();
    selected
}

/// Evaluates a loss with all items as anchors.
pub fn evaluate(loss: &TripletLoss, vectors: &[Vec<f64>], classes: &[u32]) -> Reference {
    evaluate_anchors(loss, vectors, classes, vectors.len())
}

/// Evaluates a loss with the first `anchors` items as anchors and all items as candidates.
pub fn evaluate_anchors(
    loss: &TripletLoss,
    vectors: &[Vec<f64>],
    classes: &[u32],
    anchors: usize,
) -> Reference {
    evaluate_filtered(loss, vectors, classes, anchors, None)
}

/// As [`evaluate_anchors`], with negatives that are at most `share` as similar as the positive.
pub fn evaluate_filtered(
    loss: &TripletLoss,
    vectors: &[Vec<f64>],
    classes: &[u32],
    anchors: usize,
    share: Option<f64>,
) -> Reference {
    let d = distances(loss.metric, vectors);
    let selected: Vec<(f64, f64)> = select(loss, vectors, classes, anchors, share)
        .into_iter()
        .map(|[a, p, j]| (d[a][p], d[a][j]))
        .collect();
    let margin = f64::from(loss.penalty.margin());
    let (mut triplets, mut anchors_with_triplets, mut filtered) = (0, 0, 0);
    for a in 0..anchors {
        let (positives, negatives) = sides(a, classes);
        triplets += (positives.len() * negatives.len()) as u64;
        for &p in &positives {
            let left = remaining(share, vectors, a, p, &negatives).len();
            filtered += (negatives.len() - left) as u64;
        }
        anchors_with_triplets += u64::from(!positives.is_empty() && !negatives.is_empty());
    }
    let anchors = anchors_with_triplets;

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
        filtered,
    }
}

/// The generalised lifted structure loss of the first `anchors` items, term by term (arXiv
/// 1703.07737, eq. 7).
pub fn evaluate_lifted(
    loss: &Lifted,
    vectors: &[Vec<f64>],
    classes: &[u32],
    anchors: usize,
) -> Reference {
    let distances = distances(loss.metric, vectors);
    let margin = f64::from(loss.margin);
    evaluate_terms(&distances, classes, anchors, loss.reduction, |d, positives, negatives| {
        let pull: f64 = positives.iter().map(|&p| d[p].exp()).sum();
        let push: f64 = negatives.iter().map(|&j| (margin - d[j]).exp()).sum();
        (pull.ln() + push.ln()).max(0.0)
    })
}

/// The multi-similarity loss (arXiv 1904.06627, eq. 15), term by term.
pub fn evaluate_multi_similarity(
    loss: &MultiSimilarity,
    vectors: &[Vec<f64>],
    classes: &[u32],
    anchors: usize,
) -> Reference {
    let distances = distances(loss.metric, vectors);
    let [alpha, beta, base] = [loss.alpha, loss.beta, loss.base].map(f64::from);
    evaluate_terms(&distances, classes, anchors, loss.reduction, |d, positives, negatives| {
        let near: f64 = positives.iter().map(|&p| (alpha * (d[p] - base)).exp()).sum();
        let far: f64 = negatives.iter().map(|&j| (beta * (base - d[j])).exp()).sum();
        near.ln_1p() / alpha + far.ln_1p() / beta
    })
}

/// The supervised contrastive loss (arXiv 2004.11362, eq. 2), term by term.
pub fn evaluate_supervised_contrastive(
    loss: &SupervisedContrastive,
    vectors: &[Vec<f64>],
    classes: &[u32],
    anchors: usize,
) -> Reference {
    let distances = distances(loss.metric, vectors);
    let temperature = f64::from(loss.temperature);
    evaluate_terms(&distances, classes, anchors, loss.reduction, |d, positives, negatives| {
        let exponential = |&k: &usize| (-d[k] / temperature).exp();
        let all: f64 = positives.iter().chain(negatives).map(exponential).sum();
        let terms = positives.iter().map(|p| -(exponential(p) / all).ln());
        terms.sum::<f64>() / positives.len() as f64
    })
}

/// An objective with one term for each anchor: `term(distances, positives, negatives)`.
fn evaluate_terms(
    distances: &[Vec<f64>],
    classes: &[u32],
    anchors: usize,
    reduction: Reduction,
    term: impl Fn(&[f64], &[usize], &[usize]) -> f64,
) -> Reference {
    let (mut value, mut terms, mut positive_terms) = (0.0, 0_u64, 0_u64);
    let (mut triplets, mut active, mut violated) = (0, 0, 0);
    for (a, d) in distances.iter().enumerate().take(anchors) {
        let (positives, negatives) = sides(a, classes);
        let count = (positives.len() * negatives.len()) as u64;
        if count == 0 {
            continue;
        }
        let term = term(d, &positives, &negatives);
        value += term;
        terms += 1;
        positive_terms += u64::from(term > 0.0);
        triplets += count;
        active += if term > 0.0 { count } else { 0 };
        let later = |&p: &usize| negatives.iter().filter(|&&j| d[j] <= d[p]).count() as u64;
        violated += positives.iter().map(later).sum::<u64>();
    }
    let divisor = match reduction {
        Reduction::Mean | Reduction::MeanAnchors => terms,
        Reduction::MeanActive => positive_terms,
        Reduction::Sum => 1,
    };
    let value = if divisor == 0 { 0.0 } else { value / divisor as f64 };
    Reference { value, triplets, selected: triplets, active, violated, filtered: 0 }
}

/// ∂value/∂vectors by central differences, for the first `count` vectors.
pub fn differences(
    vectors: &[Vec<f64>],
    count: usize,
    value: impl Fn(&[Vec<f64>]) -> f64,
) -> Vec<Vec<f64>> {
    const STEP: f64 = 1e-6;
    let mut moved = vectors.to_vec();
    let mut gradient = vectors[..count].to_vec();
    for i in 0..count {
        for k in 0..vectors[i].len() {
            let mut at = |offset: f64| {
                moved[i][k] = vectors[i][k] + offset;
                value(&moved)
            };
            gradient[i][k] = (at(STEP) - at(-STEP)) / (2.0 * STEP);
            moved[i][k] = vectors[i][k];
        }
    }
    gradient
}
