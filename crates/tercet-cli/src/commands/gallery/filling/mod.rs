//! Adds the items of a source to a gallery in batches: each batch is on disk before the next one
//! starts.

mod again;
mod choice;
mod into;
mod pictures;
mod texts;
mod vectors;

use std::path::{Path, PathBuf};

use anyhow::bail;
use clap::Args;
use serde::Serialize;
use tercet_gallery::WriteGallery;
use tercet_train::data::{BadItem, Catalogue, LabelFrom, Source};
use tercet_train::embeddings::{Embeddings, Format, labels_beside};
use tercet_train::model::Model;

use super::noted::Noted;
use crate::commands;
use crate::exit::Usage;

pub(super) use again::Again;
pub(super) use choice::TEXT;
pub(super) use choice::{Choice, Conflict};
pub(super) use into::Into;

/// The default of the longest side of a thumbnail.
const THUMBNAILS: u32 = 128;

/// What goes into a gallery, and how.
#[derive(Debug, Args)]
pub(super) struct Filling {
    /// `kind:PATH`, or a path whose kind is recognised; or embeddings (`.safetensors`, `.parquet`,
    /// `.npy`).
    pub(super) source: String,
    /// For embeddings without labels: `.npy` of integers, or text with one label on each line.
    #[arg(long, value_name = "FILE")]
    labels: Option<PathBuf>,
    /// Take the class from the names of the files in a folder: a regular expression with one group,
    /// such as '^(\d+)_'. With a `/` in it, it is matched with the path in the folder.
    #[arg(long, value_name = "REGEX")]
    label_from: Option<LabelFrom>,
    /// Put before the id of every item, to keep several sources apart.
    #[arg(long, value_name = "TEXT", default_value = "")]
    prefix: String,
    /// Longest side of the thumbnails in pixels; 0 keeps none.
    #[arg(long, value_name = "PIXELS", default_value_t = THUMBNAILS)]
    thumbnails: u32,
    /// Leave out pictures and texts that cannot be read and vectors that cannot be used, instead of failing.
    #[arg(long)]
    skip_bad: bool,
    /// Threads; 0 takes every core.
    #[arg(long, default_value_t = 0)]
    pub(super) threads: usize,
}

/// The contents of a source.
pub(super) enum Contents {
    /// Pictures or texts, whose vectors a model computes.
    Pictures { source: Source, catalogue: Catalogue },
    /// The vectors of a file.
    Vectors { path: PathBuf, embeddings: Embeddings },
}

/// The result of adding items.
#[derive(Debug, Default, Serialize)]
pub(super) struct Filled {
    /// Number of new items.
    pub(super) added: usize,
    /// Number of items that replaced one of the same id.
    pub(super) replaced: usize,
    /// Number of items that the gallery already contained.
    pub(super) kept: usize,
    /// Items that could not be read.
    pub(super) skipped: Vec<BadItem>,
}

impl Contents {
    pub(super) fn name(&self) -> String {
        match self {
            Self::Pictures { catalogue, .. } => catalogue.source.clone(),
            Self::Vectors { path, .. } => path.display().to_string(),
        }
    }
}

impl Filling {
    /// A source of pictures, with thumbnails of the default size.
    #[cfg(feature = "serve")]
    pub(super) fn of(source: &str, label_from: Option<LabelFrom>, skip_bad: bool) -> Self {
        Self {
            source: source.to_owned(),
            labels: None,
            label_from,
            prefix: String::new(),
            thumbnails: THUMBNAILS,
            skip_bad,
            threads: 0,
        }
    }

    /// Lists the contents of the source, without decoding anything.
    pub(super) fn contents(&self) -> anyhow::Result<Contents> {
        let path = Path::new(self.source.strip_prefix("features:").unwrap_or(&self.source));
        if Format::of(path).is_ok() && !self.is_table() {
            if path.is_file() && Model::is_model(path)? {
                bail!(Usage(format!(
                    "{} is a model: name it with --model, and a source of items in its place",
                    path.display()
                )));
            }
            // All rows are loaded here; those that cannot be used are left out later.
            let (mut embeddings, _) = Embeddings::load_all(path)?;
            let labels = match &self.labels {
                Some(labels) => Some(labels.clone()),
                None if embeddings.labels.is_some() => None,
                None => labels_beside(path),
            };
            if let Some(labels) = &labels {
                embeddings = embeddings.with_labels_from(labels)?;
            }
            return Ok(Contents::Vectors { path: path.to_owned(), embeddings });
        }
        if self.labels.is_some() {
            bail!(Usage("--labels is for embeddings: other sources have their own".to_owned()));
        }
        let source = commands::source(&self.source, None, self.label_from.as_ref())?;
        let catalogue = source.catalogue()?;
        catalogue.needs_good(self.skip_bad)?;
        Ok(Contents::Pictures { source, catalogue })
    }

    /// Notes in the gallery at `location` where the pictures are, so that they can be found again.
    pub(super) fn note_source(
        &self,
        contents: &Contents,
        location: &str,
        writer: &mut dyn WriteGallery,
    ) -> anyhow::Result<()> {
        match contents {
            Contents::Pictures { source, .. } => {
                Noted::of(source, location, &self.prefix, self.label_from.as_ref()).write(writer)
            }
            Contents::Vectors { .. } => Ok(()),
        }
    }

    /// Whether a file that might have embeddings is a table of pictures or texts.
    fn is_table(&self) -> bool {
        let source = self.source.parse::<Source>();
        source.is_ok_and(|source| matches!(source, Source::Manifest(_) | Source::Texts(_)))
    }

    fn id(&self, id: &str) -> String {
        format!("{}{id}", self.prefix)
    }
}
