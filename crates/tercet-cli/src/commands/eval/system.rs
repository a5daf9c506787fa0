//! What is judged: vectors, with all that is known of their items.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use anyhow::{Context, bail};
use clap::Args;
use ndarray::{Array2, Axis, concatenate};
use tercet::one_shot::Run;
use tercet::{Distance, Labels, Metric};
use tercet_train::Views;
use tercet_train::data::{
    BadItem, Catalogue, DataError, Examples, ItemPair, LabelFrom, OneShotRuns, Pairs, Part, Source,
    classes_named, items_named, named_classes,
};
use tercet_train::embeddings::{Embeddings, Format};
use tercet_train::model::Model;
use tercet_train::sharing::source_name;
use tercet_train::trainer::TrainConfig;

use super::Protocol;
use super::processing::Reranking;
use crate::commands;
use crate::exit::Usage;
use crate::{General, progress};

/// Where vectors come from, and what is known of their items.
#[derive(Debug, Args)]
pub(super) struct Reading {
    /// Judge on all classes, also on those that the model has learnt from.
    #[arg(long)]
    all_classes: bool,
    /// Judge on some classes only: those of a file, one name a line, or `held-out`, those that the
    /// model kept apart, also in another source than that of its training.
    #[arg(long, value_name = "held-out|FILE", conflicts_with = "all_classes")]
    classes: Option<Classes>,
    /// For embeddings or `features` sources without labels: `.npy` of integers, or text with one label a line.
    #[arg(long, value_name = "FILE")]
    labels: Option<PathBuf>,
    /// For a model: take the class from the names of the files in a folder: a regular expression with
    /// one group, such as '^(\d+)_'. With a `/` in it, it is matched with the path in the folder.
    #[arg(long, value_name = "REGEX")]
    label_from: Option<LabelFrom>,
    /// For embeddings: the camera of each row, in the same formats.
    #[arg(long, value_name = "FILE")]
    cameras: Option<PathBuf>,
    /// Further embeddings that are searched, instead of leave-one-out.
    #[arg(long, value_name = "EMBEDDINGS")]
    gallery: Option<PathBuf>,
    /// Labels of the gallery.
    #[arg(long, value_name = "FILE", requires = "gallery")]
    gallery_labels: Option<PathBuf>,
    /// Cameras of the gallery.
    #[arg(long, value_name = "FILE", requires = "gallery")]
    gallery_cameras: Option<PathBuf>,
    /// For verification: LFW's pairs.txt, or a CSV with the columns path1, path2, same and
    /// optionally fold, whose paths are ids of items (row numbers for `.npy`) [default: pairs.txt
    /// of an lfw source; else balanced pairs, drawn].
    #[arg(long, value_name = "FILE")]
    pairs: Option<PathBuf>,
    /// For embeddings: euclidean (default), squared-euclidean, cosine. A model knows its own.
    #[arg(long)]
    distance: Option<Distance>,
    /// For embeddings: L2-normalise them first.
    #[arg(long)]
    normalize: bool,
    /// For a model: embed the mean of several views of a picture: single, flip, crops, crops-flip
    /// (1, 2, 5, 10 views).
    #[arg(long, default_value_t)]
    views: Views,
    /// Leave unreadable items out instead of failing.
    #[arg(long)]
    skip_bad: bool,
}

/// Which classes are judged.
#[derive(Debug, Clone)]
enum Classes {
    HeldOut,
    Named(BTreeSet<String>),
}

impl FromStr for Classes {
    type Err = DataError;

    fn from_str(text: &str) -> Result<Self, DataError> {
        match text {
            "held-out" => Ok(Self::HeldOut),
            path => Ok(Self::Named(named_classes(Path::new(path))?)),
        }
    }
}

