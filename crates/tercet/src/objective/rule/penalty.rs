//! The penalty of a triplet.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::Error;

/// The penalty φ(x) of a triplet, with x = d(a,p) − d(a,n).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum Penalty {
    /// max(0, x + margin), with derivative 0 at x = −margin. FaceNet (arXiv 1503.03832), eq. 3.
    Hinge {
        /// How much closer the positive must be.
        margin: f32,
    },
    /// ln(1 + e^{x + margin}), computed without overflow: the soft margin of "In Defense of the
    /// Triplet Loss" (arXiv 1703.07737, section 2), where the margin is 0.
    Soft {
        /// Shifts the curve; 0 by default.
        margin: f32,
    },
    /// max(0, x + margin)²: the squared hinge of ranking support vector machines (Chapelle and
    /// Keerthi: "Efficient algorithms for ranking with SVMs", 2010), applied to distances.
    SquaredHinge {
        /// How much closer the positive must be.
        margin: f32,
    },
}

/// A triplet with a soft penalty counts as active if φ is above this value, as in "In Defense",
/// because a soft penalty never reaches 0.
const SOFT_ACTIVE: f32 = 1e-5;

/// The x at which ln(1 + e^x) reaches [`SOFT_ACTIVE`].
pub(in crate::objective) const SOFT_ACTIVE_FROM: f64 = -11.512920490228312;

impl Default for Penalty {
    fn default() -> Self {
        Self::Soft { margin: 0.0 }
    }
}

impl fmt::Display for Penalty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Soft { margin: 0.0 } => f.write_str("soft margin"),
            _ => write!(f, "{} {}", self.name(), self.margin()),
        }
    }
}

impl Penalty {
    /// The names used on the command line and in files.
    pub const NAMES: [&'static str; 3] = ["hinge", "soft", "squared-hinge"];

    /// The penalty with this name and this margin.
    ///
    /// # Errors
    /// A name that is not one of [`Penalty::NAMES`].
    pub fn from_name(name: &str, margin: f32) -> Result<Self, Error> {
        match name {
            "hinge" => Ok(Self::Hinge { margin }),
            "soft" => Ok(Self::Soft { margin }),
            "squared-hinge" => Ok(Self::SquaredHinge { margin }),
            _ => Err(Error::UnknownName {
                what: "penalty",
                got: name.to_owned(),
                expected: Self::NAMES.join(", "),
            }),
        }
    }

    /// The name used on the command line and in files.
    pub fn name(self) -> &'static str {
        match self {
            Self::Hinge { .. } => "hinge",
            Self::Soft { .. } => "soft",
            Self::SquaredHinge { .. } => "squared-hinge",
        }
    }

    /// The margin, which also bounds the semi-hard band.
    pub fn margin(self) -> f32 {
        match self {
            Self::Hinge { margin } | Self::Soft { margin } | Self::SquaredHinge { margin } => {
                margin
            }
        }
    }

    /// The same penalty with another margin.
    pub fn with_margin(self, margin: f32) -> Self {
        match self {
            Self::Hinge { .. } => Self::Hinge { margin },
            Self::Soft { .. } => Self::Soft { margin },
            Self::SquaredHinge { .. } => Self::SquaredHinge { margin },
        }
    }

    /// φ and φ' at x = `excess` − margin. The caller adds the margin, because it needs
    /// d(a,p) + margin only once for many negatives.
    #[inline(always)]
    pub(in crate::objective) fn of(self, excess: f32) -> (f32, f32) {
        match self {
            Self::Hinge { .. } => (excess.max(0.0), if excess > 0.0 { 1.0 } else { 0.0 }),
            Self::SquaredHinge { .. } => {
                let positive = excess.max(0.0);
                (positive * positive, 2.0 * positive)
            }
            Self::Soft { .. } => {
                let (value, small) = softplus(excess);
                let slope = if excess >= 0.0 { 1.0 } else { small } / (1.0 + small);
                (value, slope)
            }
        }
    }

    /// The value above which a triplet counts as active.
    #[inline(always)]
    pub(in crate::objective) fn active_above(self) -> f32 {
        match self {
            Self::Soft { .. } => SOFT_ACTIVE,
            _ => 0.0,
        }
    }

