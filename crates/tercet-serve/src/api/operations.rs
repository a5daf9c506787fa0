//! Health and metrics for operators of the server, and the cookie for pages.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::metrics::MEDIA_TYPE;
use crate::network::Network;
use crate::refusal::{ErrorBody, Refusal};
use crate::service::Service;

/// The status and version of the server.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Health {
    /// `ok`.
    status: &'static str,
    version: &'static str,
}

/// Reports that the server is running
#[utoipa::path(
    get,
    path = "/health",
    tag = "operations",
    security(()),
    responses((status = 200, body = Health)),
)]
pub(super) async fn health() -> Json<Health> {
    Json(Health { status: "ok", version: env!("CARGO_PKG_VERSION") })
}

/// Returns metrics for Prometheus
#[utoipa::path(
    get,
    path = "/metrics",
    tag = "operations",
    responses((status = 200, body = String, content_type = "application/openmetrics-text")),
)]
pub(super) async fn metrics(State(service): State<Arc<Service>>) -> Result<Response, Refusal> {
    let text = service.metrics.text(service.gallery.info().items).map_err(Refusal::internal)?;
    let kind = HeaderValue::from_static(MEDIA_TYPE);
    Ok(([(header::CONTENT_TYPE, kind)], text).into_response())
}

/// The token, which a page sends to get the cookie.
#[derive(Deserialize, ToSchema)]
pub(super) struct Opening {
    token: String,
}

/// Exchanges the token for a cookie
///
/// With it a page can show pictures, which browsers fetch without an `Authorization` header.
#[utoipa::path(
    post,
    path = "/api/session",
    tag = "operations",
    security(()),
    request_body = Opening,
    responses(
        (status = 204, description = "The cookie is set, or there is no token to give"),
        (status = 401, body = ErrorBody),
        (status = "4XX", body = ErrorBody),
    ),
)]
pub(super) async fn session(
    State(service): State<Arc<Service>>,
    request: Request,
) -> Result<Response, Refusal> {
    let Some(keys) = &service.keys else { return Ok(StatusCode::NO_CONTENT.into_response()) };
    let network = request.extensions().get::<Network>().copied();
    let (head, body) = request.into_parts();
    let upload = service.bodies.read(&head.headers, body).await?;
    let opening: Opening = serde_json::from_slice(&upload.bytes)
        .map_err(|error| Refusal::malformed(format!("JSON: {error}")))?;
    if !keys.is_token(&opening.token) {
        service.guesses.pause(network).await;
        let message = "that is not the token of this server";
        return Err(Refusal::new(StatusCode::UNAUTHORIZED, "token", message));
    }
    let cookie = HeaderValue::from_str(&keys.cookie()).map_err(Refusal::internal)?;
    Ok((StatusCode::NO_CONTENT, [(header::SET_COOKIE, cookie)]).into_response())
}
