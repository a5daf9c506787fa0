//! `tercet.compare` and `tercet.bootstrap`.

use pyo3::prelude::*;
use pyo3::types::PyDict;
use tercet::bootstrap::over_classes;
use tercet::comparison::{Scores, compare as core_compare};

use crate::labels::Classes;
use crate::results::dictionary;
use crate::threads::compute;

/// The differences between all pairs of systems.
#[pyfunction]
#[pyo3(signature = (systems, labels, *, resamples, seed))]
pub(crate) fn compare<'py>(
    py: Python<'py>,
    systems: Vec<(String, Scores)>,
    labels: &Bound<'py, PyAny>,
    resamples: usize,
    seed: u64,
) -> PyResult<Vec<Bound<'py, PyDict>>> {
    let labels = Classes::read(labels, "labels")?.labels;
    let named: Vec<(&str, &Scores)> = systems.iter().map(|(name, s)| (name.as_str(), s)).collect();
    let found = compute(py, |_| core_compare(&named, &labels, resamples, seed))?;
    found.iter().map(|difference| dictionary(py, difference)).collect()
}

/// The 95 % interval [low, high] of the mean of values, by resampling whole classes.
///
/// Values of one class depend on each other; resampling single values would give intervals that are
/// too narrow (Davison & Hinkley 1997, section 3.8).
///
/// Parameters
/// ----------
/// values : sequence of float, shape (N,)
/// labels : array or sequence, shape (N,)
/// resamples : int
/// seed : int
#[pyfunction]
#[pyo3(signature = (values, labels, *, resamples=1000, seed=0))]
pub(crate) fn bootstrap(
    py: Python<'_>,
    values: Vec<f64>,
    labels: &Bound<'_, PyAny>,
    resamples: usize,
    seed: u64,
) -> PyResult<(f64, f64)> {
    let labels = Classes::read(labels, "labels")?.labels;
    let [low, high] = compute(py, |_| over_classes(&values, labels.classes(), resamples, seed))?;
    Ok((low, high))
}
