//! Items of which both vectors are known, the old model's and the new one's, and how they are divided
//! into those to measure on and those to fit adapters to.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Context;
use ndarray::{Array2, Axis};
use tercet::Labels;
use tercet_gallery::ReadGallery;
use tercet_train::Views;
use tercet_train::fingerprint::Fingerprint;
use tercet_train::model::Model;

use super::pictures::Pictures;
use crate::{General, commands, interrupt, progress};

/// The most items that are used. More would not make the figures much more exact.
const MOST: usize = 4000;

/// Items whose pictures are embedded at once.
const CHUNK: usize = 128;

/// Items of the gallery that are listed at once.
const PAGE: usize = 1000;

/// Classes that models have held out are used if there are at least so many of them.
const LEAST_CLASSES: usize = 2;

/// Id and label of an item.
type Named = (String, Option<String>);

/// Items with their vectors by both models.
pub(super) struct Pairs {
    pub(super) labels: Vec<Option<String>>,
    pub(super) old: Array2<f32>,
    pub(super) new: Array2<f32>,
}

impl Pairs {
    pub(super) fn len(&self) -> usize {
        self.labels.len()
    }

    pub(super) fn select(&self, rows: &[usize]) -> Self {
        Self {
            labels: rows.iter().map(|&row| self.labels[row].clone()).collect(),
            old: self.old.select(Axis(0), rows),
            new: self.new.select(Axis(0), rows),
        }
    }

    /// The labels of items that all have one.
    pub(super) fn classes(&self) -> Labels {
        self.labels.iter().map(|label| label.as_deref().unwrap_or_default()).collect()
    }

    /// The items without those of classes that `other` has too.
    pub(super) fn without_classes_of(&self, other: &Self) -> Self {
        let classes: BTreeSet<&str> = other.labels.iter().flatten().map(String::as_str).collect();
        let is_other =
            |row: &usize| !self.labels[*row].as_deref().is_some_and(|of| classes.contains(of));
        self.select(&(0..self.len()).filter(is_other).collect::<Vec<_>>())
    }

    /// The items of both.
    pub(super) fn and(&self, other: &Self) -> anyhow::Result<Self> {
        let both = |one: &Array2<f32>, other: &Array2<f32>| {
            ndarray::concatenate(Axis(0), &[one.view(), other.view()])
                .context("vectors of different lengths")
        };
        Ok(Self {
            labels: [&self.labels[..], &other.labels].concat(),
            old: both(&self.old, &other.old)?,
            new: both(&self.new, &other.new)?,
        })
    }

    /// Items of the gallery whose pictures exist: the old vectors are those of the gallery, the new
    /// ones are computed. If there are many, whole classes are chosen, those of `first` before others.
    pub(super) fn of_gallery(
        general: &General,
        reader: &dyn ReadGallery,
        pictures: &Pictures,
        old: Option<&Model>,
        new: &Model,
        first: &BTreeSet<String>,
    ) -> anyhow::Result<Self> {
        let mut classes: BTreeMap<(bool, u64, String), Vec<Named>> = BTreeMap::new();
        let mut from = None;
        loop {
            let page = reader.items(from, PAGE)?;
            for item in page.items.into_iter().filter(|item| pictures.has(&item.id)) {
                let name = item.label.clone().unwrap_or_else(|| format!("\0{}", item.id));
                let key = (!first.contains(&name), shuffled(&name), name);
                classes.entry(key).or_default().push((item.id, item.label));
            }
            from = page.next;
            if from.is_none() {
                break;
            }
        }
        let (mut ids, mut labels) = (Vec::new(), Vec::new());
        for (id, label) in classes.into_values().take_groups(MOST) {
            ids.push(id);
            labels.push(label);
        }
        let all: Vec<&str> = ids.iter().map(String::as_str).collect();
        if let Some(old) = old {
            pictures.check(general, reader, old, &all)?;
        }
        let bar = progress::bar(general, "embedding", all.len());
        let (mut kept, mut values, mut done) = (Vec::new(), Vec::new(), 0);
        for chunk in all.chunks(CHUNK) {
            let (rows, vectors) = pictures.embed(general, new, chunk)?;
            kept.extend(rows.into_iter().map(|row| done + row));
            values.extend(vectors);
            done += chunk.len();
            bar.set_position(done as u64);
            if interrupt::asked().is_break() {
                bar.finish_and_clear();
                return Err(tercet::Error::Interrupted.into());
            }
        }
        bar.finish_and_clear();
        let ids: Vec<&str> = kept.iter().map(|&row| all[row]).collect();
        let dimensions = values.len().checked_div(ids.len()).unwrap_or_default();
        Ok(Self {
            labels: kept.iter().map(|&row| labels[row].clone()).collect(),
            old: reader.vectors(&ids)?,
            new: Array2::from_shape_vec((ids.len(), dimensions), values)
                .context("vectors of different lengths")?,
        })
    }

