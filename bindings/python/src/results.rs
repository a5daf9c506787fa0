//! Results of the core as dictionaries, with the keys of the command line's JSON.

use numpy::{Element, PyArray1};
use pyo3::prelude::*;
use pyo3::types::PyDict;
use serde::Serialize;

/// A structure as a dictionary.
pub(crate) fn dictionary<'py, T: Serialize>(
    py: Python<'py>,
    value: &T,
) -> PyResult<Bound<'py, PyDict>> {
    Ok(pythonize::pythonize(py, value)?.cast_into::<PyDict>()?)
}

/// A table with an array for each of its columns.
pub(crate) struct Columns<'py, 'a, R> {
    rows: &'a [R],
    table: Bound<'py, PyDict>,
}

impl<'py, 'a, R> Columns<'py, 'a, R> {
    pub(crate) fn new(py: Python<'py>, rows: &'a [R]) -> Self {
        Self { rows, table: PyDict::new(py) }
    }

    /// Adds a column.
    pub(crate) fn with<T: Element>(self, name: &str, value: impl Fn(&R) -> T) -> PyResult<Self> {
        let values: Vec<T> = self.rows.iter().map(value).collect();
        self.table.set_item(name, PyArray1::from_vec(self.table.py(), values))?;
        Ok(self)
    }

    pub(crate) fn table(self) -> Bound<'py, PyDict> {
        self.table
    }
}
