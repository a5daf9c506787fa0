//! What other libraries answer: `golden/README.md` tells where the numbers come from.

#![allow(clippy::unwrap_used, reason = "a test may fail loudly")]

#[path = "golden/read.rs"]
mod read;

use std::collections::BTreeMap;

use ndarray::{ArrayView1, ArrayView2};
use read::golden;
use serde::Deserialize;
use tercet::{Labels, Lifted, Metric, Objective, Penalty, Reduction, Selection, TripletLoss};

/// Relative to the value.
const VALUE_TOLERANCE: f64 = 1e-5;
/// Relative to the largest component of the gradient.
const GRADIENT_TOLERANCE: f64 = 1e-4;
/// Of mean distances, which the census gives beside its counts.
const MEAN_TOLERANCE: f64 = 1e-5;

#[derive(Deserialize)]
struct Case {
    batch: String,
    peer: Peer,
    metric: Metric,
    selection: String,
    penalty: Penalty,
    reduction: Reduction,
    labels: Vec<u32>,
    dimensions: usize,
    /// Where the arrays begin in the file of arrays.
    embeddings: usize,
    gradient: Option<usize>,
    value: Option<f64>,
    /// What a random selection may give instead of one value.
    range: Option<[f64; 2]>,
    census: BTreeMap<String, serde_json::Number>,
    /// The selected triplets, if they are few and the peer tells them.
    triplets: Option<Vec<[usize; 3]>>,
}

#[derive(Deserialize)]
struct Peer {
    name: String,
    /// Why the numbers are Tercet's definition instead of the peer's answer.
    undefined: Option<String>,
}

/// What a case found wrong, if anything.
fn disagreement(case: &Case, objective: &Objective, arrays: &[f32]) -> Result<(), String> {
    let shape = (case.labels.len(), case.dimensions);
    let array = |start: usize| {
        ArrayView2::from_shape(shape, &arrays[start..start + shape.0 * shape.1]).unwrap()
    };
    let got = objective
        .evaluate(array(case.embeddings), &Labels::from_iter(&case.labels))
        .map_err(|error| error.to_string())?;

    let census = serde_json::to_value(got.census).unwrap();
    for (key, expected) in &case.census {
        let found = &census[key];
        let agrees = if expected.is_u64() {
            found.as_u64() == expected.as_u64()
        } else {
            let (found, expected) = (found.as_f64().unwrap(), expected.as_f64().unwrap());
            (found - expected).abs() <= MEAN_TOLERANCE * expected
        };
        if !agrees {
            return Err(format!("{key} is {found} instead of {expected}"));
        }
    }

    if let Some([low, high]) = case.range {
        let room = VALUE_TOLERANCE * high;
        if !(low - room..=high + room).contains(&got.value) {
            return Err(format!("value is {} and not in {low}..{high}", got.value));
        }
    }
    if let Some(expected) = case.value
        && (got.value - expected).abs() > VALUE_TOLERANCE * expected.abs()
    {
        return Err(format!("value is {} instead of {expected}", got.value));
    }
    if let Some(expected) = case.gradient.map(array) {
        let largest = expected.iter().fold(0.0_f64, |most, &g| most.max(g.abs().into()));
        for ((place, &got), &expected) in got.gradient.indexed_iter().zip(&expected) {
            let error = (f64::from(got) - f64::from(expected)).abs();
            if error > GRADIENT_TOLERANCE * largest {
                return Err(format!(
                    "gradient at {place:?} is {got} instead of {expected}: off by {:.1e} of the \
                     largest component",
                    error / largest
                ));
            }
        }
    }
    Ok(())
}

#[test]
fn objectives_agree_with_other_libraries() {
    let (cases, arrays) = golden::<Case>("objectives");
    let (mut evaluated, mut undefined) = (0, 0);
    let mut failures = Vec::new();
    for (number, case) in cases.iter().enumerate() {
        let Case { metric, penalty, reduction, ref selection, .. } = *case;
        let objective: Objective = match selection.as_str() {
            "lifted" => Lifted { metric, margin: penalty.margin(), reduction }.into(),
            name => {
                let selection: Selection = name.parse().unwrap();
                TripletLoss { metric, selection, penalty, reduction }.into()
            }
        };
        evaluated += 1;
        undefined += usize::from(case.peer.undefined.is_some());
        if let Err(found) = disagreement(case, &objective, &arrays) {
            failures.push(format!(
                "case {number} ({}, {}), {metric} {selection} {penalty} {reduction}: {found}",
                case.peer.name, case.batch
            ));
        }
    }
    println!(
        "{evaluated} cases evaluated, {undefined} of them where the peer has no usable answer"
    );
    assert!(failures.is_empty(), "{} disagree:\n{}", failures.len(), failures.join("\n"));
}

/// The triplets that a peer lists are worth what the value says: the data is sound.
#[test]
fn listed_triplets_add_up_to_the_value() {
    let (cases, arrays) = golden::<Case>("objectives");
    let mut checked = 0;
    for (number, case) in cases.iter().enumerate() {
        let (Some(triplets), Some(expected)) = (&case.triplets, case.value) else { continue };
        let rows = arrays[case.embeddings..][..case.labels.len() * case.dimensions]
            .chunks_exact(case.dimensions);
        let rows: Vec<&[f32]> = rows.collect();
        let distance = |i: usize, j: usize| {
            let [x, y] =
                [i, j].map(|item| ArrayView1::from(rows[item]).insert_axis(ndarray::Axis(0)));
            f64::from(case.metric.distances(x, y).unwrap()[[0, 0]])
        };
        let mut sum = 0.0;
        let mut positive = 0;
        for &[a, p, n] in triplets {
            assert!(a != p && case.labels[a] == case.labels[p] && case.labels[a] != case.labels[n]);
            let excess = distance(a, p) - distance(a, n) + f64::from(case.penalty.margin());
            let cost = match case.penalty {
                Penalty::Hinge { .. } => excess.max(0.0),
                Penalty::SquaredHinge { .. } => excess.max(0.0).powi(2),
                Penalty::Soft { .. } => excess.max(0.0) + (-excess.abs()).exp().ln_1p(),
            };
            sum += cost;
            positive += usize::from(cost > 0.0);
        }
        let divisor = match case.reduction {
            Reduction::Mean => triplets.len(),
            Reduction::MeanActive => positive,
            Reduction::MeanAnchors => case.census["anchors"].as_u64().unwrap() as usize,
            Reduction::Sum => 1,
        };
        let value = sum / divisor.max(1) as f64;
        assert!(
            (value - expected).abs() <= VALUE_TOLERANCE * expected,
            "case {number}: {value} instead of {expected}"
        );
        checked += 1;
    }
    assert!(checked > 40, "only {checked} cases list their triplets");
}
