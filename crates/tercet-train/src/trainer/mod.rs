//! Training: step, schedule, monitor, checkpoint; from a configuration to a judged model.

mod checkpoint;
mod config;
mod error;
mod loader;
mod monitor;
mod outcome;
mod report;
mod run;
mod watch;

pub use config::{BatchShape, ConfigError, ImageSize, Margin, TrainConfig};
pub use error::TrainError;
pub use monitor::{JudgedLine, Line, StepLine};
pub use outcome::{Before, Count, Ended, Trained};
pub use run::RunFolder;
pub use watch::{Event, Surroundings};

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use burn::module::Module;
use burn::optim::{AdamConfig, GradientsParams, ModuleOptimizer};
use burn::tensor::{Device, Tensor, TensorData};
use ndarray::{Array2, ArrayView2};
use serde::Serialize;
use tercet::{Census, Labels, Metric, Percentiles, PkSampler, Retrieval};

use crate::data::{BadItem, DataError, Examples, PrepareOptions, Source, Split};
use crate::encoder::Encoder;
use crate::judgement::Judgement;
use crate::model::{FORMAT, Model, ModelCard, ModelError, Provenance, embed, images, values};
use crate::views::Views;
use checkpoint::{Checkpoint, State};
use loader::{Batch, Loader};

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

/// The data of a run, checked, decoded and split.
struct Prepared {
    examples: Arc<Examples>,
    split: Split,
    skipped: Vec<BadItem>,
    fingerprint: String,
}

impl Prepared {
    /// None if interrupted.
    fn new(config: &TrainConfig, around: &Surroundings) -> Result<Option<Self>, TrainError> {
        let source: Source = config.source.parse()?;
        let catalogue = source.catalogue()?.training()?;
        // Batches that the classes cannot give are told before the images are decoded.
        let split = config.split(&catalogue.labels)?;
        sampler(config, &catalogue.labels.select(&split.train))?;
        for problem in &catalogue.problems {
            (around.watch)(Event::Warning(problem.clone()));
        }
        let options = PrepareOptions {
            skip_bad: config.skip_bad,
            interrupted: Some(around.stop),
            ..PrepareOptions::default()
        };
        let progress = |done, total| (around.watch)(Event::Preparing { done, total });
        let input = config.input(&source, &catalogue)?;
        let prepared = Examples::prepare(catalogue, &input, &options, &progress);
        let (examples, skipped) = match prepared {
            Err(DataError::Interrupted) => return Ok(None),
            prepared => prepared?,
        };
        if !skipped.is_empty() {
            (around.watch)(Event::Skipped(&skipped));
        }
        let split = config.split(&examples.catalogue().labels)?;
        let examples = Arc::new(match examples {
            Examples::Images(pixels) => {
                let (mean, std) = pixels.channel_statistics(&split.train)?;
                Examples::Images(pixels.with_statistics(mean, std)?)
            }
            Examples::Vectors(vectors) if config.standardize => {
                Examples::Vectors(vectors.standardized(&split.train)?)
            }
            vectors => vectors,
        });
        let fingerprint = examples.catalogue().fingerprint();
        Ok(Some(Self { examples, split, skipped, fingerprint }))
    }

    /// Mean and standard deviation of the channels, which tell changed pixels under equal names.
    fn statistics(&self) -> Vec<f32> {
        let input = self.examples.input();
        let (mean, std) = input.statistics();
        [mean, std].concat()
    }

    /// The names of the classes kept apart.
    fn held_out(&self) -> Vec<String> {
        let labels = self.labels(&self.split.holdout);
        (0..labels.class_count() as u32).map(|class| labels.name(class).to_owned()).collect()
    }

    fn labels(&self, items: &[u32]) -> Labels {
        self.examples.catalogue().labels.select(items)
    }
}

struct Trainer<'a> {
    config: &'a TrainConfig,
    run: &'a RunFolder,
    around: &'a Surroundings<'a>,
    prepared: Prepared,
    holdout: Labels,
    sampler: Arc<PkSampler>,
    metric: Metric,
    /// For networks that learn.
    learning: Device,
    /// For networks that only embed.
    plain: Device,
    encoder: Encoder,
    optimizer: ModuleOptimizer,
    /// Steps done.
    step: u64,
    began: Instant,
}

