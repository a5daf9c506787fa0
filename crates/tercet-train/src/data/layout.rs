//! Decides what the folders directly below a source are: classes, parts, or a mistake.
//!
//! A `folder` source should have one folder per class. But data sets also have parts (`train`,
//! `val`, `test`) or folds around the classes, or one folder more than expected around everything.
//! Taken as classes, all of these would train without an error, on meaningless classes.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::walk::Found;
use super::{DataError, Part};
use crate::printable::{printable, printable_path};

/// The images below one of the folders directly below the root. Their ids start with its name.
pub(crate) struct Top {
    pub(crate) name: String,
    pub(crate) images: Vec<Found>,
}

/// What the folders are.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Layout {
    /// Each folder is a class.
    Classes,
    /// Each folder is a part, with one folder per class in it.
    Parts(Vec<Part>),
}

/// The contents of a folder.
struct Inside<'a> {
    name: &'a str,
    part: Option<Part>,
    /// Number of images directly in it.
    direct: usize,
    images: usize,
    /// Folders in it that contain images.
    folders: BTreeSet<&'a str>,
}

/// Names, without the number after them, of folders that divide data at random.
const DIVISIONS: [&str; 9] =
    ["fold", "split", "part", "set", "subset", "cv", "shard", "chunk", "partition"];

/// Names of folders that only say that there are pictures in them.
const GENERAL: [&str; 7] = ["images", "image", "imgs", "img", "pictures", "photos", "jpegimages"];

/// The number of names of a list that a message contains.
const TOLD: usize = 3;

impl Layout {
    /// Decides what the folders are; each contains an image.
    ///
    /// # Errors
    /// [`DataError::Layout`], with what to write instead, if the folders are probably not classes.
    pub(crate) fn of(root: &Path, tops: &[Top]) -> Result<Self, DataError> {
        let inside: Vec<Inside<'_>> = tops.iter().map(Inside::of).collect();
        let refuse = |found: String, remedy: String| DataError::Layout {
            path: root.to_owned(),
            found,
            remedy,
        };
        if let Some(parts) = parts(root, &inside, &refuse)? {
            return Ok(Self::Parts(parts));
        }
        if let Some(inner) = wrapped(tops, &inside) {
            let inner = root.join(inner);
            return Err(refuse(
                format!("one folder, `{}`, with the folders of classes in it", inside[0]),
                format!("use {}; {OUTER} if it is a class", printable_path(&inner)),
            ));
        }
        if let Some(repeated) = repeated(&inside) {
            let first = inside.iter().find(|folder| folder.is_nested()).map_or("", |one| one.name);
            let what = match repeated.is_empty() {
                true => "each with folders in them".to_owned(),
                false => format!("which repeat the same folders ({})", listed(&repeated)),
            };
            let names: Vec<&str> = inside.iter().map(|folder| folder.name).collect();
            return Err(refuse(
                format!("the folders {}, {what}", listed(&names)),
                format!(
                    "use one of them, {}; or add --label-from '([^/]+)/[^/]+$' if the inner \
                     folders are the classes, {OUTER} if the outer ones are",
                    printable_path(&root.join(first))
                ),
            ));
        }
        Ok(Self::Classes)
    }

    /// The parts that the folders are, if the classes are in the file names; `None` unless every
    /// folder is a part.
    pub(crate) fn parts_alone(tops: &[&str]) -> Option<Vec<Part>> {
        let parts: Option<Vec<Part>> = tops.iter().map(|name| Part::named(name)).collect();
        parts.filter(|parts| !parts.is_empty())
    }
}

/// The option that takes the outermost folder as the class.
const OUTER: &str = "add --label-from '^([^/]+)/'";

impl<'a> Inside<'a> {
    fn of(top: &'a Top) -> Self {
        let mut inside = Self {
            name: &top.name,
            part: Part::named(&top.name),
            direct: 0,
            images: top.images.len(),
            folders: BTreeSet::new(),
        };
        for (id, _) in &top.images {
            let mut names = id.split('/').skip(1);
            match (names.next(), names.next()) {
                (Some(folder), Some(_)) => drop(inside.folders.insert(folder)),
                _ => inside.direct += 1,
            }
        }
        inside
    }

    /// Whether at least half of its images are in inner folders.
    fn holds_folders(&self) -> bool {
        2 * self.direct <= self.images && !self.folders.is_empty()
    }

    /// Whether more than half of its images are in inner folders.
    fn is_nested(&self) -> bool {
        2 * self.direct < self.images
    }
}

impl std::fmt::Display for Inside<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&printable(self.name))
    }
}

