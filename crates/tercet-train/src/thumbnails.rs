//! Small pictures of items, for web pages and reports.

use std::io::Cursor;

use image::codecs::jpeg::JpegEncoder;
use image::imageops::{self, FilterType};
use image::{DynamicImage, ImageFormat, Rgb, RgbImage};
use rayon::prelude::*;

use crate::data::{Augmentation, Catalogue, DataError, Pixels, Preprocessing, over_white};

/// The background of a picture that is not square.
const PAPER: Rgb<u8> = Rgb([255, 255, 255]);

/// Several pictures in one PNG file: square tiles, row by row without gaps.
#[derive(Debug, Clone)]
pub struct Sheet {
    /// The bytes of the PNG file.
    pub png: Vec<u8>,
    /// Width and height of a tile in pixels.
    pub side: u32,
    /// Number of tiles per row.
    pub columns: u32,
}

/// An item as a PNG file, not cropped, at most `side` pixels wide and high, never enlarged.
///
/// # Errors
/// [`DataError::Undecodable`].
///
/// # Panics
/// If `item` is not an item of the catalogue.
pub fn thumbnail(catalogue: &Catalogue, item: u32, side: u32) -> Result<Vec<u8>, DataError> {
    png(&catalogue.items[item as usize].id, DynamicImage::from(small(catalogue, item, side)?))
}

/// A small picture as the bytes of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Thumbnail {
    /// `image/png` or `image/jpeg`.
    pub media_type: &'static str,
    /// The content of the file.
    pub bytes: Vec<u8>,
}

/// The quality of JPEG files.
const QUALITY: u8 = 85;

/// A picture, not cropped, at most `side` pixels wide and high, never enlarged: as PNG or JPEG,
/// whichever takes fewer bytes.
///
/// # Errors
/// [`DataError::Undecodable`] if the picture cannot be encoded.
pub fn shrink(image: &DynamicImage, side: u32) -> Result<Thumbnail, DataError> {
    let small = DynamicImage::from(reduced(image, side));
    let mut jpeg = Vec::new();
    small
        .write_with_encoder(JpegEncoder::new_with_quality(&mut jpeg, QUALITY))
        .map_err(|error| unwritable("the thumbnail", &error))?;
    let png = png("the thumbnail", small)?;
    Ok(match png.len() <= jpeg.len() {
        true => Thumbnail { media_type: "image/png", bytes: png },
        false => Thumbnail { media_type: "image/jpeg", bytes: jpeg },
    })
}

/// Some items as tiles of one picture, in the given order.
///
/// # Errors
/// [`DataError::Undecodable`].
///
/// # Panics
/// If an item is not an item of the catalogue.
pub fn sheet(catalogue: &Catalogue, items: &[u32], side: u32) -> Result<Sheet, DataError> {
    let columns = (items.len() as f64).sqrt().ceil().max(1.0) as u32;
    let rows = (items.len() as u32).div_ceil(columns).max(1);
    let tiles: Vec<RgbImage> =
        items.par_iter().map(|&item| small(catalogue, item, side)).collect::<Result<_, _>>()?;
    let mut whole = RgbImage::from_pixel(columns * side, rows * side, PAPER);
    for (place, tile) in (0..).zip(&tiles) {
        let left = place % columns * side + (side - tile.width()) / 2;
        let top = place / columns * side + (side - tile.height()) / 2;
        imageops::replace(&mut whole, tile, i64::from(left), i64::from(top));
    }
    Ok(Sheet { png: png("the sheet of thumbnails", DynamicImage::from(whole))?, side, columns })
}