impl<'a> Trainer<'a> {
    fn new(
        config: &'a TrainConfig,
        run: &'a RunFolder,
        prepared: Prepared,
        around: &'a Surroundings<'a>,
        began: Instant,
    ) -> Result<Self, TrainError> {
        let sampler = sampler(config, &prepared.labels(&prepared.split.train))?;
        for (count, what) in [
            (sampler.left_out(), "with a single item cannot be trained on and are left out"),
            (sampler.repeating(), "with fewer items than K repeat items within a batch"),
        ] {
            if count > 0 {
                (around.watch)(Event::Warning(format!("{count} classes {what}")));
            }
        }
        let plain = Device::flex();
        let learning = plain.clone().autodiff();
        let encoder = fresh(config, &prepared, &learning)?;
        let holdout = prepared.labels(&prepared.split.holdout);
        let mut trainer = Self {
            config,
            run,
            around,
            holdout,
            sampler: Arc::new(sampler),
            metric: config.loss().metric(),
            learning,
            plain,
            encoder,
            optimizer: adam(),
            step: 0,
            began,
            prepared,
        };
        let warn = |text| (around.watch)(Event::Warning(text));
        if let Some(restored) = run.restore_newest(|found| trainer.restored(found), &warn)? {
            (trainer.step, trainer.encoder, trainer.optimizer) = restored;
        }
        Ok(trainer)
    }

    /// Steps, network and optimiser of a checkpoint.
    fn restored(
        &self,
        checkpoint: Checkpoint,
    ) -> Result<(u64, Encoder, ModuleOptimizer), TrainError> {
        let State { step, data, statistics, threads } = checkpoint.state.clone();
        if data != self.prepared.fingerprint || statistics != self.prepared.statistics() {
            return Err(TrainError::DataChanged(self.config.source.clone()));
        }
        let now = rayon::current_num_threads();
        if threads != now {
            self.tell(Event::Warning(format!(
                "this run began with {threads} threads and goes on with {now}: the result will differ in rounding (`--threads {threads}` keeps it)"
            )));
        }
        // Loading a record changes running statistics that clones share: load into a network of
        // its own.
        let encoder = fresh(self.config, &self.prepared, &self.learning)?;
        let (encoder, optimizer) = checkpoint
            .restore(encoder, adam())
            .map_err(|reason| TrainError::BadRun { path: self.run.checkpoints(), reason })?;
        Ok((step, encoder, optimizer))
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
        let train: Arc<[u32]> = self.prepared.split.train.clone().into();
        let loader = Loader::new(&self.prepared.examples, &self.sampler, &train, self.step, steps);
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

    /// One step: embed with a graph, evaluate, go back from the surrogate Σ E·G, whose gradient
    /// with respect to E is exactly the objective's G.
    fn train_step(&mut self, batch: Batch, log: bool) -> Result<Option<StepLine>, TrainError> {
        let learning_rate = self.config.learning_rate_at(self.step);
        let labels = self.prepared.labels(&batch.items);
        let shape = self.prepared.examples.input().shape();
        let images = images(batch.values, batch.items.len(), shape, &self.learning);
        let embedded = self.encoder.forward(images);
        let [rows, dimensions] = embedded.dims();
        let numbers = values(embedded.clone().inner())?;
        if numbers.iter().any(|value| !value.is_finite()) {
            return Err(TrainError::Diverged { step: self.step, learning_rate });
        }
        let embeddings = Array2::from_shape_vec((rows, dimensions), numbers)
            .map_err(|error| ModelError::Embed(error.to_string()))?;

        let outcome = self.config.loss().evaluate(embeddings.view(), &labels)?;
        let gradient = TensorData::new(outcome.gradient.into_iter().collect(), [rows, dimensions]);
        let surrogate = (embedded * Tensor::<2>::from_data(gradient, &self.learning)).sum();
        let gradients = GradientsParams::from_grads(surrogate.backward(), &self.encoder);
        let encoder = self.encoder.clone();
        self.encoder = self.optimizer.step(learning_rate, encoder, gradients);
        self.step += 1;

        let census = &outcome.census;
        log.then(|| self.line(outcome.value, census, learning_rate, embeddings.view())).transpose()
    }

    fn line(
        &self,
        loss: f64,
        census: &Census,
        learning_rate: f64,
        embeddings: ArrayView2<f32>,
    ) -> Result<StepLine, TrainError> {
        Ok(StepLine {
            step: self.step,
            loss,
            active: census.active_share(),
            selected: census.selected,
            violated: census.violated as f64 / census.selected.max(1) as f64,
            learning_rate,
            norm: Percentiles::norms(embeddings),
            distance: Percentiles::pairwise_distances(embeddings, self.metric)?,
            items_per_second: 0.0,
        })
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
        };
        Checkpoint::write(&self.run.checkpoints(), &state, &self.encoder, &self.optimizer)?;
        self.tell(Event::Checkpoint { step: self.step });
        Ok(())
    }