/// The items of these classes.
fn items_of(labels: &Labels, names: &BTreeSet<String>, source: &str) -> anyhow::Result<Vec<u32>> {
    let trimmed: BTreeSet<&str> = names.iter().map(|name| name.trim()).collect();
    let is_named = |name: &str| names.contains(name) || trimmed.contains(name.trim());
    let wanted: Vec<bool> =
        (0..labels.class_count() as u32).map(|class| is_named(labels.name(class))).collect();
    let items: Vec<u32> = (0..)
        .zip(labels.classes())
        .filter(|&(_, &class)| wanted[class as usize])
        .map(|(item, _)| item)
        .collect();
    match (items.is_empty(), names.first()) {
        (false, _) => Ok(items),
        (true, Some(name)) => bail!(
            "none of the {} classes asked for by --classes (`{name}` …) is in {source}",
            names.len()
        ),
        (true, None) => bail!("no classes were kept apart: --classes takes a file of names"),
    }
}

/// Vectors to judge.
#[derive(Clone)]
pub(super) struct System {
    /// As the table calls it.
    pub(super) name: String,
    /// Where the items are from.
    pub(super) source: String,
    /// `all`, `held-out` where the model has seen the others, or `named`.
    pub(super) which: &'static str,
    /// How vectors are compared.
    pub(super) metric: Metric,
    /// N×D.
    pub(super) vectors: Array2<f32>,
    /// N classes.
    pub(super) labels: Labels,
    /// N names.
    pub(super) ids: Vec<String>,
    /// N cameras, where they are known.
    pub(super) cameras: Option<Vec<String>>,
    /// Who searches where; none for leave-one-out.
    pub(super) search: Option<Search>,
    /// A list of pairs to verify.
    pub(super) pairs: Option<Vec<ItemPair>>,
    /// One-shot runs that were given.
    pub(super) runs: Option<Vec<Run>>,
    /// The pictures of the rows.
    pub(super) pictures: Option<Catalogue>,
    /// The threshold that the model file carries.
    pub(super) threshold: Option<f64>,
    /// Items that could not be read.
    pub(super) skipped: Vec<BadItem>,
    /// The steps that the vectors went through after they were read.
    pub(super) steps: Vec<String>,
    /// Distances that take the place of those between the vectors.
    pub(super) reranking: Option<Reranking>,
}

/// Rows that query and rows that are searched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Search {
    pub(super) queries: Vec<u32>,
    pub(super) gallery: Vec<u32>,
}

/// Rows of a system, with their classes.
pub(super) struct Rows {
    pub(super) vectors: Array2<f32>,
    pub(super) labels: Labels,
}

impl System {
    /// Some of the rows.
    pub(super) fn rows(&self, rows: &[u32]) -> Rows {
        let places: Vec<usize> = rows.iter().map(|&row| row as usize).collect();
        Rows { vectors: self.vectors.select(Axis(0), &places), labels: self.labels.select(rows) }
    }

    /// The same items with other vectors, after one more step.
    pub(super) fn processed(&self, step: String, vectors: Array2<f32>) -> Self {
        let mut steps = self.steps.clone();
        let name = format!("{} + {step}", self.name);
        steps.push(step);
        Self { name, vectors, steps, ..self.clone() }
    }

    /// Whether the vectors are other than those that were read.
    pub(super) fn is_processed(&self) -> bool {
        !self.steps.is_empty()
    }

    /// The class of a row.
    pub(super) fn class(&self, row: u32) -> &str {
        self.labels.name(self.labels.classes()[row as usize])
    }
}

impl Reading {
    /// Reads every input: models embed the source, files of embeddings are taken as they are.
    pub(super) fn systems(
        &self,
        general: &General,
        inputs: &[String],
        protocol: Protocol,
    ) -> anyhow::Result<Vec<System>> {
        let (systems, source) = split(inputs)?;
        systems
            .iter()
            .map(|path| match kind(path)? {
                Kind::Model => self.embed(general, path, source, protocol),
                Kind::Embeddings => self.read(general, path, source, protocol),
            })
            .collect()
    }

