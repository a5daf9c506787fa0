//! The orientation of a picture that its file records.
//!
//! EXIF has a tag for it (0x0112), XMP a property (`tiff:Orientation`). If a file has both, EXIF is
//! used. In WebP, programs write EXIF with or without the six bytes that mark it in JPEG; in PNG,
//! before or after the pixels.

use std::io::Read;

use flate2::read::ZlibDecoder;
use image::metadata::Orientation;
use image::{ImageDecoder, ImageFormat};

/// The bytes that mark EXIF in a JPEG segment.
const MARK: &[u8] = b"Exif\0\0";

/// The keyword of XMP among the texts of a PNG file.
const PNG_XMP: &[u8] = b"XML:com.adobe.xmp";

/// The property of XMP.
const PROPERTY: &[u8] = b"tiff:Orientation";

/// The largest number of bytes of XMP that is unpacked.
const XMP_LIMIT: u64 = 1 << 20;

/// The orientation that a file records. A picture is not refused because its orientation is missing
/// or cannot be read.
pub(crate) fn noted(
    file: &[u8],
    format: ImageFormat,
    decoder: &mut impl ImageDecoder,
) -> Orientation {
    let (exif, xmp) = match format {
        ImageFormat::Png => png(file),
        ImageFormat::Tiff => return decoder.orientation().unwrap_or(Orientation::NoTransforms),
        _ => {
            let exif = decoder.exif_metadata().ok().flatten();
            let found = exif.as_deref().and_then(of_exif);
            let xmp = match found {
                Some(_) => None,
                None => decoder.xmp_metadata().ok().flatten(),
            };
            (exif, xmp)
        }
    };
    exif.as_deref()
        .and_then(of_exif)
        .or_else(|| xmp.as_deref().and_then(of_xmp))
        .unwrap_or(Orientation::NoTransforms)
}

fn of_exif(mut exif: &[u8]) -> Option<Orientation> {
    while let Some(rest) = exif.strip_prefix(MARK) {
        exif = rest;
    }
    Orientation::from_exif_chunk(exif)
}

/// `tiff:Orientation="6"` or `<tiff:Orientation>6</tiff:Orientation>`.
fn of_xmp(xmp: &[u8]) -> Option<Orientation> {
    let start = xmp.windows(PROPERTY.len()).position(|window| window == PROPERTY)?;
    let behind = xmp[start + PROPERTY.len()..].trim_ascii_start();
    let value = match behind.strip_prefix(b"=") {
        Some(value) => value
            .trim_ascii_start()
            .strip_prefix(b"\"")
            .or_else(|| value.trim_ascii_start().strip_prefix(b"'"))?,
        None => behind.strip_prefix(b">")?,
    };
    match value.trim_ascii_start() {
        [digit @ b'1'..=b'8', rest @ ..] if !rest.first().is_some_and(u8::is_ascii_digit) => {
            Orientation::from_exif(digit - b'0')
        }
        _ => None,
    }
}

/// Whether a PNG file has its last chunk.
pub(crate) fn png_is_complete(file: &[u8]) -> bool {
    let mut is_complete = false;
    chunks(file, |kind, _| is_complete |= kind == b"IEND");
    is_complete
}

/// EXIF and XMP of a PNG file, anywhere in it.
fn png(file: &[u8]) -> (Option<Vec<u8>>, Option<Vec<u8>>) {
    let (mut exif, mut xmp) = (None, None);
    chunks(file, |kind, data| match kind {
        b"eXIf" if exif.is_none() => exif = Some(data.to_vec()),
        b"iTXt" if xmp.is_none() => xmp = text(data),
        _ => {}
    });
    (exif, xmp)
}

/// Calls `see` with all complete chunks of a PNG file.
fn chunks(file: &[u8], mut see: impl FnMut(&[u8; 4], &[u8])) {
    let mut rest = file.get(8..).unwrap_or_default();
    while let Some((&length, behind)) = rest.split_first_chunk::<4>() {
        let Some((kind, behind)) = behind.split_first_chunk::<4>() else { break };
        let length = u32::from_be_bytes(length) as usize;
        let Some((data, behind)) = behind.split_at_checked(length) else { break };
        see(kind, data);
        rest = behind.get(4..).unwrap_or_default(); // after the checksum
    }
}

/// The text of an iTXt chunk that contains XMP.
fn text(chunk: &[u8]) -> Option<Vec<u8>> {
    let &[packed, _, ref rest @ ..] = chunk.strip_prefix(PNG_XMP)?.strip_prefix(b"\0")? else {
        return None;
    };
    // The text follows the language and the translated keyword.
    let text = rest.splitn(3, |&byte| byte == 0).nth(2)?;
    if packed == 0 {
        return Some(text.to_vec());
    }
    let mut unpacked = Vec::new();
    ZlibDecoder::new(text).take(XMP_LIMIT).read_to_end(&mut unpacked).ok()?;
    Some(unpacked)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn xmp_writes_the_number_in_several_ways() {
        let of = |text: &str| of_xmp(text.as_bytes());
        for text in [
            r#"<rdf:Description tiff:Orientation="6" x="1"/>"#,
            "<rdf:Description tiff:Orientation = '6'/>",
            "<tiff:Orientation>6</tiff:Orientation>",
            "<tiff:Orientation> 6 </tiff:Orientation>",
        ] {
            assert_eq!(of(text), Some(Orientation::Rotate90), "{text}");
        }
        for text in ["", "tiff:Orientation", r#"tiff:Orientation="9""#, r#"tiff:Orientation="60""#]
        {
            assert_eq!(of(text), None, "{text}");
        }
    }
}
