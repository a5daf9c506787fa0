//! Files of embeddings: `.safetensors` and Parquet with labels and ids, or `.npy` without them.

mod bad_rows;
mod labels;
pub(crate) mod npy;
pub mod parquet;
mod safetensors;
mod triplets;

use std::io::Seek;
use std::path::{Path, PathBuf};

use ndarray::{Array2, ArrayView2};
use tercet::{FULL_BUILD, Labels};

use crate::files::{At, FileError, write_atomically};
use crate::printable::printable_path;
use crate::{reading, safetensors_head};

pub use bad_rows::{BadRow, OutOfRange};
pub use labels::labels_beside;

/// Embeddings, with the labels and ids of their items.
#[derive(Debug, Clone, PartialEq)]
pub struct Embeddings {
    /// The embeddings, N×D.
    pub vectors: Array2<f32>,
    /// The label of each row, if the file has labels.
    pub labels: Option<Vec<String>>,
    /// The id of each row, if the file has ids.
    pub ids: Option<Vec<String>>,
    /// Fingerprint of the model that computed them, if the file has it.
    pub model: Option<String>,
}

/// The errors of reading and writing embeddings.
#[derive(Debug, thiserror::Error)]
pub enum EmbeddingsError {
    /// The file could not be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// A name whose extension is not that of a format.
    #[error("{} has no known ending: expected {}", printable_path(.0), Format::ENDINGS)]
    UnknownFormat(PathBuf),
    /// A format that is not compiled into this build.
    #[error("{}: this build has no Parquet: {FULL_BUILD}", printable_path(.0))]
    NotBuilt(PathBuf),
    /// A file that is damaged, or is not of the format that its name says.
    #[error("cannot read {}: {reason}", printable_path(path))]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What is wrong with it, and where.
        reason: String,
    },
    /// Embeddings that the format cannot store.
    #[error("cannot write {}: {reason}", printable_path(path))]
    Unwritable {
        /// The file.
        path: PathBuf,
        /// The limit of the format.
        reason: String,
    },
    /// Rows that cannot be used.
    #[error("{}: {first}{}{}", printable_path(path), others(*more), skipping(*can_skip))]
    BadRows {
        /// The file.
        path: PathBuf,
        /// The first of them.
        first: BadRow,
        /// The number of others.
        more: usize,
        /// Whether the command has an option to leave them out.
        can_skip: bool,
    },
    /// The number of labels differs from the number of rows.
    #[error(
        "{} has {got} labels: expected {expected}, one for each row of the embeddings",
        printable_path(path)
    )]
    LabelCount {
        /// The file with the labels.
        path: PathBuf,
        /// Number of rows of the embeddings.
        expected: usize,
        /// Number of labels.
        got: usize,
    },
}

/// The formats, which are recognised by the extension of the file name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// `.npy`: only the values, of type f16, f32 or f64, in C or Fortran order.
    Npy,
    /// `.safetensors`: the tensor `embeddings` (N×D, F32 or F16); metadata `labels` and `ids` as
    /// JSON lists, and `model`.
    Safetensors,
    /// `.parquet`, in programs that [enable](parquet) it: the columns `id`, `label` and `embedding`;
    /// `model` in the file's metadata.
    Parquet,
}

impl Format {
    const ENDINGS: &str = ".npy, .safetensors or .parquet";

    /// The format of a file, according to its name.
    ///
    /// # Errors
    /// An extension that is not that of a format.
    pub fn of(path: &Path) -> Result<Self, EmbeddingsError> {
        let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
        match ending.to_ascii_lowercase().as_str() {
            "npy" => Ok(Self::Npy),
            "safetensors" => Ok(Self::Safetensors),
            "parquet" => Ok(Self::Parquet),
            _ => Err(EmbeddingsError::UnknownFormat(path.to_owned())),
        }
    }

