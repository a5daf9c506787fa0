//! `tercet train`: trains an encoder and evaluates it on held-out classes.

mod configuration;
mod foreign;
mod next;
mod plan;
mod stopping;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Mutex;

use anyhow::{Context, bail};
use clap::Args;
use serde::Serialize;
use tercet::{Distance, Preset, Reduction, Retrieval, Sampling, Selection};
use tercet_train::data::{
    Augmentation, DataError, Filter, Fit, HoldoutBy, LabelFrom, Source, named_classes,
};
use tercet_train::encoder::{Freeze, Pooling};
use tercet_train::trainer::{
    BatchShape, Bytes, Chunk, Condition, Curriculum, Ended, ImageSize, Keep, Margin, Monitor,
    OnCollapse, OptimizerKind, Pool, RunFolder, ScheduleKind, Surroundings, TrainConfig, Trained,
    train,
};
use tercet_train::trainer::{Event, Left};

use super::cross_model;
use super::loss::penalty_name;
use crate::General;
use crate::exit::{self, Usage};
use crate::interrupt;
use crate::outputs::Outputs;
use crate::progress::{TrainingDisplay, remark};
use crate::table::{self, count};

pub use configuration::configuration;

#[derive(Debug, Args)]
pub(crate) struct Train {
    #[command(flatten)]
    settings: Settings,
    /// Folder of this run [default: the first free of runs/SOURCE-1, runs/SOURCE-2…].
    #[arg(long)]
    run: Option<PathBuf>,
    /// Resume a run from its newest checkpoint; with a larger --steps it is trained further.
    #[arg(long, value_name = "DIR", conflicts_with_all = ["run", "config", "dry_run"])]
    resume: Option<PathBuf>,
    /// A file with the same keys as the flags; flags win.
    #[arg(long, value_name = "FILE.toml")]
    config: Option<PathBuf>,
    /// Print the merged configuration and do nothing else.
    #[arg(long)]
    print_config: bool,
    /// Print what would be trained, with the estimated memory and time, and write nothing.
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    foreign: foreign::Foreign,
}

