//! Functions of vectors: distances, neighbours, re-ranking, expansion, maps.

use numpy::{IntoPyArray, PyArray1, PyArray2, PyArrayMethods};
use pyo3::prelude::*;
use tercet::expansion::Expansion;
use tercet::neighbors::{self, Neighbor};
use tercet_projection::Projection;

use crate::arrays::Vectors;
use crate::errors::OrRaise;
use crate::parts::metric;
use crate::retrieval::{Reranking, k_reciprocal};
use crate::threads::compute;

/// The distance of every query to every gallery vector.
///
/// Parameters
/// ----------
/// queries : array, shape (Q, D)
/// gallery : array, shape (G, D)
/// distance : str
///     ``"euclidean"``, ``"squared-euclidean"`` or ``"cosine"``.
/// normalize : bool
///     L2-normalise first.
///
/// Returns
/// -------
/// float32 array, shape (Q, G)
///
/// Raises
/// ------
/// ValueError
///     Vectors that are not finite, too long, without dimensions, or of different dimensions.
#[pyfunction]
#[pyo3(signature = (queries, gallery, *, distance="euclidean", normalize=false))]
pub(crate) fn distances<'py>(
    py: Python<'py>,
    queries: &Bound<'py, PyAny>,
    gallery: &Bound<'py, PyAny>,
    distance: &str,
    normalize: bool,
) -> PyResult<Bound<'py, PyArray2<f32>>> {
    let metric = metric(distance, normalize)?;
    let (queries, gallery) =
        (Vectors::read(queries, "queries")?, Vectors::read(gallery, "gallery")?);
    let (asked, searched) = (queries.view(), gallery.view());
    Ok(compute(py, |_| metric.distances(asked, searched))?.into_pyarray(py))
}

/// Rows and distances of neighbours, a row for each query.
type Found<'py> = (Bound<'py, PyArray2<i64>>, Bound<'py, PyArray2<f32>>);

/// The k nearest gallery vectors of every query, exactly, nearest first.
///
/// Parameters
/// ----------
/// queries : array, shape (Q, D)
/// gallery : array, shape (G, D), optional
///     Without one, every query searches the other queries: a row is never its own neighbour, while
///     duplicates of it are.
/// k : int
///     Neighbours; all of them if there are fewer.
/// distance : str
/// normalize : bool
///
/// Returns
/// -------
/// indices : int64 array, shape (Q, k)
///     Rows of the gallery; ties go to the lowest row.
/// distances : float32 array, shape (Q, k)
#[pyfunction]
#[pyo3(signature = (queries, gallery=None, k=10, *, distance="euclidean", normalize=false))]
pub(crate) fn nearest<'py>(
    py: Python<'py>,
    queries: &Bound<'py, PyAny>,
    gallery: Option<&Bound<'py, PyAny>>,
    k: usize,
    distance: &str,
    normalize: bool,
) -> PyResult<Found<'py>> {
    let metric = metric(distance, normalize)?;
    let queries = Vectors::read(queries, "queries")?;
    let gallery = gallery.map(|gallery| Vectors::read(gallery, "gallery")).transpose()?;
    let asked = queries.view();
    let searched = gallery.as_ref().map(Vectors::view);
    let found = compute(py, |_| match searched {
        Some(searched) => neighbors::nearest(asked, searched, k, metric),
        None => {
            let rows: Vec<u32> = (0..asked.nrows() as u32).collect();
            neighbors::nearest_leave_one_out(asked, &rows, k, metric)
        }
    })?;
    let shape = [found.len(), found.first().map_or(0, Vec::len)];
    let flat = || found.iter().flatten();
    let indices: Vec<i64> = flat().map(|near: &Neighbor| i64::from(near.index)).collect();
    let distances: Vec<f32> = flat().map(|near| near.distance).collect();
    Ok((
        PyArray1::from_vec(py, indices).reshape(shape)?,
        PyArray1::from_vec(py, distances).reshape(shape)?,
    ))
}

