//! `tercet loss`: exact value, gradient and triplet census for given vectors.

mod task;

use std::fmt::Write;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context, bail};
use clap::Args;
use indicatif::ProgressBar;
use serde::Serialize;
use tercet::{
    Census, Distance, FalseNegatives, Labels, Objective, ParameterError, Penalty, Percentiles,
    Preset, Reduction,
};
use tercet_train::embeddings::Embeddings;
use tercet_train::trainer::{Margin, Parts};

use self::task::{Choice, Rule, Task};
use crate::exit::Usage;
use crate::outputs::Outputs;
use crate::table::{Column, Table, count, counted, number};
use crate::{General, interrupt, progress};

#[derive(Debug, Args)]
pub(crate) struct Loss {
    /// Vectors as `.npy` (N×D, f16, f32 or f64), `.safetensors` or `.parquet`.
    embeddings: PathBuf,
    /// `.npy` of integers, or text with one label on each line [default: those beside the vectors].
    #[arg(long, value_name = "FILE")]
    labels: Option<PathBuf>,
    /// facenet, batch-hard, batch-all, batch-all-nonzero, lifted, multi-similarity,
    /// supervised-contrastive. Without one, the parts below start from those of batch-hard.
    #[arg(long, value_name = "NAME", conflicts_with_all = ["distance", "normalize", "selection", "penalty", "reduction"])]
    preset: Option<Preset>,
    /// euclidean, squared-euclidean, cosine [default: euclidean].
    #[arg(long)]
    distance: Option<Distance>,
    /// L2-normalise the vectors first; the gradient goes through it.
    #[arg(long)]
    normalize: bool,
    /// Which triplets count, with parameters after a colon: all, hard, semi-hard, semi-hard-all,
    /// semi-hard-fallback, violating-random, easy-positive, easy-positive-semi-hard,
    /// distance-weighted:cutoff=0.5,nonzero-loss-cutoff=1.4, n-hard:positives=1..2,negatives=1..2,
    /// random:triplets=1, and explicit for those of --triplets [default: hard].
    #[arg(long)]
    selection: Option<Choice>,
    /// For `--selection explicit`: `.npy` of M×3 integers, or text with anchor,positive,negative on
    /// each line; rows of the vectors, counted from 0.
    #[arg(long, value_name = "FILE", conflicts_with = "preset")]
    triplets: Option<PathBuf>,
    /// hinge, soft, squared-hinge [default: soft, or hinge with a number as --margin].
    #[arg(long, value_parser = penalty_name)]
    penalty: Option<&'static str>,
    /// A number or `soft` [default: the preset's own; 0.2 for a hinge; 0 for soft].
    #[arg(long, value_name = "M|soft", allow_negative_numbers = true)]
    margin: Option<Margin>,
    /// mean, mean-active, mean-anchors, sum [default: mean].
    #[arg(long)]
    reduction: Option<Reduction>,
    /// The temperature of supervised-contrastive [default: 0.1].
    #[arg(long, value_name = "T", allow_negative_numbers = true)]
    temperature: Option<f32>,
    /// Ignore negatives that are more similar to the anchor than this share of the positive's
    /// similarity: they are probably false [default: none are ignored].
    #[arg(long, value_name = "SHARE", num_args = 0..=1, default_missing_value = "0.95", conflicts_with = "triplets")]
    false_negatives: Option<f32>,
    /// Add up the loss of the first D components, for each D, each normalised by itself [default:
    /// the whole vectors].
    #[arg(long, value_name = "D,…", value_delimiter = ',', conflicts_with = "triplets")]
    matryoshka: Vec<usize>,
    /// Seed of selections that draw.
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
    /// Write the gradient with respect to the vectors (N×D, f32).
    #[arg(long, value_name = "FILE.npy")]
    gradient: Option<PathBuf>,
    /// Evaluate so many times; `seconds` is the median.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    repeat: u64,
    /// Threads; 0 takes every core.
    #[arg(long, default_value_t = 0)]
    threads: usize,
}

#[derive(Serialize)]
struct Result<'a> {
    embeddings: &'a PathBuf,
    items: usize,
    /// Number of classes; `None` for given triplets without labels.
    classes: Option<usize>,
    dimensions: usize,
    objective: String,
    metric: String,
    value: f64,
    #[serde(flatten)]
    census: Census,
    embedding_norm: Option<Percentiles>,
    distance: Option<Percentiles>,
    seconds: f64,
}

