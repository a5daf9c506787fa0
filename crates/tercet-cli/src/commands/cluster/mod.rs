//! `tercet cluster`: groups items without using labels.

mod folders;

use std::cmp::Reverse;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::Args;
use ndarray::Array2;
use serde_json::json;
use tercet::clustering::{Clustering, Cut, Groups, Options};
use tercet::{Distance, Metric};
use tercet_train::Views;
use tercet_train::data::{BadItem, Catalogue, LabelFrom};
use tercet_train::decision::link_threshold;
use tercet_train::embeddings::{Embeddings, Format};
use tercet_train::files::write_atomically;
use tercet_train::model::Model;
use tercet_train::printable::printable;

use super::threshold::DecidingAmongMany;
use crate::exit::Usage;
use crate::outputs::Outputs;
use crate::table::{Column, Table, count, counted};
use crate::{General, progress};

/// The most groups that the text lists.
const SHOWN: usize = 20;

#[derive(Debug, Args)]
pub(crate) struct Cluster {
    /// A model of `tercet train`, or embeddings (`.safetensors`, `.parquet`, `.npy`).
    #[arg(value_name = "MODEL|EMBEDDINGS")]
    input: PathBuf,
    /// For a model: `kind:PATH`, or a path whose kind is recognised. Labels are not used; a folder
    /// of images without sub-folders is enough.
    source: Option<String>,
    /// As in the other commands; the classes are not used here.
    #[arg(long, value_name = "REGEX")]
    label_from: Option<LabelFrom>,
    /// average-linkage, complete-linkage, single-linkage, ward, k-means, dbscan, hdbscan,
    /// chinese-whispers.
    #[arg(long, value_name = "NAME", default_value_t)]
    algorithm: Clustering,
    #[command(flatten)]
    deciding: DecidingAmongMany,
    /// This many groups, instead of a threshold.
    #[arg(long, value_name = "N", conflicts_with_all = ["threshold", "far", "false_matches"])]
    clusters: Option<usize>,
    /// For dbscan and hdbscan: items that make a dense region or a group.
    #[arg(long, value_name = "N", default_value_t = 5)]
    min_items: usize,
    /// Write `id,group` for every item; groups are numbered from the largest, noise has none.
    #[arg(long, short, value_name = "FILE.csv")]
    out: Option<PathBuf>,
    /// Make a folder for each group of two or more, and hard links, or copies, of its pictures.
    #[arg(long, value_name = "DIR")]
    folders: Option<PathBuf>,
    /// For embeddings: euclidean (default), squared-euclidean, cosine. A model has its own.
    #[arg(long)]
    distance: Option<Distance>,
    /// For embeddings: L2-normalise them first.
    #[arg(long)]
    normalize: bool,
    /// Leave unreadable items out instead of failing.
    #[arg(long)]
    skip_bad: bool,
    /// Seed of k-means and chinese-whispers.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Threads; 0 takes every core.
    #[arg(long, default_value_t = 0)]
    threads: usize,
}

/// The items to group.
struct Items {
    vectors: Array2<f32>,
    ids: Vec<String>,
    metric: Metric,
    model: Option<Model>,
    /// The catalogue of the pictures; `None` for embeddings.
    pictures: Option<Catalogue>,
    skipped: Vec<BadItem>,
}

