//! The result of a clustering: the group of each item.

use std::collections::HashMap;

use serde::Serialize;

/// The group of each item. Noise is in no group.
///
/// Groups are numbered in the order in which they first appear.
///
/// ```
/// use tercet::clustering::Groups;
/// let groups = Groups::from_iter([Some(7), Some(3), None, Some(7)]);
/// assert_eq!(groups.of_items(), [Some(0), Some(1), None, Some(0)]);
/// assert_eq!((groups.clusters(), groups.noise()), (2, 1));
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Groups {
    of_items: Vec<Option<u32>>,
    #[serde(skip)]
    clusters: usize,
}

impl FromIterator<Option<u32>> for Groups {
    /// Groups from any numbers that are equal for items of one group.
    fn from_iter<I: IntoIterator<Item = Option<u32>>>(groups: I) -> Self {
        let mut index = HashMap::new();
        let of_items = groups
            .into_iter()
            .map(|group| {
                let next = index.len() as u32;
                group.map(|group| *index.entry(group).or_insert(next))
            })
            .collect();
        Self { of_items, clusters: index.len() }
    }
}

impl Groups {
    /// Number of items.
    pub fn len(&self) -> usize {
        self.of_items.len()
    }

    /// Whether there are no items.
    pub fn is_empty(&self) -> bool {
        self.of_items.is_empty()
    }

    /// The group of every item, below [`clusters`](Self::clusters), or `None` for noise.
    pub fn of_items(&self) -> &[Option<u32>] {
        &self.of_items
    }

    /// Number of groups. Noise is not a group.
    pub fn clusters(&self) -> usize {
        self.clusters
    }

    /// Number of items in no group.
    pub fn noise(&self) -> usize {
        self.of_items.iter().filter(|group| group.is_none()).count()
    }

    /// The items of every group, in rising order.
    pub fn items_by_group(&self) -> Vec<Vec<u32>> {
        let mut items = vec![Vec::new(); self.clusters];
        for (item, group) in self.of_items.iter().enumerate() {
            if let Some(group) = group {
                items[*group as usize].push(item as u32);
            }
        }
        items
    }
}
