//! Everything that decides a run, as `config.toml` keeps it.

use std::collections::BTreeSet;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use burn::module::ParamGroup;
use serde::{Deserialize, Serialize};
use tercet::{Distance, Labels, Objective, Preset, Reduction, Sampling, Selection};

use super::batch::{BatchShape, Bytes, Chunk, Pool};
use super::best::{Keep, Monitor};
use super::collapse::OnCollapse;
use super::curriculum::Curriculum;
use super::objective::{Margin, Parts};
use super::optimizer::{OptimizerConfig, OptimizerKind};
use super::schedule::{Schedule, ScheduleKind};
use crate::data::{
    Augmentation, Catalogue, DataError, Filter, Fit, HoldoutBy, Input, Preprocessing, Source,
    Split, Standardization, split_categories, split_classes, split_named,
};
use crate::encoder::{
    EncoderConfig, EncoderError, EncoderOptions, Freeze, LinearHeadConfig, Pooling, SmallCnnConfig,
    Takes,
};

/// The configuration of a training run. Every flag of `tercet train` is a key of this file, written
/// with the same name.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct TrainConfig {
    /// Where the images lie, as `kind:path`. Default `glyphs`.
    pub source: String,
    /// Labels of a source of vectors that has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub labels: Option<PathBuf>,
    /// Share of the classes that is kept apart to judge on, 0 to below 1. Default 0.2.
    pub holdout: f64,
    /// Share of the classes that is kept apart to choose by: judgements along the way, the best
    /// weights and early stopping then go by these, and the held-out classes are judged once, at
    /// the end. Default 0: the held-out classes serve for both.
    pub validation: f64,
    /// The classes to keep apart, instead of a share of them. Default none.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub holdout_classes: BTreeSet<String>,
    /// Leave unreadable items out instead of failing. Default no.
    pub skip_bad: bool,
    /// Size of the images that enter the encoder. Default what the encoder was made for, else what
    /// suits the source.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size: Option<ImageSize>,
    /// 1 (grey) or 3 (RGB). Default 1 for `glyphs` without pretrained weights, else 3.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub channels: Option<u32>,
    /// How an image of another shape is brought to that size. Default `crop`.
    pub fit: Fit,
    /// How images are resampled. Default `lanczos3`.
    pub filter: Filter,
    /// What is done to training images; by default what suits the source.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub augment: Option<Augmentation>,
    /// How the classes and items of a batch are put together. Default `classes`.
    pub sampling: Sampling,
    /// Whether whole classes or whole categories are kept apart. Default `class`.
    pub holdout_by: HoldoutBy,
    /// The most memory that decoded images are kept in. Default 4 GiB.
    pub cache_limit: Bytes,
    /// Whether vectors are brought to mean 0 and deviation 1 in each component. Default no.
    pub standardize: bool,
    /// Number of optimiser steps. Default 600.
    pub steps: u64,
    /// Classes × items of a batch. Default 16x4, 16x8 of vectors; with fewer classes where there are
    /// fewer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub batch: Option<BatchShape>,
    /// Candidates of which a step learns from the P·K that teach most. Default none: from a batch as
    /// it is drawn.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pool: Option<Pool>,
    /// Items that go through the network at once. Default `auto`: the batch, or as many as fit.
    pub chunk: Chunk,
    /// What `chunk` counts on. Default: half of the machine's memory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ram_limit: Option<Bytes>,
    /// Embeddings of past steps that serve as further positives and negatives. Default 0.
    pub memory: usize,
    /// Steps before the memory begins to fill and to serve. Default: a tenth of the steps.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_start: Option<u64>,
    /// The objective. Default `batch-hard`.
    pub objective: Preset,
    /// How distances are measured; the objective's own by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub distance: Option<Distance>,
    /// L2-normalise embeddings before they are compared. Default: as the objective does.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub normalize: bool,
    /// Which triplets count; the objective's own by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub selection: Option<Selection>,
    /// What a triplet costs, one of [`tercet::Penalty::NAMES`]; the objective's own by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub penalty: Option<String>,
    /// How the costs become one number; the objective's own by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reduction: Option<Reduction>,
    /// A number (hinge) or `soft`; the objective's own by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub margin: Option<Margin>,
    /// Stages before the run's own objective and batch. Default none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub curriculum: Option<Curriculum>,
    /// The architecture. Default `small-cnn`.
    pub encoder: String,
    /// Channels of its blocks; the architecture's own by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub width: Option<usize>,
    /// Blocks; as the image size asks by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub depth: Option<usize>,
    /// Components of the hidden layer; the architecture's own by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hidden: Option<usize>,
    /// What the head sees of the last map: every place (default), or their mean.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pooling: Option<Pooling>,
    /// Components of an embedding; the architecture's own by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub embedding_dim: Option<usize>,
    /// A state dict of torchvision or timm, from which the encoder's body starts. Images are then
    /// standardised as ImageNet's were. Default none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pretrained: Option<PathBuf>,
    /// Stages of the body that do not learn. Default none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub freeze: Option<Freeze>,
    /// Learning rate of the body, where `learning-rate` is the head's. Default: the same.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backbone_learning_rate: Option<f64>,
    /// The highest learning rate. Default 1e-3, as in "In Defense".
    pub learning_rate: f64,
    /// How the rate goes on from there. Default `paper`.
    pub schedule: ScheduleKind,
    /// Steps in which the rate rises to its height. Default 0; with `one-cycle` 0.3 of the steps.
    pub warmup: u64,
    /// Share of the steps before the paper's rate starts to fall. Default 0.6, as in "In Defense".
    pub constant_share: f64,
    /// The rule of descent. Default `adam`.
    pub optimizer: OptimizerKind,
    /// Momentum of `sgd`. Default 0.9.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub momentum: Option<f32>,
    /// Weight decay. Default 0; with `adamw` 0.01.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weight_decay: Option<f32>,
    /// The longest gradient, over all weights. Default none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clip_norm: Option<f64>,
    /// β₁ of Adam once the paper's rate falls; "In Defense" says 0.5, the code released with it
    /// leaves it at 0.9. Default 0.9.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub falling_beta1: Option<f32>,
    /// Decay of the averaged weights, which then are what is judged and saved; 0 (default): none.
    pub ema: f64,
    /// The figure that says which judgement is the best. Default `map-at-r`.
    pub monitor: Monitor,
    /// Which weights become the model: the `last` (default) or the `best` judged.
    pub keep: Keep,
    /// Judgements without a better figure after which the run stops. Default 0: none.
    pub patience: u64,
    /// What to do when the embeddings collapse. Default `warn`.
    pub on_collapse: OnCollapse,
    /// Steps without progress at the collapse value after which the run counts as collapsed.
    /// Default 0: a third of the steps, but 300 to 1,000.
    pub collapse_patience: u64,
    /// Seed of every random choice. Default 0.
    pub seed: u64,
    /// Steps between two lines of `metrics.jsonl`. Default 10.
    pub log_every: u64,
    /// Steps between two judgements on the held-out classes. Default 0: a sixth of the steps.
    pub judge_every: u64,
    /// Steps between two checkpoints. Default 100.
    pub checkpoint_every: u64,
    /// Where the model goes beside the run folder.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub out: Option<PathBuf>,
    /// Where to compute: `cpu`.
    pub device: String,
    /// Threads; 0 (default) takes every core. Bytes are reproducible for the same number.
    pub threads: usize,
}

