//! `tercet gallery search`.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::Args;
use ndarray::{Array2, ArrayView2};
use serde::Serialize;
use tercet_gallery::{Answer, Filter, Hit, Method, ReadGallery, Vectors};
use tercet_train::data::decode_file;
use tercet_train::embeddings::{Embeddings, Format};
use tercet_train::model::Model;

use super::model;
use crate::General;
use crate::commands::threshold::Deciding;
use crate::exit::Usage;
use crate::table::share;

#[derive(Debug, Args)]
pub(super) struct Search {
    /// Folder or address of the gallery.
    gallery: String,
    /// Pictures, or embeddings (`.safetensors`, `.parquet`, `.npy`), to find the nearest items of.
    queries: Vec<PathBuf>,
    /// Find the nearest others of an item of the gallery.
    #[arg(long, value_name = "ID")]
    id: Vec<String>,
    /// How many to find for each.
    #[arg(long, short, default_value_t = 10, value_name = "N")]
    k: usize,
    /// Only items of this class; of several if given again.
    #[arg(long, value_name = "LABEL")]
    label: Vec<String>,
    /// Only items with this attribute, such as camera=3. Values of one name are alternatives; several
    /// names must all hold.
    #[arg(long, value_name = "NAME=VALUE", value_parser = attribute)]
    attribute: Vec<(String, String)>,
    /// Pass over codes and index: measure every vector.
    #[arg(long)]
    exact: bool,
    /// The model that made the gallery's vectors [default: the one that the gallery keeps].
    #[arg(long)]
    model: Option<PathBuf>,
    #[command(flatten)]
    deciding: Deciding,
    /// Threads; 0 takes every core.
    #[arg(long, default_value_t = 0)]
    threads: usize,
}

/// What was asked, and what was found.
#[derive(Serialize)]
struct Found {
    query: String,
    hits: Vec<Judged>,
}

#[derive(Serialize)]
struct Judged {
    #[serde(flatten)]
    hit: Hit,
    /// Whether it is nearer than the threshold, where there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    same: Option<bool>,
    /// The probability that it shows the same, where the model is calibrated.
    #[serde(skip_serializing_if = "Option::is_none")]
    probability: Option<f64>,
}

impl Search {
    pub(super) fn run(self, general: &General) -> anyhow::Result<ExitCode> {
        super::super::use_threads(self.threads)?;
        if self.queries.is_empty() && self.id.is_empty() {
            bail!(Usage("name pictures or embeddings to search by, or --id".to_owned()));
        }
        let reader = tercet_gallery::reader(&self.gallery)?;
        let pictures = self.queries.iter().any(|path| Format::of(path).is_err());
        // Without pictures a model only helps to read the distances.
        let model = match pictures || self.model.is_some() || reader.info()?.has_model {
            true => Some(model::of(&*reader, &self.gallery, self.model.as_deref())?),
            false => None,
        };
        let card = model.as_ref().map(|model| &model.card);
        let threshold = self.deciding.threshold(card)?;
        let (mut found, mut method) = (Vec::new(), Method::Exact);
        let mut take = |names: Vec<String>, answer: Answer| {
            method = answer.method;
            found.extend(names.into_iter().zip(answer.hits).map(|(query, hits)| {
                Found {
                    query,
                    hits: hits
                        .into_iter()
                        .map(|hit| Judged {
                            same: threshold.map(|threshold| hit.distance < threshold.distance),
                            probability: card.and_then(|card| card.probability(hit.distance)),
                            hit,
                        })
                        .collect(),
                }
            }));
        };
        for path in &self.queries {
            let (names, made_by, rows) = query(&*reader, model.as_ref(), path)?;
            let answer = self.search(&*reader, &made_by, rows.view(), Vec::new())?;
            take(names, answer);
        }
        for id in &self.id {
            let own = reader.vectors(&[id])?;
            let made_by = &reader.settings().model;
            // An item is never its own match.
            take(vec![id.clone()], self.search(&*reader, made_by, own.view(), vec![id.clone()])?);
        }
        let document = serde_json::json!({
            "gallery": tercet_gallery::shown(&self.gallery),
            "method": method,
            "threshold": threshold.map(|threshold| threshold.distance),
            "queries": found,
        });
        super::super::print(general, &document, || {
            let mut text: Vec<String> = found.iter().map(table).collect();
            if let Some(threshold) = threshold {
                text.push(format!("= nearer than {threshold}"));
            }
            text.join("\n\n")
        })?;
        Ok(ExitCode::SUCCESS)
    }

    fn search(
        &self,
        reader: &dyn ReadGallery,
        model: &str,
        rows: ArrayView2<f32>,
        without: Vec<String>,
    ) -> anyhow::Result<Answer> {
        let mut filter = Filter { labels: self.label.clone(), without, ..Filter::default() };
        for (name, value) in &self.attribute {
            filter.allow(name, value);
        }
        let search = tercet_gallery::Search { k: self.k, filter, exact: self.exact };
        Ok(reader.search(Vectors { model, rows }, &search)?)
    }
}

/// The vectors of a file, with a name for each and the fingerprint of what made them.
fn query(
    reader: &dyn ReadGallery,
    model: Option<&Model>,
    path: &Path,
) -> anyhow::Result<(Vec<String>, String, Array2<f32>)> {
    if let Ok(_format) = Format::of(path) {
        let Embeddings { vectors, ids, model, .. } = Embeddings::load(path)?;
        let row = |row: usize| {
            ids.as_ref()
                .map_or_else(|| format!("{}, row {row}", path.display()), |ids| ids[row].clone())
        };
        let names = (0..vectors.nrows()).map(row).collect();
        // A file that does not say what made it is taken at its word.
        let made_by = model.unwrap_or_else(|| reader.settings().model.clone());
        return Ok((names, made_by, vectors));
    }
    let model = model.context("pictures need a model")?;
    let vector = model.embed_images(&[decode_file(path)?])?;
    Ok((vec![path.display().to_string()], model.fingerprint.clone(), vector))
}

fn table(found: &Found) -> String {
    let mut text = found.query.clone();
    if found.hits.is_empty() {
        text += "\n  nothing found";
    }
    for (rank, judged) in found.hits.iter().enumerate() {
        let Judged { hit, same, probability } = judged;
        let mark = if *same == Some(true) { '=' } else { ' ' };
        let _ = write!(text, "\n{:>4} {mark} {:>8.4}", rank + 1, hit.distance);
        if let Some(probability) = probability {
            let _ = write!(text, "  {}", share(*probability));
        }
        let _ = write!(text, "  {:<16}  {}", hit.item.label.as_deref().unwrap_or("–"), hit.item.id);
    }
    text
}

fn attribute(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("expected NAME=VALUE, such as camera=3".to_owned()),
    }
}