    /// The labelled items of a source, embedded by both models.
    pub(super) fn of_source(
        general: &General,
        text: &str,
        old: &Model,
        new: &Model,
    ) -> anyhow::Result<Self> {
        let catalogue = commands::source(text, None, None)?.catalogue()?;
        catalogue.needs_labels()?;
        let mut classes: BTreeMap<(u64, u32), Vec<u32>> = BTreeMap::new();
        for (item, &class) in (0..).zip(catalogue.labels.classes()) {
            let key = (shuffled(catalogue.labels.name(class)), class);
            classes.entry(key).or_default().push(item);
        }
        let chosen: Vec<u32> = classes.into_values().take_groups(MOST).collect();
        let catalogue = catalogue.select(&chosen);
        let all: Vec<u32> = (0..catalogue.len() as u32).collect();
        let names = catalogue.labels.clone();
        let labels =
            names.classes().iter().map(|&class| Some(names.name(class).to_owned())).collect();
        let mut vectors = Vec::new();
        for model in [old, new] {
            let input = &model.card.preprocessing;
            let (examples, _) =
                commands::prepare(general, input, catalogue.clone(), false, Views::Single)?;
            vectors.push(commands::embed(general, model, &examples, &all, Views::Single)?);
        }
        let (Some(new), Some(old)) = (vectors.pop(), vectors.pop()) else {
            anyhow::bail!("two models give two sets of vectors");
        };
        Ok(Self { labels, old, new })
    }
}

/// Whole groups until at least `most` items are taken.
trait TakeGroups<T>: Iterator<Item = Vec<T>> + Sized {
    fn take_groups(self, most: usize) -> impl Iterator<Item = T> {
        let mut taken = 0;
        self.take_while(move |group| {
            let takes = taken < most;
            taken += group.len();
            takes
        })
        .flatten()
    }
}

impl<T, I: Iterator<Item = Vec<T>>> TakeGroups<T> for I {}

/// A number by which names are put into an order that has nothing to do with them.
fn shuffled(name: &str) -> u64 {
    let mut hash = Fingerprint::new();
    hash.text(name);
    hash.value()
}

/// Which items are measured on, and which adapters are fitted to.
#[derive(Debug, PartialEq)]
pub(super) struct Division {
    pub(super) measured: Vec<usize>,
    pub(super) fitted: Vec<usize>,
    /// Whether the measured classes were held out when the models were trained.
    pub(super) held_out: bool,
}

impl Division {
    /// Divides items by whole classes. Items of classes with a single item, or without a class, can
    /// only be fitted to. If at least two of the classes are in `held_out`, those are measured on, and
    /// otherwise half of the classes.
    pub(super) fn of(labels: &[Option<String>], held_out: &BTreeSet<String>) -> Self {
        let mut classes: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
        for (row, label) in labels.iter().enumerate() {
            if let Some(label) = label {
                classes.entry(label).or_default().push(row);
            }
        }
        classes.retain(|_, rows| rows.len() > 1);
        let held: Vec<&str> =
            classes.keys().copied().filter(|class| held_out.contains(*class)).collect();
        let is_held_out = held.len() >= LEAST_CLASSES;
        let chosen: BTreeSet<&str> = if is_held_out {
            held.into_iter().collect()
        } else {
            let mut names: Vec<&str> = classes.keys().copied().collect();
            names.sort_by_key(|name| (shuffled(name), *name));
            names.into_iter().step_by(2).collect()
        };
        let is_measured =
            |row: &usize| labels[*row].as_deref().is_some_and(|label| chosen.contains(label));
        let (measured, fitted) = (0..labels.len()).partition(is_measured);
        Self { measured, fitted, held_out: is_held_out }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(names: &[&str]) -> Vec<Option<String>> {
        names.iter().map(|name| (!name.is_empty()).then(|| (*name).to_owned())).collect()
    }

    #[test]
    fn whole_classes_are_measured_and_all_others_fitted() {
        let labels = labels(&["a", "b", "a", "c", "c", "", "d", "b", "e", "e"]);
        let division = Division::of(&labels, &BTreeSet::new());
        assert!(!division.held_out);
        let classes = |rows: &[usize]| -> BTreeSet<Option<String>> {
            rows.iter().map(|&row| labels[row].clone()).collect()
        };
        let (measured, fitted) = (classes(&division.measured), classes(&division.fitted));
        assert!(measured.is_disjoint(&fitted));
        assert_eq!(measured.len(), 2, "half of the four classes with two items");
        assert!(fitted.contains(&None) && fitted.contains(&Some("d".to_owned())));
        let held = ["c", "e", "d", "z"].map(str::to_owned).into();
        let division = Division::of(&labels, &held);
        assert_eq!((division.measured, division.held_out), (vec![3, 4, 8, 9], true));
        assert_eq!(division.fitted, [0, 1, 2, 5, 6, 7]);
    }

    #[test]
    fn whole_groups_are_taken() {
        let groups = [vec![1, 2], vec![3, 4, 5], vec![6]];
        let taken: Vec<i32> = groups.into_iter().take_groups(3).collect();
        assert_eq!(taken, [1, 2, 3, 4, 5]);
    }
}