impl Loss {
    pub(crate) fn run(self, general: &General) -> anyhow::Result<ExitCode> {
        let objective = self.objective()?.with_seed(self.seed);
        self.check_usage()?;
        super::use_threads(self.threads)?;
        let embeddings = self.read()?;
        let labels = embeddings.classes();
        let classes = labels.as_ref().map(Labels::class_count);
        let task = self.task(objective, &embeddings, labels)?;
        let vectors = embeddings.view();
        self.check_prefixes(vectors.ncols())?;
        let file = || self.embeddings.display().to_string();

        interrupt::watch()?;
        let bar = progress::bar(general, "evaluating", vectors.nrows());
        let mut times = Vec::new();
        let outcome = loop {
            let began = Instant::now();
            let outcome = task
                .evaluate(vectors, &|done, total| follow(&bar, done, total))
                .with_context(file)?;
            times.push(began.elapsed().as_secs_f64());
            if times.len() as u64 == self.repeat {
                break outcome;
            }
        };
        bar.finish_and_clear();
        times.sort_by(f64::total_cmp);
        let seconds = times[times.len() / 2];
        let bar = progress::bar(general, "distances", vectors.nrows());
        let metric = task.metric();
        let distance = Percentiles::pairwise_distances_watched(vectors, metric, &|done, total| {
            follow(&bar, done, total)
        });
        let distance = distance.with_context(file)?;
        bar.finish_and_clear();

        if let Some(path) = &self.gradient {
            let gradient =
                Embeddings { vectors: outcome.gradient, labels: None, ids: None, model: None };
            gradient.save(path)?;
        }
        for warning in warnings(&task, &outcome.census) {
            progress::remark(general, format!("warning: {warning}"));
        }
        let result = Result {
            embeddings: &self.embeddings,
            items: vectors.nrows(),
            classes,
            dimensions: vectors.ncols(),
            objective: task.to_string(),
            metric: metric.to_string(),
            value: outcome.value,
            census: outcome.census,
            embedding_norm: Percentiles::norms(vectors),
            distance,
            seconds,
        };
        super::print(general, &result, || self.table(&result))?;
        Ok(ExitCode::SUCCESS)
    }

    fn check_usage(&self) -> anyhow::Result<()> {
        match (self.selection, &self.triplets) {
            (Some(Choice::Explicit), None) => {
                bail!(Usage("--selection explicit: name a file with --triplets".to_owned()))
            }
            (None | Some(Choice::Rule(_)), Some(_)) => {
                bail!(Usage("--triplets: expected --selection explicit beside it".to_owned()))
            }
            _ => {}
        }
        let inputs = [Some(&self.embeddings), self.labels.as_ref(), self.triplets.as_ref()];
        Outputs::default()
            .file("--gradient", self.gradient.as_deref(), &["npy"])?
            .differ_from(inputs.into_iter().flatten().map(PathBuf::as_path))?;
        self.gradient.as_deref().map_or(Ok(()), super::check_writable)
    }

    fn task(
        &self,
        objective: Objective,
        embeddings: &Embeddings,
        labels: Option<Labels>,
    ) -> anyhow::Result<Task> {
        match (&self.triplets, objective, labels) {
            (Some(path), Objective::Triplet(loss), _) => {
                Ok(Task::Given(loss, embeddings.triplets_from(path)?))
            }
            (_, objective, Some(labels)) => Ok(Task::Rule(Rule {
                objective,
                labels,
                false_negatives: self.false_negatives(),
                prefixes: self.matryoshka.clone(),
            })),
            _ => bail!("{} has no labels: name a file with --labels", self.embeddings.display()),
        }
    }

    fn objective(&self) -> anyhow::Result<Objective> {
        let parts = Parts {
            distance: self.distance,
            normalize: self.normalize,
            selection: match self.selection {
                Some(Choice::Rule(selection)) => Some(selection),
                Some(Choice::Explicit) | None => None,
            },
            penalty: self.penalty,
            margin: self.margin,
            reduction: self.reduction,
            temperature: self.temperature,
        };
        let objective = parts.of(self.preset.unwrap_or_default())?;
        if self.temperature.is_some() {
            named("temperature", objective.check_trainable())?;
        }
        if let Some(rule) = self.false_negatives() {
            named("false-negatives", rule.check(&objective))?;
        }
        Ok(objective)
    }

    fn false_negatives(&self) -> Option<FalseNegatives> {
        self.false_negatives.map(|share| FalseNegatives { share })
    }

    /// Checks the prefixes of vectors with this many components.
    fn check_prefixes(&self, components: usize) -> std::result::Result<(), ParameterError> {
        match self.matryoshka.iter().find(|prefix| !(1..=components).contains(prefix)) {
            None => Ok(()),
            Some(wrong) => Err(ParameterError {
                parameter: "matryoshka",
                got: wrong.to_string(),
                expected: format!("from 1 to {components}, the number of components"),
            }),
        }
    }

