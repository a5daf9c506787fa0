//! `/api/projection`: the gallery as a map.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::Service;
use crate::map::{Map, Shown};
use crate::refusal::{ErrorBody, Refusal};

/// The gallery on a plane
///
/// Neighbours stay neighbours; far distances mean nothing. Of a gallery with more than 5,000 items a
/// sample. Made when it is first asked for, and again after the gallery has changed: until then the
/// answer is 202.
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
        Shown::Failed(error) => Err(Refusal::unacceptable("no-map", error)),
        Shown::Map { version, json } => {
            let tag = HeaderValue::from_str(&format!("\"{version}\""));
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