impl Cluster {
    pub(crate) fn run(self, general: &General) -> anyhow::Result<ExitCode> {
        super::use_threads(self.threads)?;
        // Check these before the long work starts.
        let outputs = Outputs::default()
            .file("--out", self.out.as_deref(), &["csv"])?
            .folder("--folders", self.folders.as_deref());
        let source = self.source.as_deref().map(Path::new);
        outputs.differ_from(std::iter::once(self.input.as_path()).chain(source))?;
        if let Some(out) = &self.out {
            super::check_writable(out)?;
        }
        if let Some(folders) = &self.folders {
            folders::check(folders)?;
        }
        let is_model = Format::of(&self.input).is_err() || Model::is_model(&self.input)?;
        let items = match is_model {
            true => self.embed(general, &outputs)?,
            false => self.read(general)?,
        };
        let (cut, told) = self.cut(&items)?;
        let options =
            Options { metric: items.metric, cut, min_items: self.min_items, seed: self.seed };
        let spinner = progress::spinner(general, "grouping");
        let groups = self.algorithm.group(items.vectors.view(), &options);
        spinner.finish_and_clear();
        let groups = BySize::of(&groups?);

        if let Some(out) = &self.out {
            write_atomically(out, &csv(&items.ids, &groups)?)?;
        }
        let mut placed = None;
        if let (Some(folder), Some(pictures)) = (&self.folders, &items.pictures) {
            placed = Some(folders::place(general, folder, pictures, &groups)?);
        }
        let sizes: Vec<usize> = groups.groups.iter().map(Vec::len).collect();
        let named = items.ids.iter().zip(&groups.of_items);
        let of_items: Vec<_> =
            named.map(|(id, group)| json!({ "id": id, "group": group })).collect();
        let document = json!({
            "items": items.ids.len(),
            "algorithm": self.algorithm,
            "cut": cut,
            "groups": groups.groups.len(),
            "alone": sizes.iter().filter(|&&size| size == 1).count(),
            "noise": groups.noise,
            "sizes": sizes,
            "of_items": of_items,
            "out": self.out,
            "folders": self.folders,
            "pictures": placed,
            "skipped": items.skipped,
        });
        super::print(general, &document, || self.text(&items.ids, &groups, &told))?;
        Ok(ExitCode::SUCCESS)
    }

    fn embed(&self, general: &General, outputs: &Outputs<'_>) -> anyhow::Result<Items> {
        if self.distance.is_some() || self.normalize {
            bail!(Usage("--distance and --normalize: a model knows its own".to_owned()));
        }
        let model = Model::load(&self.input)?;
        let Some(source) = &self.source else {
            bail!(Usage(format!(
                "a model needs something to group: tercet cluster {} SOURCE",
                self.input.display()
            )));
        };
        let source = super::source(source, None, self.label_from.as_ref())?;
        outputs.differ_from_source(&source)?;
        let catalogue = source.catalogue()?;
        outputs.differ_from_items(&catalogue)?;
        if let Some(folders) = &self.folders {
            folders::check_names(folders, &catalogue)?;
        }
        let (pixels, skipped) = super::prepare(
            general,
            &model.card.preprocessing,
            catalogue,
            self.skip_bad,
            Views::Single,
        )?;
        let all: Vec<u32> = (0..pixels.len() as u32).collect();
        let vectors = super::embed(general, &model, &pixels, &all, Views::Single)?;
        let pictures = pixels.catalogue().clone();
        Ok(Items {
            vectors,
            ids: pictures.items.iter().map(|item| item.id.clone()).collect(),
            metric: model.metric(),
            model: Some(model),
            pictures: Some(pictures),
            skipped,
        })
    }

    fn read(&self, general: &General) -> anyhow::Result<Items> {
        if let Some(source) = &self.source {
            bail!(Usage(format!(
                "{} holds embeddings, which need no source: drop `{source}`",
                self.input.display()
            )));
        }
        if self.folders.is_some() {
            bail!(Usage("--folders needs pictures: embeddings have none, use --out".to_owned()));
        }
        let (embeddings, bad) = Embeddings::load_skipping(&self.input, self.skip_bad)?;
        let skipped = super::skipped_rows(general, &self.input, bad);
        let Embeddings { vectors, ids, .. } = embeddings;
        let rows = 0..vectors.nrows();
        Ok(Items {
            ids: ids.unwrap_or_else(|| rows.map(|row| row.to_string()).collect()),
            vectors,
            metric: Metric {
                distance: self.distance.unwrap_or_default(),
                normalize: self.normalize,
            },
            model: None,
            pictures: None,
            skipped,
        })
    }

