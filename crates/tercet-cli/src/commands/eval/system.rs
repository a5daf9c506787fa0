//! A system to evaluate: vectors with all data of their items.

use std::borrow::Cow;
use std::collections::HashSet;
use std::sync::Arc;

use ndarray::{Array2, Axis};
use tercet::one_shot::Run;
use tercet::reranking::Reranked;
use tercet::retrieval::Protocol;
use tercet::{Labels, Metric, SameItems};
use tercet_train::data::{BadItem, Catalogue, ItemPair};

use super::classes::Mix;
use super::items::{Items, SameBy};
use crate::table::count;

/// Vectors to evaluate.
#[derive(Clone)]
pub(super) struct System {
    /// The name in the table.
    pub(super) name: String,
    /// The source of the items.
    pub(super) source: String,
    /// Which classes are evaluated: `all`, `held-out` if the model has seen the others, or `named`.
    pub(super) which: &'static str,
    /// How many of the classes the model has seen in training, if that is known.
    pub(super) mix: Option<Mix>,
    /// The metric for the vectors.
    pub(super) metric: Metric,
    /// The vectors, N×D.
    pub(super) vectors: Array2<f32>,
    /// The classes of the N rows.
    pub(super) labels: Labels,
    /// The ids of the N rows.
    pub(super) ids: Vec<String>,
    /// Which rows contain the same item.
    pub(super) items: Items,
    /// The cameras of the N rows, if they are known.
    pub(super) cameras: Option<Vec<String>>,
    /// The rows of the queries and of the gallery; `None` for leave-one-out.
    pub(super) search: Option<Search>,
    /// The list of pairs for verification.
    pub(super) pairs: Option<Vec<ItemPair>>,
    /// The one-shot runs that the source defines.
    pub(super) runs: Option<Vec<Run>>,
    /// The pictures of the rows.
    pub(super) pictures: Option<Catalogue>,
    /// The threshold in the model file.
    pub(super) threshold: Option<f64>,
    /// Items that could not be read.
    pub(super) skipped: Vec<BadItem>,
    /// The processing steps that were applied to the vectors after they were read.
    pub(super) steps: Vec<String>,
    /// Distances that replace those between the vectors.
    pub(super) reranking: Option<Reranking>,
}

/// Distances after re-ranking, which replace those between the vectors.
#[derive(Clone)]
pub(super) struct Reranking(Arc<Reranked>);

impl Reranking {
    pub(super) fn new(distances: Reranked) -> Self {
        Self(Arc::new(distances))
    }

    pub(super) fn distances(&self) -> &Reranked {
        &self.0
    }
}

/// The rows that are queries, and the rows in which they search.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Search {
    pub(super) queries: Vec<u32>,
    pub(super) gallery: Vec<u32>,
}

impl Search {
    /// Whether queries and gallery are the same rows.
    pub(super) fn all_items_are_both(&self) -> bool {
        let sorted = |rows: &[u32]| {
            let mut rows = rows.to_vec();
            rows.sort_unstable();
            rows
        };
        sorted(&self.queries) == sorted(&self.gallery)
    }
}

/// Some rows of a system, with their classes.
pub(super) struct Rows {
    pub(super) vectors: Array2<f32>,
    pub(super) labels: Labels,
}

/// A system without repeated items, and the remark about it.
pub(super) struct Distinct<'a> {
    /// The system with every item once.
    pub(super) system: Cow<'a, System>,
    /// A sentence about the rows left out.
    pub(super) convention: Option<String>,
}

impl System {
    /// Selects rows, as queries or gallery.
    pub(super) fn rows(&self, rows: &[u32]) -> Rows {
        let places: Vec<usize> = rows.iter().map(|&row| row as usize).collect();
        Rows { vectors: self.vectors.select(Axis(0), &places), labels: self.labels.select(rows) }
    }

    /// A system of these rows, in this order; a row may be selected several times. Queries, gallery
    /// and pairs are renumbered, and left out if their rows are.
    pub(super) fn select(&self, rows: &[u32]) -> Self {
        let mut place = vec![None; self.labels.len()];
        for (new, &row) in (0_u32..).zip(rows) {
            place[row as usize].get_or_insert(new);
        }
        let follow = |old: &[u32]| old.iter().filter_map(|&row| place[row as usize]).collect();
        let some = |all: &[String]| rows.iter().map(|&row| all[row as usize].clone()).collect();
        let pair = |pair: &ItemPair| {
            let (first, second) = (place[pair.first as usize]?, place[pair.second as usize]?);
            Some(ItemPair { first, second, ..*pair })
        };
        let Rows { vectors, labels } = self.rows(rows);
        Self {
            vectors,
            labels,
            ids: some(&self.ids),
            items: self.items.select(rows),
            cameras: self.cameras.as_deref().map(some),
            search: self.search.as_ref().map(|search| Search {
                queries: follow(&search.queries),
                gallery: follow(&search.gallery),
            }),
            pairs: self.pairs.as_ref().map(|pairs| pairs.iter().filter_map(pair).collect()),
            pictures: self.pictures.as_ref().map(|pictures| pictures.select(rows)),
            ..self.clone()
        }
    }

