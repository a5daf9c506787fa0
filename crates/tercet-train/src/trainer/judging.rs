//! The network on the held-out classes: before, along the way, and at the end.

use std::ops::ControlFlow;

use burn::module::Module;
use ndarray::Array2;
use tercet::{Metric, Retrieval};

use super::prepared::Prepared;
use super::{Before, Event, JudgedLine, Line, TrainError, Trainer, fresh};
use crate::encoder::Encoder;
use crate::model::{embed, input_shape};
use crate::views::Views;

impl Trainer<'_> {
    pub(super) fn has_holdout(&self) -> bool {
        !self.prepared.split.holdout.is_empty()
    }

    pub(super) fn embed_holdout(&self, encoder: &Encoder) -> Result<Array2<f32>, TrainError> {
        let Prepared { pixels, split, .. } = &self.prepared;
        let shape = input_shape(pixels.preprocessing());
        Ok(embed(
            &encoder.valid(),
            shape,
            pixels,
            &split.holdout,
            Views::Single,
            &self.plain,
            &|_| ControlFlow::Continue(()),
        )?)
    }

    /// Raw pixels and the network as it was before its first step.
    pub(super) fn judge_baselines(&self) -> Result<Before, TrainError> {
        if !self.has_holdout() {
            return Ok(Before::default());
        }
        let pixels = self.prepared.pixels.matrix(&self.prepared.split.holdout)?;
        let pixels = Retrieval::leave_one_out(pixels.view(), &self.holdout, Metric::default())?;
        self.tell(Event::Baseline("pixels", &pixels));
        let untrained = self.embed_holdout(&fresh(self.config, &self.prepared, &self.learning)?)?;
        let untrained = Retrieval::leave_one_out(untrained.view(), &self.holdout, self.metric)?;
        self.tell(Event::Baseline("untrained", &untrained));
        Ok(Before { pixels: Some(pixels), untrained: Some(untrained) })
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
