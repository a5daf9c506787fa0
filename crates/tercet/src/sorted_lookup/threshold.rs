//! The thresholds of numbers.

/// How the threshold of a number is computed. A value below it counts as a pair with the number.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) enum Threshold {
    /// v < number + margin, where the sum is rounded as in all kernels.
    Plus(f32),
    /// v ≤ number.
    #[default]
    Itself,
}

impl Threshold {
    /// The threshold of a number, which does not decrease when the number increases.
    #[inline(always)]
    pub(crate) fn of(self, number: f32) -> f32 {
        match self {
            Self::Plus(margin) => number + margin,
            Self::Itself => number.next_up(),
        }
    }

    #[inline(always)]
    pub(super) fn margin(self) -> f32 {
        match self {
            Self::Plus(margin) => margin,
            Self::Itself => 0.0,
        }
    }
}
