//! What is evaluated: vectors, with all that is known of their items.

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

/// Vectors to judge.
#[derive(Clone)]
pub(super) struct System {
    /// As the table calls it.
    pub(super) name: String,
    /// Where the items are from.
    pub(super) source: String,
    /// `all`, `held-out` where the model has seen the others, or `named`.
    pub(super) which: &'static str,
    /// How many of the classes the model has seen in training, where that is known.
    pub(super) mix: Option<Mix>,
    /// How vectors are compared.
    pub(super) metric: Metric,
    /// N×D.
    pub(super) vectors: Array2<f32>,
    /// N classes.
    pub(super) labels: Labels,
    /// N names.
    pub(super) ids: Vec<String>,
    /// Which rows hold the same item.
    pub(super) items: Items,
    /// N cameras, where they are known.
    pub(super) cameras: Option<Vec<String>>,
    /// Who searches where; none for leave-one-out.
    pub(super) search: Option<Search>,
    /// A list of pairs to verify.
    pub(super) pairs: Option<Vec<ItemPair>>,
    /// One-shot runs that were given.
    pub(super) runs: Option<Vec<Run>>,
    /// The pictures of the rows.
    pub(super) pictures: Option<Catalogue>,
    /// The threshold that the model file carries.
    pub(super) threshold: Option<f64>,
    /// Items that could not be read.
    pub(super) skipped: Vec<BadItem>,
    /// The steps that the vectors went through after they were read.
    pub(super) steps: Vec<String>,
    /// Distances that take the place of those between the vectors.
    pub(super) reranking: Option<Reranking>,
}

/// Distances that are not those of the vectors alone.
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

/// Rows that query and rows that are searched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Search {
    pub(super) queries: Vec<u32>,
    pub(super) gallery: Vec<u32>,
}

impl Search {
    /// Whether every item queries all others.
    pub(super) fn all_items_are_both(&self) -> bool {
        let sorted = |rows: &[u32]| {
            let mut rows = rows.to_vec();
            rows.sort_unstable();
            rows
        };
        sorted(&self.queries) == sorted(&self.gallery)
    }
}

/// Rows of a system, with their classes.
pub(super) struct Rows {
    pub(super) vectors: Array2<f32>,
    pub(super) labels: Labels,
}

/// What an evaluation says of items that are there several times.
pub(super) struct Distinct<'a> {
    /// Every item once.
    pub(super) system: Cow<'a, System>,
    /// A sentence about the rows left out.
    pub(super) convention: Option<String>,
}

impl System {
    /// Some of the rows, as queries or gallery.
    pub(super) fn rows(&self, rows: &[u32]) -> Rows {
        let places: Vec<usize> = rows.iter().map(|&row| row as usize).collect();
        Rows { vectors: self.vectors.select(Axis(0), &places), labels: self.labels.select(rows) }
    }

    /// A system of some of the rows, in this order; a row may be there several times. What searches
    /// or is paired follows its rows, and is left out with them.
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

    /// The same system, where no row is both a query and in the gallery: the vectors of one side can
    /// then be changed without the other. The rows of the queries stay where they are.
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

    /// The same items with other vectors, after one more step.
    pub(super) fn processed(&self, step: String, vectors: Array2<f32>) -> Self {
        let mut steps = self.steps.clone();
        let name = format!("{} + {step}", self.name);
        steps.push(step);
        Self { name, vectors, steps, ..self.clone() }
    }

    /// Whether the vectors are other than those that were read.
    pub(super) fn is_processed(&self) -> bool {
        !self.steps.is_empty()
    }

    /// The class of a row.
    pub(super) fn class(&self, row: u32) -> &str {
        self.labels.name(self.labels.classes()[row as usize])
    }

    /// The rows that hold a query's own item: by query and place in the gallery, or, where all
    /// items search each other, the other rows of the same item.
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

    /// Retrieval in which no item finds itself.
    pub(super) fn retrieval(&self) -> Protocol {
        Protocol::new(self.metric).excluding(self.same_items())
    }

    /// What is to be said of queries that are in the gallery as well, if anything is.
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

    /// Every item once, for protocols without queries and gallery: an item must not be paired, or
    /// grouped, with itself.
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

    /// Which classes are evaluated, as a person reads it.
    pub(super) fn which_classes(&self) -> String {
        match self.mix {
            Some(Mix { seen, unseen }) if self.which == "all" => {
                format!("{}: {} seen in training, {} not", self.which, count(seen), count(unseen))
            }
            _ => self.which.to_owned(),
        }
    }
}