    fn embed(
        &self,
        general: &General,
        path: &Path,
        source: Option<&str>,
        protocol: Protocol,
    ) -> anyhow::Result<System> {
        let for_embeddings = [
            ("--distance", self.distance.is_some()),
            ("--normalize", self.normalize),
            ("--cameras", self.cameras.is_some()),
            ("--gallery", self.gallery.is_some()),
        ];
        if let Some((flag, _)) = for_embeddings.iter().find(|(_, given)| *given) {
            bail!(Usage(format!(
                "{flag} is for files of embeddings: {} is a model and takes it from itself and its source",
                path.display()
            )));
        }
        let Some(source) = source else {
            bail!(Usage(format!(
                "a model needs a source to be judged on: tercet eval {} SOURCE",
                path.display()
            )));
        };
        let model = Model::load(path)?;
        let source = commands::source(source, self.labels.as_deref(), self.label_from.as_ref())?;
        let (catalogue, runs) = match (protocol, &source) {
            (Protocol::OneShot, Source::Omniglot(_)) => {
                let runs = OneShotRuns::of(&source)?;
                let given = one_shot_runs(&runs);
                (runs.catalogue, Some(given))
            }
            _ => {
                let catalogue = source.catalogue()?;
                catalogue.needs_labels()?;
                (catalogue.judging(), None)
            }
        };
        let (examples, skipped) = commands::prepare(
            general,
            &model.card.preprocessing,
            catalogue,
            self.skip_bad,
            self.views,
        )?;
        if runs.is_some() && !skipped.is_empty() {
            bail!("one-shot runs need every image: {}", skipped[0]);
        }
        let (items, which) = match runs {
            Some(_) => ((0..examples.len() as u32).collect(), "all"),
            None => self.choose(general, &model, &examples)?,
        };
        if which == "held-out" && self.classes.is_none() {
            progress::remark(
                general,
                "the model was trained on this source: judging the classes that were kept apart (--all-classes judges all)",
            );
        }
        let vectors = commands::embed(general, &model, &examples, &items, self.views)?;
        let catalogue = examples.catalogue().select(&items);
        let ids: Vec<String> = catalogue.items.iter().map(|item| item.id.clone()).collect();
        let listed = self.pairs.clone().or_else(|| source.pairs_file());
        let pairs = match (protocol, listed) {
            (Protocol::Verification, Some(path)) => Some(Pairs::load(&path, &ids)?.pairs),
            _ => None,
        };
        let cameras = catalogue.cameras().map(|cameras| {
            cameras.classes().iter().map(|&camera| cameras.name(camera).to_owned()).collect()
        });
        let (queries, gallery) = (catalogue.part(&[Part::Query]), catalogue.part(&[Part::Gallery]));
        let search = (runs.is_none() && !queries.is_empty() && !gallery.is_empty())
            .then_some(Search { queries, gallery });
        Ok(System {
            name: path.display().to_string(),
            source: catalogue.source.clone(),
            which,
            metric: model.metric(),
            vectors,
            labels: catalogue.labels.clone(),
            ids,
            cameras,
            search,
            pairs,
            runs,
            threshold: model.card.threshold,
            pictures: catalogue.dimensions().is_none().then_some(catalogue),
            skipped,
            steps: Vec::new(),
            reranking: None,
        })
    }

    /// On the very data of its training a model is judged on the classes that were kept apart.
    fn choose(
        &self,
        general: &General,
        model: &Model,
        examples: &Examples,
    ) -> anyhow::Result<(Vec<u32>, &'static str)> {
        let provenance = &model.card.provenance;
        let source = &examples.catalogue().source;
        let labels = &examples.catalogue().labels;
        match &self.classes {
            Some(Classes::Named(names)) => {
                return Ok((items_named(labels, names, "classes", source)?, "named"));
            }
            Some(Classes::HeldOut) => {
                let names = provenance.held_out.iter().cloned().collect();
                return Ok((items_of(labels, &names, source)?, "held-out"));
            }
            None => {}
        }
        if !self.all_classes && examples.catalogue().fingerprint() == provenance.data {
            let config: TrainConfig = serde_json::from_value(provenance.config.clone()).context(
                "the model's provenance cannot be understood: judge it with --all-classes",
            )?;
            let held_out = config.split(labels)?.holdout;
            if !held_out.is_empty() {
                return Ok((held_out, "held-out"));
            }
        }
        let trained_on = provenance.config.get("source").and_then(|source| source.as_str());
        let same_place = trained_on
            .and_then(|source| source.parse::<Source>().ok())
            .is_some_and(|source| source.to_string() == source_name(&examples.catalogue().source));
        // Where the source tells parts, only those to judge on are here.
        let is_apart = !examples.catalogue().part(&Part::ALL).is_empty();
        if same_place && !is_apart && !self.all_classes {
            progress::remark(
                general,
                "note: these are not the items that the model was trained on, though their source is: some of the classes may not be new to it",
            );
        }
        Ok(((0..labels.len() as u32).collect(), "all"))
    }