/// The parts that the folders are, according to their names and to the folders of classes in them.
fn parts(
    root: &Path,
    inside: &[Inside<'_>],
    refuse: &dyn Fn(String, String) -> DataError,
) -> Result<Option<Vec<Part>>, DataError> {
    let named: Vec<&Inside<'_>> = inside.iter().filter(|folder| folder.part.is_some()).collect();
    let distinct: BTreeSet<&str> =
        named.iter().filter_map(|folder| folder.part).map(Part::name).collect();
    let with_classes: Vec<&Inside<'_>> =
        named.iter().copied().filter(|folder| folder.holds_folders()).collect();
    let names = |folders: &[&Inside<'_>]| -> String {
        listed(&folders.iter().map(|folder| folder.name).collect::<Vec<_>>())
    };
    // One folder called `train` among others may well contain pictures of trains.
    let are_parts = distinct.len() >= 2 || named.len() == inside.len();
    if !are_parts || (with_classes.is_empty() && distinct.len() < 2) {
        return Ok(None);
    }
    let one = with_classes.first().map(|part| printable_path(&root.join(part.name)));
    if with_classes.is_empty() {
        if named.len() < inside.len() {
            return Ok(None);
        }
        return Err(refuse(
            format!("the parts {} without folders of classes in them", names(&named)),
            format!(
                "expected PART/CLASS/IMAGE; add --label-from REGEX if file names tell the class, or \
                 use images:{} without classes",
                printable_path(root)
            ),
        ));
    }
    let one = one.unwrap_or_default();
    let others: Vec<&Inside<'_>> = inside.iter().filter(|folder| folder.part.is_none()).collect();
    if !others.is_empty() {
        return Err(refuse(
            format!("the parts {} and beside them {}", names(&named), names(&others)),
            format!("use one part, {one}, or move {} elsewhere", names(&others)),
        ));
    }
    // All images of a part are in one folder that is not a class, as in `val/images`.
    let is_alone = |part: &Inside<'_>| {
        let is_general = |name: &&str| GENERAL.contains(&name.to_lowercase().as_str());
        part.folders.len() == 1 && part.folders.iter().all(is_general)
    };
    let bare: Vec<&Inside<'_>> =
        named.iter().copied().filter(|part| !part.holds_folders() || is_alone(part)).collect();
    if let Some(good) = with_classes.iter().find(|part| !is_alone(part))
        && !bare.is_empty()
    {
        return Err(refuse(
            format!("the part {} without folders of classes in it", names(&bare)),
            format!(
                "use {}, or sort the images of {} into folders of classes",
                printable_path(&root.join(good.name)),
                names(&bare)
            ),
        ));
    }
    Ok(Some(inside.iter().filter_map(|folder| folder.part).collect()))
}

/// The path from the root to the folder that contains several folders, if all images are below it.
fn wrapped<'a>(tops: &'a [Top], inside: &[Inside<'a>]) -> Option<String> {
    let ([top], [folder]) = (tops, inside) else { return None };
    if !folder.is_nested() {
        return None;
    }
    let mut path = vec![folder.name];
    loop {
        let mut folders: BTreeSet<&str> = BTreeSet::new();
        let mut direct = 0;
        for (id, _) in &top.images {
            let mut names = id.split('/').skip(path.len());
            match (names.next(), names.next()) {
                (Some(name), Some(_)) => drop(folders.insert(name)),
                _ => direct += 1,
            }
        }
        match (folders.len(), folders.first()) {
            (2.., _) if 2 * direct < top.images.len() => return Some(path.join("/")),
            (1, Some(only)) if direct == 0 => path.push(only),
            _ => return None,
        }
    }
}

/// The names that occur in several folders, if the folders are divisions of the data and not
/// classes. The list may be empty if the names of the folders are those of divisions.
fn repeated<'a>(inside: &[Inside<'a>]) -> Option<Vec<&'a str>> {
    let nested: Vec<&Inside<'a>> = inside.iter().filter(|folder| folder.is_nested()).collect();
    if nested.len() < 2 {
        return None;
    }
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for name in nested.iter().flat_map(|folder| &folder.folders) {
        *counts.entry(name).or_default() += 1;
    }
    let repeated: Vec<&str> =
        counts.iter().filter(|(_, count)| **count >= 2).map(|(name, _)| *name).collect();
    let by_name = nested.len() == inside.len() && inside.iter().all(|one| is_division(one.name));
    let by_content = repeated.len() >= 2 && 2 * repeated.len() >= counts.len();
    (by_name || by_content).then_some(repeated)
}

