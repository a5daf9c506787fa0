use serde::Serialize;

use super::row::Tally;
use crate::labels::ClassOrder;

/// What an objective met in a batch. Counts are exact integers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Census {
    /// Valid triplets: Σ over classes of n(n−1)(N−n).
    pub triplets: u64,
    /// Triplets that the selection took.
    pub selected: u64,
    /// Selected triplets that still teach: φ > 0 for a hinge, φ > 1e-5 for a soft penalty.
    pub active: u64,
    /// Selected triplets in the wrong order: d(a,n) ≤ d(a,p).
    pub violated: u64,
    /// Anchors that are part of a valid triplet.
    pub anchors: u64,
    /// Items that are alone in their class.
    pub anchors_without_positive: u64,
    /// Items that have no other class beside theirs: all or none.
    pub anchors_without_negative: u64,
    /// Mean of d over ordered pairs of one class, 0 if there are none.
    pub mean_positive_distance: f64,
    /// Mean of d over ordered pairs of two classes, 0 if there are none.
    pub mean_negative_distance: f64,
}

impl Census {
    /// The census of some anchors only, given by their places, among all items as candidates.
    pub(super) fn of_anchors(
        order: &ClassOrder,
        anchors: impl IntoIterator<Item = usize>,
        tally: &Tally,
    ) -> Self {
        let total = order.items.len() as u64;
        let mut census = Self {
            selected: tally.selected,
            active: tally.active,
            violated: tally.violated,
            ..Self::default()
        };
        let (mut positive_pairs, mut negative_pairs) = (0_u64, 0_u64);
        for place in anchors {
            let size = order.positives_of(place).len() as u64;
            let (positives, negatives) = (size - 1, total - size);
            positive_pairs += positives;
            negative_pairs += negatives;
            census.triplets += positives * negatives;
            census.anchors += u64::from(positives > 0 && negatives > 0);
            census.anchors_without_positive += u64::from(positives == 0);
            census.anchors_without_negative += u64::from(negatives == 0);
        }
        let mean = |sum: f64, count: u64| if count == 0 { 0.0 } else { sum / count as f64 };
        census.mean_positive_distance = mean(tally.positive_distances, positive_pairs);
        census.mean_negative_distance = mean(tally.negative_distances, negative_pairs);
        census
    }

    /// Share of the selected triplets that still teach, 0 if none was selected.
    pub fn active_share(&self) -> f64 {
        if self.selected == 0 { 0.0 } else { self.active as f64 / self.selected as f64 }
    }
}
