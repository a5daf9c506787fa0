//! `tercet.OpenSet`: thresholds for searches in which almost no item is of the query's class.

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use tercet::OpenSet as Core;
use tercet::open_set::{Bound as Caution, GallerySize};

use crate::arrays::Vectors;
use crate::labels::Classes;
use crate::parts::metric;
use crate::results::dictionary;
use crate::threads::compute;

/// What strangers (queries of a class that the gallery does not hold) and known queries meet in a
/// gallery, by distance. Measure it on classes that the network was not trained on.
///
/// Parameters
/// ----------
/// embeddings : array, shape (H, D)
///     Of more than 3,000 items a sample is measured.
/// labels : array or sequence, shape (H,)
/// bound : str
///     ``"upper"``: one-sided 95 % prediction bounds, for thresholds; ``"median"``: estimates for
///     statements about the measured items.
/// seed : int
/// distance : str
/// normalize : bool
#[pyclass(frozen, eq, module = "tercet")]
#[derive(PartialEq)]
pub(crate) struct OpenSet {
    open_set: Core,
}

fn gallery_size(items: u64, classes: Option<u64>) -> GallerySize {
    GallerySize { items, classes: classes.unwrap_or(items) }
}

#[pymethods]
impl OpenSet {
    #[new]
    #[pyo3(signature = (embeddings, labels, *, bound="upper", seed=0, distance="euclidean", normalize=false))]
    fn new(
        py: Python<'_>,
        embeddings: &Bound<'_, PyAny>,
        labels: &Bound<'_, PyAny>,
        bound: &str,
        seed: u64,
        distance: &str,
        normalize: bool,
    ) -> PyResult<Self> {
        let metric = metric(distance, normalize)?;
        let caution = match bound {
            "upper" => Caution::Upper,
            "median" => Caution::Median,
            other => {
                return Err(PyValueError::new_err(format!(
                    "unknown bound `{other}`: expected one of upper, median"
                )));
            }
        };
        let embeddings = Vectors::read(embeddings, "embeddings")?;
        let labels = Classes::read(labels, "labels")?.labels;
        let view = embeddings.view();
        let open_set = compute(py, |_| Core::measure(view, &labels, metric, caution, seed))?;
        Ok(Self { open_set })
    }

    /// The largest distance at which a stranger has at most ``rate`` false matches in expectation, in
    /// a gallery of so many items and classes (default: every item a class of its own).
    #[pyo3(signature = (rate, items, classes=None))]
    fn threshold(&self, rate: f64, items: u64, classes: Option<u64>) -> f32 {
        self.open_set.threshold(rate, gallery_size(items, classes))
    }

    /// An upper bound of the expected number of false matches of a stranger within this distance.
    #[pyo3(signature = (distance, items, classes=None))]
    fn false_matches(&self, distance: f32, items: u64, classes: Option<u64>) -> f64 {
        self.open_set.false_matches(distance, gallery_size(items, classes))
    }

    /// The expected share of queries of known classes that find an item of theirs within this
    /// distance.
    #[pyo3(signature = (distance, items, classes=None))]
    fn known_found(&self, distance: f32, items: u64, classes: Option<u64>) -> f64 {
        self.open_set.known_found(distance, gallery_size(items, classes))
    }

    /// The probability that a hit at this distance is of the query's class, where ``known`` is the
    /// share of queries whose class is in the gallery.
    #[pyo3(signature = (distance, items, classes=None, *, known=0.5))]
    fn probability(&self, distance: f32, items: u64, classes: Option<u64>, known: f64) -> f64 {
        self.open_set.probability(distance, gallery_size(items, classes).prior(known))
    }

    /// The measurement as a dictionary.
    fn to_dict<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        dictionary(py, &self.open_set)
    }

    /// The measurement of such a dictionary.
    #[staticmethod]
    fn from_dict(state: &Bound<'_, PyAny>) -> PyResult<Self> {
        let open_set = pythonize::depythonize(state)
            .map_err(|error| PyValueError::new_err(format!("no open set: {error}")))?;
        Ok(Self { open_set })
    }

    fn __reduce__<'py>(
        &self,
        py: Python<'py>,
    ) -> PyResult<(Bound<'py, PyAny>, (Bound<'py, PyDict>,))> {
        Ok((py.get_type::<Self>().getattr("from_dict")?, (self.to_dict(py)?,)))
    }

    fn __repr__(&self) -> String {
        let (items, classes) = (self.open_set.items(), self.open_set.classes());
        format!("OpenSet(measured on {items} items of {classes} classes)")
    }
}
