//! Splits that hold out whole classes, for an evaluation on classes that the encoder has never
//! seen.

use std::collections::BTreeSet;

use rand::SeedableRng;
use rand::rngs::ChaCha8Rng;
use rand::seq::SliceRandom;
use serde::{Deserialize, Serialize};
use tercet::{Labels, ParameterError, named};

use super::{DataError, classes_named};

/// The items to train on, to validate on and to evaluate on; no class has items in two of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Split {
    /// Items to train on, in increasing order.
    pub train: Vec<u32>,
    /// Items of the evaluations during training, in increasing order; may be empty.
    pub validation: Vec<u32>,
    /// Held-out items, in increasing order; may be empty.
    pub holdout: Vec<u32>,
}

/// What is held out as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HoldoutBy {
    /// Classes.
    #[default]
    Class,
    /// All classes of a category; see [`categories`].
    Category,
}

named!(HoldoutBy, "holdout-by", [Class = "class", Category = "category"]);

/// The category of each item: the part of its class name before the last `/`, such as the alphabet
/// in `Greek/character01`.
///
/// # Errors
/// [`DataError::NoCategory`] with the first class without one.
pub fn categories(labels: &Labels) -> Result<Labels, DataError> {
    let category = |class: u32| match labels.name(class).rsplit_once('/') {
        Some((category, _)) => Ok(category),
        None => Err(DataError::NoCategory { class: labels.name(class).to_owned() }),
    };
    let of_class =
        (0..labels.class_count() as u32).map(category).collect::<Result<Vec<&str>, DataError>>()?;
    Ok(labels.classes().iter().map(|&class| of_class[class as usize]).collect())
}

/// Holds out a share of the [`categories`] with all their classes, at least one category.
///
/// # Errors
/// The errors of [`split_classes`] and of [`categories`].
pub fn split_categories(labels: &Labels, share: f64, seed: u64) -> Result<Split, DataError> {
    if share == 0.0 {
        return split_classes(labels, share, seed);
    }
    let categories = categories(labels)?;
    let (apart, _) = drawn(&categories, share, 1, seed)?;
    let apart: BTreeSet<u32> = apart.into_iter().collect();
    let classes = labels.classes().iter().zip(categories.classes());
    let names = classes
        .filter(|(_, category)| apart.contains(category))
        .map(|(&class, _)| labels.name(class).to_owned())
        .collect();
    split_named(labels, &names)
}

/// Draws a share of the classes, at least `least` of them; returns these and the others. The choice
/// depends on names and seed alone.
fn drawn(
    labels: &Labels,
    share: f64,
    least: usize,
    seed: u64,
) -> Result<(Vec<u32>, Vec<u32>), DataError> {
    if !(0.0..1.0).contains(&share) {
        return Err(DataError::Parameter(ParameterError {
            parameter: "holdout",
            got: share.to_string(),
            expected: "a share of the classes, at least 0 and below 1".to_owned(),
        }));
    }
    let mut classes: Vec<u32> = (0..labels.class_count() as u32).collect();
    classes.sort_by_key(|&class| labels.name(class));
    classes.shuffle(&mut ChaCha8Rng::seed_from_u64(seed));
    let held_out = ((classes.len() as f64 * share).round() as usize).max(least);
    let rest = classes.split_off(held_out.min(classes.len()));
    Ok((classes, rest))
}

/// Holds out a share of the classes, rounded to whole classes and at least two of them.
///
/// The choice depends on the names of the classes and on `seed`, not on the order of the items. A
/// share of 0 holds out nothing.
///
/// # Errors
/// - [`DataError::Parameter`] if `share` is not from 0 to below 1;
/// - [`DataError::TooFewClasses`] if fewer than two classes of two items remain for training, or no
///   class of two items is held out.
pub fn split_classes(labels: &Labels, share: f64, seed: u64) -> Result<Split, DataError> {
    // At least two, because among the items of a single class every neighbour is right.
    let (apart, rest) = drawn(labels, share, 2, seed)?;
    if share == 0.0 {
        return Ok(Split {
            train: (0..labels.len() as u32).collect(),
            validation: Vec::new(),
            holdout: Vec::new(),
        });
    }
    keep_apart(labels, &apart, &rest)
}

/// Holds out the classes with these names.
///
/// # Errors
/// - [`DataError::UnknownClasses`] if a name is not a class;
/// - [`DataError::TooFewClasses`] as for [`split_classes`].
pub fn split_named(labels: &Labels, names: &BTreeSet<String>) -> Result<Split, DataError> {
    let named = classes_named(labels, names, "holdout-classes", "the source")?;
    let (apart, rest): (Vec<u32>, Vec<u32>) =
        (0..labels.class_count() as u32).partition(|class| named.contains(class));
    keep_apart(labels, &apart, &rest)
}

