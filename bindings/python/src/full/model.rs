//! `tercet.Model`: a trained encoder.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use image::{DynamicImage, GrayImage, RgbImage, RgbaImage};
use ndarray::{Array2, Axis, concatenate};
use numpy::{
    IntoPyArray, PyArray2, PyArrayDescrMethods, PyArrayDyn, PyArrayMethods, PyUntypedArray,
    PyUntypedArrayMethods,
};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyString};
use rayon::prelude::*;
use tercet_train::data::{DataError, decode_file};
use tercet_train::model::{Model as Core, ModelError};

use crate::results::dictionary;
use crate::threads::compute;

/// Pictures that are decoded and embedded at once.
const CHUNK: usize = 64;

/// A trained encoder, with all that is needed to use it: preprocessing, distance, thresholds.
///
/// Model files are those of ``tercet train`` and :func:`tercet.train`: safetensors, whose metadata holds
/// the rest.
#[pyclass(frozen, module = "tercet")]
pub(crate) struct Model {
    /// A network computes for one caller at a time.
    model: Mutex<Core>,
    file: Vec<u8>,
}

/// A picture that is to be embedded.
enum Picture {
    File(PathBuf),
    Pixels(DynamicImage),
}

impl Picture {
    /// Pictures one by one, or an array of all of them.
    fn all(pictures: &Bound<'_, PyAny>) -> PyResult<Vec<Self>> {
        if pictures.is_instance_of::<PyString>() || pictures.hasattr("__fspath__")? {
            return Err(PyTypeError::new_err("pictures are one path: expected a list of pictures"));
        }
        if let Ok(array) = pictures.cast::<PyUntypedArray>() {
            let is_batch = match array.shape() {
                [_, _, _, _] => true,
                [_, _, channels] => !matches!(channels, 1 | 3 | 4),
                _ => array.dtype().kind() == b'O' || array.dtype().kind() == b'U',
            };
            if !is_batch {
                return Err(PyValueError::new_err(format!(
                    "pictures have the shape {:?}: expected N×H×W×C, N×H×W, or a list of pictures",
                    array.shape()
                )));
            }
        }
        pictures.try_iter()?.map(|picture| Self::read(&picture?)).collect()
    }

    fn read(object: &Bound<'_, PyAny>) -> PyResult<Self> {
        if let Ok(array) = object.cast::<PyUntypedArray>() {
            return Ok(Self::Pixels(pixels(array)?));
        }
        if let Ok(path) = object.extract::<PathBuf>() {
            return Ok(Self::File(path));
        }
        // PIL.Image.Image, without a dependency on it.
        if object.hasattr("convert")? && object.hasattr("mode")? {
            let mode: String = object.getattr("mode")?.extract()?;
            let mode = if matches!(&mode[..], "L" | "RGB" | "RGBA") { &mode } else { "RGB" };
            let converted = object.call_method1("convert", (mode,))?;
            let array = object.py().import("numpy")?.call_method1("asarray", (converted,))?;
            return Ok(Self::Pixels(pixels(array.cast::<PyUntypedArray>()?)?));
        }
        let got = object.get_type().name()?;
        Err(PyTypeError::new_err(format!(
            "a picture is a {got}: expected a path, a uint8 array of H×W, H×W×1, H×W×3 or H×W×4, or a PIL image"
        )))
    }

    fn decoded(&self) -> Result<DynamicImage, ModelError> {
        match self {
            Self::File(path) => Ok(decode_file(path)?),
            Self::Pixels(image) => Ok(image.clone()),
        }
    }
}

/// H×W or H×W×C bytes as a picture.
fn pixels(array: &Bound<'_, PyUntypedArray>) -> PyResult<DynamicImage> {
    let shape = array.shape().to_vec();
    let refuse = || {
        PyValueError::new_err(format!(
            "a picture has the shape {shape:?}: expected H×W, H×W×1, H×W×3 or H×W×4"
        ))
    };
    let bytes = array.cast::<PyArrayDyn<u8>>().map_err(|_| {
        let name = array.dtype().getattr("name").map_or_else(|_| "?".to_owned(), |n| n.to_string());
        PyTypeError::new_err(format!("a picture is of type {name}: expected uint8"))
    })?;
    let bytes = bytes.try_readonly()?;
    let bytes = bytes.as_array();
    let (height, width, channels) = match shape[..] {
        [height, width] => (height, width, 1),
        [height, width, channels] => (height, width, channels),
        _ => return Err(refuse()),
    };
    let bytes: Vec<u8> = bytes.iter().copied().collect();
    let (width, height) = (width as u32, height as u32);
    let image = match channels {
        1 => GrayImage::from_raw(width, height, bytes).map(DynamicImage::from),
        3 => RgbImage::from_raw(width, height, bytes).map(DynamicImage::from),
        4 => RgbaImage::from_raw(width, height, bytes).map(DynamicImage::from),
        _ => None,
    };
    image.ok_or_else(refuse)
}

impl Model {
    pub(super) fn core(&self) -> MutexGuard<'_, Core> {
        self.model.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn file(&self) -> &[u8] {
        &self.file
    }

    pub(super) fn of_bytes(file: Vec<u8>, path: &Path) -> Result<Self, ModelError> {
        Ok(Self { model: Mutex::new(Core::from_bytes(file.clone(), path)?), file })
    }
}

