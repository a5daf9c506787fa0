//! `--protocol retrieval`.

use tercet::retrieval::Protocol;
use tercet::{Labels, Retrieval};

use super::processing::Reranking;
use super::system::System;
use super::verdict::{Detail, Figure, Judgements, Verdict, document};

pub(super) fn judge(system: &System) -> anyhow::Result<Verdict> {
    let judged = measure(system)?;
    let ci95 = &judged.ci95;
    let at = |figures: &std::collections::BTreeMap<usize, f64>, k| {
        figures.get(&k).copied().unwrap_or(f64::NAN)
    };
    let figures = vec![
        Figure::share("Recall@1", at(&judged.recall_at_k, 1)).within(ci95.recall_at_1),
        Figure::share("Recall@5", at(&judged.recall_at_k, 5)),
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
                crate::table::count(search.queries.len()),
                crate::table::count(search.gallery.len())
            ),
        },
        "Ties in distance count with their expected value over the orderings.".to_owned(),
        "Intervals are 95 % bootstrap intervals over the queries' classes.".to_owned(),
    ];
    if judged.skipped_queries > 0 {
        conventions.push(format!(
            "{} queries have no relevant item and are left out.",
            crate::table::count(judged.skipped_queries as usize)
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
    Ok(Verdict {
        document: document(&judged)?,
        figures,
        conventions,
        scores: Some(scores),
        detail: Detail::Retrieval(Box::new(judged)),
    })
}

fn measure(system: &System) -> anyhow::Result<Retrieval> {
    let protocol = Protocol::new(system.metric);
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

/// The class of every query by its number.
pub(super) fn query_classes(system: &System) -> Labels {
    match &system.search {
        None => system.labels.clone(),
        Some(search) => system.labels.select(&search.queries),
    }
}
