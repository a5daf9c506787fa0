//! Who may ask: the token, the host, the page that a request comes from; and what every answer
//! tells a browser.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use subtle::ConstantTimeEq;
use tokio::time::timeout;

use crate::api::Service;
use crate::refusal::Refusal;

/// The name of the cookie that a page gets for the token, so that pictures load with it too.
const COOKIE: &str = "tercet-session";

/// What opens the door.
pub(crate) struct Keys {
    token: String,
    /// What the cookie holds: of no use after this process, and not the token.
    session: String,
}

impl Keys {
    pub(crate) fn new(token: String) -> Self {
        let [high, low]: [u128; 2] = rand::random();
        Self { token, session: format!("{high:032x}{low:032x}") }
    }

    pub(crate) fn is_token(&self, given: &str) -> bool {
        same(given, &self.token)
    }

    /// The header that sets the cookie: for this host only, and out of reach of scripts.
    pub(crate) fn cookie(&self) -> String {
        format!("{COOKIE}={}; Path=/; HttpOnly; SameSite=Strict", self.session)
    }

    fn open_for(&self, headers: &HeaderMap) -> bool {
        let text = |value: &HeaderValue| value.to_str().ok().map(str::to_owned);
        let bearer = headers.get(header::AUTHORIZATION).and_then(text);
        if let Some(given) = bearer.as_deref().and_then(|text| text.strip_prefix("Bearer ")) {
            return self.is_token(given.trim());
        }
        let cookies = headers.get_all(header::COOKIE).iter().filter_map(text);
        let given = cookies.flat_map(|text| {
            let pairs = text.split(';').filter_map(|pair| pair.trim().split_once('='));
            let own = pairs.filter(|(name, _)| *name == COOKIE);
            own.map(|(_, value)| value.to_owned()).collect::<Vec<String>>()
        });
        given.into_iter().any(|given| same(&given, &self.session))
    }
}

/// In a time that does not tell how many characters are right.
fn same(given: &str, expected: &str) -> bool {
    given.as_bytes().ct_eq(expected.as_bytes()).into()
}

/// Lets pass who has the token, where there is one.
pub(crate) async fn token(
    State(service): State<Arc<Service>>,
    request: Request,
    next: Next,
) -> Response {
    match &service.keys {
        Some(keys) if !keys.open_for(request.headers()) => {
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
        _ => next.run(request).await,
    }
}

/// Without a token only this machine may ask. A page elsewhere whose name was made to point here
/// ("DNS rebinding") gives itself away by its name in `Host`.
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

/// A request that changes something, from a page of another site.
pub(crate) fn other_site() -> Response {
    Refusal::new(StatusCode::FORBIDDEN, "other-site", "pages of other sites may not ask here")
        .into_response()
}

/// Ends what takes too long, counts, and adds what every answer has.
pub(crate) async fn frame(
    State(service): State<Arc<Service>>,
    request: Request,
    next: Next,
) -> Response {
    let start = Instant::now();
    let method = request.method().as_str().to_owned();
    let route = request.extensions().get::<MatchedPath>().map(|route| route.as_str().to_owned());
    let within = service.limits.answer;
    let mut response = timeout(within, next.run(request)).await.unwrap_or_else(|_| {
        Refusal::too_slow(format!("no answer within {} s", within.as_secs())).into_response()
    });
    let route = route.as_deref().unwrap_or("other");
    let method = if method.len() <= 7 { &method } else { "other" };
    service.metrics.answered(method, route, response.status().as_u16(), start.elapsed());
    let headers = response.headers_mut();
    for (name, value) in HEADERS {
        headers.entry(name).or_insert(value);
    }
    response
}

/// Nothing is loaded from elsewhere, no script or style stands in the page, nobody frames it.
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
    fn the_door_opens_to_token_and_cookie() {
        let keys = Keys::new("secret".to_owned());
        let with = |name: HeaderName, value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(name, value.parse().unwrap());
            keys.open_for(&headers)
        };
        assert!(with(header::AUTHORIZATION, "Bearer secret"));
        let cookie = keys.cookie();
        let pair = cookie.split(';').next().unwrap();
        assert!(with(header::COOKIE, &format!("a=b; {pair}")));
        for wrong in ["Bearer secre", "Bearer ", "secret", "Basic secret"] {
            assert!(!with(header::AUTHORIZATION, wrong), "{wrong}");
        }
        assert!(!with(header::COOKIE, "tercet-session=secret"));
        assert!(!keys.open_for(&HeaderMap::new()));
    }
}
