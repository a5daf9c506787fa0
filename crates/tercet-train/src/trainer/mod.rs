//! Training: from a configuration to an evaluated model.
//!
//! - `settings`: the configuration, the types of its values, and what follows from them.
//! - `prepared`, `start_model`, `setup`: what a run reads before its first step and does not
//!   change.
//! - `step`: one step, from a batch to new weights, and the estimate of the memory that it needs.
//! - `compatible`: the older model with which the new one stays compatible.
//! - `learned`, `state`, `best`, `counts`: what a step changes, and what a checkpoint stores.
//! - `collapse`: how a collapse is noticed, and how the task is made easier after one.
//! - `control`: what follows a step: evaluation, collapse, checkpoints; and how long work is
//!   stopped.
//! - `evaluation`: the evaluation on the held-out classes, the verdict, the model file and the
//!   report.
//! - `run_folder`: the files of a run, among them `metrics.jsonl` and the checkpoints.
//! - `events`: what a run reports to its caller. `plan`: a run that is only planned.

mod backbone;
mod best;
mod collapse;
mod compatible;
mod control;
mod counts;
mod error;
mod evaluation;
mod events;
mod learned;
mod plan;
mod prepared;
mod run_folder;
mod settings;
mod setup;
pub mod shell;
mod start_model;
mod state;
mod step;

pub use best::Best;
pub use collapse::softening::{Easing, Softening};
pub use collapse::{Condition, REMEDY};
pub use compatible::Compatibility;
pub use counts::{Count, Work};
pub use error::TrainError;
pub use evaluation::{Before, Collapse, Ended, Notation, Trained, Verdict};
pub use events::{Event, Left, Surroundings};
pub use plan::{Plan, plan, steps_of};
pub use run_folder::{
    CollapseLine, JudgedLine, JudgedOn, Line, Progress, RunFolder, RunSummary, StepLine,
};
pub use settings::{
    BatchShape, Bytes, Chunk, Curriculum, ImageSize, Keep, Margin, Monitor, OnCollapse,
    OptimizerConfig, OptimizerKind, Parts, Phase, Pool, Schedule, ScheduleKind, Stage, TrainConfig,
};

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use tercet::{Objective, PkSampler};

use crate::data::DataError;
use collapse::softening::rate_share;
use control::Turn;
use control::long_work::attend;
use learned::Learned;
use prepared::{Prepared, batch_shape, sampler};
use run_folder::Metrics;
use setup::Setup;
use state::State;
use step::loader::{Batch, Loader};
use step::memory_estimate::{Task, chunk};
use step::passes::apart;

/// Trains from the newest checkpoint of `run`, or from the start, to the last step; then evaluates
/// the network and writes model and report.
///
/// A run that was killed and resumed ends with the same bytes as an uninterrupted one: batches,
/// objective and learning rate are functions of seed and step, and everything else comes from the
/// checkpoint.
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
            Some(prepared) => {
                Trainer::new(Setup::new(config, run, surroundings, prepared, began)?).map(Some)
            }
        },
    );
    match trainer? {
        None => Ok(Ended::Interrupted { step: None }),
        Some(trainer) => trainer.run(),
    }
}

/// If a step took this long, the next one runs through [`attend`], so that a stop request need not
/// wait for its end.
const SLOW: Duration = Duration::from_millis(500);

/// The state of a run between two steps.
struct Trainer<'a> {
    setup: Setup<'a>,
    phase: CurrentPhase,
    /// What a checkpoint stores, together with `state`.
    learned: Learned,
    state: State,
    /// Whether the last step took at least [`SLOW`]; true before the first step, whose duration is
    /// not known.
    is_slow: bool,
}

/// The phase that is being trained.
struct CurrentPhase {
    sampler: Arc<PkSampler>,
    objective: Objective,
    /// Number of items of a batch.
    batch: usize,
}

impl<'a> Trainer<'a> {
    fn new(setup: Setup<'a>) -> Result<Self, TrainError> {
        let Setup { config, folder, surroundings, .. } = setup;
        let objective = config.loss()?;
        let (encoder, taken) = setup.first_encoder()?;
        if let (Some(taken), Some(file)) = (taken, &config.pretrained) {
            let chosen = config.fine_tuning_summary(setup.prepared.examples.input().shape());
            setup.report(Event::Warning(format!("{}: {chosen}; {taken}", file.display())));
        }
        let train = setup.prepared.examples.catalogue().select(&setup.prepared.split.train);
        let sampler = sampler(config, config.batch, &train)?;
        let batch = batch_shape(config, config.batch, &train.labels)?.items();
        let mut largest = batch;
        for phase in config.phases()? {
            largest = largest.max(batch_shape(config, phase.batch, &train.labels)?.items());
        }
        let candidates = sampler.batch_size().max(largest);
        let chunk = chunk(config, &setup.memory_task(&encoder, largest, candidates)?)?;
        let mut trainer = Self {
            phase: CurrentPhase { sampler: Arc::new(sampler), objective, batch },
            learned: Learned::new(&setup, encoder)?,
            state: setup.first_state(chunk),
            is_slow: true,
            setup,
        };
        let warn = |text| (surroundings.watch)(Event::Warning(text));
        if let Some(restored) = folder.restore_newest(|found| trainer.restored(found), &warn)? {
            trainer.take_up(restored);
        }
        trainer.extend()?;
        if let Some(chunk) = trainer.state.chunk {
            warn(format!(
                "{chunk} items go through the network at once; the gradient is that of the whole batch"
            ));
        }
        Ok(trainer)
    }