/// The flags that are also keys of the configuration file, by the same names.
#[derive(Debug, Args, Serialize)]
#[serde(rename_all = "kebab-case")]
struct Settings {
    /// `kind:PATH`, or a path whose kind is recognised [default: glyphs, embedded].
    #[serde(skip_serializing_if = "Option::is_none")]
    source: Option<String>,
    /// For `features` sources without labels: `.npy` of integers, or text with one label on each
    /// line.
    #[arg(long, value_name = "FILE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    labels: Option<PathBuf>,
    /// Take the class from the names of the files in a folder: a regular expression with one group,
    /// such as '^(\d+)_'. With a `/` in it, it is matched with the path in the folder.
    #[arg(long, value_name = "REGEX")]
    #[serde(skip_serializing_if = "Option::is_none")]
    label_from: Option<LabelFrom>,
    /// Share of the classes that are held out for the evaluation [default: 0.2].
    #[arg(long, value_name = "F")]
    #[serde(skip_serializing_if = "Option::is_none")]
    holdout: Option<f64>,
    /// Share of further classes that are evaluated during the run, so that the held-out ones do not
    /// choose the weights [default: 0, the held-out classes are used for both].
    #[arg(long, value_name = "F")]
    #[serde(skip_serializing_if = "Option::is_none")]
    validation: Option<f64>,
    /// A file that names the classes to hold out, one on each line, instead of a share of them.
    #[arg(long, value_name = "FILE", conflicts_with = "holdout", value_parser = class_names)]
    #[serde(skip_serializing_if = "Option::is_none")]
    holdout_classes: Option<BTreeSet<String>>,
    /// Leave unreadable items out instead of failing.
    #[arg(long)]
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    skip_bad: bool,
    /// Height x width of the images that enter the encoder, or one side of a square [default: what
    /// the encoder was made for; else 28 for glyphs, omniglot, idx, 32 for emoji, 128x64 for
    /// market1501, 64].
    #[arg(long, value_name = "HxW")]
    #[serde(skip_serializing_if = "Option::is_none")]
    size: Option<ImageSize>,
    /// 1 (grey) or 3 (RGB) [default: 1 for glyphs, omniglot, idx, else 3].
    #[arg(long)]
    #[serde(skip_serializing_if = "Option::is_none")]
    channels: Option<u32>,
    /// How images of another shape are brought to that size: crop, pad, stretch [default: crop].
    #[arg(long)]
    #[serde(skip_serializing_if = "Option::is_none")]
    fit: Option<Fit>,
    /// How images are resampled: nearest, box, bilinear, catmull-rom, lanczos3 [default: lanczos3].
    #[arg(long)]
    #[serde(skip_serializing_if = "Option::is_none")]
    filter: Option<Filter>,
    /// How training images are changed: none, glyph, photo, reid, with other numbers after a colon,
    /// such as glyph:rotate=20,erase=0.5; numbers are crop, flip, shift, scale, rotate, shear,
    /// colour, gray, invert, erase [default: none for glyphs; glyph for emoji, omniglot, idx; reid
    /// for market1501; else photo].
    #[arg(long, value_name = "PRESET[:NAME=X,…]")]
    #[serde(skip_serializing_if = "Option::is_none")]
    augment: Option<Augmentation>,
    /// How a batch is composed: classes (any), cameras (items of a class from several), categories
    /// (classes of one) [default: classes].
    #[arg(long, value_name = "HOW")]
    #[serde(skip_serializing_if = "Option::is_none")]
    sampling: Option<Sampling>,
    /// What is held out as a whole: class or category [default: class].
    #[arg(long, value_name = "WHAT", conflicts_with = "holdout_classes")]
    #[serde(skip_serializing_if = "Option::is_none")]
    holdout_by: Option<HoldoutBy>,
    /// The most memory for decoded images, such as 512MiB; beyond it they are decoded each time
    /// [default: 4GiB].
    #[arg(long, value_name = "SIZE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    cache_limit: Option<Bytes>,
    /// Bring vectors to mean 0 and deviation 1 in each component.
    #[arg(long)]
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    standardize: bool,
    /// Optimiser steps [default: 600].
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=i64::MAX as u64))]
    #[serde(skip_serializing_if = "Option::is_none")]
    steps: Option<u64>,
    /// Classes × items of a batch [default: 16x4, with fewer classes if there are fewer].
    #[arg(long, value_name = "PxK")]
    #[serde(skip_serializing_if = "Option::is_none")]
    batch: Option<BatchShape>,
    /// Candidates (PxK or a number) of which the P·K of --batch with the longest gradient become
    /// the batch [default: none, the batch is what was drawn].
    #[arg(long, value_name = "PxK|N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pool: Option<Pool>,
    /// Items that go through the network at once; the gradient is that of the whole batch [default:
    /// auto, the batch or as many as fit into memory].
    #[arg(long, value_name = "auto|N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    chunk: Option<Chunk>,
    /// What `--chunk auto` counts on, such as 8G [default: half of the machine's].
    #[arg(long, value_name = "BYTES")]
    #[serde(skip_serializing_if = "Option::is_none")]
    ram_limit: Option<Bytes>,
    /// Embeddings of past steps that serve as further positives and negatives [default: 0].
    #[arg(long, value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    memory: Option<usize>,
    /// Steps before the memory begins to fill [default: a tenth of the steps].
    #[arg(long, value_name = "STEPS")]
    #[serde(skip_serializing_if = "Option::is_none")]
    memory_start: Option<u64>,
    /// facenet, batch-hard, batch-all, batch-all-nonzero, lifted, multi-similarity,
    /// supervised-contrastive [default: facenet].
    #[arg(long, value_name = "NAME")]
    #[serde(skip_serializing_if = "Option::is_none")]
    objective: Option<Preset>,
    /// euclidean, squared-euclidean, cosine [default: the objective's own].
    #[arg(long)]
    #[serde(skip_serializing_if = "Option::is_none")]
    distance: Option<Distance>,
    /// L2-normalise embeddings before they are compared [default: as the objective does].
    #[arg(long)]
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    normalize: bool,
    /// Which triplets count, as `tercet loss` takes it; `explicit` excepted [default: the
    /// objective's own].
    #[arg(long)]
    #[serde(skip_serializing_if = "Option::is_none")]
    selection: Option<Selection>,
    /// hinge, soft, squared-hinge [default: the objective's own, or a hinge with a number as
    /// --margin].
    #[arg(long, value_parser = penalty_name)]
    #[serde(skip_serializing_if = "Option::is_none")]
    penalty: Option<&'static str>,
    /// mean, mean-active, mean-anchors, sum [default: the objective's own].
    #[arg(long)]
    #[serde(skip_serializing_if = "Option::is_none")]
    reduction: Option<Reduction>,
    /// A number (hinge) or `soft` [default: the objective's own].
    #[arg(long, value_name = "M|soft", allow_negative_numbers = true)]
    #[serde(skip_serializing_if = "Option::is_none")]
    margin: Option<Margin>,
    /// The temperature of supervised-contrastive [default: 0.1].
    #[arg(long, value_name = "T")]
    #[serde(skip_serializing_if = "Option::is_none")]
    temperature: Option<f32>,
    /// Ignore negatives that are more similar to the anchor than this share of the positive's
    /// similarity: they are probably false, as with wrong labels [default: none are ignored].
    #[arg(long, value_name = "SHARE", num_args = 0..=1, default_missing_value = "0.95")]
    #[serde(skip_serializing_if = "Option::is_none")]
    false_negatives: Option<f32>,
    /// Also train the first components of the embeddings to be embeddings by themselves, such as
    /// 16,32 [default: none].
    #[arg(long, value_name = "D,…", value_delimiter = ',')]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    matryoshka: Vec<usize>,
    /// Stages before the run's own objective and batch, such as
    /// 400:batch-all:8x4,800:batch-hard:16x4 [default: none].
    #[arg(long, value_name = "UNTIL:OBJECTIVE:PxK,…")]
    #[serde(skip_serializing_if = "Option::is_none")]
    curriculum: Option<Curriculum>,
    /// The architecture; without a name lists them [default: small-cnn, linear-head for features].
    #[arg(long, value_name = "NAME", num_args = 0..=1, default_missing_value = LIST)]
    #[serde(skip_serializing_if = "Option::is_none")]
    encoder: Option<String>,
    /// Channels of a block [default: the architecture's own].
    #[arg(long)]
    #[serde(skip_serializing_if = "Option::is_none")]
    width: Option<usize>,
    /// Blocks of small-cnn [default: by the image size].
    #[arg(long)]
    #[serde(skip_serializing_if = "Option::is_none")]
    depth: Option<usize>,
    /// Components of the hidden layer of a head [default: the architecture's own].
    #[arg(long, value_name = "D")]
    #[serde(skip_serializing_if = "Option::is_none")]
    hidden: Option<usize>,
    /// What the head of small-cnn gets of the last map: flatten (every position), global (their
    /// mean) [default: flatten].
    #[arg(long)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pooling: Option<Pooling>,
    /// Components of an embedding [default: the architecture's own].
    #[arg(long, value_name = "D")]
    #[serde(skip_serializing_if = "Option::is_none")]
    embedding_dim: Option<usize>,
    /// Weights from which the body starts, a `.safetensors` or `.pth` of torchvision's ResNet-18, 34
    /// or 50 or MobileNetV2, or of EfficientNet-Lite0; they determine the encoder.
    #[arg(long, value_name = "FILE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pretrained: Option<PathBuf>,
    /// A frozen encoder, on whose vectors a head is trained: an ONNX file, or for sentences a folder
    /// of sentence-transformers. Vectors are computed once and kept for later runs.
    #[arg(long, value_name = "FILE|DIR", conflicts_with_all = ["pretrained", "from"])]
    #[serde(skip_serializing_if = "Option::is_none")]
    backbone: Option<PathBuf>,
    /// What such an encoder of images expects to be subtracted from each channel, whose values are
    /// from 0 to 1 [default: ImageNet's 0.485,0.456,0.406; 0 for grey].
    #[arg(long, value_name = "M,…", value_delimiter = ',', allow_negative_numbers = true)]
    #[arg(requires = "backbone")]
    #[serde(skip_serializing_if = "Option::is_none")]
    backbone_mean: Option<Vec<f32>>,
    /// What it expects each channel to be divided by afterwards [default: ImageNet's
    /// 0.229,0.224,0.225; 1 for grey].
    #[arg(long, value_name = "S,…", value_delimiter = ',', requires = "backbone")]
    #[serde(skip_serializing_if = "Option::is_none")]
    backbone_std: Option<Vec<f32>>,
    /// A model of `tercet train` to continue from: its weights, architecture and preprocessing, with
    /// its objective and held-out classes unless they are given.
    #[arg(long, value_name = "MODEL", conflicts_with = "pretrained")]
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<PathBuf>,
    /// An older model whose galleries queries of the new one can search: its vectors of the training
    /// items are further positives, negatives and anchors that do not move.
    #[arg(long, value_name = "MODEL")]
    #[serde(skip_serializing_if = "Option::is_none")]
    compatible: Option<PathBuf>,
    /// Weight of the triplets with vectors of the older model; 0 trains without them [default: 5].
    #[arg(long, value_name = "W", allow_negative_numbers = true)]
    #[serde(skip_serializing_if = "Option::is_none")]
    compatible_weight: Option<f64>,
    /// Parts of the body that do not learn: the first N stages, or some by name (ResNet: stem, layer1 …
    /// layer4; mobile networks: stem, stage1 … stage7, last).
    #[arg(long, value_name = "N|STAGE,…")]
    #[serde(skip_serializing_if = "Option::is_none")]
    freeze: Option<Freeze>,
    /// Learning rate of the body, where --learning-rate is the head's [default: the same].
    #[arg(long, value_name = "RATE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    backbone_learning_rate: Option<f64>,
    /// The highest learning rate [default: 0.001].
    #[arg(long, value_name = "RATE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    learning_rate: Option<f64>,
    /// The learning rate over the steps: paper, cosine, one-cycle, constant [default: paper].
    #[arg(long, value_name = "NAME")]
    #[serde(skip_serializing_if = "Option::is_none")]
    schedule: Option<ScheduleKind>,
    /// Steps in which the rate rises to its maximum [default: 0; one-cycle: 0.3 of the steps].
    #[arg(long, value_name = "STEPS")]
    #[serde(skip_serializing_if = "Option::is_none")]
    warmup: Option<u64>,
    /// Share of the steps before the paper's rate falls [default: 0.6].
    #[arg(long, value_name = "F")]
    #[serde(skip_serializing_if = "Option::is_none")]
    constant_share: Option<f64>,
    /// adam, adamw, sgd, adagrad [default: adam].
    #[arg(long, value_name = "NAME")]
    #[serde(skip_serializing_if = "Option::is_none")]
    optimizer: Option<OptimizerKind>,
    /// Momentum of sgd [default: 0.9].
    #[arg(long, value_name = "M")]
    #[serde(skip_serializing_if = "Option::is_none")]
    momentum: Option<f32>,
    /// Weight decay [default: 0; adamw: 0.01].
    #[arg(long, value_name = "W")]
    #[serde(skip_serializing_if = "Option::is_none")]
    weight_decay: Option<f32>,
    /// The longest gradient, over all weights; longer ones are scaled down [default: none].
    #[arg(long, value_name = "NORM")]
    #[serde(skip_serializing_if = "Option::is_none")]
    clip_norm: Option<f64>,
    /// β₁ of Adam once the paper's rate falls; the paper says 0.5 [default: 0.9].
    #[arg(long, value_name = "B")]
    #[serde(skip_serializing_if = "Option::is_none")]
    falling_beta1: Option<f32>,
    /// Decay of averaged weights, which are then evaluated and saved, such as 0.999 [default: 0,
    /// none].
    #[arg(long, value_name = "DECAY")]
    #[serde(skip_serializing_if = "Option::is_none")]
    ema: Option<f64>,
    /// Which weights become the model: last, best of those evaluated during the run, or auto: the
    /// best, those before training included, if classes are held out [default: auto].
    #[arg(long)]
    #[serde(skip_serializing_if = "Option::is_none")]
    keep: Option<Keep>,
    /// The figure that decides which weights are best: map-at-r, recall-at-1, r-precision, map, mrr
    /// [default: map-at-r].
    #[arg(long, value_name = "FIGURE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    monitor: Option<Monitor>,
    /// Evaluations without an improvement after which the run stops [default: 0, never].
    #[arg(long, value_name = "EVALUATIONS")]
    #[serde(skip_serializing_if = "Option::is_none")]
    patience: Option<u64>,
    /// What to do when all embeddings become equal: warn, stop, soften [default: soften; warn with
    /// an objective of your own].
    #[arg(long, value_name = "WHAT")]
    #[serde(skip_serializing_if = "Option::is_none")]
    on_collapse: Option<OnCollapse>,
    /// Steps without progress at the collapse value that are no collapse yet
    /// [default: a third of the steps, from 300 to 1,000].
    #[arg(long, value_name = "STEPS")]
    #[serde(skip_serializing_if = "Option::is_none")]
    collapse_patience: Option<u64>,
    /// Seed of every random choice [default: 0].
    #[arg(long, value_parser = clap::value_parser!(u64).range(..=i64::MAX as u64))]
    #[serde(skip_serializing_if = "Option::is_none")]
    seed: Option<u64>,
    /// Steps between two lines of metrics [default: 10].
    #[arg(long, value_name = "STEPS")]
    #[serde(skip_serializing_if = "Option::is_none")]
    log_every: Option<u64>,
    /// Steps between two evaluations on the held-out classes [default: a sixth of the steps].
    #[arg(long, value_name = "STEPS")]
    #[serde(skip_serializing_if = "Option::is_none")]
    judge_every: Option<u64>,
    /// Steps between two checkpoints [default: 100].
    #[arg(long, value_name = "STEPS")]
    #[serde(skip_serializing_if = "Option::is_none")]
    checkpoint_every: Option<u64>,
    /// A second file for the model, besides the one in the run folder.
    #[arg(long, value_name = "MODEL")]
    #[serde(skip_serializing_if = "Option::is_none")]
    out: Option<PathBuf>,
    /// Where to compute: cpu [default: cpu].
    #[arg(long)]
    #[serde(skip_serializing_if = "Option::is_none")]
    device: Option<String>,
    /// Threads; 0 takes every core. Bytes are reproducible for the same number [default: 0].
    #[arg(long)]
    #[serde(skip_serializing_if = "Option::is_none")]
    threads: Option<usize>,
}

