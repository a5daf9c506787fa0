//! How the optimiser computes new weights from gradients.

use burn::lr_scheduler::module_lr_scheduler::{ModuleLearningRate, ModuleLrScheduler};
use burn::module::{Module, ModuleVisitor, Param, ParamGroup};
use burn::optim::{
    AdaGradConfig, AdamConfig, AdamWConfig, GradientsParams, ModuleOptimizer, OptimizerRecord,
    SgdConfig,
};
use burn::tensor::Tensor;

use crate::trainer::settings::{BETA_1, OptimizerConfig, OptimizerKind};

/// Burn's optimiser for a configuration, with this β₁.
fn rule(config: &OptimizerConfig, beta_1: f32) -> ModuleOptimizer {
    use burn::optim::decay::WeightDecayConfig;
    use burn::optim::momentum::MomentumConfig;
    let decay = config.weight_decay();
    let penalty = (decay > 0.0).then(|| WeightDecayConfig::new(decay));
    // ε is set because Burn's default of 1e-5 slows the steps of small gradients.
    match config.kind {
        OptimizerKind::Adam => AdamConfig::new()
            .with_beta_1(beta_1)
            .with_epsilon(1e-8)
            .with_weight_decay(penalty)
            .init(),
        OptimizerKind::Adamw => AdamWConfig::new()
            .with_beta_1(beta_1)
            .with_epsilon(1e-8)
            .with_weight_decay(decay)
            .init(),
        OptimizerKind::Sgd => {
            let momentum = f64::from(config.momentum());
            let momentum = (momentum > 0.0)
                .then(|| MomentumConfig::new().with_momentum(momentum).with_dampening(0.0));
            SgdConfig::new().with_weight_decay(penalty).with_momentum(momentum).init()
        }
        OptimizerKind::Adagrad => {
            AdaGradConfig::new().with_epsilon(1e-10).with_weight_decay(penalty).init()
        }
    }
}

/// The optimiser of one network, with its state.
pub(in crate::trainer) struct Optimizer {
    config: OptimizerConfig,
    /// Weights that have another learning rate: the ratio of theirs to the rate of the others. If
    /// several groups contain a weight, the last one counts.
    slower: Vec<(ParamGroup, f64)>,
    beta_1: f32,
    rule: ModuleOptimizer,
}

impl Optimizer {
    /// `slower`: groups of weights with the ratio of their learning rate to that of the others.
    pub(in crate::trainer) fn new(config: OptimizerConfig, slower: Vec<(ParamGroup, f64)>) -> Self {
        Self { config, slower, beta_1: BETA_1, rule: rule(&config, BETA_1) }
    }

    /// Computes new weights from gradients. Returns the gradient's norm before clipping, if
    /// clipping is on.
    pub(in crate::trainer) fn step<M: Module>(
        &mut self,
        rate: f64,
        falling: bool,
        network: M,
        mut gradients: GradientsParams,
    ) -> (M, Option<f64>) {
        self.use_beta_1(self.config.beta_1(falling));
        let norm = self.config.clip_norm.map(|most| clip(&network, &mut gradients, most));
        (self.rule.step(self.rates(rate), network, gradients), norm)
    }

    pub(in crate::trainer) fn to_record(&self) -> OptimizerRecord {
        self.rule.to_record()
    }

    /// The same optimiser with the state of a record.
    pub(in crate::trainer) fn load_record(mut self, record: OptimizerRecord) -> Self {
        self.rule = self.rule.load_record(record);
        self
    }

    /// Burn's optimisers have fixed parameters, so another β₁ needs another one, which takes over
    /// the state.
    fn use_beta_1(&mut self, beta_1: f32) {
        if beta_1 != self.beta_1 {
            self.beta_1 = beta_1;
            self.rule = rule(&self.config, beta_1).load_record(self.rule.to_record());
        }
    }

    fn rates(&self, rate: f64) -> ModuleLearningRate {
        let groups = self.slower.iter();
        groups
            .fold(ModuleLrScheduler::new(rate), |rates, (group, share)| {
                rates.with_group(group.clone(), rate * share)
            })
            .step()
    }
}

/// Scales gradients down to norm `most` over all of them; returns the norm before.
fn clip<M: Module>(network: &M, gradients: &mut GradientsParams, most: f64) -> f64 {
    let mut squares = Squares { gradients, sum: None };
    network.visit(&mut squares);
    let norm = squares
        .sum
        .and_then(|sum| sum.try_into_vec_as::<f32>().ok()?.first().copied())
        .map_or(0.0, |sum| f64::from(sum).sqrt());
    // The addend 1e-6 keeps the division safe, as in PyTorch.
    let factor = most / (norm + 1e-6);
    if factor < 1.0 {
        network.visit(&mut Scaling { gradients, factor });
    }
    norm
}

struct Squares<'a> {
    gradients: &'a GradientsParams,
    sum: Option<Tensor<1>>,
}

impl ModuleVisitor for Squares<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if let Some(gradient) = self.gradients.get::<D>(param.id) {
            let square = gradient.square().sum();
            self.sum = Some(match self.sum.take() {
                Some(sum) => sum + square,
                None => square,
            });
        }
    }
}

struct Scaling<'a> {
    gradients: &'a mut GradientsParams,
    factor: f64,
}

impl ModuleVisitor for Scaling<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if let Some(gradient) = self.gradients.remove::<D>(param.id) {
            self.gradients.register(param.id, gradient.mul_scalar(self.factor));
        }
    }
}

