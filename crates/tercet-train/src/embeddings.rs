//! Files of embeddings: `.safetensors` with labels and ids, or plain `.npy`.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use ndarray::{Array2, ArrayView2};
use npyz::WriterBuilder;
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use tercet::Labels;

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
    #[error("{} has no known ending: expected .npy or .safetensors", .0.display())]
    UnknownFormat(PathBuf),
    /// Damaged, or something else.
    #[error("{} holds no embeddings: {reason}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
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

/// The formats, by the ending of the name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    Npy,
    Safetensors,
}

impl Format {
    fn of(path: &Path) -> Result<Self, EmbeddingsError> {
        let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
        match ending.to_ascii_lowercase().as_str() {
            "npy" => Ok(Self::Npy),
            "safetensors" => Ok(Self::Safetensors),
            _ => Err(EmbeddingsError::UnknownFormat(path.to_owned())),
        }
    }
}

impl Embeddings {
    /// Whether a file of this name can be written: asked before the long work starts.
    ///
    /// # Errors
    /// An ending that tells no format.
    pub fn check_name(path: &Path) -> Result<(), EmbeddingsError> {
        Format::of(path).map(|_| ())
    }

    /// Writes `.safetensors` (tensor `embeddings`, N×D f32; metadata `labels`, `ids` as JSON lists
    /// and `model`) or `.npy` (the numbers alone), whole or not at all.
    ///
    /// # Errors
    /// An ending that tells no format; a path that cannot be written.
    pub fn save(&self, path: &Path) -> Result<(), EmbeddingsError> {
        let damaged = |reason: String| EmbeddingsError::Damaged { path: path.to_owned(), reason };
        let values: Vec<f32> = self.vectors.iter().copied().collect();
        let (rows, columns) = self.vectors.dim();
        let bytes = match Format::of(path)? {
            Format::Npy => {
                let mut bytes = Vec::new();
                npyz::WriteOptions::new()
                    .default_dtype()
                    .shape(&[rows as u64, columns as u64])
                    .writer(&mut bytes)
                    .begin_nd()
                    .and_then(|mut writer| {
                        writer.extend(values)?;
                        writer.finish()
                    })
                    .at("write", path)?;
                bytes
            }
            Format::Safetensors => {
                let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
                let view = TensorView::new(Dtype::F32, vec![rows, columns], &bytes)
                    .map_err(|error| damaged(error.to_string()))?;
                safetensors::serialize([("embeddings", view)], Some(self.metadata()))
                    .map_err(|error| damaged(error.to_string()))?
            }
        };
        Ok(write_atomically(path, &bytes)?)
    }

    fn metadata(&self) -> HashMap<String, String> {
        let list = |list: &Option<Vec<String>>| {
            list.as_ref().map(|list| serde_json::Value::from(list.clone()).to_string())
        };
        [("labels", list(&self.labels)), ("ids", list(&self.ids)), ("model", self.model.clone())]
            .into_iter()
            .filter_map(|(key, value)| Some((key.to_owned(), value?)))
            .collect()
    }

    /// Reads a file of embeddings. `.npy` may hold f16, f32 or f64, in C or Fortran order.
    ///
    /// # Errors
    /// A file that is missing, damaged, of another type or shape; each names the file.
    pub fn load(path: &Path) -> Result<Self, EmbeddingsError> {
        let format = Format::of(path)?;
        let bytes = fs::read(path).at("read", path)?;
        match format {
            Format::Npy => {
                let vectors = read_npy(&bytes).map_err(|reason| damaged(path, reason))?;
                Ok(Self { vectors, labels: None, ids: None, model: None })
            }
            Format::Safetensors => read_safetensors(&bytes).map_err(|reason| damaged(path, reason)),
        }
    }

