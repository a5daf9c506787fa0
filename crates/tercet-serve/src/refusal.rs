//! The error answers to clients.

use std::fmt::Display;

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

/// A status, a code for programs and a message for people.
#[derive(Debug, Clone)]
pub(crate) struct Refusal {
    status: StatusCode,
    code: &'static str,
    message: String,
}

/// The body of every error answer.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ErrorBody {
    error: ErrorText,
}

#[derive(Debug, Serialize, ToSchema)]
struct ErrorText {
    /// The kind of error, such as `undecodable` or `busy`.
    code: String,
    /// What went wrong, what was expected, and what to do.
    message: String,
}

/// Seconds after which a client that was refused may try again.
const RETRY_AFTER: HeaderValue = HeaderValue::from_static("1");

impl Refusal {
    pub(crate) fn new(status: StatusCode, code: &'static str, message: impl Display) -> Self {
        Self { status, code, message: message.to_string() }
    }

    /// The request is understood, but cannot be carried out.
    pub(crate) fn unacceptable(code: &'static str, message: impl Display) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, code, message)
    }

    /// The request is not understood.
    pub(crate) fn malformed(message: impl Display) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "malformed", message)
    }

    /// A parameter of the address is out of its range.
    pub(crate) fn parameter(name: &str, got: &str, expected: impl Display) -> Self {
        Self::malformed(format!("`{name}` is `{got}`: expected {expected}"))
    }

    pub(crate) fn no_item(id: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, "no-item", format!("the gallery holds no `{id}`"))
    }

    /// A limit is reached: the client should try again in a moment.
    pub(crate) fn busy(what: impl Display) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "busy", format!("{what}: try again in a moment"))
    }

    pub(crate) fn too_slow(what: impl Display) -> Self {
        Self::new(StatusCode::REQUEST_TIMEOUT, "too-slow", what)
    }

    pub(crate) fn too_large(message: impl Display) -> Self {
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "too-large", message)
    }

    /// An error that the client cannot correct. Its text may name files of this machine: it is
    /// written to standard error, and the client gets its number only.
    pub(crate) fn internal(error: impl Display) -> Self {
        let number = crate::log::numbered(&error);
        let message = format!(
            "the server has met an error; whoever runs it finds the reason as `error {number}` in \
             what it has written to standard error"
        );
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", message)
    }

    /// A change was not finished within the time limit, and can no longer be stopped.
    pub(crate) fn unfinished(seconds: u64) -> Self {
        let message = format!(
            "the change has begun and was not finished within {seconds} s; it is being finished: \
             ask for the item to see whether it has happened"
        );
        Self::new(StatusCode::GATEWAY_TIMEOUT, "unfinished", message)
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let Self { status, code, message } = self;
        let body = ErrorBody { error: ErrorText { code: code.to_owned(), message } };
        let mut response = (status, Json(body)).into_response();
        if status == StatusCode::SERVICE_UNAVAILABLE {
            response.headers_mut().insert(header::RETRY_AFTER, RETRY_AFTER);
        }
        response
    }
}

impl From<tercet_gallery::Error> for Refusal {
    fn from(error: tercet_gallery::Error) -> Self {
        use tercet_gallery::Error;
        match &error {
            Error::UnknownId { id } => Self::no_item(id),
            Error::DuplicateId { id } => Self::new(
                StatusCode::CONFLICT,
                "duplicate",
                format!("the gallery holds `{id}` already: give another id, or `replace=true`"),
            ),
            Error::Locked { .. } => Self::new(
                StatusCode::CONFLICT,
                "locked",
                "the gallery is being written by another process: try again when it has finished",
            ),
            Error::Replaced { .. } => Self::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "replaced",
                "the gallery was replaced by one of another model: restart the server to serve it",
            ),
            Error::Dimensions { .. }
            | Error::Model { .. }
            | Error::ItemCount { .. }
            | Error::RepeatedId { .. }
            | Error::Text { .. }
            | Error::NoDirection { .. }
            | Error::Vectors(_) => Self::unacceptable("unacceptable", error),
            Error::Shared(shared) => match &**shared {
                Error::Dimensions { .. } | Error::NoDirection { .. } | Error::Vectors(_) => {
                    Self::unacceptable("unacceptable", error)
                }
                _ => Self::internal(error),
            },
            _ => Self::internal(error),
        }
    }
}
