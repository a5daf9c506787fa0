//! A file of embeddings, together with the files of labels and cameras.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::{Context, bail};
use ndarray::{Array2, Axis, concatenate};
use tercet::Labels;
use tercet_train::data::BadItem;
use tercet_train::embeddings::Embeddings;

use super::classes::items_of;
use super::items::Items;
use super::system::Search;
use crate::exit::Usage;
use crate::{General, commands};

/// Vectors, with the data of each row.
pub(super) struct Rowed {
    pub(super) vectors: Array2<f32>,
    pub(super) labels: Labels,
    pub(super) ids: Vec<String>,
    pub(super) cameras: Option<Vec<String>>,
    pub(super) items: Items,
    /// Rows that were left out.
    pub(super) skipped: Vec<BadItem>,
    /// Whether the ids identify items. Row numbers do not: equal numbers of two files are different
    /// items.
    named: bool,
}

impl Rowed {
    pub(super) fn read(
        general: &General,
        path: &Path,
        labels: Option<&Path>,
        cameras: Option<&Path>,
        flag: &str,
        skip_bad: bool,
    ) -> anyhow::Result<Self> {
        let (embeddings, bad) = Embeddings::load_labelled(path, labels, skip_bad)?;
        let cameras = match cameras {
            Some(cameras) => {
                // The cameras are in the order of the file, including the rows that are left out
                // here.
                let (all, _) = Embeddings::load_all(path)?;
                all.with_labels_from(cameras)?.without(&bad).labels
            }
            None => None,
        };
        let skipped = commands::skipped_rows(general, path, bad);
        let labels = embeddings.classes().with_context(|| {
            format!("{} has no labels: name a file with {flag}", path.display())
        })?;
        let rows = || (0..embeddings.vectors.nrows()).map(|row| row.to_string());
        let named = embeddings.ids.as_ref().is_some_and(|ids| !rows().eq(ids.iter().cloned()));
        let ids = embeddings.ids.clone().unwrap_or_else(|| rows().collect());
        let items = if named { Items::by_id(&ids) } else { Items::distinct(ids.len()) };
        Ok(Self { vectors: embeddings.vectors, labels, ids, cameras, items, skipped, named })
    }

    /// The rows of these classes.
    pub(super) fn of_classes(self, names: &BTreeSet<String>, path: &Path) -> anyhow::Result<Self> {
        let rows = items_of(&self.labels, names, &path.display().to_string())?;
        Ok(self.select(&rows))
    }

    fn select(self, rows: &[u32]) -> Self {
        let places: Vec<usize> = rows.iter().map(|&row| row as usize).collect();
        let some = |all: Vec<String>| places.iter().map(|&row| all[row].clone()).collect();
        Self {
            vectors: self.vectors.select(Axis(0), &places),
            labels: self.labels.select(rows),
            ids: some(self.ids),
            cameras: self.cameras.map(some),
            items: self.items.select(rows),
            skipped: self.skipped,
            named: self.named,
        }
    }

    /// These rows as queries and those of a gallery; a row that is in both is stored once.
    pub(super) fn searching(self, gallery: Self, path: &Path) -> anyhow::Result<(Self, Search)> {
        let queries = self.ids.len() as u32;
        let items = match self.named && gallery.named {
            true => Items::by_id(&[&self.ids[..], &gallery.ids].concat()),
            false if self.vectors.ncols() != gallery.vectors.ncols() => {
                Items::distinct(self.ids.len() + gallery.ids.len())
            }
            false => Items::by_content(self.vectors.view(), gallery.vectors.view()),
        };
        let all = Self { items, ..self.chain(gallery, path)? };
        // For each item, its row among the queries.
        let own: std::collections::HashMap<u32, u32> =
            (0..queries).map(|row| (all.items.numbers[row as usize], row)).collect();
        let twin = |row: u32| {
            let own = *own.get(&all.items.numbers[row as usize])?;
            let (here, there) = (row as usize, own as usize);
            let classes = all.labels.classes();
            let alike = all.vectors.row(here) == all.vectors.row(there)
                && classes[here] == classes[there]
                && all.cameras.as_ref().is_none_or(|cameras| cameras[here] == cameras[there]);
            alike.then_some(own)
        };
        let mut kept: Vec<u32> = (0..queries).collect();
        let mut search = Search { queries: kept.clone(), gallery: Vec::new() };
        for row in queries..all.ids.len() as u32 {
            search.gallery.push(twin(row).unwrap_or_else(|| {
                kept.push(row);
                kept.len() as u32 - 1
            }));
        }
        Ok((all.select(&kept), search))
    }

    /// These rows, followed by those of a gallery.
    fn chain(self, gallery: Self, path: &Path) -> anyhow::Result<Self> {
        let views = [self.vectors.view(), gallery.vectors.view()];
        let vectors = concatenate(Axis(0), &views).map_err(|_| {
            anyhow::anyhow!(
                "the gallery has {} dimensions: expected {} as in {}",
                gallery.vectors.ncols(),
                self.vectors.ncols(),
                path.display()
            )
        })?;
        let cameras = match (self.cameras, gallery.cameras) {
            (Some(own), Some(other)) => Some(own.into_iter().chain(other).collect()),
            (None, None) => None,
            (own, _) => bail!(Usage(format!(
                "{} is missing: queries and gallery both need their cameras",
                if own.is_some() { "--gallery-cameras" } else { "--cameras" }
            ))),
        };
        Ok(Self {
            vectors,
            labels: self.labels.chain(&gallery.labels),
            ids: self.ids.into_iter().chain(gallery.ids).collect(),
            cameras,
            items: self.items,
            skipped: self.skipped,
            named: self.named,
        })
    }
}
