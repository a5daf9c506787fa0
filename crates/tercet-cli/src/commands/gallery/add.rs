//! `tercet gallery add`.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use clap::Args;
use serde_json::json;
use tercet_gallery::{Duplicates, Error};

use super::filling::{Contents, Filled, Filling, Into};
use super::index::{Built, Indexing};
use super::model;
use crate::exit::Interrupted;
use crate::table::count;
use crate::{General, interrupt, progress};

#[derive(Debug, Args)]
pub(super) struct Add {
    /// Folder or address of the gallery.
    gallery: String,
    #[command(flatten)]
    filling: Filling,
    /// Put items in the place of those with their ids, instead of leaving these as they are.
    #[arg(long)]
    replace: bool,
    /// The model that makes the vectors [default: the one that the gallery keeps].
    #[arg(long)]
    model: Option<PathBuf>,
    #[command(flatten)]
    indexing: Indexing,
}

impl Add {
    pub(super) fn run(self, general: &General) -> anyhow::Result<ExitCode> {
        let began = Instant::now();
        super::super::use_threads(self.filling.threads)?;
        interrupt::watch()?;
        self.indexing.check(&self.gallery)?;
        // The writer first: what is there then stays so.
        let mut writer = tercet_gallery::writer(&self.gallery)?;
        let reader = tercet_gallery::reader(&self.gallery)?;
        let contents = self.filling.contents()?;
        let mut into = Into {
            location: tercet_gallery::shown(&self.gallery),
            writer: &mut *writer,
            before: (!self.replace).then_some(&*reader),
            duplicates: if self.replace { Duplicates::Replace } else { Duplicates::Refuse },
        };
        let filled = match &contents {
            Contents::Pictures { catalogue, .. } => {
                let model = model::of(&*reader, &self.gallery, self.model.as_deref())?;
                self.filling.add_pictures(general, &mut into, &model, catalogue)
            }
            Contents::Vectors { embeddings, .. } => {
                // A file that does not say what made it is taken at its word.
                let own = &reader.settings().model;
                let made_by = embeddings.model.as_ref().unwrap_or(own);
                if made_by != own {
                    let (expected, got) = (own.clone(), made_by.clone());
                    return Err(Error::Model { expected, got }.into());
                }
                self.filling.add_vectors(general, &mut into, made_by, embeddings)
            }
        };
        let filled = with_advice(filled, &self.gallery, &self.filling)?;
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
        Summary { location: &self.gallery, source: contents.name(), filled, built, began }
            .print(general)
    }
}

/// An error in the middle of long work says that the work so far is not lost.
pub(super) fn with_advice(
    filled: anyhow::Result<Filled>,
    location: &str,
    filling: &Filling,
) -> anyhow::Result<Filled> {
    filled.map_err(|error| match error.is::<Interrupted>() {
        true => error,
        false => error.context(format!(
            "what was added so far is in the gallery; go on with `tercet gallery add {} {}`",
            tercet_gallery::shown(location),
            filling.source
        )),
    })
}

/// What was done, told.
pub(super) struct Summary<'a> {
    pub(super) location: &'a str,
    pub(super) source: String,
    pub(super) filled: Filled,
    pub(super) built: Option<Built>,
    pub(super) began: Instant,
}

impl Summary<'_> {
    pub(super) fn print(self, general: &General) -> anyhow::Result<ExitCode> {
        let Self { filled, built, .. } = &self;
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
            // An address is told without its password and options: it would not lead there.
            let address = info.location.contains("://");
            let gallery: &str = if address { "with the same address" } else { &info.location };
            text + &format!("\nlook at it with: tercet serve {gallery}")
        })?;
        Ok(ExitCode::SUCCESS)
    }
}
