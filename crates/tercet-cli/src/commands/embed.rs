//! `tercet embed`: turn the items of a source into embeddings.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use serde_json::json;
use tercet_train::Views;
use tercet_train::embeddings::{Embeddings, Format};
use tercet_train::model::Model;

use crate::General;
use crate::table::count;

#[derive(Debug, Args)]
pub(crate) struct Embed {
    /// A model file of `tercet train`.
    model: PathBuf,
    /// `kind:PATH`, or a path whose kind is recognised.
    source: String,
    /// For `features` sources without labels: `.npy` of integers, or text with one label a line.
    #[arg(long, value_name = "FILE")]
    labels: Option<PathBuf>,
    /// Where the embeddings go: `.safetensors` or `.parquet` (with labels and ids), or `.npy` (numbers
    /// alone).
    #[arg(long, short)]
    out: PathBuf,
    /// Embed the mean of several views of a picture: single, flip, crops, crops-flip (1, 2, 5, 10
    /// views).
    #[arg(long, default_value_t)]
    views: Views,
    /// Leave unreadable items out instead of failing.
    #[arg(long)]
    skip_bad: bool,
    /// Threads; 0 takes every core.
    #[arg(long, default_value_t = 0)]
    threads: usize,
}

impl Embed {
    pub(crate) fn run(self, general: &General) -> anyhow::Result<ExitCode> {
        super::use_threads(self.threads)?;
        // Asked before the long work starts.
        Format::of(&self.out)?;
        super::check_writable(&self.out)?;
        let model = Model::load(&self.model)?;
        let catalogue = super::source(&self.source, self.labels.as_deref())?.catalogue()?;
        let (examples, skipped) =
            super::prepare(general, &model, catalogue, self.skip_bad, self.views)?;
        let items: Vec<u32> = (0..examples.len() as u32).collect();
        let vectors = super::embed(general, &model, &examples, &items, self.views)?;

        let catalogue = examples.catalogue();
        let labels = &catalogue.labels;
        let (rows, dimensions) = vectors.dim();
        let embeddings = Embeddings {
            vectors,
            labels: catalogue.labelled.then(|| {
                labels.classes().iter().map(|&class| labels.name(class).to_owned()).collect()
            }),
            ids: Some(catalogue.items.iter().map(|item| item.id.clone()).collect()),
            model: Some(model.fingerprint.clone()),
        };
        embeddings.save(&self.out)?;
        let result = json!({
            "out": self.out,
            "model": self.model,
            "fingerprint": model.fingerprint,
            "source": catalogue.source,
            "items": rows,
            "classes": labels.class_count(),
            "dimensions": dimensions,
            "normalized": model.card.normalized,
            "skipped": skipped,
        });
        super::print(general, &result, || {
            format!(
                "{} embeddings of {} dimensions from {} in {}",
                count(rows),
                dimensions,
                catalogue.source,
                self.out.display()
            )
        })?;
        Ok(ExitCode::SUCCESS)
    }
}
