//! `tercet.Pairs` and `tercet.Verification`.

use numpy::{IntoPyArray, PyArray1};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use tercet::Verification;
use tercet::verification::{
    FAR_TARGETS, Pair, RowPair, balanced_rows as core_balanced_rows, measured_pairs,
    threshold_at_far as core_threshold_at_far,
};

use crate::arrays::Vectors;
use crate::errors::OrRaise;
use crate::labels::Classes;
use crate::numbers::{booleans, integers, numbers, rows, same_length};
use crate::parts::metric;
use crate::results::{Columns, dictionary};
use crate::threads::compute;

/// Pairs from the columns of `tercet.Pairs`.
pub(crate) fn pairs(
    distances: &Bound<'_, PyAny>,
    same: &Bound<'_, PyAny>,
    folds: Option<&Bound<'_, PyAny>>,
) -> PyResult<Vec<Pair>> {
    let distances = numbers(distances, "distances")?;
    let same = booleans(same, "same")?;
    same_length(("distances", distances.len()), ("same", same.len()))?;
    let folds = fold_numbers(folds, same.len())?;
    let columns = distances.into_iter().zip(same).zip(folds);
    Ok(columns.map(|((distance, same), fold)| Pair { distance, same, fold }).collect())
}

fn fold_numbers(folds: Option<&Bound<'_, PyAny>>, count: usize) -> PyResult<Vec<u32>> {
    let Some(folds) = folds else { return Ok(vec![0; count]) };
    let folds = integers(folds, "folds")?;
    same_length(("folds", folds.len()), ("same", count))?;
    let number = |fold: i64| {
        u32::try_from(fold).map_err(|_| {
            PyValueError::new_err(format!("folds hold {fold}: expected numbers of at least 0"))
        })
    };
    folds.into_iter().map(number).collect()
}

/// Rows of balanced pairs: left, right, same, fold.
#[pyfunction]
pub(crate) fn balanced_rows<'py>(
    py: Python<'py>,
    labels: &Bound<'py, PyAny>,
    limit_per_fold: usize,
    seed: u64,
) -> PyResult<Bound<'py, PyDict>> {
    let labels = Classes::read(labels, "labels")?.labels;
    let listed = compute(py, |_| core_balanced_rows(&labels, limit_per_fold, seed))?;
    Ok(Columns::new(py, &listed)
        .with("left", |pair| i64::from(pair.left))?
        .with("right", |pair| i64::from(pair.right))?
        .with("same", |pair| pair.same)?
        .with("folds", |pair| i64::from(pair.fold))?
        .table())
}

/// The distance of each pair of rows.
#[pyfunction]
#[pyo3(signature = (embeddings, left, right, *, distance, normalize))]
pub(crate) fn pair_distances<'py>(
    py: Python<'py>,
    embeddings: &Bound<'py, PyAny>,
    left: &Bound<'py, PyAny>,
    right: &Bound<'py, PyAny>,
    distance: &str,
    normalize: bool,
) -> PyResult<Bound<'py, PyArray1<f32>>> {
    let metric = metric(distance, normalize)?;
    let embeddings = Vectors::read(embeddings, "embeddings")?;
    let (left, right) = (rows(left, "left")?, rows(right, "right")?);
    same_length(("left", left.len()), ("right", right.len()))?;
    let listed: Vec<RowPair> = left
        .into_iter()
        .zip(right)
        .map(|(left, right)| RowPair { left, right, same: false, fold: 0 })
        .collect();
    let view = embeddings.view();
    let measured = compute(py, |_| measured_pairs(view, &listed, metric))?;
    Ok(measured.iter().map(|pair| pair.distance).collect::<Vec<f32>>().into_pyarray(py))
}

/// All figures of verification.
#[pyfunction]
#[pyo3(signature = (distances, same, folds, *, far_targets))]
pub(crate) fn verification<'py>(
    py: Python<'py>,
    distances: &Bound<'py, PyAny>,
    same: &Bound<'py, PyAny>,
    folds: Option<&Bound<'py, PyAny>>,
    far_targets: Option<Vec<f64>>,
) -> PyResult<Bound<'py, PyDict>> {
    let pairs = pairs(distances, same, folds)?;
    let targets = far_targets.unwrap_or_else(|| FAR_TARGETS.map(|(_, far)| far).to_vec());
    let judged = compute(py, |_| Verification::judge_at(&pairs, &targets))?;
    let result = dictionary(py, &judged)?;
    let roc = Columns::new(py, &judged.roc)
        .with("threshold", |point| point.threshold)?
        .with("far", |point| point.far)?
        .with("val", |point| point.val)?
        .table();
    let by_fold = Columns::new(py, &judged.by_fold)
        .with("fold", |fold| i64::from(fold.fold))?
        .with("pairs", |fold| fold.pairs as i64)?
        .with("threshold", |fold| fold.threshold)?
        .with("accuracy", |fold| fold.accuracy)?
        .table();
    if !result.contains("ci95")? {
        result.set_item("ci95", py.None())?;
    }
    result.set_item("roc", roc)?;
    result.set_item("by_fold", by_fold)?;
    Ok(result)
}

/// The largest threshold below which at most the share `far` of the different pairs lies.
#[pyfunction]
pub(crate) fn threshold_at_far(
    distances: &Bound<'_, PyAny>,
    same: &Bound<'_, PyAny>,
    far: f64,
) -> PyResult<f32> {
    core_threshold_at_far(&pairs(distances, same, None)?, far).or_raise()
}
