//! Re-identification: is a person that one camera saw found among what the other cameras saw?
//!
//! The rules are those of Market-1501 (Zheng et al., "Scalable Person Re-identification: A
//! Benchmark", ICCV 2015): for each query, gallery items with the query's identity *and* camera are
//! left out, and so are items of identity [`JUNK`] and the query's own item if it is in the gallery
//! too. Distractors (identity 0 in Market-1501) remain in the gallery and match no query, because
//! no query has their identity.

mod sightings;
mod single_shot;

pub use sightings::{JUNK, Pooled, Sightings};
pub use single_shot::{REPETITIONS, SingleShot};

use std::collections::BTreeMap;

use serde::Serialize;

use crate::comparison::Scores;
use crate::distance::Points;
use crate::ranking::Ranking;
use crate::reranking::Reranked;
use crate::retrieval::mean;
use crate::{Error, Metric, bootstrap};
use sightings::Search;

/// The last rank of the CMC curve by default.
pub const CMC_RANKS: usize = 50;

/// The conventions of [`Reidentification`], in words.
pub const CONVENTION: &str = "Market-1501: gallery items with the query's identity and camera, and \
    those of identity -1, take no part. map is the finite sum of precisions at the matches; \
    map_market the trapezoid of Market-1501's own code, with initial precision 1. cmc is divided by \
    the queries that have a match, cmc_all_queries by all. Ties in distance: expected value over \
    their orderings. ci95: bootstrap over the queries' identities.";

/// The figures of re-identification by distance, as means over the queries with a match in the
/// gallery.
///
/// With R the number of matches, rel(i) whether the item at rank i is a match, and P(i) the share
/// of matches among the first i, the figures of a query are
///
/// - CMC at k: 1 if one of the first k is a match, otherwise 0;
/// - average precision as a finite sum, (1/R) Σ_i P(i)·rel(i) (torchreid, fast-reid);
/// - average precision by trapezoids, (1/R) Σ_i rel(i)·(P(i−1) + P(i))/2 with P(0) = 1 (the code
///   that was published with Market-1501);
/// - inverse negative penalty: R / rank of the last match (Ye et al., "Deep Learning for Person
///   Re-identification: A Survey and Outlook", 2021).
///
/// Items at equal distance have no order: each figure is its expected value over their orderings.
/// Time is O(Q·G·(D + log R)); memory is O(G) per thread and O(Q) for the result.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Reidentification {
    /// The number of queries with a match in the gallery.
    pub queries: u64,
    /// The number of gallery items, including junk.
    pub gallery: u64,
    /// The number of queries left out because the gallery has no match from another camera.
    pub skipped_queries: u64,
    /// Share of the queries with a match among the first k, by k from 1 on.
    pub cmc: BTreeMap<usize, f64>,
    /// The same share of all queries, where skipped queries count as failed (triplet-reid).
    pub cmc_all_queries: BTreeMap<usize, f64>,
    /// Mean average precision, by the finite sum.
    pub map: f64,
    /// Mean average precision, by trapezoids.
    pub map_market: f64,
    /// Mean inverse negative penalty.
    pub minp: f64,
    /// How much these figures would vary with other people.
    pub ci95: Intervals,
    /// [`CONVENTION`].
    pub convention: &'static str,
    /// The figures of every query that was not skipped, by increasing query index.
    #[serde(skip)]
    pub per_query: Vec<QueryJudgement>,
}

/// 95 % intervals \[low, high\], by the bootstrap [over the identities of the queries](bootstrap)
/// with its default resamples and seed.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Intervals {
    /// The intervals of the CMC, by rank.
    pub cmc: BTreeMap<usize, [f64; 2]>,
    /// The interval of the mean average precision by the finite sum.
    pub map: [f64; 2],
    /// The interval of the mean average precision by trapezoids.
    pub map_market: [f64; 2],
    /// The interval of the mean inverse negative penalty.
    pub minp: [f64; 2],
}

