//! Reads the systems: a model embeds the source, and a file of embeddings is used without change.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::Args;
use tercet::one_shot::Run;
use tercet::{Distance, Metric};
use tercet_train::Views;
use tercet_train::data::{
    Examples, LabelFrom, OneShotRuns, Pairs, Part, Source, classes_named, items_named,
};
use tercet_train::embeddings::Format;
use tercet_train::model::{Model, is_encoder};
use tercet_train::sharing::source_name;
use tercet_train::trainer::TrainConfig;

use super::Protocol;
use super::classes::{Classes, Mix, items_of};
use super::items::Items;
use super::rows::Rowed;
use super::system::{Search, System};
use crate::commands;
use crate::exit::Usage;
use crate::outputs::Outputs;
use crate::{General, progress};

/// Where vectors come from, and what is known of their items.
#[derive(Debug, Args)]
pub(super) struct Reading {
    /// Evaluate all classes, also those that the model was trained on.
    #[arg(long)]
    all_classes: bool,
    /// Evaluate some classes only: those of a file, one name on each line, or `held-out`, those
    /// that were held out when the model was trained, also in another source.
    #[arg(long, value_name = "held-out|FILE", conflicts_with = "all_classes")]
    classes: Option<Classes>,
    /// For embeddings or `features` sources without labels: `.npy` of integers, or text with one
    /// label on each line.
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
    /// For embeddings: euclidean (default), squared-euclidean, cosine. A model has its own.
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

impl Reading {
    /// The files of the flags, without the models, embeddings and the source.
    pub(super) fn files(&self) -> impl Iterator<Item = &Path> {
        let lists = [&self.labels, &self.cameras, &self.gallery, &self.gallery_labels];
        let more = [&self.gallery_cameras, &self.pairs];
        let classes = self.classes.as_ref().and_then(Classes::file);
        lists.into_iter().chain(more).filter_map(Option::as_deref).chain(classes)
    }

    /// The first given flag that is only valid for files of embeddings.
    fn for_embeddings(&self) -> Option<&'static str> {
        let flags = [
            ("--distance", self.distance.is_some()),
            ("--normalize", self.normalize),
            ("--cameras", self.cameras.is_some()),
            ("--gallery", self.gallery.is_some()),
        ];
        flags.into_iter().find(|(_, given)| *given).map(|(flag, _)| flag)
    }

    /// Reads every input: models embed the source, files of embeddings are used without change.
    pub(super) fn systems(
        &self,
        general: &General,
        inputs: &[String],
        protocol: Protocol,
        outputs: &Outputs<'_>,
    ) -> anyhow::Result<Vec<System>> {
        let (paths, source) = split(inputs)?;
        let kinds = paths.iter().map(|path| kind(path)).collect::<anyhow::Result<Vec<_>>>()?;
        if let (Some(source), false) = (source, kinds.contains(&Kind::Model)) {
            bail!(Usage(format!(
                "{} holds embeddings, which need no source: drop `{source}`",
                paths[0].display()
            )));
        }
        if let (Some(flag), false) = (self.for_embeddings(), kinds.contains(&Kind::Embeddings)) {
            bail!(Usage(format!(
                "{flag} is for files of embeddings: {} is a model and takes it from itself and its source",
                paths[0].display()
            )));
        }
        let read = |(path, kind): (&&Path, &Kind)| match kind {
            Kind::Model => self.embed(general, path, source, protocol, outputs),
            Kind::Embeddings => self.read(general, path, protocol),
        };
        let systems = paths.iter().zip(&kinds).map(read).collect::<anyhow::Result<_>>()?;
        common_classes(general, systems)
    }

