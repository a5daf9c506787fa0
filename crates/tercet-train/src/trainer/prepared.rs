//! The data of a run and the weights that it starts from, read and checked before the first step.

use std::sync::Arc;

use ndarray::{Array2, ArrayView2};
use tercet::whitening::Pca;
use tercet::{Labels, ParameterError, PkSampler, Sampling};

use super::TrainError;
use super::backbone;
use super::compatible::{Compatible, OldModel};
use super::events::{Event, Surroundings};
use super::settings::{BatchShape, TrainConfig};
use super::start_model::Start;
use crate::data::{
    BadItem, Catalogue, DataError, Examples, PrepareOptions, Source, Split, categories,
};
use crate::encoder::InputShape;
use crate::model::{ModelError, Opened};
use crate::pretrained::{self, StateDict};

/// The data of a run, checked, decoded and split, and the weights that it starts from.
pub(super) struct Prepared {
    pub(super) examples: Arc<Examples>,
    pub(super) split: Split,
    pub(super) skipped: Vec<BadItem>,
    pub(super) fingerprint: String,
    /// Pretrained weights of the encoder's body.
    pub(super) pretrained: Option<StateDict>,
    /// The model file that the encoder starts from.
    pub(super) start: Option<Start>,
    /// The older model with which the new one stays compatible.
    pub(super) compatible: Option<Compatible>,
    /// The frozen encoder that computed the vectors of the examples.
    pub(super) backbone: Option<Opened>,
    /// The principal components of the training vectors, D×D', from which a head with D' < D
    /// components starts.
    pub(super) principal: Option<Array2<f32>>,
}

impl Prepared {
    /// Reads and checks everything; none if interrupted.
    pub(super) fn new(
        config: &TrainConfig,
        around: &Surroundings,
    ) -> Result<Option<Self>, TrainError> {
        let mut source: Source = config.source.parse()?;
        if let Some(labels) = &config.labels {
            source = source.with_labels(labels.clone())?;
        }
        if let Some(label_from) = &config.label_from {
            source = source.with_label_from(label_from.clone())?;
        }
        let start = Start::of(config)?;
        let old = OldModel::of(config)?;
        let pretrained = config.pretrained.as_deref().map(StateDict::read).transpose()?;
        let backbone = backbone::open(config)?;
        let catalogue = training(source.catalogue()?)?;
        catalogue.needs_good(config.skip_bad)?;
        refuse_untrainable(&catalogue)?;
        // Batches that cannot be drawn from the classes are reported before the images are decoded.
        let split = config.split(&catalogue.labels)?;
        for phase in config.phases()? {
            sampler(config, phase.batch, &catalogue.select(&split.train))?;
        }
        for problem in &catalogue.problems {
            (around.watch)(Event::Warning(problem.clone()));
        }
        let progress = |done, total| (around.watch)(Event::Preparing { done, total });
        let options = PrepareOptions {
            skip_bad: config.skip_bad,
            interrupted: Some(around.stop),
            cache_limit_bytes: config.cache_limit.0,
        };
        let mut originals = None;
        let mut skipped = Vec::new();
        let catalogue = match &backbone {
            None => catalogue,
            Some(opened) => {
                let embedded = backbone::embedded(opened, catalogue, &options, around)?;
                let Some(embedded) = embedded else { return Ok(None) };
                (originals, skipped) = (Some(embedded.originals), embedded.skipped);
                embedded.catalogue
            }
        };
        let input = config.input(&source, &catalogue)?;
        // A model must receive the same input in further training as in its first training.
        let input = start.as_ref().map_or(input, |start| start.card.preprocessing.clone());
        let prepared = Examples::prepare(catalogue, &input, &options, &progress);
        let (examples, bad) = match prepared {
            Err(DataError::Interrupted) => return Ok(None),
            prepared => prepared?,
        };
        if backbone.is_none() {
            skipped = bad;
        }
        if !skipped.is_empty() {
            (around.watch)(Event::Skipped(&skipped));
        }
        let split = config.split(&examples.catalogue().labels)?;
        let examples = Arc::new(match examples {
            examples if start.is_some() => examples,
            Examples::Images(pixels) if pretrained.is_some() => {
                let (mean, std) = pretrained::statistics(&config.encoder_config()?);
                Examples::Images(pixels.with_statistics(mean.to_vec(), std.to_vec())?)
            }
            Examples::Images(pixels) => {
                let (mean, std) = pixels.channel_statistics(&split.train)?;
                Examples::Images(pixels.with_statistics(mean, std)?)
            }
            Examples::Vectors(vectors) if config.standardize => {
                Examples::Vectors(vectors.standardized(&split.train)?)
            }
            vectors => vectors,
        });
        let originals = originals.as_ref().unwrap_or(examples.catalogue());
        let fingerprint = originals.fingerprint();
        let principal = match start {
            Some(_) => None,
            None => principal(config, &examples, &split.train)?,
        };
        let compatible = match old {
            None => None,
            Some(old) => match old.with_vectors(config, &examples, originals.clone(), around)? {
                None => return Ok(None),
                with_vectors => with_vectors,
            },
        };
        let prepared = Self {
            examples,
            split,
            skipped,
            fingerprint,
            pretrained,
            start,
            compatible,
            backbone,
            principal,
        };
        let (data, held_out) = (&prepared.fingerprint, prepared.held_out());
        let start = prepared.start.as_ref().and_then(|start| start.seen_before(data, &held_out));
        let old = prepared.compatible.as_ref().and_then(|old| old.seen_before(data, &held_out));
        for note in [start, old].into_iter().flatten() {
            (around.watch)(Event::Warning(note));
        }
        Ok(Some(prepared))
    }