impl Train {
    pub(crate) fn run(self, general: &General) -> anyhow::Result<ExitCode> {
        if self.settings.encoder.as_deref() == Some(LIST) {
            let listed = ENCODERS.map(|(name, what)| Listed { name, what });
            super::print(general, &listed, encoders)?;
            return Ok(ExitCode::SUCCESS);
        }
        self.foreign.refuse(|| self.merged())?;
        let (config, resumed) = match &self.resume {
            None => (self.merged()?, None),
            Some(path) => {
                let (mut run, config) = RunFolder::open(path)?;
                (self.resumed(&mut run, config)?, Some(run))
            }
        };
        config.check()?;
        if self.print_config {
            let text = toml::to_string(&config).context("cannot write the configuration")?;
            super::print(general, &config, || text.trim_end().to_owned())?;
            return Ok(ExitCode::SUCCESS);
        }
        super::use_threads(config.threads)?;
        if self.dry_run {
            return plan::show(general, &config);
        }
        if let Some(out) = &config.out {
            self.check_out(out, &config)?;
            super::check_writable(out)?;
        }
        let is_resumed = resumed.is_some();
        let run = match (resumed, &self.run) {
            (Some(run), _) => run,
            (None, Some(path)) => RunFolder::fresh(path)?,
            (None, None) => {
                let name = config.source.parse::<Source>()?.name();
                RunFolder::next(Path::new("runs"), &name)?
            }
        };

        let display = TrainingDisplay::new(general, config.steps);
        let first = Mutex::new(0);
        let watch = |event: Event| {
            if let (Event::Started { step, .. }, Ok(mut first)) = (&event, first.lock()) {
                *first = *step;
            }
            display.show(event);
        };
        let leave: &(dyn Fn(Left) + Sync) = &|left| {
            display.interrupted();
            let error = match left.saved {
                Ok(()) => stopping::interrupted(&run, left.step, config.steps),
                Err(error) => stopping::advised(error, &run),
            };
            run.give_up();
            exit::leave(&error)
        };
        let around = Surroundings { watch: &watch, stop: interrupt::watch()?, leave: Some(leave) };
        let ended = train(&config, &run, &around);
        match &ended {
            Ok(Ended::Interrupted { .. }) => display.interrupted(),
            _ => display.finish(),
        }
        match ended.map_err(|error| stopping::advised(error, &run))? {
            Ended::Finished(trained) => {
                super::print(general, &trained, || {
                    let text = summary(&trained, &run, config.from.is_some());
                    format!("{text}\n\n{}", next::steps(&trained, &config))
                })?;
                let first = first.lock().map_or(0, |first| *first);
                if is_resumed && first == trained.steps {
                    remark(general, next::nothing_was_left(&trained));
                }
                Ok(ExitCode::SUCCESS)
            }
            Ended::Interrupted { step } => Err(stopping::interrupted(&run, step, config.steps)),
        }
    }

