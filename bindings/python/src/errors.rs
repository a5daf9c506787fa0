//! Errors of the core as Python exceptions, with the same message.

use pyo3::exceptions::{PyKeyboardInterrupt, PyValueError};
use pyo3::prelude::*;
use tercet::Error;

/// An error that has an exception.
pub(crate) trait Raise {
    /// The exception, with the message of the error.
    fn raise(self) -> PyErr;
}

/// `ValueError`; an interrupted computation is a `KeyboardInterrupt`.
impl Raise for Error {
    fn raise(self) -> PyErr {
        match self {
            Self::Interrupted => PyKeyboardInterrupt::new_err(self.to_string()),
            error => PyValueError::new_err(error.to_string()),
        }
    }
}

impl Raise for PyErr {
    fn raise(self) -> PyErr {
        self
    }
}

/// `?` on results of the core.
pub(crate) trait OrRaise<T> {
    /// The value, or the exception of the error.
    fn or_raise(self) -> PyResult<T>;
}

impl<T, E: Raise> OrRaise<T> for Result<T, E> {
    fn or_raise(self) -> PyResult<T> {
        self.map_err(Raise::raise)
    }
}
