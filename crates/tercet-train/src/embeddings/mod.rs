//! Files of embeddings: `.safetensors` and Parquet with labels and ids, or plain `.npy`.

mod labels;
pub(crate) mod npy;
#[cfg(feature = "parquet")]
mod parquet;
mod safetensors;
mod triplets;

use std::fs;
use std::path::{Path, PathBuf};

use ndarray::{Array2, ArrayView2};
use tercet::{FULL_BUILD, Labels};

use crate::files::{At, FileError, write_atomically};

/// Embeddings with what is known of their items.
#[derive(Debug, Clone, PartialEq)]
pub struct Embeddings {
    /// N×D.
    pub vectors: Array2<f32>,
    /// The label of each row, where the file has them.
    pub labels: Option<Vec<String>>,
    /// The id of each row, where the file has them.
    pub ids: Option<Vec<String>>,
    /// Fingerprint of the model that made them, where the file names it.
    pub model: Option<String>,
}

/// Why a file of embeddings could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum EmbeddingsError {
    /// The file could not be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// A name that tells no format.
    #[error("{} has no known ending: expected {}", .0.display(), Format::ENDINGS)]
    UnknownFormat(PathBuf),
    /// A format that this build does not have.
    #[error("{}: this build has no Parquet: {FULL_BUILD}", .0.display())]
    NotBuilt(PathBuf),
    /// Damaged, or something else than its name says.
    #[error("cannot read {}: {reason}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What is wrong with it, and where.
        reason: String,
    },
    /// Embeddings that the format cannot hold.
    #[error("cannot write {}: {reason}", path.display())]
    Unwritable {
        /// The file.
        path: PathBuf,
        /// What the format lacks.
        reason: String,
    },
    /// As many labels as rows are needed.
    #[error("{} has {got} labels: expected {expected}, one for each row of the embeddings", path.display())]
    LabelCount {
        /// The file with the labels.
        path: PathBuf,
        /// Rows of the embeddings.
        expected: usize,
        /// Labels found.
        got: usize,
    },
}

/// The formats, told by the ending of the name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// `.npy`: the numbers alone, of type f16, f32 or f64, in C or Fortran order.
    Npy,
    /// `.safetensors`: the tensor `embeddings` (N×D, F32 or F16); metadata `labels` and `ids` as
    /// JSON lists, and `model`.
    Safetensors,
    /// `.parquet`, in builds with the feature `parquet`: the columns `id`, `label` and `embedding`;
    /// `model` in the file's metadata.
    Parquet,
}

impl Format {
    const ENDINGS: &str = ".npy, .safetensors or .parquet";

    /// The format that a name tells.
    ///
    /// # Errors
    /// An ending that tells none.
    pub fn of(path: &Path) -> Result<Self, EmbeddingsError> {
        let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
        match ending.to_ascii_lowercase().as_str() {
            "npy" => Ok(Self::Npy),
            "safetensors" => Ok(Self::Safetensors),
            "parquet" => Ok(Self::Parquet),
            _ => Err(EmbeddingsError::UnknownFormat(path.to_owned())),
        }
    }

    /// Whether this build reads and writes the format of `path`: to be asked before long work that
    /// ends in such a file.
    ///
    /// # Errors
    /// Parquet in a build without the feature `parquet`.
    pub fn check(self, path: &Path) -> Result<(), EmbeddingsError> {
        match self {
            Self::Parquet if !cfg!(feature = "parquet") => {
                Err(EmbeddingsError::NotBuilt(path.to_owned()))
            }
            Self::Npy | Self::Safetensors | Self::Parquet => Ok(()),
        }
    }
}

/// What reading and writing Parquet answers in a build without it.
#[cfg(not(feature = "parquet"))]
fn no_parquet<T>() -> Result<T, String> {
    Err(format!("this build has no Parquet: {FULL_BUILD}"))
}