    fn embed(
        &self,
        general: &General,
        path: &Path,
        source: Option<&str>,
        protocol: Protocol,
        outputs: &Outputs<'_>,
    ) -> anyhow::Result<System> {
        let Some(source) = source else {
            bail!(Usage(format!(
                "a model needs a source to be evaluated on: tercet eval {} SOURCE",
                path.display()
            )));
        };
        let model = Model::load(path)?;
        let source = commands::source(source, self.labels.as_deref(), self.label_from.as_ref())?;
        outputs.differ_from_source(&source)?;
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
        outputs.differ_from_items(&catalogue)?;
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
        let Chosen { items, which, mix } = match runs {
            Some(_) => {
                Chosen { items: (0..examples.len() as u32).collect(), which: "all", mix: None }
            }
            None => self.choose(general, &model, &examples)?,
        };
        if which == "held-out" && self.classes.is_none() {
            progress::remark(
                general,
                "the model was trained on this source: evaluating the held-out classes only (--all-classes evaluates all)",
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
            mix,
            metric: model.metric(),
            vectors,
            labels: catalogue.labels.clone(),
            ids,
            items: Items::of(&catalogue),
            cameras,
            search,
            pairs,
            runs,
            threshold: model.card.threshold,
            pictures: (catalogue.dimensions().is_none() && !catalogue.has_texts())
                .then_some(catalogue),
            skipped,
            steps: Vec::new(),
            reranking: None,
        })
    }

    /// Chooses the items. On the data of its training, a model is evaluated on the held-out classes
    /// by default.
    fn choose(
        &self,
        general: &General,
        model: &Model,
        examples: &Examples,
    ) -> anyhow::Result<Chosen> {
        let provenance = &model.card.provenance;
        let source = &examples.catalogue().source;
        let labels = &examples.catalogue().labels;
        let held_out: BTreeSet<String> = provenance.held_out.iter().cloned().collect();
        match &self.classes {
            Some(Classes::Named { names, .. }) => {
                return Ok(Chosen {
                    items: items_named(labels, names, "classes", source)?,
                    which: "named",
                    mix: None,
                });
            }
            Some(Classes::HeldOut) => {
                let items = items_of(labels, &held_out, source)?;
                return Ok(Chosen { items, which: "held-out", mix: None });
            }
            None => {}
        }
        let all: Vec<u32> = (0..labels.len() as u32).collect();
        let trained_on = provenance.config.get("source").and_then(|source| source.as_str());
        let same_place = trained_on
            .and_then(|source| source.parse::<Source>().ok())
            .is_some_and(|source| source.to_string() == source_name(&examples.catalogue().source));
        if examples.catalogue().fingerprint() == provenance.data {
            let config: TrainConfig = serde_json::from_value(provenance.config.clone()).context(
                "the settings of the model's training cannot be read: name the classes to evaluate with --classes FILE",
            )?;
            let apart = config.split(labels)?.holdout;
            if !self.all_classes && !apart.is_empty() {
                return Ok(Chosen { items: apart, which: "held-out", mix: None });
            }
            let unseen = labels.select(&apart);
            let unseen: BTreeSet<&str> =
                (0..unseen.class_count() as u32).map(|class| unseen.name(class)).collect();
            let mix = Mix::of(labels, |name| unseen.contains(name));
            if unseen.is_empty() {
                progress::remark(
                    general,
                    "note: the model was trained on all of these classes: figures on classes that a model has seen are too good",
                );
            }
            return Ok(Chosen { items: all, which: "all", mix: Some(mix) });
        }
        // If the source has parts, only those to evaluate are loaded.
        let is_apart = !examples.catalogue().part(&Part::ALL).is_empty();
        if !same_place || is_apart {
            return Ok(Chosen { items: all, which: "all", mix: None });
        }
        if !self.all_classes {
            progress::remark(
                general,
                "note: these are not the items that the model was trained on, though their source is: some of the classes may not be new to it",
            );
        }
        let mix = (!held_out.is_empty()).then(|| Mix::of(labels, |name| held_out.contains(name)));
        Ok(Chosen { items: all, which: "all", mix })
    }