impl Default for TrainConfig {
    fn default() -> Self {
        Self {
            source: Source::Glyphs.to_string(),
            labels: None,
            holdout: 0.2,
            validation: 0.0,
            holdout_classes: BTreeSet::new(),
            skip_bad: false,
            size: None,
            channels: None,
            fit: Fit::default(),
            filter: Filter::default(),
            augment: None,
            sampling: Sampling::default(),
            holdout_by: HoldoutBy::default(),
            cache_limit: Bytes(4 << 30),
            standardize: false,
            steps: 600,
            batch: None,
            pool: None,
            chunk: Chunk::default(),
            ram_limit: None,
            memory: 0,
            memory_start: None,
            objective: Preset::default(),
            distance: None,
            normalize: false,
            selection: None,
            penalty: None,
            reduction: None,
            margin: None,
            curriculum: None,
            encoder: SmallCnnConfig::NAME.to_owned(),
            width: None,
            depth: None,
            hidden: None,
            pooling: None,
            embedding_dim: None,
            pretrained: None,
            freeze: None,
            backbone_learning_rate: None,
            learning_rate: 1e-3,
            schedule: ScheduleKind::default(),
            warmup: 0,
            constant_share: 0.6,
            optimizer: OptimizerKind::default(),
            momentum: None,
            weight_decay: None,
            clip_norm: None,
            falling_beta1: None,
            ema: 0.0,
            monitor: Monitor::default(),
            keep: Keep::default(),
            patience: 0,
            on_collapse: OnCollapse::default(),
            collapse_patience: 0,
            seed: 0,
            log_every: 10,
            judge_every: 0,
            checkpoint_every: 100,
            out: None,
            device: "cpu".to_owned(),
            threads: 0,
        }
    }
}

