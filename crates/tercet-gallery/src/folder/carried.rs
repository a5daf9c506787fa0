//! The rows of a snapshot whose vectors were carried over from an older model.

use crate::CarriedItems;

/// Vectors that the gallery's model did not compute.
pub(super) struct CarriedRows {
    pub(super) items: CarriedItems,
    /// For each part of the snapshot, one bit per row.
    pub(super) bits: Vec<Vec<u64>>,
    /// Whether the vectors of other items were computed by the gallery's model.
    pub(super) are_mixed: bool,
}

/// The rows among which a search takes place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Among {
    All,
    /// Those that the gallery's model computed.
    Computed,
    /// Those that were carried over from an older model.
    Carried,
}

impl CarriedRows {
    /// Whether the vector of a row was carried over.
    pub(super) fn contains(&self, part: usize, row: usize) -> bool {
        self.bits[part][row / 64] >> (row % 64) & 1 == 1
    }

    /// Removes the rows of the other kind from those that a search may find; for each part one bit
    /// per row, or `None` if all rows may be found.
    pub(super) fn keep(&self, kept: &mut [Option<Vec<u64>>], among: Among) {
        if among == Among::All {
            return;
        }
        for (kept, carried) in kept.iter_mut().zip(&self.bits) {
            let kept = kept.get_or_insert_with(|| vec![!0; carried.len()]);
            for (kept, carried) in kept.iter_mut().zip(carried) {
                *kept &= if among == Among::Carried { *carried } else { !*carried };
            }
        }
    }
}