    /// Refuses to write the model over a file that the run reads.
    fn check_out(&self, out: &Path, config: &TrainConfig) -> anyhow::Result<()> {
        let outputs = Outputs::default().file("--out", Some(out), &["safetensors"])?;
        let files = [
            &self.config,
            &config.labels,
            &config.pretrained,
            &config.backbone,
            &config.from,
            &config.compatible,
        ];
        outputs.differ_from(files.into_iter().filter_map(Option::as_deref))?;
        let source: Source = config.source.parse()?;
        outputs.differ_from_source(&source)?;
        // A file that does not exist cannot be an item.
        if out.exists() { outputs.differ_from_items(&source.catalogue()?) } else { Ok(()) }
    }

    /// The configuration: the defaults, overridden by the file, overridden by the flags.
    fn merged(&self) -> anyhow::Result<TrainConfig> {
        let mut given = toml::Table::new();
        if let Some(path) = &self.config {
            let text = fs::read_to_string(path)
                .with_context(|| format!("cannot read {}", path.display()))?;
            // Parse it as a configuration first: these errors give the line and the key.
            toml::from_str::<TrainConfig>(&text)
                .with_context(|| format!("{} is no configuration", path.display()))?;
            given = toml::from_str(&text)?;
        }
        given.extend(toml::Table::try_from(&self.settings)?);
        configuration(given)
    }