#[cfg(test)]
mod tests {
    use burn::nn::{Linear, LinearConfig};
    use burn::tensor::{Device, TensorData};

    use super::*;

    /// Results of torch.optim with the same parameters; see `tests/optimizers/make.py`.
    const GOLDEN: &str = include_str!("../../../tests/optimizers/optimizers.json");

    const RATE: f64 = 0.05;

    fn numbers(count: usize, phase: f64, scale: f64) -> Vec<f32> {
        (0..count).map(|i| (scale * (1.7 * i as f64 + phase).sin()) as f32).collect()
    }

    /// A layer with a matrix of 3×2 and a vector of 2, with the initial weights of the script.
    fn network(device: &Device) -> Linear {
        let mut network = LinearConfig::new(3, 2).init(device);
        let weight = TensorData::new(numbers(6, 0.1, 1.0), [3, 2]);
        let bias = TensorData::new(numbers(2, 0.1, 1.0), [2]);
        network.weight = Param::from_tensor(Tensor::<2>::from_data(weight, device));
        network.bias = Some(Param::from_tensor(Tensor::<1>::from_data(bias, device)));
        network
    }

    fn gradients(network: &Linear, step: u32) -> GradientsParams {
        let (phase, scale) = (0.9 * f64::from(step) + 0.3, 1.0 + 0.5 * f64::from(step));
        let device = Device::flex();
        let mut gradients = GradientsParams::new();
        let weight = TensorData::new(numbers(6, phase, scale), [3, 2]);
        gradients.register(network.weight.id, Tensor::<2>::from_data(weight, &device));
        let bias = TensorData::new(numbers(2, phase, scale), [2]);
        let id = network.bias.as_ref().unwrap().id;
        gradients.register(id, Tensor::<1>::from_data(bias, &device));
        gradients
    }

    fn weights(network: &Linear) -> Vec<f32> {
        let mut all = network.weight.val().try_into_vec_as::<f32>().unwrap();
        all.extend(network.bias.as_ref().unwrap().val().try_into_vec_as::<f32>().unwrap());
        all
    }

    fn config(kind: OptimizerKind) -> OptimizerConfig {
        OptimizerConfig {
            kind,
            momentum: None,
            weight_decay: None,
            clip_norm: None,
            falling_beta1: None,
        }
    }

    fn cases() -> [(&'static str, OptimizerConfig); 10] {
        use OptimizerKind::{Adagrad, Adam, Adamw, Sgd};
        let decayed = |kind| OptimizerConfig { weight_decay: Some(0.1), ..config(kind) };
        [
            ("adam", config(Adam)),
            ("adam, weight decay", decayed(Adam)),
            ("adamw", config(Adamw)),
            ("adamw, weight decay", decayed(Adamw)),
            ("sgd", config(Sgd)),
            (
                "sgd, no momentum, weight decay",
                OptimizerConfig { momentum: Some(0.0), ..decayed(Sgd) },
            ),
            ("adagrad", config(Adagrad)),
            ("adagrad, weight decay", decayed(Adagrad)),
            ("sgd, clipped", OptimizerConfig { clip_norm: Some(2.0), ..config(Sgd) }),
            ("adam, falling", OptimizerConfig { falling_beta1: Some(0.5), ..config(Adam) }),
        ]
    }

    #[test]
    fn steps_are_pytorchs_also_when_gone_on_with_from_a_record() {
        let golden: serde_json::Value = serde_json::from_str(GOLDEN).unwrap();
        let device = Device::flex().autodiff();
        for (name, config) in cases() {
            let expected = &golden["cases"][name];
            let mut network = network(&device);
            let mut optimizer = Optimizer::new(config, Vec::new());
            for step in 0..10_u32 {
                if step == 7 {
                    // As it is saved in a checkpoint.
                    let record = optimizer.to_record().into_bytes().unwrap();
                    let record = OptimizerRecord::from_bytes(record).unwrap();
                    optimizer = Optimizer::new(config, Vec::new()).load_record(record);
                }
                let gradients = gradients(&network, step);
                let (next, norm) = optimizer.step(RATE, step >= 5, network, gradients);
                network = next;
                if let Some(norm) = norm {
                    let expected = expected["norms"][step as usize].as_f64().unwrap();
                    assert!((norm / expected - 1.0).abs() < 1e-5, "{name}: {norm}, {expected}");
                }
            }
            for (got, expected) in
                weights(&network).iter().zip(expected["weights"].as_array().unwrap())
            {
                let expected = expected.as_f64().unwrap();
                assert!((f64::from(*got) - expected).abs() < 2e-6, "{name}: {got}, {expected}");
            }
        }
    }

    #[test]
    fn groups_learn_at_their_share_of_the_rate() {
        let device = Device::flex().autodiff();
        let before = network(&device);
        let slower = vec![(ParamGroup::from_predicate("weight"), 0.0)];
        let plain = OptimizerConfig { momentum: Some(0.0), ..config(OptimizerKind::Sgd) };
        let mut optimizer = Optimizer::new(plain, slower);
        let gradients = gradients(&before, 0);
        let (after, _) = optimizer.step(RATE, false, before.clone(), gradients);
        let (before, after) = (weights(&before), weights(&after));
        assert_eq!(before[..6], after[..6]);
        assert!((after[6] - before[6] + RATE as f32 * numbers(1, 0.3, 1.0)[0]).abs() < 1e-6);
    }
}
