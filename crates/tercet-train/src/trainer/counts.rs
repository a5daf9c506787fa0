//! Counts of classes and items, and of the items that steps processed.

use std::ops::AddAssign;

use serde::{Deserialize, Serialize};
use tercet::Labels;

/// Numbers of classes and items.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Count {
    /// Classes.
    pub classes: usize,
    /// Items.
    pub items: usize,
}

impl Count {
    pub(super) fn of(labels: &Labels) -> Self {
        Self { classes: labels.class_count(), items: labels.len() }
    }
}

/// The number of items that steps processed, and for how many of them a backward pass was computed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Work {
    /// Items that were embedded and evaluated.
    pub items: u64,
    /// Items for which a backward pass was computed.
    pub backward: u64,
}

impl Work {
    pub(super) fn new(items: usize, backward: usize) -> Self {
        Self { items: items as u64, backward: backward as u64 }
    }

    /// Share of the items for which a backward pass was computed.
    pub fn share(self) -> f64 {
        self.backward as f64 / self.items.max(1) as f64
    }
}

impl AddAssign for Work {
    fn add_assign(&mut self, other: Self) {
        self.items += other.items;
        self.backward += other.backward;
    }
}
