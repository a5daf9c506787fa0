//! Training: step, schedule, monitor, checkpoint; from a configuration to a judged model.

mod batch;
mod checkpoint;
mod config;
mod error;
mod finish;
mod judging;
mod loader;
mod memory;
mod monitor;
mod objective;
mod outcome;
mod passes;
mod prepared;
mod report;
mod room;
mod run;
mod step;
mod watch;

pub use batch::{BatchShape, Bytes, Chunk, Pool};
pub use config::{ConfigError, ImageSize, TrainConfig};
pub use error::TrainError;
pub use monitor::{JudgedLine, Line, StepLine};
pub use objective::{Margin, Parts};
pub use outcome::{Before, Count, Ended, Trained, Work};
pub use run::RunFolder;
pub use watch::{Event, Surroundings};

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use burn::module::Module;
use burn::optim::{AdamConfig, ModuleOptimizer};
use burn::tensor::Device;
use tercet::{Labels, Memory, Metric, Objective, PkSampler};

use crate::encoder::Encoder;
use crate::pretrained::Taken;
use checkpoint::{Checkpoint, State};
use loader::{Batch, Loader, Recipe, batches_ahead};
use memory::{pack, unpack};
use prepared::{Prepared, batch_shape, sampler};
use room::{Task, chunk};

/// Trains from the newest checkpoint of `run`, or from the start, to the last step; judges; writes
/// model and report.
///
/// A run that was killed and resumed ends in the same bytes as an unbroken one: batches and
/// learning rate are functions of seed and step, weights and optimiser come from the checkpoint.
///
/// # Errors
/// Settings, data or files that cannot be used; nothing already written is lost.
pub fn train(
    config: &TrainConfig,
    run: &RunFolder,
    surroundings: &Surroundings,
) -> Result<Ended, TrainError> {
    let began = Instant::now();
    config.check()?;
    let Some(prepared) = Prepared::new(config, surroundings)? else {
        return Ok(Ended::Interrupted { step: None });
    };
    let trainer = Trainer::new(config, run, prepared, surroundings, began)?;
    trainer.run()
}

struct Trainer<'a> {
    config: &'a TrainConfig,
    run: &'a RunFolder,
    around: &'a Surroundings<'a>,
    prepared: Prepared,
    holdout: Labels,
    sampler: Arc<PkSampler>,
    objective: Objective,
    metric: Metric,
    /// For networks that learn.
    learning: Device,
    /// For networks that only embed.
    plain: Device,
    encoder: Encoder,
    optimizer: ModuleOptimizer,
    /// Steps done.
    step: u64,
    /// Items of a batch.
    batch: usize,
    /// Items that go through the network at once; none if a whole batch does.
    chunk: Option<usize>,
    /// Past embeddings; none before the first.
    memory: Option<Memory>,
    work: Work,
    began: Instant,
}

/// What a run goes on from.
struct Restored {
    state: State,
    encoder: Encoder,
    optimizer: ModuleOptimizer,
    memory: Option<Memory>,
}

