//! `--protocol reid`: re-identification across cameras by the rules of Market-1501.

use std::collections::HashMap;

use anyhow::bail;
use clap::Args;
use serde_json::Value;
use tercet::Reidentification;
use tercet::reidentification::{CMC_RANKS, CONVENTION, JUNK, REPETITIONS, Sightings, SingleShot};

use super::retrieval::query_classes;
use super::system::{Reranking, System};
use super::verdict::{Detail, Figure, Judgements, Verdict, document};
use crate::exit::Usage;

#[derive(Debug, Args)]
pub(super) struct ReidOptions {
    /// For reid: pool the queries of the same identity and camera into one (multiple query).
    #[arg(long)]
    multi_query: bool,
    /// For reid: also the CMC over galleries of one random item per person, as for CUHK03.
    #[arg(long)]
    single_shot: bool,
}

impl ReidOptions {
    pub(super) fn judge(&self, system: &System, seed: u64) -> anyhow::Result<Verdict> {
        let (Some(search), Some(cameras)) = (&system.search, &system.cameras) else {
            let lacking = if system.search.is_none() { "queries and a gallery" } else { "cameras" };
            bail!(Usage(format!(
                "{} has no {lacking}, which re-identification needs: use a source that has them (market1501, manifest), or --gallery, --cameras and --gallery-cameras with embeddings",
                system.source
            )));
        };
        let ids = identities(system);
        let cameras = numbers(cameras.iter().map(String::as_str));
        let pick = |rows: &[u32], from: &[i64]| -> Vec<i64> {
            rows.iter().map(|&row| from[row as usize]).collect()
        };
        let (queries, gallery) = (system.rows(&search.queries), system.rows(&search.gallery));
        let (query_items, gallery_items) =
            (system.items.select(&search.queries), system.items.select(&search.gallery));
        let (query_ids, query_cameras) =
            (pick(&search.queries, &ids), pick(&search.queries, &cameras));
        let (gallery_ids, gallery_cameras) =
            (pick(&search.gallery, &ids), pick(&search.gallery, &cameras));
        let gallery = Sightings {
            embeddings: gallery.vectors.view(),
            ids: &gallery_ids,
            cameras: &gallery_cameras,
            items: Some(&gallery_items.numbers),
        };
        let single = Sightings {
            embeddings: queries.vectors.view(),
            ids: &query_ids,
            cameras: &query_cameras,
            items: Some(&query_items.numbers),
        };
        let pooled = self.multi_query.then(|| single.pooled(system.metric)).transpose()?;
        let queries = pooled.as_ref().map_or(single, |pooled| pooled.view());
        let judged = match system.reranking.as_ref().map(Reranking::distances) {
            Some(_) if self.multi_query => bail!(Usage(
                "--rerank and --multi-query cannot be combined: drop one of them".to_owned()
            )),
            Some(reranked) => {
                Reidentification::judge_reranked(reranked, queries, gallery, CMC_RANKS)?
            }
            None => Reidentification::judge(queries, gallery, system.metric, CMC_RANKS)?,
        };
        let single_shot = self
            .single_shot
            .then(|| {
                SingleShot::judge(queries, gallery, system.metric, CMC_RANKS, REPETITIONS, seed)
            })
            .transpose()?;

        let mut keys = document(&judged)?;
        if let (Value::Object(keys), Some(single_shot)) = (&mut keys, &single_shot) {
            keys.insert("single_shot".to_owned(), document(single_shot)?);
        }
        let rank = |k: usize| {
            let figure = Figure::share(format!("rank-{k}"), judged.cmc_at(k).unwrap_or(f64::NAN));
            match judged.ci95.cmc.get(&k) {
                Some(&interval) if k == 1 => figure.within(interval),
                _ => figure,
            }
        };
        let mut figures = vec![
            rank(1),
            rank(5),
            rank(10),
            Figure::share("mAP", judged.map).within(judged.ci95.map),
            Figure::share("mAP (Market)", judged.map_market).within(judged.ci95.map_market),
            Figure::share("mINP", judged.minp).within(judged.ci95.minp),
        ];
        if let Some(single_shot) = &single_shot {
            let first = single_shot.cmc.get(&1).copied().unwrap_or(f64::NAN);
            figures.push(Figure::share("rank-1 (single shot)", first));
        }
        let mut conventions = vec![CONVENTION.to_owned()];
        conventions.extend(system.own_items());
        if let Some(pooled) = &pooled {
            conventions.push(format!(
                "Multiple query: {} queries pooled into {}, one for each identity and camera.",
                search.queries.len(),
                pooled.ids.len()
            ));
        }
        if judged.skipped_queries > 0 {
            conventions.push(format!(
                "{} queries have no match from another camera and are left out.",
                judged.skipped_queries
            ));
        }
        let scores = pooled.is_none().then(|| Judgements {
            by_figure: vec![
                ("rank-1", judged.scores(|query| query.rank_1)),
                ("mAP", judged.scores(|query| query.average_precision)),
            ],
            classes: query_classes(system),
        });
        Ok(Verdict {
            document: keys,
            figures,
            conventions,
            scores,
            detail: Detail::Reid(Box::new(judged), single_shot),
        })
    }
}

/// A number for every item's class. If all names are numbers, these are used, so that -1 is junk
/// and 0 a distractor; otherwise the name `-1` is junk, and the other names are numbered from 1.
fn identities(system: &System) -> Vec<i64> {
    let names = system.labels.classes().iter().map(|&class| system.labels.name(class));
    if let Some(numbers) = names.clone().map(|name| name.parse().ok()).collect() {
        return numbers;
    }
    let counted = numbers(names.clone());
    let is_junk = names.map(|name| name == JUNK.to_string());
    counted.into_iter().zip(is_junk).map(|(id, junk)| if junk { JUNK } else { id }).collect()
}

/// Numbers texts from 1, in the order of their first appearance.
fn numbers<'a>(texts: impl Iterator<Item = &'a str>) -> Vec<i64> {
    let mut known = HashMap::new();
    texts
        .map(|text| {
            let next = known.len() as i64 + 1;
            *known.entry(text).or_insert(next)
        })
        .collect()
}
