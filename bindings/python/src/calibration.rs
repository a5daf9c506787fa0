//! `tercet.Calibration`.

use numpy::{IntoPyArray, PyArray1};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use tercet::Calibration as Core;
use tercet::verification::Pair;

use crate::numbers::numbers;
use crate::results::dictionary;
use crate::threads::compute;
use crate::verification::pairs;

/// From a distance to the probability that two items are of the same class; it never rises.
///
/// The probability is that of pairs like those it was fitted on. Evaluate it on other pairs by
/// :meth:`quality`.
///
/// Examples
/// --------
/// >>> pairs = tercet.Pairs.balanced(embeddings, labels)
/// >>> calibration = tercet.Calibration.isotonic(pairs)
/// >>> calibration.probability([0.3, 0.9])
#[pyclass(frozen, eq, module = "tercet")]
#[derive(PartialEq)]
pub(crate) struct Calibration {
    calibration: Core,
}

/// The columns of a `tercet.Pairs`.
fn columns(given: &Bound<'_, PyAny>) -> PyResult<Vec<Pair>> {
    pairs(&given.getattr("distances")?, &given.getattr("same")?, None)
}

#[pymethods]
impl Calibration {
    /// Isotonic regression: faithful where there are many pairs.
    ///
    /// Raises ValueError for fewer than 10 same or 10 different pairs.
    #[staticmethod]
    fn isotonic(py: Python<'_>, pairs: &Bound<'_, PyAny>) -> PyResult<Self> {
        let pairs = columns(pairs)?;
        Ok(Self { calibration: compute(py, |_| Core::isotonic(&pairs))? })
    }

    /// Logistic regression: steady where there are few pairs.
    ///
    /// Raises ValueError for fewer than 10 same or 10 different pairs.
    #[staticmethod]
    fn logistic(py: Python<'_>, pairs: &Bound<'_, PyAny>) -> PyResult<Self> {
        let pairs = columns(pairs)?;
        Ok(Self { calibration: compute(py, |_| Core::logistic(&pairs))? })
    }

    /// The probability of *same* at each of these distances (float64, shape (N,)).
    fn probability<'py>(
        &self,
        py: Python<'py>,
        distances: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyArray1<f64>>> {
        let distances = numbers(distances, "distances")?;
        let of = |&distance: &f32| self.calibration.probability(distance);
        Ok(distances.iter().map(of).collect::<Vec<f64>>().into_pyarray(py))
    }

    /// The largest distance at which the probability is still at least this; None if at none.
    fn distance(&self, probability: f64) -> Option<f32> {
        self.calibration.distance(probability)
    }

    /// How far the probabilities are from what these pairs turned out to be: ``pairs``, ``brier``,
    /// ``log_loss``, ``calibration_error`` and ``reliability``.
    fn quality<'py>(
        &self,
        py: Python<'py>,
        pairs: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyDict>> {
        let pairs = columns(pairs)?;
        let quality = compute(py, |_| self.calibration.quality(&pairs))?;
        dictionary(py, &quality)
    }

    /// The calibration as a dictionary, as in files of models.
    fn to_dict<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        dictionary(py, &self.calibration)
    }

    /// The calibration of such a dictionary.
    #[staticmethod]
    fn from_dict(state: &Bound<'_, PyAny>) -> PyResult<Self> {
        let calibration = pythonize::depythonize(state)
            .map_err(|error| PyValueError::new_err(format!("no calibration: {error}")))?;
        Ok(Self { calibration })
    }

    fn __reduce__<'py>(
        &self,
        py: Python<'py>,
    ) -> PyResult<(Bound<'py, PyAny>, (Bound<'py, PyDict>,))> {
        let make = py.get_type::<Self>().getattr("from_dict")?;
        Ok((make, (self.to_dict(py)?,)))
    }

    fn __repr__(&self) -> &'static str {
        match self.calibration {
            Core::Isotonic(_) => "Calibration.isotonic(...)",
            Core::Logistic(_) => "Calibration.logistic(...)",
        }
    }
}