    fn has_holdout(&self) -> bool {
        !self.prepared.split.holdout.is_empty()
    }

    fn embed_holdout(&self, encoder: &Encoder) -> Result<Array2<f32>, TrainError> {
        let Prepared { examples, split, .. } = &self.prepared;
        let shape = examples.input().shape();
        Ok(embed(
            &encoder.valid(),
            shape,
            examples,
            &split.holdout,
            Views::Single,
            &self.plain,
            &|_| ControlFlow::Continue(()),
        )?)
    }

    /// Raw pixels or vectors, and the network as it was before its first step.
    fn judge_baselines(&self) -> Result<Before, TrainError> {
        if !self.has_holdout() {
            return Ok(Before::default());
        }
        let raw = self.prepared.examples.matrix(&self.prepared.split.holdout)?;
        let raw = Retrieval::leave_one_out(raw.view(), &self.holdout, self.raw_metric())?;
        self.tell(Event::Baseline(self.raw_name(), &raw));
        let untrained = self.embed_holdout(&self.untrained()?)?;
        let untrained = Retrieval::leave_one_out(untrained.view(), &self.holdout, self.metric)?;
        self.tell(Event::Baseline("untrained", &untrained));
        let (pixels, features) = match *self.prepared.examples {
            Examples::Images(_) => (Some(raw), None),
            Examples::Vectors(_) => (None, Some(raw)),
        };
        Ok(Before { pixels, features, untrained: Some(untrained) })
    }

