//! `tercet.Reidentification`.

use pyo3::prelude::*;
use pyo3::types::PyDict;
use tercet::Reidentification;
use tercet::reidentification::{Sightings, SingleShot};

use crate::arrays::Vectors;
use crate::numbers::integers;
use crate::parts::metric;
use crate::results::{Columns, dictionary};
use crate::retrieval::{Reranking, k_reciprocal};
use crate::threads::compute;

/// What cameras saw: vectors, identities, cameras.
struct Seen<'py> {
    vectors: Vectors<'py>,
    ids: Vec<i64>,
    cameras: Vec<i64>,
    items: Option<Vec<u32>>,
}

type Sighted<'py> = (Bound<'py, PyAny>, Bound<'py, PyAny>, Bound<'py, PyAny>);

impl<'py> Seen<'py> {
    fn read(
        (vectors, ids, cameras): &Sighted<'py>,
        items: Option<&Bound<'py, PyAny>>,
        what: &str,
    ) -> PyResult<Self> {
        Ok(Self {
            vectors: Vectors::read(vectors, what)?,
            ids: integers(ids, "ids")?,
            cameras: integers(cameras, "cameras")?,
            items: items.map(|items| crate::numbers::rows(items, "items")).transpose()?,
        })
    }

    fn view(&self) -> Sightings<'_> {
        Sightings {
            embeddings: self.vectors.view(),
            ids: &self.ids,
            cameras: &self.cameras,
            items: self.items.as_deref(),
        }
    }
}

/// All figures of re-identification.
#[pyfunction]
#[pyo3(signature = (queries, gallery, *, query_items, gallery_items, distance, normalize, ranks, reranking))]
#[allow(clippy::too_many_arguments)] // called by the Python class only
pub(crate) fn reidentification<'py>(
    py: Python<'py>,
    queries: Sighted<'py>,
    gallery: Sighted<'py>,
    query_items: Option<&Bound<'py, PyAny>>,
    gallery_items: Option<&Bound<'py, PyAny>>,
    distance: &str,
    normalize: bool,
    ranks: usize,
    reranking: Option<Reranking>,
) -> PyResult<Bound<'py, PyDict>> {
    let metric = metric(distance, normalize)?;
    let queries = Seen::read(&queries, query_items, "queries")?;
    let gallery = Seen::read(&gallery, gallery_items, "gallery")?;
    let (asked, searched) = (queries.view(), gallery.view());
    let judged = compute(py, |_| match reranking {
        None => Reidentification::judge(asked, searched, metric, ranks),
        Some(parameters) => {
            let vectors = (asked.embeddings, searched.embeddings);
            let reranked = k_reciprocal(parameters).query_gallery(vectors.0, vectors.1, metric)?;
            Reidentification::judge_reranked(&reranked, asked, searched, ranks)
        }
    })?;
    let result = dictionary(py, &judged)?;
    let per_query = Columns::new(py, &judged.per_query)
        .with("query", |query| i64::from(query.query))?
        .with("relevant", |query| query.relevant as i64)?
        .with("rank_1", |query| query.rank_1)?
        .with("average_precision", |query| query.average_precision)?
        .with("average_precision_market", |query| query.average_precision_market)?
        .with("inverse_negative_penalty", |query| query.inverse_negative_penalty)?
        .table();
    result.set_item("per_query", per_query)?;
    Ok(result)
}

/// The CMC of CUHK03's single-shot setting.
#[pyfunction]
#[pyo3(signature = (queries, gallery, *, distance, normalize, ranks, repetitions, seed))]
#[allow(clippy::too_many_arguments)] // called by the Python class only
pub(crate) fn single_shot<'py>(
    py: Python<'py>,
    queries: Sighted<'py>,
    gallery: Sighted<'py>,
    distance: &str,
    normalize: bool,
    ranks: usize,
    repetitions: usize,
    seed: u64,
) -> PyResult<Bound<'py, PyDict>> {
    let metric = metric(distance, normalize)?;
    let queries = Seen::read(&queries, None, "queries")?;
    let gallery = Seen::read(&gallery, None, "gallery")?;
    let (asked, searched) = (queries.view(), gallery.view());
    let judged =
        compute(py, |_| SingleShot::judge(asked, searched, metric, ranks, repetitions, seed))?;
    dictionary(py, &judged)
}
