//! `tercet gallery create`: creates a gallery of the items of a source.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context, bail};
use clap::Args;
use tercet::{Distance, Metric};
use tercet_gallery::{Duplicates, Error, Quantization, Settings};

use super::add::Summary;
use super::codes;
use super::filling::{Again, Contents, Filling, Into};
use super::index::Indexing;
use super::model::Chosen;
use crate::exit::Usage;
use crate::{General, interrupt};

/// The fingerprint for vectors whose model is not known.
const UNKNOWN_MODEL: &str = "unknown";

#[derive(Debug, Args)]
pub(super) struct Create {
    /// A folder to be made, or the address of a database: `postgres://…`.
    gallery: String,
    #[command(flatten)]
    filling: Filling,
    /// The model that makes the vectors; the gallery keeps a copy [default: the newest of
    /// runs/SOURCE-1, runs/SOURCE-2…; for embeddings: none].
    #[arg(long)]
    model: Option<PathBuf>,
    /// Propose candidates by codes of a byte or a bit a dimension before the vectors decide: i8, b1.
    #[arg(long, value_name = "CODE")]
    quantize: Option<Quantization>,
    #[command(flatten)]
    indexing: Indexing,
    /// For embeddings: euclidean (default), squared-euclidean, cosine. A model has its own.
    #[arg(long)]
    distance: Option<Distance>,
    /// For embeddings: L2-normalise them.
    #[arg(long)]
    normalize: bool,
}

impl Create {
    pub(super) fn run(self, general: &General) -> anyhow::Result<ExitCode> {
        let began = Instant::now();
        super::super::use_threads(self.filling.threads)?;
        interrupt::watch()?;
        self.indexing.check(&self.gallery)?;
        let contents = self.filling.contents()?;
        let chosen = match &contents {
            Contents::Pictures { source, .. } => {
                Some(Chosen::for_source(general, self.model.as_deref(), source)?)
            }
            Contents::Vectors { .. } => self.model.as_deref().map(Chosen::load).transpose()?,
        };
        let settings = self.settings(&contents, chosen.as_ref())?;
        let model = settings.model.clone();
        let choice = self.filling.choose(&contents, settings.metric, None)?;
        let created = match &chosen {
            Some(chosen) => {
                tercet_gallery::create_with_model(&self.gallery, settings, &chosen.file)
            }
            None => tercet_gallery::create(&self.gallery, settings),
        };
        let mut writer = created.map_err(|error| match error {
            Error::AlreadyThere { location } => anyhow::anyhow!(
                "{location} holds a gallery already: add to it with tercet gallery add, or choose \
                 another place"
            ),
            error => error.into(),
        })?;
        self.filling.note_source(&contents, &self.gallery, &mut *writer)?;
        let mut again = Again::new(&self.gallery, &self.filling);
        self.indexing.repeat(&mut again);
        let mut into = Into { writer: &mut *writer, duplicates: Duplicates::Refuse, again: &again };
        let filled = match (&contents, &chosen) {
            (Contents::Pictures { catalogue, .. }, Some(chosen)) => {
                self.filling.add_pictures(general, &mut into, &chosen.model, catalogue, choice)
            }
            (Contents::Vectors { embeddings, .. }, _) => {
                self.filling.add_vectors(general, &mut into, &model, embeddings, choice)
            }
            // Cannot happen: a model was chosen for pictures.
            (Contents::Pictures { .. }, None) => bail!("pictures need a model"),
        };
        let filled = again.advise(filled)?;
        let built = self.indexing.build(general, &mut *writer)?;
        let codes = codes::measure(general, &self.gallery, &mut *writer)?;
        Summary { location: &self.gallery, source: contents.name(), filled, built, codes, began }
            .print(general)
    }

    /// The settings of the new gallery.
    fn settings(&self, contents: &Contents, chosen: Option<&Chosen>) -> anyhow::Result<Settings> {
        let own_metric = self.distance.is_some() || self.normalize;
        if let (Some(_), true) = (chosen, own_metric) {
            bail!(Usage("--distance and --normalize: a model knows its own".to_owned()));
        }
        let metric = match chosen {
            Some(chosen) => chosen.model.metric(),
            None => {
                Metric { distance: self.distance.unwrap_or_default(), normalize: self.normalize }
            }
        };
        let (dimensions, model) = match (contents, chosen) {
            (Contents::Vectors { path, embeddings }, _) => {
                let made_by = match (&embeddings.model, chosen) {
                    (Some(made_by), Some(Chosen { model, .. }))
                        if *made_by != model.fingerprint =>
                    {
                        return Err(Error::Model {
                            expected: made_by.clone(),
                            got: model.fingerprint.clone(),
                        })
                        .with_context(|| format!("{} is not of this model", path.display()));
                    }
                    (Some(made_by), _) => made_by.clone(),
                    (None, Some(chosen)) => chosen.model.fingerprint.clone(),
                    (None, None) => UNKNOWN_MODEL.to_owned(),
                };
                (embeddings.vectors.ncols(), made_by)
            }
            (Contents::Pictures { .. }, Some(Chosen { model, .. })) => {
                (model.card.dimensions(), model.fingerprint.clone())
            }
            (Contents::Pictures { .. }, None) => bail!("pictures need a model"),
        };
        Ok(Settings { dimensions, metric, model, quantization: self.quantize })
    }
}
