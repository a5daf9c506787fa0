//! What the settings of a run come to.

use burn::module::ParamGroup;
use tercet::{Labels, Objective, ParameterError};

use super::{BatchShape, ImageSize, OptimizerConfig, Parts, Schedule, TrainConfig};
use crate::data::{
    Augmentation, Catalogue, DataError, HoldoutBy, Input, Preprocessing, Source, Split,
    Standardization, split_categories, split_classes, split_named,
};
use crate::encoder::{EncoderConfig, EncoderOptions, Takes};

impl TrainConfig {
    /// Steps before the memory begins to fill and to serve.
    pub(in crate::trainer) fn memory_start(&self) -> u64 {
        self.memory_start.unwrap_or(self.steps / 10)
    }

    /// The objective: the named one, with the parts that are given, as it is after all stages of a
    /// curriculum.
    ///
    /// # Errors
    /// Parts that contradict each other or the named objective.
    pub fn loss(&self) -> Result<Objective, ParameterError> {
        self.parts().of(self.objective)
    }

    /// The objective's name, or what it is made of where it has no name.
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

    /// The weights that learn at another rate than the head, with their share of its rate.
    ///
    /// # Errors
    /// An architecture without a body.
    pub(in crate::trainer) fn slower(&self) -> Result<Vec<(ParamGroup, f64)>, ParameterError> {
        let Some(rate) = self.backbone_learning_rate else { return Ok(Vec::new()) };
        Ok(vec![(self.encoder_config()?.body()?, rate / self.learning_rate)])
    }

    /// The batch where none is asked for: larger of vectors, which are cheap.
    pub(in crate::trainer) fn default_batch(&self) -> Result<BatchShape, ParameterError> {
        Ok(match self.encoder_config()?.takes() {
            Takes::Images => BatchShape { p: 16, k: 4 },
            Takes::Vectors => BatchShape { p: 16, k: 8 },
        })
    }

    /// How the source's items enter the encoder, still without mean and standard deviation.
    ///
    /// # Errors
    /// An encoder of images for a source of vectors, or the other way round.
    pub fn input(&self, source: &Source, catalogue: &Catalogue) -> Result<Input, ParameterError> {
        let encoder = self.encoder_config()?;
        let refuse = |expected: &str| {
            let got = encoder.name().to_owned();
            Err(ParameterError { parameter: "encoder", got, expected: expected.to_owned() })
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
    pub(in crate::trainer) fn collapse_patience(&self) -> u64 {
        match self.collapse_patience {
            0 => (self.steps / 3).clamp(300, 1000),
            patience => patience,
        }
    }

    /// Steps between two judgements.
    pub(in crate::trainer) fn judge_interval(&self) -> u64 {
        match self.judge_every {
            0 => self.steps.div_ceil(6),
            every => every,
        }
    }
}
