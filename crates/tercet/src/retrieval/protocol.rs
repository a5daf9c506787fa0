//! The protocol of retrieval: which items are queries and gallery, and which are left out.

use std::collections::HashMap;

use ndarray::ArrayView2;

use super::{Answer, Retrieval};
use crate::distance::Points;
use crate::ranking::Ranking;
use crate::reranking::Reranked;
use crate::{Error, Labels, Metric, SameItems};

/// The default ranks at which recall and precision are evaluated.
///
/// They are those of the common benchmarks: 1, 2, 4, 8 (CUB-200, Cars-196), 1, 5, 10
/// (re-identification), and, only if the gallery has more items than that, 100 and 1,000 (Stanford
/// Online Products).
pub const RECALL_RANKS: [usize; 8] = [1, 2, 4, 5, 8, 10, 100, 1_000];

/// From this rank on, recall is by default evaluated only in a larger gallery.
const DEEP_RANK: usize = 100;

/// How retrieval is evaluated.
///
/// ```
/// use ndarray::array;
/// use tercet::{Labels, Metric, retrieval::Protocol};
/// let vectors = array![[0.0_f32], [1.0], [5.0], [6.0]];
/// let labels = Labels::from_iter([0, 0, 1, 1]);
/// let protocol = Protocol::new(Metric::default()).at_ranks([1, 3])?;
/// let judged = protocol.leave_one_out(vectors.view(), &labels)?;
/// assert_eq!(judged.precision_at(3), Some(1.0 / 3.0));
/// # Ok::<(), tercet::Error>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Protocol {
    metric: Metric,
    ranks: Option<Vec<usize>>,
    same: Option<SameItems>,
}

impl Protocol {
    /// Retrieval by distance in `metric`, at the default ranks.
    pub fn new(metric: Metric) -> Self {
        Self { metric, ranks: None, same: None }
    }

    /// Evaluates recall and precision at these ranks instead of [`RECALL_RANKS`], in any order.
    ///
    /// # Errors
    /// No rank, or rank 0.
    pub fn at_ranks(self, ranks: impl IntoIterator<Item = usize>) -> Result<Self, Error> {
        let mut ranks: Vec<usize> = ranks.into_iter().collect();
        ranks.sort_unstable();
        ranks.dedup();
        if ranks.first().is_none_or(|&least| least == 0) {
            return Err(Error::parameter(
                "ranks",
                format!("{ranks:?}"),
                "at least one rank, counted from 1",
            ));
        }
        Ok(Self { ranks: Some(ranks), ..self })
    }

    /// Leaves the rows that hold the query's own item out of the search of each query: they count
    /// neither as found nor as missed.
    ///
    /// For [`leave_one_out`](Self::leave_one_out), which leaves out the query's own row in any
    /// case, these are [further rows](SameItems::within) of the same item. Every function of this
    /// protocol refuses a `same` of another number of queries or of a larger gallery.
    pub fn excluding(self, same: SameItems) -> Self {
        Self { same: Some(same), ..self }
    }

    /// The metric.
    pub fn metric(&self) -> Metric {
        self.metric
    }

    /// The ranks evaluated in a gallery of this number of items, in increasing order.
    pub fn ranks(&self, gallery: usize) -> Vec<usize> {
        let judged = |&rank: &usize| rank < DEEP_RANK || rank < gallery;
        let default = || RECALL_RANKS.into_iter().filter(judged).collect();
        self.ranks.clone().unwrap_or_else(default)
    }

    /// Evaluates every item in turn as a query among all others.
    ///
    /// An item is never its own match, by identity and not by rank: a duplicate of it may be.
    ///
    /// # Shapes
    /// - embeddings: N×D; labels: N
    ///
    /// # Errors
    /// A number of labels that differs from that of rows; vectors that are not finite, too long, or
    /// without dimensions; no class with two items.
    pub fn leave_one_out(
        &self,
        embeddings: ArrayView2<f32>,
        labels: &Labels,
    ) -> Result<Retrieval, Error> {
        matches_rows(labels, embeddings)?;
        self.check_same(labels.len(), labels.len())?;
        let points = Points::new(embeddings, self.metric)?;
        self.each_in_turn(labels, |judge| points.sweep(&points, judge))
    }

