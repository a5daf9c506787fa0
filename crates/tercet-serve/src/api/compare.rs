//! `/api/compare`: decides whether two things are of one class.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Request, State};
use ndarray::Axis;
use serde::Serialize;
use utoipa::ToSchema;

use super::Verdict;
use super::question::{self, Pair};
use crate::parameters::Parameters;
use crate::refusal::{ErrorBody, Refusal};
use crate::service::Service;

/// The distance of two things, with the verdict.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Compared {
    #[serde(flatten)]
    verdict: Verdict,
    /// `same` is true below this distance: the requested threshold, or else the model's threshold
    /// for two things about which nothing else is known. A search uses a threshold that depends on
    /// the size of the gallery instead.
    threshold: Option<f64>,
    /// The probability that they are the same before the distance is known.
    prior: f64,
}

/// The prior probability of a comparison: both outcomes are equally likely.
const PRIOR: f64 = 0.5;

/// Compares two pictures, texts, items or vectors
///
/// The body is either a form with the parts `a` and `b`, each a picture or, with the type
/// `application/json`, an item, a text or a vector; or JSON: `{"a": {"id": "…"}, "b": {"text":
/// "…"}}`, with `{"vector": […]}` for a vector.
#[utoipa::path(
    post,
    path = "/api/compare",
    tag = "gallery",
    params(
        ("threshold" = Option<f64>, Query, description = "Below which distance they are the same; the model's unless said"),
    ),
    request_body(content(
        (Vec<u8> = "multipart/form-data"),
        (Pair = "application/json"),
    )),
    responses(
        (status = 200, body = Compared),
        (status = "4XX", body = ErrorBody),
        (status = 503, description = "Busy; `Retry-After` says when to try again", body = ErrorBody),
    ),
)]
pub(super) async fn compare(
    State(service): State<Arc<Service>>,
    request: Request,
) -> Result<Json<Compared>, Refusal> {
    let mut query = Parameters::of(request.uri().query());
    let threshold = service.pair_threshold(&mut query)?;
    query.end()?;
    let [a, b] = question::two(&service, request).await?;
    let (a, b) = tokio::try_join!(a.answerable(&service, false), b.answerable(&service, false))?;
    let settings = &service.gallery.info().settings;
    for vector in [&a.vector, &b.vector] {
        if vector.len() != settings.dimensions {
            let (expected, got) = (settings.dimensions, vector.len());
            return Err(tercet_gallery::Error::Dimensions { expected, got }.into());
        }
    }
    let rows = [a, b].map(|side| side.vector.insert_axis(Axis(0)));
    let distances = settings.metric.distances(rows[0].view(), rows[1].view());
    let distances = distances.map_err(|error| Refusal::unacceptable("unacceptable", error))?;
    let verdict = service.pair_verdict(distances[[0, 0]], threshold);
    Ok(Json(Compared { verdict, threshold, prior: PRIOR }))
}
