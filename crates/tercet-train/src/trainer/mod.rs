//! Training: step, schedule, monitor, checkpoint; from a configuration to a judged model.

mod best;
mod collapse;
mod control;
mod counts;
mod error;
mod evaluation;
mod events;
mod plan;
mod prepared;
mod run_folder;
mod settings;
pub mod shell;
mod start_model;
mod state;
mod step;

pub use best::Best;
pub use collapse::softening::{Easing, Softening};
pub use collapse::{Condition, REMEDY};
pub use counts::{Count, Work};
pub use error::TrainError;
pub use evaluation::{Before, Collapse, Ended, Notation, Trained, Verdict};
pub use events::{Event, Left, Surroundings};
pub use plan::{Plan, plan, steps_of};
pub use run_folder::{
    CollapseLine, JudgedLine, JudgedOn, Line, Progress, RunFolder, RunSummary, StepLine,
};
pub use settings::{
    BatchShape, Bytes, Chunk, ConfigError, Curriculum, ImageSize, Keep, Margin, Monitor,
    OnCollapse, OptimizerConfig, OptimizerKind, Parts, Phase, Pool, Schedule, ScheduleKind, Stage,
    TrainConfig,
};

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use burn::module::Module;
use burn::tensor::{Bytes as Record, Device};
use tercet::{Labels, Memory, Metric, Objective, PkSampler};

use crate::data::DataError;
use crate::encoder::Encoder;
use crate::pretrained::Taken;
use collapse::CollapseWatch;
use collapse::softening::rate_share;
use control::Turn;
use control::long_work::attend;
use prepared::{Prepared, batch_shape, sampler};
use run_folder::Metrics;
use state::State;
use step::average::Average;
use step::loader::{Batch, Loader, Recipe, batches_ahead};
use step::memory_estimate::{Task, chunk};
use step::optimizer::Optimizer;
use step::passes::apart;

/// Trains from the newest checkpoint of `run`, or from the start, to the last step; judges; writes
/// model and report.
///
/// A run that was killed and resumed ends in the same bytes as an unbroken one: batches, objective
/// and learning rate are functions of seed and step, all else comes from the checkpoint.
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
    let trainer = attend(
        surroundings,
        || Left { step: None, saved: Ok(()) },
        || match Prepared::new(config, surroundings)? {
            None => Ok(None),
            Some(prepared) => Trainer::new(config, run, prepared, surroundings, began).map(Some),
        },
    );
    match trainer? {
        None => Ok(Ended::Interrupted { step: None }),
        Some(trainer) => trainer.run(),
    }
}

/// A step that takes this long is attended, so that a stop need not wait for its end.
const SLOW: Duration = Duration::from_millis(500);

struct Trainer<'a> {
    config: &'a TrainConfig,
    run: &'a RunFolder,
    around: &'a Surroundings<'a>,
    prepared: Prepared,
    holdout: Labels,
    /// How embeddings are compared in the end.
    metric: Metric,
    /// For networks that learn.
    learning: Device,
    /// For networks that only embed.
    plain: Device,
    began: Instant,

    /// Of the phase that is being trained.
    sampler: Arc<PkSampler>,
    objective: Objective,
    /// Items of a batch.
    batch: usize,

    // What a checkpoint holds.
    encoder: Encoder,
    optimizer: Optimizer,
    average: Option<Average>,
    /// The weights of the best judgement, if they are wanted.
    kept: Option<Record>,
    /// Past embeddings; none before the first.
    memory: Option<Memory>,
    state: State,

    /// Whether the last step took long. The first one may.
    is_slow: bool,
}

