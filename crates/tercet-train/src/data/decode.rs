//! Decoding of one image file.

use std::io::Cursor;
use std::path::Path;

use image::{DynamicImage, ImageDecoder, ImageFormat, ImageReader, Limits};

use super::{DataError, jpeg, orientation};
use crate::printable::exact_name;
use crate::reading;

/// The longest side that is decoded, in pixels. A few bytes of header can claim more memory than
/// any machine has, so larger pictures are refused before memory is allocated.
pub const SIDE_LIMIT: u32 = 16_384;

/// The most memory that one decoded picture may take, and the longest file that is read: 1 GiB.
pub const ALLOCATION_LIMIT: u64 = 1 << 30;

/// Decodes an image file: PNG, JPEG, WebP, BMP, PBM/PGM/PPM, TIFF (its first picture), or the first
/// frame of a GIF.
///
/// The format is recognised by the content, not by the name. The orientation that a camera recorded
/// (EXIF or XMP) is applied. A file that is damaged or truncated is refused in every format, with
/// one exception: changed bytes of a JPEG file that are valid codes for as many blocks as before.
///
/// # Errors
/// [`DataError::Undecodable`] with the path, if the file cannot be read, has no known format, is
/// corrupt or truncated, or larger than [`SIDE_LIMIT`] and [`ALLOCATION_LIMIT`] allow.
pub fn decode_file(path: &Path) -> Result<DynamicImage, DataError> {
    read(path)
        .and_then(|bytes| decode(&bytes, ALLOCATION_LIMIT))
        .map_err(|reason| DataError::Undecodable { what: exact_name(path.as_os_str()), reason })
}

/// Decodes an image in memory like [`decode_file`].
///
/// # Errors
/// [`DataError::Undecodable`] with `what`.
pub fn decode_bytes(bytes: &[u8], what: &str) -> Result<DynamicImage, DataError> {
    decode_bytes_within(bytes, what, ALLOCATION_LIMIT)
}

/// Decodes an image in memory like [`decode_file`], if its pixels and everything else that the
/// decoder allocates take at most `allocation` bytes.
///
/// # Errors
/// [`DataError::Undecodable`] with `what`.
pub fn decode_bytes_within(
    bytes: &[u8],
    what: &str,
    allocation: u64,
) -> Result<DynamicImage, DataError> {
    decode(bytes, allocation.min(ALLOCATION_LIMIT))
        .map_err(|reason| DataError::Undecodable { what: what.to_owned(), reason })
}

/// Reads a whole file of at most [`ALLOCATION_LIMIT`] bytes.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>, String> {
    let (file, length) = reading::open(path).map_err(|error| error.to_string())?;
    if length > ALLOCATION_LIMIT {
        return Err(format!("the file has {length} bytes, expected at most {ALLOCATION_LIMIT}"));
    }
    reading::read_opened(file, length).map_err(|error| error.to_string())
}

fn decode(bytes: &[u8], allocation: u64) -> Result<DynamicImage, String> {
    if bytes.is_empty() {
        return Err("the file is empty".to_owned());
    }
    let mut limits = Limits::default();
    limits.max_image_width = Some(SIDE_LIMIT);
    limits.max_image_height = Some(SIDE_LIMIT);
    limits.max_alloc = Some(allocation);

    let mut reader = ImageReader::new(Cursor::new(bytes))
        .with_guessed_format()
        .map_err(|error| error.to_string())?;
    reader.limits(limits);
    let format = reader.format().filter(|format| FORMATS.contains(format));
    let format = format.ok_or_else(|| unknown(bytes))?;
    if is_cut_short(bytes, format) {
        return Err(format!("the {} file ends before its end: it is truncated", name(format)));
    }

    let mut decoder = reader.into_decoder().map_err(|error| error.to_string())?;
    let (width, height) = decoder.dimensions();
    if width == 0 || height == 0 {
        return Err(format!("the image has {width} x {height} pixels"));
    }
    if decoder.total_bytes() > allocation {
        return Err(format!(
            "{width} x {height} pixels take {} bytes, expected at most {allocation}",
            decoder.total_bytes()
        ));
    }
    let orientation = orientation::noted(bytes, format, &mut decoder);
    let mut image = DynamicImage::from_decoder(decoder).map_err(|error| error.to_string())?;
    if format == ImageFormat::Jpeg {
        jpeg::check(bytes).map_err(|reason| format!("the JPEG data is damaged: {reason}"))?;
    }
    image.apply_orientation(orientation);
    Ok(image)
}

