//! `--protocol retrieval`: whether the nearest items belong to the query's class.

use anyhow::bail;
use serde_json::{Value, json};
use tercet::retrieval::QueryJudgement;
use tercet::{Labels, Retrieval};

use super::system::{Reranking, System};
use super::verdict::{Detail, Figure, Judgements, Verdict, document};
use crate::table::{count, counted};

/// How many of the worst queries the document lists.
const WORST: usize = 10;

pub(super) fn judge(system: &System) -> anyhow::Result<Verdict> {
    if system.labels.class_count() < 2 {
        bail!(
            "all items are of one class: retrieval needs two or more, else everything found is right"
        );
    }
    let judged = measure(system)?;
    let ci95 = &judged.ci95;
    let at = |figures: &std::collections::BTreeMap<usize, f64>, k| {
        figures.get(&k).copied().unwrap_or(f64::NAN)
    };
    let figures = vec![
        Figure::share("Recall@1", at(&judged.recall_at_k, 1)).within(ci95.recall_at_1),
        match ci95.recall_at_k.get(&5) {
            Some(&interval) => {
                Figure::share("Recall@5", at(&judged.recall_at_k, 5)).within(interval)
            }
            None => Figure::share("Recall@5", f64::NAN),
        },
        Figure::share("R-precision", judged.r_precision).within(ci95.r_precision),
        Figure::share("MAP@R", judged.map_at_r).within(ci95.map_at_r),
        Figure::share("mAP", judged.map).within(ci95.map),
        Figure::share("MRR", judged.mrr).within(ci95.mrr),
        Figure::share("NDCG", judged.ndcg).within(ci95.ndcg),
    ];
    let mut conventions = vec![
        match &system.search {
            None => {
                "Leave-one-out: each item queries all others and is never its own match.".to_owned()
            }
            Some(search) => format!(
                "{} queries search a gallery of {} items.",
                count(search.queries.len()),
                count(search.gallery.len())
            ),
        },
        "Ties in distance count with their expected value over the orderings.".to_owned(),
        "Intervals are 95 % bootstrap intervals over the queries' classes.".to_owned(),
    ];
    conventions.extend(system.own_items());
    if judged.skipped_queries > 0 {
        conventions.push(format!(
            "{} no relevant item and {} left out.",
            counted(judged.skipped_queries as usize, "query has", "queries have"),
            if judged.skipped_queries == 1 { "is" } else { "are" }
        ));
    }
    let scores = Judgements {
        by_figure: vec![
            ("Recall@1", judged.scores(|query| query.recall_at_1)),
            ("MAP@R", judged.scores(|query| query.map_at_r)),
            ("mAP", judged.scores(|query| query.average_precision)),
        ],
        classes: query_classes(system),
    };
    let mut keys = document(&judged)?;
    if let Value::Object(keys) = &mut keys {
        keys.insert("worst".to_owned(), json!(worst(system, &judged)));
        if system.search.is_some() {
            keys.insert("queries_in_gallery".to_owned(), json!(system.same_items().shared()));
            keys.insert("same_item_by".to_owned(), json!(system.items.by));
        }
    }
    Ok(Verdict {
        document: keys,
        figures,
        conventions,
        scores: Some(scores),
        detail: Detail::Retrieval(Box::new(judged)),
    })
}

fn measure(system: &System) -> anyhow::Result<Retrieval> {
    let protocol = system.retrieval();
    let reranked = system.reranking.as_ref().map(Reranking::distances);
    Ok(match (&system.search, reranked) {
        (None, None) => protocol.leave_one_out(system.vectors.view(), &system.labels)?,
        (None, Some(reranked)) => protocol.leave_one_out_reranked(reranked, &system.labels)?,
        (Some(search), reranked) => {
            let (queries, gallery) = (system.rows(&search.queries), system.rows(&search.gallery));
            match reranked {
                Some(reranked) => {
                    protocol.query_gallery_reranked(reranked, &queries.labels, &gallery.labels)?
                }
                None => protocol.query_gallery(
                    queries.vectors.view(),
                    &queries.labels,
                    gallery.vectors.view(),
                    &gallery.labels,
                )?,
            }
        }
    })
}

/// The queries with the lowest average precision, worst first.
fn worst(system: &System, judged: &Retrieval) -> Vec<Value> {
    let told = |query: &QueryJudgement| {
        let row = match &system.search {
            None => query.query,
            Some(search) => search.queries[query.query as usize],
        };
        json!({
            "id": system.ids[row as usize],
            "label": system.class(row),
            "average_precision": query.average_precision,
        })
    };
    judged.worst(WORST).iter().map(told).collect()
}

/// The class of every query, by its index.
pub(super) fn query_classes(system: &System) -> Labels {
    match &system.search {
        None => system.labels.clone(),
        Some(search) => system.labels.select(&search.queries),
    }
}
