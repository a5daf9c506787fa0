//! The HTTP interface: its addresses, and the types that they share.

mod about;
mod compare;
mod decision;
mod items;
mod operations;
mod projection;
mod question;
mod search;

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::StatusCode;
use axum::middleware::from_fn_with_state;
use axum::response::IntoResponse;
use axum::routing::{get, post};
use serde::Serialize;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::csrf::CsrfLayer;
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
use utoipa::{Modify, OpenApi, ToSchema};

use crate::embedder::Embedder;
use crate::parameters::Parameters;
use crate::refusal::Refusal;
use crate::service::Service;
use crate::{guard, page};

/// A distance with its interpretation.
#[derive(Debug, Serialize, ToSchema)]
struct Verdict {
    /// The distance by the gallery's metric.
    distance: f32,
    /// Whether it is below the threshold; null without one.
    same: Option<bool>,
    /// The probability of being the same; null for a model without calibration. A search uses the
    /// gallery's prior, a comparison of two things a prior of 1/2.
    probability: Option<f64>,
}

impl Service {
    /// Whether there is a model, and it embeds pictures.
    fn embeds(&self) -> bool {
        self.embedder.as_ref().is_some_and(|embedder| embedder.card.preprocessing.images().is_ok())
    }

    /// Whether there is a model, and it embeds texts.
    fn reads_texts(&self) -> bool {
        self.embedder.as_ref().is_some_and(Embedder::reads_texts)
    }

    /// The threshold that the request gives.
    fn given_threshold(query: &mut Parameters) -> Result<Option<f64>, Refusal> {
        const EXPECTED: &str = "a distance, 0 or more";
        match query.parsed::<f64>("threshold", EXPECTED)? {
            Some(threshold) if threshold >= 0.0 && threshold.is_finite() => Ok(Some(threshold)),
            Some(other) => Err(Refusal::parameter("threshold", &other.to_string(), EXPECTED)),
            None => Ok(None),
        }
    }

    /// The threshold for two things that the request gives, or else the model's.
    fn pair_threshold(&self, query: &mut Parameters) -> Result<Option<f64>, Refusal> {
        let own = || self.embedder.as_ref().and_then(|embedder| embedder.card.threshold);
        Ok(Self::given_threshold(query)?.or_else(own))
    }

    /// The verdict for two things with a prior probability of 1/2 of being the same.
    fn pair_verdict(&self, distance: f32, threshold: Option<f64>) -> Verdict {
        Verdict {
            distance,
            same: threshold.map(|threshold| f64::from(distance) < threshold),
            probability: self
                .embedder
                .as_ref()
                .and_then(|embedder| embedder.card.probability(distance)),
        }
    }
}

#[derive(OpenApi)]
#[openapi(
    info(title = "Tercet", description = "Search, compare and change a gallery of embeddings."),
    paths(
        search::search,
        compare::compare,
        items::list,
        items::add,
        items::get,
        items::remove,
        items::thumbnail,
        projection::projection,
        about::gallery,
        about::model,
        decision::decision,
        operations::session,
        operations::health,
        operations::metrics,
    ),
    security(("token" = [])),
    modifiers(&Token),
)]
struct Document;

/// The scheme in which a request gives the token.
struct Token;

impl Modify for Token {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let token = SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer));
        document.components.get_or_insert_default().add_security_scheme("token", token);
    }
}

/// The OpenAPI document.
pub(crate) fn document() -> utoipa::openapi::OpenApi {
    Document::openapi()
}

/// The addresses with their handlers.
pub(crate) fn routes(service: Arc<Service>) -> Router {
    let guarded = Router::new()
        .route("/api/search", post(search::search))
        .route("/api/compare", post(compare::compare))
        .route("/api/items", get(items::list).post(items::add))
        .route("/api/items/{id}", get(items::get).delete(items::remove))
        .route("/api/items/{id}/thumbnail", get(items::thumbnail))
        .route("/api/projection", get(projection::projection))
        .route("/api/gallery", get(about::gallery))
        .route("/api/model", get(about::model))
        .route("/api/decision", get(decision::decision))
        .route("/metrics", get(operations::metrics))
        .route_layer(from_fn_with_state(service.clone(), guard::token));
    let open = Router::new()
        .route("/api/session", post(operations::session))
        .route("/api/openapi.json", get(async || axum::Json(document())))
        .route("/health", get(operations::health));
    page::routes(guarded.merge(open))
        .fallback(nothing_here)
        .method_not_allowed_fallback(another_method)
        // The size of a body is limited where it is read.
        .layer(DefaultBodyLimit::disable())
        .layer(CsrfLayer::new().with_rejection_response(|_| guard::other_site()))
        .layer(from_fn_with_state(service.clone(), guard::host))
        .layer(CatchPanicLayer::custom(|_| Refusal::internal("a panic").into_response()))
        .layer(from_fn_with_state(service.clone(), guard::frame))
        .with_state(service)
}

async fn nothing_here() -> Refusal {
    Refusal::new(StatusCode::NOT_FOUND, "no-address", "there is nothing at this address")
}

async fn another_method() -> Refusal {
    let message = "this address does not take this method";
    Refusal::new(StatusCode::METHOD_NOT_ALLOWED, "method", message)
}
