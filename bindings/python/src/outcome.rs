//! `tercet.Outcome` and `tercet.Census`: what an evaluation returns.

use numpy::{IntoPyArray, PyArray2};
use pyo3::prelude::*;
use pyo3::types::PyDict;

/// The result of an evaluation.
///
/// Attributes
/// ----------
/// value : float
///     The loss, accumulated in float64.
/// gradient : float32 array, shape (B, D)
///     ∂value/∂embeddings, whatever the type of the embeddings.
/// reference_gradient : float32 array of shape (R, D), or None
///     ∂value/∂reference, if there were reference vectors.
/// census : Census
///     What was counted.
#[pyclass(frozen, module = "tercet")]
pub(crate) struct Outcome {
    #[pyo3(get)]
    value: f64,
    #[pyo3(get)]
    gradient: Py<PyArray2<f32>>,
    #[pyo3(get)]
    reference_gradient: Option<Py<PyArray2<f32>>>,
    census: tercet::Census,
}

impl Outcome {
    pub(crate) fn new(py: Python<'_>, outcome: tercet::Outcome) -> Self {
        Self {
            value: outcome.value,
            gradient: outcome.gradient.into_pyarray(py).unbind(),
            reference_gradient: outcome.reference_gradient.map(|g| g.into_pyarray(py).unbind()),
            census: outcome.census,
        }
    }
}

#[pymethods]
impl Outcome {
    /// What was counted.
    #[getter]
    fn census(&self) -> Census {
        Census { census: self.census }
    }

    /// Value, gradient and census, so that ``value, gradient, census = loss(x, labels)`` works.
    fn __iter__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let parts = (self.value, self.gradient.clone_ref(py), self.census());
        parts.into_pyobject(py)?.into_any().call_method0("__iter__")
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        let shape: String = self.gradient.bind(py).getattr("shape")?.str()?.extract()?;
        Ok(format!(
            "Outcome(value={}, gradient of shape {shape}, {})",
            self.value,
            self.census().__repr__()
        ))
    }

    fn _repr_html_(&self, py: Python<'_>) -> PyResult<String> {
        let shape: String = self.gradient.bind(py).getattr("shape")?.str()?.extract()?;
        Ok(format!(
            "<table><tr><th>value</th><td>{}</td></tr><tr><th>gradient</th><td>float32 {shape}</td></tr>{}</table>",
            self.value,
            self.census().rows()
        ))
    }
}

/// What an objective counted in a batch. Counts are exact integers.
///
/// Attributes
/// ----------
/// triplets : int
///     Valid triplets: the sum over classes of n(n−1)(N−n).
/// selected : int
///     Triplets that the selection took.
/// active : int
///     Selected triplets that have a gradient: a penalty above 0 for a hinge, above 1e-5 for a soft
///     penalty.
/// violated : int
///     Selected triplets in the wrong order: d(a,n) ≤ d(a,p).
/// filtered : int
///     Valid triplets whose negative was ignored as probably false.
/// anchors : int
///     Anchors that are part of a valid triplet.
/// anchors_without_positive : int
///     Anchors that are alone in their class.
/// anchors_without_negative : int
///     Anchors without an item of another class.
/// mean_positive_distance : float
///     Mean distance over ordered pairs of one class, 0 if there are none.
/// mean_negative_distance : float
///     Mean distance over ordered pairs of two classes, 0 if there are none.
#[pyclass(frozen, eq, module = "tercet")]
#[derive(PartialEq)]
pub(crate) struct Census {
    census: tercet::Census,
}

#[pymethods]
impl Census {
    #[getter]
    fn triplets(&self) -> u64 {
        self.census.triplets
    }
    #[getter]
    fn selected(&self) -> u64 {
        self.census.selected
    }
    #[getter]
    fn active(&self) -> u64 {
        self.census.active
    }
    #[getter]
    fn violated(&self) -> u64 {
        self.census.violated
    }
    #[getter]
    fn filtered(&self) -> u64 {
        self.census.filtered
    }
    #[getter]
    fn anchors(&self) -> u64 {
        self.census.anchors
    }
    #[getter]
    fn anchors_without_positive(&self) -> u64 {
        self.census.anchors_without_positive
    }
    #[getter]
    fn anchors_without_negative(&self) -> u64 {
        self.census.anchors_without_negative
    }
    #[getter]
    fn mean_positive_distance(&self) -> f64 {
        self.census.mean_positive_distance
    }
    #[getter]
    fn mean_negative_distance(&self) -> f64 {
        self.census.mean_negative_distance
    }

    /// Share of the selected triplets that are active, 0 if none was selected.
    #[getter]
    fn active_share(&self) -> f64 {
        self.census.active_share()
    }

    /// All counts by name, as in the command line's JSON.
    fn to_dict<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        Ok(pythonize::pythonize(py, &self.census)?.cast_into::<PyDict>()?)
    }

    fn __repr__(&self) -> String {
        let words: Vec<String> =
            self.entries().into_iter().map(|(name, value)| format!("{name}={value}")).collect();
        format!("Census({})", words.join(", "))
    }

    fn _repr_html_(&self) -> String {
        format!("<table>{}</table>", self.rows())
    }
}

impl Census {
    fn entries(&self) -> [(&'static str, String); 9] {
        let census = &self.census;
        [
            ("triplets", census.triplets.to_string()),
            ("selected", census.selected.to_string()),
            ("active", census.active.to_string()),
            ("violated", census.violated.to_string()),
            ("anchors", census.anchors.to_string()),
            ("anchors_without_positive", census.anchors_without_positive.to_string()),
            ("anchors_without_negative", census.anchors_without_negative.to_string()),
            ("mean_positive_distance", census.mean_positive_distance.to_string()),
            ("mean_negative_distance", census.mean_negative_distance.to_string()),
        ]
    }

    /// Rows of an HTML table.
    fn rows(&self) -> String {
        self.entries()
            .into_iter()
            .map(|(name, value)| {
                format!("<tr><th>{}</th><td>{value}</td></tr>", name.replace('_', " "))
            })
            .collect()
    }
}