    /// Checks that this build reads and writes the format. Call it before long work whose result is
    /// written to `path`.
    ///
    /// # Errors
    /// Parquet in a program that does not [enable](parquet) it.
    pub fn check(self, path: &Path) -> Result<(), EmbeddingsError> {
        match self {
            Self::Parquet if !parquet::is_enabled() => {
                Err(EmbeddingsError::NotBuilt(path.to_owned()))
            }
            Self::Npy | Self::Safetensors | Self::Parquet => Ok(()),
        }
    }
}

impl Embeddings {
    /// Writes the embeddings in the [`Format`] of the file name, completely or not at all. The same
    /// embeddings give the same bytes.
    ///
    /// # Errors
    /// An extension that is not that of a format; a path that cannot be written; more labels and
    /// ids than a `.safetensors` file can store (100 MB of them).
    pub fn save(&self, path: &Path) -> Result<(), EmbeddingsError> {
        let format = Format::of(path)?;
        format.check(path)?;
        let bytes = self
            .to_bytes(format)
            .map_err(|reason| EmbeddingsError::Unwritable { path: path.to_owned(), reason })?;
        Ok(write_atomically(path, &bytes)?)
    }

    /// The content of a file with these embeddings.
    ///
    /// # Errors
    /// More labels and ids than a `.safetensors` file can store.
    pub fn to_bytes(&self, format: Format) -> Result<Vec<u8>, String> {
        match format {
            Format::Npy => Ok(npy::write(self.view())),
            Format::Safetensors => safetensors::write(self),
            Format::Parquet => parquet::files()?.write(self),
        }
    }

    /// Reads a file of embeddings in the [`Format`] of its name.
    ///
    /// # Errors
    /// A file that is missing, damaged, of another type or shape, or with gaps; rows with values
    /// that are not finite. Errors have the file and, if there is one, the row, counted from 0.
    pub fn load(path: &Path) -> Result<Self, EmbeddingsError> {
        let (embeddings, bad) = Self::load_all(path)?;
        match bad.split_first() {
            None => Ok(embeddings),
            Some((first, others)) => Err(EmbeddingsError::BadRows {
                path: path.to_owned(),
                first: first.clone(),
                more: others.len(),
                can_skip: false,
            }),
        }
    }

    /// Reads a file of embeddings for a command with `--skip-bad`. Labels are read from the file
    /// `labels` if it is given, otherwise from the file itself, otherwise from the file [beside
    /// it](labels_beside). If `skip_bad` is set, rows with values that are not finite are left out
    /// and returned; see [`without`](Self::without).
    ///
    /// # Errors
    /// The errors of [`load`](Self::load) and [`with_labels_from`](Self::with_labels_from).
    pub fn load_labelled(
        path: &Path,
        labels: Option<&Path>,
        skip_bad: bool,
    ) -> Result<(Self, Vec<BadRow>), EmbeddingsError> {
        let (mut embeddings, bad) = Self::load_all(path)?;
        let labels = match labels {
            Some(labels) => Some(labels.to_owned()),
            None if embeddings.labels.is_some() => None,
            None => labels_beside(path),
        };
        if let Some(labels) = labels {
            embeddings = embeddings.with_labels_from(&labels)?;
        }
        embeddings.skipping(bad, path, skip_bad)
    }

    /// Like [`load_labelled`](Self::load_labelled), for a command that does not use labels.
    ///
    /// # Errors
    /// The errors of [`load`](Self::load).
    pub fn load_skipping(
        path: &Path,
        skip_bad: bool,
    ) -> Result<(Self, Vec<BadRow>), EmbeddingsError> {
        let (embeddings, bad) = Self::load_all(path)?;
        embeddings.skipping(bad, path, skip_bad)
    }

    fn skipping(
        self,
        bad: Vec<BadRow>,
        path: &Path,
        skip_bad: bool,
    ) -> Result<(Self, Vec<BadRow>), EmbeddingsError> {
        match bad.split_first() {
            Some((first, others)) if !skip_bad => Err(EmbeddingsError::BadRows {
                path: path.to_owned(),
                first: first.clone(),
                more: others.len(),
                can_skip: true,
            }),
            _ => Ok((self.without(&bad), bad)),
        }
    }

