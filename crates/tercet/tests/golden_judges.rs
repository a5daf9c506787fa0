//! What pytorch-metric-learning and scikit-learn say of the same embeddings:
//! `golden/README.md` tells where the numbers come from.

#[path = "golden/read.rs"]
mod read;

use ndarray::ArrayView2;
use read::golden;
use serde::Deserialize;
use tercet::verification::Pair;
use tercet::{Labels, Metric, Retrieval, Verification};

const TOLERANCE: f64 = 1e-6;

#[derive(Deserialize)]
#[serde(tag = "judge", rename_all = "kebab-case")]
enum Case {
    Retrieval {
        labels: Vec<u32>,
        dimensions: usize,
        /// Where the array begins in the file of arrays.
        embeddings: usize,
        recall_at_1: f64,
        r_precision: f64,
        map_at_r: f64,
        map: f64,
        mrr: f64,
        /// By rising query; queries without a relevant item have none.
        average_precision: Vec<(u32, f64)>,
    },
    Verification {
        same: Vec<u8>,
        /// Where the array begins in the file of arrays.
        distances: usize,
        auc: f64,
    },
}

fn assert_close(got: f64, expected: f64, what: &str, number: usize) {
    assert!(
        (got - expected).abs() <= TOLERANCE,
        "{what} of case {number} is {got} instead of {expected}"
    );
}

#[test]
fn judges_agree_with_other_libraries() {
    let (cases, arrays) = golden::<Case>("judges");
    let (mut retrievals, mut verifications) = (0, 0);
    for (number, case) in cases.iter().enumerate() {
        match case {
            Case::Retrieval {
                labels,
                dimensions,
                embeddings,
                recall_at_1,
                r_precision,
                map_at_r,
                map,
                mrr,
                average_precision,
            } => {
                let values = &arrays[*embeddings..][..labels.len() * dimensions];
                let view = ArrayView2::from_shape((labels.len(), *dimensions), values).unwrap();
                let classes = Labels::from_iter(labels);
                let judged = Retrieval::leave_one_out(view, &classes, Metric::default()).unwrap();
                assert_close(judged.recall_at(1).unwrap(), *recall_at_1, "recall@1", number);
                assert_close(judged.r_precision(), *r_precision, "R-precision", number);
                assert_close(judged.map_at_r(), *map_at_r, "MAP@R", number);
                assert_close(judged.map(), *map, "mAP", number);
                assert_close(judged.mrr(), *mrr, "MRR", number);
                assert_eq!(judged.per_query.len(), average_precision.len());
                for (judged, &(query, expected)) in judged.per_query.iter().zip(average_precision) {
                    assert_eq!(judged.query, query);
                    assert_close(judged.average_precision, expected, "average precision", number);
                }
                retrievals += 1;
            }
            Case::Verification { same, distances, auc } => {
                let distances = &arrays[*distances..][..same.len()];
                let pair =
                    |(&same, &distance): (&u8, &f32)| Pair { distance, same: same == 1, fold: 0 };
                let pairs: Vec<Pair> = same.iter().zip(distances).map(pair).collect();
                let judged = Verification::judge(&pairs).unwrap();
                assert_close(judged.auc, *auc, "AUC", number);
                verifications += 1;
            }
        }
    }
    println!("{retrievals} sets for retrieval, {verifications} for verification");
    assert!(retrievals >= 20 && verifications >= 20);
}
