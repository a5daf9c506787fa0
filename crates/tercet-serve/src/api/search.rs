//! `/api/search`: the nearest items of a picture, an item or a vector.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use axum::Json;
use axum::extract::{Request, State};
use ndarray::Axis;
use serde::Serialize;
use tercet_gallery::{Filter, Hit, Method, Search, Vectors};
use utoipa::ToSchema;

use super::question::{self, Named};
use super::{Service, Verdict};
use crate::parameters::Parameters;
use crate::refusal::{ErrorBody, Refusal};

/// The most that one search finds.
const MOST: usize = 1000;

/// What was found.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Found {
    /// Nearest first.
    hits: Vec<FoundItem>,
    /// `exact`, or what proposed candidates: `quantized`, `hnsw`.
    method: &'static str,
    /// Below this distance `same` is true: as asked, or the model's.
    threshold: Option<f64>,
    /// What search and embedding took.
    seconds: f64,
}

/// An item and how far it is.
#[derive(Debug, Serialize, ToSchema)]
struct FoundItem {
    id: String,
    label: Option<String>,
    attributes: BTreeMap<String, String>,
    #[serde(flatten)]
    verdict: Verdict,
}

/// The nearest items
///
/// The body is a picture, as it is or as the only part of a form; or JSON: `{"id": "…"}` for an item
/// of the gallery, which is not among what is found, or `{"vector": […]}`.
#[utoipa::path(
    post,
    path = "/api/search",
    tag = "gallery",
    params(
        ("k" = Option<usize>, Query, description = "How many, from 1 to 1000; 12 unless said"),
        ("label" = Option<Vec<String>>, Query, description = "Only of this class; may be repeated"),
        ("attribute" = Option<Vec<String>>, Query, description = "Only with `name:value`; several values of one name are alternatives, several names must all hold"),
        ("without" = Option<Vec<String>>, Query, description = "Not this id; may be repeated"),
        ("threshold" = Option<f64>, Query, description = "Below which distance items are the same; the model's unless said"),
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
    let threshold = service.threshold(&mut query)?;
    let exact = query.switch("exact")?;
    let mut filter =
        Filter { labels: query.all("label"), without: query.all("without"), ..Filter::default() };
    for (name, value) in query.pairs("attribute")? {
        filter.allow(name, value);
    }
    query.end()?;

    let question = question::one(&service, request).await?;
    let query = question.answerable(&service, false).await?;
    filter.without.extend(query.id);
    let search = Search { k, filter, exact };
    let rows = query.vector.insert_axis(Axis(0));
    let answer = service
        .gallery
        .ask(move |reader| {
            let model = &reader.settings().model;
            reader.search(Vectors { model, rows: rows.view() }, &search)
        })
        .await?;
    let found = |Hit { item, distance }| FoundItem {
        id: item.id,
        label: item.label,
        attributes: item.attributes,
        verdict: service.verdict(distance, threshold),
    };
    Ok(Json(Found {
        hits: answer.hits.into_iter().flatten().map(found).collect(),
        method: match answer.method {
            Method::Exact => "exact",
            Method::Quantized => "quantized",
            Method::Hnsw => "hnsw",
        },
        threshold,
        seconds: start.elapsed().as_secs_f64(),
    }))
}
