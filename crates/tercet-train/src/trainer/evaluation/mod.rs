//! Evaluations of the network on the held-out classes: before training, during it, and at the end.

mod findings;
mod finish;
mod outcome;
mod report;
mod verdict;

use std::ops::ControlFlow;

use burn::module::Module;
use ndarray::Array2;
use tercet::{Metric, Retrieval};

use super::step::has_diverged;
use super::{Event, JudgedOn, TrainError, Trainer};
use crate::data::Examples;
use crate::encoder::Encoder;
use crate::model::{ModelError, embed};
use crate::views::Views;

pub use findings::{Before, Collapse};
pub use outcome::{Ended, Trained};
pub use verdict::{Notation, Verdict};

impl Trainer<'_> {
    pub(super) fn has_holdout(&self) -> bool {
        !self.setup.prepared.split.holdout.is_empty()
    }

    pub(super) fn embed_items(
        &self,
        encoder: &Encoder,
        items: &[u32],
    ) -> Result<Array2<f32>, TrainError> {
        let examples = &self.setup.prepared.examples;
        let shape = examples.input().shape();
        let go_on = |_: usize| -> ControlFlow<()> { ControlFlow::Continue(()) };
        let embedded = embed(
            &encoder.valid(),
            shape,
            examples,
            items,
            Views::Single,
            &self.setup.plain_device,
            &go_on,
        );
        let diverged = match &embedded {
            Ok(embeddings) => has_diverged(embeddings.view()),
            Err(error) => matches!(error, ModelError::Embed(_)),
        };
        match diverged && self.state.step > 0 {
            true => Err(TrainError::Diverged {
                step: self.state.step,
                learning_rate: self.setup.config.learning_rate,
            }),
            false => Ok(embedded?),
        }
    }

    /// Evaluates the baselines: the raw pixels or vectors, and the network before its first step.
    pub(super) fn judge_baselines(&self) -> Result<Before, TrainError> {
        if !self.has_holdout() {
            return Ok(Before::default());
        }
        let raw = self.setup.prepared.examples.matrix(&self.setup.prepared.split.holdout)?;
        let raw = Retrieval::leave_one_out(raw.view(), &self.setup.holdout, self.raw_metric())?;
        self.setup.report(Event::Baseline(self.raw_name(), &raw));
        let untrained = self.setup.fresh_encoder()?;
        let untrained = self.embed_items(&untrained, &self.setup.prepared.split.holdout)?;
        let untrained =
            Retrieval::leave_one_out(untrained.view(), &self.setup.holdout, self.setup.metric)?;
        let name = if self.setup.prepared.start.is_some() { "start" } else { "untrained" };
        self.setup.report(Event::Baseline(name, &untrained));
        let (pixels, features) = match *self.setup.prepared.examples {
            Examples::Images(_) => (Some(raw), None),
            Examples::Vectors(_) | Examples::Texts(_) => (None, Some(raw)),
        };
        Ok(Before { pixels, features, untrained: Some(untrained) })
    }

    /// The name of the raw input.
    pub(super) fn raw_name(&self) -> &'static str {
        match *self.setup.prepared.examples {
            Examples::Images(_) => "pixels",
            Examples::Vectors(_) | Examples::Texts(_) => "features",
        }
    }

    /// The metric of the raw input: Euclidean distance for pixels, the metric of the embeddings for
    /// vectors.
    pub(super) fn raw_metric(&self) -> Metric {
        match *self.setup.prepared.examples {
            Examples::Images(_) => Metric::default(),
            Examples::Vectors(_) | Examples::Texts(_) => self.setup.metric,
        }
    }

    /// The classes that evaluations during the run use.
    pub(super) fn judged_on(&self) -> JudgedOn {
        match self.setup.prepared.split.validation.is_empty() {
            true => JudgedOn::Holdout,
            false => JudgedOn::Validation,
        }
    }

    /// Evaluates `encoder` on the classes that evaluations during the run use; none if there are no
    /// such classes.
    pub(super) fn evaluate_during(
        &self,
        encoder: &Encoder,
    ) -> Result<Option<Retrieval>, TrainError> {
        let on = self.judged_on();
        let items = match on {
            JudgedOn::Holdout => &self.setup.prepared.split.holdout,
            JudgedOn::Validation => &self.setup.prepared.split.validation,
        };
        if items.is_empty() {
            return Ok(None);
        }
        let embeddings = self.embed_items(encoder, items)?;
        let labels = self.setup.prepared.labels(items);
        Ok(Some(Retrieval::leave_one_out(embeddings.view(), &labels, self.setup.metric)?))
    }
}