/// k-reciprocal distances of queries to a gallery, or of all rows to all rows.
#[pyfunction]
#[pyo3(signature = (queries, gallery, parameters, *, distance, normalize))]
pub(crate) fn reranked_distances<'py>(
    py: Python<'py>,
    queries: &Bound<'py, PyAny>,
    gallery: Option<&Bound<'py, PyAny>>,
    parameters: Reranking,
    distance: &str,
    normalize: bool,
) -> PyResult<Bound<'py, PyArray2<f32>>> {
    let metric = metric(distance, normalize)?;
    let queries = Vectors::read(queries, "queries")?;
    let gallery = gallery.map(|gallery| Vectors::read(gallery, "gallery")).transpose()?;
    let asked = queries.view();
    let searched = gallery.as_ref().map(Vectors::view);
    let method = k_reciprocal(parameters);
    let distances = compute(py, |_| {
        let reranked = match searched {
            Some(searched) => method.query_gallery(asked, searched, metric)?,
            None => method.leave_one_out(asked, metric)?,
        };
        Ok::<_, tercet::Error>(reranked.distances())
    })?;
    Ok(distances.into_pyarray(py))
}

/// Vectors moved towards their nearest: the weighted mean of each query and its k nearest gallery
/// vectors, or, without a gallery, of each vector and its k nearest others.
///
/// The weights are max(0, cosine)^alpha, and 1 for the vector itself. ``alpha=0`` is the average query
/// expansion of Chum et al. 2007, ``alpha=3`` is usual for the weighted one (Radenović et al. 2018).
///
/// Parameters
/// ----------
/// queries : array, shape (Q, D)
/// gallery : array, shape (G, D), optional
/// k : int
/// alpha : float
/// distance : str
/// normalize : bool
///
/// Returns
/// -------
/// float32 array, shape (Q, D)
#[pyfunction]
#[pyo3(signature = (queries, gallery=None, *, k=5, alpha=0.0, distance="euclidean", normalize=false))]
#[allow(clippy::too_many_arguments)] // the keywords of the Python function
pub(crate) fn expand<'py>(
    py: Python<'py>,
    queries: &Bound<'py, PyAny>,
    gallery: Option<&Bound<'py, PyAny>>,
    k: usize,
    alpha: f32,
    distance: &str,
    normalize: bool,
) -> PyResult<Bound<'py, PyArray2<f32>>> {
    let metric = metric(distance, normalize)?;
    let queries = Vectors::read(queries, "queries")?;
    let gallery = gallery.map(|gallery| Vectors::read(gallery, "gallery")).transpose()?;
    let (asked, searched) = (queries.view(), gallery.as_ref().map(Vectors::view));
    let expansion = Expansion { k, alpha };
    let moved = compute(py, |_| match searched {
        Some(searched) => expansion.queries(asked, searched, metric),
        None => expansion.database(asked, metric),
    })?;
    Ok(moved.into_pyarray(py))
}

/// A map of vectors in two dimensions.
///
/// Parameters
/// ----------
/// embeddings : array, shape (N, D)
/// method : str
///     ``"pca"``, or ``"t-sne"`` where the build has it.
/// distance : str
/// normalize : bool
///
/// Returns
/// -------
/// float32 array, shape (N, 2)
#[pyfunction]
#[pyo3(signature = (embeddings, method="pca", *, distance="euclidean", normalize=false))]
pub(crate) fn project<'py>(
    py: Python<'py>,
    embeddings: &Bound<'py, PyAny>,
    method: &str,
    distance: &str,
    normalize: bool,
) -> PyResult<Bound<'py, PyArray2<f32>>> {
    let metric = metric(distance, normalize)?;
    let method: Projection = method.parse().or_raise()?;
    let embeddings = Vectors::read(embeddings, "embeddings")?;
    let view = embeddings.view();
    Ok(compute(py, |_| method.map(view, metric))?.into_pyarray(py))
}
