//! Errors of the core as Python exceptions, with the same message.

use pyo3::exceptions::{PyKeyboardInterrupt, PyValueError};
use pyo3::prelude::*;
use tercet::Error;

/// `ValueError` with the message of the core; an interrupted computation is a `KeyboardInterrupt`.
pub(crate) fn to_python(error: Error) -> PyErr {
    match error {
        Error::Interrupted => PyKeyboardInterrupt::new_err(error.to_string()),
        error => PyValueError::new_err(error.to_string()),
    }
}

/// `?` on results of the core.
pub(crate) trait OrRaise<T> {
    /// The value, or the exception of the error.
    fn or_raise(self) -> PyResult<T>;
}

impl<T> OrRaise<T> for Result<T, Error> {
    fn or_raise(self) -> PyResult<T> {
        self.map_err(to_python)
    }
}