/// The items of the classes `apart` and those of the `rest`, if both sides have enough classes.
fn keep_apart(labels: &Labels, apart: &[u32], rest: &[u32]) -> Result<Split, DataError> {
    let sizes = labels.class_sizes();
    let pairs = |classes: &[u32]| {
        let has_pair = |&&class: &&u32| sizes[class as usize] >= 2;
        classes.iter().filter(has_pair).count()
    };
    let lacking = if pairs(rest) < 2 {
        Some(("training needs two classes of two items or more", pairs(rest)))
    } else if pairs(apart) < 1 {
        Some(("judging needs a class of two items or more", pairs(apart)))
    } else {
        None
    };
    if let Some((needs, left)) = lacking {
        return Err(DataError::TooFewClasses {
            classes: sizes.len(),
            pairs: pairs(rest) + pairs(apart),
            held_out: apart.len(),
            lacking: format!("{needs}, {left} would be left"),
        });
    }
    let mut is_apart = vec![false; sizes.len()];
    for &class in apart {
        is_apart[class as usize] = true;
    }
    let (holdout, train) = (0..labels.len() as u32)
        .partition(|&item| is_apart[labels.classes()[item as usize] as usize]);
    Ok(Split { train, validation: Vec::new(), holdout })
}

impl Split {
    /// Moves classes from training to validation: a share of all classes of `labels`, rounded to
    /// whole classes and at least two of them. The held-out classes do not change.
    ///
    /// # Errors
    /// The errors of [`split_classes`].
    pub fn with_validation(
        self,
        labels: &Labels,
        share: f64,
        seed: u64,
    ) -> Result<Self, DataError> {
        if share == 0.0 {
            return Ok(self);
        }
        let rest = labels.select(&self.train);
        let share = share * labels.class_count() as f64 / rest.class_count().max(1) as f64;
        let inner = split_classes(&rest, share, seed)?;
        let items =
            |places: Vec<u32>| places.into_iter().map(|place| self.train[place as usize]).collect();
        Ok(Self {
            train: items(inner.train),
            validation: items(inner.holdout),
            holdout: self.holdout.clone(),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::data::named_classes;

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
    fn validation_takes_whole_classes_from_training_alone() {
        let labels = labels(50, 3);
        let plain = split_classes(&labels, 0.2, 7).unwrap();
        let split = plain.clone().with_validation(&labels, 0.1, 7).unwrap();
        assert_eq!(split.holdout, plain.holdout);
        let [train, validation] =
            [&split.train, &split.validation].map(|items| names(&labels, items));
        assert_eq!((train.len(), validation.len()), (35, 5));
        assert!(train.is_disjoint(&validation));
        assert!(validation.is_subset(&names(&labels, &plain.train)));
        assert_eq!(plain.clone().with_validation(&labels, 0.0, 7).unwrap(), plain);
        assert!(plain.with_validation(&labels, 0.79, 7).is_err());
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
    fn classes_are_kept_apart_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("apart.txt");
        fs::write(&file, "4\r\n\n2\n").unwrap();
        let labels = labels(5, 2);
        let split = split_named(&labels, &named_classes(&file).unwrap()).unwrap();
        assert_eq!(split.holdout, [2, 4, 7, 9]);
        assert_eq!(split.train, [0, 1, 3, 5, 6, 8]);

        fs::write(&file, "4\nfive\n").unwrap();
        let message = split_named(&labels, &named_classes(&file).unwrap()).unwrap_err().to_string();
        assert!(message.contains("holdout-classes names `five`"), "{message}");
        fs::write(&file, "0\n1\n2\n3\n").unwrap();
        let message = split_named(&labels, &named_classes(&file).unwrap()).unwrap_err().to_string();
        assert!(message.contains("cannot hold out 4 of 5"), "{message}");
        fs::write(&file, "\n").unwrap();
        assert!(named_classes(&file).unwrap_err().to_string().contains("apart.txt"));
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
            // `--holdout 0` is suggested only if it helps: if there are two classes to train on.
            assert_eq!(message.contains("`--holdout 0`"), classes >= 2, "{message}");
            assert_eq!(message.contains("add classes or items"), classes < 2, "{message}");
        }
        for (classes, share) in [(4, 0.9), (5, 0.8), (9, 0.9), (10, 0.9), (40, 0.97)] {
            let message = split_classes(&labels(classes, 2), share, 0).unwrap_err().to_string();
            let advice = message.rsplit_once("`--holdout 0.").unwrap().1;
            let advice: f64 = format!("0.{}", advice.split('`').next().unwrap()).parse().unwrap();
            assert!(split_classes(&labels(classes, 2), advice, 0).is_ok(), "{message}");
        }
        assert!(split_classes(&labels(4, 2), 0.2, 0).is_ok());
        assert!(split_classes(&labels(100, 1), 0.2, 0).is_err());
        for share in [-0.1, 1.0, f64::NAN, f64::INFINITY] {
            assert!(split_classes(&labels(9, 9), share, 0).is_err());
        }
    }

    #[test]
    fn whole_categories_and_only_where_there_are_some() {
        let twice = |names: &[&str]| -> Labels {
            names.iter().flat_map(|name| [name, name]).copied().collect()
        };
        let letters = twice(&[
            "Greek/a", "Greek/b", "Latin/a", "Latin/b", "Latin/c", "Runes/a", "Runes/b", "Kana/a",
        ]);
        let of = categories(&letters).unwrap();
        for seed in 0..5 {
            let Split { train, holdout, .. } = split_categories(&letters, 0.3, seed).unwrap();
            let (train, holdout) = (names(&of, &train), names(&of, &holdout));
            assert_eq!(train.len() + holdout.len(), 4);
            assert!(train.is_disjoint(&holdout) && holdout.len() == 1);
        }
        let message = split_categories(&twice(&["a", "b/c"]), 0.3, 0).unwrap_err().to_string();
        assert!(message.contains("`a`") && message.contains("CATEGORY/CLASS"), "{message}");
    }
}
