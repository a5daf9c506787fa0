//! What the steps of a run change: the weights, and the state of optimiser, average and memory.

use burn::tensor::Bytes as Record;
use tercet::Memory;

use super::TrainError;
use super::setup::Setup;
use super::step::average::Average;
use super::step::optimizer::Optimizer;
use crate::encoder::Encoder;

pub(super) struct Learned {
    pub(super) encoder: Encoder,
    pub(super) optimizer: Optimizer,
    /// The running mean of the weights, if `ema` is set.
    pub(super) average: Option<Average>,
    /// The weights of the best evaluation; none if they are not needed.
    pub(super) best_weights: Option<Record>,
    /// Embeddings of past steps; none before the first are stored.
    pub(super) memory: Option<Memory>,
}

impl Learned {
    /// The values before the first step.
    pub(super) fn new(setup: &Setup, encoder: Encoder) -> Result<Self, TrainError> {
        let decay = setup.config.ema;
        Ok(Self {
            optimizer: setup.optimizer()?,
            average: (decay > 0.0).then(|| Average::new(decay, &encoder)),
            best_weights: None,
            memory: None,
            encoder,
        })
    }

    /// The network that is evaluated and saved: the averaged one if there is one.
    pub(super) fn evaluated_network(&self) -> &Encoder {
        self.average.as_ref().map_or(&self.encoder, Average::network)
    }
}
