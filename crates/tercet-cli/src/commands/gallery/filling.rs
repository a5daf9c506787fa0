//! From a source into a gallery, in pieces that are on disk once they are told.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use clap::Args;
use ndarray::{Array2, ArrayView2, s};
use serde::Serialize;
use tercet_gallery::{Duplicates, Item, ReadGallery, Thumbnail, Vectors, WriteGallery};
use tercet_train::data::{BadItem, Catalogue, DataError, Source};
use tercet_train::embeddings::{Embeddings, Format};
use tercet_train::{model::Model, thumbnails};

use crate::exit::{Interrupted, Usage};
use crate::table::count;
use crate::{General, interrupt, progress};

/// What goes into a gallery, and how.
#[derive(Debug, Args)]
pub(super) struct Filling {
    /// `kind:PATH`, or a path whose kind is recognised; or embeddings (`.safetensors`, `.parquet`,
    /// `.npy`).
    pub(super) source: String,
    /// For embeddings without labels: `.npy` of integers, or text with one label a line.
    #[arg(long, value_name = "FILE")]
    labels: Option<PathBuf>,
    /// Put before the id of every item, to keep several sources apart.
    #[arg(long, value_name = "TEXT", default_value = "")]
    prefix: String,
    /// Longest side of the thumbnails in pixels; 0 keeps none.
    #[arg(long, value_name = "PIXELS", default_value_t = 128)]
    thumbnails: u32,
    /// Leave unreadable items out instead of failing.
    #[arg(long)]
    skip_bad: bool,
    /// Threads; 0 takes every core.
    #[arg(long, default_value_t = 0)]
    pub(super) threads: usize,
}

/// What a source holds.
pub(super) enum Contents {
    /// Pictures, which a model turns into vectors.
    Pictures { source: Source, catalogue: Catalogue },
    /// Vectors that lie in a file.
    Vectors { path: PathBuf, embeddings: Embeddings },
}

/// What filling did.
#[derive(Debug, Default, Serialize)]
pub(super) struct Filled {
    /// Items that are new.
    pub(super) added: usize,
    /// Items that took the place of one of their id.
    pub(super) replaced: usize,
    /// Items that were there already.
    pub(super) kept: usize,
    /// Items that could not be read.
    pub(super) skipped: Vec<BadItem>,
}

/// The least and the most pictures that are added at once.
const PICTURES: [usize; 2] = [16, 1024];

/// A piece of pictures should take about so long, whatever the encoder.
const PIECE: Duration = Duration::from_secs(1);

/// Vectors that are added at once.
const VECTORS: usize = 8192;

impl Contents {
    pub(super) fn name(&self) -> String {
        match self {
            Self::Pictures { catalogue, .. } => catalogue.source.clone(),
            Self::Vectors { path, .. } => path.display().to_string(),
        }
    }
}

impl Filling {
    /// Looks at the source without decoding anything.
    pub(super) fn contents(&self) -> anyhow::Result<Contents> {
        let path = Path::new(self.source.strip_prefix("features:").unwrap_or(&self.source));
        if Format::of(path).is_ok() {
            if path.is_file() && Model::is_model(path)? {
                bail!(Usage(format!(
                    "{} is a model: name it with --model, and a source of items in its place",
                    path.display()
                )));
            }
            let mut embeddings = Embeddings::load(path)?;
            if let Some(labels) = &self.labels {
                embeddings = embeddings.with_labels_from(labels)?;
            }
            return Ok(Contents::Vectors { path: path.to_owned(), embeddings });
        }
        if self.labels.is_some() {
            bail!(Usage("--labels is for embeddings: other sources have their own".to_owned()));
        }
        let source: Source = self.source.parse()?;
        let catalogue = source.catalogue()?;
        if let (Some(first), false) = (catalogue.bad.first(), self.skip_bad) {
            let more = catalogue.bad.len() - 1;
            return Err(DataError::BadItems { first: first.clone(), more }.into());
        }
        Ok(Contents::Pictures { source, catalogue })
    }

    /// Adds pictures, each decoded once: for the model, and for its thumbnail.
    pub(super) fn add_pictures(
        &self,
        general: &General,
        into: &mut Into<'_>,
        model: &Model,
        catalogue: &Catalogue,
    ) -> anyhow::Result<Filled> {
        for problem in &catalogue.problems {
            progress::remark(general, format!("note: {problem}"));
        }
        let preprocessing = model.card.preprocessing.images()?;
        let label = |item: u32| {
            let class = catalogue.labels.classes()[item as usize];
            catalogue.labelled.then(|| catalogue.labels.name(class).to_owned())
        };
        let mut filled = Filled { skipped: catalogue.bad.clone(), ..Filled::default() };
        let mut wanted = Vec::with_capacity(catalogue.len());
        for item in 0..catalogue.len() as u32 {
            let id = self.id(&catalogue.items[item as usize].id);
            match into.is_kept(&id, label(item).as_deref())? {
                true => filled.kept += 1,
                false => wanted.push(item),
            }
        }
        let bar = progress::bar(general, "adding", wanted.len());
        let (mut rest, mut piece) = (&wanted[..], PICTURES[0]);
        while !rest.is_empty() {
            let began = Instant::now();
            let (now, later) = rest.split_at(piece.min(rest.len()));
            let seen = catalogue.see(now, |image| {
                let prepared = preprocessing.apply(image)?;
                let thumbnail = (self.thumbnails > 0)
                    .then(|| thumbnails::shrink(image, self.thumbnails))
                    .transpose()?;
                Ok((prepared, thumbnail))
            });
            let (mut prepared, mut items) = (Vec::new(), Vec::new());
            for (&item, seen) in now.iter().zip(seen) {
                let (pixels, thumbnail) = match seen {
                    Ok(seen) => seen,
                    Err(bad) if self.skip_bad => {
                        progress::remark(general, format!("left out {bad}"));
                        filled.skipped.push(bad);
                        continue;
                    }
                    Err(first) => return Err(DataError::BadItems { first, more: 0 }.into()),
                };
                prepared.push(pixels);
                items.push(Item {
                    id: self.id(&catalogue.items[item as usize].id),
                    label: label(item),
                    thumbnail: thumbnail.map(|small| Thumbnail {
                        media_type: small.media_type.to_owned(),
                        bytes: small.bytes,
                    }),
                    attributes: attributes(catalogue, item),
                });
            }
            let vectors = model.embed_prepared(&prepared)?;
            into.add(&model.fingerprint, vectors.view(), &items, &mut filled)?;
            rest = later;
            bar.set_position((wanted.len() - rest.len()) as u64);
            if !rest.is_empty() && interrupt::asked().is_break() {
                bar.finish_and_clear();
                return Err(self.interrupted(into, wanted.len() - rest.len(), wanted.len()));
            }
            let pace = PIECE.as_secs_f64() / began.elapsed().as_secs_f64().max(1e-3);
            piece = ((now.len() as f64 * pace) as usize).clamp(PICTURES[0], PICTURES[1]);
        }
        bar.finish_and_clear();
        Ok(filled)
    }

