//! HDBSCAN: groups that persist while the threshold falls (Campello, Moulavi & Sander 2013;
//! conventions of McInnes & Healy's implementation, which scikit-learn adopted).

use super::Groups;
use super::spanning::{Parts, spanning_tree};
use crate::distance::Points;

/// Groups of at least `min_items` (2 or more). This is also the number of items, including the item
/// itself, that must be near an item for it to be dense.
///
/// Let d(i) be the distance within which item i has `min_items` items. The length between two items
/// is max(d(i), d(j), their distance). Lowering the threshold 1/λ from infinity splits the items; a
/// part of fewer than `min_items` items is not a group, and its items leave. The stability of a
/// group is the sum of λ(item leaves) − λ(group begins) over its items, and the chosen groups have
/// the largest total stability, none within another. The group of all items is never chosen.
pub(super) fn group(points: &Points, min_items: usize) -> Groups {
    let items = points.len();
    if items < min_items {
        return (0..items).map(|_| None).collect();
    }
    let around = points.sweep(points, |_, distances| {
        let (_, &mut last, _) = distances.select_nth_unstable_by(min_items - 1, f32::total_cmp);
        last
    });
    let tree = Dendrogram::new(points, &around);
    Condensed::new(&tree, min_items).groups(items)
}

/// Which parts are merged at which length. Items come first, then one node for each merge.
struct Dendrogram {
    items: usize,
    merges: Vec<Merge>,
}

struct Merge {
    /// At least two parts. Parts that are joined at the same length are joined at once, so that the
    /// order of ties, which are frequent in these lengths, has no effect.
    parts: Vec<u32>,
    length: f32,
    /// The number of items below.
    size: usize,
}

impl Dendrogram {
    fn new(points: &Points, least: &[f32]) -> Self {
        let items = points.len();
        let mut tree = Self { items, merges: Vec::with_capacity(items.saturating_sub(1)) };
        let mut parts = Parts::new(items);
        let mut node: Vec<u32> = (0..items as u32).collect();
        for tied in spanning_tree(points, least).chunk_by(|x, y| x.length == y.length) {
            let mut joined: Vec<u32> =
                tied.iter().flat_map(|edge| [parts.of(edge.one), parts.of(edge.other)]).collect();
            joined.sort_unstable();
            joined.dedup();
            tied.iter().for_each(|edge| _ = parts.join(edge.one, edge.other));
            let mut joined: Vec<(u32, u32)> =
                joined.into_iter().map(|part| (parts.of(part), part)).collect();
            joined.sort_unstable();
            for together in joined.chunk_by(|x, y| x.0 == y.0) {
                let below: Vec<u32> = together.iter().map(|part| node[part.1 as usize]).collect();
                let size = below.iter().map(|&part| tree.size(part)).sum();
                let merged = (items + tree.merges.len()) as u32;
                tree.merges.push(Merge { parts: below, length: tied[0].length, size });
                node[together[0].0 as usize] = merged;
            }
        }
        tree
    }

    fn merge(&self, node: u32) -> Option<&Merge> {
        self.merges.get((node as usize).checked_sub(self.items)?)
    }

    fn size(&self, node: u32) -> usize {
        self.merge(node).map_or(1, |merge| merge.size)
    }

    /// Calls `visit` with every item below a node.
    fn items_below(&self, node: u32, mut visit: impl FnMut(u32)) {
        let mut open = vec![node];
        while let Some(node) = open.pop() {
            match self.merge(node) {
                Some(merge) => open.extend(&merge.parts),
                None => visit(node),
            }
        }
    }
}

/// All groups that exist at some threshold, each with its parent. Parents come before their parts.
struct Condensed {
    groups: Vec<Ever>,
    /// The last group that each item was in.
    last: Vec<u32>,
}

struct Ever {
    parent: Option<u32>,
    /// The λ at which the group begins.
    begins: f64,
    stability: f64,
}

impl Condensed {
    fn new(tree: &Dendrogram, min_items: usize) -> Self {
        let mut all = Self {
            groups: vec![Ever { parent: None, begins: 0.0, stability: 0.0 }],
            last: vec![0; tree.items],
        };
        let root = (tree.items + tree.merges.len()).saturating_sub(1) as u32;
        let mut open = vec![(root, 0_u32)];
        while let Some((node, group)) = open.pop() {
            let Some(merge) = tree.merge(node) else {
                all.last[node as usize] = group;
                continue;
            };
            // Duplicates are at distance 0, for which λ is larger than all others, but finite.
            let lambda = 1.0 / f64::from(merge.length.max(f32::MIN_POSITIVE));
            let (lasting, small): (Vec<u32>, Vec<u32>) =
                merge.parts.iter().partition(|&&part| tree.size(part) >= min_items);
            for &part in &small {
                tree.items_below(part, |item| all.last[item as usize] = group);
            }
            let leaving = match lasting[..] {
                [part] => {
                    open.push((part, group));
                    merge.size - tree.size(part)
                }
                _ => merge.size,
            };
            let ever = &mut all.groups[group as usize];
            ever.stability += leaving as f64 * (lambda - ever.begins);
            if lasting.len() > 1 {
                for part in lasting {
                    open.push((part, all.groups.len() as u32));
                    all.groups.push(Ever { parent: Some(group), begins: lambda, stability: 0.0 });
                }
            }
        }
        all
    }

    /// First computes the largest stability of any choice of groups within each group. Then, from
    /// the largest groups downwards, chooses the first that is as stable as its parts.
    fn groups(&self, items: usize) -> Groups {
        let mut of_parts = vec![0.0; self.groups.len()];
        let mut is_as_good = vec![false; self.groups.len()];
        for (place, group) in self.groups.iter().enumerate().rev() {
            is_as_good[place] = group.stability >= of_parts[place];
            if let Some(parent) = group.parent {
                of_parts[parent as usize] += group.stability.max(of_parts[place]);
            }
        }
        let mut chosen: Vec<Option<u32>> = vec![None; self.groups.len()];
        for (place, group) in self.groups.iter().enumerate() {
            let Some(parent) = group.parent else { continue };
            let own = is_as_good[place].then_some(place as u32);
            chosen[place] = chosen[parent as usize].or(own);
        }
        (0..items).map(|item| chosen[self.last[item] as usize]).collect()
    }
}