    /// The configuration of a resumed run, with the changes that are allowed.
    fn resumed(&self, run: &mut RunFolder, config: TrainConfig) -> anyhow::Result<TrainConfig> {
        let mut config = config;
        let mut flags = toml::Table::try_from(&self.settings)?;
        if let Some(threads) = flags.remove("threads") {
            config.threads = threads.try_into()?;
        }
        if let Some(out) = flags.remove("out") {
            config.out = Some(out.try_into()?);
        }
        if let Some(steps) = flags.remove("steps") {
            run.extend(&mut config, steps.try_into()?);
        }
        match flags.into_iter().next() {
            None => Ok(config),
            Some((key, value)) => bail!(Usage(stopping::fixed(run, &config, &key, &value))),
        }
    }
}

fn class_names(path: &str) -> Result<BTreeSet<String>, DataError> {
    named_classes(Path::new(path))
}

/// The value of `--encoder` without a name.
const LIST: &str = "list";

/// The architectures with their descriptions.
const ENCODERS: [(&str, &str); 10] = [
    ("small-cnn", "convolution blocks, for images of up to about 100 pixels a side (default)"),
    ("lunet", "residual, from scratch, 128x64: persons (In Defense of the Triplet Loss), 5.0 M"),
    ("inception-small", "Inception, 96x96: faces (OpenFace's nn4.small2 of FaceNet's NN4), 3.7 M"),
    ("resnet18", "11.2 M and a head, torchvision's layout"),
    ("resnet34", "21.3 M and a head, torchvision's layout"),
    ("resnet50", "23.5 M and a head, torchvision's layout; with its head TriNet"),
    ("mobilenet-v2", "2.2 M and a head, torchvision's layout: photos on a small budget"),
    ("efficientnet-lite0", "3.4 M and a head, layout of efficientnet-lite-pytorch"),
    ("linear-head", "one matrix on vectors, from the identity (default of features)"),
    ("mlp-head", "a hidden layer beside a matrix, on vectors"),
];

