//! The class of each item.

use std::collections::HashMap;
use std::fmt::Display;
use std::hash::Hash;
use std::ops::Range;

/// The class index of each item of a batch or a data set, with the names of the classes.
///
/// Classes are numbered in the order in which they first appear.
///
/// ```
/// use tercet::Labels;
/// let labels = Labels::from_iter(["bob", "ann", "bob"]);
/// assert_eq!(labels.classes(), [0, 1, 0]);
/// assert_eq!(labels.name(1), "ann");
/// assert_eq!(labels.class_sizes(), [2, 1]);
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Labels {
    classes: Vec<u32>,
    names: Vec<String>,
}

impl<T: Display> FromIterator<T> for Labels {
    fn from_iter<I: IntoIterator<Item = T>>(labels: I) -> Self {
        let mut index = HashMap::new();
        let mut names = Vec::new();
        let classes = labels
            .into_iter()
            .map(|label| {
                let name = label.to_string();
                *index.entry(name).or_insert_with_key(|name| {
                    names.push(name.clone());
                    (names.len() - 1) as u32
                })
            })
            .collect();
        Self { classes, names }
    }
}

impl Labels {
    /// Number of items.
    pub fn len(&self) -> usize {
        self.classes.len()
    }

    /// Whether there are no items.
    pub fn is_empty(&self) -> bool {
        self.classes.is_empty()
    }

    /// The class index of every item.
    pub fn classes(&self) -> &[u32] {
        &self.classes
    }

    /// Number of classes.
    pub fn class_count(&self) -> usize {
        self.names.len()
    }

    /// The name of a class.
    ///
    /// # Panics
    /// If `class` is not below [`class_count`](Self::class_count).
    pub fn name(&self, class: u32) -> &str {
        &self.names[class as usize]
    }

    /// Number of items of every class.
    pub fn class_sizes(&self) -> Vec<usize> {
        let mut sizes = vec![0; self.names.len()];
        for &class in &self.classes {
            sizes[class as usize] += 1;
        }
        sizes
    }

    /// The items of every class, in rising order.
    pub fn items_by_class(&self) -> Vec<Vec<u32>> {
        let mut items = vec![Vec::new(); self.names.len()];
        for (item, &class) in self.classes.iter().enumerate() {
            items[class as usize].push(item as u32);
        }
        items
    }

    /// The labels of the given items, in the given order. Classes without any of these items are
    /// left out.
    ///
    /// # Panics
    /// If an item is not below [`len`](Self::len).
    pub fn select(&self, items: &[u32]) -> Self {
        items.iter().map(|&item| self.name(self.classes[item as usize])).collect()
    }

    /// Labels from class numbers, such as the integer labels of a data set: equal numbers are one
    /// class, whose name is the number. Takes one lookup per item, and text only for the names.
    ///
    /// ```
    /// use tercet::Labels;
    /// assert_eq!(Labels::from_classes(&[7_i64, -3, 7]), Labels::from_iter(["7", "-3", "7"]));
    /// ```
    pub fn from_classes<T: Copy + Eq + Hash + Display>(classes: &[T]) -> Self {
        let mut index = HashMap::new();
        let mut names = Vec::new();
        let number = |&class: &T| {
            *index.entry(class).or_insert_with(|| {
                names.push(class.to_string());
                (names.len() - 1) as u32
            })
        };
        let classes = classes.iter().map(number).collect();
        Self { classes, names }
    }

    /// The classes of these items and the labels of `other` in one numbering, where equal names are
    /// one class. The returned labels also have the classes of these items, possibly without items.
    pub(crate) fn joint_classes(&self, other: &Self) -> (Vec<u32>, Self) {
        let Self { classes, names } = self.chain(other);
        let (own, others) = classes.split_at(self.len());
        (own.to_vec(), Self { classes: others.to_vec(), names })
    }

    /// The labels of these items followed by those of `other`: equal names are one class.
    pub fn chain(&self, other: &Self) -> Self {
        let mut names = self.names.clone();
        let mut index: HashMap<&str, u32> =
            self.names.iter().map(String::as_str).zip(0..).collect();
        let renumbered: Vec<u32> = other
            .names
            .iter()
            .map(|name| {
                *index.entry(name).or_insert_with(|| {
                    names.push(name.clone());
                    (names.len() - 1) as u32
                })
            })
            .collect();
        let others = other.classes.iter().map(|&class| renumbered[class as usize]);
        Self { classes: self.classes.iter().copied().chain(others).collect(), names }
    }
}

/// Items in class order, so that the positives of an anchor are neighbours and the row kernels need
/// no labels. The order is stable: within a class it is the original order.
#[derive(Debug, Clone)]
pub(crate) struct ClassOrder {
    /// `items[rank]` is the original index of the item at position `rank`.
    pub(crate) items: Vec<u32>,
    /// `ranks[item]` is the position of the item.
    pub(crate) ranks: Vec<u32>,
    /// The positions of class `c`.
    pub(crate) ranges: Vec<Range<usize>>,
    /// `class[rank]` is the class of the item at position `rank`.
    pub(crate) class: Vec<u32>,
}

impl ClassOrder {
    pub(crate) fn new(labels: &Labels) -> Self {
        let mut end = 0;
        let ranges: Vec<Range<usize>> = labels
            .class_sizes()
            .into_iter()
            .map(|size| {
                let start = end;
                end += size;
                start..end
            })
            .collect();
        let mut next: Vec<usize> = ranges.iter().map(|range| range.start).collect();
        let mut items = vec![0; labels.len()];
        let mut ranks = vec![0; labels.len()];
        let mut class = vec![0; labels.len()];
        for (item, &c) in labels.classes().iter().enumerate() {
            let rank = next[c as usize];
            next[c as usize] += 1;
            items[rank] = item as u32;
            ranks[item] = rank as u32;
            class[rank] = c;
        }
        Self { items, ranks, ranges, class }
    }

    pub(crate) fn positives_of(&self, rank: usize) -> Range<usize> {
        self.ranges[self.class[rank] as usize].clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn class_order_is_stable_and_complete() {
        let labels = Labels::from_iter([7, 3, 7, 9, 3, 7]);
        let order = ClassOrder::new(&labels);
        assert_eq!(order.items, [0, 2, 5, 1, 4, 3]);
        assert_eq!(order.ranks, [0, 3, 1, 5, 4, 2]);
        assert_eq!(order.class, [0, 0, 0, 1, 1, 2]);
        assert_eq!(order.positives_of(4), 3..5);
    }

    #[test]
    fn chaining_keeps_names() {
        let first = Labels::from_iter(["a", "b", "a"]);
        let second = Labels::from_iter(["c", "b", "c", "d"]);
        let both = Labels::from_iter(["a", "b", "a", "c", "b", "c", "d"]);
        assert_eq!(first.chain(&second), both);
        assert_eq!(Labels::default().chain(&second), second);
    }

    #[test]
    fn selection_renumbers_classes() {
        let labels = Labels::from_iter(["a", "b", "c", "b"]);
        let some = labels.select(&[3, 2]);
        assert_eq!(some, Labels::from_iter(["b", "c"]));
    }
}