/// Whether a name is like `fold1` or `Split-02`.
fn is_division(name: &str) -> bool {
    let name = name.to_lowercase();
    let word = name.trim_end_matches(|digit: char| digit.is_ascii_digit());
    word.len() < name.len() && DIVISIONS.contains(&word.trim_end_matches(['-', '_', ' ', '.']))
}

/// The first of some names, and the number of others.
fn listed(names: &[&str]) -> String {
    let told: Vec<String> =
        names.iter().take(TOLD).map(|name| format!("`{}`", printable(name))).collect();
    let told = told.join(", ");
    match names.len().saturating_sub(TOLD) {
        0 => told,
        more => format!("{told} and {more} more"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The layout of these images; the root is `photos`.
    fn layout(images: &[&str]) -> Result<Layout, String> {
        let mut tops: BTreeMap<&str, Vec<Found>> = BTreeMap::new();
        for image in images {
            let top = image.split('/').next().unwrap_or_default();
            tops.entry(top).or_default().push(((*image).to_owned(), image.into()));
        }
        let top = |(name, images): (&str, _)| Top { name: name.to_owned(), images };
        let tops: Vec<Top> = tops.into_iter().map(top).collect();
        Layout::of(Path::new("photos"), &tops).map_err(|error| error.to_string())
    }

    #[test]
    fn folders_are_classes_unless_they_say_otherwise() {
        for images in [
            &["cat/1.png", "dog/1.png"][..],
            &["cat/2019/1.png", "dog/2019/1.png"],
            &["cat/a/1.png", "cat/b/1.png", "dog/c/1.png"],
            &["bus/1.png", "car/1.png", "train/1.png"],
            &["bus/x/1.png", "car/y/1.png", "train/z/1.png"],
            &["ann/1.png"],
            &["ann/deep/er/1.png"],
            &["ann/1.png", "ann/2.png", "ann/old/1.png", "ann/older/1.png"],
            &["fold1/1.png", "fold2/1.png"],
            &["test/1.png"],
        ] {
            assert_eq!(layout(images), Ok(Layout::Classes), "{images:?}");
        }
    }

    #[test]
    fn parts_are_told_by_name_in_any_case() {
        let parts = |images: &[&str]| match layout(images) {
            Ok(Layout::Parts(parts)) => parts.into_iter().map(Part::name).collect::<Vec<_>>(),
            other => panic!("{images:?}: {other:?}"),
        };
        let images = ["TEST/a/1.png", "Train/a/1.png", "Train/b/1.png", "Valid/b/1.png"];
        assert_eq!(parts(&images), ["test", "train", "validation"]);
        assert_eq!(parts(&["gallery/a/1.png", "query/a/1.png"]), ["gallery", "query"]);
        assert_eq!(parts(&["train/a/1.png", "train/b/1.png"]), ["train"]);
        // A stray image does not make a part a class.
        let images = ["train/a/1.png", "train/a/2.png", "train/x.png", "val/a/1.png"];
        assert_eq!(parts(&images), ["train", "validation"]);
    }

    #[test]
    fn what_is_no_class_is_refused_with_what_to_write() {
        for (images, words) in [
            (&["lfw/a/1.png", "lfw/b/1.png"][..], &["`lfw`", "use photos/lfw"][..]),
            (&["x/y/a/1.png", "x/y/b/1.png"], &["use photos/x/y"]),
            (&["data/train/a/1.png", "data/test/a/1.png"], &["use photos/data"]),
            (
                &["fold1/a/1.png", "fold1/b/1.png", "fold2/a/1.png", "fold2/b/1.png"],
                &["`fold1`, `fold2`", "(`a`, `b`)", "photos/fold1", "--label-from"],
            ),
            (&["fold1/a/1.png", "fold2/b/1.png"], &["photos/fold1"]),
            (
                &["x/a/1.png", "x/b/1.png", "y/a/1.png", "y/b/1.png", "z/a/1.png"],
                &["`x`, `y`, `z`", "photos/x"],
            ),
            (&["train/1.png", "test/1.png"], &["--label-from", "images:photos"]),
            (&["train/a/1.png", "test/1.png"], &["part `test`", "use photos/train"]),
            (
                &["train/a/1.png", "train/b/1.png", "val/images/1.png"],
                &["part `val`", "use photos/train"],
            ),
            (
                &["train/a/1.png", "test/a/1.png", "notes/1.png"],
                &["beside them `notes`", "photos/test"],
            ),
        ] {
            let message = layout(images).unwrap_err();
            for word in words {
                assert!(message.contains(word), "{images:?}: `{word}` in {message}");
            }
        }
    }
}
