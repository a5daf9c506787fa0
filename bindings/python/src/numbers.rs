//! Columns of integers and numbers that Python hands over.

use numpy::{Element, PyArray1, PyArrayMethods, PyUntypedArrayMethods};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;

use crate::arrays::as_array;

/// Integers of one dimension.
pub(crate) fn integers(object: &Bound<'_, PyAny>, what: &str) -> PyResult<Vec<i64>> {
    column(object, what, "iu", "int64", "integers")
}

/// Booleans of one dimension.
pub(crate) fn booleans(object: &Bound<'_, PyAny>, what: &str) -> PyResult<Vec<bool>> {
    column(object, what, "b", "bool", "booleans")
}

/// Numbers of one dimension.
pub(crate) fn numbers(object: &Bound<'_, PyAny>, what: &str) -> PyResult<Vec<f32>> {
    column(object, what, "fiu", "float32", "numbers")
}

/// Rows of a matrix.
pub(crate) fn rows(object: &Bound<'_, PyAny>, what: &str) -> PyResult<Vec<u32>> {
    let row = |value: i64| {
        u32::try_from(value).map_err(|_| {
            PyValueError::new_err(format!("{what} hold {value}: expected rows, counted from 0"))
        })
    };
    integers(object, what)?.into_iter().map(row).collect()
}

/// Refuses columns of different lengths.
pub(crate) fn same_length(left: (&str, usize), right: (&str, usize)) -> PyResult<()> {
    if left.1 == right.1 {
        return Ok(());
    }
    Err(PyValueError::new_err(format!(
        "{} have {} entries and {} {}: expected the same number",
        left.0, left.1, right.0, right.1
    )))
}

fn column<T: Element + Copy>(
    object: &Bound<'_, PyAny>,
    what: &str,
    kinds: &str,
    dtype: &str,
    expected: &str,
) -> PyResult<Vec<T>> {
    let numpy = object.py().import("numpy")?;
    let array = as_array(&numpy, object, what)?;
    if array.ndim() != 1 {
        let shape: String = array.getattr("shape")?.str()?.extract()?;
        return Err(PyValueError::new_err(format!(
            "{what} have the shape {shape}: expected one dimension"
        )));
    }
    let kind: char = array.getattr("dtype")?.getattr("kind")?.extract()?;
    if array.len() > 0 && !kinds.contains(kind) {
        let name: String = array.getattr("dtype")?.getattr("name")?.extract()?;
        return Err(PyTypeError::new_err(format!(
            "{what} are of type {name}: expected {expected}"
        )));
    }
    let array = array.call_method1("astype", (numpy.getattr(dtype)?,))?;
    let array = array.cast_into::<PyArray1<T>>()?;
    let array = array.try_readonly()?;
    Ok(array.as_array().to_vec())
}
