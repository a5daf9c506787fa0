//! The minimum spanning tree of all items, without storing their distances.

use crate::distance::Points;

/// Two items that the tree joins.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Edge {
    pub(super) one: u32,
    pub(super) other: u32,
    pub(super) length: f32,
}

/// The N − 1 edges of a minimum spanning tree, in rising order of length. The length between two
/// items is the largest of their distance and their values of `least` (0 for plain distances).
///
/// Borůvka's algorithm: in each round every part finds its shortest edge to another part in one
/// sweep over tiles. The number of parts at least halves, so there are at most log₂ N sweeps.
pub(super) fn spanning_tree(points: &Points, least: &[f32]) -> Vec<Edge> {
    let items = points.len();
    let mut parts = Parts::new(items);
    let mut tree = Vec::with_capacity(items.saturating_sub(1));
    while tree.len() + 1 < items {
        let part: Vec<u32> = (0..items as u32).map(|item| parts.of(item)).collect();
        let ways = points.sweep(points, |row, distances| {
            let mut shortest: Option<Edge> = None;
            for (column, &distance) in distances.iter().enumerate() {
                if part[column] != part[row] {
                    let length = distance.max(least[row]).max(least[column]);
                    let (one, other) = (row.min(column) as u32, row.max(column) as u32);
                    let edge = Edge { one, other, length };
                    if shortest.is_none_or(|old| edge.comes_before(&old)) {
                        shortest = Some(edge);
                    }
                }
            }
            shortest
        });
        let mut shortest: Vec<Option<Edge>> = vec![None; items];
        for (item, way) in ways.into_iter().enumerate() {
            if let Some(edge) = way {
                let best = &mut shortest[part[item] as usize];
                if best.is_none_or(|old| edge.comes_before(&old)) {
                    *best = Some(edge);
                }
            }
        }
        // Two parts may choose the same edge.
        tree.extend(shortest.into_iter().flatten().filter(|edge| parts.join(edge.one, edge.other)));
    }
    tree.sort_unstable_by(|x, y| x.length.total_cmp(&y.length).then(x.ends().cmp(&y.ends())));
    tree
}

impl Edge {
    fn ends(&self) -> (u32, u32) {
        (self.one, self.other)
    }

    /// A total order of edges, so that ties do not close a cycle.
    fn comes_before(&self, other: &Self) -> bool {
        self.length < other.length || self.length == other.length && self.ends() < other.ends()
    }
}

/// Which items are joined so far (union-find with path halving).
pub(super) struct Parts {
    above: Vec<u32>,
}

impl Parts {
    pub(super) fn new(items: usize) -> Self {
        Self { above: (0..items as u32).collect() }
    }

    /// The item that represents its whole part.
    pub(super) fn of(&mut self, mut item: u32) -> u32 {
        while self.above[item as usize] != item {
            let above = self.above[item as usize];
            self.above[item as usize] = self.above[above as usize];
            item = above;
        }
        item
    }

    /// Joins the parts of two items. Returns whether they were different.
    pub(super) fn join(&mut self, one: u32, other: u32) -> bool {
        let (one, other) = (self.of(one), self.of(other));
        self.above[one.max(other) as usize] = one.min(other);
        one != other
    }
}
