//! Do the nearest items of a query belong to its class?

use std::collections::{BTreeMap, HashMap};

use ndarray::ArrayView2;
use serde::Serialize;

use crate::distance::Points;
use crate::ranking::Ranking;
use crate::{Error, Labels, Metric, bootstrap};

/// The ranks at which recall is judged.
///
/// Those that the common benchmarks report: 1, 2, 4, 8 (CUB-200, Cars-196), 1, 5, 10 (re-id), and,
/// only where the gallery holds more items than that, 100 and 1,000 (Stanford Online Products).
pub const RECALL_RANKS: [usize; 8] = [1, 2, 4, 5, 8, 10, 100, 1_000];

/// From this rank on recall is judged only in a larger gallery.
const DEEP_RANK: usize = 100;

/// What retrieval by distance achieves, as means over the queries that have a relevant item.
///
/// With R the number of gallery items of the query's class, rel(i) whether the item at rank i is
/// one of them, and P(i) the share of them among the first i, a query is given
///
/// - Recall@K: 1 if one of the first K is relevant, otherwise 0;
/// - R-precision: Σ_{i≤R} rel(i) / R;
/// - MAP@R: (1/R) Σ_{i≤R} P(i)·rel(i) (Musgrave et al., "A Metric Learning Reality Check", 2020);
/// - average precision: (1/R) Σ_i P(i)·rel(i) over all ranks, as a finite sum;
/// - reciprocal rank: 1 / rank of the first relevant item.
///
/// Items at equal distance have no order: each figure is then its expected value over all
/// orderings of the tied items, so the order of the rows changes nothing. Queries without a
/// relevant item are skipped and counted. The figures do not depend on the number of threads.
///
/// Time is O(Q·G·(D + log R)), memory O(G) a thread and O(Q) for the result.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Retrieval {
    /// Queries judged.
    pub queries: u64,
    /// Items searched; in leave-one-out all items, though none finds itself.
    pub gallery: u64,
    /// Queries left out because the gallery holds no item of their class.
    pub skipped_queries: u64,
    /// Share of the queries with a relevant item among the first K, by K of [`RECALL_RANKS`].
    pub recall_at_k: BTreeMap<usize, f64>,
    /// Mean R-precision.
    pub r_precision: f64,
    /// Mean average precision cut at R.
    pub map_at_r: f64,
    /// Mean average precision.
    pub map: f64,
    /// Mean reciprocal rank.
    pub mrr: f64,
    /// How far these figures would vary with other classes of the same kind.
    pub ci95: ConfidenceIntervals,
    /// The judgement of every query that was not skipped, by rising query index.
    #[serde(skip)]
    pub per_query: Vec<QueryJudgement>,
}

/// 95 % intervals \[low, high\], by the bootstrap [over the queries' classes](bootstrap) with its
/// default resamples and seed.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct ConfidenceIntervals {
    /// Of Recall@1.
    pub recall_at_1: [f64; 2],
    /// Of the mean R-precision.
    pub r_precision: [f64; 2],
    /// Of MAP@R.
    pub map_at_r: [f64; 2],
    /// Of the mean average precision.
    pub map: [f64; 2],
    /// Of the mean reciprocal rank.
    pub mrr: [f64; 2],
}

/// What one query was given.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct QueryJudgement {
    /// Row of the query.
    pub query: u32,
    /// R, its relevant items in the gallery; at least 1.
    pub relevant: u64,
    /// The probability that a nearest item is relevant: 0 or 1 unless the nearest tie.
    pub recall_at_1: f64,
    /// R-precision.
    pub r_precision: f64,
    /// Average precision cut at R.
    pub map_at_r: f64,
    /// Average precision over all ranks.
    pub average_precision: f64,
    /// 1 / rank of the first relevant item.
    pub reciprocal_rank: f64,
}

