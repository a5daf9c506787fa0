//! Means over queries, by class and over classes.

use serde::Serialize;

use super::{QueryJudgement, mean};
use crate::Labels;

/// Means of the figures of some queries or classes.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Averages {
    /// The mean of Recall@1.
    pub recall_at_1: f64,
    /// The mean of R-precision.
    pub r_precision: f64,
    /// The mean of the average precision cut at R.
    pub map_at_r: f64,
    /// The mean of the average precision.
    pub map: f64,
    /// The mean of the reciprocal rank.
    pub mrr: f64,
    /// The mean of NDCG.
    pub ndcg: f64,
}

/// The figures of the queries of one class.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ClassJudgement {
    /// The number of the class in the query labels.
    pub class: u32,
    /// Its name.
    pub name: String,
    /// The number of its queries that were evaluated; at least 1.
    pub queries: u64,
    /// Means over these queries.
    #[serde(flatten)]
    pub averages: Averages,
}

impl Averages {
    pub(super) fn over(queries: &[QueryJudgement]) -> Self {
        let of = |figure: fn(&QueryJudgement) -> f64| mean(queries.iter().map(figure));
        Self {
            recall_at_1: of(|query| query.recall_at_1),
            r_precision: of(|query| query.r_precision),
            map_at_r: of(|query| query.map_at_r),
            map: of(|query| query.average_precision),
            mrr: of(|query| query.reciprocal_rank),
            ndcg: of(|query| query.ndcg),
        }
    }

    pub(super) fn over_classes(classes: &[ClassJudgement]) -> Self {
        let of =
            |figure: fn(&Self) -> f64| mean(classes.iter().map(|class| figure(&class.averages)));
        Self {
            recall_at_1: of(|class| class.recall_at_1),
            r_precision: of(|class| class.r_precision),
            map_at_r: of(|class| class.map_at_r),
            map: of(|class| class.map),
            mrr: of(|class| class.mrr),
            ndcg: of(|class| class.ndcg),
        }
    }
}

impl ClassJudgement {
    pub(super) fn all(queries: &[QueryJudgement], labels: &Labels) -> Vec<Self> {
        let class_of = |judged: &QueryJudgement| labels.classes()[judged.query as usize];
        let mut sorted = queries.to_vec();
        sorted.sort_by_key(class_of);
        sorted
            .chunk_by(|x, y| class_of(x) == class_of(y))
            .map(|members| Self {
                class: class_of(&members[0]),
                name: labels.name(class_of(&members[0])).to_owned(),
                queries: members.len() as u64,
                averages: Averages::over(members),
            })
            .collect()
    }
}
