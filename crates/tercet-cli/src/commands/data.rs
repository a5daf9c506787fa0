//! `tercet data`: look at sources.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use serde::Serialize;
use tercet_train::data::{Source, Survey};

use crate::{General, interrupt, progress};

#[derive(Debug, Args)]
pub(crate) struct Data {
    #[command(subcommand)]
    look: Look,
}

#[derive(Debug, Subcommand)]
enum Look {
    /// The kinds of sources.
    List,
    /// What a source holds: classes, items, sizes, problems.
    Info {
        /// `kind:PATH`, or a path whose kind is recognised.
        source: String,
        /// For vectors without labels: `.npy` of integers, or text with one label a line.
        #[arg(long)]
        labels: Option<PathBuf>,
    },
}

#[derive(Serialize)]
struct Listed {
    source: &'static str,
    what: &'static str,
}

impl Data {
    pub(crate) fn run(self, general: &General) -> anyhow::Result<ExitCode> {
        match self.look {
            Look::List => {
                let kinds: Vec<Listed> = Source::KINDS
                    .iter()
                    .map(|kind| Listed { source: kind.usage, what: kind.what })
                    .collect();
                super::print(general, &kinds, || {
                    let lines =
                        kinds.iter().map(|kind| format!("{:<15} {}", kind.source, kind.what));
                    lines.collect::<Vec<_>>().join("\n")
                })?;
            }
            Look::Info { source, labels } => {
                let source = super::source(&source, labels.as_deref())?;
                let catalogue = source.catalogue()?;
                let bar = progress::bar(general, "reading", catalogue.len());
                let stop = interrupt::watch()?;
                let survey =
                    Survey::of(&catalogue, Some(stop), &|done, _| bar.set_position(done as u64));
                bar.finish_and_clear();
                let survey = survey?;
                super::print(general, &survey, || survey.to_string().trim_end().to_owned())?;
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}
