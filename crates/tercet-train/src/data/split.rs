//! Whole classes kept apart, to judge on what the encoder has never seen.

use std::fmt;
use std::str::FromStr;

use rand::SeedableRng;
use rand::rngs::ChaCha8Rng;
use rand::seq::SliceRandom;
use serde::{Deserialize, Serialize};
use tercet::Labels;

use super::{Catalogue, DataError};

/// The items to train on and those to judge on; no class has items in both.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Split {
    /// Items to train on, in rising order.
    pub train: Vec<u32>,
    /// Items kept apart, in rising order; empty if nothing is.
    pub holdout: Vec<u32>,
}

/// What is kept apart as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HoldoutBy {
    /// Classes.
    #[default]
    Class,
    /// All classes of a category, see [`Catalogue::categories`].
    Category,
}

impl HoldoutBy {
    const ALL: [Self; 2] = [Self::Class, Self::Category];

    /// The name used on the command line and in files.
    pub fn name(self) -> &'static str {
        match self {
            Self::Class => "class",
            Self::Category => "category",
        }
    }
}

impl FromStr for HoldoutBy {
    type Err = DataError;

    fn from_str(text: &str) -> Result<Self, DataError> {
        Self::ALL.into_iter().find(|by| by.name() == text).ok_or_else(|| DataError::Parameter {
            parameter: "holdout-by",
            got: format!("`{text}`"),
            expected: Self::ALL.map(Self::name).join(" or "),
        })
    }
}

impl fmt::Display for HoldoutBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Split {
    /// Splits the items of a catalogue as [`split_classes`] does, by classes or by whole categories.
    ///
    /// # Errors
    /// As [`split_classes`]; [`DataError::NoCategories`] where they are asked for and there are none.
    pub fn of(
        catalogue: &Catalogue,
        by: HoldoutBy,
        share: f64,
        seed: u64,
    ) -> Result<Self, DataError> {
        match by {
            HoldoutBy::Class => split_classes(&catalogue.labels, share, seed),
            HoldoutBy::Category => {
                let categories = catalogue.require_categories()?;
                split_groups(&catalogue.labels, &categories, share, seed)
            }
        }
    }
}

/// Keeps a share of the classes apart, rounded to whole classes and at least two of them.
///
/// Which classes depends on their names and on `seed`, not on the order of the items. A share of 0
/// keeps nothing apart.
///
/// # Errors
/// - [`DataError::Parameter`] if `share` is not at least 0 and below 1;
/// - [`DataError::TooFewClasses`] if training would be left with fewer than two classes of two
///   items, or judging without a class of two items, or with a single class.
pub fn split_classes(labels: &Labels, share: f64, seed: u64) -> Result<Split, DataError> {
    split_groups(labels, labels, share, seed)
}

