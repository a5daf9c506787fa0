//! Decodes uploaded pictures within limits.

use std::io::Cursor;

use axum::http::StatusCode;
use image::{DynamicImage, ImageReader};
use tercet_gallery::Thumbnail;
use tercet_train::data::{SIDE_LIMIT, decode_bytes_within};
use tercet_train::thumbnails::shrink;

use crate::refusal::Refusal;

/// Longest side of a thumbnail, in pixels.
const THUMBNAIL_SIDE: u32 = 128;

/// The most bytes that a pixel needs while it is decoded: four channels of 16 bits.
const BYTES_PER_PIXEL: u64 = 8;

/// The number of pixels in the header of a picture, if that is at most `pixels`. Only the header is
/// read, so that a small file cannot make the server allocate much memory.
pub(crate) fn measure(bytes: &[u8], pixels: u64) -> Result<u64, Refusal> {
    if bytes.is_empty() {
        return Err(Refusal::malformed("expected a picture, got no bytes"));
    }
    let reader = ImageReader::new(Cursor::new(bytes)).with_guessed_format();
    let reader = reader.map_err(|error| undecodable(&error))?;
    if reader.format().is_none() {
        return Err(Refusal::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "no-picture",
            "the content is of no known image format: expected PNG, JPEG, WebP, BMP, PNM or GIF",
        ));
    }
    let (width, height) = reader.into_dimensions().map_err(|error| undecodable(&error))?;
    if u64::from(width) * u64::from(height) > pixels || width.max(height) > SIDE_LIMIT {
        return Err(Refusal::too_large(format!(
            "the picture has {width} x {height} pixels: expected at most {pixels}, and no side \
             above {SIDE_LIMIT}"
        )));
    }
    Ok(u64::from(width) * u64::from(height))
}

/// Decodes a picture whose size was [checked](measure).
pub(crate) fn decode(bytes: &[u8], pixels: u64) -> Result<DynamicImage, Refusal> {
    decode_bytes_within(bytes, "the picture", pixels.saturating_mul(BYTES_PER_PIXEL))
        .map_err(|error| undecodable(&error))
}

fn undecodable(reason: &dyn std::fmt::Display) -> Refusal {
    Refusal::unacceptable("undecodable", reason)
}

/// A thumbnail, which is never larger than the picture.
pub(crate) fn thumbnail(picture: &DynamicImage) -> Result<Thumbnail, Refusal> {
    let small = shrink(picture, THUMBNAIL_SIDE).map_err(Refusal::internal)?;
    Ok(Thumbnail { media_type: small.media_type.to_owned(), bytes: small.bytes })
}
