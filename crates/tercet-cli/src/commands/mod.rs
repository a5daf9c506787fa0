//! The commands, one file each, and the functions that they share.

pub(crate) mod bench;
pub(crate) mod cluster;
pub(crate) mod compare;
pub(crate) mod completions;
pub(crate) mod cross_model;
pub(crate) mod data;
pub(crate) mod doctor;
pub(crate) mod embed;
pub(crate) mod eval;
pub(crate) mod export;
#[cfg_attr(not(feature = "gallery"), path = "missing/gallery.rs")]
pub(crate) mod gallery;
pub(crate) mod loss;
#[cfg(not(feature = "serve"))]
mod missing;
pub(crate) mod runs;
#[cfg_attr(not(feature = "serve"), path = "missing/serve.rs")]
pub(crate) mod serve;
pub(crate) mod threshold;
pub(crate) mod train;
#[cfg_attr(not(feature = "gallery"), path = "missing/upgrade.rs")]
pub(crate) mod upgrade;

use std::borrow::Cow;
use std::io::Write;
use std::ops::ControlFlow;
use std::path::Path;

use anyhow::{Context, bail};
use ndarray::Array2;
use serde::Serialize;
use tercet_train::Views;
use tercet_train::data::{BadItem, Catalogue, Examples, Input, LabelFrom, PrepareOptions, Source};
use tercet_train::embeddings::BadRow;
use tercet_train::model::Model;
use tercet_train::printable::printable_text;

use crate::{General, interrupt, progress, terminal};

/// Prints a result: as one JSON document, or as text.
pub(crate) fn print(
    general: &General,
    result: &impl Serialize,
    text: impl FnOnce() -> String,
) -> anyhow::Result<()> {
    let text = if general.json {
        serde_json::to_string_pretty(result).context("cannot write the result as JSON")?
    } else {
        terminal::wrapped(&text(), terminal::stdout_width())
    };
    // JSON escapes control characters itself; the names in it must be exact.
    let text = if general.json { Cow::from(&text) } else { printable_text(&text) };
    match writeln!(std::io::stdout().lock(), "{text}") {
        // It is not an error if the reader has closed the pipe.
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        written => written.context("cannot write the result"),
    }
}

/// Uses `threads` threads, or every core for 0.
pub(crate) fn use_threads(threads: usize) -> anyhow::Result<()> {
    rayon::ThreadPoolBuilder::new()
        .num_threads(threads)
        .build_global()
        .with_context(|| format!("cannot start {threads} threads"))
}

/// A source, with labels from another file or from the names of its files, if the arguments ask for
/// that.
pub(crate) fn source(
    text: &str,
    labels: Option<&Path>,
    label_from: Option<&LabelFrom>,
) -> anyhow::Result<Source> {
    let mut source: Source = text.parse()?;
    if let Some(labels) = labels {
        source = source.with_labels(labels.to_owned())?;
    }
    if let Some(label_from) = label_from {
        source = source.with_label_from(label_from.clone())?;
    }
    Ok(source)
}

/// Reads the items of a catalogue, preprocessed for a network, with a progress bar, and reports the
/// items that were left out.
pub(crate) fn prepare(
    general: &General,
    input: &Input,
    catalogue: Catalogue,
    skip_bad: bool,
    views: Views,
) -> anyhow::Result<(Examples, Vec<BadItem>)> {
    let bar = progress::bar(general, "reading", catalogue.len());
    for problem in &catalogue.problems {
        progress::remark(general, format!("note: {problem}"));
    }
    let options = PrepareOptions {
        skip_bad,
        interrupted: Some(interrupt::watch()?),
        ..PrepareOptions::default()
    };
    let input = views.input(input)?;
    let prepared =
        Examples::prepare(catalogue, &input, &options, &|done, _| bar.set_position(done as u64));
    bar.finish_and_clear();
    let (examples, skipped) = prepared?;
    for item in &skipped {
        progress::remark(general, format!("left out {item}"));
    }
    Ok((examples, skipped))
}

/// Reports the rows of a file of embeddings that were left out, and returns them as items.
pub(crate) fn skipped_rows(general: &General, path: &Path, rows: Vec<BadRow>) -> Vec<BadItem> {
    let item = |BadRow { row, reason }: BadRow| BadItem {
        id: row.to_string(),
        path: format!("row {row} of {}", path.display()),
        reason,
    };
    let skipped: Vec<BadItem> = rows.into_iter().map(item).collect();
    for item in &skipped {
        progress::remark(general, format!("left out {item}"));
    }
    skipped
}

/// Embeds items with a progress bar.
pub(crate) fn embed(
    general: &General,
    model: &Model,
    examples: &Examples,
    items: &[u32],
    views: Views,
) -> anyhow::Result<Array2<f32>> {
    with_bar(general, items, |progress| model.embed(examples, items, views, progress))
}

/// Shows a progress bar while items are embedded, and stops at Ctrl-C.
pub(crate) fn with_bar<E: Into<anyhow::Error>>(
    general: &General,
    items: &[u32],
    embed: impl FnOnce(&dyn Fn(usize) -> ControlFlow<()>) -> Result<Array2<f32>, E>,
) -> anyhow::Result<Array2<f32>> {
    let bar = progress::bar(general, "embedding", items.len());
    let embeddings = embed(&|done| {
        bar.set_position(done as u64);
        interrupt::asked()
    });
    bar.finish_and_clear();
    embeddings.map_err(Into::into)
}

/// Checks before long work that the output can be written.
pub(crate) fn check_writable(out: &Path) -> anyhow::Result<()> {
    if out.is_dir() {
        bail!("{} is a folder: name a file in it", out.display());
    }
    Ok(tercet_train::files::check_writable(out)?)
}
