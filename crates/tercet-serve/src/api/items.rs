//! `/api/items`: lists, adds and removes items of the gallery.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hasher};
use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Extension, Path, Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use ndarray::Axis;
use serde::Serialize;
use tercet_gallery::{Duplicates, Item, Page, Vectors};
use utoipa::ToSchema;

use super::question::{self, Named, Question};
use crate::commit::Commit;
use crate::parameters::Parameters;
use crate::refusal::{ErrorBody, Refusal};
use crate::service::Service;
use crate::{find, sample};

/// The most items on one page.
const MOST: usize = 1000;

/// The data that belong to a vector.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ItemBody {
    id: String,
    label: Option<String>,
    attributes: BTreeMap<String, String>,
}

impl From<Item> for ItemBody {
    fn from(Item { id, label, attributes, .. }: Item) -> Self {
        Self { id, label, attributes }
    }
}

/// Some items, in the order in which they were added unless the request asks for another order.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ItemPage {
    items: Vec<ItemBody>,
    /// The parameter `from` of the next page, if there is one.
    next: Option<i64>,
}

/// An item that was added.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct AddedItem {
    #[serde(flatten)]
    item: ItemBody,
    /// Whether it replaced another item of the same id.
    replaced: bool,
}

/// An item that was removed.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct RemovedItem {
    removed: String,
}

/// Lists items, one page at a time
#[utoipa::path(
    get,
    path = "/api/items",
    tag = "gallery",
    params(
        ("from" = Option<i64>, Query, description = "`next` of the page before"),
        ("limit" = Option<usize>, Query, description = "From 1 to 1000; 100 unless said"),
        ("sample" = Option<usize>, Query, description = "Instead of a page, so many at random, from 1 to 1000"),
        ("find" = Option<String>, Query, description = "Only items whose class or id contains this text, best matches first. Of a very large gallery only a part is looked at: `next` is where to continue"),
    ),
    responses((status = 200, body = ItemPage), (status = "4XX", body = ErrorBody)),
)]
pub(super) async fn list(
    State(service): State<Arc<Service>>,
    request: Request,
) -> Result<Json<ItemPage>, Refusal> {
    let mut query = Parameters::of(request.uri().query());
    let from = query.parsed("from", "`next` of the page before")?;
    let limit = query.number("limit", 1..=MOST, 100)?;
    let sample = query.number("sample", 0..=MOST, 0)?;
    let text = query.one("find")?.filter(|text| !text.trim().is_empty());
    query.end()?;
    let page = service.gallery.ask(move |reader| match (text, sample) {
        (Some(text), _) => find::items(reader, text.trim(), from, limit),
        (None, 0) => reader.items(from, limit),
        (None, count) => Ok(Page { items: sample::at_random(reader, count)?, next: None }),
    });
    let page = page.await?;
    let items = page.items.into_iter().map(ItemBody::from).collect();
    Ok(Json(ItemPage { items, next: page.next }))
}

/// Returns an item
#[utoipa::path(
    get,
    path = "/api/items/{id}",
    tag = "gallery",
    params(("id" = String, Path, description = "Percent-encoded, `/` too")),
    responses((status = 200, body = ItemBody), (status = "4XX", body = ErrorBody)),
)]
pub(super) async fn get(
    State(service): State<Arc<Service>>,
    id: Result<Path<String>, PathRejection>,
) -> Result<Json<ItemBody>, Refusal> {
    Ok(Json(item(&service, id).await?.into()))
}

/// Returns the thumbnail of an item
#[utoipa::path(
    get,
    path = "/api/items/{id}/thumbnail",
    tag = "gallery",
    params(("id" = String, Path, description = "Percent-encoded, `/` too")),
    responses(
        (status = 200, body = Vec<u8>, content_type = "image/*"),
        (status = "4XX", body = ErrorBody),
    ),
)]
pub(super) async fn thumbnail(
    State(service): State<Arc<Service>>,
    id: Result<Path<String>, PathRejection>,
) -> Result<Response, Refusal> {
    let item = item(&service, id).await?;
    let Some(thumbnail) = item.thumbnail else {
        let message = format!("`{}` has no thumbnail", item.id);
        return Err(Refusal::new(StatusCode::NOT_FOUND, "no-thumbnail", message));
    };
    // A gallery may contain any bytes as a thumbnail; this type makes a browser show it as a
    // picture or not at all.
    let kind = match &thumbnail.media_type[..] {
        kind @ ("image/png" | "image/jpeg" | "image/webp" | "image/gif") => kind,
        _ => "application/octet-stream",
    };
    let kind = HeaderValue::from_str(kind).map_err(Refusal::internal)?;
    let keep = HeaderValue::from_static("private, max-age=60");
    Ok(([(header::CONTENT_TYPE, kind), (header::CACHE_CONTROL, keep)], thumbnail.bytes)
        .into_response())
}