/// The figures of one query.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct QueryJudgement {
    /// Row of the query.
    pub query: u32,
    /// R, the number of its matches in the gallery; at least 1.
    pub relevant: u64,
    /// The probability that the nearest item is a match: 0 or 1 unless several items are nearest.
    pub rank_1: f64,
    /// Average precision by the finite sum.
    pub average_precision: f64,
    /// Average precision by trapezoids.
    pub average_precision_market: f64,
    /// Inverse negative penalty.
    pub inverse_negative_penalty: f64,
}

impl Reidentification {
    /// Evaluates every query in the gallery. The CMC runs to rank `ranks` ([`CMC_RANKS`] by
    /// default) or to the size of the gallery.
    ///
    /// # Shapes
    /// - queries: Q×D with Q identities and cameras; gallery: G×D with G of each
    ///
    /// # Errors
    /// A number of identities or cameras that differs from that of rows; a query of identity
    /// [`JUNK`]; vectors that are not finite, too long, without dimensions, or of different
    /// dimensions; `ranks` = 0; no query with a match.
    ///
    /// ```
    /// use ndarray::array;
    /// use tercet::reidentification::{CMC_RANKS, Sightings};
    /// use tercet::{Metric, Reidentification};
    ///
    /// let (seen, there) = (array![[0.0_f32]], array![[0.0_f32], [1.0], [2.0], [3.0]]);
    /// let queries = Sightings { embeddings: seen.view(), ids: &[7], cameras: &[1], items: None };
    /// // The nearest is by the same camera; what remains is a match, another person, a match.
    /// let (ids, cameras) = (&[7, 7, 3, 7], &[1, 2, 2, 3]);
    /// let gallery = Sightings { embeddings: there.view(), ids, cameras, items: None };
    /// let judged = Reidentification::judge(queries, gallery, Metric::default(), CMC_RANKS)?;
    /// assert_eq!(judged.cmc[&1], 1.0);
    /// assert!((judged.map - 5.0 / 6.0).abs() < 1e-12);
    /// assert!((judged.map_market - 19.0 / 24.0).abs() < 1e-12);
    /// # Ok::<(), tercet::Error>(())
    /// ```
    pub fn judge(
        queries: Sightings,
        gallery: Sightings,
        metric: Metric,
        ranks: usize,
    ) -> Result<Self, Error> {
        let vectors = Points::new(gallery.embeddings, metric)?;
        let points = vectors.beside(queries.embeddings)?;
        Self::judge_by(queries, gallery, ranks, |judge| points.sweep(&vectors, judge))
    }

    /// [`judge`](Self::judge) with [re-ranked](crate::reranking::KReciprocal::query_gallery)
    /// distances. The vectors of the sightings are not used.
    ///
    /// # Errors
    /// Numbers of queries or gallery items that differ from those re-ranked, and the errors of
    /// [`judge`](Self::judge).
    pub fn judge_reranked(
        reranked: &Reranked,
        queries: Sightings,
        gallery: Sightings,
        ranks: usize,
    ) -> Result<Self, Error> {
        for (rows, labels) in
            [(reranked.queries(), queries.ids.len()), (reranked.gallery(), gallery.ids.len())]
        {
            if rows != labels {
                return Err(Error::LabelCount { rows, labels });
            }
        }
        Self::judge_by(queries, gallery, ranks, |judge| reranked.sweep(judge))
    }

    /// `sweep` calls its argument with the distances of every query to the gallery.
    fn judge_by(
        queries: Sightings,
        gallery: Sightings,
        ranks: usize,
        sweep: impl FnOnce(&Judge) -> Vec<Option<Answer>>,
    ) -> Result<Self, Error> {
        if ranks == 0 {
            return Err(Error::parameter("ranks", ranks.to_string(), "at least 1"));
        }
        let search = Search::new(queries, gallery)?;
        let items = gallery.ids.len();
        let ranks = ranks.min(items);
        let answers = sweep(&|query, distances| {
            let matches = search.admit(query, distances);
            let ranking = Ranking::new(distances, matches.into_iter())?;
            Some(Answer::new(query, &ranking, ranks))
        });
        Self::collect(answers, queries.ids, items, ranks)
    }

    /// Share of the queries with a match among the first `k`, if the CMC includes this rank.
    pub fn cmc_at(&self, k: usize) -> Option<f64> {
        self.cmc.get(&k).copied()
    }

