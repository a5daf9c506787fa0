//! Errors of reading data.

use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use tercet::ParameterError;
use thiserror::Error;

use crate::embeddings::EmbeddingsError;
use crate::printable::{printable, printable_path};

/// An item that cannot be decoded, or something that should be an item and cannot be understood.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BadItem {
    /// The item's id in its catalogue.
    pub id: String,
    /// The path of its file, or where else it was to be read from.
    pub path: String,
    /// Why it cannot be used.
    pub reason: String,
}

impl BadItem {
    pub(crate) fn new(id: &str, error: DataError) -> Self {
        let (path, reason) = match error {
            DataError::Undecodable { what, reason } => (what, reason),
            other => (id.to_owned(), other.to_string()),
        };
        Self { id: id.to_owned(), path, reason }
    }
}

impl fmt::Display for BadItem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", printable(&self.path), printable(&self.reason))
    }
}

/// The errors of reading data.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum DataError {
    /// A source of a kind that does not exist.
    #[error("unknown kind of source `{kind}` in `{text}`: expected {kinds}, or an existing path")]
    UnknownKind {
        /// The source as given.
        text: String,
        /// The text before its colon.
        kind: String,
        /// The accepted kinds.
        kinds: String,
    },
    /// A source of a known kind that is not written as this kind requires.
    #[error("source `{text}`: {expected}")]
    Malformed {
        /// The source as given.
        text: String,
        /// How this kind is written.
        expected: String,
    },
    /// A source without a kind, whose path does not exist.
    #[error("no such source or path `{text}`: expected {kinds}, or an existing path")]
    MissingPath {
        /// The source as given.
        text: String,
        /// The accepted kinds.
        kinds: String,
    },
    /// A path that is not recognised as one of the kinds.
    #[error("cannot tell what kind of source `{path}` is ({found}): name the kind, one of {kinds}")]
    Unrecognised {
        /// The path as given.
        path: String,
        /// What was found there.
        found: &'static str,
        /// The accepted kinds.
        kinds: String,
    },
    /// A file or folder that the system cannot read or does not let us read.
    #[error("cannot read {path}: {reason}", path = printable_path(path))]
    Unreadable {
        /// The path.
        path: PathBuf,
        /// The reason.
        #[source]
        reason: std::io::Error,
    },
    /// A source without items.
    #[error("{path} holds {found}: expected {expected}", path = printable_path(path))]
    Nothing {
        /// The path of the source.
        path: PathBuf,
        /// What was found instead.
        found: String,
        /// What was expected.
        expected: String,
    },
    /// Folders that are probably not the classes of the source.
    #[error("{path} holds {found}: {remedy}", path = printable_path(path))]
    Layout {
        /// The path of the source.
        path: PathBuf,
        /// What was found in it.
        found: String,
        /// How to name the source instead.
        remedy: String,
    },
    /// A file whose content cannot be used.
    #[error("{path}: {reason}", path = printable_path(path))]
    Refused {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A line of a table or list that cannot be used.
    #[error("{path}:{line}: {reason}", path = printable_path(path))]
    Line {
        /// The file.
        path: PathBuf,
        /// The line, counted from 1.
        line: u64,
        /// What is wrong with it.
        reason: String,
    },
    /// A source that has parts, but none to train on.
    #[error("nothing in {text} is to be trained on: it has the parts {parts}, expected `train`")]
    NoTraining {
        /// The source.
        text: String,
        /// Its parts.
        parts: String,
    },
    /// A class without a category, where categories are needed.
    #[error(
        "class `{}` tells no category: expected names such as CATEGORY/CLASS, as omniglot has",
        printable(class)
    )]
    NoCategory {
        /// The first class without one.
        class: String,
    },
    /// Items without a camera, where cameras are needed.
    #[error(
        "{text} tells no cameras (item `{item}`): expected one for every item, as market1501, emoji or a manifest have",
        item = printable(item)
    )]
    NoCameras {
        /// The source.
        text: String,
        /// The first item without one.
        item: String,
    },
    /// Images without classes, where classes are needed.
    #[error("{text} tells no classes: expected a source that does, such as one folder per class")]
    Unlabelled {
        /// The source.
        text: String,
    },
    /// Vectors, where images are needed.
    #[error("{text} holds vectors, not images: an encoder of images has no use for them")]
    Vectors {
        /// The source.
        text: String,
    },
    /// Images, where vectors are needed.
    #[error("{text} holds images, not vectors: an encoder of vectors has no use for them")]
    Images {
        /// The source.
        text: String,
    },
    /// Texts, where images or vectors are needed.
    #[error("{text} holds texts, not {expected}: only an encoder of texts has use for them")]
    Texts {
        /// The source.
        text: String,
        /// What is needed, `images` or `vectors`.
        expected: &'static str,
    },
    /// Images or vectors, where texts are needed.
    #[error("{text} holds {found}: expected texts (texts:FILE), since the encoder reads texts")]
    NotTexts {
        /// The source.
        text: String,
        /// What its items are, `images` or `vectors`.
        found: &'static str,
    },
    /// A text for an encoder that takes images or vectors.
    #[error("the model takes {takes}, not texts: it has no use for a text")]
    NotForTexts {
        /// What it takes, `images` or `vectors`.
        takes: &'static str,
    },
    /// A picture for an encoder that takes texts.
    #[error("an encoder of texts has no use for images")]
    TextsNotImages,
    /// A picture for an encoder that takes vectors.
    #[error("an encoder of vectors with {dimensions} components has no use for images")]
    NotForImages {
        /// The number of components that it takes.
        dimensions: usize,
    },
    /// Vectors with another number of components than the encoder takes.
    #[error("{text} holds vectors of {got} components: expected {expected}")]
    Dimensions {
        /// The source.
        text: String,
        /// The number of components of its vectors.
        got: usize,
        /// The number of components that the encoder takes.
        expected: usize,
    },
    /// A file of vectors, or of their labels, that cannot be used.
    #[error(transparent)]
    Embeddings(EmbeddingsError),
    /// An image that cannot be decoded.
    #[error("cannot decode {}: {reason}", printable(what))]
    Undecodable {
        /// The path of the file, or the id of an embedded item.
        what: String,
        /// The reason.
        reason: String,
    },
    /// A picture that cannot be resized.
    #[error("cannot resize the picture: {reason}")]
    Unresizable {
        /// The reason.
        reason: String,
    },
    /// Items that cannot be decoded or understood, found before training starts.
    #[error(
        "cannot use {first}{others}; `--skip-bad` leaves such items out",
        others = match more {
            0 => String::new(),
            1 => " (and 1 more bad item)".to_owned(),
            more => format!(" (and {more} more bad items)"),
        }
    )]
    BadItems {
        /// The first of them, in catalogue order.
        first: BadItem,
        /// The number of others.
        more: usize,
    },
    /// No item can be decoded or understood.
    #[error("none of the {items} items can be used; the first is {first}")]
    AllBad {
        /// The first of them, in catalogue order.
        first: BadItem,
        /// The number of items.
        items: usize,
    },
    /// There are no items to work on.
    #[error("{what} needs at least one item, got none")]
    NoItems {
        /// What was to be computed.
        what: &'static str,
    },
    /// More pixels than this machine can address.
    #[error("{items} items of {bytes} bytes each exceed the address space; choose smaller images")]
    TooLarge {
        /// Number of items.
        items: usize,
        /// Bytes of one of them.
        bytes: u64,
    },
    /// A parameter outside its range.
    #[error(transparent)]
    Parameter(ParameterError),
    /// Too few classes to hold some of them out.
    #[error(
        "cannot hold out {held_out} of {classes} classes ({pairs} of them with two items or more): \
         {lacking}; {way_out}", way_out = way_out(*classes, *pairs)
    )]
    TooFewClasses {
        /// Number of all classes.
        classes: usize,
        /// Number of those with two items or more.
        pairs: usize,
        /// Number of classes to be held out.
        held_out: usize,
        /// Which side would have too few classes, and how many.
        lacking: String,
    },
    /// Names that are not classes of the source.
    #[error(
        "{parameter} names `{name}`{rest}, not among the {classes} classes of {text}: {hint}",
        rest = match others { 0 => String::new(), more => format!(" and {more} more") }
    )]
    UnknownClasses {
        /// The parameter that contains them.
        parameter: &'static str,
        /// The first of the names.
        name: String,
        /// The number of others.
        others: usize,
        /// The source.
        text: String,
        /// The number of its classes.
        classes: usize,
        /// Names that may be meant.
        hint: String,
    },
    /// The user requested a stop.
    #[error("interrupted while reading the data")]
    Interrupted,
}

/// Advice if classes cannot be held out; only what works with these numbers.
fn way_out(classes: usize, pairs: usize) -> String {
    let everything = "`--holdout 0` trains on everything";
    match (classes, pairs) {
        (_, 0 | 1) => {
            "add classes or items: a triplet needs two classes with two items each".to_owned()
        }
        // At least two classes are held out and at least two remain.
        (4.., pairs) if pairs == classes => {
            let share = (2.0 / classes as f64).max(0.2);
            format!(
                "`--holdout {:.2}` holds out fewer, {everything}",
                (100.0 * share).floor() / 100.0
            )
        }
        _ => everything.to_owned(),
    }
}
