//! Plans a run: prepares everything up to the first step, and measures a few steps.

use std::time::{Duration, Instant};

use serde::Serialize;

use super::control::long_work::attend;
use super::counts::Count;
use super::events::{Left, Surroundings};
use super::prepared::{Prepared, batch_shape};
use super::setup::Setup;
use super::step::loader::Loader;
use super::step::memory_estimate::memory;
use super::{RunFolder, TrainConfig, TrainError, Trainer};
use crate::data::{DataError, Source};

/// Number of measured steps. They follow one that is not measured, because the first allocates
/// memory.
const MEASURED: u64 = 5;

/// After this time no further step is measured.
const LONG: Duration = Duration::from_secs(20);

/// Number of held-out items that are embedded to measure the time of an evaluation.
const EMBEDDED: usize = 256;

/// Number of evaluations in addition to those during the run: one of the untrained network, one of
/// the trained network, and one for its verification.
const OTHERS: f64 = 3.0;

/// The plan of a run, as `tercet train --dry-run --json` prints it.
#[derive(Debug, Clone, Serialize)]
pub struct Plan {
    /// Where the items come from.
    pub source: String,
    /// The objective's name.
    pub objective: String,
    /// The architecture's name.
    pub encoder: String,
    /// Number of weights of the network, without running statistics of batch norm.
    pub parameters: usize,
    /// Number of optimiser steps.
    pub steps: u64,
    /// Classes × items of a batch.
    pub batch: String,
    /// Number of items of a batch.
    pub batch_items: usize,
    /// How often the run uses each training item, on average.
    pub epochs: f64,
    /// Classes and items that are trained on.
    pub train: Count,
    /// Classes and items of the evaluations during the run.
    pub validation: Count,
    /// Classes and items that are held out.
    pub holdout: Count,
    /// Items that go through the network at once; none if a whole batch does.
    pub chunk: Option<usize>,
    /// Estimated memory in bytes: cached items, batches, network and gradients.
    pub memory_bytes: u64,
    /// Number of steps that were measured.
    pub measured_steps: u64,
    /// Mean duration of a measured step in seconds.
    pub seconds_per_step: f64,
    /// Estimated duration of all steps and evaluations in seconds.
    pub seconds: f64,
    /// Number of items that `skip-bad` leaves out.
    pub skipped: usize,
}

/// Prepares a run, does a few steps and discards their result. Writes nothing. None if interrupted.
///
/// # Errors
/// Settings or data that cannot be used.
pub fn plan(config: &TrainConfig, around: &Surroundings) -> Result<Option<Plan>, TrainError> {
    config.check()?;
    let run = RunFolder::only_named("".as_ref());
    let left = || Left { step: None, saved: Ok(()) };
    attend(around, left, || {
        let Some(prepared) = Prepared::new(config, around)? else { return Ok(None) };
        Trainer::new(Setup::new(config, &run, around, prepared, Instant::now())?)?.plan()
    })
}

/// The number of steps of a number of epochs, ⌈epochs · items / batch⌉; returned with the number of
/// training items and the number of items of a batch.
///
/// # Errors
/// Settings or a source that cannot be used.
pub fn steps_of(config: &TrainConfig, epochs: f64) -> Result<(u64, usize, usize), TrainError> {
    let mut source: Source = config.source.parse()?;
    if let Some(labels) = &config.labels {
        source = source.with_labels(labels.clone())?;
    }
    if let Some(label_from) = &config.label_from {
        source = source.with_label_from(label_from.clone())?;
    }
    let catalogue = source.catalogue()?.training()?;
    let split = config.split(&catalogue.labels)?;
    let train = catalogue.labels.select(&split.train);
    let batch = batch_shape(config, config.batch, &train)?.items();
    let steps = (epochs * train.len() as f64 / batch.max(1) as f64).ceil().max(1.0);
    Ok((steps as u64, train.len(), batch))
}

impl Trainer<'_> {
    fn plan(mut self) -> Result<Option<Plan>, TrainError> {
        let end = self.enter_phase()?.min(MEASURED + 1);
        let loader = Loader::new(
            self.setup.recipe(&self.phase.sampler)?,
            0,
            end,
            self.setup.surroundings.stop,
        );
        let (began, mut first) = (Instant::now(), None);
        let mut measured = 0;
        for batch in loader {
            let batch = match batch {
                Err(DataError::Interrupted) => return Ok(None),
                batch => batch?,
            };
            self.train_step(batch)?;
            match first {
                None => first = Some(Instant::now()),
                Some(_) => measured += 1,
            }
            if began.elapsed() > LONG {
                break;
            }
        }
        // If the run has one step only, or very long steps, the first step is the only one to
        // measure.
        let since = first.filter(|_| measured > 0).unwrap_or(began);
        let seconds_per_step = since.elapsed().as_secs_f64() / measured.max(1) as f64;
        let evaluation = self.seconds_of_an_evaluation()?;
        let evaluations = self.setup.config.steps / self.setup.config.judge_interval();
        let steps = self.setup.config.steps as f64 * seconds_per_step;
        let train = self.setup.prepared.train_labels();
        let batch = batch_shape(self.setup.config, self.setup.config.batch, &train)?;
        Ok(Some(Plan {
            source: self.setup.prepared.examples.catalogue().source.clone(),
            objective: self.setup.config.objective_name(),
            encoder: self.setup.config.encoder.clone(),
            parameters: self.learned.encoder.parameters(),
            steps: self.setup.config.steps,
            batch: batch.to_string(),
            batch_items: batch.items(),
            epochs: self.setup.config.steps as f64 * batch.items() as f64
                / train.len().max(1) as f64,
            train: Count::of(&train),
            validation: Count::of(
                &self.setup.prepared.labels(&self.setup.prepared.split.validation),
            ),
            holdout: Count::of(&self.setup.holdout),
            chunk: self.state.chunk,
            memory_bytes: memory(&self.memory_task()?, self.state.chunk)
                + self.setup.prepared.examples.cached_bytes(),
            measured_steps: measured.max(1),
            seconds_per_step,
            seconds: steps + (evaluations as f64 + OTHERS) * evaluation,
            skipped: self.setup.prepared.skipped.len(),
        }))
    }

    /// Estimated seconds to embed all held-out items, from the time that some of them take.
    fn seconds_of_an_evaluation(&self) -> Result<f64, TrainError> {
        let holdout = &self.setup.prepared.split.holdout;
        let some = &holdout[..holdout.len().min(EMBEDDED)];
        if some.is_empty() {
            return Ok(0.0);
        }
        let began = Instant::now();
        self.embed_items(&self.learned.encoder, some)?;
        Ok(began.elapsed().as_secs_f64() * holdout.len() as f64 / some.len() as f64)
    }
}