/// The formats that are read.
const FORMATS: [ImageFormat; 7] = [
    ImageFormat::Png,
    ImageFormat::Jpeg,
    ImageFormat::WebP,
    ImageFormat::Bmp,
    ImageFormat::Pnm,
    ImageFormat::Gif,
    ImageFormat::Tiff,
];

/// Whether a part after the pixels is missing. Decoders do not need it, but it may contain the
/// orientation, and if it is missing, pixels may be missing too.
fn is_cut_short(bytes: &[u8], format: ImageFormat) -> bool {
    match format {
        ImageFormat::Jpeg => !jpeg::is_complete(bytes),
        ImageFormat::Png => !orientation::png_is_complete(bytes),
        // Bytes 4 to 7 of a RIFF file contain the number of bytes that follow them.
        ImageFormat::WebP => bytes.get(4..).and_then(|rest| rest.split_first_chunk()).is_none_or(
            |(&length, rest)| (rest.len() as u64) < u64::from(u32::from_le_bytes(length)),
        ),
        _ => false,
    }
}

fn name(format: ImageFormat) -> &'static str {
    match format {
        ImageFormat::Jpeg => "JPEG",
        ImageFormat::Png => "PNG",
        _ => "WebP",
    }
}

/// The error message for content that is not a known image format.
fn unknown(bytes: &[u8]) -> String {
    const EXPECTED: &str = "expected PNG, JPEG, WebP, BMP, PNM, GIF or TIFF";
    // ISO media files start with the size of the first box, its type, and the brand.
    let named = match bytes.get(4..12) {
        Some(b"ftypavif" | b"ftypavis") => Some("AVIF"),
        Some(b"ftypheic" | b"ftypheix" | b"ftypmif1" | b"ftypheim" | b"ftypmsf1") => Some("HEIC"),
        _ if bytes.starts_with(b"\xff\x0a") || bytes.get(4..8) == Some(b"JXL ") => Some("JPEG XL"),
        _ => None,
    };
    match named {
        Some(name) => format!(
            "the content is {name}, which is not read, {EXPECTED}: convert it, for example with \
             ImageMagick (mogrify -format jpg FILE)"
        ),
        None => format!("the content is of no known image format, {EXPECTED}"),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::time::{Duration, Instant};

    use image::codecs::jpeg::JpegEncoder;
    use image::{ExtendedColorType, ImageEncoder, Rgb, RgbImage};

    use super::*;

    /// A picture that no encoder can compress well.
    fn noise(width: u32, height: u32) -> RgbImage {
        RgbImage::from_fn(width, height, |x, y| {
            let n = (x * 7919 + y * 104_729).wrapping_mul(2_654_435_761);
            Rgb([n as u8, (n >> 8) as u8, (n >> 16) as u8])
        })
    }

    fn encoded(image: &DynamicImage, format: ImageFormat) -> Vec<u8> {
        let mut bytes = Cursor::new(Vec::new());
        image.write_to(&mut bytes, format).unwrap();
        bytes.into_inner()
    }

    #[test]
    fn every_format_decodes() {
        for format in FORMATS {
            let bytes = encoded(&noise(40, 30).into(), format);
            let image = decode(&bytes, ALLOCATION_LIMIT).unwrap();
            assert_eq!((image.width(), image.height()), (40, 30), "{format:?}");
        }
    }

    #[test]
    fn truncation_is_an_error_in_every_format() {
        for format in FORMATS {
            let bytes = encoded(&noise(64, 48).into(), format);
            for tenths in [1, 3, 5, 7, 9] {
                let part = &bytes[..bytes.len() * tenths / 10];
                assert!(decode(part, ALLOCATION_LIMIT).is_err(), "{format:?} cut to {tenths}/10");
            }
        }
    }

    #[test]
    fn a_part_of_a_file_is_the_whole_picture_or_an_error() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/pictures");
        let mut formats = std::collections::BTreeSet::new();
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let bytes = fs::read(&path).unwrap();
            let whole = decode(&bytes, ALLOCATION_LIMIT).unwrap();
            for length in (0..bytes.len()).step_by(1 + bytes.len() / 60) {
                if let Ok(part) = decode(&bytes[..length], ALLOCATION_LIMIT) {
                    assert!(part == whole, "{} cut to {length} bytes", path.display());
                }
            }
            formats.insert(path.extension().unwrap().to_owned());
        }
        assert!(formats.len() >= 6, "{formats:?}");
    }

    #[test]
    fn a_turned_picture_is_the_same_in_every_format() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/pictures");
        let mut turned = 0;
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            // The files `turned-…` record orientation 6 for a picture of 48×32 pixels, whose left
            // half is light.
            if !path.file_name().unwrap().to_string_lossy().starts_with("turned") {
                continue;
            }
            turned += 1;
            let image = decode_file(&path).unwrap().to_luma8();
            assert_eq!(image.dimensions(), (32, 48), "{}", path.display());
            let light = [image.get_pixel(16, 8).0[0], image.get_pixel(16, 40).0[0]];
            assert!(light[0] > 200 && light[1] < 60, "{} {light:?}", path.display());
        }
        assert!(turned >= 9, "{turned}");
    }

    #[test]
    fn formats_that_are_not_read_are_named() {
        let reason = decode(b"\0\0\0\x1cftypavif\0\0\0\0", ALLOCATION_LIMIT).unwrap_err();
        assert!(reason.contains("AVIF") && reason.contains("mogrify"), "{reason}");
        let reason = decode(b"\0\0\0\x18ftypheic\0\0\0\0", ALLOCATION_LIMIT).unwrap_err();
        assert!(reason.contains("HEIC"), "{reason}");
    }

    #[test]
    fn the_error_names_the_file_and_the_reason() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("half.jpg");
        let bytes = encoded(&noise(64, 48).into(), ImageFormat::Jpeg);
        fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
        let message = decode_file(&path).unwrap_err().to_string();
        assert!(message.contains("half.jpg") && message.contains("truncated"), "{message}");

        let path = folder.path().join("text.png");
        fs::write(&path, "not a picture").unwrap();
        let message = decode_file(&path).unwrap_err().to_string();
        assert!(
            message.contains("text.png") && message.contains("no known image format"),
            "{message}"
        );

        let message = decode_file(folder.path()).unwrap_err().to_string();
        assert!(message.contains("regular file"), "{message}");
        let message = decode_file(&folder.path().join("gone.png")).unwrap_err().to_string();
        assert!(message.contains("gone.png"), "{message}");
    }

    #[test]
    fn the_orientation_that_a_camera_noted_is_applied() {
        // A TIFF header with one entry: tag 0x0112, orientation 6 (rotate by 90 degrees clockwise).
        let exif = [
            b"II*\0\x08\0\0\0\x01\0".as_slice(),
            &[0x12, 0x01, 3, 0, 1, 0, 0, 0, 6, 0, 0, 0, 0, 0, 0, 0],
        ]
        .concat();
        let picture = RgbImage::from_fn(32, 16, |x, _| Rgb([if x < 16 { 255 } else { 0 }; 3]));
        let mut bytes = Vec::new();
        let mut encoder = JpegEncoder::new_with_quality(&mut bytes, 95);
        encoder.set_exif_metadata(exif).unwrap();
        encoder.write_image(&picture, 32, 16, ExtendedColorType::Rgb8).unwrap();
        let turned = decode(&bytes, ALLOCATION_LIMIT).unwrap().to_luma8();
        assert_eq!(turned.dimensions(), (16, 32));
        assert!(turned.get_pixel(8, 4).0[0] > 200 && turned.get_pixel(8, 28).0[0] < 50);
    }

    #[test]
    fn a_header_that_claims_too_much_is_refused_at_once() {
        let mut png = encoded(&noise(4, 4).into(), ImageFormat::Png);
        png[16..20].copy_from_slice(&60_000_u32.to_be_bytes());
        png[20..24].copy_from_slice(&60_000_u32.to_be_bytes());
        let checksum = crc32(&png[12..29]).to_be_bytes();
        png[29..33].copy_from_slice(&checksum);
        let start = Instant::now();
        let reason = decode(&png, ALLOCATION_LIMIT).unwrap_err();
        assert!(start.elapsed() < Duration::from_secs(1));
        assert!(reason.contains("limit"), "{reason}");
    }

    fn crc32(bytes: &[u8]) -> u32 {
        !bytes.iter().fold(!0_u32, |crc, &byte| {
            (0..8).fold(crc ^ u32::from(byte), |crc, _| {
                (crc >> 1) ^ (0xEDB8_8320 & (crc & 1).wrapping_neg())
            })
        })
    }
}