impl Embeddings {
    /// Writes the embeddings in the [`Format`] that the name tells, whole or not at all. The same
    /// embeddings give the same bytes.
    ///
    /// # Errors
    /// An ending that tells no format; a path that cannot be written; more labels and ids than a
    /// `.safetensors` file holds (100 MB of them).
    pub fn save(&self, path: &Path) -> Result<(), EmbeddingsError> {
        let format = Format::of(path)?;
        format.check(path)?;
        let bytes = self
            .to_bytes(format)
            .map_err(|reason| EmbeddingsError::Unwritable { path: path.to_owned(), reason })?;
        Ok(write_atomically(path, &bytes)?)
    }

    /// The content of a file that holds the embeddings.
    ///
    /// # Errors
    /// More labels and ids than a `.safetensors` file holds.
    pub fn to_bytes(&self, format: Format) -> Result<Vec<u8>, String> {
        match format {
            Format::Npy => Ok(npy::write(self.view())),
            Format::Safetensors => safetensors::write(self),
            #[cfg(feature = "parquet")]
            Format::Parquet => parquet::write(self),
            #[cfg(not(feature = "parquet"))]
            Format::Parquet => no_parquet(),
        }
    }

    /// Reads a file of embeddings in the [`Format`] that its name tells.
    ///
    /// # Errors
    /// A file that is missing, damaged, of another type or shape, or with gaps; each names the file
    /// and, where it has one, the row, counted from 0.
    pub fn load(path: &Path) -> Result<Self, EmbeddingsError> {
        let format = Format::of(path)?;
        format.check(path)?;
        let bytes = fs::read(path).at("read", path)?;
        Self::from_bytes(bytes, format).map_err(|reason| unreadable(path, reason))
    }

    /// The embeddings in the content of a file.
    ///
    /// In Parquet an embedding is a list of f16, f32 or f64, as long in each row; labels and ids
    /// are strings or whole numbers, or missing as a whole; other columns are not looked at.
    ///
    /// # Errors
    /// What is wrong with the content, and where.
    pub fn from_bytes(bytes: Vec<u8>, format: Format) -> Result<Self, String> {
        match format {
            Format::Npy => {
                let vectors = npy::Npy::parse(&bytes)?.matrix()?;
                Ok(Self { vectors, labels: None, ids: None, model: None })
            }
            Format::Safetensors => safetensors::read(&bytes),
            #[cfg(feature = "parquet")]
            Format::Parquet => parquet::read(bytes),
            #[cfg(not(feature = "parquet"))]
            Format::Parquet => no_parquet(),
        }
    }

    /// The same embeddings with labels from a file: `.npy` of integers, or text in UTF-8 with one
    /// label a line, taken as it stands.
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

    /// The labels as classes, if the file has them.
    pub fn classes(&self) -> Option<Labels> {
        self.labels.as_ref().map(Labels::from_iter)
    }

    /// The numbers.
    pub fn view(&self) -> ArrayView2<'_, f32> {
        self.vectors.view()
    }
}

pub(crate) fn unreadable(path: &Path, reason: String) -> EmbeddingsError {
    EmbeddingsError::Unreadable { path: path.to_owned(), reason }
}

#[cfg(test)]
mod tests {
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
        let mut names = vec!["e.npy", "e.safetensors"];
        names.extend(cfg!(feature = "parquet").then_some("e.parquet"));
        for name in names {
            let path = folder.path().join(name);
            fs::write(&path, b"\x93NUMPYbut not really").unwrap();
            let error = Embeddings::load(&path).unwrap_err().to_string();
            assert!(error.contains(name), "{error}");
        }
        let error = Embeddings::load(&folder.path().join("e.csv")).unwrap_err();
        assert!(matches!(error, EmbeddingsError::UnknownFormat(_)));
        if !cfg!(feature = "parquet") {
            let error = Embeddings::load(&folder.path().join("e.parquet")).unwrap_err();
            assert!(matches!(error, EmbeddingsError::NotBuilt(_)));
        }
    }
}