impl Retrieval {
    /// Every item in turn queries all the others.
    ///
    /// An item is never its own match, by identity and not by rank: a duplicate of it is.
    ///
    /// # Shapes
    /// - embeddings: N×D; labels: N
    ///
    /// # Errors
    /// Another count of labels than of rows; vectors that are not finite, too long, or without
    /// dimensions; no class with two items.
    pub fn leave_one_out(
        embeddings: ArrayView2<f32>,
        labels: &Labels,
        metric: Metric,
    ) -> Result<Self, Error> {
        matches_rows(labels, embeddings)?;
        let points = Points::new(embeddings, metric)?;
        let items = labels.items_by_class();
        let ranks = recall_ranks(points.len());
        let answers = points.sweep(&points, |query, distances| {
            // Farther than anything, and not among the relevant: the query takes no part.
            distances[query] = f32::INFINITY;
            let class = &items[labels.classes()[query] as usize];
            let others = class.iter().map(|&item| item as usize);
            let ranking = Ranking::new(distances, others.filter(|&item| item != query))?;
            Some(Answer::new(query, &ranking, &ranks))
        });
        Self::collect(answers, labels, points.len(), &ranks)
    }

    /// Every query searches the gallery; classes are matched by name.
    ///
    /// # Shapes
    /// - queries: Q×D; query_labels: Q; gallery: G×D; gallery_labels: G
    ///
    /// # Errors
    /// Another count of labels than of rows; vectors that are not finite, too long, without
    /// dimensions, or of different dimensions; no query with an item of its class in the gallery.
    pub fn query_gallery(
        queries: ArrayView2<f32>,
        query_labels: &Labels,
        gallery: ArrayView2<f32>,
        gallery_labels: &Labels,
        metric: Metric,
    ) -> Result<Self, Error> {
        matches_rows(query_labels, queries)?;
        matches_rows(gallery_labels, gallery)?;
        let gallery = Points::new(gallery, metric)?;
        let queries = gallery.beside(queries)?;
        let items = gallery_labels.items_by_class();
        let by_name: HashMap<&str, &Vec<u32>> = items
            .iter()
            .enumerate()
            .map(|(class, items)| (gallery_labels.name(class as u32), items))
            .collect();
        let relevant: Vec<Option<&Vec<u32>>> = (0..query_labels.class_count())
            .map(|class| by_name.get(query_labels.name(class as u32)).copied())
            .collect();
        let ranks = recall_ranks(gallery.len());
        let answers = queries.sweep(&gallery, |query, distances| {
            let items = relevant[query_labels.classes()[query] as usize]?;
            let ranking = Ranking::new(distances, items.iter().map(|&item| item as usize))?;
            Some(Answer::new(query, &ranking, &ranks))
        });
        Self::collect(answers, query_labels, gallery.len(), &ranks)
    }

    /// Share of the queries with a relevant item among the first `k`, if `k` is among the ranks
    /// judged.
    pub fn recall_at(&self, k: usize) -> Option<f64> {
        self.recall_at_k.get(&k).copied()
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
        let recall_at_k = ranks
            .iter()
            .enumerate()
            .map(|(place, &rank)| (rank, mean(answers.iter().map(|answer| answer.recall[place]))))
            .collect();
        let per_query: Vec<QueryJudgement> =
            answers.into_iter().map(|answer| answer.judgement).collect();
        let mean_of = |figure: fn(&QueryJudgement) -> f64| mean(per_query.iter().map(figure));
        Ok(Self {
            queries: per_query.len() as u64,
            gallery: gallery as u64,
            skipped_queries: (asked - per_query.len()) as u64,
            recall_at_k,
            r_precision: mean_of(|query| query.r_precision),
            map_at_r: mean_of(|query| query.map_at_r),
            map: mean_of(|query| query.average_precision),
            mrr: mean_of(|query| query.reciprocal_rank),
            ci95: ConfidenceIntervals::new(&per_query, labels)?,
            per_query,
        })
    }
}

