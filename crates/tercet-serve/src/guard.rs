//! Checks of every request: the token, the host name, the origin and the time limit; and the
//! headers of every answer.

use std::net::IpAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Instant;

use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tokio::time::timeout;

use crate::commit::Commit;
use crate::keys::Credentials;
use crate::network::Network;
use crate::refusal::Refusal;
use crate::service::Service;

/// Accepts requests with the token, if the server has one.
pub(crate) async fn token(
    State(service): State<Arc<Service>>,
    request: Request,
    next: Next,
) -> Response {
    let Some(keys) = &service.keys else { return next.run(request).await };
    match keys.credentials(request.headers()) {
        Credentials::Right => return next.run(request).await,
        Credentials::WrongToken => {
            service.guesses.pause(request.extensions().get::<Network>().copied()).await;
        }
        Credentials::None => {}
    }
    let refusal = Refusal::new(
        StatusCode::UNAUTHORIZED,
        "token",
        "expected the token of this server: `Authorization: Bearer TOKEN`",
    );
    let mut response = refusal.into_response();
    let bearer = HeaderValue::from_static("Bearer");
    response.headers_mut().insert(header::WWW_AUTHENTICATE, bearer);
    response
}

/// Without a token, only requests of this machine are accepted. A page elsewhere whose name was
/// made to resolve to this machine ("DNS rebinding") is recognised by its name in `Host`.
pub(crate) async fn host(
    State(service): State<Arc<Service>>,
    request: Request,
    next: Next,
) -> Response {
    let host = request.headers().get(header::HOST).and_then(|host| host.to_str().ok());
    if service.keys.is_some() || host.is_some_and(is_this_machine) {
        return next.run(request).await;
    }
    Refusal::new(
        StatusCode::FORBIDDEN,
        "host",
        "without a token this server answers to localhost and 127.0.0.1 only",
    )
    .into_response()
}

fn is_this_machine(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.rsplit_once(':').map_or(host, |(name, _)| name),
    };
    name.eq_ignore_ascii_case("localhost")
        || name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// The refusal of a request that changes something and comes from a page of another site.
pub(crate) fn other_site() -> Response {
    Refusal::new(StatusCode::FORBIDDEN, "other-site", "pages of other sites may not ask here")
        .into_response()
}

/// Applies the time limit, counts the request, and adds the headers that every answer has.
pub(crate) async fn frame(
    State(service): State<Arc<Service>>,
    request: Request,
    next: Next,
) -> Response {
    let start = Instant::now();
    let method = request.method().as_str().to_owned();
    let route = request.extensions().get::<MatchedPath>().map(|route| route.as_str().to_owned());
    let mut response = in_time(&service, request, next).await;
    let route = route.as_deref().unwrap_or("other");
    let status = response.status().as_u16();
    service.metrics.answered(known_method(&method), route, status, start.elapsed());
    let headers = response.headers_mut();
    for (name, value) in HEADERS {
        headers.entry(name).or_insert(value);
    }
    response
}

/// Returns the answer; or, for a request that exceeds the time limit, an error that says either
/// that nothing was changed, or that its change has begun and will be finished.
async fn in_time(service: &Service, mut request: Request, next: Next) -> Response {
    let commit = Commit::default();
    let _given_up_when_the_client_has_gone = commit.give_up_when_dropped();
    request.extensions_mut().insert(commit.clone());
    let within = service.limits.answer;
    let mut answer = pin!(next.run(request));
    if let Ok(answer) = timeout(within, &mut answer).await {
        return answer;
    }
    let seconds = within.as_secs();
    if commit.give_up() {
        let message = format!("no answer within {seconds} s; nothing was changed");
        return Refusal::too_slow(message).into_response();
    }
    // A change that has begun cannot be undone, so wait for its answer once more.
    let answer = timeout(within, answer).await;
    answer.unwrap_or_else(|_| Refusal::unfinished(2 * seconds).into_response())
}

/// Methods that the metrics distinguish. Others share one name: clients can invent any number of
/// them, and each would take memory permanently.
fn known_method(method: &str) -> &'static str {
    const KNOWN: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];
    KNOWN.into_iter().find(|known| *known == method).unwrap_or("other")
}

/// The page loads nothing from elsewhere, contains no inline script or style, and cannot be framed.
const HEADERS: [(HeaderName, HeaderValue); 7] = [
    (
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static(
            "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; \
             connect-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'none'; \
             frame-ancestors 'none'",
        ),
    ),
    (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY")),
    (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    (
        HeaderName::from_static("cross-origin-resource-policy"),
        HeaderValue::from_static("same-origin"),
    ),
    (
        HeaderName::from_static("cross-origin-opener-policy"),
        HeaderValue::from_static("same-origin"),
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_this_machine_are_taken_for_it() {
        for host in ["localhost", "LOCALHOST:8080", "127.0.0.1:1", "127.1.2.3", "[::1]:8080"] {
            assert!(is_this_machine(host), "{host}");
        }
        for host in ["", "example.org", "localhost.example.org:80", "192.168.0.1", "[::2]", "::1x"]
        {
            assert!(!is_this_machine(host), "{host}");
        }
    }

    #[test]
    fn invented_methods_share_one_name() {
        assert_eq!(known_method("DELETE"), "DELETE");
        for invented in ["", "get", "BREW", "A1", "TRACE", "CONNECT"] {
            assert_eq!(known_method(invented), "other");
        }
    }
}
