//! Vectors that Python hands over, as views of f32.

use ndarray::ArrayView2;
use numpy::{
    PyArray2, PyArrayDescrMethods, PyArrayMethods, PyReadonlyArray2, PyUntypedArray,
    PyUntypedArrayMethods,
};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyDict;

/// A matrix of vectors, one a row.
///
/// A NumPy array of native f32 is read where it is, whatever its strides. Everything else that NumPy
/// can turn into numbers is converted to f32 first.
pub(crate) struct Vectors<'py>(PyReadonlyArray2<'py, f32>);

impl<'py> Vectors<'py> {
    /// Reads `object`; `what` names it in messages.
    pub(crate) fn read(object: &Bound<'py, PyAny>, what: &str) -> PyResult<Self> {
        match object.cast::<PyArray2<f32>>() {
            Ok(array) if is_aligned(array) => Self::borrow(array),
            _ => Self::borrow(&converted(object, what)?),
        }
    }

    fn borrow(array: &Bound<'py, PyArray2<f32>>) -> PyResult<Self> {
        Ok(Self(array.try_readonly()?))
    }

    /// The matrix: N×D.
    pub(crate) fn view(&self) -> ArrayView2<'_, f32> {
        self.0.as_array()
    }
}

/// NumPy allows arrays whose numbers start anywhere, such as fields of packed records.
fn is_aligned(array: &Bound<'_, PyArray2<f32>>) -> bool {
    let aligned = |address: usize| address.is_multiple_of(align_of::<f32>());
    aligned(array.data() as usize) && array.strides().iter().all(|s| aligned(s.unsigned_abs()))
}

/// A new array of f32.
fn converted<'py>(object: &Bound<'py, PyAny>, what: &str) -> PyResult<Bound<'py, PyArray2<f32>>> {
    let numpy = object.py().import("numpy")?;
    let array = as_array(&numpy, object, what)?;
    let (dtype, dimensions) = (array.dtype(), array.ndim());
    let name: String = dtype.getattr("name")?.extract()?;
    // ml_dtypes registers bfloat16 and its relatives with kind V, and their conversions.
    let is_number = matches!(dtype.kind(), b'f' | b'i' | b'u') || name.contains("float");
    if !is_number {
        return Err(PyTypeError::new_err(format!("{what} are of type {name}: expected numbers")));
    }
    if dimensions != 2 {
        let shape: String = array.getattr("shape")?.str()?.extract()?;
        return Err(PyValueError::new_err(format!(
            "{what} have the shape {shape}: expected two dimensions, a row for each vector"
        )));
    }
    // A number beyond f32 becomes infinite, which is refused with its row later.
    let quiet = PyDict::new(object.py());
    quiet.set_item("over", "ignore")?;
    quiet.set_item("invalid", "ignore")?;
    let context = numpy.getattr("errstate")?.call((), Some(&quiet))?;
    context.call_method0("__enter__")?;
    let cast = array.call_method1("astype", (numpy.getattr("float32")?,));
    context
        .call_method1("__exit__", (object.py().None(), object.py().None(), object.py().None()))?;
    Ok(cast?.cast_into::<PyArray2<f32>>()?)
}

/// `numpy.asarray`, whose errors become a `TypeError` unless they are a `ValueError`.
pub(crate) fn as_array<'py>(
    numpy: &Bound<'py, PyModule>,
    object: &Bound<'py, PyAny>,
    what: &str,
) -> PyResult<Bound<'py, PyUntypedArray>> {
    let array = numpy.call_method1("asarray", (object,)).map_err(|error| {
        if error.is_instance_of::<PyValueError>(object.py()) {
            PyValueError::new_err(format!("{what} are no array: {}", error.value(object.py())))
        } else {
            PyTypeError::new_err(format!("{what} are no array: {}", error.value(object.py())))
        }
    })?;
    Ok(array.cast_into::<PyUntypedArray>()?)
}
