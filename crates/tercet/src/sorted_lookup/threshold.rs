/// The threshold of a number: values below it count as pairs with the number.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) enum Threshold {
    /// v < number + this, the sum rounded as everywhere.
    Plus(f32),
    /// v ≤ number.
    #[default]
    Itself,
}

impl Threshold {
    /// The threshold of a number; it rises with the number.
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