impl<'a> Trainer<'a> {
    fn new(
        config: &'a TrainConfig,
        run: &'a RunFolder,
        prepared: Prepared,
        around: &'a Surroundings<'a>,
        began: Instant,
    ) -> Result<Self, TrainError> {
        let train = prepared.examples.catalogue().select(&prepared.split.train);
        let sampler = sampler(config, &train)?;
        let batch = batch_shape(config, &train.labels)?.items();
        for (count, what) in [
            (sampler.left_out(), "with a single item cannot be trained on and are left out"),
            (sampler.repeating(), "with fewer items than K repeat items within a batch"),
        ] {
            if count > 0 {
                (around.watch)(Event::Warning(format!("{count} classes {what}")));
            }
        }
        let objective = config.loss()?;
        let plain = Device::flex();
        let learning = plain.clone().autodiff();
        let (encoder, taken) = beginning(config, &prepared, &learning)?;
        if let (Some(taken), Some(file)) = (taken, &config.pretrained) {
            (around.watch)(Event::Warning(format!("{}: {taken}", file.display())));
        }
        let task = Task {
            encoder: &encoder,
            input: prepared.examples.input().shape(),
            parameters: encoder.parameters(),
            batch,
            candidates: sampler.batch_size(),
            batches_ahead: batches_ahead(&prepared.examples, &config.augmentation()?),
        };
        let chunk = chunk(config, &task)?;
        let holdout = prepared.labels(&prepared.split.holdout);
        let mut trainer = Self {
            config,
            run,
            around,
            holdout,
            sampler: Arc::new(sampler),
            objective,
            metric: objective.metric(),
            learning,
            plain,
            encoder,
            optimizer: adam(),
            step: 0,
            batch,
            chunk,
            memory: None,
            work: Work::default(),
            began,
            prepared,
        };
        let warn = |text| (around.watch)(Event::Warning(text));
        if let Some(restored) = run.restore_newest(|found| trainer.restored(found), &warn)? {
            let State { step, chunk, work, .. } = restored.state;
            (trainer.step, trainer.chunk, trainer.work) = (step, chunk, work);
            (trainer.encoder, trainer.optimizer) = (restored.encoder, restored.optimizer);
            trainer.memory = restored.memory;
        }
        if let Some(chunk) = trainer.chunk {
            (around.watch)(Event::Warning(format!(
                "{chunk} items go through the network at once; the gradient is that of the whole batch"
            )));
        }
        Ok(trainer)
    }

    /// What a checkpoint holds.
    fn restored(&self, mut checkpoint: Checkpoint) -> Result<Restored, TrainError> {
        let state = checkpoint.state.clone();
        let State { data, statistics, threads, .. } = &state;
        if *data != self.prepared.fingerprint || *statistics != self.prepared.statistics() {
            return Err(TrainError::DataChanged(self.config.source.clone()));
        }
        let now = rayon::current_num_threads();
        if *threads != now {
            self.tell(Event::Warning(format!(
                "this run began with {threads} threads and goes on with {now}: the result will differ in rounding (`--threads {threads}` keeps it)"
            )));
        }
        // Loading a record changes running statistics that clones share: load into a network of
        // its own.
        let encoder = fresh(self.config, &self.prepared, &self.learning)?;
        let bad = |reason| TrainError::BadRun { path: self.run.checkpoints(), reason };
        let memory = checkpoint.memory.take();
        let memory = memory.map(|bytes| unpack(bytes, self.config.memory)).transpose();
        let memory = memory.map_err(bad)?;
        let (encoder, optimizer) = checkpoint.restore(encoder, adam()).map_err(bad)?;
        Ok(Restored { state, encoder, optimizer, memory })
    }

