//! The gradient of one step, and what is told of it.

use burn::optim::GradientsParams;
use burn::tensor::{Tensor, TensorData};
use ndarray::{Array2, ArrayView2};
use tercet::{Outcome, Percentiles};

use super::loader::Batch;
use super::{StepLine, TrainError, Trainer};
use crate::model::{ModelError, images, values};

/// The gradient of a batch, ready for an optimiser.
pub(super) struct Gradient {
    /// With respect to the network's weights.
    pub(super) gradients: GradientsParams,
    /// What the objective said.
    pub(super) outcome: Outcome,
    /// What it said it of, a row an item.
    pub(super) embeddings: Array2<f32>,
}

impl Trainer<'_> {
    /// Embeds with a graph, evaluates, goes back from the surrogate Σ E·G, whose gradient with
    /// respect to E is exactly the objective's G.
    pub(super) fn gradients(
        &self,
        batch: Batch,
        learning_rate: f64,
    ) -> Result<Gradient, TrainError> {
        let labels = self.prepared.labels(&batch.items);
        let shape = self.prepared.examples.input().shape();
        let images = images(batch.values, batch.items.len(), shape, &self.learning);
        let embedded = self.encoder.forward(images);
        let [rows, dimensions] = embedded.dims();
        let numbers = values(embedded.clone().inner())?;
        if numbers.iter().any(|value| !value.is_finite()) {
            return Err(TrainError::Diverged { step: self.state.step, learning_rate });
        }
        let embeddings = Array2::from_shape_vec((rows, dimensions), numbers)
            .map_err(|error| ModelError::Embed(error.to_string()))?;

        // Selections that draw take other places of the batch in each step.
        let seed = self.config.seed ^ self.state.step.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let objective = self.objective.with_seed(seed);
        let outcome = objective.evaluate(embeddings.view(), &labels)?;
        let gradient =
            TensorData::new(outcome.gradient.iter().copied().collect(), [rows, dimensions]);
        let surrogate = (embedded * Tensor::<2>::from_data(gradient, &self.learning)).sum();
        let gradients = GradientsParams::from_grads(surrogate.backward(), &self.encoder);
        Ok(Gradient { gradients, outcome, embeddings })
    }

    pub(super) fn line(
        &self,
        outcome: &Outcome,
        learning_rate: f64,
        embeddings: ArrayView2<f32>,
    ) -> Result<StepLine, TrainError> {
        let census = &outcome.census;
        Ok(StepLine {
            step: self.state.step,
            loss: outcome.value,
            active: census.active_share(),
            selected: census.selected,
            violated: census.violated as f64 / census.selected.max(1) as f64,
            learning_rate,
            norm: Percentiles::norms(embeddings),
            distance: Percentiles::pairwise_distances(embeddings, self.metric)?,
            gradient_norm: None,
            collapse: Some(self.state.watch.condition()),
            spread: Some(self.state.watch.spread()),
            items_per_second: 0.0,
        })
    }
}