    /// Adds vectors as they are; `model` is the fingerprint of what made them.
    pub(super) fn add_vectors(
        &self,
        general: &General,
        into: &mut Into<'_>,
        model: &str,
        embeddings: &Embeddings,
    ) -> anyhow::Result<Filled> {
        let mut filled = Filled::default();
        let Embeddings { vectors, labels, ids, .. } = embeddings;
        let (rows, dimensions) = vectors.dim();
        let item = |row: usize| Item {
            id: self.id(&ids.as_ref().map_or_else(|| row.to_string(), |ids| ids[row].clone())),
            label: labels.as_ref().map(|labels| labels[row].clone()),
            ..Item::default()
        };
        let bar = progress::bar(general, "adding", rows);
        for start in (0..rows).step_by(VECTORS) {
            let end = rows.min(start + VECTORS);
            let (mut values, mut items) = (Vec::new(), Vec::new());
            for row in start..end {
                let item = item(row);
                if into.is_kept(&item.id, item.label.as_deref())? {
                    filled.kept += 1;
                    continue;
                }
                values.extend(vectors.slice(s![row, ..]));
                items.push(item);
            }
            let part = Array2::from_shape_vec((items.len(), dimensions), values)
                .context("vectors of different lengths")?;
            into.add(model, part.view(), &items, &mut filled)?;
            bar.set_position(end as u64);
            if end < rows && interrupt::asked().is_break() {
                bar.finish_and_clear();
                return Err(self.interrupted(into, end, rows));
            }
        }
        bar.finish_and_clear();
        Ok(filled)
    }

    fn id(&self, id: &str) -> String {
        format!("{}{id}", self.prefix)
    }

    fn interrupted(&self, into: &Into<'_>, done: usize, all: usize) -> anyhow::Error {
        Interrupted(format!(
            "interrupted: {} of {} items are in the gallery; go on with: tercet gallery add {} {}",
            count(done),
            count(all),
            into.location,
            self.source
        ))
        .into()
    }
}

/// The gallery that is filled.
pub(super) struct Into<'a> {
    pub(super) location: String,
    pub(super) writer: &'a mut dyn WriteGallery,
    /// What it held before; none of a new one, or where items are replaced.
    pub(super) before: Option<&'a dyn ReadGallery>,
    pub(super) duplicates: Duplicates,
}

impl Into<'_> {
    /// Whether the item is there already. The same id under another label is another item, which
    /// the gallery cannot hold beside it.
    fn is_kept(&self, id: &str, label: Option<&str>) -> anyhow::Result<bool> {
        let Some(held) = self.before.map(|before| before.item(id)).transpose()?.flatten() else {
            return Ok(false);
        };
        if held.label.as_deref() != label {
            let name = |label: Option<&str>| match label {
                Some(label) => format!("of class `{label}`"),
                None => "without a class".to_owned(),
            };
            bail!(
                "the gallery holds `{id}` {}, the source has it {}: --replace takes the source's, \
                 --prefix keeps both",
                name(held.label.as_deref()),
                name(label)
            );
        }
        Ok(true)
    }

    fn add(
        &mut self,
        model: &str,
        rows: ArrayView2<f32>,
        items: &[Item],
        filled: &mut Filled,
    ) -> anyhow::Result<()> {
        if items.is_empty() {
            return Ok(());
        }
        let done = self.writer.add(Vectors { model, rows }, items, self.duplicates)?;
        filled.added += done.added;
        filled.replaced += done.replaced;
        Ok(())
    }
}

/// What else the source says of an item, by name.
fn attributes(catalogue: &Catalogue, item: u32) -> std::collections::BTreeMap<String, String> {
    let known = &catalogue.items[item as usize].attributes;
    let parts: Vec<&str> = known.parts.iter().map(|part| part.name()).collect();
    [
        ("camera", known.camera.clone()),
        ("sequence", known.sequence.clone()),
        ("part", (!parts.is_empty()).then(|| parts.join("+"))),
    ]
    .into_iter()
    .filter_map(|(name, value)| Some((name.to_owned(), value.filter(|value| !value.is_empty())?)))
    .collect()
}
