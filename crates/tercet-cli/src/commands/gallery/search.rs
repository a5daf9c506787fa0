//! `tercet gallery search`: finds the nearest items of pictures, embeddings or items.

mod answer;

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::Args;
use ndarray::{Array2, ArrayView2};
use tercet_gallery::{Answer, Filter, Method, ReadGallery, Vectors, sample};
use tercet_train::data::decode_file;
use tercet_train::decision::{Ask, Decision, Evidence, SAMPLE, Sample};
use tercet_train::embeddings::{Embeddings, Format};
use tercet_train::model::{Model, ModelCard};

use super::model;
use crate::General;
use crate::commands::threshold::{DecidingAmongMany, Threshold};
use crate::exit::Usage;
use answer::{Found, legend};

#[derive(Debug, Args)]
pub(super) struct Search {
    /// Folder or address of the gallery.
    gallery: String,
    /// Pictures, or embeddings (`.safetensors`, `.parquet`, `.npy`), to find the nearest items of.
    queries: Vec<PathBuf>,
    /// A text to find the nearest items of, in a gallery of texts.
    #[arg(long, value_name = "TEXT")]
    text: Vec<String>,
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
    /// Measure every vector, without codes and index.
    #[arg(long)]
    exact: bool,
    /// The model that made the gallery's vectors [default: the one that the gallery keeps].
    #[arg(long)]
    model: Option<PathBuf>,
    #[command(flatten)]
    deciding: DecidingAmongMany,
    /// Threads; 0 takes every core.
    #[arg(long, default_value_t = 0)]
    threads: usize,
}

impl Search {
    pub(super) fn run(self, general: &General) -> anyhow::Result<ExitCode> {
        super::super::use_threads(self.threads)?;
        if self.queries.is_empty() && self.id.is_empty() && self.text.is_empty() {
            bail!(Usage("name pictures or embeddings to search by, or --text or --id".to_owned()));
        }
        let reader = tercet_gallery::reader(&self.gallery)?;
        let embeds =
            !self.text.is_empty() || self.queries.iter().any(|path| Format::of(path).is_err());
        // Without pictures and texts, a model is only used to interpret the distances.
        let model = match embeds || self.model.is_some() || reader.info()?.has_model {
            true => Some(model::of(&*reader, &self.gallery, self.model.as_deref())?),
            false => None,
        };
        let card = model.as_ref().map(|model| &model.card);
        let given = self.deciding.given(card)?;
        let decision = self.decide(&*reader, card, given)?;
        let (mut found, mut method, mut carried) = (Vec::new(), Method::Exact, None);
        let mut take = |queries: Vec<(String, Option<String>)>, answer: Answer| {
            method = answer.method;
            carried = answer.carried;
            found.extend(
                queries
                    .into_iter()
                    .zip(answer.hits)
                    .map(|((query, class), hits)| Found::new(query, class, hits, &decision)),
            );
        };
        for path in &self.queries {
            let Queries { names, made_by, rows } = queries(&*reader, model.as_ref(), path)?;
            let answer = self.search(&*reader, &made_by, rows.view(), Vec::new())?;
            take(names, answer);
        }
        if !self.text.is_empty() {
            let model = model.as_ref().context("texts need a model")?;
            let texts: Vec<&str> = self.text.iter().map(String::as_str).collect();
            let rows = model.embed_texts(&texts, &|_| ControlFlow::Continue(()))?;
            let answer = self.search(&*reader, &model.fingerprint, rows.view(), Vec::new())?;
            take(self.text.iter().map(|text| (text.clone(), None)).collect(), answer);
        }
        for id in &self.id {
            let own = reader.vectors(&[id])?;
            let class = reader.item(id)?.and_then(|item| item.label);
            let made_by = &reader.settings().model;
            // Exclude the item itself from the results.
            let answer = self.search(&*reader, made_by, own.view(), vec![id.clone()])?;
            take(vec![(id.clone(), class)], answer);
        }
        let all = reader.info()?.items;
        let announced = carried.as_ref().map(|carried| carried.announcement(all));
        let mut document = serde_json::json!({
            "gallery": tercet_gallery::shown(&self.gallery),
            "method": method,
            "threshold": decision.threshold,
            "prior": decision.prior,
            "false_matches_per_query": decision.false_matches_per_query,
            "expected_known_found": decision.expected_known_found,
            "basis": decision.basis,
            "note": decision.note,
            "queries": found,
        });
        if let (Some(carried), Some(document)) = (&carried, document.as_object_mut()) {
            document.insert("carried".to_owned(), serde_json::json!(carried));
            document.insert("versions".to_owned(), serde_json::json!(announced));
        }
        super::super::print(general, &document, || {
            let mut text: Vec<String> = found.iter().map(Found::text).collect();
            let threshold = match (given, decision.threshold) {
                (Some(given), _) => given.to_string(),
                (None, Some(chosen)) => format!("{chosen:.4}"),
                (None, None) => String::new(),
            };
            let other_class = found.iter().any(Found::has_other_class);
            text.push(legend(&decision, &threshold, other_class));
            text.extend(announced.map(|announced| format!("note: {announced}.")));
            text.join("\n\n")
        })?;
        Ok(ExitCode::SUCCESS)
    }

    /// The decision which hits are the same, for a gallery of this size.
    fn decide(
        &self,
        reader: &dyn ReadGallery,
        card: Option<&ModelCard>,
        given: Option<Threshold>,
    ) -> anyhow::Result<Decision> {
        let ask = match given {
            Some(threshold) => Ask::Distance(threshold.distance),
            None => Ask::FalseMatches(self.deciding.false_matches()?),
        };
        let info = reader.info()?;
        let (items, vectors) = sample::with_vectors(reader, info.items, SAMPLE)?;
        let labels = items.into_iter().map(|item| item.label).collect();
        let sample = Sample { vectors, labels };
        let metric = reader.settings().metric;
        let decision = Evidence::new(card, metric, Some(&sample))?.decide(info.size(), ask);
        if self.deciding.asks_for_rate() && decision.false_matches_per_query.is_none() {
            self.deciding.of_pairs(card)?;
        }
        Ok(decision)
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

/// The queries of a file.
struct Queries {
    /// The name of each query, and its class if the file contains it.
    names: Vec<(String, Option<String>)>,
    /// The fingerprint of the model that computed the vectors.
    made_by: String,
    rows: Array2<f32>,
}

fn queries(
    reader: &dyn ReadGallery,
    model: Option<&Model>,
    path: &Path,
) -> anyhow::Result<Queries> {
    if let Ok(_format) = Format::of(path) {
        let Embeddings { vectors, labels, ids, model, .. } = Embeddings::load(path)?;
        let name = |row: usize| {
            ids.as_ref()
                .map_or_else(|| format!("{}, row {row}", path.display()), |ids| ids[row].clone())
        };
        let class = |row: usize| labels.as_ref().map(|labels| labels[row].clone());
        let names = (0..vectors.nrows()).map(|row| (name(row), class(row))).collect();
        // If the file does not name its model, it is assumed to be the gallery's model.
        let made_by = model.unwrap_or_else(|| reader.settings().model.clone());
        return Ok(Queries { names, made_by, rows: vectors });
    }
    let model = model.context("pictures need a model")?;
    let rows = model.embed_images(&[decode_file(path)?])?;
    let names = vec![(path.display().to_string(), None)];
    Ok(Queries { names, made_by: model.fingerprint.clone(), rows })
}

fn attribute(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("expected NAME=VALUE, such as camera=3".to_owned()),
    }
}
