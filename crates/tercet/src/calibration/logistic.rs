//! Platt's sigmoid.

use serde::{Deserialize, Serialize};

use crate::verification::Pair;

/// Newton's method doubles the digits with each step, so these are more than enough.
const STEPS: usize = 100;

/// A step that helps less than this is the last.
const PRECISION: f64 = 1e-12;

/// p = 1 / (1 + e^{slope·d + intercept}), the most likely such function where the truth of n₊ same
/// and n₋ different pairs is taken to be (n₊+1)/(n₊+2) and 1/(n₋+2): so it stays finite where the
/// pairs separate (Platt, "Probabilistic Outputs for Support Vector Machines", 1999). Fitted by
/// Newton's method with a line search (Lin, Lin & Weng, 2007) on standardised distances.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Logistic {
    /// How fast the log odds fall with distance; above 0 where near pairs are the likelier.
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
        // A flat sigmoid is the same everywhere; one that rises bounds no distance from above.
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

    /// The inverse Hessian times the gradient; None where the loss is flat.
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
        // A trace of ridge keeps equal distances from dividing by 0.
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
