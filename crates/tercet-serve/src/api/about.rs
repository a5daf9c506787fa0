//! `/api/gallery` and `/api/model`: describe the gallery and the model that are served.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Serialize;
use serde_json::Value;
use tercet_train::model::ModelCard;
use utoipa::ToSchema;

use crate::paths;
use crate::refusal::{ErrorBody, Refusal};
use crate::service::Service;

/// Number of points of a [`Curve`].
const POINTS: usize = 129;

/// Below this probability, two things are considered different.
const HARDLY: f64 = 0.001;

/// Counts and settings of the gallery, and which operations are allowed.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct About {
    /// The name that the page shows.
    name: String,
    items: u64,
    classes: usize,
    dimensions: usize,
    /// Such as `euclidean`, or `normalised squared-euclidean`.
    metric: String,
    /// Fingerprint of the model that computed the vectors.
    model: String,
    /// Whether the server can embed pictures.
    embeds: bool,
    /// Whether the server can embed texts; then the attribute `text` of an item is its text.
    reads_texts: bool,
    /// Whether items can be added and removed.
    writable: bool,
    /// Whether the gallery is deleted when the server stops.
    passing: bool,
    /// The number of changes.
    generation: i64,
    limits: Bounds,
}

#[derive(Debug, Serialize, ToSchema)]
struct Bounds {
    /// The largest body of an upload, in bytes.
    body: usize,
    /// The most pixels of a picture.
    pixels: u64,
}

/// Describes the gallery
#[utoipa::path(
    get,
    path = "/api/gallery",
    tag = "about",
    responses((status = 200, body = About), (status = "4XX", body = ErrorBody)),
)]
pub(super) async fn gallery(State(service): State<Arc<Service>>) -> Json<About> {
    let info = service.gallery.info();
    Json(About {
        name: service.name.clone(),
        items: info.items,
        classes: info.labels.len(),
        dimensions: info.settings.dimensions,
        metric: info.settings.metric.to_string(),
        model: info.settings.model.clone(),
        embeds: service.embeds(),
        reads_texts: service.reads_texts(),
        writable: !service.gallery.read_only,
        passing: service.passing,
        generation: info.generation,
        limits: Bounds { body: service.limits.body, pixels: service.limits.pixels },
    })
}

/// The model card that the model file contains.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Card {
    fingerprint: String,
    #[schema(value_type = Object)]
    encoder: Value,
    #[schema(value_type = Object)]
    preprocessing: Value,
    distance: String,
    normalized: bool,
    /// The threshold with the highest accuracy on held-out classes.
    threshold: Option<f64>,
    /// Thresholds by false accept rate.
    thresholds: BTreeMap<String, f64>,
    /// The calibrated probability as a function of the distance.
    curve: Option<Curve>,
    /// The training data, and the figures on held-out classes. Paths are shortened to their last
    /// part.
    #[schema(value_type = Object)]
    provenance: Value,
}

/// A calibration curve at evenly spaced distances.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Curve {
    /// The distance of the last point; the first is 0.
    to: f64,
    probabilities: Vec<f64>,
}

/// Describes the model
#[utoipa::path(
    get,
    path = "/api/model",
    tag = "about",
    responses(
        (status = 200, body = Card),
        (status = 404, description = "Served without a model", body = ErrorBody),
    ),
)]
pub(super) async fn model(State(service): State<Arc<Service>>) -> Result<Json<Card>, Refusal> {
    let embedder = service.embedder.as_ref().ok_or_else(|| {
        Refusal::new(StatusCode::NOT_FOUND, "no-model", "this gallery is served without its model")
    })?;
    let card = &*embedder.card;
    let value = |value: serde_json::Result<Value>| {
        let mut value = value.map_err(Refusal::internal)?;
        paths::shorten_all(&mut value);
        Ok::<Value, Refusal>(value)
    };
    Ok(Json(Card {
        fingerprint: embedder.fingerprint.clone(),
        encoder: value(serde_json::to_value(&card.encoder))?,
        preprocessing: value(serde_json::to_value(&card.preprocessing))?,
        distance: card.distance.to_string(),
        normalized: card.normalized,
        threshold: card.threshold,
        thresholds: card.thresholds.clone(),
        curve: curve(card),
        provenance: value(serde_json::to_value(&card.provenance))?,
    }))
}

/// The calibration curve over the range in which the probability changes.
fn curve(card: &ModelCard) -> Option<Curve> {
    let calibration = card.calibration.as_ref()?;
    let hardly = calibration.distance(HARDLY).map(f64::from).filter(|far| far.is_finite());
    let marks = card.thresholds.values().chain(&card.threshold).copied();
    let marks: Vec<f64> = marks.chain(hardly.map(|far| far / 1.5)).collect();
    curve_of(&marks, |distance| calibration.probability(distance))
}

/// Probabilities at equal steps from 0 to 1.5 times the largest mark.
pub(super) fn curve_of(marks: &[f64], probability: impl Fn(f32) -> f64) -> Option<Curve> {
    let to = marks.iter().map(|mark| 1.5 * mark).fold(0.0, f64::max);
    if !(to > 0.0 && to < f64::from(f32::MAX)) {
        return None;
    }
    let at = |point: usize| (to * point as f64 / (POINTS - 1) as f64) as f32;
    Some(Curve { to, probabilities: (0..POINTS).map(|point| probability(at(point))).collect() })
}
