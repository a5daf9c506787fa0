//! Logistic regression of the probability: Platt's sigmoid.

use serde::{Deserialize, Serialize};

use crate::verification::Pair;

/// The largest number of steps. Newton's method doubles the correct digits with each step, so this
/// is more than enough.
const STEPS: usize = 100;

/// A step that lowers the loss by less than this is the last.
const PRECISION: f64 = 1e-12;

/// p = 1 / (1 + e^{slope·d + intercept}), the most likely such function if the truth of n₊ same and
/// n₋ different pairs is taken to be (n₊+1)/(n₊+2) and 1/(n₋+2), so that it is finite even if the
/// pairs are separable (Platt, "Probabilistic Outputs for Support Vector Machines", 1999). It is
/// fitted by Newton's method with a line search (Lin, Lin & Weng, 2007) on standardised distances.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Logistic {
    /// How fast the log odds of *same* fall with distance. Above 0 if near pairs are more likely
    /// the same.
    pub slope: f64,
    /// The log odds against *same* at distance 0.
    pub intercept: f64,
}

impl Logistic {
    pub(super) fn fit(pairs: &[Pair]) -> Self {
        let count = pairs.len() as f64;
        let same = pairs.iter().filter(|pair| pair.same).count() as f64;
        let different = count - same;
        let mean = pairs.iter().map(|pair| f64::from(pair.distance)).sum::<f64>() / count;
        let variance =
            pairs.iter().map(|pair| (f64::from(pair.distance) - mean).powi(2)).sum::<f64>() / count;
        let scale = if variance > 0.0 { variance.sqrt() } else { 1.0 };
        let points: Vec<(f64, f64)> = pairs
            .iter()
            .map(|pair| {
                let truth = match pair.same {
                    true => (same + 1.0) / (same + 2.0),
                    false => 1.0 / (different + 2.0),
                };
                ((f64::from(pair.distance) - mean) / scale, truth)
            })
            .collect();
        let start = Sigmoid { slope: 0.0, intercept: ((different + 1.0) / (same + 1.0)).ln() };
        let fitted = start.fitted(&points);
        let slope = fitted.slope / scale;
        Self { slope, intercept: fitted.intercept - slope * mean }
    }

    pub(super) fn probability(&self, distance: f32) -> f64 {
        sigmoid(self.slope * f64::from(distance) + self.intercept)
    }

    pub(super) fn distance(&self, probability: f64) -> Option<f32> {
        let odds_against = ((1.0 - probability) / probability).ln();
        let distance = (odds_against - self.intercept) / self.slope;
        if self.slope > 0.0 && distance >= 0.0 {
            return Some((distance as f32).min(f32::MAX));
        }
        // A constant sigmoid has one value everywhere, and a rising one gives no upper limit of
        // distance.
        (self.slope <= 0.0 && self.probability(0.0) >= probability).then_some(f32::MAX)
    }
}

/// 1 / (1 + eˣ)
fn sigmoid(against: f64) -> f64 {
    1.0 / (1.0 + against.exp())
}

#[derive(Clone, Copy)]
struct Sigmoid {
    slope: f64,
    intercept: f64,
}

impl Sigmoid {
    fn fitted(mut self, points: &[(f64, f64)]) -> Self {
        let mut loss = self.loss(points);
        for _ in 0..STEPS {
            let Some((along_slope, along_intercept)) = self.newton(points) else { break };
            let step = |length: f64| Self {
                slope: self.slope - length * along_slope,
                intercept: self.intercept - length * along_intercept,
            };
            let halves = (0..40).map(|half| step(0.5_f64.powi(half)));
            let Some((next, better)) = halves
                .map(|next| (next, next.loss(points)))
                .find(|&(_, next_loss)| next_loss < loss)
            else {
                break;
            };
            let gain = loss - better;
            (self, loss) = (next, better);
            if gain <= PRECISION * loss.abs() {
                break;
            }
        }
        self
    }

    /// Cross entropy of truth t and p = 1/(1+eˣ): t·x + ln(1 + e⁻ˣ), without overflow.
    fn loss(self, points: &[(f64, f64)]) -> f64 {
        let term = |&(at, truth): &(f64, f64)| {
            let x = self.slope * at + self.intercept;
            if x >= 0.0 {
                truth * x + (-x).exp().ln_1p()
            } else {
                (truth - 1.0) * x + x.exp().ln_1p()
            }
        };
        points.iter().map(term).sum()
    }

    /// The inverse Hessian times the gradient, or `None` where the loss is flat.
    fn newton(self, points: &[(f64, f64)]) -> Option<(f64, f64)> {
        let (mut g_slope, mut g_intercept) = (0.0, 0.0);
        let (mut h_slope, mut h_both, mut h_intercept) = (0.0, 0.0, 0.0);
        for &(at, truth) in points {
            let p = sigmoid(self.slope * at + self.intercept);
            let (error, curvature) = (truth - p, p * (1.0 - p));
            g_slope += error * at;
            g_intercept += error;
            h_slope += curvature * at * at;
            h_both += curvature * at;
            h_intercept += curvature;
        }
        // A very small ridge prevents a division by 0 when all distances are equal.
        h_slope += 1e-12;
        h_intercept += 1e-12;
        let determinant = h_slope * h_intercept - h_both * h_both;
        (determinant > 0.0).then(|| {
            (
                (h_intercept * g_slope - h_both * g_intercept) / determinant,
                (h_slope * g_intercept - h_both * g_slope) / determinant,
            )
        })
    }
}
