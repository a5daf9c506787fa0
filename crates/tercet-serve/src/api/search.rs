//! `/api/search`: the nearest items to a picture, a text, an item or a vector.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use axum::Json;
use axum::extract::{Request, State};
use ndarray::Axis;
use serde::Serialize;
use tercet_gallery::{Filter, Hit, Method, Origin, Search, Vectors};
use tercet_train::decision::Basis;
use utoipa::ToSchema;

use super::Verdict;
use super::question::{self, Named};
use crate::parameters::Parameters;
use crate::refusal::{ErrorBody, Refusal};
use crate::service::Service;

/// The most items that one search returns.
const MOST: usize = 1000;

/// The result of a search.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Found {
    /// The hits, nearest first.
    hits: Vec<FoundItem>,
    /// The method: `exact`, or the source of the candidates: `quantized`, `hnsw`.
    method: &'static str,
    /// `same` is true below this distance: the requested threshold, or the one chosen by
    /// `false_matches`; null if no threshold is known.
    threshold: Option<f32>,
    /// The prior probability that a hit is the same, before its distance is known.
    prior: f64,
    /// The largest expected number of false matches for a query whose class is not in the gallery.
    false_matches_per_query: Option<f64>,
    /// The expected share of queries whose class is in the gallery that are matched with it.
    expected_known_found: Option<f64>,
    /// The basis of the threshold: `model`, `model-scaled`, `gallery`, `false-accept-rates`,
    /// `pairs` or `given`.
    #[schema(value_type = Option<String>)]
    basis: Option<Basis>,
    /// A remark about the basis.
    note: Option<String>,
    /// Whether any hit is the same; null without a threshold.
    known: Option<bool>,
    /// The class of the nearest hit that is the same.
    suggested: Option<String>,
    /// The class of the query, if it is an item with a label.
    class: Option<String>,
    /// The time that embedding and search took, in seconds.
    seconds: f64,
}

/// An item and its distance from the query.
#[derive(Debug, Serialize, ToSchema)]
struct FoundItem {
    id: String,
    label: Option<String>,
    attributes: BTreeMap<String, String>,
    #[serde(flatten)]
    verdict: Verdict,
    /// `adapted` or `kept` if the vector is not one that the gallery's model computed; left out
    /// otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    origin: Option<&'static str>,
    /// Whether its label differs from that of the query; left out unless both are known.
    #[serde(skip_serializing_if = "Option::is_none")]
    other_class: Option<bool>,
}

/// Searches for the nearest items
///
/// The body is a picture, either directly or as the only part of a form; or JSON: `{"id": "…"}` for
/// an item of the gallery, which is then excluded from the hits, `{"text": "…"}` in a gallery of
/// texts, or `{"vector": […]}`. The text of a hit is its attribute `text`.
#[utoipa::path(
    post,
    path = "/api/search",
    tag = "gallery",
    params(
        ("k" = Option<usize>, Query, description = "How many, from 1 to 1000; 12 unless said"),
        ("label" = Option<Vec<String>>, Query, description = "Only of this class; may be repeated"),
        ("attribute" = Option<Vec<String>>, Query, description = "Only with `name:value`; several values of one name are alternatives, several names must all hold"),
        ("without" = Option<Vec<String>>, Query, description = "Not this id; may be repeated"),
        ("threshold" = Option<f64>, Query, description = "Below which distance items are the same; chosen by `false_matches` unless said"),
        ("false_matches" = Option<f64>, Query, description = "How many false matches a query of a class that is not in the gallery may have on average; 0.01 unless said"),
        ("exact" = Option<bool>, Query, description = "Measure every vector, passing over codes and index"),
    ),
    request_body(content(
        (Vec<u8> = "image/*"),
        (Vec<u8> = "multipart/form-data"),
        (Named = "application/json"),
    )),
    responses(
        (status = 200, body = Found),
        (status = "4XX", body = ErrorBody),
        (status = 503, description = "Busy; `Retry-After` says when to try again", body = ErrorBody),
    ),
)]
pub(super) async fn search(
    State(service): State<Arc<Service>>,
    request: Request,
) -> Result<Json<Found>, Refusal> {
    let start = Instant::now();
    let mut query = Parameters::of(request.uri().query());
    let k = query.number("k", 1..=MOST, 12)?;
    let asked = Service::asked(&mut query)?;
    let exact = query.switch("exact")?;
    let mut filter =
        Filter { labels: query.all("label"), without: query.all("without"), ..Filter::default() };
    for (name, value) in query.pairs("attribute")? {
        filter.allow(name, value);
    }
    query.end()?;

    let question = question::one(&service, request).await?;
    let query = question.answerable(&service, false).await?;
    let own = query.id.clone();
    filter.without.extend(query.id);
    let search = Search { k, filter, exact };
    let rows = query.vector.insert_axis(Axis(0));
    let (answer, class) = service
        .gallery
        .ask(move |reader| {
            let model = &reader.settings().model;
            let answer = reader.search(Vectors { model, rows: rows.view() }, &search)?;
            let own = own.map(|id| reader.item(&id)).transpose()?.flatten();
            Ok((answer, own.and_then(|item| item.label)))
        })
        .await?;
    let decision = service.decision(asked).await?;
    let note = answer.carried.as_ref().map(|carried| {
        let announced = carried.announcement(service.gallery.info().items);
        match &decision.note {
            Some(note) => format!("{note}; {announced}"),
            None => announced,
        }
    });
    let found = |Hit { item, distance, origin }| FoundItem {
        origin: origin.map(Origin::name),
        other_class: class.as_ref().zip(item.label.as_ref()).map(|(own, of)| own != of),
        id: item.id,
        label: item.label,
        attributes: item.attributes,
        verdict: Verdict {
            distance,
            same: decision.same(distance),
            probability: decision.probability(distance),
        },
    };
    let hits: Vec<FoundItem> = answer.hits.into_iter().flatten().map(found).collect();
    let mut same = hits.iter().filter(|hit| hit.verdict.same == Some(true));
    Ok(Json(Found {
        known: decision.threshold.map(|_| same.clone().next().is_some()),
        suggested: same.find_map(|hit| hit.label.clone()),
        class,
        hits,
        method: match answer.method {
            Method::Exact => "exact",
            Method::Quantized => "quantized",
            Method::Hnsw => "hnsw",
        },
        threshold: decision.threshold,
        prior: decision.prior,
        false_matches_per_query: decision.false_matches_per_query,
        expected_known_found: decision.expected_known_found,
        basis: decision.basis,
        note: note.or(decision.note),
        seconds: start.elapsed().as_secs_f64(),
    }))
}