impl<'a> Trainer<'a> {
    fn new(
        config: &'a TrainConfig,
        run: &'a RunFolder,
        prepared: Prepared,
        around: &'a Surroundings<'a>,
        began: Instant,
    ) -> Result<Self, TrainError> {
        let objective = config.loss()?;
        let plain = Device::flex();
        let learning = plain.clone().autodiff();
        let (encoder, taken) = beginning(config, &prepared, &learning)?;
        if let (Some(taken), Some(file)) = (taken, &config.pretrained) {
            (around.watch)(Event::Warning(format!("{}: {taken}", file.display())));
        }
        let train = prepared.examples.catalogue().select(&prepared.split.train);
        let sampler = sampler(config, config.batch, &train)?;
        let batch = batch_shape(config, config.batch, &train.labels)?.items();
        let mut largest = batch;
        for phase in config.phases()? {
            largest = largest.max(batch_shape(config, phase.batch, &train.labels)?.items());
        }
        let candidates = sampler.batch_size().max(largest);
        let chunk = chunk(config, &task(config, &prepared, &encoder, largest, candidates)?)?;
        let mut trainer = Self {
            config,
            run,
            around,
            holdout: prepared.labels(&prepared.split.holdout),
            metric: objective.metric(),
            sampler: Arc::new(sampler),
            batch,
            memory: None,
            objective,
            learning,
            plain,
            optimizer: Optimizer::new(config.optimizer_config(), config.slower()?),
            average: (config.ema > 0.0).then(|| Average::new(config.ema, &encoder)),
            kept: None,
            encoder,
            state: State {
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
                start: prepared.start.as_ref().map(|start| start.fingerprint.clone()),
                collapsed: false,
                unfinished: false,
            },
            is_slow: true,
            began,
            prepared,
        };
        let warn = |text| (around.watch)(Event::Warning(text));
        if let Some(restored) = run.restore_newest(|found| trainer.restored(found), &warn)? {
            trainer.take_up(restored);
        }
        trainer.extend()?;
        if let Some(chunk) = trainer.state.chunk {
            (around.watch)(Event::Warning(format!(
                "{chunk} items go through the network at once; the gradient is that of the whole batch"
            )));
        }
        Ok(trainer)
    }

    fn run(mut self) -> Result<Ended, TrainError> {
        self.run.begin(self.config)?;
        let step = self.state.step;
        let left = move || Left { step: Some(step), saved: Ok(()) };
        let before = attend(self.around, left, || self.judge_baselines())?;
        self.tell(Event::Started {
            step: self.state.step,
            train: Count::of(&self.prepared.train_labels()),
            validation: Count::of(&self.prepared.labels(&self.prepared.split.validation)),
            holdout: Count::of(&self.holdout),
            parameters: self.encoder.parameters(),
        });
        loop {
            let mut metrics = self.run.metrics_from(self.state.step)?;
            match self.train(&mut metrics)? {
                Turn::Done => break,
                Turn::Back(easing) => self.go_back(easing)?,
                Turn::Interrupted => {
                    return Ok(Ended::Interrupted { step: Some(self.state.step) });
                }
            }
        }
        // The last checkpoint holds all steps, so the rest can be done again at any time.
        let step = self.state.step;
        let left = move || Left { step: Some(step), saved: Ok(()) };
        let trained = attend(self.around, left, || self.finish(before))?;
        Ok(Ended::Finished(Box::new(trained)))
    }

    /// Phase after phase, until the run is done, interrupted, or has to go back.
    fn train(&mut self, metrics: &mut Metrics) -> Result<Turn, TrainError> {
        if self.state.unfinished
            && let Some(turn) = self.finish_step(metrics)?
        {
            return Ok(turn);
        }
        while !self.is_done() {
            let end = self.enter_phase()?;
            let first = self.state.step;
            self.is_slow = true;
            let loader = Loader::new(self.recipe()?, first, end, self.around.stop);
            let mut since = (Instant::now(), first);
            for batch in loader {
                if self.around.stop.load(Ordering::Relaxed) {
                    self.checkpoint()?;
                    return Ok(Turn::Interrupted);
                }
                let batch = match batch {
                    Ok(batch) => batch,
                    Err(DataError::Interrupted) => {
                        self.checkpoint()?;
                        return Ok(Turn::Interrupted);
                    }
                    Err(error) => {
                        self.checkpoint()?; // a file that went missing must not cost the steps so far
                        return Err(error.into());
                    }
                };
                let line = self.train_step(batch)?;
                let step = self.state.step;
                self.tell(Event::Step { step });
                if let Some(mut line) = line {
                    let items = (step - since.1) as f64 * self.sampler.batch_size() as f64;
                    line.items_per_second = items / since.0.elapsed().as_secs_f64().max(1e-9);
                    self.log(metrics, Line::Step(Box::new(line)))?;
                    since = (Instant::now(), step);
                }
                if let Some(turn) = self.after_step(metrics)? {
                    return Ok(turn);
                }
                if self.is_judged(step) {
                    since = (Instant::now(), step); // judging is no training
                }
            }
            if self.state.step < end {
                return Err(TrainError::LoaderStopped { step: self.state.step });
            }
        }
        Ok(Turn::Done)
    }

