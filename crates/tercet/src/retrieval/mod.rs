//! Retrieval: do the nearest items of a query belong to its class?

mod averages;
mod example;
mod intervals;
mod protocol;

pub use averages::{Averages, ClassJudgement};
pub use example::{Example, Match};
pub use intervals::ConfidenceIntervals;
pub use protocol::{Protocol, RECALL_RANKS};

use std::collections::BTreeMap;

use ndarray::ArrayView2;
use serde::Serialize;

use crate::comparison::Scores;
use crate::ranking::Ranking;
use crate::{Error, Labels, Metric};

/// The number of steps of the [precision–recall curve](Retrieval::precision_recall): 101 recall
/// levels, of which every tenth is one of the 11 of the older convention.
pub const RECALL_STEPS: usize = 100;

/// The figures of retrieval by distance, as means over the queries that have a relevant item.
///
/// With R the number of gallery items of the query's class, rel(i) whether the item at rank i is
/// one of them, and P(i) the share of them among the first i, the figures of a query are
///
/// - Recall@K: 1 if one of the first K is relevant, otherwise 0;
/// - precision@K: Σ_{i≤K} rel(i) / K, also where the gallery holds fewer than K items;
/// - R-precision: Σ_{i≤R} rel(i) / R;
/// - MAP@R: (1/R) Σ_{i≤R} P(i)·rel(i) (Musgrave et al., "A Metric Learning Reality Check", 2020);
/// - average precision: (1/R) Σ_i P(i)·rel(i) over all ranks, as a finite sum;
/// - reciprocal rank: 1 / rank of the first relevant item;
/// - NDCG: Σ_i rel(i)/log₂(i+1) over all ranks, divided by Σ_{i≤R} 1/log₂(i+1): binary relevance.
///
/// Items at equal distance have no order: each figure is then its expected value over all orderings
/// of the tied items, so the order of the rows has no effect. Queries without a relevant item are
/// skipped and counted. The figures do not depend on the number of threads.
///
/// Only the ranks of the relevant items are needed: nearer items are counted, and no row is sorted.
/// Time is O(Q·G·(D + log R)); memory is O(G) per thread and O(Q) for the result.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Retrieval {
    /// The number of queries that were evaluated.
    pub queries: u64,
    /// The number of gallery items; in leave-one-out all items, although no item finds itself.
    pub gallery: u64,
    /// The number of queries left out because the gallery has no item of their class.
    pub skipped_queries: u64,
    /// Share of the queries with a relevant item among the first K, for K of the [ranks
    /// evaluated](Protocol::ranks).
    pub recall_at_k: BTreeMap<usize, f64>,
    /// Mean share of relevant items among the first K, for K of the ranks evaluated.
    pub precision_at_k: BTreeMap<usize, f64>,
    /// Mean R-precision.
    pub r_precision: f64,
    /// Mean average precision cut at R.
    pub map_at_r: f64,
    /// Mean average precision.
    pub map: f64,
    /// Mean reciprocal rank.
    pub mrr: f64,
    /// Mean normalised discounted cumulative gain.
    pub ndcg: f64,
    /// The same figures as means over classes of the means over their queries: every class has the
    /// same weight, however many queries it has. (The fields above are micro averages.)
    pub macro_average: Averages,
    /// How much these figures would vary with other classes of the same kind.
    pub ci95: ConfidenceIntervals,
    /// Interpolated precision at the recall levels 0, 0.01, …, 1, as its mean over the queries: at
    /// level r the highest precision of any cut with a recall of at least r. Tied items are added
    /// to a cut together.
    #[serde(skip)]
    pub precision_recall: Vec<f64>,
    /// The figures of every class with a query, by increasing number of the class in the query
    /// labels.
    #[serde(skip)]
    pub per_class: Vec<ClassJudgement>,
    /// The figures of every query that was not skipped, by increasing query index.
    #[serde(skip)]
    pub per_query: Vec<QueryJudgement>,
}

/// The figures of one query.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct QueryJudgement {
    /// Row of the query.
    pub query: u32,
    /// R, the number of its relevant items in the gallery; at least 1.
    pub relevant: u64,
    /// The probability that the nearest item is relevant: 0 or 1 unless several items are nearest.
    pub recall_at_1: f64,
    /// R-precision.
    pub r_precision: f64,
    /// Average precision cut at R.
    pub map_at_r: f64,
    /// Average precision over all ranks.
    pub average_precision: f64,
    /// 1 / rank of the first relevant item.
    pub reciprocal_rank: f64,
    /// Normalised discounted cumulative gain.
    pub ndcg: f64,
}

impl Retrieval {
    /// Evaluates every item in turn as a query among all others, at the [default
    /// ranks](RECALL_RANKS).
    ///
    /// An item is never its own match, by identity and not by rank: a duplicate of it may be.
    ///
    /// # Shapes
    /// - embeddings: N×D; labels: N
    ///
    /// # Errors
    /// The errors of [`Protocol::leave_one_out`].
    pub fn leave_one_out(
        embeddings: ArrayView2<f32>,
        labels: &Labels,
        metric: Metric,
    ) -> Result<Self, Error> {
        Protocol::new(metric).leave_one_out(embeddings, labels)
    }

    /// Evaluates every query in the gallery, at the [default ranks](RECALL_RANKS). Classes are
    /// matched by name.
    ///
    /// # Shapes
    /// - queries: Q×D; query_labels: Q; gallery: G×D; gallery_labels: G
    ///
    /// # Errors
    /// The errors of [`Protocol::query_gallery`].
    pub fn query_gallery(
        queries: ArrayView2<f32>,
        query_labels: &Labels,
        gallery: ArrayView2<f32>,
        gallery_labels: &Labels,
        metric: Metric,
    ) -> Result<Self, Error> {
        Protocol::new(metric).query_gallery(queries, query_labels, gallery, gallery_labels)
    }

