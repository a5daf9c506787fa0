//! Everything that decides a run, as `config.toml` keeps it.

use std::collections::BTreeSet;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use tercet::{Distance, Preset, Reduction, Sampling, Selection};

use super::{
    BatchShape, Bytes, Chunk, Curriculum, ImageSize, Keep, Margin, Monitor, OnCollapse,
    OptimizerKind, Pool, ScheduleKind,
};
use crate::data::{Augmentation, Filter, Fit, HoldoutBy, LabelFrom, Source};
use crate::encoder::{Freeze, LinearHeadConfig, Pooling, SmallCnnConfig};

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
    /// What takes the class out of the name of a file, in `folder` and `images` sources.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label_from: Option<LabelFrom>,
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
    /// The objective. Default `facenet` (GUIDE.md, "Objectives", has the measurements).
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
    /// A model file whose weights, architecture and preprocessing the run starts from. Default
    /// none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<PathBuf>,
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
    /// Which weights become the model. Default `auto`: the best evaluated, those before training
    /// included, where classes are held out, else the last.
    pub keep: Keep,
    /// Judgements without a better figure after which the run stops. Default 0: none.
    pub patience: u64,
    /// What to do when the embeddings collapse. Default `soften`; `tercet train` with an objective
    /// of its own: `warn`.
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
            label_from: None,
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
            objective: Preset::Facenet,
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
            from: None,
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
            on_collapse: OnCollapse::Soften,
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

impl TrainConfig {
    /// The defaults for a source: those of [`TrainConfig::default`], and for vectors a head that
    /// starts as the identity (GUIDE.md, "Train on features", has the measurements).
    pub fn suited_to(source: &Source) -> Self {
        let config = Self { source: source.to_string(), ..Self::default() };
        match source {
            Source::Features { .. } => {
                Self { encoder: LinearHeadConfig::NAME.to_owned(), ..config }
            }
            _ => config,
        }
    }
}

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
}