    fn run(mut self) -> Result<Ended, TrainError> {
        self.setup.folder.begin(self.setup.config)?;
        let step = self.state.step;
        let left = move || Left { step: Some(step), saved: Ok(()) };
        let before = attend(self.setup.surroundings, left, || self.judge_baselines())?;
        self.setup.report(Event::Started {
            step: self.state.step,
            train: Count::of(&self.setup.prepared.train_labels()),
            validation: Count::of(
                &self.setup.prepared.labels(&self.setup.prepared.split.validation),
            ),
            holdout: Count::of(&self.setup.holdout),
            parameters: self.learned.encoder.parameters(),
        });
        loop {
            let mut metrics = self.setup.folder.metrics_from(self.state.step)?;
            match self.train(&mut metrics)? {
                Turn::Done => break,
                Turn::Back(easing) => self.go_back(easing)?,
                Turn::Interrupted => {
                    return Ok(Ended::Interrupted { step: Some(self.state.step) });
                }
            }
        }
        // The last checkpoint contains all steps, so everything after it can be repeated at any
        // time.
        let step = self.state.step;
        let left = move || Left { step: Some(step), saved: Ok(()) };
        let trained = attend(self.setup.surroundings, left, || self.finish(before))?;
        Ok(Ended::Finished(Box::new(trained)))
    }

    /// Trains phase after phase, until the run is done, is interrupted, or must return to a
    /// checkpoint.
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
            let loader = Loader::new(
                self.setup.recipe(&self.phase.sampler)?,
                first,
                end,
                self.setup.surroundings.stop,
            );
            let mut since = (Instant::now(), first);
            for batch in loader {
                if self.setup.surroundings.stop.load(Ordering::Relaxed) {
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
                        self.checkpoint()?; // a missing file must not cost the steps so far
                        return Err(error.into());
                    }
                };
                let line = self.train_step(batch)?;
                let step = self.state.step;
                self.setup.report(Event::Step { step });
                if let Some(mut line) = line {
                    let items = (step - since.1) as f64 * self.phase.sampler.batch_size() as f64;
                    line.items_per_second = items / since.0.elapsed().as_secs_f64().max(1e-9);
                    self.log(metrics, Line::Step(Box::new(line)))?;
                    since = (Instant::now(), step);
                }
                if let Some(turn) = self.after_step(metrics)? {
                    return Ok(turn);
                }
                if self.is_judged(step) {
                    since = (Instant::now(), step); // an evaluation does not count as training time
                }
            }
            if self.state.step < end {
                return Err(TrainError::LoaderStopped { step: self.state.step });
            }
        }
        Ok(Turn::Done)
    }

    /// What the memory estimate of a step of this phase depends on.
    fn memory_task(&self) -> Result<Task<'_>, TrainError> {
        let candidates = self.phase.sampler.batch_size().max(self.phase.batch);
        self.setup.memory_task(&self.learned.encoder, self.phase.batch, candidates)
    }

    /// Does one step: computes the gradient of the objective and updates the weights.
    fn train_step(&mut self, batch: Batch) -> Result<Option<StepLine>, TrainError> {
        let step = self.state.step;
        let schedule = self.setup.config.learning_schedule();
        let rate = schedule.rate_at(step) * rate_share(&self.state.softened);
        let began = Instant::now();
        let (gradients, seen) = match self.is_slow {
            false => self.gradients(batch, rate)?,
            true => {
                // The pass changes the running statistics of batch norm. If the step is abandoned,
                // it does not count, so a checkpoint is written from a copy made before it.
                let before = apart(&self.learned.encoder);
                let step = self.state.step;
                let save = || Left { step: Some(step), saved: self.save(&before, &self.state) };
                attend(self.setup.surroundings, save, || self.gradients(batch, rate))?
            }
        };
        self.is_slow = began.elapsed() >= SLOW;
        let (encoder, gradient_norm) = self.learned.optimizer.step(
            rate,
            schedule.is_falling_at(step),
            self.learned.encoder.clone(),
            gradients,
        );
        self.learned.encoder = encoder;
        self.remember(&seen)?;
        self.state.work += seen.work;
        self.state.step += 1;
        self.state.unfinished = true;
        if let Some(average) = &mut self.learned.average {
            average.add(&self.learned.encoder, self.state.step);
        }
        self.observe(&seen.outcome, &self.setup.prepared.labels(&seen.items));
        if !self.is_logged(self.state.step) {
            return Ok(None);
        }
        let line = self.line(&seen, rate)?;
        Ok(Some(StepLine { gradient_norm, ..line }))
    }

    fn is_logged(&self, step: u64) -> bool {
        step.is_multiple_of(self.setup.config.log_every)
            || step == 1
            || step == self.setup.config.steps
    }

    fn log(&self, metrics: &mut Metrics, line: Line) -> Result<(), TrainError> {
        metrics.write(&line)?;
        self.setup.report(Event::Logged(&line));
        Ok(())
    }
}