    fn read(
        &self,
        general: &General,
        path: &Path,
        source: Option<&str>,
        protocol: Protocol,
    ) -> anyhow::Result<System> {
        if let Some(source) = source {
            bail!(Usage(format!(
                "{} holds embeddings, which need no source: drop `{source}`",
                path.display()
            )));
        }
        let names = match &self.classes {
            None => None,
            Some(Classes::Named(names)) => Some(names),
            Some(Classes::HeldOut) => bail!(Usage(format!(
                "{} holds embeddings, which do not tell what was kept apart: --classes takes a file of names",
                path.display()
            ))),
        };
        let read = |path: &Path, labels: &Option<PathBuf>, cameras: &Option<PathBuf>| {
            Rowed::read(general, path, labels.as_deref(), cameras.as_deref(), self.skip_bad)
        };
        let mut all = read(path, &self.labels, &self.cameras)?;
        let mut gallery = match &self.gallery {
            Some(file) => Some(read(file, &self.gallery_labels, &self.gallery_cameras)?),
            None => None,
        };
        if let Some(names) = names {
            // A class of the list may be among the queries or in the gallery alone.
            let known = match &gallery {
                Some(gallery) => all.labels.chain(&gallery.labels),
                None => all.labels.clone(),
            };
            classes_named(&known, names, "classes", &path.display().to_string())?;
            all = all.of_classes(names, path)?;
            gallery = match (gallery, &self.gallery) {
                (Some(gallery), Some(file)) => Some(gallery.of_classes(names, file)?),
                _ => None,
            };
        }
        let mut skipped = std::mem::take(&mut all.skipped);
        let mut search = None;
        if let Some(mut gallery) = gallery {
            skipped.append(&mut gallery.skipped);
            let (queries, rows) = (all.ids.len() as u32, gallery.ids.len() as u32);
            search = Some(Search {
                queries: (0..queries).collect(),
                gallery: (queries..queries + rows).collect(),
            });
            all = all.chain(gallery, path)?;
        }
        let pairs = match (&self.pairs, protocol) {
            (Some(path), Protocol::Verification) => Some(Pairs::load(path, &all.ids)?.pairs),
            _ => None,
        };
        Ok(System {
            name: path.display().to_string(),
            source: path.display().to_string(),
            which: if names.is_some() { "named" } else { "all" },
            metric: Metric {
                distance: self.distance.unwrap_or_default(),
                normalize: self.normalize,
            },
            vectors: all.vectors,
            labels: all.labels,
            ids: all.ids,
            cameras: all.cameras,
            search,
            pairs,
            runs: None,
            pictures: None,
            threshold: None,
            skipped,
            steps: Vec::new(),
            reranking: None,
        })
    }
}

/// A file of embeddings with the files beside it.
struct Rowed {
    vectors: Array2<f32>,
    labels: Labels,
    ids: Vec<String>,
    cameras: Option<Vec<String>>,
    /// Rows that were left out.
    skipped: Vec<BadItem>,
}

impl Rowed {
    fn read(
        general: &General,
        path: &Path,
        labels: Option<&Path>,
        cameras: Option<&Path>,
        skip_bad: bool,
    ) -> anyhow::Result<Self> {
        let (embeddings, bad) = Embeddings::load_labelled(path, labels, skip_bad)?;
        let cameras = match cameras {
            Some(cameras) => {
                // In the order of the file, with the rows that are left out here.
                let (all, _) = Embeddings::load_all(path)?;
                all.with_labels_from(cameras)?.without(&bad).labels
            }
            None => None,
        };
        let skipped = commands::skipped_rows(general, path, bad);
        let labels = embeddings.classes().with_context(|| {
            format!("{} has no labels: name a file with --labels", path.display())
        })?;
        let rows = 0..embeddings.vectors.nrows();
        let ids = embeddings.ids.unwrap_or_else(|| rows.map(|row| row.to_string()).collect());
        Ok(Self { vectors: embeddings.vectors, labels, ids, cameras, skipped })
    }

