//! The optimiser and its parameters.

use serde::{Deserialize, Serialize};
use tercet::{ParameterError, named};

/// An optimiser, with PyTorch's defaults except where stated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OptimizerKind {
    /// Adam (Kingma and Ba, arXiv 1412.6980): β₁ 0.9, β₂ 0.999, ε 1e-8. Weight decay is added to
    /// the gradient.
    #[default]
    Adam,
    /// Adam with decoupled weight decay (Loshchilov and Hutter, arXiv 1711.05101), by default 0.01.
    Adamw,
    /// Gradient descent with momentum μ, by default 0.9: v ← μ·v + g, w ← w − ε·v.
    Sgd,
    /// AdaGrad (Duchi et al. 2011), with which FaceNet was trained: w ← w − ε·g/(√Σg² + 1e-10).
    Adagrad,
}

named!(
    OptimizerKind,
    "optimizer",
    [Adam = "adam", Adamw = "adamw", Sgd = "sgd", Adagrad = "adagrad",]
);

/// Adam's default β₁.
pub(in crate::trainer) const BETA_1: f32 = 0.9;

/// An optimiser with its parameters. Weight decay applies to every weight, as PyTorch's does by
/// default, also to biases and the scales of batch norm.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct OptimizerConfig {
    /// The optimiser's name.
    pub kind: OptimizerKind,
    /// Momentum of `sgd`.
    pub momentum: Option<f32>,
    /// Weight decay λ: g ← g + λ·w, but with `adamw` w ← w − ε·λ·w, where ε is the learning rate.
    pub weight_decay: Option<f32>,
    /// The largest norm of the gradient over all weights: a longer gradient is scaled down to it,
    /// as by PyTorch's `clip_grad_norm_`.
    pub clip_norm: Option<f64>,
    /// β₁ of Adam once the rate of the schedule `paper` falls.
    pub falling_beta1: Option<f32>,
}

impl OptimizerConfig {
    /// # Errors
    /// A number outside its range, or one that this optimiser does not use.
    pub fn check(&self) -> Result<(), ParameterError> {
        let refuse = |key, got: String, expected: &str| {
            Err(ParameterError { parameter: key, got, expected: expected.to_owned() })
        };
        if let Some(momentum) = self.momentum {
            if !(0.0..1.0).contains(&momentum) {
                return refuse("momentum", momentum.to_string(), "a number from 0 to below 1");
            }
            if self.kind != OptimizerKind::Sgd {
                return refuse("momentum", momentum.to_string(), "no such key but with sgd");
            }
        }
        if let Some(decay) = self.weight_decay.filter(|decay| !(0.0..1.0).contains(decay)) {
            return refuse("weight-decay", decay.to_string(), "a number from 0 to below 1");
        }
        if let Some(norm) = self.clip_norm.filter(|norm| !(*norm > 0.0 && norm.is_finite())) {
            return refuse("clip-norm", norm.to_string(), "a number above 0");
        }
        if let Some(beta) = self.falling_beta1 {
            if !(0.0..1.0).contains(&beta) {
                return refuse("falling-beta1", beta.to_string(), "a number from 0 to below 1");
            }
            if !matches!(self.kind, OptimizerKind::Adam | OptimizerKind::Adamw) {
                return refuse(
                    "falling-beta1",
                    beta.to_string(),
                    "no such key but with adam, adamw",
                );
            }
        }
        Ok(())
    }

    /// The optimiser with its parameters in words, for the report.
    pub fn describe(&self) -> String {
        let mut text = self.kind.to_string();
        let mut add = |name: &str, value: Option<f64>| {
            text += &value.map_or_else(String::new, |value| format!(", {name} {value}"));
        };
        let short = |value: f32| value.to_string().parse().ok();
        if self.kind == OptimizerKind::Sgd {
            add("momentum", short(self.momentum()));
        }
        add("weight decay", short(self.weight_decay()).filter(|decay| *decay > 0.0));
        add("gradient norm at most", self.clip_norm);
        add("β₁ while the rate falls", self.falling_beta1.and_then(short));
        text
    }

    pub(in crate::trainer) fn momentum(&self) -> f32 {
        self.momentum.unwrap_or(0.9)
    }

    pub(in crate::trainer) fn weight_decay(&self) -> f32 {
        let default = if self.kind == OptimizerKind::Adamw { 0.01 } else { 0.0 };
        self.weight_decay.unwrap_or(default)
    }

    pub(in crate::trainer) fn beta_1(&self, falling: bool) -> f32 {
        self.falling_beta1.filter(|_| falling).unwrap_or(BETA_1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(kind: OptimizerKind) -> OptimizerConfig {
        OptimizerConfig {
            kind,
            momentum: None,
            weight_decay: None,
            clip_norm: None,
            falling_beta1: None,
        }
    }

    #[test]
    fn numbers_without_use_are_refused() {
        let expect = |config: OptimizerConfig, expected: &str| {
            let error = config.check().unwrap_err().to_string();
            assert!(error.starts_with(expected), "{error}");
        };
        let adam = config(OptimizerKind::Adam);
        expect(OptimizerConfig { momentum: Some(0.9), ..adam }, "momentum is 0.9");
        expect(OptimizerConfig { weight_decay: Some(1.0), ..adam }, "weight-decay is 1");
        expect(OptimizerConfig { clip_norm: Some(0.0), ..adam }, "clip-norm is 0");
        let sgd = config(OptimizerKind::Sgd);
        expect(OptimizerConfig { falling_beta1: Some(0.5), ..sgd }, "falling-beta1 is 0.5");
    }
}
