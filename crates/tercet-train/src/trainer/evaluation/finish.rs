//! What follows the last step: the final evaluation, the model file and the report.

use std::collections::BTreeMap;

use ndarray::{Array2, s};
use serde::Serialize;
use tercet::{OpenSet, Retrieval};

use super::findings::{Before, Collapse};
use super::outcome::Trained;
use super::verdict::{Findings, Verdict};
use crate::data::Input;
use crate::judgement::{Judgement, open_set};
use crate::model::{BackboneCard, Model, ModelCard, ModelError, Provenance};
use crate::sharing::hide_folders;
use crate::trainer::compatible::Compatibility;
use crate::trainer::counts::Count;
use crate::trainer::setup::Setup;
use crate::trainer::{TrainConfig, TrainError, Trainer};

impl Trainer<'_> {
    pub(in crate::trainer) fn finish(self, before: Before) -> Result<Trained, TrainError> {
        let (encoder, kept_step) = self.chosen(&before)?;
        let mut after = None;
        if self.has_holdout() {
            let embeddings = self.embed_items(&encoder, &self.setup.prepared.split.holdout)?;
            let judged = Judgement::new(
                embeddings.view(),
                &self.setup.holdout,
                self.setup.metric,
                self.setup.config.seed,
            )?;
            after = Some((judged, embeddings));
        }
        let after_by_dimensions = match &after {
            Some((_, embeddings)) => self.by_dimensions(embeddings)?,
            None => BTreeMap::new(),
        };
        let collapse = Collapse {
            condition: self.state.watch.condition(),
            longest_wait: self.state.watch.longest(),
            softened: self.state.softened.clone(),
        };

        let verdict = Verdict::of(&Findings {
            config: self.setup.config,
            before: &before,
            after: after.as_ref().map(|(judged, _)| &judged.retrieval),
            labels: &self.setup.holdout,
            collapse: &collapse,
            kept_step,
            classes: self.setup.prepared.examples.catalogue().labels.class_count(),
        })?;

        let mut compatible = None;
        if let Some(old) = &self.setup.prepared.compatible {
            let measured = match &after {
                None => None,
                Some((_, new)) => Some(old.measure(
                    new.view(),
                    &self.setup.prepared.split.holdout,
                    &self.setup.holdout,
                    self.setup.metric,
                    self.setup.config.seed,
                )?),
            };
            let (model, with) = (old.path().to_owned(), old.with.clone());
            compatible = Some(Compatibility { model, with, measured });
        }

        let mut results = serde_json::json!({
            "before": json(&before)?,
            "after": json(&after.as_ref().map(|(judged, _)| judged))?,
            "after_by_dimensions": json(&after_by_dimensions)?,
            "kept_step": kept_step,
            "collapse": json(&collapse)?,
        });
        if let (Some(compatible), Some(results)) = (&compatible, results.as_object_mut()) {
            results.insert("compatible".to_owned(), json(&compatible.measured)?);
        }
        let open_set = match &after {
            Some((_, embeddings)) => open_set(
                embeddings.view(),
                &self.setup.holdout,
                self.setup.metric,
                self.setup.config.seed,
            )?,
            None => None,
        };
        let card = self.card(results, after.as_ref().map(|(judged, _)| judged), open_set)?;
        let files = self.setup.prepared.backbone.as_ref().map(|opened| &opened.files);
        Model::save_with(&card, &encoder, files, &self.setup.folder.model_file())?;
        if let Some(out) = &self.setup.config.out {
            Model::save_with(&card, &encoder, files, out)?;
        }
        let mut trained = Trained {
            model: self.setup.config.out.clone().unwrap_or_else(|| self.setup.folder.model_file()),
            run: self.setup.folder.path().to_owned(),
            source: self.setup.prepared.examples.catalogue().source.clone(),
            steps: self.state.step,
            stopped_early: self.state.step < self.setup.config.steps,
            kept_step,
            best: self.state.best,
            monitor: self.setup.config.monitor,
            collapse,
            seconds: self.setup.began.elapsed().as_secs_f64(),
            seed: self.setup.config.seed,
            objective: self.setup.config.objective_name(),
            encoder: self.setup.config.encoder.clone(),
            parameters: self.learned.encoder.parameters(),
            train: Count::of(&self.setup.prepared.labels(&self.setup.prepared.split.train)),
            validation: Count::of(
                &self.setup.prepared.labels(&self.setup.prepared.split.validation),
            ),
            holdout: Count::of(&self.setup.holdout),
            before,
            after: None,
            after_by_dimensions,
            compatible,
            verdict,
            chunk: self.state.chunk,
            work: self.state.work,
            skipped: self.setup.prepared.skipped.clone(),
        };
        let (judged, embeddings) = after.unzip();
        trained.after = judged;
        self.write_report(&trained, embeddings)?;
        trained.seconds = self.setup.began.elapsed().as_secs_f64();
        Ok(trained)
    }

    /// Retrieval with each prefix of the embeddings that was trained too.
    fn by_dimensions(
        &self,
        embeddings: &Array2<f32>,
    ) -> Result<BTreeMap<usize, Retrieval>, TrainError> {
        let Setup { config, holdout, metric, .. } = &self.setup;
        let prefixes = config.matryoshka.iter();
        prefixes
            .map(|&prefix| {
                let part = embeddings.slice(s![.., ..prefix]);
                Ok((prefix, Retrieval::leave_one_out(part, holdout, *metric)?))
            })
            .collect()
    }

    /// The metadata of the model file. It contains nothing about this machine or the time, so that
    /// equal runs write equal bytes.
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
            augment: Some(self.setup.config.augmentation()?),
            ..self.setup.config.clone()
        })?;
        hide_folders(&mut config);
        let backbone = self.backbone();
        let verification = after.and_then(|after| after.verification.as_ref());
        Ok(ModelCard {
            format: ModelCard::format(backbone.is_some()),
            encoder: self.setup.config.encoder_config()?,
            preprocessing: self.preprocessing(),
            backbone,
            distance: self.setup.metric.distance,
            normalized: self.setup.metric.normalize,
            matryoshka: self.setup.config.matryoshka.clone(),
            threshold: verification.map(|judged| f64::from(judged.threshold)),
            thresholds: after
                .map(|after| {
                    after.thresholds().map(|(far, t)| (far.to_owned(), f64::from(t))).collect()
                })
                .unwrap_or_default(),
            calibration: after.and_then(Judgement::calibration),
            open_set,
            compatible: self.setup.prepared.compatible.as_ref().map(|old| old.with.clone()),
            provenance: Provenance {
                tercet: env!("CARGO_PKG_VERSION").to_owned(),
                config,
                seed: self.setup.config.seed,
                held_out: self.setup.prepared.held_out(),
                data: self.setup.prepared.fingerprint.clone(),
                results,
            },
        })
    }
}

impl Trainer<'_> {
    /// How items enter the model.
    fn preprocessing(&self) -> Input {
        match &self.setup.prepared.backbone {
            Some(opened) => opened.backbone.input().clone(),
            None => self.setup.prepared.examples.input(),
        }
    }

    /// What the model file says about the backbone, if there is one.
    fn backbone(&self) -> Option<BackboneCard> {
        let opened = self.setup.prepared.backbone.as_ref()?;
        let Input::Vectors(vectors) = self.setup.prepared.examples.input() else { return None };
        let path = self.setup.config.backbone.as_deref()?;
        Some(BackboneCard::new(path, &*opened.backbone, vectors))
    }
}

fn json(value: &impl Serialize) -> Result<serde_json::Value, TrainError> {
    serde_json::to_value(value).map_err(|error| ModelError::Collect(error.to_string()).into())
}