    /// [`leave_one_out`](Self::leave_one_out) by [re-ranked](crate::reranking::KReciprocal::leave_one_out) distances.
    ///
    /// # Errors
    /// A number of labels that differs from that of items; no class with two items.
    pub fn leave_one_out_reranked(
        &self,
        reranked: &Reranked,
        labels: &Labels,
    ) -> Result<Retrieval, Error> {
        matches(labels, reranked.queries())?;
        matches(labels, reranked.gallery())?;
        self.check_same(labels.len(), labels.len())?;
        self.each_in_turn(labels, |judge| reranked.sweep(judge))
    }

    /// `sweep` calls its argument with the distances of every item to all items.
    fn each_in_turn(
        &self,
        labels: &Labels,
        sweep: impl FnOnce(&Judge) -> Vec<Option<Answer>>,
    ) -> Result<Retrieval, Error> {
        let items = labels.items_by_class();
        let ranks = self.ranks(labels.len());
        let answers = sweep(&|query, distances| {
            distances[query] = f32::INFINITY;
            let class = &items[labels.classes()[query] as usize];
            Some(Answer::new(query, &self.ranking(query, distances, class)?, &ranks))
        });
        Retrieval::collect(answers, labels, labels.len(), &ranks)
    }

    /// Evaluates every query in the gallery. Classes are matched by name.
    ///
    /// # Shapes
    /// - queries: Q×D; query_labels: Q; gallery: G×D; gallery_labels: G
    ///
    /// # Errors
    /// A number of labels that differs from that of rows; vectors that are not finite, too long,
    /// without dimensions, or of different dimensions; no query with an item of its class in the
    /// gallery.
    pub fn query_gallery(
        &self,
        queries: ArrayView2<f32>,
        query_labels: &Labels,
        gallery: ArrayView2<f32>,
        gallery_labels: &Labels,
    ) -> Result<Retrieval, Error> {
        let points = between(queries, query_labels, gallery, gallery_labels, self.metric)?;
        let relevant = Relevant::new(query_labels, gallery_labels);
        self.judge(&relevant, |judge| points.0.sweep(&points.1, judge), |_, _| ())
    }

    /// [`query_gallery`](Self::query_gallery) by [re-ranked](crate::reranking::KReciprocal::query_gallery) distances.
    ///
    /// # Errors
    /// Numbers of labels that differ from those of items; no query with an item of its class in the
    /// gallery.
    pub fn query_gallery_reranked(
        &self,
        reranked: &Reranked,
        query_labels: &Labels,
        gallery_labels: &Labels,
    ) -> Result<Retrieval, Error> {
        matches(query_labels, reranked.queries())?;
        matches(gallery_labels, reranked.gallery())?;
        let relevant = Relevant::new(query_labels, gallery_labels);
        self.judge(&relevant, |judge| reranked.sweep(judge), |_, _| ())
    }

    /// [`query_gallery`](Self::query_gallery), where some (query, gallery item) pairs are left out:
    /// the item counts neither as found nor as missed.
    ///
    /// `excluded` is called once for each of the Q×G pairs, with their rows.
    ///
    /// # Errors
    /// The errors of [`query_gallery`](Self::query_gallery).
    pub fn query_gallery_without(
        &self,
        queries: ArrayView2<f32>,
        query_labels: &Labels,
        gallery: ArrayView2<f32>,
        gallery_labels: &Labels,
        excluded: impl Fn(usize, usize) -> bool + Sync,
    ) -> Result<Retrieval, Error> {
        let points = between(queries, query_labels, gallery, gallery_labels, self.metric)?;
        let relevant = Relevant::new(query_labels, gallery_labels);
        self.judge(
            &relevant,
            |judge| points.0.sweep(&points.1, judge),
            |query, distances| {
                for (item, distance) in distances.iter_mut().enumerate() {
                    if excluded(query, item) {
                        *distance = f32::INFINITY;
                    }
                }
            },
        )
    }

