//! What needs the network library: training, models, galleries and the command line.

mod command;
mod gallery;
mod model;
mod training;

use std::io;

use pyo3::exceptions::{
    PyFileExistsError, PyFileNotFoundError, PyKeyError, PyKeyboardInterrupt, PyOSError,
    PyValueError,
};
use pyo3::prelude::*;
use tercet_train::data::DataError;
use tercet_train::model::ModelError;
use tercet_train::trainer::TrainError;

use crate::errors::Raise;

/// What the command line is measured with: a training step takes and frees the same large buffers all
/// the time.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Adds everything to the module.
pub(crate) fn add(module: &Bound<'_, PyModule>) -> PyResult<()> {
    tercet_onnx::use_as_backbones();
    tercet_parquet::enable();
    module.add_class::<model::Model>()?;
    module.add_class::<gallery::GalleryStore>()?;
    module.add_function(wrap_pyfunction!(training::train, module)?)?;
    module.add_function(wrap_pyfunction!(command::run_command, module)?)
}

/// The exception for an error of the operating system somewhere among the causes, or a `ValueError`.
fn by_cause(error: &(dyn std::error::Error + 'static)) -> PyErr {
    let message = error.to_string();
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(found) = error.downcast_ref::<io::Error>() {
            return match found.kind() {
                io::ErrorKind::NotFound => PyFileNotFoundError::new_err(message),
                io::ErrorKind::AlreadyExists => PyFileExistsError::new_err(message),
                _ => PyOSError::new_err(message),
            };
        }
        cause = error.source();
    }
    PyValueError::new_err(message)
}

impl Raise for ModelError {
    fn raise(self) -> PyErr {
        match self {
            Self::Data(DataError::Interrupted) => PyKeyboardInterrupt::new_err(self.to_string()),
            error => by_cause(&error),
        }
    }
}

impl Raise for TrainError {
    fn raise(self) -> PyErr {
        match self {
            Self::Data(DataError::Interrupted) => PyKeyboardInterrupt::new_err(self.to_string()),
            Self::RunExists(_) | Self::FolderTaken { .. } => {
                PyFileExistsError::new_err(self.to_string())
            }
            error => by_cause(&error),
        }
    }
}

impl Raise for tercet_gallery::Error {
    fn raise(self) -> PyErr {
        match self {
            Self::Vectors(error) => error.raise(),
            Self::NotAGallery { .. } => PyFileNotFoundError::new_err(self.to_string()),
            Self::AlreadyThere { .. } | Self::NotEmpty { .. } => {
                PyFileExistsError::new_err(self.to_string())
            }
            Self::UnknownId { .. } => PyKeyError::new_err(self.to_string()),
            error => by_cause(&error),
        }
    }
}

impl Raise for anyhow::Error {
    fn raise(self) -> PyErr {
        let message = format!("{self:#}");
        match self.downcast::<ModelError>() {
            Ok(error) => error.raise(),
            Err(_) => PyValueError::new_err(message),
        }
    }
}
