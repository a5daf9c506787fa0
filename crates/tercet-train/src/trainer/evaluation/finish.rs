//! After the last step: evaluation, model, report.

use serde::Serialize;
use tercet::OpenSet;

use super::findings::{Before, Collapse};
use super::outcome::Trained;
use super::verdict::{Findings, Verdict};
use crate::judgement::{Judgement, open_set};
use crate::model::{FORMAT, Model, ModelCard, ModelError, Provenance};
use crate::sharing::hide_folders;
use crate::trainer::counts::Count;
use crate::trainer::{TrainConfig, TrainError, Trainer};

impl Trainer<'_> {
    pub(in crate::trainer) fn finish(self, before: Before) -> Result<Trained, TrainError> {
        let (encoder, kept_step) = self.chosen(&before)?;
        let mut after = None;
        if self.has_holdout() {
            let embeddings = self.embed_items(&encoder, &self.prepared.split.holdout)?;
            let judged =
                Judgement::new(embeddings.view(), &self.holdout, self.metric, self.config.seed)?;
            after = Some((judged, embeddings));
        }
        let collapse = Collapse {
            condition: self.state.watch.condition(),
            longest_wait: self.state.watch.longest(),
            softened: self.state.softened.clone(),
        };

        let verdict = Verdict::of(&Findings {
            config: self.config,
            before: &before,
            after: after.as_ref().map(|(judged, _)| &judged.retrieval),
            labels: &self.holdout,
            collapse: &collapse,
            kept_step,
            classes: self.prepared.examples.catalogue().labels.class_count(),
        })?;

        let results = serde_json::json!({
            "before": json(&before)?,
            "after": json(&after.as_ref().map(|(judged, _)| judged))?,
            "kept_step": kept_step,
            "collapse": json(&collapse)?,
        });
        let open_set = match &after {
            Some((_, embeddings)) => {
                open_set(embeddings.view(), &self.holdout, self.metric, self.config.seed)?
            }
            None => None,
        };
        let card = self.card(results, after.as_ref().map(|(judged, _)| judged), open_set)?;
        Model::save(&card, &encoder, &self.run.model_file())?;
        if let Some(out) = &self.config.out {
            Model::save(&card, &encoder, out)?;
        }
        let mut trained = Trained {
            model: self.config.out.clone().unwrap_or_else(|| self.run.model_file()),
            run: self.run.path().to_owned(),
            source: self.prepared.examples.catalogue().source.clone(),
            steps: self.state.step,
            stopped_early: self.state.step < self.config.steps,
            kept_step,
            best: self.state.best,
            monitor: self.config.monitor,
            collapse,
            seconds: self.began.elapsed().as_secs_f64(),
            seed: self.config.seed,
            objective: self.config.objective_name(),
            encoder: self.config.encoder.clone(),
            parameters: self.encoder.parameters(),
            train: Count::of(&self.prepared.labels(&self.prepared.split.train)),
            validation: Count::of(&self.prepared.labels(&self.prepared.split.validation)),
            holdout: Count::of(&self.holdout),
            before,
            after: None,
            verdict,
            chunk: self.state.chunk,
            work: self.state.work,
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
    fn card(
        &self,
        results: serde_json::Value,
        after: Option<&Judgement>,
        open_set: Option<OpenSet>,
    ) -> Result<ModelCard, TrainError> {
        let mut config = json(&TrainConfig {
            out: None,
            threads: 0,
            cache_limit: TrainConfig::default().cache_limit,
            augment: Some(self.config.augmentation()?),
            ..self.config.clone()
        })?;
        hide_folders(&mut config);
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
            calibration: after.and_then(Judgement::calibration),
            open_set,
            provenance: Provenance {
                tercet: env!("CARGO_PKG_VERSION").to_owned(),
                config,
                seed: self.config.seed,
                held_out: self.prepared.held_out(),
                data: self.prepared.fingerprint.clone(),
                results,
            },
        })
    }
}

fn json(value: &impl Serialize) -> Result<serde_json::Value, TrainError> {
    serde_json::to_value(value).map_err(|error| ModelError::Collect(error.to_string()).into())
}