impl ConfidenceIntervals {
    fn new(per_query: &[QueryJudgement], labels: &Labels) -> Result<Self, Error> {
        let classes: Vec<u32> =
            per_query.iter().map(|judged| labels.classes()[judged.query as usize]).collect();
        let interval = |figure: fn(&QueryJudgement) -> f64| {
            let values: Vec<f64> = per_query.iter().map(figure).collect();
            bootstrap::over_classes(&values, &classes, bootstrap::RESAMPLES, bootstrap::SEED)
        };
        Ok(Self {
            recall_at_1: interval(|query| query.recall_at_1)?,
            r_precision: interval(|query| query.r_precision)?,
            map_at_r: interval(|query| query.map_at_r)?,
            map: interval(|query| query.average_precision)?,
            mrr: interval(|query| query.reciprocal_rank)?,
        })
    }
}

/// A judgement, with recall at all the ranks judged.
struct Answer {
    judgement: QueryJudgement,
    recall: Vec<f64>,
}

impl Answer {
    fn new(query: usize, ranking: &Ranking, ranks: &[usize]) -> Self {
        Self {
            judgement: QueryJudgement {
                query: query as u32,
                relevant: ranking.relevant() as u64,
                recall_at_1: ranking.recall_at(1),
                r_precision: ranking.r_precision(),
                map_at_r: ranking.average_precision_at_r(),
                average_precision: ranking.average_precision(),
                reciprocal_rank: ranking.reciprocal_rank(),
            },
            recall: ranks.iter().map(|&rank| ranking.recall_at(rank)).collect(),
        }
    }
}

fn recall_ranks(gallery: usize) -> Vec<usize> {
    let judged = |&rank: &usize| rank < DEEP_RANK || rank < gallery;
    RECALL_RANKS.into_iter().filter(judged).collect()
}

fn matches_rows(labels: &Labels, embeddings: ArrayView2<f32>) -> Result<(), Error> {
    let (rows, labels) = (embeddings.nrows(), labels.len());
    if rows == labels { Ok(()) } else { Err(Error::LabelCount { rows, labels }) }
}

fn mean(values: impl ExactSizeIterator<Item = f64>) -> f64 {
    let count = values.len() as f64;
    values.sum::<f64>() / count
}

#[cfg(test)]
mod tests {
    use ndarray::{Array2, Axis, array};
    use proptest::prelude::*;

    use super::*;

    fn line(positions: &[f32]) -> Array2<f32> {
        Array2::from_shape_vec((positions.len(), 1), positions.to_vec()).unwrap()
    }

    fn leave_one_out(positions: &[f32], labels: &[u8]) -> Retrieval {
        let labels = labels.iter().collect();
        Retrieval::leave_one_out(line(positions).view(), &labels, Metric::default()).unwrap()
    }

    fn close(got: f64, expected: f64) -> bool {
        (got - expected).abs() < 1e-12
    }

    #[test]
    fn a_worked_example() {
        // The query at 0 sees relevance [1, 0, 1, 0].
        let judged = leave_one_out(&[0.0, 1.0, 2.0, 3.0, 4.0], &[0, 0, 1, 0, 2]);
        assert_eq!((judged.queries, judged.gallery, judged.skipped_queries), (3, 5, 2));
        let first = judged.per_query[0];
        assert_eq!((first.query, first.relevant), (0, 2));
        assert!(close(first.average_precision, 5.0 / 6.0));
        assert!(close(first.map_at_r, 0.5));
        assert!(close(first.r_precision, 0.5));
        // At 1 the items at 0 and 2 tie: half the time it sees [1, 0, 1, 0], half [0, 1, 1, 0].
        let second = judged.per_query[1];
        assert!(close(second.recall_at_1, 0.5));
        assert!(close(second.average_precision, (5.0 / 6.0 + 7.0 / 12.0) / 2.0));
        assert!(close(second.reciprocal_rank, 0.75));
        assert_eq!(judged.recall_at(5), Some(1.0));
        assert_eq!(judged.recall_at(3), None);
    }

