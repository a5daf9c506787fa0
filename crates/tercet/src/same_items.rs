//! Which gallery items are the query itself. An item must never count as its own match.

use std::collections::HashMap;
use std::hash::Hash;

use crate::Error;

/// For every query, the rows of the gallery that hold the same item.
///
/// Whether two rows are the same item is decided by a key, for example an id, and not by their
/// distance: a duplicate with another key is another item, and a proper match.
///
/// ```
/// use tercet::SameItems;
/// let same = SameItems::by_key(["ann 1", "bob 1"], ["ann 1", "ann 2", "ann 1"]);
/// assert_eq!(same.of(0), [0, 2]);
/// assert!(same.of(1).is_empty());
/// assert_eq!(same.shared(), 1);
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SameItems {
    of_query: Vec<Vec<u32>>,
}

impl SameItems {
    /// Rows with equal keys hold the same item. The rows of the gallery are in increasing order.
    pub fn by_key<K: Eq + Hash>(
        queries: impl IntoIterator<Item = K>,
        gallery: impl IntoIterator<Item = K>,
    ) -> Self {
        let rows = rows_by_key(gallery);
        let of_query =
            queries.into_iter().map(|key| rows.get(&key).cloned().unwrap_or_default()).collect();
        Self { of_query }
    }

    /// For queries of which none is in the gallery.
    pub fn none(queries: usize) -> Self {
        Self { of_query: vec![Vec::new(); queries] }
    }

    /// For items that search each other: for every row, the other rows with the same key.
    pub fn within<K: Eq + Hash + Clone>(items: &[K]) -> Self {
        let rows = rows_by_key(items.iter());
        let others = |(row, key): (u32, &K)| -> Vec<u32> {
            let all = rows.get(key).map_or(&[][..], Vec::as_slice);
            all.iter().copied().filter(|&other| other != row).collect()
        };
        Self { of_query: (0..).zip(items).map(others).collect() }
    }

    /// The gallery rows that hold the item of a query. Empty for a query that does not exist.
    pub fn of(&self, query: usize) -> &[u32] {
        self.of_query.get(query).map_or(&[], Vec::as_slice)
    }

    /// Number of queries.
    pub fn queries(&self) -> usize {
        self.of_query.len()
    }

    /// The number of queries that have their own item in the gallery.
    pub fn shared(&self) -> usize {
        self.of_query.iter().filter(|rows| !rows.is_empty()).count()
    }

    /// The largest number of gallery rows that hold the item of one query.
    pub(crate) fn most(&self) -> usize {
        self.of_query.iter().map(Vec::len).max().unwrap_or(0)
    }

    /// Refuses another number of queries, or a larger gallery.
    pub(crate) fn check(&self, queries: usize, gallery: usize) -> Result<(), Error> {
        if self.queries() != queries {
            return Err(Error::LabelCount { rows: queries, labels: self.queries() });
        }
        match self.of_query.iter().flatten().max() {
            Some(&row) if row as usize >= gallery => Err(Error::parameter(
                "row of the same item",
                format!("{row} in a gallery of {gallery}"),
                "a row of the gallery",
            )),
            _ => Ok(()),
        }
    }
}

fn rows_by_key<K: Eq + Hash>(keys: impl IntoIterator<Item = K>) -> HashMap<K, Vec<u32>> {
    let mut rows: HashMap<K, Vec<u32>> = HashMap::new();
    for (row, key) in (0..).zip(keys) {
        rows.entry(key).or_default().push(row);
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_not_its_own_other() {
        let same = SameItems::within(&[7, 8, 7, 7]);
        assert_eq!(same.of(0), [2, 3]);
        assert!(same.of(1).is_empty());
        assert_eq!(same.of(3), [0, 2]);
        assert!(same.of(9).is_empty());
        assert_eq!((same.queries(), same.shared(), same.most()), (4, 3, 2));
    }

    #[test]
    fn other_sizes_are_refused() {
        let same = SameItems::by_key([1, 2], [2, 3, 2]);
        assert_eq!(same.check(2, 3), Ok(()));
        assert!(matches!(same.check(3, 3), Err(Error::LabelCount { rows: 3, labels: 2 })));
        let error = same.check(2, 2).unwrap_err().to_string();
        assert!(error.contains("2 in a gallery of 2"), "{error}");
    }
}
