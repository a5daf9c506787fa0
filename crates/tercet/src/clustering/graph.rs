//! The graph of items within a threshold of each other.

use std::sync::atomic::{AtomicUsize, Ordering};

use crate::Error;
use crate::distance::Points;

/// The largest number of neighbours within the threshold that are stored, over all items: 1 GiB.
pub const JOINED_PAIRS: usize = 1 << 28;

/// For each item, the items within `threshold` of it in rising order, without the item itself.
pub(super) fn neighbors_within(points: &Points, threshold: f32) -> Result<Vec<Vec<u32>>, Error> {
    let held = AtomicUsize::new(0);
    let neighbors = points.sweep(points, |row, distances| {
        if held.load(Ordering::Relaxed) > JOINED_PAIRS {
            return Vec::new();
        }
        let near = |column: usize| column != row && distances[column] <= threshold;
        let found: Vec<u32> =
            (0..distances.len()).filter(|&column| near(column)).map(|c| c as u32).collect();
        held.fetch_add(found.len(), Ordering::Relaxed);
        found
    });
    if held.into_inner() > JOINED_PAIRS {
        return Err(Error::parameter(
            "threshold",
            format!("{threshold}, which makes more than {JOINED_PAIRS} neighbours"),
            "one that joins fewer items",
        ));
    }
    Ok(neighbors)
}