    /// What the loader makes batches of in this phase.
    fn recipe(&self) -> Result<Recipe, TrainError> {
        Ok(Recipe {
            examples: self.prepared.examples.clone(),
            sampler: self.sampler.clone(),
            train: self.prepared.split.train.clone(),
            augmentation: self.config.augmentation()?,
            seed: self.config.seed,
        })
    }

    /// What a step of this phase is made of.
    fn task(&self) -> Result<Task<'_>, TrainError> {
        let candidates = self.sampler.batch_size().max(self.batch);
        task(self.config, &self.prepared, &self.encoder, self.batch, candidates)
    }

    /// One step: the objective's gradient, then the optimiser's move.
    fn train_step(&mut self, batch: Batch) -> Result<Option<StepLine>, TrainError> {
        let step = self.state.step;
        let schedule = self.config.learning_schedule();
        let rate = schedule.rate_at(step) * rate_share(&self.state.softened);
        let began = Instant::now();
        let (gradients, seen) = match self.is_slow {
            false => self.gradients(batch, rate)?,
            true => {
                // Batch norms move with the step, which does not count if it is left.
                let before = apart(&self.encoder);
                let step = self.state.step;
                let save = || Left { step: Some(step), saved: self.save(&before, &self.state) };
                attend(self.around, save, || self.gradients(batch, rate))?
            }
        };
        self.is_slow = began.elapsed() >= SLOW;
        let (encoder, gradient_norm) = self.optimizer.step(
            rate,
            schedule.is_falling_at(step),
            self.encoder.clone(),
            gradients,
        );
        self.encoder = encoder;
        self.remember(&seen)?;
        self.state.work += seen.work;
        self.state.step += 1;
        self.state.unfinished = true;
        if let Some(average) = &mut self.average {
            average.add(&self.encoder, self.state.step);
        }
        self.observe(&seen.outcome, &self.prepared.labels(&seen.items));
        if !self.is_logged(self.state.step) {
            return Ok(None);
        }
        let line = self.line(&seen, rate)?;
        Ok(Some(StepLine { gradient_norm, ..line }))
    }

    fn is_logged(&self, step: u64) -> bool {
        step.is_multiple_of(self.config.log_every) || step == 1 || step == self.config.steps
    }

    fn log(&self, metrics: &mut Metrics, line: Line) -> Result<(), TrainError> {
        metrics.write(&line)?;
        self.tell(Event::Logged(&line));
        Ok(())
    }

    fn tell(&self, event: Event) {
        (self.around.watch)(event);
    }
}

/// What a step is made of, as far as its memory goes.
fn task<'a>(
    config: &TrainConfig,
    prepared: &Prepared,
    encoder: &'a Encoder,
    batch: usize,
    candidates: usize,
) -> Result<Task<'a>, TrainError> {
    Ok(Task {
        encoder,
        input: prepared.examples.input().shape(),
        parameters: encoder.parameters(),
        batch,
        candidates,
        batches_ahead: batches_ahead(&prepared.examples, &config.augmentation()?),
    })
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
    if let Some(start) = &prepared.start {
        encoder = start.put_into(encoder)?;
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
