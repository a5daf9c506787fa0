//! From files to numbers: the data that an encoder is trained and evaluated on.
//!
//! A [`Source`] says where the data are. Its [`Catalogue`] lists the items and their classes
//! without decoding anything. [`Pixels`] decodes every item once, so that a corrupt file is found
//! before training starts, and returns batches of numbers. [`Vectors`] does the same for sources of
//! vectors, and [`Examples`] are either of the two. [`split_classes`] holds out whole classes for
//! evaluation, and [`Survey`] summarises a source.
//!
//! ```
//! use tercet_train::data::{Pixels, Preprocessing, PrepareOptions, Source};
//!
//! let source: Source = "glyphs".parse()?;
//! let some = source.catalogue()?.select(&[0, 1, 21]);
//! let preprocessing = Preprocessing::new(28, 28, 1);
//! let (pixels, bad) = Pixels::prepare(some, &preprocessing, &PrepareOptions::default(), &|_, _| {})?;
//!
//! assert!(bad.is_empty());
//! assert_eq!(pixels.catalogue().labels.classes(), [0, 0, 1]);
//! assert_eq!(pixels.batch(&[2, 0])?.len(), 2 * 28 * 28);
//! # Ok::<(), tercet_train::data::DataError>(())
//! ```
//!
//! Items have [`Attributes`] if the source records them. [`Catalogue::training`] and
//! [`Catalogue::judging`] select the parts to train and to evaluate on, [`Catalogue::subset`]
//! selects any part. [`Pairs`] lists pairs of items to verify, [`OneShotRuns`] lists items to
//! classify with one example per class.
//!
//! A new kind of source needs one file here with a function that returns a [`Catalogue`], one
//! variant of [`Source`] and one line of its table of kinds; if its items are of a new kind, also
//! one variant of [`Content`].

mod archive;
mod attributes;
mod augment;
mod catalogue;
mod decode;
mod embedded;
mod error;
mod examples;
mod features;
mod folder;
mod idx;
mod idx_image;
mod images;
mod jpeg;
mod label_from;
mod layout;
mod lfw;
mod look_alikes;
mod manifest;
mod market1501;
mod names;
mod omniglot;
mod orientation;
mod pairs;
mod pixels;
mod preprocessing;
mod sheets;
mod source;
mod split;
mod survey;
mod table;
mod text;
mod text_input;
mod texts;
mod tree;
mod vector;
mod vectors;
mod walk;

pub use archive::{Archive, Entry};
pub use attributes::{Attributes, Crop, Part, Parts};
pub use augment::{Augmentation, Outside};
pub use catalogue::{Catalogue, Content, Item};
pub use decode::{ALLOCATION_LIMIT, SIDE_LIMIT, decode_bytes, decode_bytes_within, decode_file};
pub use error::{BadItem, DataError};
pub use examples::{Examples, Input};
pub use idx_image::IdxImage;
pub use label_from::LabelFrom;
pub use look_alikes::look_alikes;
pub use names::{classes_named, items_named, named_classes};
pub use omniglot::{OneShotRun, OneShotRuns};
pub use pairs::{ItemPair, Pairs};
pub use pixels::{MATRIX_COLUMNS, Pixels, PrepareOptions, Window};
pub(crate) use preprocessing::over_white;
pub use preprocessing::{Filter, Fit, Preprocessing};
pub use sheets::Cell;
pub use source::{Kind, Source};
pub use split::{HoldoutBy, Split, categories, split_categories, split_classes, split_named};
pub use survey::{CameraSize, ClassSize, Duplicates, PartSize, Spread, Survey};
pub use text::Text;
pub use text_input::{TextInput, Texts, TokenPooling};
pub use vector::Vector;
pub use vectors::{Standardization, Vectors};
pub use walk::EXTENSIONS;