    fn run(mut self) -> Result<Ended, TrainError> {
        self.run.begin(self.config)?;
        let before = self.judge_baselines()?;
        let steps = self.config.steps;
        let mut metrics = self.run.metrics_from(self.step, steps)?;
        self.tell(Event::Started {
            step: self.step,
            train: Count::of(&self.prepared.labels(&self.prepared.split.train)),
            holdout: Count::of(&self.holdout),
            parameters: self.encoder.parameters(),
        });
        let recipe = Recipe {
            examples: self.prepared.examples.clone(),
            sampler: self.sampler.clone(),
            train: self.prepared.split.train.clone(),
            augmentation: self.config.augmentation()?,
            seed: self.config.seed,
        };
        let loader = Loader::new(recipe, self.step, steps);
        let mut since = (Instant::now(), self.step);
        for batch in loader {
            if self.around.stop.load(Ordering::Relaxed) {
                self.checkpoint()?;
                return Ok(Ended::Interrupted { step: Some(self.step) });
            }
            let log = (self.step + 1).is_multiple_of(self.config.log_every)
                || self.step == 0
                || self.step + 1 == steps;
            let batch = match batch {
                Ok(batch) => batch,
                Err(error) => {
                    self.checkpoint()?; // a file that went missing must not cost the steps so far
                    return Err(error.into());
                }
            };
            let line = self.train_step(batch, log)?;
            self.tell(Event::Step { step: self.step });
            if let Some(mut line) = line {
                let items = (self.step - since.1) as f64 * self.sampler.batch_size() as f64;
                line.items_per_second = items / since.0.elapsed().as_secs_f64().max(1e-9);
                let line = Line::Step(line);
                metrics.write(&line)?;
                self.tell(Event::Logged(&line));
                since = (Instant::now(), self.step);
            }
            let last = self.step == steps;
            if !last && self.step.is_multiple_of(self.config.judge_interval()) {
                if let Some(line) = self.judge_along()? {
                    metrics.write(&line)?;
                    self.tell(Event::Logged(&line));
                }
                since = (Instant::now(), self.step);
            }
            if last || self.step.is_multiple_of(self.config.checkpoint_every) {
                self.checkpoint()?;
            }
        }
        if self.step < steps {
            return Err(TrainError::LoaderStopped { step: self.step });
        }
        self.finish(before, metrics).map(|trained| Ended::Finished(Box::new(trained)))
    }

    /// One step: the objective's gradient, then the optimiser's move.
    fn train_step(&mut self, batch: Batch, log: bool) -> Result<Option<StepLine>, TrainError> {
        let learning_rate = self.config.learning_rate_at(self.step);
        let (gradients, seen) = self.gradients(batch, learning_rate)?;
        let encoder = self.encoder.clone();
        self.encoder = self.optimizer.step(learning_rate, encoder, gradients);
        self.remember(&seen)?;
        self.work += seen.work;
        self.step += 1;
        log.then(|| self.line(&seen, learning_rate)).transpose()
    }

    fn tell(&self, event: Event) {
        (self.around.watch)(event);
    }

    fn checkpoint(&self) -> Result<(), TrainError> {
        let state = State {
            step: self.step,
            data: self.prepared.fingerprint.clone(),
            statistics: self.prepared.statistics(),
            threads: rayon::current_num_threads(),
            chunk: self.chunk,
            work: self.work,
        };
        let folder = self.run.checkpoints();
        let memory = self.memory.as_ref().map(pack).transpose();
        let memory =
            memory.map_err(|reason| TrainError::BadRun { path: folder.clone(), reason })?;
        Checkpoint::write(&folder, &state, &self.encoder, &self.optimizer, memory)?;
        self.tell(Event::Checkpoint { step: self.step });
        Ok(())
    }
}

/// Burn's default of 1e-5 for epsilon slows small gradients; 1e-8 is Adam's own.
fn adam() -> ModuleOptimizer {
    AdamConfig::new().with_epsilon(1e-8).init()
}

/// The network before its first step.
fn fresh(
    config: &TrainConfig,
    prepared: &Prepared,
    device: &Device,
) -> Result<Encoder, TrainError> {
    beginning(config, prepared, device).map(|(encoder, _)| encoder)
}

/// The network before its first step, and what it took from pretrained weights.
fn beginning(
    config: &TrainConfig,
    prepared: &Prepared,
    device: &Device,
) -> Result<(Encoder, Option<Taken>), TrainError> {
    device.seed(config.seed);
    let shape = prepared.examples.input().shape();
    let architecture = config.encoder_config()?;
    let mut encoder = architecture.init(shape, device)?;
    if let Some(directions) = &prepared.principal {
        encoder = encoder.starting_from(directions.view(), device);
    }
    let mut taken = None;
    if let Some(weights) = &prepared.pretrained {
        let (started, told) = weights.put_into(encoder, &architecture)?;
        (encoder, taken) = (started, Some(told));
    }
    if let Some(freeze) = &config.freeze {
        encoder = encoder.freeze_group(architecture.frozen(freeze)?);
    }
    Ok((encoder, taken))
}
