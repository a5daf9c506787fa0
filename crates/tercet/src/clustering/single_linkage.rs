//! Single linkage: the groups that remain when the edges of the minimum spanning tree are cut.

use super::spanning::{Parts, spanning_tree};
use super::{Cut, Groups};
use crate::distance::Points;

/// Groups the points. `cut` is either a threshold, up to and including which items are joined, or a
/// number of groups.
pub(super) fn group(points: &Points, cut: Cut) -> Groups {
    let items = points.len();
    let tree = spanning_tree(points, &vec![0.0; items]);
    let joined = match cut {
        Cut::Clusters(clusters) => items - clusters,
        Cut::Threshold(threshold) => tree.partition_point(|edge| edge.length <= threshold),
        Cut::None => 0,
    };
    let mut parts = Parts::new(items);
    for edge in &tree[..joined] {
        parts.join(edge.one, edge.other);
    }
    (0..items as u32).map(|item| Some(parts.of(item))).collect()
}
