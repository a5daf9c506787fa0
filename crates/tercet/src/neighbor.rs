//! One neighbour, the result of every nearest-neighbour search.

use serde::Serialize;

/// An item of the gallery and its distance from the query.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Neighbor {
    /// Row of the gallery.
    pub index: u32,
    /// Its distance, in the unit of the metric.
    pub distance: f32,
}
