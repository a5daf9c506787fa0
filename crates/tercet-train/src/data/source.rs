//! Sources of data: their kinds, how they are written, and how the kind of a path is recognised.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use super::sheets::Set;
use super::{
    Augmentation, Catalogue, DataError, LabelFrom, OneShotRuns, features, folder, idx, images, lfw,
    look_alikes, manifest, market1501, omniglot, table, texts, walk,
};
use crate::printable::{exact_name, printable_path};

/// Where data are, written `kind` or `kind:PATH`, or as a path alone, whose kind is recognised.
///
/// [`Display`](fmt::Display) always writes the kind, and its result can be parsed again.
///
/// ```
/// use tercet_train::data::Source;
/// let source: Source = "folder:photos".parse()?;
/// assert_eq!(source, Source::Folder("photos".into()));
/// assert_eq!(source.to_string(), "folder:photos");
/// assert_eq!("quickstart".parse::<Source>()?, Source::Glyphs);
/// # Ok::<(), tercet_train::data::DataError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Source {
    /// The embedded glyphs: 500 Japanese characters in 21 typefaces.
    Glyphs,
    /// The embedded emoji: the same emoji as drawn by six vendors.
    Emoji,
    /// One folder per class, images in it at any depth.
    Folder(PathBuf),
    /// Images at any depth without classes: to embed, search and cluster.
    Images(PathBuf),
    /// Images at any depth whose classes are in their names: a source `folder` or `images` with
    /// [`with_label_from`](Self::with_label_from). It is written like these.
    Named {
        /// The folder.
        root: PathBuf,
        /// The expression that takes the class out of a name.
        label_from: LabelFrom,
        /// The kind as given, `folder` or `images`.
        kind: &'static str,
    },
    /// A table of images: path, class, and what else is known about each.
    Manifest(PathBuf),
    /// Re-identification in the layout of Market-1501.
    Market1501(PathBuf),
    /// Labeled Faces in the Wild: one folder per person, and a list of pairs.
    Lfw(PathBuf),
    /// Omniglot: its sets and one-shot runs, as folders or zip files.
    Omniglot(PathBuf),
    /// MNIST and its family: IDX files, gzipped or not.
    Idx(PathBuf),
    /// Texts: rows of CSV, JSON Lines or Parquet, or text files in one folder per class.
    Texts(PathBuf),
    /// Vectors instead of images.
    Features {
        /// The file with the vectors.
        path: PathBuf,
        /// A file with their labels, if the first has none and there is none beside it.
        labels: Option<PathBuf>,
    },
}

/// A line of the table of kinds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kind {
    /// How a source of this kind is written.
    pub usage: &'static str,
    /// What is at its path.
    pub what: &'static str,
}

impl Source {
    /// All kinds, in the order in which help and errors list them.
    pub const KINDS: &[Kind] = &[
        Kind {
            usage: "glyphs",
            what: "embedded: 500 Japanese characters in 21 typefaces (also `quickstart`)",
        },
        Kind {
            usage: "emoji",
            what: "embedded: the same emoji as six vendors draw it, in colour, and harder",
        },
        Kind {
            usage: "folder:DIR",
            what: "one folder per class, images in it at any depth; or train, val, test, query, gallery with such folders in them",
        },
        Kind {
            usage: "images:DIR",
            what: "images at any depth without classes, to search or group",
        },
        Kind {
            usage: "manifest:FILE",
            what: "CSV or Parquet: path,label and optionally split,is_query,is_gallery,camera,sequence,x1,y1,x2,y2",
        },
        Kind {
            usage: "market1501:DIR",
            what: "bounding_box_train, query, bounding_box_test; names as 0002_c1s1_000451_03.jpg",
        },
        Kind { usage: "lfw:DIR", what: "one folder per person, pairs.txt in it or beside it" },
        Kind {
            usage: "omniglot:PATH",
            what: "images_background, images_evaluation, all_runs: folders or .zip files",
        },
        Kind {
            usage: "idx:PATH",
            what: "MNIST and its family: train-images-idx3-ubyte[.gz] …, a folder or one of them",
        },
        Kind {
            usage: "texts:PATH",
            what: "sentences: CSV, JSON Lines or Parquet with text,label and optionally id,split,is_query,is_gallery; or one folder per class with text files in it",
        },
        Kind {
            usage: "features:FILE",
            what: "vectors instead of images: .safetensors, .parquet, or .npy with labels in another file",
        },
    ];

    /// Lists the items, without decoding anything.
    ///
    /// # Errors
    /// A [`DataError`] with the path if nothing can be read there, or if it is not a source of this
    /// kind.
    pub fn catalogue(&self) -> Result<Catalogue, DataError> {
        let mut catalogue = self.list()?;
        catalogue.problems.extend(look_alikes(&catalogue.labels));
        Ok(catalogue)
    }

