//! What a run learns from and is judged on, before its first step.

use std::sync::Arc;

use tercet::{Labels, PkSampler};

use super::config::{BatchShape, ConfigError, TrainConfig};
use super::{Event, Surroundings, TrainError};
use crate::data::{BadItem, DataError, Pixels, PrepareOptions, Source, Split, split_classes};

/// The data of a run, checked, decoded and split.
pub(super) struct Prepared {
    pub(super) pixels: Arc<Pixels>,
    pub(super) split: Split,
    pub(super) skipped: Vec<BadItem>,
    pub(super) fingerprint: String,
}

impl Prepared {
    /// None if interrupted.
    pub(super) fn new(
        config: &TrainConfig,
        around: &Surroundings,
    ) -> Result<Option<Self>, TrainError> {
        let source: Source = config.source.parse()?;
        let catalogue = source.catalogue()?.training()?;
        // Batches that the classes cannot give are told before the images are decoded.
        let split = divided(config, &catalogue.labels)?;
        for phase in config.phases()? {
            sampler(phase.batch, config.seed, &catalogue.labels.select(&split.train))?;
        }
        for problem in &catalogue.problems {
            (around.watch)(Event::Warning(problem.clone()));
        }
        let options = PrepareOptions {
            skip_bad: config.skip_bad,
            interrupted: Some(around.stop),
            ..PrepareOptions::default()
        };
        let progress = |done, total| (around.watch)(Event::Preparing { done, total });
        let preprocessing = config.preprocessing(&source);
        let prepared = Pixels::prepare(catalogue, &preprocessing, &options, &progress);
        let (pixels, skipped) = match prepared {
            Err(DataError::Interrupted) => return Ok(None),
            prepared => prepared?,
        };
        if !skipped.is_empty() {
            (around.watch)(Event::Skipped(&skipped));
        }
        let split = divided(config, &pixels.catalogue().labels)?;
        let (mean, std) = pixels.channel_statistics(&split.train)?;
        let pixels = Arc::new(pixels.with_statistics(mean, std)?);
        let fingerprint = pixels.catalogue().fingerprint();
        Ok(Some(Self { pixels, split, skipped, fingerprint }))
    }

    /// Mean and standard deviation of the channels, which tell changed pixels under equal names.
    pub(super) fn statistics(&self) -> Vec<f32> {
        let preprocessing = self.pixels.preprocessing();
        [&preprocessing.mean[..], &preprocessing.std[..]].concat()
    }

    pub(super) fn train_labels(&self) -> Labels {
        self.labels(&self.split.train)
    }

    pub(super) fn labels(&self, items: &[u32]) -> Labels {
        self.pixels.catalogue().labels.select(items)
    }
}

fn divided(config: &TrainConfig, labels: &Labels) -> Result<Split, DataError> {
    split_classes(labels, config.holdout, config.seed)?.with_validation(
        labels,
        config.validation,
        config.seed,
    )
}

/// The batches of a phase. Without a batch asked for, small data gets as many classes as it has.
pub(super) fn sampler(
    batch: Option<BatchShape>,
    seed: u64,
    train: &Labels,
) -> Result<PkSampler, TrainError> {
    let usable = train.class_sizes().into_iter().filter(|&size| size >= 2).count();
    let default = BatchShape::default();
    let shape = batch.unwrap_or(BatchShape { p: default.p.min(usable), ..default });
    PkSampler::new(train, shape.p, shape.k, seed).map_err(|error| match error {
        error @ tercet::Error::NotEnough { .. } if usable >= 2 => ConfigError {
            key: "batch",
            got: shape.to_string(),
            expected: format!("fewer classes, such as {usable}x{}: {error}", shape.k),
        }
        .into(),
        error => error.into(),
    })
}