/// More remembered embeddings than this are a slip of the pen: 4 GiB of them at 64 components.
const LARGEST_MEMORY: usize = 1 << 24;

/// A setting that makes no run.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{key} is {got}: expected {expected}")]
pub struct ConfigError {
    /// The flag or key.
    pub key: &'static str,
    /// What was given.
    pub got: String,
    /// What is accepted.
    pub expected: String,
}

impl TrainConfig {
    /// The defaults for a source: those of [`TrainConfig::default`], and for vectors a head that
    /// starts as the identity, with the objective that keeps it useful for classes it never saw
    /// (GUIDE.md, "Train on features", has the measurements).
    pub fn suited_to(source: &Source) -> Self {
        let config = Self { source: source.to_string(), ..Self::default() };
        match source {
            Source::Features { .. } => Self {
                encoder: LinearHeadConfig::NAME.to_owned(),
                objective: Preset::Facenet,
                ..config
            },
            _ => config,
        }
    }

    /// Checks every value that can be checked without looking at the data.
    ///
    /// # Errors
    /// The first value outside its range, by its key.
    pub fn check(&self) -> Result<(), ConfigError> {
        let refuse = |key, got: &dyn fmt::Display, expected: &str| {
            Err(ConfigError { key, got: got.to_string(), expected: expected.to_owned() })
        };
        if !(0.0..1.0).contains(&self.holdout) {
            return refuse("holdout", &self.holdout, "a share of the classes from 0 to below 1");
        }
        if self.steps == 0 {
            return refuse("steps", &self.steps, "at least 1");
        }
        self.check_control()?;
        if let Some(channels) = self.channels.filter(|channels| ![1, 3].contains(channels)) {
            return refuse("channels", &channels, "1 (grey) or 3 (RGB)");
        }
        for (key, every) in
            [("log-every", self.log_every), ("checkpoint-every", self.checkpoint_every)]
        {
            if every == 0 {
                return refuse(key, &every, "at least 1 step");
            }
        }
        if self.memory > LARGEST_MEMORY {
            return refuse("memory", &self.memory, &format!("at most {LARGEST_MEMORY} embeddings"));
        }
        if let Some(start) = self.memory_start.filter(|_| self.memory == 0) {
            return refuse("memory-start", &start, "a --memory that starts there");
        }
        if self.device != "cpu" {
            return refuse("device", &self.device, "cpu, the device compiled into this build");
        }
        self.check_fine_tuning(&self.encoder_config()?)?;
        for phase in self.phases()? {
            self.check_trainable(&phase.objective)?;
        }
        Ok(())
    }

    fn check_trainable(&self, objective: &Objective) -> Result<(), ConfigError> {
        objective.check_trainable().map_err(|error| {
            let key = match &error {
                tercet::Error::Parameter { parameter: key @ ("margin" | "distance"), .. } => key,
                _ => "selection",
            };
            let got = match key {
                "margin" => self.margin.map(|margin| margin.to_string()),
                "distance" => self.distance.map(|distance| distance.to_string()),
                _ => self.selection.map(|selection| selection.to_string()),
            };
            let got = got.unwrap_or_else(|| "unset".to_owned());
            ConfigError { key, got, expected: error.to_string() }
        })
    }

