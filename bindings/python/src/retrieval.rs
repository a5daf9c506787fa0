//! `tercet.Retrieval`.

use numpy::IntoPyArray;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use tercet::reranking::KReciprocal;
use tercet::retrieval::Protocol;
use tercet::{Retrieval, SameItems};

use crate::arrays::Vectors;
use crate::errors::OrRaise;
use crate::labels::Classes;
use crate::parts::metric;
use crate::results::{Columns, dictionary};
use crate::threads::compute;

/// (k1, k2, λ) of k-reciprocal re-ranking.
pub(crate) type Reranking = (usize, usize, f32);

/// The parameters of the core.
pub(crate) fn k_reciprocal((k1, k2, lambda): Reranking) -> KReciprocal {
    KReciprocal { k1, k2, lambda }
}

/// Leave-one-out without a gallery, query against gallery with one.
#[pyfunction]
#[pyo3(signature = (queries, query_labels, gallery, gallery_labels, *, distance, normalize, ranks, items, gallery_items, reranking))]
#[allow(clippy::too_many_arguments)] // called by the Python class only
pub(crate) fn retrieval<'py>(
    py: Python<'py>,
    queries: &Bound<'py, PyAny>,
    query_labels: &Bound<'py, PyAny>,
    gallery: Option<&Bound<'py, PyAny>>,
    gallery_labels: Option<&Bound<'py, PyAny>>,
    distance: &str,
    normalize: bool,
    ranks: Option<Vec<usize>>,
    items: Option<&Bound<'py, PyAny>>,
    gallery_items: Option<&Bound<'py, PyAny>>,
    reranking: Option<Reranking>,
) -> PyResult<Bound<'py, PyDict>> {
    let metric = metric(distance, normalize)?;
    let mut protocol = Protocol::new(metric);
    if let Some(ranks) = ranks {
        protocol = protocol.at_ranks(ranks).or_raise()?;
    }
    let embeddings =
        Vectors::read(queries, if gallery.is_some() { "queries" } else { "embeddings" })?;
    let labels = Classes::read(query_labels, "labels")?;
    let (view, labels_of) = (embeddings.view(), &labels.labels);
    let same_of = |keys: &Bound<'py, PyAny>| -> PyResult<Vec<String>> {
        let keys = Classes::read(keys, "items")?.labels;
        Ok(keys.classes().iter().map(|&class| keys.name(class).to_owned()).collect())
    };
    let judged = match gallery.zip(gallery_labels) {
        None => {
            if let Some(items) = items {
                protocol = protocol.excluding(SameItems::within(&same_of(items)?));
            }
            compute(py, |_| match reranking {
                None => protocol.leave_one_out(view, labels_of),
                Some(parameters) => {
                    let reranked = k_reciprocal(parameters).leave_one_out(view, metric)?;
                    protocol.leave_one_out_reranked(&reranked, labels_of)
                }
            })?
        }
        Some((gallery, gallery_labels)) => {
            let gallery = Vectors::read(gallery, "gallery")?;
            let others = Classes::read(gallery_labels, "gallery labels")?;
            labels.check_type(&others, "query labels", "gallery labels")?;
            if let Some((items, gallery_items)) = items.zip(gallery_items) {
                let same = SameItems::by_key(same_of(items)?, same_of(gallery_items)?);
                protocol = protocol.excluding(same);
            }
            let (searched, others) = (gallery.view(), &others.labels);
            compute(py, |_| match reranking {
                None => protocol.query_gallery(view, labels_of, searched, others),
                Some(parameters) => {
                    let reranked =
                        k_reciprocal(parameters).query_gallery(view, searched, metric)?;
                    protocol.query_gallery_reranked(&reranked, labels_of, others)
                }
            })?
        }
    };
    figures(py, judged)
}

fn figures(py: Python<'_>, judged: Retrieval) -> PyResult<Bound<'_, PyDict>> {
    let result = dictionary(py, &judged)?;
    let per_query = Columns::new(py, &judged.per_query)
        .with("query", |query| i64::from(query.query))?
        .with("relevant", |query| query.relevant as i64)?
        .with("recall_at_1", |query| query.recall_at_1)?
        .with("r_precision", |query| query.r_precision)?
        .with("map_at_r", |query| query.map_at_r)?
        .with("average_precision", |query| query.average_precision)?
        .with("reciprocal_rank", |query| query.reciprocal_rank)?
        .with("ndcg", |query| query.ndcg)?
        .table();
    let names: Vec<&str> = judged.per_class.iter().map(|class| class.name.as_str()).collect();
    let per_class = PyDict::new(py);
    per_class.set_item("name", names)?;
    let columns = Columns::new(py, &judged.per_class)
        .with("queries", |class| class.queries as i64)?
        .with("recall_at_1", |class| class.averages.recall_at_1)?
        .with("r_precision", |class| class.averages.r_precision)?
        .with("map_at_r", |class| class.averages.map_at_r)?
        .with("map", |class| class.averages.map)?
        .with("mrr", |class| class.averages.mrr)?
        .with("ndcg", |class| class.averages.ndcg)?
        .table();
    per_class.update(columns.as_mapping())?;
    result.set_item("precision_recall", judged.precision_recall.into_pyarray(py))?;
    result.set_item("per_class", per_class)?;
    result.set_item("per_query", per_query)?;
    Ok(result)
}