    fn list(&self) -> Result<Catalogue, DataError> {
        match self {
            Self::Glyphs => Ok(Set::Glyphs.catalogue(self.to_string())),
            Self::Emoji => Ok(Set::Emoji.catalogue(self.to_string())),
            Self::Folder(root) => folder::catalogue(self.to_string(), root),
            Self::Images(root) => images::catalogue(self.to_string(), root),
            Self::Named { root, label_from, .. } => {
                folder::by_name(self.to_string(), root, label_from)
            }
            Self::Manifest(file) => manifest::catalogue(self.to_string(), file),
            Self::Market1501(root) => market1501::catalogue(self.to_string(), root),
            Self::Lfw(root) => lfw::catalogue(self.to_string(), root),
            Self::Omniglot(path) => omniglot::catalogue(self.to_string(), path),
            Self::Idx(path) => idx::catalogue(self.to_string(), path),
            Self::Texts(path) => texts::catalogue(self.to_string(), path),
            Self::Features { path, labels } => {
                features::catalogue(self.to_string(), path, labels.as_deref())
            }
        }
    }

    /// The word before the colon.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Glyphs => "glyphs",
            Self::Emoji => "emoji",
            Self::Folder(_) => "folder",
            Self::Images(_) => "images",
            Self::Named { kind, .. } => kind,
            Self::Manifest(_) => "manifest",
            Self::Market1501(_) => "market1501",
            Self::Lfw(_) => "lfw",
            Self::Omniglot(_) => "omniglot",
            Self::Idx(_) => "idx",
            Self::Texts(_) => "texts",
            Self::Features { .. } => "features",
        }
    }

    /// The path; `None` for an embedded data set.
    pub fn path(&self) -> Option<&Path> {
        match self {
            Self::Glyphs | Self::Emoji => None,
            Self::Folder(path)
            | Self::Images(path)
            | Self::Named { root: path, .. }
            | Self::Manifest(path)
            | Self::Market1501(path)
            | Self::Lfw(path)
            | Self::Omniglot(path)
            | Self::Idx(path)
            | Self::Texts(path)
            | Self::Features { path, .. } => Some(path),
        }
    }

    /// A name for results: the name of the folder or file without extension, or the kind.
    pub fn name(&self) -> String {
        self.path()
            .and_then(|path| path.canonicalize().ok())
            .and_then(|path| Some(path.file_stem()?.to_string_lossy().into_owned()))
            .unwrap_or_else(|| self.kind().to_owned())
    }

    /// The same source with labels from a file, as by `--labels`.
    ///
    /// # Errors
    /// [`DataError::Malformed`] for sources other than `features`, which have their own labels.
    pub fn with_labels(self, labels: PathBuf) -> Result<Self, DataError> {
        match self {
            Self::Features { path, .. } => Ok(Self::Features { path, labels: Some(labels) }),
            other => Err(DataError::Malformed {
                text: other.to_string(),
                expected: "only a `features` source takes --labels, others have their own"
                    .to_owned(),
            }),
        }
    }

    /// The same source with classes from the names of its files, as by `--label-from`.
    ///
    /// # Errors
    /// [`DataError::Malformed`] for sources other than `folder` and `images`, which have their own
    /// classes.
    pub fn with_label_from(self, label_from: LabelFrom) -> Result<Self, DataError> {
        let kind = self.kind();
        match self {
            Self::Folder(root) | Self::Images(root) | Self::Named { root, .. } => {
                Ok(Self::Named { root, label_from, kind })
            }
            other => Err(DataError::Malformed {
                expected: match &other {
                    Self::Market1501(root) | Self::Lfw(root) => format!(
                        "it has labels of its own; folder:{} takes --label-from",
                        printable_path(root)
                    ),
                    _ => {
                        "only a `folder` or `images` source takes --label-from, others have their \
                          own labels"
                            .to_owned()
                    }
                },
                text: other.to_string(),
            }),
        }
    }

    /// The list of pairs of the source, for [`Pairs::load`](super::Pairs::load): `pairs.txt` in the
    /// folder of an `lfw` source or beside it.
    pub fn pairs_file(&self) -> Option<PathBuf> {
        match self {
            Self::Lfw(root) => lfw::pairs_file(root),
            _ => None,
        }
    }

    /// The default height, width and channels of images from this source as the input of an
    /// encoder.
    pub fn default_input(&self) -> (u32, u32, u32) {
        match self {
            Self::Glyphs | Self::Omniglot(_) | Self::Idx(_) => (28, 28, 1),
            Self::Emoji => (32, 32, 3),
            Self::Market1501(_) => (128, 64, 3),
            _ => (64, 64, 3),
        }
    }

    /// The default augmentation of training images from this source: none for the embedded glyphs
    /// and for vectors and texts, `glyph` for other characters and drawings, `reid` for people seen by
    /// cameras, `photo` for everything else.
    pub fn default_augmentation(&self) -> Augmentation {
        match self {
            Self::Glyphs | Self::Features { .. } | Self::Texts(_) => Augmentation::NONE,
            Self::Emoji | Self::Omniglot(_) | Self::Idx(_) => Augmentation::GLYPH,
            Self::Market1501(_) => Augmentation::REID,
            Self::Folder(_)
            | Self::Images(_)
            | Self::Named { .. }
            | Self::Manifest(_)
            | Self::Lfw(_) => Augmentation::PHOTO,
        }
    }

    /// A source from the texts before and after its colon; `None` if there is no such kind.
    fn of_kind(kind: &str, path: Option<&str>) -> Option<Result<Self, String>> {
        let embedded = |source| match path {
            None => Ok(source),
            Some(_) => Err(format!("`{kind}` is embedded and takes no path")),
        };
        let at_path = |source: fn(PathBuf) -> Self| match path {
            None | Some("") => Err(format!("expected `{kind}:` and a path")),
            Some(path) => Ok(source(PathBuf::from(path))),
        };
        match kind {
            "glyphs" | "quickstart" => Some(embedded(Self::Glyphs)),
            "emoji" => Some(embedded(Self::Emoji)),
            "folder" => Some(at_path(Self::Folder)),
            "images" => Some(at_path(Self::Images)),
            "manifest" => Some(at_path(Self::Manifest)),
            "market1501" => Some(at_path(Self::Market1501)),
            "lfw" => Some(at_path(Self::Lfw)),
            "omniglot" => Some(at_path(Self::Omniglot)),
            "idx" => Some(at_path(Self::Idx)),
            "texts" => Some(at_path(Self::Texts)),
            "features" => Some(at_path(|path| Self::Features { path, labels: None })),
            _ => None,
        }
    }

    /// Recognises the kind of source from what is at a path.
    fn recognise(path: &Path) -> Result<Self, DataError> {
        let unrecognised = |found| DataError::Unrecognised {
            path: path.display().to_string(),
            found,
            kinds: kinds(),
        };
        let here = path.to_owned();
        if omniglot::lies_at(path) {
            return Ok(Self::Omniglot(here));
        }
        if idx::lies_at(path) {
            return Ok(Self::Idx(here));
        }
        if texts::lies_at(path) {
            return Ok(Self::Texts(here));
        }
        if !path.is_dir() {
            let ending = path.extension().unwrap_or_default().to_ascii_lowercase();
            return match ending.to_str() {
                Some("csv") => Ok(Self::Manifest(here)),
                Some("parquet") if table::has_column(path, "path") => Ok(Self::Manifest(here)),
                Some("npy" | "safetensors" | "parquet") => {
                    Ok(Self::Features { path: here, labels: None })
                }
                _ => Err(unrecognised("a file")),
            };
        }
        if market1501::lies_at(path) {
            return Ok(Self::Market1501(here));
        }
        if lfw::lies_at(path) {
            return Ok(Self::Lfw(here));
        }
        let unreadable = |reason| DataError::Unreadable { path: path.to_owned(), reason };
        let mut has_images = false;
        for entry in fs::read_dir(path).map_err(unreadable)? {
            let entry = entry.map_err(unreadable)?;
            if walk::is_hidden(&entry.file_name()) {
                continue;
            }
            if entry.path().is_dir() {
                return Ok(Self::Folder(here));
            }
            has_images |= walk::is_image(&exact_name(&entry.file_name()));
        }
        match has_images {
            true => Ok(Self::Images(here)),
            false => Err(unrecognised("a folder without sub-folders and images")),
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.path() {
            None => f.write_str(self.kind()),
            Some(path) => write!(f, "{}:{}", self.kind(), path.display()),
        }
    }
}

