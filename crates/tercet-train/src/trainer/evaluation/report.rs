//! The contents of a run's `report.html`.

mod examples;

use ndarray::Array2;
use tercet::{Percentiles, Retrieval};
use tercet_report::{Judged, Measured, TrainingReport};

use super::outcome::Trained;
use super::verdict::Notation;
use crate::data::{Input, Preprocessing, Standardization, TextInput};
use crate::files::write_atomically;
use crate::judgement::{self, Judgement};
use crate::sharing::{now, source_name};
use crate::trainer::collapse::{Condition, REMEDY};
use crate::trainer::counts::{Count, Work};
use crate::trainer::run_folder::{JudgedOn, Line};
use crate::trainer::settings::Keep;
use crate::trainer::{TrainError, Trainer};

impl Trainer<'_> {
    pub(in crate::trainer) fn write_report(
        &self,
        trained: &Trained,
        embeddings: Option<Array2<f32>>,
    ) -> Result<(), TrainError> {
        let mut report = TrainingReport {
            title: format!("{} · {}", source_name(&trained.source), trained.objective),
            verdict: capitalised(&trained.verdict.sentence(Notation::Points)) + ".",
            summary: self.facts(trained)?,
            notes: self.notes(trained),
            ..TrainingReport::default()
        };
        self.add_history(&mut report, trained)?;
        report.judged.extend(trained.before.raw().map(|(name, raw)| judged(name, raw)));
        for (name, retrieval) in [
            ("untrained", trained.before.untrained.as_ref()),
            ("trained", trained.after.as_ref().map(|after| &after.retrieval)),
        ] {
            report.judged.extend(retrieval.map(|retrieval| judged(name, retrieval)));
        }
        if let (Some(after), Some(embeddings)) = (&trained.after, embeddings) {
            self.add_histograms(&mut report, after)?;
            add_verification(&mut report, after);
            if let Some(pixels) = self.setup.prepared.examples.pixels() {
                report.strips = self.strips(pixels, after, embeddings.view())?;
            }
            report.confused = self.confused(after, embeddings.view())?;
        }
        let page = report.to_html().map_err(|error| TrainError::Report(error.to_string()))?;
        Ok(write_atomically(&self.setup.folder.report_file(), page.as_bytes())?)
    }

    fn facts(&self, trained: &Trained) -> Result<Vec<(String, String)>, TrainError> {
        let config = self.setup.config;
        let loss = self.phase.objective;
        let name = config.objective.to_string();
        let objective =
            if trained.objective == name { format!("{name}: {loss}") } else { loss.to_string() };
        let input = match self.setup.prepared.examples.input() {
            Input::Images(Preprocessing { width, height, channels, .. }) => (
                "images",
                format!(
                    "{height} high, {width} wide, {}",
                    if channels == 1 { "grey" } else { "RGB" }
                ),
            ),
            Input::Vectors(Standardization { dimensions, mean, .. }) => (
                "vectors",
                format!(
                    "{dimensions} components, {}",
                    if mean.is_empty() { "as they are" } else { "standardised" }
                ),
            ),
            Input::Texts(TextInput { max_tokens, .. }) => {
                ("texts", format!("at most {max_tokens} tokens"))
            }
        };
        let count = |count: &Count| format!("{} classes, {} items", count.classes, count.items);
        Ok([
            ("date", now()),
            ("command", config.command()),
            ("source", source_name(&trained.source)),
            ("trained on", count(&trained.train)),
            ("evaluated on", count(&trained.holdout)),
            input,
            ("encoder", format!("{}, {} parameters", trained.encoder, trained.parameters)),
            ("embedding", format!("{} dimensions, {} distance", self.dimensions()?, loss.metric())),
            ("objective", objective),
            ("batch", self.batches()),
            ("items with a gradient", backward(trained.work)),
            ("steps", steps(trained)),
            ("learning rate", config.learning_schedule().describe()),
            ("optimiser", config.optimizer_config().describe()),
            ("weights", self.weights(trained)),
            ("collapse watch", collapse(trained)),
            ("seed", trained.seed.to_string()),
            ("duration", format!("{:.0} s", trained.seconds)),
            ("data fingerprint", self.setup.prepared.fingerprint.clone()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into())
    }

    /// The number of components of an embedding.
    fn dimensions(&self) -> Result<usize, TrainError> {
        let shape = self.setup.prepared.examples.input().shape();
        Ok(self.setup.config.encoder_config()?.embedding_dim(shape))
    }

    /// How the batches are composed, in words.
    fn batches(&self) -> String {
        let mut text = match self.setup.config.pool {
            None => self.phase.sampler.to_string(),
            Some(_) => format!(
                "the {} with the largest gradient of {}",
                self.phase.batch, self.phase.sampler
            ),
        };
        if let Some(chunk) = self.state.chunk {
            text += &format!(", {chunk} items through the network at once");
        }
        if self.setup.config.memory > 0 {
            let (memory, start) = (self.setup.config.memory, self.setup.config.memory_start());
            text += &format!(", with {memory} past embeddings from step {start} on");
        }
        text
    }

    fn notes(&self, trained: &Trained) -> Vec<String> {
        let mut notes = self.choices(trained);
        notes.extend([
            "Evaluated by leave-one-out: each held-out item queries all others and is never its own match. No held-out class was seen in training.".to_owned(),
            "Ties in distance count with their expected value over all orderings. Intervals are 95 % bootstrap intervals over classes.".to_owned(),
            "Verification uses as many same as different pairs, in folds that share no class; a pair is the same below the threshold chosen on the other folds.".to_owned(),
        ]);
        if let Some(after) =
            trained.after.as_ref().filter(|after| after.retrieval.skipped_queries > 0)
        {
            notes.push(format!(
                "{} held-out items are the only ones of their class: they are no queries.",
                after.retrieval.skipped_queries
            ));
        }
        notes.extend(
            trained.skipped.iter().map(|bad| format!("left out: {}: {}", bad.id, bad.reason)),
        );
        notes
    }

    /// Notes on how the model's weights were chosen, and on collapses.
    fn choices(&self, trained: &Trained) -> Vec<String> {
        let mut notes = Vec::new();
        let config = self.setup.config;
        let chosen = trained.kept_step != trained.steps || trained.stopped_early;
        let chosen = chosen || config.keep == Keep::Best || config.patience > 0;
        if chosen && self.judged_on() == JudgedOn::Holdout {
            notes.push("The weights or the last step were chosen by the same held-out classes that the figures are computed on, which makes the figures a little too good. Validation classes (`--validation 0.1`) avoid that.".to_owned());
        }
        for softening in &trained.collapse.softened {
            notes.push(format!(
                "The run collapsed (noticed at step {}): it returned to step {} and continued with {}. The curves show the continued run.",
                softening.noticed, softening.back_to, softening.easing
            ));
        }
        if let Condition::Collapsed { since } = trained.collapse.condition {
            notes.push(format!(
                "The run collapsed at step {since}: all embeddings became equal. {}",
                REMEDY
            ));
        }
        notes
    }

    fn weights(&self, trained: &Trained) -> String {
        let mut text = match trained.kept_step {
            0 => format!("those before training, the best by {}", trained.monitor),
            step if step == trained.steps => format!("after step {step}, the last"),
            step => format!("after step {step}, the best by {}", trained.monitor),
        };
        if self.setup.config.ema > 0.0 {
            text += &format!(", averaged with decay {}", self.setup.config.ema);
        }
        text
    }

    fn add_history(
        &self,
        report: &mut TrainingReport,
        trained: &Trained,
    ) -> Result<(), TrainError> {
        // The baseline is part of the curves only if it was evaluated on the same classes.
        if self.judged_on() == JudgedOn::Validation {
            report.judged_on = "Validation classes".to_owned();
        }
        let untrained = trained.before.untrained.as_ref();
        if let Some(untrained) = untrained.filter(|_| self.judged_on() == JudgedOn::Holdout) {
            report.recall_at_1.extend(untrained.recall_at(1).map(|recall| (0, recall)));
            report.map_at_r.push((0, untrained.map_at_r));
        }
        for line in self.setup.folder.lines()? {
            match line {
                Line::Step(line) => {
                    report.loss.push((line.step, line.loss));
                    report.learning_rate.push((line.step, line.learning_rate));
                    report.active_share.push((line.step, line.active));
                    report.violated_share.push((line.step, line.violated));
                    let five = |p: Percentiles| [p.p0, p.p5, p.p50, p.p95, p.p100];
                    report.norms.extend(line.norm.map(|norm| (line.step, five(norm))));
                    report.distances.extend(line.distance.map(|d| (line.step, five(d))));
                }
                Line::Collapse(_) => {} // part of the notes
                Line::Judged(line) => {
                    report.recall_at_1.push((line.step, line.recall_at_1));
                    report.map_at_r.push((line.step, line.map_at_r));
                }
            }
        }
        Ok(())
    }

    /// Histograms of the distances of the same pairs before and after training, each in its own
    /// unit.
    fn add_histograms(
        &self,
        report: &mut TrainingReport,
        after: &Judgement,
    ) -> Result<(), TrainError> {
        let raw = self.setup.prepared.examples.matrix(&self.setup.prepared.split.holdout)?;
        let before = judgement::pairs(
            raw.view(),
            &self.setup.holdout,
            self.raw_metric(),
            self.setup.config.seed,
        )?;
        report.histograms = [(self.raw_name(), &before), ("trained", &after.pairs)]
            .into_iter()
            .filter(|(_, pairs)| !pairs.is_empty())
            .map(|(name, pairs)| judgement::histogram(name, pairs))
            .collect();
        report.threshold =
            after.verification.as_ref().map(|verification| f64::from(verification.threshold));
        Ok(())
    }
}

/// The sentence with its first letter in upper case.
fn capitalised(sentence: &str) -> String {
    let mut letters = sentence.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

fn steps(trained: &Trained) -> String {
    match (trained.stopped_early, trained.best) {
        (true, Some(best)) => format!(
            "{}, stopped early: {} evaluations without a better {} than at step {}",
            trained.steps, best.without_gain, trained.monitor, best.step
        ),
        _ => trained.steps.to_string(),
    }
}

fn collapse(trained: &Trained) -> String {
    let collapse = &trained.collapse;
    let mut text = collapse.condition.to_string();
    if collapse.longest_wait > 0 {
        text += &format!("; longest time at the collapse value {} steps", collapse.longest_wait);
    }
    for softening in &collapse.softened {
        text += &format!("; softened at step {}: {}", softening.noticed, softening.easing);
    }
    text
}

fn backward(work: Work) -> String {
    format!(
        "{:.1} % of {} items; {} had none and were embedded only",
        100.0 * work.share(),
        work.items,
        work.items - work.backward
    )
}

fn judged(name: &str, retrieval: &Retrieval) -> Judged {
    let with = |value, interval| Measured { value, interval: Some(interval) };
    let ci95 = &retrieval.ci95;
    Judged {
        name: name.to_owned(),
        recall_at_1: with(retrieval.recall_at(1).unwrap_or(f64::NAN), ci95.recall_at_1),
        recall_at_5: Measured { value: retrieval.recall_at(5).unwrap_or(f64::NAN), interval: None },
        r_precision: with(retrieval.r_precision, ci95.r_precision),
        map_at_r: with(retrieval.map_at_r, ci95.map_at_r),
        map: with(retrieval.map, ci95.map),
        mrr: with(retrieval.mrr, ci95.mrr),
    }
}

fn add_verification(report: &mut TrainingReport, after: &Judgement) {
    let Some(judged) = &after.verification else { return };
    let mut add = |name: String, value: String| report.verification.push((name, value));
    let percent = |share: f64| format!("{:.1} %", 100.0 * share);
    let within = |mean: f64, std: f64| format!("{:.1} ± {:.1} %", 100.0 * mean, 100.0 * std);
    add("accuracy".into(), within(judged.accuracy.mean, judged.accuracy.std));
    add("AUC".into(), percent(judged.auc));
    add("equal error rate".into(), percent(judged.eer));
    for (far, val) in judged.val_at_far.iter().rev() {
        add(format!("VAL at {}", false_accepts(far)), within(val.val, val.std));
    }
    add("threshold (distance)".into(), format!("{:.4}", judged.threshold));
    add("pairs".into(), judged.pairs.to_string());
}

/// A false accept rate in words: `0.001` becomes `false accepts of 1 in 1,000`.
fn false_accepts(far: &str) -> String {
    match far {
        "0.1" => "false accepts of 1 in 10".to_owned(),
        "0.01" => "false accepts of 1 in 100".to_owned(),
        "0.001" => "false accepts of 1 in 1,000".to_owned(),
        other => format!("FAR {other}"),
    }
}
