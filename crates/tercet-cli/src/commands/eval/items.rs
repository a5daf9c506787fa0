//! Finds the rows that contain the same item, so that no item counts as its own match.

use std::collections::HashMap;
use std::fs;
use std::hash::Hash;

use ndarray::ArrayView2;
use serde::Serialize;
use tercet_train::data::{Catalogue, Content};

/// How rows with the same item are recognised.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum SameBy {
    /// Rows with the same id, or of the same picture file and box.
    Id,
    /// Rows with exactly the same vector, if there are no ids.
    Content,
}

/// The item number of every row: equal numbers mean the same item.
#[derive(Debug, Clone)]
pub(super) struct Items {
    pub(super) numbers: Vec<u32>,
    pub(super) by: SameBy,
}

impl Items {
    /// Every row is an item of its own.
    pub(super) fn distinct(rows: usize) -> Self {
        Self { numbers: (0..rows as u32).collect(), by: SameBy::Content }
    }

    pub(super) fn by_id(ids: &[String]) -> Self {
        Self { numbers: numbered(ids), by: SameBy::Id }
    }

    /// Two pictures are the same item if they are cut out of the same file at the same box, even if
    /// its path is different or a link.
    pub(super) fn of(catalogue: &Catalogue) -> Self {
        let key = |item: &tercet_train::data::Item| match &item.content {
            Content::File(path) => {
                let file = fs::canonicalize(path).unwrap_or_else(|_| path.clone());
                (file, item.attributes.crop.map(|crop| crop.to_string()))
            }
            _ => (item.id.clone().into(), None),
        };
        Self { numbers: numbered(catalogue.items.iter().map(key)), by: SameBy::Id }
    }

    /// The rows of an array of queries, followed by those of a gallery. The n-th query with some
    /// vector is the same item as the n-th gallery row with exactly this vector, so that an array
    /// that is searched with itself is evaluated as in leave-one-out.
    pub(super) fn by_content(queries: ArrayView2<f32>, gallery: ArrayView2<f32>) -> Self {
        let keys = [queries, gallery].into_iter().flat_map(|side| {
            let mut seen: HashMap<Vec<u32>, u32> = HashMap::new();
            let of_row = |row: ndarray::ArrayView1<f32>| {
                // Adding 0 turns -0 into 0.
                let bits: Vec<u32> = row.iter().map(|x| (x + 0.0).to_bits()).collect();
                let times = seen.entry(bits.clone()).or_default();
                *times += 1;
                (bits, *times)
            };
            side.outer_iter().map(of_row).collect::<Vec<_>>()
        });
        Self { numbers: numbered(keys), by: SameBy::Content }
    }

    pub(super) fn select(&self, rows: &[u32]) -> Self {
        let numbers = rows.iter().map(|&row| self.numbers[row as usize]).collect();
        Self { numbers, by: self.by }
    }

    /// The first row of every item.
    pub(super) fn first_rows(&self) -> Vec<u32> {
        let mut seen = std::collections::HashSet::new();
        (0..)
            .zip(&self.numbers)
            .filter(|(_, number)| seen.insert(**number))
            .map(|(row, _)| row)
            .collect()
    }
}

/// Equal keys get equal numbers, in the order of their first appearance.
fn numbered<K: Eq + Hash>(keys: impl IntoIterator<Item = K>) -> Vec<u32> {
    let mut known = HashMap::new();
    keys.into_iter()
        .map(|key| {
            let next = known.len() as u32;
            *known.entry(key).or_insert(next)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    #[test]
    fn equal_vectors_are_matched_one_to_one() {
        let queries = array![[1.0_f32], [1.0], [2.0]];
        let gallery = array![[2.0_f32], [1.0], [3.0], [-0.0], [1.0], [1.0]];
        let items = Items::by_content(queries.view(), gallery.view());
        assert_eq!(items.numbers, [0, 1, 2, 2, 0, 3, 4, 1, 5]);
        assert_eq!(items.first_rows(), [0, 1, 2, 5, 6, 8]);
    }
}
