//! The choice of the classes to evaluate.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use anyhow::bail;
use tercet::Labels;
use tercet_train::data::{DataError, named_classes};

/// The value of `--classes`.
#[derive(Debug, Clone)]
pub(super) enum Classes {
    /// The classes that were held out when the model was trained.
    HeldOut,
    /// The classes of a list.
    Named { file: PathBuf, names: BTreeSet<String> },
}

impl Classes {
    /// The file of the list.
    pub(super) fn file(&self) -> Option<&Path> {
        match self {
            Self::HeldOut => None,
            Self::Named { file, .. } => Some(file),
        }
    }
}

impl FromStr for Classes {
    type Err = DataError;

    fn from_str(text: &str) -> Result<Self, DataError> {
        match text {
            "held-out" => Ok(Self::HeldOut),
            path => {
                let file = PathBuf::from(path);
                Ok(Self::Named { names: named_classes(&file)?, file })
            }
        }
    }
}

/// How many of the evaluated classes a model has seen in training, and how many it has not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Mix {
    pub(super) seen: usize,
    pub(super) unseen: usize,
}

impl Mix {
    /// Counts the classes of `labels`: those whose names satisfy `is_unseen` have not been seen.
    pub(super) fn of(labels: &Labels, is_unseen: impl Fn(&str) -> bool) -> Self {
        let classes = 0..labels.class_count() as u32;
        let unseen = classes.filter(|&class| is_unseen(labels.name(class))).count();
        Self { seen: labels.class_count() - unseen, unseen }
    }
}

/// The items of these classes.
pub(super) fn items_of(
    labels: &Labels,
    names: &BTreeSet<String>,
    source: &str,
) -> anyhow::Result<Vec<u32>> {
    let Some(first) = names.first() else {
        bail!("no classes were held out in training: give --classes a file of class names");
    };
    let trimmed: BTreeSet<&str> = names.iter().map(|name| name.trim()).collect();
    let is_named = |name: &str| names.contains(name) || trimmed.contains(name.trim());
    let wanted: Vec<bool> =
        (0..labels.class_count() as u32).map(|class| is_named(labels.name(class))).collect();
    let items: Vec<u32> = (0..)
        .zip(labels.classes())
        .filter(|&(_, &class)| wanted[class as usize])
        .map(|(item, _)| item)
        .collect();
    if items.is_empty() {
        bail!(
            "none of the {} classes asked for by --classes (`{first}` …) is in {source}",
            names.len()
        );
    }
    Ok(items)
}