impl FromStr for Source {
    type Err = DataError;

    /// Names of kinds take precedence over paths: write `./glyphs` for a folder of that name. A
    /// path with a kind is not accessed here, only by [`Source::catalogue`].
    fn from_str(text: &str) -> Result<Self, DataError> {
        let (kind, path) = match text.split_once(':') {
            Some((kind, path)) => (kind, Some(path)),
            None => (text, None),
        };
        if let Some(source) = Self::of_kind(kind, path) {
            return source
                .map_err(|expected| DataError::Malformed { text: text.to_owned(), expected });
        }
        if !text.is_empty() && Path::new(text).exists() {
            return Self::recognise(Path::new(text));
        }
        let is_word = !kind.is_empty() && kind.chars().all(|c| c.is_ascii_alphanumeric());
        if path.is_some() && is_word {
            return Err(DataError::UnknownKind {
                text: text.to_owned(),
                kind: kind.to_owned(),
                kinds: kinds(),
            });
        }
        Err(DataError::MissingPath { text: text.to_owned(), kinds: kinds() })
    }
}

fn kinds() -> String {
    let usages: Vec<String> =
        Source::KINDS.iter().map(|kind| format!("`{}`", kind.usage)).collect();
    usages.join(", ")
}

impl OneShotRuns {
    /// The runs of an `omniglot` source, whose path is `all_runs`, `all_runs.zip` or a folder that
    /// contains one of these.
    ///
    /// # Errors
    /// A source of another kind, or without runs; a line of a `class_labels.txt` with an image that
    /// does not exist; a test image without an answer. The last two have file and line.
    pub fn of(source: &Source) -> Result<Self, DataError> {
        match source {
            Source::Omniglot(path) => Self::at(source.to_string(), path),
            other => Err(DataError::Malformed {
                text: other.to_string(),
                expected: format!(
                    "one-shot runs are those of `omniglot:PATH` with {} in it",
                    omniglot::RUNS
                ),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn explicit_kinds_are_written_back() {
        for kind in Source::KINDS {
            let text = kind
                .usage
                .replace("DIR", "some/where:b")
                .replace("PATH", "x.zip")
                .replace("FILE", "x");
            assert_eq!(text.parse::<Source>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn a_folder_of_folders_is_recognised() {
        let folder = tempfile::tempdir().unwrap();
        let text = folder.path().display().to_string();
        let message = text.parse::<Source>().unwrap_err().to_string();
        assert!(message.contains("without sub-folders"), "{message}");
        fs::create_dir(folder.path().join("class")).unwrap();
        let source: Source = text.parse().unwrap();
        assert_eq!(source.to_string(), format!("folder:{text}"));

        let file = folder.path().join("data.odd");
        fs::write(&file, "").unwrap();
        let message = file.display().to_string().parse::<Source>().unwrap_err().to_string();
        assert!(message.contains("data.odd") && message.contains("`folder:DIR`"), "{message}");
    }

    #[test]
    fn every_kind_is_recognised_by_what_lies_there() {
        let folder = tempfile::tempdir().unwrap();
        for (place, file, path, kind) in [
            ("list", "list.csv", "list/list.csv", "manifest"),
            ("market/bounding_box_train", "0002_c1s1_000451_03.jpg", "market", "market1501"),
            ("faces/Ann_Lee", "Ann_Lee_0001.jpg", "faces", "lfw"),
            ("faces", "pairs.txt", "faces", "lfw"),
            ("letters/images_background/A/c1", "1.png", "letters", "omniglot"),
            ("letters", "images_background", "letters/images_background", "omniglot"),
            ("runs", "all_runs.zip", "runs", "omniglot"),
            ("runs", "all_runs.zip", "runs/all_runs.zip", "omniglot"),
            ("digits", "train-images-idx3-ubyte.gz", "digits", "idx"),
            ("digits", "t10k-images-idx3-ubyte", "digits/t10k-images-idx3-ubyte", "idx"),
            ("vectors", "v.parquet", "vectors/v.parquet", "features"),
            ("vectors", "v.npy", "vectors/v.npy", "features"),
            ("vectors", "v.safetensors", "vectors/v.safetensors", "features"),
            ("other/all_runs of mine", "1.png", "other", "folder"),
        ] {
            fs::create_dir_all(folder.path().join(place)).unwrap();
            let file = folder.path().join(place).join(file);
            if !file.exists() {
                fs::write(file, "").unwrap();
            }
            if kind == "lfw" && place != path {
                continue; // its list of pairs comes next
            }
            let text = folder.path().join(path).display().to_string();
            assert_eq!(text.parse::<Source>().unwrap().to_string(), format!("{kind}:{text}"));
        }
        let source = Source::Lfw(folder.path().join("faces"));
        assert!(source.pairs_file().unwrap().ends_with("faces/pairs.txt"));
        assert_eq!(source.name(), "faces");
        assert!(source.with_labels("x".into()).is_err());
    }

    #[test]
    fn errors_say_what_is_accepted() {
        for (text, part) in [
            ("flower:x", "unknown kind of source `flower`"),
            ("no/such/path", "no such source or path `no/such/path`"),
            ("", "no such source or path"),
            ("folder", "expected `folder:` and a path"),
            ("folder:", "expected `folder:` and a path"),
            ("glyphs:x", "takes no path"),
        ] {
            let message = text.parse::<Source>().unwrap_err().to_string();
            assert!(message.contains(part), "{message}");
        }
        let message = "flower:x".parse::<Source>().unwrap_err().to_string();
        assert!(message.contains("`glyphs`, `emoji`, `folder:DIR`"), "{message}");
    }
}
