//! Labels that Python hands over: integers or strings.

use numpy::{Element, PyArray1, PyArrayDescrMethods, PyArrayMethods, PyUntypedArrayMethods};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyList, PyString};
use tercet::Labels;

use crate::arrays::as_array;

/// Labels, and whether they were strings.
pub(crate) struct Classes {
    pub(crate) labels: Labels,
    text: bool,
}

impl Classes {
    /// Reads an array of integers or strings, or a sequence of them; `what` names it in messages.
    pub(crate) fn read(object: &Bound<'_, PyAny>, what: &str) -> PyResult<Self> {
        if let Some(labels) = of_integers::<i64>(object) {
            return Ok(Self { labels: labels?, text: false });
        }
        if object.is_instance_of::<PyString>() {
            return Err(PyTypeError::new_err(format!(
                "{what} are one string: expected a sequence of labels"
            )));
        }
        if let Ok(list) = object.cast::<PyList>() {
            return Self::of_list(list, what);
        }
        let numpy = object.py().import("numpy")?;
        let array = as_array(&numpy, object, what)?;
        if array.ndim() != 1 {
            let shape: String = array.getattr("shape")?.str()?.extract()?;
            return Err(PyValueError::new_err(format!(
                "{what} have the shape {shape}: expected one dimension, a label for each row"
            )));
        }
        let dtype = array.dtype();
        match dtype.kind() {
            b'u' if dtype.itemsize() == 8 => {
                let array = array.call_method1("astype", ("uint64",))?;
                let labels = of_integers::<u64>(&array);
                Ok(Self { labels: labels.unwrap_or_else(|| Ok(Labels::default()))?, text: false })
            }
            b'i' | b'u' | b'b' => {
                let array = array.call_method1("astype", ("int64",))?;
                let labels = of_integers::<i64>(&array);
                Ok(Self { labels: labels.unwrap_or_else(|| Ok(Labels::default()))?, text: false })
            }
            b'U' | b'S' | b'T' | b'O' => {
                Self::of_list(array.call_method0("tolist")?.cast::<PyList>()?, what)
            }
            _ if array.len() == 0 => Ok(Self { labels: Labels::default(), text: false }),
            _ => {
                let name: String = dtype.getattr("name")?.extract()?;
                Err(PyTypeError::new_err(format!(
                    "{what} are of type {name}: expected integers or strings"
                )))
            }
        }
    }

    fn of_list(list: &Bound<'_, PyList>, what: &str) -> PyResult<Self> {
        if let Ok(numbers) = list.extract::<Vec<i64>>() {
            return Ok(Self { labels: Labels::from_classes(&numbers), text: false });
        }
        let mut names: Vec<String> = Vec::with_capacity(list.len());
        for (place, label) in list.iter().enumerate() {
            match label.extract::<String>() {
                Ok(name) => names.push(name),
                // Labels of NumPy's type S.
                Err(_) => {
                    match label.extract::<&[u8]>().ok().and_then(|b| std::str::from_utf8(b).ok()) {
                        Some(name) => names.push(name.to_owned()),
                        None => {
                            let got = label.get_type().name()?;
                            return Err(PyTypeError::new_err(format!(
                                "{what} hold a {got} at {place}: expected integers or strings, all of one type"
                            )));
                        }
                    }
                }
            }
        }
        Ok(Self { labels: names.into_iter().collect(), text: true })
    }

    /// Whether the labels are strings.
    pub(crate) fn is_text(&self) -> bool {
        self.text
    }

    /// Refuses integers beside strings, which would never be equal.
    pub(crate) fn check_type(&self, other: &Self, what: &str, of_other: &str) -> PyResult<()> {
        if self.labels.is_empty() || other.labels.is_empty() || self.text == other.text {
            return Ok(());
        }
        let kind = |text| if text { "strings" } else { "integers" };
        Err(PyTypeError::new_err(format!(
            "{what} are {} and {of_other} {}: expected the same type",
            kind(self.text),
            kind(other.text)
        )))
    }
}

/// None if `object` is no array of this type.
fn of_integers<T: Element + Copy + Eq + std::hash::Hash + std::fmt::Display>(
    object: &Bound<'_, PyAny>,
) -> Option<PyResult<Labels>> {
    let array = object.cast::<PyArray1<T>>().ok()?;
    let read = || -> PyResult<Labels> {
        let array = array.try_readonly()?;
        Ok(match array.as_slice() {
            Ok(values) => Labels::from_classes(values),
            Err(_) => Labels::from_classes(&array.as_array().to_vec()),
        })
    };
    Some(read())
}
