//! The contingency table: how many items each group shares with each class.

use super::Groups;
use crate::Labels;

/// The items that a group and a class have in common, at least one.
pub(super) struct Cell {
    pub(super) group: u32,
    pub(super) class: u32,
    pub(super) count: u64,
}

/// The cells that are not empty, and the sums of their rows and columns.
pub(super) struct Contingency {
    pub(super) cells: Vec<Cell>,
    /// Each item of noise counts as a group of one item.
    pub(super) group_sizes: Vec<u64>,
    pub(super) class_sizes: Vec<u64>,
    pub(super) items: u64,
}

impl Contingency {
    /// The table of `groups` and `labels`, which are of the same items.
    pub(super) fn new(groups: &Groups, labels: &Labels) -> Self {
        let mut alone = groups.clusters() as u32..;
        let group_of = groups.of_items().iter().map(|group| group.or_else(|| alone.next()));
        let mut pairs: Vec<(u32, u32)> =
            group_of.flatten().zip(labels.classes().iter().copied()).collect();
        pairs.sort_unstable();
        let mut group_sizes = vec![0; groups.clusters() + groups.noise()];
        let cells = pairs
            .chunk_by(|x, y| x == y)
            .map(|shared| {
                let ((group, class), count) = (shared[0], shared.len() as u64);
                group_sizes[group as usize] += count;
                Cell { group, class, count }
            })
            .collect();
        let class_sizes = labels.class_sizes().into_iter().map(|size| size as u64).collect();
        Self { cells, group_sizes, class_sizes, items: labels.len() as u64 }
    }

    /// Whether groups and classes are the same partition.
    pub(super) fn is_one_to_one(&self) -> bool {
        self.cells.len() == self.group_sizes.len() && self.cells.len() == self.class_sizes.len()
    }

    /// Σ n(g,c)/N · ln(N·n(g,c) / (n(g)·n(c))).
    pub(super) fn mutual_information(&self) -> f64 {
        let items = self.items as f64;
        let term = |cell: &Cell| {
            let count = cell.count as f64;
            let group = self.group_sizes[cell.group as usize] as f64;
            let class = self.class_sizes[cell.class as usize] as f64;
            count / items * (items * count / (group * class)).ln()
        };
        // The sum has terms of both signs, but is negative only by rounding.
        self.cells.iter().map(term).sum::<f64>().max(0.0)
    }

    /// −Σ n/N · ln(n/N).
    pub(super) fn entropy(&self, sizes: &[u64]) -> f64 {
        let items = self.items as f64;
        sizes.iter().map(|&size| -(size as f64 / items) * (size as f64 / items).ln()).sum()
    }
}