    /// The rows of these classes.
    fn of_classes(self, names: &BTreeSet<String>, path: &Path) -> anyhow::Result<Self> {
        let rows = items_of(&self.labels, names, &path.display().to_string())?;
        let places: Vec<usize> = rows.iter().map(|&row| row as usize).collect();
        let some = |all: Vec<String>| places.iter().map(|&row| all[row].clone()).collect();
        Ok(Self {
            vectors: self.vectors.select(Axis(0), &places),
            labels: self.labels.select(&rows),
            ids: some(self.ids),
            cameras: self.cameras.map(some),
            skipped: self.skipped,
        })
    }

    /// These rows and, behind them, those of a gallery.
    fn chain(self, gallery: Self, path: &Path) -> anyhow::Result<Self> {
        let views = [self.vectors.view(), gallery.vectors.view()];
        let vectors = concatenate(Axis(0), &views).map_err(|_| {
            anyhow::anyhow!(
                "the gallery has {} dimensions: expected {} as in {}",
                gallery.vectors.ncols(),
                self.vectors.ncols(),
                path.display()
            )
        })?;
        let cameras = match (self.cameras, gallery.cameras) {
            (Some(own), Some(other)) => Some(own.into_iter().chain(other).collect()),
            (None, None) => None,
            (own, _) => bail!(Usage(format!(
                "{} is missing: queries and gallery both need their cameras",
                if own.is_some() { "--gallery-cameras" } else { "--cameras" }
            ))),
        };
        Ok(Self {
            vectors,
            labels: self.labels.chain(&gallery.labels),
            ids: self.ids.into_iter().chain(gallery.ids).collect(),
            cameras,
            skipped: self.skipped,
        })
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Model,
    Embeddings,
}

fn kind(path: &Path) -> anyhow::Result<Kind> {
    // Of the formats of embeddings only one is a model's too; a model may have any name.
    let may_be_model = matches!(Format::of(path), Ok(Format::Safetensors) | Err(_));
    let is_model = may_be_model && Model::is_model(path)?;
    Ok(if is_model { Kind::Model } else { Kind::Embeddings })
}

/// The files to judge and, last, the source for models.
fn split(inputs: &[String]) -> anyhow::Result<(Vec<&Path>, Option<&str>)> {
    // `features:FILE` names a source, though its file has the ending of embeddings.
    let names_kind = |input: &str| {
        let kind = input.split_once(':').map(|(kind, _)| kind);
        Source::KINDS.iter().any(|known| known.usage.split(':').next() == kind)
    };
    let is_system = |input: &String| {
        let path = Path::new(input);
        if names_kind(input) {
            return false;
        }
        Format::of(path).is_ok() || (path.is_file() && Model::is_model(path).unwrap_or(false))
    };
    let (systems, source) = match inputs.split_last() {
        Some((last, others)) if !others.is_empty() && !is_system(last) => (others, Some(last)),
        _ => (inputs, None),
    };
    if let Some(odd) = systems.iter().find(|input| !is_system(input)) {
        bail!(Usage(format!(
            "`{odd}` is neither a model nor a file of embeddings (.safetensors, .npy, .parquet); a source comes last"
        )));
    }
    Ok((systems.iter().map(Path::new).collect(), source.map(String::as_str)))
}

fn one_shot_runs(runs: &OneShotRuns) -> Vec<Run> {
    let run = |run: &tercet_train::data::OneShotRun| Run {
        training: run.training.iter().copied().zip(0..).collect(),
        test: run.test.iter().copied().zip(run.truth.iter().copied()).collect(),
    };
    runs.runs.iter().map(run).collect()
}
