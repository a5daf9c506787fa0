//! The page: a few files that are embedded in the program.

use std::hash::{DefaultHasher, Hasher};
use std::sync::Arc;

use axum::Router;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use crate::service::Service;

/// Address, media type and content of each file.
const FILES: &[(&str, &str, &[u8])] = &[
    ("/", "text/html; charset=utf-8", include_bytes!("../page/index.html")),
    ("/style.css", "text/css; charset=utf-8", include_bytes!("../page/style.css")),
    ("/icon.svg", "image/svg+xml", include_bytes!("../page/icon.svg")),
    ("/main.js", JAVASCRIPT, include_bytes!("../page/main.js")),
    ("/api.js", JAVASCRIPT, include_bytes!("../page/api.js")),
    ("/card.js", JAVASCRIPT, include_bytes!("../page/card.js")),
    ("/compare.js", JAVASCRIPT, include_bytes!("../page/compare.js")),
    ("/dom.js", JAVASCRIPT, include_bytes!("../page/dom.js")),
    ("/enlarge.js", JAVASCRIPT, include_bytes!("../page/enlarge.js")),
    ("/instrument.js", JAVASCRIPT, include_bytes!("../page/instrument.js")),
    ("/judge.js", JAVASCRIPT, include_bytes!("../page/judge.js")),
    ("/map.js", JAVASCRIPT, include_bytes!("../page/map.js")),
    ("/marks.js", JAVASCRIPT, include_bytes!("../page/marks.js")),
    ("/picker.js", JAVASCRIPT, include_bytes!("../page/picker.js")),
    ("/picture.js", JAVASCRIPT, include_bytes!("../page/picture.js")),
    ("/search.js", JAVASCRIPT, include_bytes!("../page/search.js")),
    ("/sentence.js", JAVASCRIPT, include_bytes!("../page/sentence.js")),
    ("/state.js", JAVASCRIPT, include_bytes!("../page/state.js")),
    ("/words.js", JAVASCRIPT, include_bytes!("../page/words.js")),
];

const JAVASCRIPT: &str = "text/javascript; charset=utf-8";

/// Adds the addresses of the files. Only these are served: no address gives access to the disk.
pub(crate) fn routes(mut routes: Router<Arc<Service>>) -> Router<Arc<Service>> {
    for &(address, kind, content) in FILES {
        let tag = tag(content);
        let answer = move |headers: HeaderMap| async move { file(&headers, kind, content, &tag) };
        routes = routes.route(address, get(answer));
    }
    routes
}

fn file(headers: &HeaderMap, kind: &'static str, content: &'static [u8], tag: &str) -> Response {
    let has =
        headers.get(header::IF_NONE_MATCH).is_some_and(|has| has.as_bytes() == tag.as_bytes());
    let mut response = match has {
        true => StatusCode::NOT_MODIFIED.into_response(),
        false => {
            ([(header::CONTENT_TYPE, HeaderValue::from_static(kind))], content).into_response()
        }
    };
    let own = response.headers_mut();
    own.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    if let Ok(tag) = HeaderValue::from_str(tag) {
        own.insert(header::ETAG, tag);
    }
    response
}

/// An entity tag that changes when the content changes.
fn tag(content: &[u8]) -> String {
    let mut hash = DefaultHasher::new();
    hash.write(content);
    format!("\"{:016x}\"", hash.finish())
}