    /// `leave_out` sets the distances of items that are left out to infinity.
    fn judge(
        &self,
        relevant: &Relevant,
        sweep: impl FnOnce(&Judge) -> Vec<Option<Answer>>,
        leave_out: impl Fn(usize, &mut [f32]) + Sync,
    ) -> Result<Retrieval, Error> {
        self.check_same(relevant.query_labels.len(), relevant.gallery)?;
        let ranks = self.ranks(relevant.gallery);
        let answers = sweep(&|query, distances| {
            leave_out(query, distances);
            let ranking = self.ranking(query, distances, relevant.to(query))?;
            Some(Answer::new(query, &ranking, &ranks))
        });
        Retrieval::collect(answers, relevant.query_labels, relevant.gallery, &ranks)
    }

    /// The ranks of the relevant items, without those that hold the query's own item or already
    /// have an infinite distance, or `None` if no relevant item remains.
    fn ranking(&self, query: usize, distances: &mut [f32], relevant: &[u32]) -> Option<Ranking> {
        for &item in self.same.as_ref().map_or(&[][..], |same| same.of(query)) {
            distances[item as usize] = f32::INFINITY;
        }
        // Distances are finite, so infinity marks items that are left out.
        let items = relevant.iter().map(|&item| item as usize);
        let found: Vec<usize> = items.filter(|&item| distances[item].is_finite()).collect();
        Ranking::new(distances, found.into_iter())
    }

    fn check_same(&self, queries: usize, gallery: usize) -> Result<(), Error> {
        self.same.as_ref().map_or(Ok(()), |same| same.check(queries, gallery))
    }

    /// The rows that are the query's own item, in addition to its own row in leave-one-out.
    pub(super) fn same(&self) -> Option<&SameItems> {
        self.same.as_ref()
    }
}

/// Computes the figures of a query from its distances.
type Judge<'a> = dyn Fn(usize, &mut [f32]) -> Option<Answer> + Sync + 'a;

/// Checks queries and gallery.
fn between(
    queries: ArrayView2<f32>,
    query_labels: &Labels,
    gallery: ArrayView2<f32>,
    gallery_labels: &Labels,
    metric: Metric,
) -> Result<(Points, Points), Error> {
    matches_rows(query_labels, queries)?;
    matches_rows(gallery_labels, gallery)?;
    let gallery = Points::new(gallery, metric)?;
    let queries = gallery.beside(queries)?;
    Ok((queries, gallery))
}

/// Which gallery items belong to which query.
struct Relevant<'a> {
    query_labels: &'a Labels,
    /// The number of gallery items.
    gallery: usize,
    /// The gallery items of each class of the queries.
    items: Vec<Vec<u32>>,
}

impl<'a> Relevant<'a> {
    fn new(query_labels: &'a Labels, gallery_labels: &Labels) -> Self {
        let items = gallery_labels.items_by_class();
        let mut by_name: HashMap<&str, Vec<u32>> = items
            .into_iter()
            .enumerate()
            .map(|(class, items)| (gallery_labels.name(class as u32), items))
            .collect();
        let items = (0..query_labels.class_count() as u32)
            .map(|class| by_name.remove(query_labels.name(class)).unwrap_or_default())
            .collect();
        Self { query_labels, gallery: gallery_labels.len(), items }
    }

    fn to(&self, query: usize) -> &[u32] {
        &self.items[self.query_labels.classes()[query] as usize]
    }
}

fn matches(labels: &Labels, rows: usize) -> Result<(), Error> {
    let labels = labels.len();
    if rows == labels { Ok(()) } else { Err(Error::LabelCount { rows, labels }) }
}

pub(super) fn matches_rows(labels: &Labels, embeddings: ArrayView2<f32>) -> Result<(), Error> {
    matches(labels, embeddings.nrows())
}