    #[test]
    fn a_duplicate_is_a_match_and_the_query_is_not() {
        let judged = leave_one_out(&[0.0, 0.0, 5.0, 5.0], &[0, 1, 0, 1]);
        assert_eq!(judged.recall_at(1), Some(0.0));
        let judged = leave_one_out(&[0.0, 0.0, 5.0, 5.0], &[0, 0, 1, 1]);
        assert_eq!(judged.recall_at(1), Some(1.0));
        assert_eq!(judged.map_at_r(), 1.0);
    }

    #[test]
    fn collapsed_embeddings_get_chance() {
        // 4 items of one class, 4 of another: 3 of the 7 others are relevant.
        let judged = leave_one_out(&[2.5; 8], &[0, 0, 0, 0, 1, 1, 1, 1]);
        assert!(close(judged.recall_at(1).unwrap(), 3.0 / 7.0));
        assert!(close(judged.r_precision(), 3.0 / 7.0));
        assert!(judged.ci95.map.iter().all(|&bound| close(bound, judged.map())));
    }

    #[test]
    fn one_class_is_always_found() {
        let judged = leave_one_out(&[1.0, 7.0, 3.0], &[4, 4, 4]);
        let figures = [judged.map(), judged.mrr(), judged.r_precision(), judged.map_at_r()];
        assert_eq!(figures, [1.0; 4]);
        assert_eq!(judged.ci95.recall_at_1, [1.0, 1.0]);
    }

    #[test]
    fn lone_classes_leave_nothing_to_judge() {
        let labels = Labels::from_iter([0, 1, 2]);
        let points = line(&[0.0, 1.0, 2.0]);
        let error = Retrieval::leave_one_out(points.view(), &labels, Metric::default());
        assert_eq!(
            error.unwrap_err().to_string(),
            "retrieval needs a query with another item of its class to find, \
             got none among 3 queries and 3 gallery items"
        );
        let short = Labels::from_iter([0, 0]);
        let error = Retrieval::leave_one_out(points.view(), &short, Metric::default());
        assert_eq!(error.unwrap_err(), Error::LabelCount { rows: 3, labels: 2 });
        let nobody = Labels::from_iter([7, 7, 7]);
        let other = Retrieval::query_gallery(
            points.view(),
            &labels,
            points.view(),
            &nobody,
            Metric::default(),
        );
        assert!(matches!(other, Err(Error::NotEnough { .. })));
    }

    #[test]
    fn classes_meet_by_name() {
        let queries = array![[0.0_f32], [10.0], [20.0]];
        let gallery = array![[1.0_f32], [9.0], [2.0]];
        let judged = Retrieval::query_gallery(
            queries.view(),
            &Labels::from_iter(["bob", "ann", "eve"]),
            gallery.view(),
            &Labels::from_iter(["ann", "ann", "bob"]),
            Metric::default(),
        )
        .unwrap();
        assert_eq!((judged.queries, judged.gallery, judged.skipped_queries), (2, 3, 1));
        assert_eq!(judged.per_query[0].reciprocal_rank, 0.5);
        assert!(close(judged.per_query[1].average_precision, 5.0 / 6.0));
    }

    #[test]
    fn deep_recall_needs_a_deep_gallery() {
        let positions: Vec<f32> = (0..101).map(|i| i as f32).collect();
        let judged = leave_one_out(&positions, &[0; 101]);
        assert_eq!(judged.recall_at(100), Some(1.0));
        let judged = leave_one_out(&positions[..100], &[0; 100]);
        assert_eq!(judged.recall_at(100), None);
    }

