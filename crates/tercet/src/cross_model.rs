//! Retrieval across models: queries of one model in a gallery of another.
//!
//! When a model is replaced, four cases matter: old and new queries in an old and in a new gallery.
//! Whether the gallery must be computed again is answered by their differences.

use std::collections::BTreeMap;

use ndarray::ArrayView2;
use serde::Serialize;

use crate::comparison::{Difference, RESAMPLES, Scores, compare};
use crate::retrieval::{Protocol, QueryJudgement};
use crate::{Error, Labels, Metric, Retrieval, SameItems};

/// One case: the vectors of the same items as queries and as gallery.
#[derive(Debug, Clone, Copy)]
pub struct Case<'a> {
    /// Its name, such as `new_old` for new queries in the old gallery.
    pub name: &'static str,
    /// The vector of each item as a query, N×D.
    pub queries: ArrayView2<'a, f32>,
    /// The vector of each item in the gallery, N×D.
    pub gallery: ArrayView2<'a, f32>,
    /// The metric in which they are compared.
    pub metric: Metric,
}

/// The figures of all cases on the same items, and their differences.
#[derive(Debug, Clone, Serialize)]
pub struct CrossModel {
    /// Retrieval of each case by its name.
    pub table: BTreeMap<&'static str, Retrieval>,
    /// The difference of every two cases in Recall@1 and MAP@R, each corrected for the number of
    /// differences in that figure. Empty if the items have fewer than two classes.
    pub differences: Vec<Tested>,
}

/// The difference of two cases in one figure.
#[derive(Debug, Clone, Serialize)]
pub struct Tested {
    /// `recall_at_1` or `map_at_r`.
    pub figure: &'static str,
    /// The tested difference, second − first.
    #[serde(flatten)]
    pub difference: Difference,
}

/// The figures whose differences are tested.
type Figure = (&'static str, fn(&QueryJudgement) -> f64);

const FIGURES: [Figure; 2] =
    [("recall_at_1", |query| query.recall_at_1), ("map_at_r", |query| query.map_at_r)];

impl CrossModel {
    /// Evaluates every item in turn as a query among all others, in each case; an item is never its
    /// own match, whichever model computed the two vectors. Classes are resampled with `seed`.
    ///
    /// ```
    /// use ndarray::array;
    /// use tercet::{CrossModel, Labels, Metric, cross_model::Case};
    /// let labels = Labels::from_iter(["ann", "ann", "bob", "bob"]);
    /// let old = array![[0.0_f32], [3.0], [2.0], [5.0]];
    /// let new = array![[0.0_f32], [1.0], [5.0], [6.0]];
    /// let metric = Metric::default();
    /// let case = |name, gallery| Case { name, queries: new.view(), gallery, metric };
    /// let cases = [case("new_old", old.view()), case("new_new", new.view())];
    /// let measured = CrossModel::measure(&cases, &labels, 0)?;
    /// assert_eq!(measured.table["new_new"].recall_at(1), Some(1.0));
    /// assert!(measured.table["new_old"].map_at_r() < 1.0);
    /// # Ok::<(), tercet::Error>(())
    /// ```
    ///
    /// # Errors
    /// A number of labels that differs from that of rows; vectors that are not finite, too long, or of
    /// different dimensions; no class with two items.
    pub fn measure(cases: &[Case], labels: &Labels, seed: u64) -> Result<Self, Error> {
        let mut judged = Vec::new();
        for case in cases {
            let own = SameItems::by_key(0..labels.len(), 0..labels.len());
            let protocol = Protocol::new(case.metric).excluding(own);
            let found = protocol.query_gallery(case.queries, labels, case.gallery, labels)?;
            judged.push((case.name, found));
        }
        let mut differences = Vec::new();
        for (figure, of) in FIGURES {
            let scores: Vec<(&str, Scores)> =
                judged.iter().map(|(name, judged)| (*name, judged.scores(of))).collect();
            let systems: Vec<(&str, &Scores)> =
                scores.iter().map(|(name, scores)| (*name, scores)).collect();
            let tested = match compare(&systems, labels, RESAMPLES, seed) {
                Err(Error::NotEnough { .. }) => Vec::new(),
                tested => tested?,
            };
            differences.extend(tested.into_iter().map(|difference| Tested { figure, difference }));
        }
        Ok(Self { table: judged.into_iter().collect(), differences })
    }

    /// The tested difference of two cases in a figure, in the order in which they were measured.
    pub fn difference(&self, figure: &str, first: &str, second: &str) -> Option<&Difference> {
        let is_asked = |tested: &&Tested| {
            tested.figure == figure
                && tested.difference.first == first
                && tested.difference.second == second
        };
        self.differences.iter().find(is_asked).map(|tested| &tested.difference)
    }
}

#[cfg(test)]
mod tests {
    use ndarray::Array2;

    use super::*;

    /// Items of ten classes: the class as the first component, with noise in all.
    fn vectors(noise: f32, seed: usize) -> Array2<f32> {
        Array2::from_shape_fn((60, 3), |(row, column)| {
            let drawn = ((row * 37 + column * 101 + seed * 13 + row * row * 7) % 89) as f32 / 44.5;
            noise * (drawn - 1.0) + if column == 0 { (row % 10) as f32 } else { 0.0 }
        })
    }

    #[test]
    fn a_case_of_one_model_is_leave_one_out() {
        let (labels, vectors) = (Labels::from_iter((0..60).map(|row| row % 10)), vectors(0.8, 1));
        let metric = Metric::default();
        let case =
            Case { name: "old_old", queries: vectors.view(), gallery: vectors.view(), metric };
        let measured = CrossModel::measure(&[case], &labels, 0).unwrap();
        let own = Retrieval::leave_one_out(vectors.view(), &labels, metric).unwrap();
        let [crossed, own] = [&measured.table["old_old"], &own].map(|found| {
            (found.map_at_r(), found.recall_at(1), found.queries, found.ci95.map_at_r)
        });
        assert_eq!(crossed, own);
        assert!(measured.differences.is_empty(), "one case has no difference");
    }

    #[test]
    fn a_better_model_is_found_better() {
        let labels = Labels::from_iter((0..60).map(|row| row % 10));
        let (old, new) = (vectors(1.5, 1), vectors(0.1, 2));
        let metric = Metric::default();
        let cases = [("old_old", &old, &old), ("new_old", &new, &old), ("new_new", &new, &new)]
            .map(|(name, queries, gallery)| Case {
                name,
                queries: queries.view(),
                gallery: gallery.view(),
                metric,
            });
        let measured = CrossModel::measure(&cases, &labels, 3).unwrap();
        let gain = |second| measured.difference("map_at_r", "old_old", second).unwrap();
        assert!(gain("new_new").real && gain("new_new").difference > gain("new_old").difference);
        assert_eq!(measured.differences.len(), 6);
        assert!(measured.difference("map_at_r", "new_new", "old_old").is_none());
    }

    #[test]
    fn one_class_has_figures_and_no_differences() {
        let (labels, old) = (Labels::from_iter(["ann"; 60]), vectors(1.0, 1));
        let case = |name| Case {
            name,
            queries: old.view(),
            gallery: old.view(),
            metric: Metric::default(),
        };
        let measured = CrossModel::measure(&[case("a"), case("b")], &labels, 0).unwrap();
        assert_eq!((measured.table.len(), measured.differences.len()), (2, 0));
    }
}
