//! The database's index, and the SQL conditions of a search.

use pgvector::Vector;
use postgres::types::ToSql;
use postgres::{GenericClient, Row, Transaction};

use super::json;
use crate::{Error, Filter, Index, Method, Values};

/// The HNSW graph and the number of candidates of its searches.
pub(super) fn index(client: &mut impl GenericClient) -> Result<Option<(Index, i64)>, Error> {
    let row = client.query_one(
        "SELECT expansion_search, index_rows, index_recall, index_sample, index_seconds \
         FROM tercet_gallery",
        &[],
    )?;
    let Some(expansion_search) = row.try_get::<_, Option<i64>>(0)? else { return Ok(None) };
    let index = Index {
        rows: row.try_get::<_, i64>(1)? as u64,
        recall_at_10: row.try_get(2)?,
        sample: row.try_get::<_, i64>(3)? as usize,
        seconds: row.try_get(4)?,
    };
    Ok(Some((index, expansion_search)))
}

/// Makes the searches of this transaction use the graph, or ignore it.
pub(super) fn prepare_search(
    moment: &mut Transaction,
    k: usize,
    expansion_search: Option<i64>,
) -> Result<Method, Error> {
    let Some(expansion_search) = expansion_search else {
        // Then even a tiny gallery is not searched through the graph.
        moment.batch_execute("SET LOCAL enable_indexscan = off")?;
        return Ok(Method::Exact);
    };
    // pgvector considers at most 1000 candidates; beyond that its iterative scan continues where it
    // stopped.
    let candidates = expansion_search.max(i64::try_from(k).unwrap_or(i64::MAX)).clamp(1, 1000);
    moment.batch_execute(&format!(
        "SET LOCAL hnsw.ef_search = {candidates}; SET LOCAL hnsw.iterative_scan = strict_order; \
         SET LOCAL enable_seqscan = off"
    ))?;
    Ok(Method::Hnsw)
}

/// For each attribute name, the alternatives of which an item must have one.
fn alternatives(filter: &Filter) -> Vec<Vec<serde_json::Value>> {
    let of_name = |(name, values): (&String, &Values)| {
        let one = |value: &String| json(&[(name.clone(), value.clone())].into());
        values.as_slice().iter().map(one).collect()
    };
    filter.attributes.iter().map(of_name).collect()
}

pub(super) fn nearest(
    moment: &mut Transaction,
    query: &Vector,
    k: usize,
    filter: &Filter,
) -> Result<Vec<Row>, Error> {
    let k = i64::try_from(k).unwrap_or(i64::MAX);
    let attributes = alternatives(filter);
    let mut values: Vec<&(dyn ToSql + Sync)> = vec![query, &k];
    let mut conditions = String::new();
    let mut also = |condition: &str, value| {
        values.push(value);
        let word = if values.len() == 3 { " WHERE " } else { " AND " };
        conditions += &format!("{word}{}", condition.replace('?', &format!("${}", values.len())));
    };
    if !filter.labels.is_empty() {
        also("label = ANY(?)", &filter.labels);
    }
    for any in &attributes {
        also("attributes @> ANY(?)", any);
    }
    if !filter.without.is_empty() {
        also("id <> ALL(?)", &filter.without);
    }
    let statement = format!(
        "SELECT id, label, attributes, embedding <-> $1 FROM tercet_items{conditions} \
         ORDER BY embedding <-> $1 LIMIT $2"
    );
    Ok(moment.query(&statement, &values)?)
}
