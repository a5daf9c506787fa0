//! `tercet eval`: evaluates models or files of embeddings, one or several side by side.

mod classes;
mod clustering;
mod comparison;
mod items;
mod one_shot;
mod processing;
mod reading;
mod reidentification;
mod report;
mod retrieval;
mod rows;
mod system;
mod text;
mod verdict;
mod verification;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use clap::{Args, ValueEnum};
use serde::Serialize;
use serde_json::{Value, json};
use tercet::{Census, TripletLoss};
use tercet_projection::Projection;

use crate::outputs::Outputs;
use crate::table::count;
use crate::{General, progress};
use comparison::Compared;
use processing::Processing;
use reading::Reading;
use system::System;
use verdict::Verdict;

#[derive(Debug, Args)]
pub(crate) struct Eval {
    /// Models of `tercet train` or embeddings (`.npy`, `.safetensors`, `.parquet`); several are
    /// compared. Models need a source to be evaluated on, which comes last.
    #[arg(required = true, value_name = "MODEL|EMBEDDINGS … [SOURCE]")]
    inputs: Vec<String>,
    /// The question that is asked.
    #[arg(long, value_enum, default_value_t)]
    protocol: Protocol,
    #[command(flatten)]
    reading: Reading,
    #[command(flatten)]
    processing: Processing,
    #[command(flatten)]
    one_shot: one_shot::OneShotOptions,
    #[command(flatten)]
    clustering: clustering::ClusteringOptions,
    #[command(flatten)]
    reidentification: reidentification::ReidOptions,
    /// Also count the triplets of the whole set: all of them, with a hinge of this margin.
    #[arg(long, value_name = "MARGIN", num_args = 0..=1, default_missing_value = "0.2")]
    census: Option<f32>,
    /// Write a self-contained page with curves, a map, worst and best queries.
    #[arg(long, value_name = "FILE.html")]
    report: Option<PathBuf>,
    /// The map of the page: pca, or t-sne (takes up to a minute).
    #[arg(long, value_name = "NAME", requires = "report", default_value_t)]
    map: Projection,
    /// Seed of everything that is drawn: pairs, episodes, single-shot galleries, starts of a
    /// clustering.
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
    /// Threads; 0 takes every core.
    #[arg(long, default_value_t = 0)]
    threads: usize,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Protocol {
    /// Do the nearest items belong to the query's class? Leave-one-out, or queries in a gallery.
    #[default]
    Retrieval,
    /// Is a person found again by other cameras? The rules of Market-1501.
    Reid,
    /// Do two items show the same class? LFW's folds, or balanced pairs.
    Verification,
    /// Is the nearest of a few examples of the right class? Omniglot's runs, or drawn episodes.
    OneShot,
    /// Do groups found without labels agree with the classes?
    Clustering,
}

impl Eval {
    pub(crate) fn run(self, general: &General) -> anyhow::Result<ExitCode> {
        super::use_threads(self.threads)?;
        let outputs =
            Outputs::default().file("--report", self.report.as_deref(), &["html", "htm"])?;
        outputs.differ_from(self.inputs.iter().map(Path::new).chain(self.reading.files()))?;
        if let Some(path) = &self.report {
            super::check_writable(path)?;
            self.map.check()?;
        }
        let mut systems = self.reading.systems(general, &self.inputs, self.protocol, &outputs)?;
        self.processing.add_processed(&mut systems)?;

        let mut verdicts = Vec::new();
        for system in &systems {
            let spinner = progress::spinner(general, "judging");
            verdicts.push(self.judge(system).with_context(|| system.name.clone())?);
            spinner.finish_and_clear();
        }
        let differences = comparison::differences(&systems, &verdicts, self.seed)?;
        let censuses = self.censuses(&systems)?;
        if let Some(path) = &self.report {
            let page = report::page(
                self.protocol,
                &systems,
                &verdicts,
                &differences,
                &censuses,
                (self.map, self.seed),
            )?;
            tercet_train::files::write_atomically(path, page.as_bytes())?;
        }
        let document = self.document(&systems, &verdicts, &differences, &censuses)?;
        super::print(general, &document, || {
            self.text(&systems, &verdicts, &differences, &censuses)
        })?;
        Ok(ExitCode::SUCCESS)
    }

    fn judge(&self, system: &System) -> anyhow::Result<Verdict> {
        match self.protocol {
            Protocol::Retrieval => retrieval::judge(system),
            Protocol::Reid => self.reidentification.judge(system, self.seed),
            Protocol::Verification => verification::judge(system, self.seed),
            Protocol::OneShot => self.one_shot.judge(system, self.seed),
            Protocol::Clustering => self.clustering.judge(system, self.seed),
        }
    }

    fn censuses(&self, systems: &[System]) -> anyhow::Result<Vec<Census>> {
        let Some(margin) = self.census else { return Ok(Vec::new()) };
        systems
            .iter()
            .map(|system| {
                let all = TripletLoss { metric: system.metric, ..TripletLoss::batch_all() };
                let outcome =
                    all.with_margin(margin).evaluate(system.vectors.view(), &system.labels)?;
                Ok(outcome.census)
            })
            .collect()
    }

    /// The JSON document. For one system: only its keys. For several: a list of them, and their
    /// differences.
    fn document(
        &self,
        systems: &[System],
        verdicts: &[Verdict],
        differences: &[Compared],
        censuses: &[Census],
    ) -> anyhow::Result<Value> {
        let mut documents = Vec::new();
        for (place, (system, verdict)) in systems.iter().zip(verdicts).enumerate() {
            let mut keys = json!({
                "judged": system.name,
                "source": system.source,
                "protocol": self.protocol,
                "distance": system.metric.to_string(),
                "judged_classes": system.which,
                "classes": system.labels.class_count(),
                "items": system.labels.len(),
                "skipped": system.skipped,
                "conventions": verdict.conventions,
            });
            if let (Value::Object(keys), Value::Object(judged)) = (&mut keys, &verdict.document) {
                if let Some(mix) = system.mix {
                    keys.insert("seen_classes".to_owned(), json!(mix.seen));
                    keys.insert("unseen_classes".to_owned(), json!(mix.unseen));
                }
                keys.extend(judged.clone());
                if let Some(census) = censuses.get(place) {
                    keys.insert("census".to_owned(), serde_json::to_value(census)?);
                }
            }
            documents.push(keys);
        }
        Ok(match documents.len() {
            1 => documents.remove(0),
            _ => json!({
                "protocol": self.protocol,
                "systems": documents,
                "differences": differences,
            }),
        })
    }

    fn text(
        &self,
        systems: &[System],
        verdicts: &[Verdict],
        differences: &[Compared],
        censuses: &[Census],
    ) -> String {
        let mut text = String::new();
        if let Some(first) = systems.first() {
            text += &format!(
                "{}: {} items of {} classes ({}), {} distance\n\n",
                first.source,
                count(first.labels.len()),
                count(first.labels.class_count()),
                first.which_classes(),
                first.metric
            );
        }
        text += &text::figures(systems, verdicts);
        text += &text::differences(differences);
        if !comparison::are_comparable(systems) {
            text += "\n\nThe systems hold different items, so their differences are not tested.";
        }
        for (system, census) in systems.iter().zip(censuses) {
            text += &text::census(&system.name, census);
        }
        text + "\n\n" + &report::conventions(verdicts).join("\n")
    }
}
