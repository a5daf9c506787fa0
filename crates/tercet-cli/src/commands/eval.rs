//! `tercet eval`: judge a model or a file of embeddings.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::{Args, ValueEnum};
use ndarray::Array2;
use serde::Serialize;
use tercet::{Distance, Labels, Metric, Retrieval};
use tercet_train::data::{BadItem, Part, Pixels, Source, split_classes};
use tercet_train::embeddings::Embeddings;
use tercet_train::model::Model;
use tercet_train::trainer::TrainConfig;

use crate::exit::Usage;
use crate::table::{self, count};
use crate::{General, progress};

#[derive(Debug, Args)]
pub(crate) struct Eval {
    /// A model file of `tercet train`, or embeddings as `.safetensors` or `.npy`.
    judged: PathBuf,
    /// For a model: what it is judged on.
    source: Option<String>,
    /// How it is judged.
    #[arg(long, value_enum, default_value_t)]
    protocol: Protocol,
    /// Judge on all classes, also on those that the model has learnt from.
    #[arg(long)]
    all_classes: bool,
    /// For embeddings without labels: `.npy` of integers, or text with one label a line.
    #[arg(long)]
    labels: Option<PathBuf>,
    /// For embeddings: euclidean (default), squared-euclidean, cosine. A model knows its own.
    #[arg(long)]
    distance: Option<Distance>,
    /// For embeddings: L2-normalise them first.
    #[arg(long)]
    normalize: bool,
    /// Leave unreadable items out instead of failing.
    #[arg(long)]
    skip_bad: bool,
    /// Threads; 0 takes every core.
    #[arg(long, default_value_t = 0)]
    threads: usize,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Protocol {
    /// Leave-one-out: each item queries all others.
    #[default]
    Retrieval,
}

/// The vectors to judge, and where they come from.
struct Judged {
    vectors: Array2<f32>,
    labels: Labels,
    metric: Metric,
    source: String,
    /// `all`, or `held-out` where the model has seen the others.
    which: &'static str,
    skipped: Vec<BadItem>,
}

#[derive(Serialize)]
struct Result<'a> {
    judged: &'a PathBuf,
    source: &'a str,
    protocol: Protocol,
    distance: String,
    judged_classes: &'static str,
    classes: usize,
    items: usize,
    skipped: &'a [BadItem],
    #[serde(flatten)]
    retrieval: &'a Retrieval,
}

impl Eval {
    pub(crate) fn run(self, general: &General) -> anyhow::Result<ExitCode> {
        super::use_threads(self.threads)?;
        let is_npy =
            self.judged.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("npy"));
        let judged = if !is_npy && Model::is_model(&self.judged)? {
            self.embed(general)?
        } else {
            self.read()?
        };
        let retrieval =
            Retrieval::leave_one_out(judged.vectors.view(), &judged.labels, judged.metric)?;
        let result = Result {
            judged: &self.judged,
            source: &judged.source,
            protocol: self.protocol,
            distance: judged.metric.to_string(),
            judged_classes: judged.which,
            classes: judged.labels.class_count(),
            items: judged.labels.len(),
            skipped: &judged.skipped,
            retrieval: &retrieval,
        };
        super::print(general, &result, || {
            let mut text = format!(
                "{}: {} items of {} classes ({}), leave-one-out, {} distance\n\n{}\n\nTies count with their expected value; intervals are 95 % bootstrap intervals over classes.",
                judged.source,
                count(result.items),
                count(result.classes),
                judged.which,
                judged.metric,
                table::retrieval(&[("", &retrieval)])
            );
            if retrieval.skipped_queries > 0 {
                text += &format!(
                    " {} items are alone in their class and query nothing.",
                    retrieval.skipped_queries
                );
            }
            text
        })?;
        Ok(ExitCode::SUCCESS)
    }

    fn embed(&self, general: &General) -> anyhow::Result<Judged> {
        if self.distance.is_some() || self.normalize || self.labels.is_some() {
            bail!(Usage(format!(
                "--distance, --normalize and --labels are for files of embeddings: {} is a model and knows its own",
                self.judged.display()
            )));
        }
        let Some(source) = &self.source else {
            bail!(Usage(format!(
                "a model needs a source to be judged on: tercet eval {} SOURCE",
                self.judged.display()
            )));
        };
        let model = Model::load(&self.judged)?;
        let catalogue = source.parse::<Source>()?.catalogue()?.judging();
        let (pixels, skipped) = super::prepare(general, &model, catalogue, self.skip_bad)?;
        let (items, which) = self.choose(general, &model, &pixels)?;
        if which == "held-out" {
            progress::remark(
                general,
                "the model was trained on this source: judging the classes that were kept apart (--all-classes judges all)",
            );
        }
        let vectors = super::embed(general, &model, &pixels, &items)?;
        let catalogue = pixels.catalogue();
        Ok(Judged {
            vectors,
            labels: catalogue.labels.select(&items),
            metric: model.metric(),
            source: catalogue.source.clone(),
            which,
            skipped,
        })
    }

    /// On the very data of its training a model is judged on the classes that were kept apart.
    fn choose(
        &self,
        general: &General,
        model: &Model,
        pixels: &Pixels,
    ) -> anyhow::Result<(Vec<u32>, &'static str)> {
        let provenance = &model.card.provenance;
        let labels = &pixels.catalogue().labels;
        if !self.all_classes && pixels.catalogue().fingerprint() == provenance.data {
            let config: TrainConfig = serde_json::from_value(provenance.config.clone()).context(
                "the model's provenance cannot be understood: judge it with --all-classes",
            )?;
            let held_out = split_classes(labels, config.holdout, config.seed)?.holdout;
            if !held_out.is_empty() {
                return Ok((held_out, "held-out"));
            }
        }
        let trained_on = provenance.config.get("source").and_then(|source| source.as_str());
        let same_place = trained_on
            .and_then(|source| source.parse::<Source>().ok())
            .is_some_and(|source| source.to_string() == pixels.catalogue().source);
        // Where the source tells parts, only those to judge on are here.
        let is_apart = !pixels.catalogue().part(&Part::ALL).is_empty();
        if same_place && !is_apart && !self.all_classes {
            progress::remark(
                general,
                "note: the model was trained on this source, which has changed since: most of these classes are not new to it",
            );
        }
        Ok(((0..labels.len() as u32).collect(), "all"))
    }

    fn read(&self) -> anyhow::Result<Judged> {
        if let Some(source) = &self.source {
            bail!(Usage(format!(
                "{} holds embeddings, which need no source: drop `{source}`",
                self.judged.display()
            )));
        }
        let mut embeddings = Embeddings::load(&self.judged)?;
        if let Some(labels) = &self.labels {
            embeddings = embeddings.with_labels_from(labels)?;
        }
        let labels = embeddings.classes().with_context(|| {
            format!("{} has no labels: name a file with --labels", self.judged.display())
        })?;
        let distance = self.distance.unwrap_or_default();
        Ok(Judged {
            labels,
            metric: Metric { distance, normalize: self.normalize },
            source: self.judged.display().to_string(),
            vectors: embeddings.vectors,
            which: "all",
            skipped: Vec::new(),
        })
    }
}
