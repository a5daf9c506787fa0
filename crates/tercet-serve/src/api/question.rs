//! The subject of a request: a picture, a text, an item of the gallery, or a vector.

use std::collections::BTreeMap;

use axum::body::Body;
use axum::extract::{FromRequest, Multipart, Request};
use axum::http::{HeaderMap, StatusCode, header};
use ndarray::Array1;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tercet_gallery::Thumbnail;
use utoipa::ToSchema;

use crate::body::Upload;
use crate::embedder::Embedder;
use crate::refusal::Refusal;
use crate::service::Service;

/// A picture, a text, an item or a vector.
#[derive(Debug)]
pub(super) enum Question {
    Picture(Upload),
    Named(Named),
}

/// An item of the gallery by its id, a text, or a vector.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Named {
    /// The id of an item.
    Id(String),
    /// A text, if the gallery is of texts.
    Text(String),
    /// The components of a vector, as many as the gallery has dimensions.
    Vector(Vec<f32>),
}

/// The subject of a request with its vector.
#[derive(Debug)]
pub(super) struct Answerable {
    pub(super) vector: Array1<f32>,
    /// The id, if it is an item of the gallery.
    pub(super) id: Option<String>,
    /// The thumbnail of a picture, if the request asks for it.
    pub(super) thumbnail: Option<Thumbnail>,
}

/// Parses the one subject of a request.
pub(super) async fn one(service: &Service, request: Request) -> Result<Question, Refusal> {
    let (kind, whole, request) = read(service, request).await?;
    match kind {
        Kind::Json => Ok(Question::Named(json(&whole)?)),
        Kind::Picture => Ok(Question::Picture(whole)),
        Kind::Form => {
            let mut parts = parts(&whole, request).await?;
            match (parts.len(), parts.pop_first()) {
                (1, Some((_, question))) => Ok(question),
                (count, _) => Err(Refusal::malformed(format!(
                    "expected a form with one part, the picture, got {count} parts"
                ))),
            }
        }
    }
}

/// Parses the two subjects of a comparison, `a` and `b`.
pub(super) async fn two(service: &Service, request: Request) -> Result<[Question; 2], Refusal> {
    let (kind, whole, request) = read(service, request).await?;
    match kind {
        Kind::Json => {
            let Pair { a, b } = json(&whole)?;
            Ok([Question::Named(a), Question::Named(b)])
        }
        Kind::Picture => Err(Refusal::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "no-form",
            "expected a form (multipart/form-data) with the parts `a` and `b`, or JSON",
        )),
        Kind::Form => {
            let mut parts = parts(&whole, request).await?;
            match (parts.remove("a"), parts.remove("b"), parts.pop_first()) {
                (Some(a), Some(b), None) => Ok([a, b]),
                (.., Some((name, _))) => Err(Refusal::malformed(format!(
                    "the form has a part `{name}`: expected `a` and `b`"
                ))),
                _ => Err(Refusal::malformed("expected a form with the parts `a` and `b`")),
            }
        }
    }
}

/// Two things to compare.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Pair {
    a: Named,
    b: Named,
}

enum Kind {
    Json,
    Form,
    Picture,
}

/// The kind of body that the headers name. Pictures are recognised by their content, so every other
/// type may be a picture.
fn kind(headers: &HeaderMap) -> Kind {
    let named = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    let kind = named.unwrap_or_default().split(';').next().unwrap_or_default().trim();
    match &kind.to_ascii_lowercase()[..] {
        "application/json" => Kind::Json,
        "multipart/form-data" => Kind::Form,
        _ => Kind::Picture,
    }
}

/// Reads a body; also returns the request, whose head is needed later.
async fn read(service: &Service, request: Request) -> Result<(Kind, Upload, Request), Refusal> {
    let kind = kind(request.headers());
    let (parts, body) = request.into_parts();
    let whole = service.bodies.read(&parts.headers, body).await?;
    let again = Request::from_parts(parts, Body::from(whole.bytes.clone()));
    Ok((kind, whole, again))
}

fn json<T: DeserializeOwned>(upload: &Upload) -> Result<T, Refusal> {
    serde_json::from_slice(&upload.bytes)
        .map_err(|error| Refusal::malformed(format!("JSON: {error}")))
}

/// The parts of a form: pictures, or JSON where a part has that type.
async fn parts(whole: &Upload, request: Request) -> Result<BTreeMap<String, Question>, Refusal> {
    /// More parts than any request of this interface has.
    const MOST: usize = 8;
    let form = |error: &dyn std::fmt::Display| Refusal::malformed(format!("form: {error}"));
    let multipart = Multipart::from_request(request, &()).await;
    let mut multipart = multipart.map_err(|error| form(&error.body_text()))?;
    let mut parts = BTreeMap::new();
    while let Some(field) =
        multipart.next_field().await.map_err(|error| form(&error.body_text()))?
    {
        let name = field.name().unwrap_or_default().to_owned();
        let kind = kind(field.headers());
        let bytes = field.bytes().await.map_err(|error| form(&error.body_text()))?;
        let part = whole.part(bytes);
        let question = match kind {
            Kind::Json => Question::Named(json(&part)?),
            _ => Question::Picture(part),
        };
        if parts.insert(name.clone(), question).is_some() {
            return Err(Refusal::malformed(format!("the form has two parts `{name}`")));
        }
        if parts.len() > MOST {
            return Err(Refusal::malformed(format!("the form has more than {MOST} parts")));
        }
    }
    Ok(parts)
}

/// The model, to embed what a request contains.
fn embedder<'a>(service: &'a Service, what: &str) -> Result<&'a Embedder, Refusal> {
    service.embedder.as_ref().ok_or_else(|| {
        Refusal::unacceptable(
            "no-model",
            format!(
                "this gallery is served without its model, so {what} cannot be embedded: start the \
                 server with --model FILE, or ask by id or vector"
            ),
        )
    })
}

impl Question {
    /// Computes or looks up the vector.
    pub(super) async fn answerable(
        self,
        service: &Service,
        small: bool,
    ) -> Result<Answerable, Refusal> {
        match self {
            Self::Picture(upload) => {
                let embedded = embedder(service, "pictures")?.embed(upload, small).await?;
                Ok(Answerable { vector: embedded.vector, id: None, thumbnail: embedded.thumbnail })
            }
            Self::Named(Named::Text(text)) => {
                let vector = embedder(service, "texts")?.embed_text(text).await?;
                Ok(Answerable { vector, id: None, thumbnail: None })
            }
            Self::Named(Named::Vector(vector)) => {
                Ok(Answerable { vector: vector.into(), id: None, thumbnail: None })
            }
            Self::Named(Named::Id(id)) => {
                let (asked, key) = (id.clone(), id.clone());
                let vectors = service.gallery.ask(move |reader| reader.vectors(&[&key]));
                let vectors = vectors.await?;
                let vector = vectors.outer_iter().next().ok_or_else(|| Refusal::no_item(&asked))?;
                Ok(Answerable { vector: vector.to_owned(), id: Some(id), thumbnail: None })
            }
        }
    }
}
