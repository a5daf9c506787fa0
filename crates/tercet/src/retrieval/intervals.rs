//! How much the figures would vary with other classes.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{Answer, QueryJudgement};
use crate::{Error, Labels, bootstrap};

/// 95 % intervals \[low, high\], by the bootstrap [over the queries' classes](bootstrap) with its
/// default resamples and seed.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ConfidenceIntervals {
    /// The interval of Recall@1.
    pub recall_at_1: [f64; 2],
    /// The interval of the mean R-precision.
    pub r_precision: [f64; 2],
    /// The interval of MAP@R.
    pub map_at_r: [f64; 2],
    /// The interval of the mean average precision.
    pub map: [f64; 2],
    /// The interval of the mean reciprocal rank.
    pub mrr: [f64; 2],
    /// The interval of the mean NDCG.
    pub ndcg: [f64; 2],
    /// The interval of Recall@K, by K.
    pub recall_at_k: BTreeMap<usize, [f64; 2]>,
    /// The interval of the mean precision@K, by K.
    pub precision_at_k: BTreeMap<usize, [f64; 2]>,
}

const SINGLE: [fn(&QueryJudgement) -> f64; 6] = [
    |query| query.recall_at_1,
    |query| query.r_precision,
    |query| query.map_at_r,
    |query| query.average_precision,
    |query| query.reciprocal_rank,
    |query| query.ndcg,
];

impl ConfidenceIntervals {
    pub(super) fn new(answers: &[Answer], labels: &Labels, ranks: &[usize]) -> Result<Self, Error> {
        let class = |answer: &Answer| labels.classes()[answer.judgement.query as usize];
        let classes: Vec<u32> = answers.iter().map(class).collect();
        let single = SINGLE.map(|figure| -> Vec<f64> {
            answers.iter().map(|answer| figure(&answer.judgement)).collect()
        });
        let at_ranks = (0..2 * ranks.len()).map(|place| -> Vec<f64> {
            answers.iter().map(|answer| answer.at_ranks[place]).collect()
        });
        let columns: Vec<Vec<f64>> = single.into_iter().chain(at_ranks).collect();
        let columns: Vec<&[f64]> = columns.iter().map(Vec::as_slice).collect();
        let intervals = bootstrap::over_classes_together(
            &columns,
            &classes,
            bootstrap::RESAMPLES,
            bootstrap::SEED,
        )?;
        let by_rank = |intervals: &[[f64; 2]]| -> BTreeMap<usize, [f64; 2]> {
            ranks.iter().copied().zip(intervals.iter().copied()).collect()
        };
        let (single, at_ranks) = intervals.split_at(SINGLE.len());
        let (recall, precision) = at_ranks.split_at(ranks.len());
        Ok(Self {
            recall_at_1: single[0],
            r_precision: single[1],
            map_at_r: single[2],
            map: single[3],
            mrr: single[4],
            ndcg: single[5],
            recall_at_k: by_rank(recall),
            precision_at_k: by_rank(precision),
        })
    }
}
