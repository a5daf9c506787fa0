//! Examples: single queries with the items that they found.

use ndarray::{ArrayView2, Axis};
use serde::Serialize;

use super::protocol::matches_rows;
use super::{Protocol, QueryJudgement};
use crate::neighbors::{self, Neighbor};
use crate::{Error, Labels, SameItems};

/// A query with its nearest items.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Example {
    /// The figures of the query.
    #[serde(flatten)]
    pub judgement: QueryJudgement,
    /// Its nearest items, nearest first; ties by row.
    pub nearest: Vec<Match>,
}

/// An item that was found.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Match {
    /// The row in the gallery.
    pub index: u32,
    /// Its distance from the query.
    pub distance: f32,
    /// Whether it is of the query's class.
    pub relevant: bool,
}

impl Protocol {
    /// The `k` nearest other items of some of the queries of
    /// [`leave_one_out`](Self::leave_one_out), for example of its [worst](super::Retrieval::worst).
    ///
    /// # Errors
    /// The errors of [`neighbors::nearest_leave_one_out`], and a number of labels that differs from
    /// that of rows.
    pub fn examples_leave_one_out(
        &self,
        judged: &[QueryJudgement],
        embeddings: ArrayView2<f32>,
        labels: &Labels,
        k: usize,
    ) -> Result<Vec<Example>, Error> {
        matches_rows(labels, embeddings)?;
        let rows: Vec<u32> = judged.iter().map(|judgement| judgement.query).collect();
        let more = self.most_excluded();
        let found = neighbors::nearest_leave_one_out(embeddings, &rows, k + more, self.metric())?;
        Ok(examples(judged, self.without_same(judged, found, k), labels, labels))
    }

    /// The `k` nearest gallery items of some of the queries of
    /// [`query_gallery`](Self::query_gallery).
    ///
    /// # Errors
    /// The errors of [`neighbors::nearest`]; a number of labels that differs from that of rows; a
    /// query that does not exist.
    pub fn examples(
        &self,
        judged: &[QueryJudgement],
        queries: ArrayView2<f32>,
        query_labels: &Labels,
        gallery: ArrayView2<f32>,
        gallery_labels: &Labels,
        k: usize,
    ) -> Result<Vec<Example>, Error> {
        matches_rows(query_labels, queries)?;
        matches_rows(gallery_labels, gallery)?;
        let rows: Vec<usize> = judged.iter().map(|judgement| judgement.query as usize).collect();
        if let Some(row) = rows.iter().find(|&&row| row >= queries.nrows()) {
            return Err(Error::parameter(
                "row",
                format!("{row} of {} queries", queries.nrows()),
                "a row below the number of queries",
            ));
        }
        let some = queries.select(Axis(0), &rows);
        let more = self.most_excluded();
        let found = neighbors::nearest(some.view(), gallery, k + more, self.metric())?;
        Ok(examples(judged, self.without_same(judged, found, k), query_labels, gallery_labels))
    }

    fn most_excluded(&self) -> usize {
        self.same().map_or(0, SameItems::most)
    }

    fn without_same(
        &self,
        judged: &[QueryJudgement],
        found: Vec<Vec<Neighbor>>,
        k: usize,
    ) -> Vec<Vec<Neighbor>> {
        let own = |judgement: &QueryJudgement| {
            self.same().map_or(&[][..], |same| same.of(judgement.query as usize))
        };
        let others = |(judgement, found): (&QueryJudgement, Vec<Neighbor>)| {
            let own = own(judgement);
            found.into_iter().filter(|near| !own.contains(&near.index)).take(k).collect()
        };
        judged.iter().zip(found).map(others).collect()
    }
}

fn examples(
    judged: &[QueryJudgement],
    found: Vec<Vec<Neighbor>>,
    query_labels: &Labels,
    gallery_labels: &Labels,
) -> Vec<Example> {
    let name = |labels: &Labels, item: u32| labels.name(labels.classes()[item as usize]).to_owned();
    judged
        .iter()
        .zip(found)
        .map(|(&judgement, found)| {
            let class = name(query_labels, judgement.query);
            let nearest = found
                .into_iter()
                .map(|Neighbor { index, distance }| Match {
                    index,
                    distance,
                    relevant: name(gallery_labels, index) == class,
                })
                .collect();
            Example { judgement, nearest }
        })
        .collect()
}