    pub(in crate::objective) fn check(self) -> Result<(), Error> {
        let margin = self.margin();
        let valid = margin.is_finite() && (margin >= 0.0 || matches!(self, Self::Soft { .. }));
        if valid {
            return Ok(());
        }
        Err(Error::parameter(
            "margin",
            margin.to_string(),
            "a finite number, not negative for a hinge",
        ))
    }
}

/// ln(1 + e^x) and e^−|x|, with a relative error below 3e-7 where e^x is at least the smallest
/// normal number. The arithmetic has no branches, so that loops around it vectorise.
#[inline(always)]
fn softplus(x: f32) -> (f32, f32) {
    let small = exp_below_0(-x.abs());
    // ln(1 + s) = 2 artanh(z) with z = s/(2 + s) ≤ 1/3, which has a small relative error for small
    // s too.
    let z = small / (2.0 + small);
    let square = z * z;
    let mut series = 1.0 / 15.0;
    for term in [1.0 / 13.0, 1.0 / 11.0, 1.0 / 9.0, 1.0 / 7.0, 0.2, 1.0 / 3.0] {
        series = series * square + term;
    }
    let ln_1p = 2.0 * z + 2.0 * z * square * series;
    (if x > 0.0 { x + ln_1p } else { ln_1p }, small)
}

/// e^x for x ≤ 0, or 0 where e^x is below the smallest normal number.
#[inline(always)]
pub(in crate::objective) fn exp_below_0(x: f32) -> f32 {
    /// Adding 1.5·2^23 rounds to an integer, which is then in the lowest bits.
    const ROUND: f32 = 12_582_912.0;
    // ln 2 in two parts. The first has so few digits that its products with small integers are
    // exact.
    const LN_2_HIGH: f32 = 0.693_359_4;
    const LN_2_LOW: f32 = -2.121_944_4e-4;

    let normal = x > -87.0;
    let x = if normal { x } else { 0.0 };
    let rounded = x * std::f32::consts::LOG2_E + ROUND;
    let whole = rounded - ROUND;
    let rest = (x - whole * LN_2_HIGH) - whole * LN_2_LOW;
    let mut series = 1.0 / 5040.0;
    for term in [1.0 / 720.0, 1.0 / 120.0, 1.0 / 24.0, 1.0 / 6.0, 0.5] {
        series = series * rest + term;
    }
    let series = 1.0 + (rest + rest * rest * series);
    let power = f32::from_bits((rounded.to_bits() << 23).wrapping_add(127 << 23));
    if normal { series * power } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn soft_penalty_is_accurate_to_the_last_digits() {
        let soft = Penalty::Soft { margin: 0.0 };
        for step in -86_000..=90_000 {
            let x = step as f32 / 1000.0;
            let (value, slope) = soft.of(x);
            let x = f64::from(x);
            let expected = x.max(0.0) + (-x.abs()).exp().ln_1p();
            let expected_slope = 1.0 / (1.0 + (-x).exp());
            assert!((f64::from(value) / expected - 1.0).abs() < 3e-7, "ln(1 + e^{x}) = {value}");
            assert!(
                (f64::from(slope) / expected_slope - 1.0).abs() < 3e-7,
                "slope at {x}: {slope}"
            );
        }
    }

    #[test]
    fn soft_penalty_neither_overflows_nor_vanishes_early() {
        let soft = Penalty::Soft { margin: 0.0 };
        assert_eq!(soft.of(1e30), (1e30, 1.0));
        assert_eq!(soft.of(-1e30), (0.0, 0.0));
        let (value, slope) = soft.of(0.0);
        assert!((value - std::f32::consts::LN_2).abs() < 1e-7 && slope == 0.5);
        let (value, slope) = soft.of(-20.0);
        assert!((value / 2.061_153_6e-9 - 1.0).abs() < 1e-5 && (slope / value - 1.0).abs() < 1e-5);
    }

    #[test]
    fn a_soft_penalty_is_active_from_its_constant_on() {
        let from = f64::from(SOFT_ACTIVE).exp_m1().ln();
        assert!((from - SOFT_ACTIVE_FROM).abs() < 1e-12);
    }

    #[test]
    fn margins_are_checked() {
        assert!(Penalty::Hinge { margin: -0.1 }.check().is_err());
        assert!(Penalty::Soft { margin: -0.1 }.check().is_ok());
        assert!(Penalty::Soft { margin: f32::NAN }.check().is_err());
    }
}
