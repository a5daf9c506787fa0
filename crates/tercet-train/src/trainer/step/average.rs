//! Running averages of the weights, which often give better results than the weights themselves.

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::tensor::Tensor;

use crate::encoder::Encoder;

/// An exponential moving average of a whole network: w̄ ← β·w̄ + (1 − β)·w after each step, for its
/// weights and for the running mean and variance of batch norm alike (as in timm's `ModelEmaV3`;
/// the statistics are not estimated again).
///
/// β of step t (counted from 1) is at most (1 + t)/(10 + t), as in TensorFlow's
/// `ExponentialMovingAverage`, so that the initial weights do not dominate the average for long.
pub(in crate::trainer) struct Average<M = Encoder> {
    decay: f64,
    network: M,
}

impl<M: Module> Average<M> {
    /// The average that starts with `network`.
    pub(in crate::trainer) fn new(decay: f64, network: &M) -> Self {
        // `valid` gives separate running statistics; a clone would share them.
        Self { decay, network: network.valid() }
    }

    /// The averaged network, which has no gradients.
    pub(in crate::trainer) fn network(&self) -> &M {
        &self.network
    }

    /// Adds the weights after `step` steps to the average.
    pub(in crate::trainer) fn add(&mut self, learning: &M, step: u64) {
        let t = step as f64;
        let decay = self.decay.min((1.0 + t) / (10.0 + t));
        let mut values = Values::default();
        learning.valid().visit(&mut values);
        values.0.reverse();
        self.network = self.network.clone().map(&mut Blend { decay, learning: values.0 });
    }
}

/// The values of a network, each as a vector, in the order in which a visitor meets them.
#[derive(Default)]
struct Values(Vec<Tensor<1>>);

impl ModuleVisitor for Values {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        self.0.push(param.val().reshape([-1]));
    }
}

struct Blend {
    decay: f64,
    /// In reverse order, so that `pop` gives the next one.
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

#[cfg(test)]
mod tests {
    use burn::nn::{BatchNorm, BatchNormConfig};
    use burn::tensor::{Device, TensorData};

    use super::*;

    fn numbers(tensor: Tensor<1>) -> Vec<f32> {
        tensor.try_into_vec_as::<f32>().unwrap()
    }

    #[test]
    fn weights_and_running_statistics_are_averaged_and_not_shared() {
        let device = Device::flex().autodiff();
        let norm: BatchNorm = BatchNormConfig::new(2).init(&device);
        let mut average = Average::new(0.9, &norm);
        let batch = || {
            let values = vec![1.0_f32, 2.0, 3.0, 8.0];
            Tensor::<2>::from_data(TensorData::new(values, [2, 2]), &device)
        };
        norm.forward(batch()); // running means move a tenth of the way to (2, 5)
        assert_eq!(numbers(average.network().running_mean.value()), [0.0, 0.0]);

        let mut learnt = norm;
        learnt.gamma = learnt.gamma.map(|gamma| gamma * 3.0);
        average.add(&learnt, 1);
        // β of the first step is 2/11.
        let close = |got: Vec<f32>, expected: [f32; 2]| {
            for (got, expected) in got.iter().zip(expected) {
                assert!((got - expected).abs() < 1e-6, "{got}, expected {expected}");
            }
        };
        let network = average.network();
        close(numbers(network.gamma.val()), [(2.0 + 27.0) / 11.0; 2]);
        close(numbers(network.running_mean.value()), [0.2 * 9.0 / 11.0, 0.5 * 9.0 / 11.0]);
        let variance = numbers(learnt.valid().running_var.value());
        assert!(variance[1] > 1.5);
        close(
            numbers(network.running_var.value()),
            [(2.0 + 9.0 * variance[0]) / 11.0, (2.0 + 9.0 * variance[1]) / 11.0],
        );
        assert_eq!(numbers(learnt.gamma.val()), [3.0, 3.0]);

        let before = numbers(average.network().gamma.val())[0];
        average.add(&learnt, 1000);
        close(numbers(average.network().gamma.val()), [0.9 * before + 0.1 * 3.0; 2]);
    }
}