    /// What the untouched input is called.
    fn raw_name(&self) -> &'static str {
        match *self.prepared.examples {
            Examples::Images(_) => "pixels",
            Examples::Vectors(_) => "features",
        }
    }

    /// How the untouched input is compared: pixels in Euclidean distance, vectors as embeddings are.
    fn raw_metric(&self) -> Metric {
        match *self.prepared.examples {
            Examples::Images(_) => Metric::default(),
            Examples::Vectors(_) => self.metric,
        }
    }

    fn untrained(&self) -> Result<Encoder, TrainError> {
        fresh(self.config, &self.prepared, &self.learning)
    }

    fn judge_along(&self) -> Result<Option<Line>, TrainError> {
        if !self.has_holdout() {
            return Ok(None);
        }
        let embeddings = self.embed_holdout(&self.encoder)?;
        let judged = Retrieval::leave_one_out(embeddings.view(), &self.holdout, self.metric)?;
        Ok(Some(Line::Judged(JudgedLine {
            step: self.step,
            recall_at_1: judged.recall_at(1).unwrap_or_default(),
            map_at_r: judged.map_at_r,
        })))
    }

    fn finish(self, before: Before, mut metrics: run::Metrics) -> Result<Trained, TrainError> {
        let mut after = None;
        if self.has_holdout() {
            let embeddings = self.embed_holdout(&self.encoder)?;
            let judged =
                Judgement::new(embeddings.view(), &self.holdout, self.metric, self.config.seed)?;
            let line = Line::Judged(JudgedLine {
                step: self.step,
                recall_at_1: judged.retrieval.recall_at(1).unwrap_or_default(),
                map_at_r: judged.retrieval.map_at_r,
            });
            metrics.write(&line)?;
            self.tell(Event::Logged(&line));
            after = Some((judged, embeddings));
        }

        let card = self.card(&before, after.as_ref().map(|(judged, _)| judged))?;
        Model::save(&card, &self.encoder, &self.run.model_file())?;
        if let Some(out) = &self.config.out {
            Model::save(&card, &self.encoder, out)?;
        }
        let mut trained = Trained {
            model: self.config.out.clone().unwrap_or_else(|| self.run.model_file()),
            run: self.run.path().to_owned(),
            source: self.prepared.examples.catalogue().source.clone(),
            steps: self.step,
            seconds: self.began.elapsed().as_secs_f64(),
            seed: self.config.seed,
            objective: self.config.objective.to_string(),
            encoder: self.config.encoder.clone(),
            parameters: self.encoder.parameters(),
            train: Count::of(&self.prepared.labels(&self.prepared.split.train)),
            holdout: Count::of(&self.holdout),
            before,
            after: None,
            skipped: self.prepared.skipped.clone(),
        };
        let (judged, embeddings) = after.unzip();
        trained.after = judged;
        self.write_report(&trained, embeddings)?;
        trained.seconds = self.began.elapsed().as_secs_f64();
        Ok(trained)
    }

    /// What the model file says; nothing of this machine or moment, so that equal runs give equal
    /// bytes.
    fn card(&self, before: &Before, after: Option<&Judgement>) -> Result<ModelCard, TrainError> {
        let verification = after.and_then(|after| after.verification.as_ref());
        Ok(ModelCard {
            format: FORMAT,
            encoder: self.config.encoder_config()?,
            preprocessing: self.prepared.examples.input(),
            distance: self.metric.distance,
            normalized: self.metric.normalize,
            threshold: verification.map(|judged| f64::from(judged.threshold)),
            thresholds: after
                .map(|after| {
                    after.thresholds().map(|(far, t)| (far.to_owned(), f64::from(t))).collect()
                })
                .unwrap_or_default(),
            provenance: Provenance {
                tercet: env!("CARGO_PKG_VERSION").to_owned(),
                config: json(&TrainConfig { out: None, threads: 0, ..self.config.clone() })?,
                seed: self.config.seed,
                held_out: self.prepared.held_out(),
                data: self.prepared.fingerprint.clone(),
                results: serde_json::json!({ "before": json(before)?, "after": json(&after)? }),
            },
        })
    }
}

/// Burn's default of 1e-5 for epsilon slows small gradients; 1e-8 is Adam's own.
fn adam() -> ModuleOptimizer {
    AdamConfig::new().with_epsilon(1e-8).init()
}

/// The batches of a run. Without a batch asked for, small data gets as many classes as it has.
fn sampler(config: &TrainConfig, train: &Labels) -> Result<PkSampler, TrainError> {
    let usable = train.class_sizes().into_iter().filter(|&size| size >= 2).count();
    let default = BatchShape::default();
    let shape = config.batch.unwrap_or(BatchShape { p: default.p.min(usable), ..default });
    PkSampler::new(train, shape.p, shape.k, config.seed).map_err(|error| match error {
        error @ tercet::Error::NotEnough { .. } if usable >= 2 => ConfigError {
            key: "batch",
            got: shape.to_string(),
            expected: format!("fewer classes, such as {usable}x{}: {error}", shape.k),
        }
        .into(),
        error => error.into(),
    })
}

fn fresh(
    config: &TrainConfig,
    prepared: &Prepared,
    device: &Device,
) -> Result<Encoder, TrainError> {
    device.seed(config.seed);
    let shape = prepared.examples.input().shape();
    Ok(config.encoder_config()?.init(shape, device)?)
}

fn json(value: &impl Serialize) -> Result<serde_json::Value, TrainError> {
    serde_json::to_value(value).map_err(|error| ModelError::Collect(error.to_string()).into())
}