    fn read(&self, general: &General, path: &Path, protocol: Protocol) -> anyhow::Result<System> {
        let names = match &self.classes {
            None => None,
            Some(Classes::Named { names, .. }) => Some(names),
            Some(Classes::HeldOut) => bail!(Usage(format!(
                "{} holds embeddings, which do not say which classes were held out: give --classes a file of class names",
                path.display()
            ))),
        };
        let read =
            |path: &Path, labels: &Option<PathBuf>, cameras: &Option<PathBuf>, flag: &str| {
                let (labels, cameras) = (labels.as_deref(), cameras.as_deref());
                Rowed::read(general, path, labels, cameras, flag, self.skip_bad)
            };
        let mut all = read(path, &self.labels, &self.cameras, "--labels")?;
        let mut gallery = match &self.gallery {
            Some(file) => {
                let (labels, cameras) = (&self.gallery_labels, &self.gallery_cameras);
                Some(read(file, labels, cameras, "--gallery-labels")?)
            }
            None => None,
        };
        if let Some(names) = names {
            // A class of the list may occur only among the queries or only in the gallery.
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
            let (rows, searched) = all.searching(gallery, path)?;
            (all, search) = (rows, Some(searched));
        }
        let pairs = match (&self.pairs, protocol) {
            (Some(path), Protocol::Verification) => Some(Pairs::load(path, &all.ids)?.pairs),
            _ => None,
        };
        Ok(System {
            name: path.display().to_string(),
            source: path.display().to_string(),
            which: if names.is_some() { "named" } else { "all" },
            mix: None,
            metric: Metric {
                distance: self.distance.unwrap_or_default(),
                normalize: self.normalize,
            },
            vectors: all.vectors,
            labels: all.labels,
            ids: all.ids,
            items: all.items,
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

/// The items to evaluate.
struct Chosen {
    items: Vec<u32>,
    which: &'static str,
    mix: Option<Mix>,
}

/// Restricts models that held out different classes to the classes that all of them held out.
fn common_classes(general: &General, systems: Vec<System>) -> anyhow::Result<Vec<System>> {
    let names = |system: &System| -> BTreeSet<String> {
        let labels = &system.labels;
        (0..labels.class_count() as u32).map(|class| labels.name(class).to_owned()).collect()
    };
    let held_out: Vec<BTreeSet<String>> =
        systems.iter().filter(|system| system.which == "held-out").map(names).collect();
    let Some((first, others)) = held_out.split_first() else { return Ok(systems) };
    if others.iter().all(|other| other == first) {
        return Ok(systems);
    }
    let common: BTreeSet<String> = first
        .iter()
        .filter(|name| others.iter().all(|other| other.contains(*name)))
        .cloned()
        .collect();
    if common.is_empty() {
        bail!(Usage(
            "the models held out different classes and share none of them: give --all-classes, or the classes to evaluate with --classes FILE"
                .to_owned()
        ));
    }
    progress::remark(
        general,
        format!(
            "note: the models held out different classes: evaluating the {} that all of them held out",
            common.len()
        ),
    );
    let restrict = |system: System| match system.which {
        "held-out" => Ok(system.select(&items_of(&system.labels, &common, &system.source)?)),
        _ => Ok(system),
    };
    systems.into_iter().map(restrict).collect()
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Model,
    Embeddings,
}

fn kind(path: &Path) -> anyhow::Result<Kind> {
    // Only one of the formats of embeddings is also the format of a model; a model may have any
    // name.
    let may_be_model = matches!(Format::of(path), Ok(Format::Safetensors) | Err(_));
    let is_model = may_be_model && Model::is_model(path)?;
    Ok(if is_model { Kind::Model } else { Kind::Embeddings })
}

/// Splits the inputs into the files to evaluate and, last, the source for models.
fn split(inputs: &[String]) -> anyhow::Result<(Vec<&Path>, Option<&str>)> {
    // `features:FILE` is a source, although its file has an extension of embeddings.
    let names_kind = |input: &str| {
        let kind = input.split_once(':').map(|(kind, _)| kind);
        Source::KINDS.iter().any(|known| known.usage.split(':').next() == kind)
    };
    let is_system = |input: &String| {
        let path = Path::new(input);
        if names_kind(input) {
            return false;
        }
        let is_model = || Model::is_model(path).unwrap_or(false);
        Format::of(path).is_ok() || is_encoder(path) || (path.is_file() && is_model())
    };
    let (systems, source) = match inputs.split_last() {
        Some((last, others)) if !others.is_empty() && !is_system(last) => (others, Some(last)),
        _ => (inputs, None),
    };
    if let Some(odd) = systems.iter().find(|input| !is_system(input)) {
        let model = Path::new(odd).join("model.safetensors");
        if model.is_file() {
            bail!(Usage(format!(
                "`{odd}` is the folder of a run: name its model, {}",
                model.display()
            )));
        }
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
