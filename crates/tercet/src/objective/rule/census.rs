//! Exact counts of the triplets and anchors of a batch.

use serde::Serialize;

/// The triplets and anchors of one evaluation, counted exactly, and the mean distances.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Census {
    /// Valid triplets: Σ over classes of n(n−1)(N−n).
    pub triplets: u64,
    /// Triplets that the selection takes.
    pub selected: u64,
    /// Selected triplets that have a gradient: φ > 0 for a hinge, φ > 1e-5 for a soft penalty.
    pub active: u64,
    /// Selected triplets in the wrong order: d(a,n) ≤ d(a,p).
    pub violated: u64,
    /// Valid triplets whose negative was ignored as probably false
    /// ([`FalseNegatives`](crate::FalseNegatives)).
    pub filtered: u64,
    /// Anchors that are part of a valid triplet.
    pub anchors: u64,
    /// Anchors that are alone in their class.
    pub anchors_without_positive: u64,
    /// Anchors without an item of another class: either all anchors of a batch or none.
    pub anchors_without_negative: u64,
    /// Mean of d over ordered pairs of one class, 0 if there are none.
    pub mean_positive_distance: f64,
    /// Mean of d over ordered pairs of two classes, 0 if there are none.
    pub mean_negative_distance: f64,
}

impl Census {
    /// Share of the selected triplets that are active, 0 if none was selected.
    pub fn active_share(&self) -> f64 {
        if self.selected == 0 { 0.0 } else { self.active as f64 / self.selected as f64 }
    }
}