    #[test]
    fn keys_are_those_of_the_contract() {
        let judged = leave_one_out(&[0.0, 1.0, 5.0, 6.0], &[0, 0, 1, 1]);
        let json = serde_json::to_string(&judged).unwrap();
        assert_eq!(
            json,
            r#"{"queries":4,"gallery":4,"skipped_queries":0,"#.to_owned()
                + r#""recall_at_k":{"1":1.0,"2":1.0,"4":1.0,"5":1.0,"8":1.0,"10":1.0},"#
                + r#""r_precision":1.0,"map_at_r":1.0,"map":1.0,"mrr":1.0,"#
                + r#""ci95":{"recall_at_1":[1.0,1.0],"r_precision":[1.0,1.0],"#
                + r#""map_at_r":[1.0,1.0],"map":[1.0,1.0],"mrr":[1.0,1.0]}}"#
        );
    }

    #[test]
    fn the_thread_count_changes_nothing() {
        let embeddings =
            Array2::from_shape_fn((300, 5), |(i, j)| ((i * 131 + j * 71 + i * i) % 97) as f32);
        let labels = (0..300).map(|i| i % 23).collect();
        let judged = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| {
                Retrieval::leave_one_out(embeddings.view(), &labels, Metric::default()).unwrap()
            })
        };
        assert_eq!(judged(1), judged(3));
    }

    /// Integer coordinates, so that distances are exact and do tie.
    fn items() -> impl Strategy<Value = Vec<(i8, i8, u8)>> {
        prop::collection::vec((-3_i8..4, -3_i8..4, 0_u8..4), 2..30)
    }

    fn arrays(items: &[(i8, i8, u8)]) -> (Array2<f32>, Labels) {
        let embeddings = Array2::from_shape_fn((items.len(), 2), |(row, column)| {
            f32::from(if column == 0 { items[row].0 } else { items[row].1 })
        });
        (embeddings, items.iter().map(|item| item.2).collect())
    }

    proptest! {
        #[test]
        fn the_order_of_the_items_changes_nothing(items in items(), rotation in 0_usize..30) {
            let (embeddings, labels) = arrays(&items);
            let judged = Retrieval::leave_one_out(embeddings.view(), &labels, Metric::default());
            let mut moved = items.clone();
            moved.reverse();
            moved.rotate_left(rotation % items.len());
            let (embeddings, labels) = arrays(&moved);
            let again = Retrieval::leave_one_out(embeddings.view(), &labels, Metric::default());
            match (judged, again) {
                (Ok(judged), Ok(again)) => {
                    prop_assert_eq!(judged.skipped_queries, again.skipped_queries);
                    prop_assert!(close(judged.map(), again.map()));
                    prop_assert!(close(judged.map_at_r(), again.map_at_r()));
                    prop_assert!(close(judged.r_precision(), again.r_precision()));
                    prop_assert!(close(judged.mrr(), again.mrr()));
                    for (rank, recall) in &judged.recall_at_k {
                        prop_assert!(close(*recall, again.recall_at_k[rank]));
                    }
                }
                (judged, again) => prop_assert_eq!(judged, again),
            }
        }

        #[test]
        fn leaving_one_out_is_a_gallery_of_the_others(items in items()) {
            let (embeddings, labels) = arrays(&items);
            let metric = Metric::default();
            let judged = Retrieval::leave_one_out(embeddings.view(), &labels, metric);
            let judged = judged.map(|judged| judged.per_query).unwrap_or_default();
            let mut judged = judged.into_iter().peekable();
            for query in 0..items.len() {
                let others: Vec<usize> = (0..items.len()).filter(|&item| item != query).collect();
                let numbers: Vec<u32> = others.iter().map(|&item| item as u32).collect();
                let by_hand = Retrieval::query_gallery(
                    embeddings.select(Axis(0), &[query]).view(),
                    &labels.select(&[query as u32]),
                    embeddings.select(Axis(0), &others).view(),
                    &labels.select(&numbers),
                    metric,
                );
                if let Ok(by_hand) = by_hand {
                    let expected = QueryJudgement { query: query as u32, ..by_hand.per_query[0] };
                    prop_assert_eq!(judged.next(), Some(expected));
                } else {
                    prop_assert!(judged.peek().is_none_or(|next| next.query as usize != query));
                }
            }
        }
    }
}
