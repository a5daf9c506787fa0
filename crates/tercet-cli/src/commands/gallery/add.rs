//! `tercet gallery add`: adds the items of a source to a gallery.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::bail;
use clap::Args;
use serde_json::json;
use tercet_gallery::{Duplicates, Error};

use super::codes::{self, Measured};
use super::filling::{Again, Contents, Filled, Filling, Into};
use super::index::{Built, Indexing};
use super::lock::Waiting;
use super::model::{self, Chosen};
use crate::table::count;
use crate::{General, interrupt, progress};

#[derive(Debug, Args)]
pub(super) struct Add {
    /// Folder or address of the gallery.
    gallery: String,
    #[command(flatten)]
    filling: Filling,
    /// Replace the items that have the same ids, instead of leaving them as they are.
    #[arg(long)]
    replace: bool,
    /// The model that makes the vectors; a gallery that has none keeps a copy [default: the one that
    /// the gallery keeps].
    #[arg(long)]
    model: Option<PathBuf>,
    #[command(flatten)]
    indexing: Indexing,
    #[command(flatten)]
    waiting: Waiting,
}

impl Add {
    pub(super) fn run(self, general: &General) -> anyhow::Result<ExitCode> {
        let began = Instant::now();
        super::super::use_threads(self.filling.threads)?;
        interrupt::watch()?;
        self.indexing.check(&self.gallery)?;
        // Open the writer first: from then on no other process can change the gallery.
        let mut writer = self.waiting.writer(general, &self.gallery)?;
        let reader = tercet_gallery::reader(&self.gallery)?;
        if let Some(path) = &self.model
            && !reader.info()?.has_model
        {
            let chosen = Chosen::load(path)?;
            model::check(&*reader, &chosen.model)?;
            writer.keep_model(&chosen.file)?;
            reader.refresh()?;
        }
        let contents = self.filling.contents()?;
        let model = match &contents {
            Contents::Pictures { .. } => {
                Some(model::of(&*reader, &self.gallery, self.model.as_deref())?)
            }
            Contents::Vectors { embeddings, .. } => {
                let own = &reader.settings().model;
                if let Some(made_by) = embeddings.model.as_ref().filter(|made_by| *made_by != own) {
                    let (expected, got) = (own.clone(), made_by.clone());
                    return Err(Error::Model { expected, got }.into());
                }
                let (expected, got) = (reader.settings().dimensions, embeddings.vectors.ncols());
                if got != expected {
                    return Err(Error::Dimensions { expected, got }.into());
                }
                None
            }
        };
        let before = (!self.replace).then_some(&*reader);
        let choice = self.filling.choose(&contents, reader.settings().metric, before)?;
        let own = reader.settings().model.clone();
        // Drop the reader, which would prevent the log from being emptied while items are added.
        drop(reader);
        self.filling.note_source(&contents, &self.gallery, &mut *writer)?;
        let again = self.again();
        let mut into = Into {
            writer: &mut *writer,
            duplicates: if self.replace { Duplicates::Replace } else { Duplicates::Refuse },
            again: &again,
        };
        let filled = match (&contents, &model) {
            (Contents::Pictures { catalogue, .. }, Some(model)) => {
                self.filling.add_pictures(general, &mut into, model, catalogue, choice)
            }
            // If the file does not name its model, it is assumed to be the gallery's model.
            (Contents::Vectors { embeddings, .. }, _) => {
                self.filling.add_vectors(general, &mut into, &own, embeddings, choice)
            }
            // Cannot happen: a model was chosen for pictures.
            (Contents::Pictures { .. }, None) => bail!("pictures need a model"),
        };
        let filled = again.advise(filled)?;
        if filled.kept > 0 {
            progress::remark(
                general,
                format!(
                    "{} items were there already and stay as they are (--replace puts them in anew)",
                    count(filled.kept)
                ),
            );
        }
        let built = self.indexing.build(general, &mut *writer)?;
        let codes = codes::measure(general, &self.gallery, &mut *writer)?;
        Summary { location: &self.gallery, source: contents.name(), filled, built, codes, began }
            .print(general)
    }

    fn again(&self) -> Again {
        let mut again = Again::new(&self.gallery, &self.filling);
        if self.replace {
            again.flag("--replace");
        }
        if let Some(model) = &self.model {
            again.path("--model", model);
        }
        self.indexing.repeat(&mut again);
        again
    }
}

/// The result of the command.
pub(super) struct Summary<'a> {
    pub(super) location: &'a str,
    pub(super) source: String,
    pub(super) filled: Filled,
    pub(super) built: Option<Built>,
    pub(super) codes: Option<Measured>,
    pub(super) began: Instant,
}

impl Summary<'_> {
    pub(super) fn print(self, general: &General) -> anyhow::Result<ExitCode> {
        let Self { filled, built, codes, .. } = &self;
        let reader = tercet_gallery::reader(self.location)?;
        let info = reader.info()?;
        let document = json!({
            "gallery": info.location,
            "source": self.source,
            "model": info.settings.model,
            "items": info.items,
            "added": filled.added,
            "replaced": filled.replaced,
            "kept": filled.kept,
            "skipped": filled.skipped,
            "index": Built::document(built.as_ref()),
            "codes": info.codes,
            "seconds": self.began.elapsed().as_secs_f64(),
        });
        super::super::print(general, &document, || {
            let mut text = format!(
                "{} items in {}; from {}: {} added, {} replaced, {} there already, {} left out",
                count(info.items as usize),
                info.location,
                self.source,
                count(filled.added),
                count(filled.replaced),
                count(filled.kept),
                count(filled.skipped.len())
            );
            if let Some(built) = built {
                text += &format!("\n{built}");
            }
            if let Some(codes) = codes {
                text += &format!("\n{codes}");
            }
            // An address is shown without its password and options, so the shown form cannot be
            // used in a command.
            let address = info.location.contains("://");
            let gallery: &str = if address { "with the same address" } else { &info.location };
            text + &format!("\nlook at it with: tercet serve {gallery}")
        })?;
        Ok(ExitCode::SUCCESS)
    }
}
