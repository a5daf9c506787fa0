//! Values that are derived from the settings of a run.

use burn::module::ParamGroup;
use tercet::{Labels, Objective, ParameterError};

use super::{BatchShape, ImageSize, OptimizerConfig, Parts, Schedule, TrainConfig};
use crate::data::{
    Augmentation, Catalogue, DataError, HoldoutBy, Input, Preprocessing, Source, Split,
    Standardization, split_categories, split_classes, split_named,
};
use crate::encoder::{EncoderConfig, EncoderOptions, Takes};

/// The default weight of the triplets with vectors of an older model; the measurement is in
/// docs/book/src/how-to/upgrade.md.
const COMPATIBLE_WEIGHT: f64 = 5.0;

impl TrainConfig {
    /// Steps before the memory is filled and used.
    pub(in crate::trainer) fn memory_start(&self) -> u64 {
        self.memory_start.unwrap_or(self.steps / 10)
    }

    /// Weight of the triplets with vectors of the older model.
    pub(in crate::trainer) fn compatible_weight(&self) -> f64 {
        self.compatible_weight.unwrap_or(COMPATIBLE_WEIGHT)
    }

    /// The run's own objective, which is used after all stages of a curriculum: the preset with the
    /// parts that are set replaced.
    ///
    /// # Errors
    /// Parts that contradict each other or the preset.
    pub fn loss(&self) -> Result<Objective, ParameterError> {
        self.parts().of(self.objective)
    }

    /// The objective's name, or its parts if some were replaced.
    pub fn objective_name(&self) -> String {
        match self.loss() {
            Ok(loss) if !self.parts().is_plain() => format!("{} distance, {loss}", loss.metric()),
            _ => self.objective.to_string(),
        }
    }

    pub(in crate::trainer) fn parts(&self) -> Parts<'_> {
        Parts {
            distance: self.distance,
            normalize: self.normalize,
            selection: self.selection,
            penalty: self.penalty.as_deref(),
            margin: self.margin,
            reduction: self.reduction,
            temperature: self.temperature,
        }
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

    /// The optimiser with its parameters.
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
    /// An unknown name; an option that the architecture does not have.
    pub fn encoder_config(&self) -> Result<EncoderConfig, ParameterError> {
        let options = EncoderOptions {
            embedding_dim: self.embedding_dim,
            width: self.width,
            depth: self.depth,
            hidden: self.hidden,
            pooling: self.pooling,
        };
        EncoderConfig::named(&self.encoder, options)
    }

    /// The weights that have another learning rate than the head, with the ratio of the two rates.
    ///
    /// # Errors
    /// An architecture without a body.
    pub(in crate::trainer) fn slower(&self) -> Result<Vec<(ParamGroup, f64)>, ParameterError> {
        let Some(rate) = self.backbone_learning_rate else { return Ok(Vec::new()) };
        Ok(vec![(self.encoder_config()?.body()?, rate / self.learning_rate)])
    }

    /// The default shape of a batch: larger for vectors, which are cheap.
    pub(in crate::trainer) fn default_batch(&self) -> Result<BatchShape, ParameterError> {
        Ok(match self.encoder_config()?.takes() {
            Takes::Images => BatchShape { p: 16, k: 4 },
            Takes::Vectors => BatchShape { p: 16, k: 8 },
        })
    }

    /// How the items enter the encoder; mean and standard deviation are not yet set.
    ///
    /// # Errors
    /// An encoder for images with a source of vectors, or the other way round.
    pub fn input(&self, source: &Source, catalogue: &Catalogue) -> Result<Input, ParameterError> {
        let encoder = self.encoder_config()?;
        let refuse = |expected: &str| {
            let got = encoder.name().to_owned();
            Err(ParameterError { parameter: "encoder", got, expected: expected.to_owned() })
        };
        match (encoder.takes(), catalogue.dimensions()) {
            _ if catalogue.has_texts() => {
                refuse("an encoder of texts (--backbone FOLDER), since the source holds texts")
            }
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

    /// Which items are trained on and which are held out.
    ///
    /// # Errors
    /// The errors of [`split_named`] if the classes are named, otherwise those of [`split_classes`]
    /// or [`split_categories`].
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

    /// The augmentation of training images: the one that is set, or the one that suits the source.
    ///
    /// # Errors
    /// A source that cannot be understood.
    pub fn augmentation(&self) -> Result<Augmentation, DataError> {
        match self.augment {
            Some(augmentation) => Ok(augmentation),
            None => Ok(self.source.parse::<Source>()?.default_augmentation()),
        }
    }

    /// Steps without progress at the collapse value after which a run counts as collapsed.
    pub(in crate::trainer) fn collapse_patience(&self) -> u64 {
        match self.collapse_patience {
            0 => (self.steps / 3).clamp(300, 1000),
            patience => patience,
        }
    }

    /// Steps between two evaluations.
    pub(in crate::trainer) fn judge_interval(&self) -> u64 {
        match self.judge_every {
            0 => self.steps.div_ceil(6),
            every => every,
        }
    }
}
