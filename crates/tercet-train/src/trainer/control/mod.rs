//! What happens between two steps: evaluations, the best weights, the reaction to a collapse,
//! checkpoints.

pub(super) mod long_work;

use burn::module::Module;
use burn::optim::OptimizerRecord;
use burn::store::ModuleRecord;
use burn::tensor::Bytes as Record;
use std::collections::BTreeMap;
use std::sync::Arc;
use tercet::{Labels, Outcome};

use super::best::Best;
use super::collapse::softening::{Easing, Softening, eased};
use super::collapse::{Condition, collapse_value};
use super::counts::Work;
use super::evaluation::Before;
use super::events::{Event, Left};
use super::learned::Learned;
use super::prepared::{batch_shape, sampler};
use super::run_folder::{
    CONFIG_COPY, Checkpoint, CollapseLine, JudgedLine, JudgedOn, Line, Metrics,
};
use super::settings::{Keep, OnCollapse};
use super::state::State;
use super::step::average::Average;
use super::step::embedding_memory::{pack, unpack};
use super::{TrainError, Trainer};
use crate::encoder::Encoder;
use long_work::attend;

/// An evaluation must improve on the best one by more than this to count as progress for the
/// collapse watch, whatever the loss is.
const SIGN_OF_LIFE: f64 = 0.01;

/// Why the loop over the steps ended.
pub(super) enum Turn {
    /// All steps are done, or the patience for a better evaluation is exhausted.
    Done,
    /// A stop was requested; a checkpoint was written.
    Interrupted,
    /// The run collapsed and must return to a checkpoint and continue with an easier task.
    Back(Easing),
}

/// The contents of a checkpoint as state, network and optimiser.
pub(super) struct Restored {
    state: State,
    learned: Learned,
}