#[pymethods]
impl Model {
    /// Reads a model file, an encoder in an ONNX file, or a folder of sentence-transformers with its
    /// graph as ONNX. The vectors of such an encoder are scaled to length 1.
    ///
    /// Raises FileNotFoundError or OSError for a file that cannot be read, ValueError for one that is no
    /// model, is damaged or of a newer format.
    #[staticmethod]
    fn load(py: Python<'_>, path: PathBuf) -> PyResult<Self> {
        compute(py, |_| Self::of_bytes(Core::file_of(&path)?, &path))
    }

    /// The model in the content of a file.
    #[staticmethod]
    fn from_bytes(py: Python<'_>, content: Vec<u8>) -> PyResult<Self> {
        compute(py, |_| Self::of_bytes(content, Path::new("the model")))
    }

    /// The content of the model file.
    fn to_bytes<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.file)
    }

    /// Writes the model file.
    fn save(&self, path: PathBuf) -> PyResult<()> {
        std::fs::write(path, &self.file).map_err(PyErr::from)
    }

    /// Embeds pictures, in the order given; Ctrl-C stops between chunks of 64.
    ///
    /// Parameters
    /// ----------
    /// pictures : sequence
    ///     Paths; uint8 arrays of shape (H, W), (H, W, 1), (H, W, 3) or (H, W, 4); PIL images, as they are,
    ///     without the orientation that a camera noted (files are turned by it); or one uint8 array of
    ///     shape (N, H, W, C) or (N, H, W). They may be mixed, and of any size.
    ///
    /// Returns
    /// -------
    /// float32 array, shape (N, D)
    ///
    /// Raises
    /// ------
    /// TypeError
    ///     What is no picture.
    /// ValueError
    ///     A picture that cannot be decoded, with its path; a model of vectors.
    fn embed<'py>(
        &self,
        py: Python<'py>,
        pictures: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyArray2<f32>>> {
        let pictures = Picture::all(pictures)?;
        let embeddings = compute(py, |watch| {
            let model = self.core();
            let (mut parts, mut done) = (Vec::new(), 0);
            for chunk in pictures.chunks(CHUNK) {
                let images: Vec<DynamicImage> =
                    chunk.par_iter().map(Picture::decoded).collect::<Result<_, ModelError>>()?;
                parts.push(model.embed_images(&images)?);
                done += chunk.len();
                if watch(done as u64, pictures.len() as u64).is_break() {
                    return Err(ModelError::Data(DataError::Interrupted));
                }
            }
            let views: Vec<_> = parts.iter().map(|part| part.view()).collect();
            let dimensions = model.card.dimensions();
            match views.is_empty() {
                true => Ok(Array2::zeros((0, dimensions))),
                false => concatenate(Axis(0), &views)
                    .map_err(|error| ModelError::Embed(error.to_string())),
            }
        })?;
        Ok(embeddings.into_pyarray(py))
    }

    /// Embeds texts, in the order given; Ctrl-C stops between chunks of 1,024.
    ///
    /// Parameters
    /// ----------
    /// texts : sequence of str
    ///
    /// Returns
    /// -------
    /// float32 array, shape (N, D)
    ///
    /// Raises
    /// ------
    /// ValueError
    ///     An empty text, with its number; a model that takes no texts.
    fn embed_texts<'py>(
        &self,
        py: Python<'py>,
        texts: Vec<String>,
    ) -> PyResult<Bound<'py, PyArray2<f32>>> {
        let embeddings = compute(py, |watch| {
            let model = self.core();
            let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
            let go_on = |done: usize| watch(done as u64, texts.len() as u64);
            match texts.is_empty() {
                true => Ok(Array2::zeros((0, model.card.dimensions()))),
                false => model.embed_texts(&texts, &go_on),
            }
        })?;
        Ok(embeddings.into_pyarray(py))
    }

    /// What the file says of itself: encoder, preprocessing, distance, thresholds, provenance.
    #[getter]
    fn card<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        dictionary(py, &self.core().card)
    }

    /// Stable hash of the file: galleries accept embeddings of one model only.
    #[getter]
    fn fingerprint(&self) -> String {
        self.core().fingerprint.clone()
    }

    /// The distance in which its embeddings are compared.
    #[getter]
    fn distance(&self) -> &'static str {
        self.core().card.distance.name()
    }

    /// Whether its embeddings are L2-normalised.
    #[getter]
    fn normalize(&self) -> bool {
        self.core().card.normalized
    }

    /// D.
    #[getter]
    fn dimensions(&self) -> usize {
        self.core().card.dimensions()
    }

    /// The distance below which two pictures show the same: the most accurate one on held-out classes;
    /// None where nothing was measured.
    #[getter]
    fn threshold(&self) -> Option<f64> {
        self.core().card.threshold
    }

    /// The probability that two pictures at this distance show the same, if either is as likely before;
    /// None where nothing was measured.
    fn probability(&self, distance: f32) -> Option<f64> {
        self.core().card.probability(distance)
    }

    fn __reduce__<'py>(
        &self,
        py: Python<'py>,
    ) -> PyResult<(Bound<'py, PyAny>, (Bound<'py, PyBytes>,))> {
        Ok((py.get_type::<Self>().getattr("from_bytes")?, (self.to_bytes(py),)))
    }

    fn __repr__(&self) -> String {
        format!(
            "Model(dimensions={}, distance='{}', fingerprint='{}')",
            self.dimensions(),
            self.distance(),
            self.fingerprint()
        )
    }
}