    /// Fingerprint of the model file that the run starts from, or of its backbone.
    pub(super) fn starts_from(&self) -> Option<String> {
        let backbone = || self.backbone.as_ref().map(|opened| opened.backbone.fingerprint());
        let start = self.start.as_ref().map(|start| &*start.fingerprint);
        start.or_else(backbone).map(str::to_owned)
    }

    /// Mean and standard deviation of each channel. They reveal whether pixels were changed while
    /// the names stayed the same.
    pub(super) fn statistics(&self) -> Vec<f32> {
        let input = self.examples.input();
        let (mean, std) = input.statistics();
        [mean, std].concat()
    }

    /// The names of the held-out classes.
    pub(super) fn held_out(&self) -> Vec<String> {
        let labels = self.labels(&self.split.holdout);
        (0..labels.class_count() as u32).map(|class| labels.name(class).to_owned()).collect()
    }

    pub(super) fn train_labels(&self) -> Labels {
        self.labels(&self.split.train)
    }

    pub(super) fn labels(&self, items: &[u32]) -> Labels {
        self.examples.catalogue().labels.select(items)
    }
}

/// The items to train on. If there are none because no item could be understood, the error names
/// the first such item.
fn training(catalogue: Catalogue) -> Result<Catalogue, DataError> {
    let bad = catalogue.bad.first().cloned();
    let items = catalogue.bad.len();
    match (catalogue.training(), bad) {
        (Ok(training), Some(first)) if training.is_empty() => {
            Err(DataError::AllBad { first, items })
        }
        (Err(DataError::NoTraining { .. }), Some(first)) => Err(DataError::AllBad { first, items }),
        (training, _) => training,
    }
}

/// Refuses a source with fewer than two classes of two items or more. This is checked before
/// classes are held out, because an error about the holdout would not name the cause.
fn refuse_untrainable(catalogue: &Catalogue) -> Result<(), TrainError> {
    match usable(&catalogue.labels) {
        0 | 1 => Err(TrainError::TooFewClasses {
            source_text: catalogue.source.clone(),
            classes: catalogue.labels.class_count(),
            pairs: usable(&catalogue.labels),
        }),
        _ => Ok(()),
    }
}

fn principal(
    config: &TrainConfig,
    examples: &Examples,
    train: &[u32],
) -> Result<Option<Array2<f32>>, TrainError> {
    let Examples::Vectors(vectors) = examples else { return Ok(None) };
    let dimensions = vectors.standardization().dimensions;
    let components = config.encoder_config()?.embedding_dim(InputShape::vectors(dimensions));
    if components >= dimensions {
        return Ok(None);
    }
    let values = vectors.batch(train);
    let values = ArrayView2::from_shape((train.len(), dimensions), &values)
        .map_err(|error| ModelError::Embed(error.to_string()))?;
    let pca = Pca::fit(values, components)?;
    Ok(Some(pca.directions().t().mapv(|value| value as f32)))
}

/// Classes and items of a batch. If no batch is given and the data are small, all usable classes
/// are used.
pub(super) fn batch_shape(
    config: &TrainConfig,
    batch: Option<BatchShape>,
    train: &Labels,
) -> Result<BatchShape, ParameterError> {
    let default = config.default_batch()?;
    Ok(batch.unwrap_or(BatchShape { p: default.p.min(usable(train)), ..default }))
}

/// The number of classes with two items or more.
fn usable(train: &Labels) -> usize {
    train.class_sizes().into_iter().filter(|&size| size >= 2).count()
}

/// The sampler of a phase: it draws the batches, or the candidates if there is a pool.
pub(super) fn sampler(
    config: &TrainConfig,
    batch: Option<BatchShape>,
    from: &Catalogue,
) -> Result<PkSampler, TrainError> {
    let train = &from.labels;
    let batch = batch_shape(config, batch, train)?;
    let (key, shape) = match config.pool {
        None => ("batch", batch),
        Some(pool) => ("pool", pool.shape(batch)),
    };
    let refuse = |expected| ParameterError { parameter: key, got: shape.to_string(), expected };
    if key == "pool" && shape.items() <= batch.items() {
        return Err(refuse(format!("more items than a batch of {batch}")).into());
    }
    let sampler = PkSampler::new(train, shape.p, shape.k, config.seed);
    let sampler = sampler.map_err(|error| match error {
        error @ tercet::Error::NotEnough { .. } if usable(train) >= 2 => TrainError::from(refuse(
            format!("fewer classes, such as {}x{}: {error}", usable(train), shape.k),
        )),
        error => error.into(),
    })?;
    Ok(match config.sampling {
        Sampling::Classes => sampler,
        Sampling::Cameras => sampler.with_cameras(&from.require_cameras()?)?,
        Sampling::Categories => sampler.with_categories(&categories(&from.labels)?)?,
    })
}