    fn cut(&self, items: &Items) -> anyhow::Result<(Cut, String)> {
        if let Some(clusters) = self.clusters {
            return Ok((Cut::Clusters(clusters), "as many groups as asked for".to_owned()));
        }
        if !self.algorithm.takes_threshold() {
            if self.algorithm.takes_clusters() {
                bail!(Usage(format!("{} needs --clusters", self.algorithm)));
            }
            return Ok((
                Cut::None,
                format!("groups of at least {}", counted(self.min_items, "item", "items")),
            ));
        }
        let card = items.model.as_ref().map(|model| &model.card);
        if let Some(threshold) = self.deciding.given(card)? {
            return Ok((Cut::Threshold(threshold.distance), format!("cut at {threshold}")));
        }
        // The threshold is chosen for this number of items: the threshold for single pairs would link
        // too many of them.
        let rate = self.deciding.false_matches()?;
        let chosen = card.map(|card| link_threshold(card, items.vectors.view(), rate));
        if let Some((distance, note)) = chosen.transpose()?.flatten() {
            let note = note.map_or_else(String::new, |note| format!("; {note}"));
            let told = format!(
                "cut at {distance:.4}, below which an item has at most {rate} items of other \
                 classes on average{note}"
            );
            return Ok((Cut::Threshold(distance), told));
        }
        match self.deciding.of_pairs(card)? {
            Some(threshold) => {
                Ok((Cut::Threshold(threshold.distance), format!("cut at {threshold}")))
            }
            None => bail!(Usage(
                "there is no threshold to cut at: give --threshold or --clusters, or take \
                 --algorithm hdbscan"
                    .to_owned()
            )),
        }
    }

    fn text(&self, ids: &[String], groups: &BySize, told: &str) -> String {
        let (several, alone): (Vec<_>, Vec<_>) =
            groups.groups.iter().partition(|items| items.len() > 1);
        let mut text = format!(
            "{}: {} of two or more, {} alone, {} noise ({}, {told})",
            counted(ids.len(), "item", "items"),
            counted(several.len(), "group", "groups"),
            counted(alone.len(), "item", "items"),
            count(groups.noise),
            self.algorithm
        );
        let mut table = Table::new([Column::Right, Column::Right, Column::Text]);
        for (number, items) in several.iter().take(SHOWN).enumerate() {
            let first: Vec<_> =
                items.iter().take(3).map(|&item| printable(&ids[item as usize])).collect();
            let more = if items.len() > 3 { ", …" } else { "" };
            table.row([(number + 1).to_string(), count(items.len()), first.join(", ") + more]);
        }
        if !several.is_empty() {
            text += &format!("\n{}", table.text());
        }
        if several.len() > SHOWN {
            text += &format!(
                "\n… and {}",
                counted(several.len() - SHOWN, "smaller group", "smaller groups")
            );
        }
        for written in [&self.out, &self.folders].into_iter().flatten() {
            text += &format!("\nwritten to {}", written.display());
        }
        text
    }
}

/// Groups numbered from 1 by descending size; groups of equal size are ordered by their first
/// items.
struct BySize {
    /// The items of every group, in ascending order.
    groups: Vec<Vec<u32>>,
    /// The number of each item's group; `None` for noise.
    of_items: Vec<Option<u32>>,
    noise: usize,
}

impl BySize {
    fn of(found: &Groups) -> Self {
        let mut groups = found.items_by_group();
        groups.sort_by_key(|items| (Reverse(items.len()), items.first().copied()));
        let mut of_items = vec![None; found.len()];
        for (number, items) in (1..).zip(&groups) {
            items.iter().for_each(|&item| of_items[item as usize] = Some(number));
        }
        Self { groups, of_items, noise: found.noise() }
    }
}

fn csv(ids: &[String], groups: &BySize) -> anyhow::Result<Vec<u8>> {
    let mut table = csv::Writer::from_writer(Vec::new());
    table.write_record(["id", "group"])?;
    for (id, group) in ids.iter().zip(&groups.of_items) {
        table.write_record([id, &group.map_or_else(String::new, |group| group.to_string())])?;
    }
    table.into_inner().context("cannot write the table")
}