impl Trainer<'_> {
    /// Whether no further step is to be done.
    pub(super) fn is_done(&self) -> bool {
        self.state.step >= self.setup.config.steps || self.is_out_of_patience()
    }

    fn is_out_of_patience(&self) -> bool {
        let without_gain = self.state.best.map_or(0, |best| best.without_gain);
        self.setup.config.patience > 0 && without_gain >= self.setup.config.patience
    }

    /// Sets the objective and the batch shape of the phase of the next step; returns the end of
    /// this phase.
    pub(super) fn enter_phase(&mut self) -> Result<u64, TrainError> {
        let step = self.state.step;
        let phases = self.setup.config.phases()?;
        let Some(place) = phases.iter().position(|phase| step < phase.until) else {
            return Ok(step);
        };
        let phase = phases[place];
        if step == phase.from && place > 0 && phases[place - 1].objective != phase.objective {
            self.state.watch.restart(); // distances and losses have another meaning now
        }
        let train =
            self.setup.prepared.examples.catalogue().select(&self.setup.prepared.split.train);
        let sampler = sampler(self.setup.config, phase.batch, &train)?;
        self.phase.batch = batch_shape(self.setup.config, phase.batch, &train.labels)?.items();
        for (count, what) in [
            (sampler.left_out(), "with a single item cannot be trained on and are left out"),
            (sampler.repeating(), "with fewer items than K repeat items within a batch"),
        ] {
            if count > 0 {
                self.setup.report(Event::Warning(format!("{count} classes {what}")));
            }
        }
        self.phase.sampler = Arc::new(sampler);
        self.phase.objective = eased(phase.objective, &self.state.softened);
        if phases.len() > 1 {
            self.setup
                .report(Event::Phase { phase: &phase, batch: self.phase.sampler.to_string() });
        }
        Ok(phase.until)
    }

    /// Passes the outcome of a step to the collapse watch.
    pub(super) fn observe(&mut self, outcome: &Outcome, labels: &Labels) {
        let value = collapse_value(&self.phase.objective, labels, &outcome.census);
        let patience = self.setup.config.collapse_patience();
        self.state.collapsed = self.state.watch.observe(self.state.step, outcome, value, patience);
    }

    /// Whether an evaluation follows this step.
    pub(super) fn is_judged(&self, step: u64) -> bool {
        step.is_multiple_of(self.setup.config.judge_interval()) || step == self.setup.config.steps
    }

    /// Does what follows a step, for a run that was stopped between the step and that.
    pub(super) fn finish_step(
        &mut self,
        metrics: &mut Metrics,
    ) -> Result<Option<Turn>, TrainError> {
        let mut phases = self.setup.config.phases()?.into_iter();
        if let Some(phase) = phases.find(|phase| self.state.step <= phase.until) {
            self.phase.objective = eased(phase.objective, &self.state.softened);
        }
        self.after_step(metrics)
    }

    /// Evaluates, reacts to a collapse and writes a checkpoint, each if it is due after this step.
    pub(super) fn after_step(&mut self, metrics: &mut Metrics) -> Result<Option<Turn>, TrainError> {
        let step = self.state.step;
        if self.is_judged(step) {
            self.judge(metrics)?;
        }
        let is_collapsed = std::mem::take(&mut self.state.collapsed);
        self.state.unfinished = false;
        if is_collapsed && let Some(turn) = self.collapse(metrics)? {
            return Ok(Some(turn));
        }
        if step.is_multiple_of(self.setup.config.checkpoint_every) || self.is_done() {
            self.checkpoint()?;
        }
        Ok(self.is_done().then_some(Turn::Done))
    }

    fn judge(&mut self, metrics: &mut Metrics) -> Result<(), TrainError> {
        let step = self.state.step;
        let save =
            || Left { step: Some(step), saved: self.save(&self.learned.encoder, &self.state) };
        let judged = attend(self.setup.surroundings, save, || {
            self.evaluate_during(self.learned.evaluated_network())
        })?;
        let Some(judged) = judged else { return Ok(()) };
        let line = Line::Judged(JudgedLine {
            step,
            on: self.judged_on(),
            recall_at_1: judged.recall_at(1).unwrap_or_default(),
            map_at_r: judged.map_at_r,
        });
        self.log(metrics, line)?;
        let value = self.setup.config.monitor.of(&judged);
        let before = self.state.best.map(|best| f64::from(best.value));
        if Best::judge(&mut self.state.best, step, value) {
            if before.is_some_and(|before| value > before + SIGN_OF_LIFE) {
                self.state.watch.progressed();
            }
            if self.setup.config.keep != Keep::Last {
                self.learned.best_weights = Some(
                    weights(self.learned.evaluated_network())
                        .map_err(|error| self.unwritten(error))?,
                );
            }
        }
        Ok(())
    }

    /// Reacts to a collapse as the configuration says.
    fn collapse(&mut self, metrics: &mut Metrics) -> Result<Option<Turn>, TrainError> {
        let step = self.state.step;
        let Condition::Collapsed { since } = self.state.watch.condition() else { return Ok(None) };
        let easing = Easing::next(&self.phase.objective, &self.state.softened);
        if let (OnCollapse::Soften, Some(easing)) = (self.setup.config.on_collapse, easing) {
            return Ok(Some(Turn::Back(easing)));
        }
        let line = CollapseLine { step, noticed: step, since, easing: None };
        self.log(metrics, Line::Collapse(line))?;
        if self.setup.config.on_collapse == OnCollapse::Stop {
            self.checkpoint()?;
            return Err(TrainError::Collapsed { step, since });
        }
        Ok(None)
    }

    /// Returns to a checkpoint at which no collapse had begun, and makes the task easier from
    /// there.
    pub(super) fn go_back(&mut self, easing: Easing) -> Result<(), TrainError> {
        let noticed = self.state.step;
        let Condition::Collapsed { since } = self.state.watch.condition() else { return Ok(()) };
        let mut softened = std::mem::take(&mut self.state.softened);
        let good = self.state.good.and_then(|step| self.setup.folder.checkpoint_of(step));
        let restored = match good {
            Some(checkpoint) => self.restored(checkpoint)?,
            None => self.start()?,
        };
        self.take_up(restored);
        let step = self.state.step;
        softened.push(Softening { noticed, back_to: step, easing });
        self.state.softened = softened;
        self.state.watch.restart();
        // From now on the run continues from this step, even if the process is killed.
        self.checkpoint()?;
        let mut metrics = self.setup.folder.metrics_from(step)?;
        let line = CollapseLine { step, noticed, since, easing: Some(easing) };
        self.log(&mut metrics, Line::Collapse(line))
    }

    /// The state and the weights before the first step.
    fn start(&self) -> Result<Restored, TrainError> {
        let encoder = self.setup.fresh_encoder()?;
        let learned = Learned::new(&self.setup, encoder)?;
        let state =
            State { step: 0, best: None, good: None, work: Work::default(), ..self.state.clone() };
        Ok(Restored { state, learned })
    }

    /// Unpacks a checkpoint, after checking that it fits the data, the start model and
    /// the older model.
    pub(super) fn restored(&self, mut checkpoint: Checkpoint) -> Result<Restored, TrainError> {
        let state = checkpoint.state.clone();
        if state.data != self.state.data || state.statistics != self.state.statistics {
            return Err(TrainError::DataChanged(self.setup.config.source.clone()));
        }
        if let Some(start) = self.setup.config.from.as_ref().or(self.setup.config.backbone.as_ref())
            && state.start != self.state.start
        {
            return Err(TrainError::StartChanged(start.clone()));
        }
        if let Some(old) = self
            .setup
            .prepared
            .compatible
            .as_ref()
            .filter(|_| state.compatible != self.state.compatible)
        {
            return Err(TrainError::CompatibleChanged(old.path().to_owned()));
        }
        let (then, now) = (state.threads, rayon::current_num_threads());
        if then != now {
            self.setup.report(Event::Warning(format!(
                "this run began with {then} threads and is continued with {now}: the result will differ in rounding (`--threads {then}` keeps it the same)"
            )));
        }
        let bad =
            |reason: String| TrainError::BadRun { path: self.setup.folder.checkpoints(), reason };
        let lacking = || bad("a checkpoint lacks a record".to_owned());
        // Loading a record changes running statistics, which clones share. Each record is therefore
        // loaded into a network of its own.
        let load = |record: Record| -> Result<Encoder, TrainError> {
            let encoder = self.setup.fresh_encoder()?;
            let record =
                ModuleRecord::from_bytes(record).map_err(|error| bad(error.to_string()))?;
            encoder.try_load_record(record).map_err(|error| bad(error.to_string()))
        };
        let encoder = load(checkpoint.take(ENCODER).ok_or_else(lacking)?)?;
        let optimizer = checkpoint.take(OPTIMIZER).ok_or_else(lacking)?;
        let optimizer =
            OptimizerRecord::from_bytes(optimizer).map_err(|error| bad(error.to_string()))?;
        let average = match self.setup.config.ema {
            0.0 => None,
            decay => {
                let record = checkpoint.take(AVERAGE).ok_or_else(lacking)?;
                Some(Average::new(decay, &load(record)?))
            }
        };
        let memory =
            checkpoint.take(MEMORY).map(|bytes| unpack(bytes.to_vec(), self.setup.config.memory));
        let memory = memory.transpose().map_err(bad)?;
        let learned = Learned {
            encoder,
            optimizer: self.setup.optimizer()?.load_record(optimizer),
            average,
            best_weights: checkpoint.take(KEPT),
            memory,
        };
        Ok(Restored { state: State { threads: now, ..state }, learned })
    }

    pub(super) fn take_up(&mut self, Restored { state, learned }: Restored) {
        self.state = state;
        self.learned = learned;
    }

    /// Applies the larger number of steps that was requested when the run was resumed.
    pub(super) fn extend(&mut self) -> Result<(), TrainError> {
        let Some(before) = self.setup.folder.extended() else { return Ok(()) };
        let done = self.state.step;
        if self.setup.config.steps <= done {
            return Err(TrainError::NothingToAdd { done });
        }
        // If the run had ended because its patience was exhausted, counting starts again from here.
        if let Some(best) = &mut self.state.best {
            best.without_gain = 0;
        }
        self.setup.report(Event::Warning(format!(
            "{} steps instead of {before}: from step {} on, learning rate, evaluations and other shares of the steps are those of a run of {0} steps",
            self.setup.config.steps,
            done + 1
        )));
        Ok(())
    }

    pub(super) fn checkpoint(&mut self) -> Result<(), TrainError> {
        // The step at which a run happens to be interrupted must not decide to which checkpoint it
        // returns after a collapse; only regular checkpoints count.
        let step = self.state.step;
        if step.is_multiple_of(self.setup.config.checkpoint_every) && self.state.watch.is_at_ease()
        {
            self.state.good = Some(step);
        }
        self.save(&self.learned.encoder, &self.state)?;
        self.setup.report(Event::Checkpoint { step: self.state.step });
        Ok(())
    }

    /// Writes a checkpoint of the given network and state, and of everything else as it is now.
    pub(super) fn save(&self, encoder: &Encoder, state: &State) -> Result<(), TrainError> {
        if !self.setup.folder.is_ours() {
            return Ok(()); // a run that is only planned writes nothing
        }
        let bad = |error| self.unwritten(error);
        let mut records = BTreeMap::new();
        records.insert(ENCODER.to_owned(), weights(encoder).map_err(bad)?);
        let optimizer = self.learned.optimizer.to_record().into_bytes();
        records.insert(OPTIMIZER.to_owned(), optimizer.map_err(|error| bad(error.to_string()))?);
        if let Some(average) = &self.learned.average {
            records.insert(AVERAGE.to_owned(), weights(average.network()).map_err(bad)?);
        }
        if let Some(kept) = &self.learned.best_weights {
            records.insert(KEPT.to_owned(), kept.clone());
        }
        if let Some(memory) = &self.learned.memory {
            let memory = pack(memory).map_err(bad)?;
            records.insert(MEMORY.to_owned(), Record::from_bytes_vec(memory));
        }
        let config = self.setup.folder.config_text(self.setup.config)?.into_bytes();
        records.insert(CONFIG_COPY.to_owned(), Record::from_bytes_vec(config));
        Checkpoint { state: state.clone(), records }.write(&self.setup.folder.checkpoints())?;
        Ok(())
    }

    /// The network that becomes the model, and the number of steps after which its weights were
    /// taken.
    pub(super) fn chosen(&self, before: &Before) -> Result<(Encoder, u64), TrainError> {
        let (Some(kept), Some(best)) = (&self.learned.best_weights, self.state.best) else {
            return Ok((self.learned.evaluated_network().clone(), self.state.step));
        };
        if self.setup.config.keep == Keep::Auto
            && let Some(start) = self.value_before_training(before)?
            && start as f32 > best.value
        {
            return Ok((self.setup.fresh_encoder()?, 0));
        }
        let bad =
            |reason: String| TrainError::BadRun { path: self.setup.folder.checkpoints(), reason };
        let record =
            ModuleRecord::from_bytes(kept.clone()).map_err(|error| bad(error.to_string()))?;
        let encoder = self
            .setup
            .fresh_encoder()?
            .try_load_record(record)
            .map_err(|error| bad(error.to_string()))?;
        Ok((encoder, best.step))
    }

    /// The monitored figure of the network before its first step.
    fn value_before_training(&self, before: &Before) -> Result<Option<f64>, TrainError> {
        let monitor = self.setup.config.monitor;
        if self.judged_on() == JudgedOn::Holdout {
            return Ok(before.untrained.as_ref().map(|untrained| monitor.of(untrained)));
        }
        let untrained = self.setup.fresh_encoder()?;
        Ok(self.evaluate_during(&untrained)?.map(|untrained| monitor.of(&untrained)))
    }

    fn unwritten(&self, reason: String) -> TrainError {
        TrainError::BadRun { path: self.setup.folder.checkpoints(), reason }
    }
}

/// The names of the records of a checkpoint.
const ENCODER: &str = "encoder.bpk";
const OPTIMIZER: &str = "optimizer.bpk";
const AVERAGE: &str = "average.bpk";
const KEPT: &str = "kept.bpk";
const MEMORY: &str = "memory.safetensors";

fn weights(encoder: &Encoder) -> Result<Record, String> {
    // Batch norm buffers its newest running statistics until they are next read, and writing a
    // record does not read them. `valid` reads them, also for all clones that share them.
    encoder.valid();
    encoder.clone().into_record().into_bytes().map_err(|error| error.to_string())
}
