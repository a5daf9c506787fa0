//! What scikit-learn and the protocols' own loops say of query/gallery retrieval,
//! re-identification, verification and calibration: `golden/README.md` tells where the numbers come
//! from.

#![allow(clippy::unwrap_used, reason = "a test may fail loudly")]

#[path = "golden/read.rs"]
mod read;

use std::collections::{BTreeMap, HashSet};

use ndarray::{ArrayView2, s};
use read::golden;
use serde::Deserialize;
use tercet::reidentification::Sightings;
use tercet::retrieval::Protocol;
use tercet::verification::{Pair, facenet_accuracy};
use tercet::{Calibration, Labels, Metric, Reidentification, Verification};

const TOLERANCE: f64 = 1e-6;

#[derive(Deserialize)]
#[serde(tag = "protocol", rename_all = "kebab-case")]
enum Case {
    Retrieval(RetrievalCase),
    Reid(ReidCase),
    Verification(Box<VerificationCase>),
}

#[derive(Deserialize)]
struct RetrievalCase {
    dimensions: usize,
    /// Where the array begins in the file of arrays; queries come first.
    embeddings: usize,
    labels: Vec<u32>,
    queries: usize,
    excluded: Vec<(usize, usize)>,
    per_query: Vec<QueryCase>,
    precision_recall: Vec<f64>,
}

#[derive(Deserialize)]
struct QueryCase {
    query: u32,
    ndcg: f64,
    average_precision: Option<f64>,
    precision_at_5: Option<f64>,
}

#[derive(Deserialize)]
struct ReidCase {
    dimensions: usize,
    embeddings: usize,
    queries: usize,
    ids: Vec<i64>,
    cameras: Vec<i64>,
    cmc: Vec<f64>,
    map: f64,
    map_market: f64,
    minp: f64,
    skipped: u64,
}

#[derive(Deserialize)]
struct VerificationCase {
    kind: String,
    distances: usize,
    same: Vec<u8>,
    fold: Vec<u32>,
    /// Mean and standard deviation over the folds.
    accuracy: [f64; 2],
    facenet_accuracy: [f64; 2],
    auc: f64,
    eer: f64,
    val_at_far: BTreeMap<String, Rates>,
    probes: usize,
    isotonic: Vec<f64>,
    logistic: Vec<f64>,
    brier: f64,
    log_loss: f64,
}

#[derive(Deserialize)]
struct Rates {
    val: f64,
    std: f64,
    far: f64,
}

fn assert_close(got: f64, expected: f64, what: &str) {
    assert!((got - expected).abs() <= TOLERANCE, "{what} is {got} instead of {expected}");
}

#[test]
fn protocols_agree_with_other_code() {
    let (cases, arrays) = golden::<Case>("protocols");
    let mut counts = [0; 3];
    for (number, case) in cases.iter().enumerate() {
        let name = format!("of case {number}");
        let kind = match case {
            Case::Retrieval(case) => {
                retrieval(case, &arrays, &name);
                0
            }
            Case::Reid(case) => {
                reid(case, &arrays, &name);
                1
            }
            Case::Verification(case) => {
                verification(case, &arrays, &name);
                2
            }
        };
        counts[kind] += 1;
    }
    assert!(counts.iter().all(|&count| count >= 7), "{counts:?}");
}

fn retrieval(case: &RetrievalCase, arrays: &[f32], name: &str) {
    let shape = (case.labels.len(), case.dimensions);
    let values = &arrays[case.embeddings..][..shape.0 * shape.1];
    let all = ArrayView2::from_shape(shape, values).unwrap();
    let (asked, there) = case.labels.split_at(case.queries);
    let (asked, there) = (Labels::from_iter(asked), Labels::from_iter(there));
    let excluded: HashSet<(usize, usize)> = case.excluded.iter().copied().collect();
    let judged = Protocol::new(Metric::default())
        .query_gallery_without(
            all.slice(s![..case.queries, ..]),
            &asked,
            all.slice(s![case.queries.., ..]),
            &there,
            |query, item| excluded.contains(&(query, item)),
        )
        .unwrap();
    assert_eq!(judged.per_query.len(), case.per_query.len(), "queries {name}");
    let mut precision = Vec::new();
    for (judged, expected) in judged.per_query.iter().zip(&case.per_query) {
        assert_eq!(judged.query, expected.query);
        assert_close(judged.ndcg, expected.ndcg, &format!("NDCG {name}"));
        if let Some(expected) = expected.average_precision {
            assert_close(judged.average_precision, expected, &format!("AP {name}"));
        }
        precision.extend(expected.precision_at_5);
    }
    if !precision.is_empty() {
        let mean = precision.iter().sum::<f64>() / precision.len() as f64;
        assert_close(judged.precision_at(5).unwrap(), mean, &format!("precision@5 {name}"));
    }
    for (level, (&got, &expected)) in
        judged.precision_recall.iter().zip(&case.precision_recall).enumerate()
    {
        assert_close(got, expected, &format!("precision at recall {level} % {name}"));
    }
    assert_eq!(judged.precision_recall.len(), case.precision_recall.len());
}