    /// Steps before the memory begins to fill and to serve.
    pub(super) fn memory_start(&self) -> u64 {
        self.memory_start.unwrap_or(self.steps / 10)
    }

    /// The objective: the named one, with the parts that are given, as it is after all stages of a
    /// curriculum.
    ///
    /// # Errors
    /// Parts that contradict each other or the named objective.
    pub fn loss(&self) -> Result<Objective, ConfigError> {
        self.parts().of(self.objective)
    }

    /// The objective's name, or what it is made of where it has no name.
    pub fn objective_name(&self) -> String {
        match self.loss() {
            Ok(loss) if !self.parts().is_plain() => format!("{} distance, {loss}", loss.metric()),
            _ => self.objective.to_string(),
        }
    }

    pub(super) fn parts(&self) -> Parts<'_> {
        Parts {
            distance: self.distance,
            normalize: self.normalize,
            selection: self.selection,
            penalty: self.penalty.as_deref(),
            margin: self.margin,
            reduction: self.reduction,
        }
    }

    /// Schedule, optimiser, choice of the weights.
    fn check_control(&self) -> Result<(), ConfigError> {
        let refuse = |key, got: &dyn fmt::Display, expected: &str| {
            Err(ConfigError { key, got: got.to_string(), expected: expected.to_owned() })
        };
        self.learning_schedule().check()?;
        self.optimizer_config().check()?;
        if let Some(beta) = self.falling_beta1.filter(|_| self.schedule != ScheduleKind::Paper) {
            return refuse("falling-beta1", &beta, "no such key but with the schedule paper");
        }
        if !(0.0..1.0).contains(&self.ema) {
            return refuse("ema", &self.ema, "a decay from 0 (none) to below 1, such as 0.999");
        }
        let rest = if self.holdout_classes.is_empty() { 1.0 - self.holdout } else { 1.0 };
        if !(0.0..rest).contains(&self.validation) {
            let expected = format!("a share of the classes from 0 to below {rest}");
            return refuse("validation", &self.validation, &expected);
        }
        let named = !self.holdout_classes.is_empty();
        if self.holdout == 0.0 && !named && self.validation == 0.0 {
            for (key, asked) in [("keep", self.keep == Keep::Best), ("patience", self.patience > 0)]
            {
                if asked {
                    let expected = "classes to judge on: a holdout or a validation above 0";
                    return refuse(key, &"set", expected);
                }
            }
        }
        self.curriculum.as_ref().map_or(Ok(()), Curriculum::check)
    }

    /// The learning rate by step.
    pub fn learning_schedule(&self) -> Schedule {
        Schedule {
            kind: self.schedule,
            peak: self.learning_rate,
            steps: self.steps,
            warmup: self.warmup,
            constant_share: self.constant_share,
        }
    }

    /// The rule of descent with its numbers.
    pub fn optimizer_config(&self) -> OptimizerConfig {
        OptimizerConfig {
            kind: self.optimizer,
            momentum: self.momentum,
            weight_decay: self.weight_decay,
            clip_norm: self.clip_norm,
            falling_beta1: self.falling_beta1,
        }
    }

    /// The architecture with its options.
    ///
    /// # Errors
    /// An unknown name; an option that this architecture does not have.
    pub fn encoder_config(&self) -> Result<EncoderConfig, ConfigError> {
        let options = EncoderOptions {
            embedding_dim: self.embedding_dim,
            width: self.width,
            depth: self.depth,
            hidden: self.hidden,
            pooling: self.pooling,
        };
        Ok(EncoderConfig::named(&self.encoder, options)?)
    }

    /// The weights that learn at another rate than the head, with their share of its rate.
    ///
    /// # Errors
    /// An architecture without a body.
    pub(super) fn slower(&self) -> Result<Vec<(ParamGroup, f64)>, ConfigError> {
        let Some(rate) = self.backbone_learning_rate else { return Ok(Vec::new()) };
        Ok(vec![(self.encoder_config()?.body()?, rate / self.learning_rate)])
    }

    fn check_fine_tuning(&self, encoder: &EncoderConfig) -> Result<(), ConfigError> {
        if let Some(file) = &self.pretrained {
            let refuse = |expected: &str| ConfigError {
                key: "pretrained",
                got: file.display().to_string(),
                expected: expected.to_owned(),
            };
            if encoder.stages().is_empty() {
                return Err(refuse("nothing but with an encoder resnet18, resnet34 or resnet50"));
            }
            if self.channels == Some(1) {
                return Err(refuse("nothing with 1 channel: these weights are of colour images"));
            }
        }
        if let Some(freeze) = &self.freeze {
            encoder.frozen(freeze)?;
        }
        if let Some(rate) =
            self.backbone_learning_rate.filter(|rate| !(*rate > 0.0 && rate.is_finite()))
        {
            return Err(ConfigError {
                key: "backbone-learning-rate",
                got: rate.to_string(),
                expected: "a number above 0; --freeze keeps weights as they are".to_owned(),
            });
        }
        self.slower().map(drop)
    }

    /// The batch where none is asked for: larger of vectors, which are cheap.
    pub(super) fn default_batch(&self) -> Result<BatchShape, ConfigError> {
        Ok(match self.encoder_config()?.takes() {
            Takes::Images => BatchShape { p: 16, k: 4 },
            Takes::Vectors => BatchShape { p: 16, k: 8 },
        })
    }

    /// How the source's items enter the encoder, still without mean and standard deviation.
    ///
    /// # Errors
    /// An encoder of images for a source of vectors, or the other way round.
    pub fn input(&self, source: &Source, catalogue: &Catalogue) -> Result<Input, ConfigError> {
        let encoder = self.encoder_config()?;
        let refuse = |expected: &str| {
            let got = encoder.name().to_owned();
            Err(ConfigError { key: "encoder", got, expected: expected.to_owned() })
        };
        match (encoder.takes(), catalogue.dimensions()) {
            (Takes::Images, Some(_)) => {
                refuse("linear-head or mlp-head, since the source holds vectors")
            }
            (Takes::Vectors, None) => refuse("an encoder of images, since the source holds images"),
            (Takes::Vectors, Some(dimensions)) => {
                Ok(Input::Vectors(Standardization::none(dimensions)))
            }
            (Takes::Images, None) => {
                let (height, width, channels) = source.default_input();
                let (height, width) = encoder.usual_size().unwrap_or((height, width));
                let ImageSize { height, width } = self.size.unwrap_or(ImageSize { height, width });
                let channels = if self.pretrained.is_some() { 3 } else { channels };
                let channels = self.channels.unwrap_or(channels);
                let mut preprocessing = Preprocessing::new(width, height, channels);
                preprocessing.fit = self.fit;
                preprocessing.filter = self.filter;
                Ok(Input::Images(preprocessing))
            }
        }
    }

    /// Which items are learnt from, and which are kept apart.
    ///
    /// # Errors
    /// As [`split_named`] where the classes are named, else as [`split_classes`] or
    /// [`split_categories`].
    pub fn split(&self, labels: &Labels) -> Result<Split, DataError> {
        let split = if self.holdout_classes.is_empty() {
            match self.holdout_by {
                HoldoutBy::Class => split_classes(labels, self.holdout, self.seed),
                HoldoutBy::Category => split_categories(labels, self.holdout, self.seed),
            }
        } else {
            split_named(labels, &self.holdout_classes)
        }?;
        split.with_validation(labels, self.validation, self.seed)
    }

    /// What is done to training images: what is asked for, or what suits the source.
    ///
    /// # Errors
    /// A source that cannot be understood.
    pub fn augmentation(&self) -> Result<Augmentation, DataError> {
        match self.augment {
            Some(augmentation) => Ok(augmentation),
            None => Ok(self.source.parse::<Source>()?.default_augmentation()),
        }
    }

    /// Steps without progress at the collapse value that are not yet a collapse.
    pub(super) fn collapse_patience(&self) -> u64 {
        match self.collapse_patience {
            0 => (self.steps / 3).clamp(300, 1000),
            patience => patience,
        }
    }

    /// Steps between two judgements.
    pub(super) fn judge_interval(&self) -> u64 {
        match self.judge_every {
            0 => self.steps.div_ceil(6),
            every => every,
        }
    }
}

