//! What a run is given and does not change: configuration, folder, data and devices.

use std::sync::Arc;
use std::time::Instant;

use burn::module::Module;
use burn::tensor::Device;
use tercet::{Labels, Metric, PkSampler};

use super::TrainError;
use super::collapse::CollapseWatch;
use super::counts::Work;
use super::events::{Event, Surroundings};
use super::prepared::Prepared;
use super::run_folder::RunFolder;
use super::settings::TrainConfig;
use super::state::State;
use super::step::loader::{Recipe, batches_ahead};
use super::step::memory_estimate::Task;
use super::step::optimizer::Optimizer;
use crate::encoder::Encoder;
use crate::pretrained::Taken;

pub(super) struct Setup<'a> {
    pub(super) config: &'a TrainConfig,
    pub(super) folder: &'a RunFolder,
    pub(super) surroundings: &'a Surroundings<'a>,
    pub(super) prepared: Prepared,
    /// The labels of the held-out items.
    pub(super) holdout: Labels,
    /// The metric of the objective, with which embeddings are evaluated.
    pub(super) metric: Metric,
    /// The lengths of the prefixes of embeddings on which the objective is evaluated, the last of
    /// which is the whole length; none if it is only evaluated on whole embeddings.
    pub(super) prefixes: Vec<usize>,
    /// The device of networks that are trained, with automatic differentiation.
    pub(super) learning_device: Device,
    /// The device of networks that only embed.
    pub(super) plain_device: Device,
    /// When this call began.
    pub(super) began: Instant,
}

impl<'a> Setup<'a> {
    pub(super) fn new(
        config: &'a TrainConfig,
        folder: &'a RunFolder,
        surroundings: &'a Surroundings<'a>,
        prepared: Prepared,
        began: Instant,
    ) -> Result<Self, TrainError> {
        let plain_device = Device::flex();
        let shape = prepared.examples.input().shape();
        let prefixes = config.prefixes(config.encoder_config()?.embedding_dim(shape))?;
        Ok(Self {
            config,
            folder,
            surroundings,
            holdout: prepared.labels(&prepared.split.holdout),
            metric: config.loss()?.metric(),
            prefixes,
            learning_device: plain_device.clone().autodiff(),
            plain_device,
            began,
            prepared,
        })
    }

    pub(super) fn report(&self, event: Event) {
        (self.surroundings.watch)(event);
    }

    /// The network before its first step.
    pub(super) fn fresh_encoder(&self) -> Result<Encoder, TrainError> {
        self.first_encoder().map(|(encoder, _)| encoder)
    }

    /// The network before its first step, and which pretrained weights were loaded into it.
    pub(super) fn first_encoder(&self) -> Result<(Encoder, Option<Taken>), TrainError> {
        let Self { config, prepared, learning_device: device, .. } = self;
        device.seed(config.seed);
        let shape = prepared.examples.input().shape();
        let architecture = config.encoder_config()?;
        let mut encoder = architecture.init(shape, device).map_err(TrainError::Encoder)?;
        if let Some(directions) = &prepared.principal {
            encoder = encoder.starting_from(directions.view(), device);
        }
        if let Some(start) = &prepared.start {
            encoder = start.put_into(encoder)?;
        }
        let mut taken = None;
        if let Some(weights) = &prepared.pretrained {
            let (started, summary) = weights.put_into(encoder, &architecture)?;
            (encoder, taken) = (started, Some(summary));
        }
        if let Some(freeze) = &config.freeze {
            encoder =
                encoder.freeze_group(architecture.frozen(freeze).map_err(TrainError::Encoder)?);
        }
        Ok((encoder, taken))
    }

    /// The optimiser before the first step.
    pub(super) fn optimizer(&self) -> Result<Optimizer, TrainError> {
        Ok(Optimizer::new(self.config.optimizer_config(), self.config.slower()?))
    }

    /// The state before the first step.
    pub(super) fn first_state(&self, chunk: Option<usize>) -> State {
        let prepared = &self.prepared;
        State {
            step: 0,
            data: prepared.fingerprint.clone(),
            statistics: prepared.statistics(),
            threads: rayon::current_num_threads(),
            chunk,
            work: Work::default(),
            best: None,
            watch: CollapseWatch::default(),
            softened: Vec::new(),
            good: None,
            start: prepared.starts_from(),
            compatible: prepared.compatible.as_ref().map(|old| old.with.fingerprint.clone()),
            collapsed: false,
            unfinished: false,
        }
    }

    /// What the memory estimate of a step with such batches depends on.
    pub(super) fn memory_task<'e>(
        &self,
        encoder: &'e Encoder,
        batch: usize,
        candidates: usize,
    ) -> Result<Task<'e>, TrainError> {
        Ok(Task {
            encoder,
            input: self.prepared.examples.input().shape(),
            parameters: encoder.parameters(),
            batch,
            candidates,
            batches_ahead: batches_ahead(&self.prepared.examples, &self.config.augmentation()?),
        })
    }

    /// What the loader needs to prepare batches.
    pub(super) fn recipe(&self, sampler: &Arc<PkSampler>) -> Result<Recipe, TrainError> {
        Ok(Recipe {
            examples: self.prepared.examples.clone(),
            sampler: sampler.clone(),
            train: self.prepared.split.train.clone(),
            augmentation: self.config.augmentation()?,
            seed: self.config.seed,
        })
    }
}