    /// The same system, but with a copy of each row that is both a query and in the gallery: the
    /// vectors of one side can then be changed without the other. The rows of the queries do not
    /// move.
    pub(super) fn with_gallery_apart(&self) -> Self {
        let Some(search) = &self.search else { return self.clone() };
        let queries: HashSet<u32> = search.queries.iter().copied().collect();
        let mut rows: Vec<u32> = (0..self.labels.len() as u32).collect();
        let mut gallery = Vec::new();
        for &row in &search.gallery {
            gallery.push(if queries.contains(&row) {
                rows.push(row);
                rows.len() as u32 - 1
            } else {
                row
            });
        }
        let search = Some(Search { queries: search.queries.clone(), gallery });
        Self { search, ..self.select(&rows) }
    }

    /// The same items with other vectors, after a further processing step.
    pub(super) fn processed(&self, step: String, vectors: Array2<f32>) -> Self {
        let mut steps = self.steps.clone();
        let name = format!("{} + {step}", self.name);
        steps.push(step);
        Self { name, vectors, steps, ..self.clone() }
    }

    /// Whether the vectors were changed after they were read.
    pub(super) fn is_processed(&self) -> bool {
        !self.steps.is_empty()
    }

    /// The class of a row.
    pub(super) fn class(&self, row: u32) -> &str {
        self.labels.name(self.labels.classes()[row as usize])
    }

    /// The gallery indices that contain each query's own item; in leave-one-out, the other rows of
    /// the same item.
    pub(super) fn same_items(&self) -> SameItems {
        let numbers = &self.items.numbers;
        match &self.search {
            None => SameItems::within(numbers),
            Some(Search { queries, gallery }) => {
                let of = |rows: &[u32]| -> Vec<u32> {
                    rows.iter().map(|&row| numbers[row as usize]).collect()
                };
                SameItems::by_key(of(queries), of(gallery))
            }
        }
    }

    /// The retrieval protocol in which no item finds itself.
    pub(super) fn retrieval(&self) -> Protocol {
        Protocol::new(self.metric).excluding(self.same_items())
    }

    /// A remark about queries that are also in the gallery, if there are any.
    pub(super) fn own_items(&self) -> Option<String> {
        let shared = self.same_items().shared();
        match (&self.search, self.items.by) {
            (None, _) if shared == 0 => None,
            (None, _) => Some(format!(
                "{} of the rows share their item with another row (same id or file), and do not find it.",
                count(shared)
            )),
            (Some(_), SameBy::Id) if shared == 0 => None,
            (Some(search), SameBy::Id) => Some(format!(
                "{} of the {} queries are in the gallery too (same id or file): none finds itself.",
                count(shared),
                count(search.queries.len())
            )),
            (Some(search), SameBy::Content) => Some(format!(
                "The files have no ids, so a gallery item with exactly the vector of a query counts as the query itself ({} of {} queries): none finds itself.",
                count(shared),
                count(search.queries.len())
            )),
        }
    }

    /// The system with every item once, for protocols without queries and gallery: an item must not
    /// be paired, or grouped, with itself.
    pub(super) fn distinct(&self) -> Distinct<'_> {
        let rows = self.items.first_rows();
        let repeated = self.labels.len() - rows.len();
        if repeated == 0 {
            return Distinct { system: Cow::Borrowed(self), convention: None };
        }
        let convention = format!(
            "{} rows repeat an item that is there already, and are left out.",
            count(repeated)
        );
        Distinct { system: Cow::Owned(self.select(&rows)), convention: Some(convention) }
    }

    /// The text that says which classes are evaluated.
    pub(super) fn which_classes(&self) -> String {
        match self.mix {
            Some(Mix { seen, unseen }) if self.which == "all" => {
                format!("{}: {} seen in training, {} not", self.which, count(seen), count(unseen))
            }
            _ => self.which.to_owned(),
        }
    }
}