    /// The same embeddings with labels from a file: `.npy` of integers, or text with one label a
    /// line.
    ///
    /// # Errors
    /// A file that cannot be read, or another number of labels than rows.
    pub fn with_labels_from(mut self, path: &Path) -> Result<Self, EmbeddingsError> {
        let labels = read_labels(path)?;
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

fn damaged(path: &Path, reason: String) -> EmbeddingsError {
    EmbeddingsError::Damaged { path: path.to_owned(), reason }
}

fn read_npy(bytes: &[u8]) -> Result<Array2<f32>, String> {
    let file = npyz::NpyFile::new(bytes).map_err(|error| error.to_string())?;
    let shape = file.shape().to_vec();
    let &[rows, columns] = shape.as_slice() else {
        return Err(format!("its shape is {shape:?}, expected rows × dimensions"));
    };
    let order = file.order();
    let kind = file.dtype().descr();
    let values: Vec<f32> = match kind.trim_matches(['\'', '"', '<', '>', '=', '|']) {
        "f2" => numbers::<half::f16>(file)?.into_iter().map(f32::from).collect(),
        "f4" => numbers::<f32>(file)?,
        "f8" => numbers::<f64>(file)?.into_iter().map(|value| value as f32).collect(),
        _ => return Err(format!("its type is {kind}, expected f16, f32 or f64")),
    };
    let shape = (rows as usize, columns as usize);
    let vectors = match order {
        npyz::Order::C => Array2::from_shape_vec(shape, values),
        npyz::Order::Fortran => Array2::from_shape_vec((shape.1, shape.0), values)
            .map(|vectors| vectors.t().as_standard_layout().into_owned()),
    };
    vectors.map_err(|error| error.to_string())
}

fn numbers<T: npyz::Deserialize>(file: npyz::NpyFile<&[u8]>) -> Result<Vec<T>, String> {
    file.into_vec().map_err(|error| error.to_string())
}

fn read_safetensors(bytes: &[u8]) -> Result<Embeddings, String> {
    let (_, header) = SafeTensors::read_metadata(bytes).map_err(|error| error.to_string())?;
    let file = SafeTensors::deserialize(bytes).map_err(|error| error.to_string())?;
    let view = file
        .tensor("embeddings")
        .map_err(|_| format!("it has no tensor `embeddings`, but {:?}", file.names()))?;
    let &[rows, columns] = view.shape() else {
        return Err(format!(
            "`embeddings` has shape {:?}, expected rows × dimensions",
            view.shape()
        ));
    };
    let values: Vec<f32> = match view.dtype() {
        Dtype::F32 => {
            view.data().as_chunks::<4>().0.iter().map(|&b| f32::from_le_bytes(b)).collect()
        }
        Dtype::F16 => view
            .data()
            .as_chunks::<2>()
            .0
            .iter()
            .map(|&b| half::f16::from_le_bytes(b).to_f32())
            .collect(),
        other => return Err(format!("`embeddings` has type {other:?}, expected F32 or F16")),
    };
    let vectors =
        Array2::from_shape_vec((rows, columns), values).map_err(|error| error.to_string())?;
    let metadata = header.metadata().clone().unwrap_or_default();
    let list = |key: &str| -> Result<Option<Vec<String>>, String> {
        let Some(text) = metadata.get(key) else { return Ok(None) };
        let list: Vec<String> = serde_json::from_str(text)
            .map_err(|error| format!("its metadata `{key}` is no list of texts: {error}"))?;
        if list.len() == rows {
            Ok(Some(list))
        } else {
            Err(format!("its metadata `{key}` has {} entries for {rows} rows", list.len()))
        }
    };
    Ok(Embeddings {
        labels: list("labels")?,
        ids: list("ids")?,
        model: metadata.get("model").cloned(),
        vectors,
    })
}

fn read_labels(path: &Path) -> Result<Vec<String>, EmbeddingsError> {
    let bytes = fs::read(path).at("read the labels", path)?;
    if path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("npy")) {
        return integers(&bytes).map_err(|reason| damaged(path, reason));
    }
    let text = String::from_utf8(bytes)
        .map_err(|error| damaged(path, format!("expected text in UTF-8: {error}")))?;
    Ok(text.lines().map(|line| line.trim_end_matches('\r').to_owned()).collect())
}

fn integers(bytes: &[u8]) -> Result<Vec<String>, String> {
    let file = npyz::NpyFile::new(bytes).map_err(|error| error.to_string())?;
    if file.shape().len() != 1 {
        return Err(format!("its shape is {:?}, expected one label for each row", file.shape()));
    }
    let texts = |values: Vec<i64>| values.into_iter().map(|value| value.to_string()).collect();
    let kind = file.dtype().descr();
    macro_rules! read {
        ($type:ty) => {
            numbers::<$type>(file).map(|values| texts(values.into_iter().map(i64::from).collect()))
        };
    }
    match kind.trim_matches(['\'', '"', '<', '>', '=', '|']) {
        "i1" => read!(i8),
        "i2" => read!(i16),
        "i4" => read!(i32),
        "i8" => read!(i64),
        "u1" => read!(u8),
        "u2" => read!(u16),
        "u4" => read!(u32),
        "u8" => numbers::<u64>(file)
            .map(|values| values.into_iter().map(|value| value.to_string()).collect()),
        _ => Err(format!("its type is {kind}, expected integers")),
    }
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
    }
}