impl From<EncoderError> for ConfigError {
    fn from(EncoderError::Option { option, got, expected }: EncoderError) -> Self {
        Self { key: option, got, expected }
    }
}

/// Height and width of images in pixels, written `128x64` (H×W, as tensors have it), or `64` for a
/// square.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ImageSize {
    /// Rows of pixels.
    pub height: u32,
    /// Columns of pixels.
    pub width: u32,
}

impl fmt::Display for ImageSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.height == self.width {
            true => self.height.fmt(f),
            false => write!(f, "{}x{}", self.height, self.width),
        }
    }
}

impl FromStr for ImageSize {
    type Err = ConfigError;

    fn from_str(text: &str) -> Result<Self, ConfigError> {
        let (height, width) = text.split_once(['x', 'X', '×']).unwrap_or((text, text));
        let side = |text: &str| text.trim().parse().ok().filter(|side| (2..=1024).contains(side));
        match (side(height), side(width)) {
            (Some(height), Some(width)) => Ok(Self { height, width }),
            _ => Err(ConfigError {
                key: "size",
                got: format!("`{text}`"),
                expected: "HEIGHTxWIDTH such as 128x64, or one side of a square: 2 to 1024 pixels"
                    .to_owned(),
            }),
        }
    }
}

/// Written and read as text; a margin may also stand as a bare number in TOML.
macro_rules! as_text {
    ($type:ty) => {
        impl serde::Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.to_string())
            }
        }

        impl<'de> serde::Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                #[derive(serde::Deserialize)]
                #[serde(untagged)]
                enum Written {
                    Text(String),
                    Number(f64),
                }
                let text = match <Written as serde::Deserialize>::deserialize(deserializer)? {
                    Written::Text(text) => text,
                    Written::Number(number) => number.to_string(),
                };
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}
pub(super) use as_text;
as_text!(ImageSize);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn configuration_goes_there_and_back() {
        let config = TrainConfig {
            margin: Some(Margin::Hinge(0.25)),
            batch: Some(BatchShape { p: 7, k: 3 }),
            ..TrainConfig::default()
        };
        let text = toml::to_string(&config).unwrap();
        assert!(text.contains("steps = 600") && text.contains("batch = \"7x3\""), "{text}");
        assert_eq!(toml::from_str::<TrainConfig>(&text).unwrap(), config);
        let short: TrainConfig = toml::from_str("margin = 0.5").unwrap();
        assert_eq!(short.margin, Some(Margin::Hinge(0.5)));
        let error = toml::from_str::<TrainConfig>("stpes = 3").unwrap_err().to_string();
        assert!(error.contains("stpes"), "{error}");
    }

    #[test]
    fn wrong_values_are_named() {
        let cases = [
            (TrainConfig { holdout: 1.0, ..Default::default() }, "holdout is 1"),
            (TrainConfig { steps: 0, ..Default::default() }, "steps is 0"),
            (TrainConfig { encoder: "vgg".into(), ..Default::default() }, "encoder is vgg"),
            (TrainConfig { device: "cuda".into(), ..Default::default() }, "device is cuda"),
            (
                TrainConfig {
                    objective: Preset::Facenet,
                    margin: Some(Margin::Soft),
                    ..Default::default()
                },
                "margin is soft",
            ),
            (
                TrainConfig {
                    objective: Preset::Lifted,
                    margin: Some(Margin::Soft),
                    ..Default::default()
                },
                "margin is soft: expected a number",
            ),
        ];
        for (config, expected) in cases {
            let error = config.check().unwrap_err().to_string();
            assert!(error.starts_with(expected), "{error}");
        }
        assert!("-1".parse::<Margin>().is_err());
    }
}
