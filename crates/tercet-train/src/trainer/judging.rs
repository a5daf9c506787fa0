//! The network on the held-out classes: before, along the way, and at the end.

use std::ops::ControlFlow;

use burn::module::Module;
use ndarray::Array2;
use tercet::{Metric, Retrieval};

use super::prepared::Prepared;
use super::{Before, Event, JudgedLine, Line, TrainError, Trainer, fresh};
use crate::data::Examples;
use crate::encoder::Encoder;
use crate::model::embed;
use crate::views::Views;

impl Trainer<'_> {
    pub(super) fn has_holdout(&self) -> bool {
        !self.prepared.split.holdout.is_empty()
    }

    pub(super) fn embed_holdout(&self, encoder: &Encoder) -> Result<Array2<f32>, TrainError> {
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
    pub(super) fn judge_baselines(&self) -> Result<Before, TrainError> {
        if !self.has_holdout() {
            return Ok(Before::default());
        }
        let raw = self.prepared.examples.matrix(&self.prepared.split.holdout)?;
        let raw = Retrieval::leave_one_out(raw.view(), &self.holdout, self.raw_metric())?;
        self.tell(Event::Baseline(self.raw_name(), &raw));
        let untrained = self.embed_holdout(&fresh(self.config, &self.prepared, &self.learning)?)?;
        let untrained = Retrieval::leave_one_out(untrained.view(), &self.holdout, self.metric)?;
        self.tell(Event::Baseline("untrained", &untrained));
        let (pixels, features) = match *self.prepared.examples {
            Examples::Images(_) => (Some(raw), None),
            Examples::Vectors(_) => (None, Some(raw)),
        };
        Ok(Before { pixels, features, untrained: Some(untrained) })
    }

    /// What the untouched input is called.
    pub(super) fn raw_name(&self) -> &'static str {
        match *self.prepared.examples {
            Examples::Images(_) => "pixels",
            Examples::Vectors(_) => "features",
        }
    }

    /// How the untouched input is compared: pixels in Euclidean distance, vectors as embeddings are.
    pub(super) fn raw_metric(&self) -> Metric {
        match *self.prepared.examples {
            Examples::Images(_) => Metric::default(),
            Examples::Vectors(_) => self.metric,
        }
    }

    pub(super) fn judge_along(&self) -> Result<Option<Line>, TrainError> {
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
}