    /// One figure of every query by its row, for a [comparison](crate::comparison) with another
    /// system.
    pub fn scores(&self, figure: impl Fn(&QueryJudgement) -> f64) -> Scores {
        self.per_query.iter().map(|judged| (judged.query, figure(judged))).collect()
    }

    fn collect(
        answers: Vec<Option<Answer>>,
        ids: &[i64],
        gallery: usize,
        ranks: usize,
    ) -> Result<Self, Error> {
        let asked = answers.len();
        let answers: Vec<Answer> = answers.into_iter().flatten().collect();
        if answers.is_empty() {
            return Err(no_match(asked, gallery));
        }
        let column =
            |figure: &dyn Fn(&Answer) -> f64| -> Vec<f64> { answers.iter().map(figure).collect() };
        let mut columns: Vec<Vec<f64>> =
            (0..ranks).map(|place| column(&|answer| answer.cmc[place])).collect();
        columns.push(column(&|answer| answer.judgement.average_precision));
        columns.push(column(&|answer| answer.judgement.average_precision_market));
        columns.push(column(&|answer| answer.judgement.inverse_negative_penalty));
        let people = answers.iter().map(|answer| ids[answer.judgement.query as usize]);
        let (means, intervals) = means_and_intervals(&columns, people)?;
        let cmc = by_rank(&means[..ranks]);
        let judged_share = answers.len() as f64 / asked as f64;
        Ok(Self {
            queries: answers.len() as u64,
            gallery: gallery as u64,
            skipped_queries: (asked - answers.len()) as u64,
            cmc_all_queries: cmc.iter().map(|(&k, &share)| (k, share * judged_share)).collect(),
            cmc,
            map: means[ranks],
            map_market: means[ranks + 1],
            minp: means[ranks + 2],
            ci95: Intervals {
                cmc: by_rank(&intervals[..ranks]),
                map: intervals[ranks],
                map_market: intervals[ranks + 1],
                minp: intervals[ranks + 2],
            },
            convention: CONVENTION,
            per_query: answers.into_iter().map(|answer| answer.judgement).collect(),
        })
    }
}

/// Computes the figures of a query from its distances.
type Judge<'a> = dyn Fn(usize, &mut [f32]) -> Option<Answer> + Sync + 'a;

struct Answer {
    judgement: QueryJudgement,
    cmc: Vec<f64>,
}

impl Answer {
    fn new(query: usize, ranking: &Ranking, ranks: usize) -> Self {
        Self {
            judgement: QueryJudgement {
                query: query as u32,
                relevant: ranking.relevant() as u64,
                rank_1: ranking.recall_at(1),
                average_precision: ranking.average_precision(),
                average_precision_market: ranking.average_precision_market(),
                inverse_negative_penalty: ranking.inverse_negative_penalty(),
            },
            cmc: (1..=ranks).map(|rank| ranking.recall_at(rank)).collect(),
        }
    }
}

fn no_match(queries: usize, gallery: usize) -> Error {
    Error::NotEnough {
        what: "re-identification",
        expected: "a query whose identity another camera saw".to_owned(),
        got: format!("none among {queries} queries and {gallery} gallery items"),
    }
}

/// The mean of each column, with its interval by the bootstrap over people.
fn means_and_intervals(
    columns: &[Vec<f64>],
    people: impl Iterator<Item = i64>,
) -> Result<(Vec<f64>, Vec<[f64; 2]>), Error> {
    let mut numbers = BTreeMap::new();
    let classes: Vec<u32> = people
        .map(|id| {
            let next = numbers.len() as u32;
            *numbers.entry(id).or_insert(next)
        })
        .collect();
    let slices: Vec<&[f64]> = columns.iter().map(Vec::as_slice).collect();
    let (resamples, seed) = (bootstrap::RESAMPLES, bootstrap::SEED);
    let intervals = bootstrap::over_classes_together(&slices, &classes, resamples, seed)?;
    Ok((columns.iter().map(|column| mean(column.iter().copied())).collect(), intervals))
}

fn by_rank<T: Copy>(figures: &[T]) -> BTreeMap<usize, T> {
    (1..).zip(figures.iter().copied()).collect()
}

#[cfg(test)]
mod tests;
