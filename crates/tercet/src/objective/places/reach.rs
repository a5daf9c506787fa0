/// How far a positive reaches: up to which distance its negatives count.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(in crate::objective) enum Reach {
    /// d < d(a,p) + this, the sum rounded as everywhere.
    By(f32),
    /// d ≤ d(a,p).
    #[default]
    Itself,
}

impl Reach {
    /// The first number that a positive at this distance does not reach; rises with the distance.
    #[inline(always)]
    pub(in crate::objective) fn of(self, distance: f32) -> f32 {
        match self {
            Self::By(margin) => distance + margin,
            Self::Itself => distance.next_up(),
        }
    }

    #[inline(always)]
    pub(super) fn margin(self) -> f32 {
        match self {
            Self::By(margin) => margin,
            Self::Itself => 0.0,
        }
    }
}
