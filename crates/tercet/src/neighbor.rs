//! One neighbour: what every search for the nearest returns.

use serde::Serialize;

/// An item of the gallery and how far it is from the query.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Neighbor {
    /// Row of the gallery.
    pub index: u32,
    /// Its distance, in the unit of the metric.
    pub distance: f32,
}