    /// Reads a file with all its rows, and returns which of them cannot be used.
    ///
    /// # Errors
    /// The errors of [`load`](Self::load), except those about rows.
    pub fn load_all(path: &Path) -> Result<(Self, Vec<BadRow>), EmbeddingsError> {
        let format = Format::of(path)?;
        format.check(path)?;
        let bytes = read_checked(path, format)?;
        let (embeddings, beyond) =
            Self::parse(bytes, format).map_err(|reason| unreadable(path, reason))?;
        let bad = embeddings.bad_rows(&beyond);
        Ok((embeddings, bad))
    }

    /// Reads embeddings from the content of a file.
    ///
    /// In Parquet, an embedding is a list of f16, f32 or f64, with the same length in each row;
    /// labels and ids are strings or integers, or the whole column is missing; other columns are
    /// ignored.
    ///
    /// # Errors
    /// What is wrong with the content, and where.
    pub fn from_bytes(bytes: Vec<u8>, format: Format) -> Result<Self, String> {
        Self::parse(bytes, format).map(|(embeddings, _)| embeddings)
    }

    fn parse(bytes: Vec<u8>, format: Format) -> Result<(Self, OutOfRange), String> {
        match format {
            Format::Npy => {
                let (vectors, beyond) = npy::Npy::parse(&bytes)?.matrix()?;
                Ok((Self { vectors, labels: None, ids: None, model: None }, beyond))
            }
            Format::Safetensors => safetensors::read(&bytes),
            Format::Parquet => parquet::files()?.read(bytes),
        }
    }

    /// The same embeddings with labels from a file: `.npy` of integers or texts, or UTF-8 text with
    /// one label per line, whose blanks are part of it.
    ///
    /// # Errors
    /// A file that cannot be read, an empty line, or another number of labels than rows.
    pub fn with_labels_from(mut self, path: &Path) -> Result<Self, EmbeddingsError> {
        let labels = labels::load(path)?;
        let (expected, got) = (self.vectors.nrows(), labels.len());
        if expected != got {
            return Err(EmbeddingsError::LabelCount { path: path.to_owned(), expected, got });
        }
        self.labels = Some(labels);
        Ok(self)
    }

    /// The labels as classes, if there are labels.
    pub fn classes(&self) -> Option<Labels> {
        self.labels.as_ref().map(Labels::from_iter)
    }

    /// A view of the vectors.
    pub fn view(&self) -> ArrayView2<'_, f32> {
        self.vectors.view()
    }
}

pub(crate) fn unreadable(path: &Path, reason: String) -> EmbeddingsError {
    EmbeddingsError::Unreadable { path: path.to_owned(), reason }
}

/// Reads a whole file, after its header was compared with its length.
fn read_checked(path: &Path, format: Format) -> Result<Vec<u8>, EmbeddingsError> {
    let (mut file, length) = reading::open(path).at("read", path)?;
    let claims = match format {
        Format::Npy => reading::first_bytes(&mut file, npy::HEADER)
            .map(|first| npy::check_length(&first, length)),
        Format::Safetensors => {
            safetensors_head::metadata(&mut file, length).map(|read| read.map(drop))
        }
        // The claims of a Parquet file are at its end, and are checked page by page.
        Format::Parquet => Ok(Ok(())),
    };
    claims.at("read", path)?.map_err(|reason| unreadable(path, reason))?;
    file.rewind().at("read", path)?;
    Ok(reading::read_opened(file, length).at("read", path)?)
}

fn others(more: usize) -> String {
    match more {
        0 => String::new(),
        1 => " (and 1 more bad row)".to_owned(),
        more => format!(" (and {more} more bad rows)"),
    }
}