#[derive(Serialize)]
struct Listed {
    name: &'static str,
    what: &'static str,
}

fn encoders() -> String {
    ENCODERS.map(|(name, what)| format!("{name:<19} {what}")).join("\n")
}

/// The figures before and after training, how the run went, and where its files are. `from_model`
/// is set if the run started from a model instead of initial weights.
fn summary(trained: &Trained, run: &RunFolder, from_model: bool) -> String {
    let mut text = String::new();
    if let Some(after) = &trained.after {
        let before = if from_model { "start" } else { "untrained" };
        let untrained = trained.before.untrained.as_ref().map(|judged| (before, judged));
        let prefixes: Vec<(String, &Retrieval)> = trained
            .after_by_dimensions
            .iter()
            .map(|(dimensions, judged)| (format!("first {dimensions}"), judged))
            .collect();
        let rows: Vec<_> = trained
            .before
            .raw()
            .into_iter()
            .chain(untrained)
            .chain([("trained", &after.retrieval)])
            .chain(prefixes.iter().map(|(name, judged)| (name.as_str(), *judged)))
            .collect();
        text += &format!(
            "{} classes never seen in training, {} items, leave-one-out\n\n{}\n",
            count(trained.holdout.classes),
            count(trained.holdout.items),
            table::retrieval(&rows)
        );
        if let Some(judged) = &after.verification {
            text += &format!("\nverification  {}\n", table::verification(judged));
        }
        if let Some(measured) = trained.compatible.as_ref().and_then(|it| it.measured.as_ref()) {
            text += &format!(
                "\nqueries of the old and the new model in galleries of both, same classes\n\n{}\n",
                cross_model::text(measured)
            );
        }
        text += "\n";
    }
    text += &chosen(trained);
    text += &format!("result  {}\n", trained.verdict);
    text + &format!("model   {}\nreport  {}", trained.model.display(), run.report_file().display())
}

/// Remarks about how the run went: an early stop, the weights that were chosen, a collapse.
fn chosen(trained: &Trained) -> String {
    let mut text = String::new();
    if let (true, Some(best)) = (trained.stopped_early, trained.best) {
        text += &format!(
            "stopped after step {}: {} evaluations without a better {} than at step {}\n",
            count(trained.steps as usize),
            best.without_gain,
            trained.monitor,
            count(best.step as usize)
        );
    }
    if trained.kept_step == 0 {
        text += "kept    the weights from before training\n";
    } else if trained.kept_step != trained.steps {
        text += &format!(
            "kept    the weights after step {}, the best by {}\n",
            count(trained.kept_step as usize),
            trained.monitor
        );
    }
    for softening in &trained.collapse.softened {
        text += &format!(
            "softened at step {}: returned to step {}, continued with {}\n",
            count(softening.noticed as usize),
            count(softening.back_to as usize),
            softening.easing
        );
    }
    if let Condition::Collapsed { since } = trained.collapse.condition {
        text += &format!("collapsed since step {}\n", count(since as usize));
    }
    if !text.is_empty() {
        text.push('\n');
    }
    text
}
