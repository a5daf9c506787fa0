//! Running averages of the weights, which often judge better than the weights themselves.

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::tensor::Tensor;

use crate::encoder::Encoder;

/// An exponential moving average of everything that makes a network: w̄ ← β·w̄ + (1 − β)·w after
/// each step, for its weights and for the running mean and variance of batch norm alike (as timm's
/// `ModelEmaV3`; nothing is estimated anew).
///
/// So that fresh weights do not linger, β of step t (counted from 1) is at most (1 + t)/(10 + t), as
/// TensorFlow's `ExponentialMovingAverage` has it.
pub(super) struct Average {
    decay: f64,
    encoder: Encoder,
}

impl Average {
    /// The average that starts with `encoder`.
    pub(super) fn new(decay: f64, encoder: &Encoder) -> Self {
        // `valid` gives running statistics of its own, which a clone would share.
        Self { decay, encoder: encoder.valid() }
    }

    /// The averaged network, which cannot learn.
    pub(super) fn encoder(&self) -> &Encoder {
        &self.encoder
    }

    /// Takes in the weights after `step` steps.
    pub(super) fn add(&mut self, learning: &Encoder, step: u64) {
        let t = step as f64;
        let decay = self.decay.min((1.0 + t) / (10.0 + t));
        let mut values = Values::default();
        learning.valid().visit(&mut values);
        values.0.reverse();
        self.encoder = self.encoder.clone().map(&mut Blend { decay, learning: values.0 });
    }
}

/// The values of a network, each as a vector, in the order in which networks are visited.
#[derive(Default)]
struct Values(Vec<Tensor<1>>);

impl ModuleVisitor for Values {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        self.0.push(param.val().reshape([-1]));
    }
}

struct Blend {
    decay: f64,
    /// From the last to the first.
    learning: Vec<Tensor<1>>,
}

impl ModuleMapper for Blend {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let Some(learning) = self.learning.pop() else { return param };
        param.map(|average| {
            let learning = learning.reshape(average.shape());
            average * self.decay + learning * (1.0 - self.decay)
        })
    }
}