    /// Share of the queries with a relevant item among the first `k`, if `k` is one of the ranks
    /// evaluated.
    pub fn recall_at(&self, k: usize) -> Option<f64> {
        self.recall_at_k.get(&k).copied()
    }

    /// Mean share of relevant items among the first `k`, if `k` is one of the ranks evaluated.
    pub fn precision_at(&self, k: usize) -> Option<f64> {
        self.precision_at_k.get(&k).copied()
    }

    /// Mean R-precision.
    pub fn r_precision(&self) -> f64 {
        self.r_precision
    }

    /// Mean average precision cut at R.
    pub fn map_at_r(&self) -> f64 {
        self.map_at_r
    }

    /// Mean average precision.
    pub fn map(&self) -> f64 {
        self.map
    }

    /// Mean reciprocal rank.
    pub fn mrr(&self) -> f64 {
        self.mrr
    }

    /// The `count` queries with the lowest average precision, the lowest first; ties by row.
    pub fn worst(&self, count: usize) -> Vec<QueryJudgement> {
        let mut queries = self.per_query.clone();
        queries.sort_by(|x, y| x.average_precision.total_cmp(&y.average_precision));
        queries.truncate(count);
        queries
    }

    /// The `count` queries with the highest average precision, the highest first; ties by row.
    pub fn best(&self, count: usize) -> Vec<QueryJudgement> {
        let mut queries = self.per_query.clone();
        queries.sort_by(|x, y| y.average_precision.total_cmp(&x.average_precision));
        queries.truncate(count);
        queries
    }

    /// One figure of every query by its row, for a [comparison](crate::comparison) with another
    /// system.
    pub fn scores(&self, figure: impl Fn(&QueryJudgement) -> f64) -> Scores {
        self.per_query.iter().map(|judged| (judged.query, figure(judged))).collect()
    }

    fn collect(
        answers: Vec<Option<Answer>>,
        labels: &Labels,
        gallery: usize,
        ranks: &[usize],
    ) -> Result<Self, Error> {
        let asked = answers.len();
        let answers: Vec<Answer> = answers.into_iter().flatten().collect();
        if answers.is_empty() {
            return Err(Error::NotEnough {
                what: "retrieval",
                expected: "a query with another item of its class to find".to_owned(),
                got: format!("none among {asked} queries and {gallery} gallery items"),
            });
        }
        let by_rank = |figures: fn(&Answer) -> &[f64]| -> BTreeMap<usize, f64> {
            let mean_at = |place: usize| mean(answers.iter().map(|a| figures(a)[place]));
            ranks.iter().enumerate().map(|(place, &rank)| (rank, mean_at(place))).collect()
        };
        let (recall_at_k, precision_at_k) = (by_rank(Answer::recall), by_rank(Answer::precision));
        let precision_recall = (0..=RECALL_STEPS)
            .map(|level| mean(answers.iter().map(|answer| f64::from(answer.curve[level]))))
            .collect();
        let ci95 = ConfidenceIntervals::new(&answers, labels, ranks)?;
        let per_query: Vec<QueryJudgement> =
            answers.into_iter().map(|answer| answer.judgement).collect();
        let micro = Averages::over(&per_query);
        let per_class = ClassJudgement::all(&per_query, labels);
        Ok(Self {
            queries: per_query.len() as u64,
            gallery: gallery as u64,
            skipped_queries: (asked - per_query.len()) as u64,
            recall_at_k,
            precision_at_k,
            r_precision: micro.r_precision,
            map_at_r: micro.map_at_r,
            map: micro.map,
            mrr: micro.mrr,
            ndcg: micro.ndcg,
            macro_average: Averages::over_classes(&per_class),
            ci95,
            precision_recall,
            per_class,
            per_query,
        })
    }
}

/// The figures of a query, with those that are not stored for every query.
struct Answer {
    judgement: QueryJudgement,
    /// Recall and then precision at each rank.
    at_ranks: Vec<f64>,
    curve: Vec<f32>,
}

impl Answer {
    fn new(query: usize, ranking: &Ranking, ranks: &[usize]) -> Self {
        let recall = ranks.iter().map(|&rank| ranking.recall_at(rank));
        let precision = ranks.iter().map(|&rank| ranking.hits_at(rank) / rank as f64);
        Self {
            judgement: QueryJudgement {
                query: query as u32,
                relevant: ranking.relevant() as u64,
                recall_at_1: ranking.recall_at(1),
                r_precision: ranking.r_precision(),
                map_at_r: ranking.average_precision_at_r(),
                average_precision: ranking.average_precision(),
                reciprocal_rank: ranking.reciprocal_rank(),
                ndcg: ranking.ndcg(),
            },
            at_ranks: recall.chain(precision).collect(),
            curve: ranking.interpolated_precision(RECALL_STEPS),
        }
    }

    fn recall(&self) -> &[f64] {
        &self.at_ranks[..self.at_ranks.len() / 2]
    }

    fn precision(&self) -> &[f64] {
        &self.at_ranks[self.at_ranks.len() / 2..]
    }
}

pub(crate) fn mean(values: impl ExactSizeIterator<Item = f64>) -> f64 {
    let count = values.len() as f64;
    values.sum::<f64>() / count
}

#[cfg(test)]
mod tests;