/// Adds an item
///
/// The body is a picture, either directly or as the only part of a form, or JSON: `{"text": "…"}` in a
/// gallery of texts, or `{"vector": […]}`. A text becomes the attribute `text` of the item.
#[utoipa::path(
    post,
    path = "/api/items",
    tag = "gallery",
    params(
        ("id" = Option<String>, Query, description = "Names it; from its content unless said"),
        ("label" = Option<String>, Query, description = "Its class"),
        ("attribute" = Option<Vec<String>>, Query, description = "`name:value`; may be repeated"),
        ("replace" = Option<bool>, Query, description = "Take the place of an item of this id"),
    ),
    request_body(content(
        (Vec<u8> = "image/*"),
        (Vec<u8> = "multipart/form-data"),
        (Named = "application/json"),
    )),
    responses(
        (status = 201, body = AddedItem),
        (status = 408, description = "It took too long; nothing was changed", body = ErrorBody),
        (status = 409, description = "The id is taken, or another process writes for long", body = ErrorBody),
        (status = "4XX", body = ErrorBody),
        (status = 503, description = "Busy; `Retry-After` says when to try again", body = ErrorBody),
        (status = 504, description = "The change has begun, and is still being finished", body = ErrorBody),
    ),
)]
pub(super) async fn add(
    State(service): State<Arc<Service>>,
    Extension(commit): Extension<Commit>,
    request: Request,
) -> Result<(StatusCode, Json<AddedItem>), Refusal> {
    let mut query = Parameters::of(request.uri().query());
    let id = query.one("id")?;
    let label = query.one("label")?.filter(|label| !label.is_empty());
    let mut attributes: BTreeMap<String, String> = query.pairs("attribute")?.into_iter().collect();
    let duplicates =
        if query.switch("replace")? { Duplicates::Replace } else { Duplicates::Refuse };
    query.end()?;

    let question = question::one(&service, request).await?;
    let content = match &question {
        Question::Picture(upload) => content_name(&upload.bytes),
        Question::Named(Named::Text(text)) => {
            attributes.insert("text".to_owned(), text.trim().to_owned());
            content_name(text.trim().as_bytes())
        }
        Question::Named(Named::Vector(vector)) => {
            let bytes: Vec<u8> = vector.iter().flat_map(|number| number.to_le_bytes()).collect();
            content_name(&bytes)
        }
        Question::Named(Named::Id(_)) => {
            return Err(Refusal::malformed(
                "expected a picture, a text or a vector to add, got an id",
            ));
        }
    };
    let added = question.answerable(&service, true).await?;
    let id = id.unwrap_or(content);
    let item = Item { id, label, attributes, thumbnail: added.thumbnail };
    let rows = added.vector.insert_axis(Axis(0));
    let item_again = ItemBody::from(item.clone());
    let done = service
        .gallery
        .change(&commit, move |writer| {
            let model = writer.settings().model.clone();
            writer.add(Vectors { model: &model, rows: rows.view() }, &[item], duplicates)
        })
        .await?;
    let body = AddedItem { item: item_again, replaced: done.replaced > 0 };
    Ok((StatusCode::CREATED, Json(body)))
}

/// Removes an item
#[utoipa::path(
    delete,
    path = "/api/items/{id}",
    tag = "gallery",
    params(("id" = String, Path, description = "Percent-encoded, `/` too")),
    responses(
        (status = 200, body = RemovedItem),
        (status = 408, description = "It took too long; nothing was changed", body = ErrorBody),
        (status = 409, description = "Another process writes for long", body = ErrorBody),
        (status = "4XX", body = ErrorBody),
    ),
)]
pub(super) async fn remove(
    State(service): State<Arc<Service>>,
    Extension(commit): Extension<Commit>,
    id: Result<Path<String>, PathRejection>,
) -> Result<Json<RemovedItem>, Refusal> {
    let id = readable(id)?;
    let gone = id.clone();
    service.gallery.change(&commit, move |writer| writer.remove(&[&gone])).await?;
    Ok(Json(RemovedItem { removed: id }))
}

async fn item(service: &Service, id: Result<Path<String>, PathRejection>) -> Result<Item, Refusal> {
    let id = readable(id)?;
    let asked = id.clone();
    let item = service.gallery.ask(move |reader| reader.item(&asked)).await?;
    item.ok_or_else(|| Refusal::no_item(&id))
}

fn readable(id: Result<Path<String>, PathRejection>) -> Result<String, Refusal> {
    match id {
        Ok(Path(id)) => Ok(id),
        Err(error) => Err(Refusal::malformed(error.body_text())),
    }
}

/// A name for an item without one, computed from its content: equal content has an equal name.
fn content_name(bytes: &[u8]) -> String {
    let mut hash = DefaultHasher::new();
    hash.write(bytes);
    format!("added/{:016x}", hash.finish())
}