fn reid(case: &ReidCase, arrays: &[f32], name: &str) {
    let shape = (case.ids.len(), case.dimensions);
    let values = &arrays[case.embeddings..][..shape.0 * shape.1];
    let all = ArrayView2::from_shape(shape, values).unwrap();
    let (asked, there) = all.split_at(ndarray::Axis(0), case.queries);
    let part = |embeddings, range: std::ops::Range<usize>| Sightings {
        embeddings,
        ids: &case.ids[range.clone()],
        cameras: &case.cameras[range],
        items: None,
    };
    let judged = Reidentification::judge(
        part(asked, 0..case.queries),
        part(there, case.queries..case.ids.len()),
        Metric::default(),
        case.cmc.len(),
    )
    .unwrap();
    assert_eq!(judged.skipped_queries, case.skipped, "skipped queries {name}");
    for (rank, cmc) in &judged.cmc {
        assert_close(*cmc, case.cmc[rank - 1], &format!("CMC at {rank} {name}"));
    }
    assert_close(judged.map, case.map, &format!("mAP {name}"));
    assert_close(judged.map_market, case.map_market, &format!("Market's mAP {name}"));
    assert_close(judged.minp, case.minp, &format!("mINP {name}"));
}

fn verification(case: &VerificationCase, arrays: &[f32], name: &str) {
    let name = format!("{name} ({})", case.kind);
    let distances = &arrays[case.distances..][..case.same.len()];
    let pairs: Vec<Pair> = distances
        .iter()
        .zip(&case.same)
        .zip(&case.fold)
        .map(|((&distance, &same), &fold)| Pair { distance, same: same == 1, fold })
        .collect();
    let fars: Vec<f64> = case.val_at_far.keys().map(|far| far.parse().unwrap()).collect();
    let judged = Verification::judge_at(&pairs, &fars).unwrap();
    let facenet = facenet_accuracy(&pairs).unwrap();
    for (what, got, expected) in [
        ("accuracy", judged.accuracy, case.accuracy),
        ("accuracy by facenet", facenet, case.facenet_accuracy),
    ] {
        assert_close(got.mean, expected[0], &format!("{what} {name}"));
        assert_close(got.std, expected[1], &format!("spread of {what} {name}"));
    }
    assert_close(judged.auc, case.auc, &format!("AUC {name}"));
    assert_close(judged.eer, case.eer, &format!("EER {name}"));
    for (far, expected) in &case.val_at_far {
        let got = judged.val_at_far[far];
        assert_close(got.val, expected.val, &format!("VAL at {far} {name}"));
        assert_close(got.std, expected.std, &format!("spread of VAL at {far} {name}"));
        assert_close(got.far, expected.far, &format!("FAR at {far} {name}"));
    }
    let probes = &arrays[case.probes..][..case.isotonic.len()];
    let isotonic = Calibration::isotonic(&pairs).unwrap();
    let logistic = Calibration::logistic(&pairs).unwrap();
    for (place, &probe) in probes.iter().enumerate() {
        let expected = case.isotonic[place];
        assert_close(isotonic.probability(probe), expected, &format!("isotonic {probe} {name}"));
        let expected = case.logistic[place];
        assert_close(logistic.probability(probe), expected, &format!("logistic {probe} {name}"));
    }
    let quality = logistic.quality(&pairs).unwrap();
    assert_close(quality.brier, case.brier, &format!("Brier score {name}"));
    assert_close(quality.log_loss, case.log_loss, &format!("log loss {name}"));
}