/// Keeps a share of the groups apart; a class lies in one group.
fn split_groups(
    labels: &Labels,
    groups: &Labels,
    share: f64,
    seed: u64,
) -> Result<Split, DataError> {
    if !(0.0..1.0).contains(&share) {
        return Err(DataError::Parameter {
            parameter: "holdout",
            got: share.to_string(),
            expected: "a share of the classes, at least 0 and below 1".to_owned(),
        });
    }
    if share == 0.0 {
        return Ok(Split { train: (0..labels.len() as u32).collect(), holdout: Vec::new() });
    }

    let mut order: Vec<u32> = (0..groups.class_count() as u32).collect();
    order.sort_by_key(|&group| groups.name(group));
    order.shuffle(&mut ChaCha8Rng::seed_from_u64(seed));
    // Among the items of a single class, every neighbour would be right.
    let fewest = if groups == labels { 2 } else { 1 };
    let held_out = ((order.len() as f64 * share).round() as usize).max(fewest);
    let mut is_apart = vec![false; order.len()];
    for &group in &order[..held_out.min(order.len())] {
        is_apart[group as usize] = true;
    }
    let (holdout, train): (Vec<u32>, Vec<u32>) = (0..labels.len() as u32)
        .partition(|&item| is_apart[groups.classes()[item as usize] as usize]);

    let pairs = |items: &[u32]| {
        let sizes = labels.select(items).class_sizes();
        sizes.into_iter().filter(|&size| size >= 2).count()
    };
    let lacking = if pairs(&train) < 2 {
        Some(("training needs two classes of two items or more", pairs(&train)))
    } else if pairs(&holdout) < 1 || labels.select(&holdout).class_count() < 2 {
        Some(("judging needs two classes, one of them of two items or more", pairs(&holdout)))
    } else {
        None
    };
    if let Some((needs, left)) = lacking {
        let sizes = labels.class_sizes();
        return Err(DataError::TooFewClasses {
            classes: sizes.len(),
            pairs: sizes.into_iter().filter(|&size| size >= 2).count(),
            held_out: labels.select(&holdout).class_count(),
            lacking: format!("{needs}, {left} would be left"),
        });
    }
    Ok(Split { train, holdout })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::data::{Content, Item};

    fn labels(classes: usize, items: usize) -> Labels {
        (0..classes * items).map(|item| item % classes).collect()
    }

    fn names(labels: &Labels, items: &[u32]) -> BTreeSet<String> {
        items.iter().map(|&item| labels.name(labels.classes()[item as usize]).to_owned()).collect()
    }

    #[test]
    fn whole_classes_and_every_item_once() {
        let labels = labels(50, 3);
        for (share, expected) in [(0.2, 10), (0.5, 25), (0.01, 2), (0.96, 48)] {
            let split = split_classes(&labels, share, 7).unwrap();
            let (train, holdout) = (names(&labels, &split.train), names(&labels, &split.holdout));
            assert_eq!(holdout.len(), expected);
            assert!(train.is_disjoint(&holdout));
            assert!(split.train.is_sorted() && split.holdout.is_sorted());
            assert_eq!(split.train.len() + split.holdout.len(), 150);
        }
    }

    #[test]
    fn the_seed_decides_and_the_order_of_items_does_not() {
        let labels = labels(50, 3);
        let holdout = |labels: &Labels, seed| {
            names(labels, &split_classes(labels, 0.2, seed).unwrap().holdout)
        };
        assert_eq!(holdout(&labels, 1), holdout(&labels, 1));
        assert_ne!(holdout(&labels, 1), holdout(&labels, 2));
        let backwards: Vec<u32> = (0..150).rev().collect();
        assert_eq!(holdout(&labels, 1), holdout(&labels.select(&backwards), 1));
    }

    #[test]
    fn share_0_trains_on_everything() {
        let split = split_classes(&labels(2, 1), 0.0, 0).unwrap();
        assert_eq!(split.train, [0, 1]);
        assert!(split.holdout.is_empty());
    }

    #[test]
    fn too_few_classes_are_refused_with_a_way_out() {
        for classes in 0..4 {
            let message = split_classes(&labels(classes, 5), 0.2, 0).unwrap_err().to_string();
            assert!(message.contains(&format!("of {classes} classes")), "{message}");
            assert!(message.contains("`--holdout 0`"), "{message}");
        }
        assert!(split_classes(&labels(4, 2), 0.2, 0).is_ok());
        assert!(split_classes(&labels(100, 1), 0.2, 0).is_err());
        for share in [-0.1, 1.0, f64::NAN, f64::INFINITY] {
            assert!(split_classes(&labels(9, 9), share, 0).is_err());
        }
    }

    #[test]
    fn whole_categories_and_only_where_there_are_some() {
        let all = |names: &[&str]| {
            let item = |id: usize| Item::new(id.to_string(), Content::File("x".into()));
            let labels: Labels = names.iter().flat_map(|name| [name, name]).copied().collect();
            let items = (0..labels.len()).map(item).collect();
            Catalogue::new("folder:x".to_owned(), items, labels)
        };
        let letters =
            all(&["Greek/a", "Greek/b", "Latin/a", "Latin/b", "Latin/c", "Futhark/a", "Futhark/b"]);
        for seed in 0..5 {
            let Split { train, holdout } =
                Split::of(&letters, HoldoutBy::Category, 0.3, seed).unwrap();
            let categories = letters.categories().unwrap();
            let (train, holdout) = (names(&categories, &train), names(&categories, &holdout));
            assert_eq!((train.len(), holdout.len()), (2, 1));
            assert!(train.is_disjoint(&holdout));
        }
        let plain = all(&["a", "b", "c", "d/e"]);
        let message = Split::of(&plain, HoldoutBy::Category, 0.3, 0).unwrap_err().to_string();
        assert!(message.contains("`a`") && message.contains("CATEGORY/CLASS"), "{message}");
    }
}