    fn read(&self) -> anyhow::Result<Embeddings> {
        let embeddings = Embeddings::load(&self.embeddings)?;
        match &self.labels {
            Some(labels) => Ok(embeddings.with_labels_from(labels)?),
            None => Ok(embeddings),
        }
    }

    fn table(&self, result: &Result) -> String {
        let census = &result.census;
        let whole = |value: u64| count(value as usize);
        let counted_items = |value: u64| counted(value as usize, "item", "items");
        let classes = |n| format!(" of {}", counted(n, "class", "classes"));
        let mut text = format!(
            "{}: {}{}, {}\n",
            self.embeddings.display(),
            counted(result.items, "item", "items"),
            result.classes.map_or_else(String::new, classes),
            counted(result.dimensions, "dimension", "dimensions")
        );
        let preset = self.preset.map_or_else(String::new, |preset| format!("{preset}: "));
        let _ = writeln!(text, "{preset}{} distance, {}\n", result.metric, result.objective);
        let _ = writeln!(text, "value      {}", result.value);
        let _ = writeln!(
            text,
            "triplets   {} valid, {} selected, {} active, {} violated",
            whole(census.triplets),
            whole(census.selected),
            whole(census.active),
            whole(census.violated)
        );
        if census.filtered > 0 {
            let ignored = whole(census.filtered);
            let _ = writeln!(text, "ignored    {ignored} with a negative that is probably false");
        }
        let _ = writeln!(
            text,
            "anchors    {}; {} without a positive, {} without a negative\n",
            whole(census.anchors),
            counted_items(census.anchors_without_positive),
            counted_items(census.anchors_without_negative)
        );
        let mut table =
            Table::new([Column::Left].into_iter().chain([Column::Right; 5]).collect::<Vec<_>>());
        table.row(["", "min", "5 %", "median", "95 %", "max"]);
        for (name, spread) in [("norm", result.embedding_norm), ("distance", result.distance)] {
            let values =
                spread.map(|p| [p.p0, p.p5, p.p50, p.p95, p.p100].map(f64::from).map(number));
            let values = values.map_or_else(|| vec!["–".to_owned()], Vec::from);
            table.row(std::iter::once(name.to_owned()).chain(values));
        }
        text += &table.text();
        let _ = write!(
            text,
            "\n\nmean distance {} between positives, {} between negatives\nkernel {} ms",
            number(census.mean_positive_distance),
            number(census.mean_negative_distance),
            number(1e3 * result.seconds)
        );
        text
    }
}

/// An error of a parameter of the library, with the name of the flag.
fn named(
    flag: &'static str,
    checked: std::result::Result<(), tercet::Error>,
) -> anyhow::Result<()> {
    match checked {
        Err(tercet::Error::Parameter(error)) => {
            Err(ParameterError { parameter: flag, ..error }.into())
        }
        checked => Ok(checked?),
    }
}

pub(crate) fn penalty_name(name: &str) -> std::result::Result<&'static str, tercet::Error> {
    Penalty::from_name(name, 0.0).map(Penalty::name)
}

/// Updates the progress bar; the evaluation continues until Ctrl-C.
fn follow(bar: &ProgressBar, done: u64, total: u64) -> ControlFlow<()> {
    bar.set_length(total);
    bar.set_position(done);
    interrupt::asked()
}

/// Warnings about a loss that is 0 for another reason than good vectors.
fn warnings(task: &Task, census: &Census) -> Vec<String> {
    let mut warnings = Vec::new();
    if let Task::Given(_, triplets) = task {
        if triplets.is_empty() {
            warnings.push("the file of triplets is empty".to_owned());
        }
    } else if let Task::Rule(Rule { objective: Objective::Triplet(loss), .. }) = task
        && loss.selection.is_empty_at(loss.penalty.margin())
    {
        warnings.push(format!(
            "nothing is selected, since the band of {} is empty at margin {}: give --margin a number above 0",
            loss.selection,
            loss.penalty.margin()
        ));
    } else if census.triplets == 0 {
        warnings.push(format!(
            "there is no valid triplet: {} without another of its class, {} without one of another class",
            counted(census.anchors_without_positive as usize, "item", "items"),
            counted(census.anchors_without_negative as usize, "item", "items")
        ));
    } else if census.selected == 0 {
        warnings.push("there are valid triplets, but the selection takes none of them".to_owned());
    }
    warnings
}
