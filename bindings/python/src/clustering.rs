//! `tercet.Clustering`.

use numpy::{IntoPyArray, PyArray1};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use tercet::Clustering;
use tercet::clustering::{Cut, Groups, Options};

use crate::arrays::Vectors;
use crate::errors::OrRaise;
use crate::labels::Classes;
use crate::numbers::integers;
use crate::parts::metric;
use crate::results::dictionary;
use crate::threads::compute;

/// What noise is in arrays of groups, as in scikit-learn.
const NOISE: i64 = -1;

/// The group of every row; −1 for noise.
#[pyfunction]
#[pyo3(signature = (embeddings, algorithm, *, threshold, clusters, min_items, seed, distance, normalize))]
#[allow(clippy::too_many_arguments)] // called by the Python class only
pub(crate) fn group<'py>(
    py: Python<'py>,
    embeddings: &Bound<'py, PyAny>,
    algorithm: &str,
    threshold: Option<f32>,
    clusters: Option<usize>,
    min_items: usize,
    seed: u64,
    distance: &str,
    normalize: bool,
) -> PyResult<Bound<'py, PyArray1<i64>>> {
    let algorithm: Clustering = algorithm.parse().or_raise()?;
    let cut = match (threshold, clusters) {
        (None, None) => Cut::None,
        (Some(threshold), None) => Cut::Threshold(threshold),
        (None, Some(clusters)) => Cut::Clusters(clusters),
        (Some(_), Some(_)) => {
            return Err(PyValueError::new_err(
                "threshold and clusters are given: expected one of them",
            ));
        }
    };
    let options = Options { metric: metric(distance, normalize)?, cut, min_items, seed };
    let embeddings = Vectors::read(embeddings, "embeddings")?;
    let view = embeddings.view();
    let groups = compute(py, |_| algorithm.group(view, &options))?;
    let of_items = groups.of_items().iter().map(|group| group.map_or(NOISE, i64::from));
    Ok(of_items.collect::<Vec<i64>>().into_pyarray(py))
}

/// How far groups agree with classes.
#[pyfunction]
pub(crate) fn agreement<'py>(
    py: Python<'py>,
    groups: &Bound<'py, PyAny>,
    labels: &Bound<'py, PyAny>,
) -> PyResult<Bound<'py, PyDict>> {
    let of_item = |group: i64| match group {
        NOISE => Ok(None),
        group => u32::try_from(group).map(Some).map_err(|_| {
            PyValueError::new_err(format!(
                "groups hold {group}: expected numbers of at least 0, or -1 for noise"
            ))
        }),
    };
    let groups =
        integers(groups, "groups")?.into_iter().map(of_item).collect::<PyResult<Groups>>()?;
    let labels = Classes::read(labels, "labels")?.labels;
    let judged = compute(py, |_| groups.judge(&labels))?;
    dictionary(py, &judged)
}