/// A preview of augmentation with one row per item: the image without changes, followed by its
/// augmented versions in `copies` batches. Small images are enlarged.
///
/// # Errors
/// [`DataError::Undecodable`].
///
/// # Panics
/// If an item is not an item of the catalogue.
pub fn changed(
    pixels: &Pixels,
    items: &[u32],
    augmentation: &Augmentation,
    seed: u64,
    copies: u32,
) -> Result<Vec<u8>, DataError> {
    /// The distance between two images, in pixels.
    const GAP: u32 = 2;
    /// Images whose longer side has fewer pixels are enlarged.
    const LEAST: u32 = 64;
    let Preprocessing { width, height, channels, .. } = *pixels.preprocessing();
    let plane = width as usize * height as usize;
    let times = LEAST.div_ceil(width.max(height)).max(1);
    let (wide, tall) = (width * times + GAP, height * times + GAP);
    let mut whole =
        RgbImage::from_pixel(wide * (copies + 1) - GAP, tall * items.len() as u32 - GAP, PAPER);
    for column in 0..=copies {
        let change = if column == 0 { &Augmentation::NONE } else { augmentation };
        let values = pixels.augmented(items, change, seed, u64::from(column))?;
        for (row, image) in (0..).zip(values.chunks_exact(plane * channels as usize)) {
            let tile = RgbImage::from_fn(width * times, height * times, |x, y| {
                let at = (y / times * width + x / times) as usize;
                Rgb([0, 1, 2].map(|channel: usize| {
                    let channel = channel.min(channels as usize - 1);
                    let Preprocessing { mean, std, .. } = pixels.preprocessing();
                    let value = image[channel * plane + at] * std[channel] + mean[channel];
                    (255.0 * value).round().clamp(0.0, 255.0) as u8
                }))
            });
            imageops::replace(&mut whole, &tile, i64::from(column * wide), i64::from(row * tall));
        }
    }
    png("the preview", DynamicImage::from(whole))
}

fn small(catalogue: &Catalogue, item: u32, side: u32) -> Result<RgbImage, DataError> {
    Ok(reduced(&catalogue.image(item as usize)?, side))
}

fn reduced(image: &DynamicImage, side: u32) -> RgbImage {
    let fits = image.width() <= side && image.height() <= side;
    let resized = (!fits).then(|| image.resize(side, side, FilterType::Triangle));
    let image = resized.as_ref().unwrap_or(image);
    match image.color().has_alpha() {
        true => over_white(image).into_rgb8(),
        false => image.to_rgb8(),
    }
}

fn png(what: &str, image: DynamicImage) -> Result<Vec<u8>, DataError> {
    let is_grey = image.as_rgb8().is_some_and(|image| {
        image.pixels().all(|Rgb([red, green, blue])| red == green && green == blue)
    });
    let image = if is_grey { DynamicImage::from(image.into_luma8()) } else { image };
    let mut bytes = Cursor::new(Vec::new());
    image.write_to(&mut bytes, ImageFormat::Png).map_err(|error| unwritable(what, &error))?;
    Ok(bytes.into_inner())
}

fn unwritable(what: &str, error: &image::ImageError) -> DataError {
    DataError::Undecodable { what: what.to_owned(), reason: error.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Source;

    #[test]
    fn photographs_become_jpeg_and_drawings_png() {
        let photograph = RgbImage::from_fn(300, 200, |x, y| {
            let noise = (x * 7919 + y * 104_729).wrapping_mul(2_654_435_761) >> 27;
            Rgb([(x / 2) as u8 + noise as u8, y as u8, 90])
        });
        let small = shrink(&photograph.into(), 96).unwrap();
        assert_eq!(small.media_type, "image/jpeg");
        let back = image::load_from_memory(&small.bytes).unwrap();
        assert_eq!((back.width(), back.height()), (96, 64));
        let drawing = DynamicImage::new_luma8(40, 20);
        let small = shrink(&drawing, 96).unwrap();
        assert_eq!(small.media_type, "image/png");
        assert_eq!(image::load_from_memory(&small.bytes).unwrap().to_luma8(), drawing.to_luma8());
    }

    #[test]
    fn tiles_stand_row_by_row() {
        let glyphs = Source::Glyphs.catalogue().unwrap();
        let sheet = sheet(&glyphs, &[0, 21, 42], 14).unwrap();
        let whole = image::load_from_memory(&sheet.png).unwrap();
        assert_eq!((sheet.columns, whole.width(), whole.height()), (2, 28, 28));
        let third = image::load_from_memory(&thumbnail(&glyphs, 42, 14).unwrap()).unwrap();
        assert_eq!(whole.crop_imm(0, 14, 14, 14).to_luma8(), third.to_luma8());
        let own = image::load_from_memory(&thumbnail(&glyphs, 0, 96).unwrap()).unwrap();
        assert_eq!((own.width(), own.height()), (28, 28));
    }
}
