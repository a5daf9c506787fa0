//! Triplets that Python hands over.

use numpy::{PyArrayDyn, PyArrayMethods};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyTuple;
use tercet::Triplet;

use crate::arrays::as_array;

/// Triplets as three index arrays, or one array of T×3.
pub(crate) fn given(triplets: &Bound<'_, PyAny>) -> PyResult<Vec<Triplet>> {
    let numpy = triplets.py().import("numpy")?;
    let array = as_array(&numpy, triplets, "triplets")?;
    let kind: char = array.getattr("dtype")?.getattr("kind")?.extract()?;
    let shape: Vec<usize> = array.getattr("shape")?.extract()?;
    let empty = shape.contains(&0);
    if !empty && !matches!(kind, 'i' | 'u') {
        let name: String = array.getattr("dtype")?.getattr("name")?.extract()?;
        return Err(PyTypeError::new_err(format!("triplets are of type {name}: expected rows")));
    }
    let is_tuple = triplets.is_instance_of::<PyTuple>();
    let rows = match (&shape[..], is_tuple) {
        (&[3, count], true) => count,
        (&[count, 3], false) => count,
        _ if empty => 0,
        _ => {
            return Err(PyValueError::new_err(format!(
                "triplets have the shape {shape:?}: expected a tuple of three arrays of rows, or an array of T×3"
            )));
        }
    };
    let array = array.call_method1("astype", (numpy.getattr("int64")?,))?;
    let array = array.cast_into::<PyArrayDyn<i64>>()?;
    let array = array.try_readonly()?;
    let values = array.as_array();
    let mut out = Vec::with_capacity(rows);
    for place in 0..rows {
        let row = |column: usize| {
            let value = if is_tuple { values[[column, place]] } else { values[[place, column]] };
            // A row that no batch has is refused by the core, which names the triplet.
            u32::try_from(value).unwrap_or(u32::MAX)
        };
        out.push(Triplet { anchor: row(0), positive: row(1), negative: row(2) });
    }
    Ok(out)
}
