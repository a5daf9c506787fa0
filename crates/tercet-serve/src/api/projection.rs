//! `/api/projection`: a two-dimensional map of the gallery.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

use crate::map::{Map, Shown, Unmappable};
use crate::refusal::{ErrorBody, Refusal};
use crate::service::Service;

/// Returns a two-dimensional map of the gallery
///
/// Items that are close together are similar; large distances on the map have no meaning. For a
/// gallery with more than 5,000 items, the map shows a sample. The map is computed after the first
/// request: until it is ready, the answer is 202. After the gallery has changed, the map is
/// computed again; until then the answer is the last map, with `stale`.
#[utoipa::path(
    get,
    path = "/api/projection",
    tag = "gallery",
    responses(
        (status = 200, body = Map),
        (status = 202, description = "It is being made; `Retry-After` says when to ask again"),
        (status = "4XX", body = ErrorBody),
    ),
)]
pub(super) async fn projection(
    State(service): State<Arc<Service>>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    match service.map.show(&service.gallery) {
        Shown::Drawing => {
            Ok((StatusCode::ACCEPTED, [(header::RETRY_AFTER, HeaderValue::from_static("1"))])
                .into_response())
        }
        Shown::Failed(Unmappable::Vectors(reason)) => Err(Refusal::unacceptable("no-map", reason)),
        Shown::Failed(Unmappable::Unreadable(reason)) => Err(Refusal::internal(reason)),
        Shown::Map { version, stale, json } => {
            let mark = if stale { "-stale" } else { "" };
            let tag = HeaderValue::from_str(&format!("\"{}{mark}\"", version.state));
            let tag = tag.map_err(Refusal::internal)?;
            let again = HeaderValue::from_static("no-cache");
            let has = headers.get(header::IF_NONE_MATCH) == Some(&tag);
            let head = [(header::ETAG, tag), (header::CACHE_CONTROL, again)];
            if has {
                return Ok((StatusCode::NOT_MODIFIED, head).into_response());
            }
            let kind = HeaderValue::from_static("application/json");
            Ok((head, [(header::CONTENT_TYPE, kind)], json).into_response())
        }
    }
}