fn skipping(can_skip: bool) -> &'static str {
    if can_skip { "; `--skip-bad` leaves such rows out" } else { "" }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn some() -> Embeddings {
        Embeddings {
            vectors: Array2::from_shape_fn((3, 2), |(i, j)| i as f32 + 0.5 * j as f32),
            labels: Some(vec!["あ".into(), "b\"".into(), "あ".into()]),
            ids: Some(vec!["1".into(), "2".into(), "3".into()]),
            model: Some("beef".into()),
        }
    }

    #[test]
    fn safetensors_there_and_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("e.safetensors");
        some().save(&path).unwrap();
        assert_eq!(Embeddings::load(&path).unwrap(), some());
        let bytes = fs::read(&path).unwrap();
        for _ in 0..8 {
            some().save(&path).unwrap();
            assert_eq!(fs::read(&path).unwrap(), bytes);
        }
    }

    #[test]
    fn npy_there_and_back_and_with_labels() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("e.npy");
        some().save(&path).unwrap();
        let labels = folder.path().join("labels.txt");
        fs::write(&labels, "x\r\ny\nx\n").unwrap();
        let back = Embeddings::load(&path).unwrap().with_labels_from(&labels).unwrap();
        assert_eq!(back.vectors, some().vectors);
        assert_eq!(back.labels.unwrap(), ["x", "y", "x"]);

        fs::write(&labels, "x\ny\n").unwrap();
        let error = Embeddings::load(&path).unwrap().with_labels_from(&labels).unwrap_err();
        assert!(
            error.to_string().ends_with(
                "labels.txt has 2 labels: expected 3, one for each row of the embeddings"
            )
        );
    }

    #[test]
    fn wrong_files_are_named() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["e.npy", "e.safetensors"] {
            let path = folder.path().join(name);
            fs::write(&path, b"\x93NUMPYbut not really").unwrap();
            let error = Embeddings::load(&path).unwrap_err().to_string();
            assert!(error.contains(name), "{error}");
        }
        let error = Embeddings::load(&folder.path().join("e.csv")).unwrap_err();
        assert!(matches!(error, EmbeddingsError::UnknownFormat(_)));
        let error = Embeddings::load(&folder.path().join("e.parquet")).unwrap_err();
        assert!(matches!(error, EmbeddingsError::NotBuilt(_)));
    }

    #[test]
    fn bad_rows_are_an_error_or_left_out() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("v.npy");
        let mut all = some();
        all.vectors[[1, 1]] = f32::NAN;
        all.save(&path).unwrap();
        fs::write(folder.path().join("v.labels.txt"), "x\ny\nz\n").unwrap();
        let message = Embeddings::load(&path).unwrap_err().to_string();
        assert!(message.ends_with("v.npy: row 1: component 1 is NaN, expected a finite number"));
        let message = Embeddings::load_labelled(&path, None, false).unwrap_err().to_string();
        assert!(
            message.contains("row 1") && message.ends_with("`--skip-bad` leaves such rows out")
        );
        let (good, bad) = Embeddings::load_labelled(&path, None, true).unwrap();
        assert_eq!((good.labels.unwrap(), bad.len()), (vec!["x".to_owned(), "z".to_owned()], 1));
        assert_eq!(good.ids.unwrap(), ["0", "2"]);
    }

    #[cfg(unix)]
    #[test]
    fn devices_and_pointers_are_no_files_of_embeddings() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["v.npy", "v.safetensors"] {
            let path = folder.path().join(name);
            fs::write(&path, "version https://git-lfs.github.com/spec/v1\nsize 8\n").unwrap();
            let message = Embeddings::load(&path).unwrap_err().to_string();
            assert!(message.contains(name) && message.contains("git lfs pull"), "{message}");
            fs::remove_file(&path).unwrap();
            std::os::unix::fs::symlink("/dev/zero", &path).unwrap();
            let message = Embeddings::load(&path).unwrap_err().to_string();
            assert!(message.contains("a device, expected a regular file"), "{message}");
        }
    }
}
