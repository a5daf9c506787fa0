//! The preprocessing of one picture to numbers of a fixed size.

use std::fmt;

use fast_image_resize::images::{Image, ImageRef};
use fast_image_resize::{FilterType, PixelType, ResizeAlg, ResizeOptions, Resizer};
use image::DynamicImage;
use serde::{Deserialize, Serialize};
use tercet::{ParameterError, named};

use super::{DataError, SIDE_LIMIT};

/// The preprocessing of a picture before it enters an encoder. Part of the model file, because a
/// model must receive the same input in use as in training.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Preprocessing {
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// 1 (gray) or 3 (red, green, blue).
    pub channels: u32,
    /// How a picture with another aspect ratio is fitted.
    pub fit: Fit,
    /// How it is resampled.
    pub filter: Filter,
    /// Subtracted from each channel, whose values are between 0 and 1.
    pub mean: Vec<f32>,
    /// The divisor of each channel after the subtraction.
    pub std: Vec<f32>,
}

/// How a picture with another aspect ratio is fitted into width and height.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fit {
    /// Scaled to cover the whole area; the excess is cut off equally on both sides.
    #[default]
    Crop,
    /// Scaled to be completely visible, with white bars of equal width on both sides.
    Pad,
    /// Scaled in each direction separately, which distorts shapes.
    Stretch,
}

/// How pixels are resampled. If a picture is reduced, every filter except `Nearest` is widened
/// accordingly, so that all pixels contribute.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Filter {
    /// The nearest pixel, without antialiasing.
    Nearest,
    /// The mean of the covered pixels.
    Box,
    /// Linear interpolation.
    Bilinear,
    /// A cubic spline through the pixels.
    CatmullRom,
    /// A windowed sinc with three lobes: the sharpest filter.
    #[default]
    Lanczos3,
}

named!(Fit, "fit", [Crop = "crop", Pad = "pad", Stretch = "stretch"]);

named!(
    Filter,
    "filter",
    [
        Nearest = "nearest",
        Box = "box",
        Bilinear = "bilinear",
        CatmullRom = "catmull-rom",
        Lanczos3 = "lanczos3",
    ]
);

impl Filter {
    fn algorithm(self) -> ResizeAlg {
        match self {
            Self::Nearest => ResizeAlg::Nearest,
            Self::Box => ResizeAlg::Convolution(FilterType::Box),
            Self::Bilinear => ResizeAlg::Convolution(FilterType::Bilinear),
            Self::CatmullRom => ResizeAlg::Convolution(FilterType::CatmullRom),
            Self::Lanczos3 => ResizeAlg::Convolution(FilterType::Lanczos3),
        }
    }
}

impl Preprocessing {
    /// Crop to this size with the Lanczos filter, values between 0 and 1 (mean 0, deviation 1).
    pub fn new(width: u32, height: u32, channels: u32) -> Self {
        Self {
            width,
            height,
            channels,
            fit: Fit::default(),
            filter: Filter::default(),
            mean: vec![0.0; channels as usize],
            std: vec![1.0; channels as usize],
        }
    }

    /// Checks that every parameter is in its range.
    ///
    /// # Errors
    /// [`DataError::Parameter`] unless width and height are between 1 and [`SIDE_LIMIT`], there are
    /// 1 or 3 channels, and each has a finite mean and a finite deviation above 0.
    pub fn check(&self) -> Result<(), DataError> {
        let refuse = |parameter, got, expected: String| {
            Err(DataError::Parameter(ParameterError { parameter, got, expected }))
        };
        for (parameter, side) in [("width", self.width), ("height", self.height)] {
            if !(1..=SIDE_LIMIT).contains(&side) {
                let expected = format!("between 1 and {SIDE_LIMIT} pixels");
                return refuse(parameter, side.to_string(), expected);
            }
        }
        if !matches!(self.channels, 1 | 3) {
            let expected = "1 (gray) or 3 (colour)".to_owned();
            return refuse("channels", self.channels.to_string(), expected);
        }
        let per_channel = |values: &[f32], ok: fn(f32) -> bool| {
            values.len() == self.channels as usize && values.iter().all(|&value| ok(value))
        };
        if !per_channel(&self.mean, f32::is_finite) {
            let expected = format!("{} finite numbers", self.channels);
            return refuse("mean", format!("{:?}", self.mean), expected);
        }
        if !per_channel(&self.std, |std| std.is_finite() && std > 0.0) {
            let expected = format!("{} finite numbers above 0", self.channels);
            return refuse("std", format!("{:?}", self.std), expected);
        }
        Ok(())
    }

    /// Number of values of one item: channels · height · width.
    pub fn item_len(&self) -> usize {
        self.channels as usize * self.height as usize * self.width as usize
    }

    /// The pixels of a picture, `channels` planes of `height` rows of `width` bytes (C×H×W).
    ///
    /// Transparent parts are blended with white, 16-bit values are rounded to 8 bits, colours are
    /// reduced to luminance for one channel, and grey is copied to three channels. A picture that
    /// already has the required size is not resampled.
    ///
    /// # Errors
    /// [`DataError::Parameter`] if [`check`](Self::check) fails, [`DataError::Unresizable`] if the
    /// picture has no pixels.
    pub fn apply(&self, image: &DynamicImage) -> Result<Vec<u8>, DataError> {
        self.check()?;
        let fitted = match (image.width(), image.height()) {
            size if size == (self.width, self.height) => self.flat(image),
            (0, _) | (_, 0) => return Err(unresizable("it has no pixels")),
            (width, height) => self.resample(&self.flat(image), width, height)?,
        };
        Ok(match self.channels {
            1 => fitted,
            _ => planes(&fitted),
        })
    }

    /// The pixels of a picture as the input of an encoder: (pixel / 255 − mean) / deviation, with
    /// mean and deviation of the channel.
    pub(crate) fn standardize(&self, pixels: &[u8], values: &mut [f32]) {
        let plane = self.width as usize * self.height as usize;
        let planes = values.chunks_exact_mut(plane).zip(pixels.chunks_exact(plane));
        for ((values, pixels), table) in planes.zip(self.standardized_values()) {
            for (value, &pixel) in values.iter_mut().zip(pixels) {
                *value = table[usize::from(pixel)];
            }
        }
    }

    /// For each channel, the standardised value of each byte.
    pub(super) fn standardized_values(&self) -> Vec<[f32; 256]> {
        let channels = self.mean.iter().zip(&self.std);
        channels
            .map(|(mean, std)| std::array::from_fn(|value| (value as f32 / 255.0 - mean) / std))
            .collect()
    }

    /// The picture with 8 bits, the required channels interleaved, and without transparency.
    fn flat(&self, image: &DynamicImage) -> Vec<u8> {
        let opaque;
        let image = if image.color().has_alpha() {
            opaque = over_white(image);
            &opaque
        } else {
            image
        };
        match self.channels {
            1 => image.to_luma8().into_raw(),
            _ => image.to_rgb8().into_raw(),
        }
    }

    fn resample(&self, pixels: &[u8], width: u32, height: u32) -> Result<Vec<u8>, DataError> {
        let pixel = match self.channels {
            1 => PixelType::U8,
            _ => PixelType::U8x3,
        };
        let source = ImageRef::new(width, height, pixels, pixel).map_err(unresizable)?;
        let (inner_width, inner_height) = match self.fit {
            Fit::Pad => self.seen_whole(width, height),
            Fit::Crop | Fit::Stretch => (self.width, self.height),
        };
        let options = ResizeOptions::new().resize_alg(self.filter.algorithm()).use_alpha(false);
        let options = match self.fit {
            Fit::Crop => options.fit_into_destination(Some((0.5, 0.5))),
            Fit::Pad | Fit::Stretch => options,
        };
        let mut fitted = Image::new(inner_width, inner_height, pixel);
        Resizer::new().resize(&source, &mut fitted, &options).map_err(unresizable)?;
        Ok(match self.fit {
            Fit::Pad => self.with_bars(fitted.buffer(), inner_width, inner_height),
            Fit::Crop | Fit::Stretch => fitted.into_vec(),
        })
    }

    /// The largest size with the picture's aspect ratio that fits.
    fn seen_whole(&self, width: u32, height: u32) -> (u32, u32) {
        let scale = (f64::from(self.width) / f64::from(width))
            .min(f64::from(self.height) / f64::from(height));
        let side =
            |side: u32, limit: u32| ((f64::from(side) * scale).round() as u32).clamp(1, limit);
        (side(width, self.width), side(height, self.height))
    }

    fn with_bars(&self, pixels: &[u8], width: u32, height: u32) -> Vec<u8> {
        let channels = self.channels as usize;
        let mut all = vec![u8::MAX; self.item_len()];
        let left = ((self.width - width) / 2) as usize * channels;
        let top = ((self.height - height) / 2) as usize;
        let row = width as usize * channels;
        let rows = all.chunks_exact_mut(self.width as usize * channels).skip(top);
        for (target, source) in rows.zip(pixels.chunks_exact(row)) {
            target[left..left + row].copy_from_slice(source);
        }
        all
    }
}

/// Blends a transparent picture with white.
pub(crate) fn over_white(image: &DynamicImage) -> DynamicImage {
    let mut rgba = image.to_rgba8();
    for pixel in rgba.pixels_mut() {
        let [.., alpha] = pixel.0;
        for value in &mut pixel.0[..3] {
            let sum = u32::from(*value) * u32::from(alpha) + 255 * u32::from(255 - alpha);
            *value = ((sum + 127) / 255) as u8;
        }
        pixel.0[3] = u8::MAX;
    }
    DynamicImage::ImageRgba8(rgba)
}

/// Converts interleaved red, green and blue to one plane for each.
fn planes(pixels: &[u8]) -> Vec<u8> {
    (0..3).flat_map(|channel| pixels.iter().skip(channel).step_by(3).copied()).collect()
}

fn unresizable(reason: impl fmt::Display) -> DataError {
    DataError::Unresizable { reason: reason.to_string() }
}

#[cfg(test)]
mod tests {
    use image::{
        GrayAlphaImage, GrayImage, ImageBuffer, Luma, LumaA, Rgb, RgbImage, Rgba, RgbaImage,
    };

    use super::*;

    #[test]
    fn the_right_size_is_left_alone() {
        let gray = GrayImage::from_fn(5, 4, |x, y| Luma([(x * 50 + y) as u8]));
        let pixels = Preprocessing::new(5, 4, 1).apply(&gray.clone().into()).unwrap();
        assert_eq!(pixels, gray.into_raw());
    }

    #[test]
    fn channels_are_planes() {
        let colour = RgbImage::from_fn(2, 1, |x, _| Rgb([x as u8, 10 + x as u8, 20 + x as u8]));
        let pixels = Preprocessing::new(2, 1, 3).apply(&colour.into()).unwrap();
        assert_eq!(pixels, [0, 1, 10, 11, 20, 21]);
        let gray = GrayImage::from_raw(2, 1, vec![7, 8]).unwrap();
        let pixels = Preprocessing::new(2, 1, 3).apply(&gray.into()).unwrap();
        assert_eq!(pixels, [7, 8, 7, 8, 7, 8]);
    }

    #[test]
    fn colours_depths_and_transparency_become_gray_bytes() {
        let gray = |image: DynamicImage| Preprocessing::new(1, 1, 1).apply(&image).unwrap()[0];
        assert_eq!(gray(RgbImage::from_pixel(1, 1, Rgb([90; 3])).into()), 90);
        assert_eq!(gray(RgbaImage::from_pixel(1, 1, Rgba([0, 0, 0, 0])).into()), 255);
        assert_eq!(gray(RgbaImage::from_pixel(1, 1, Rgba([9, 9, 9, 255])).into()), 9);
        assert_eq!(gray(GrayAlphaImage::from_pixel(1, 1, LumaA([0, 51])).into()), 204);
        let deep: ImageBuffer<Luma<u16>, Vec<u16>> = ImageBuffer::from_pixel(1, 1, Luma([0x8080]));
        assert_eq!(gray(deep.into()), 0x80);
        // The luminance of green is higher than that of blue.
        assert!(
            gray(RgbImage::from_pixel(1, 1, Rgb([0, 255, 0])).into())
                > gray(RgbImage::from_pixel(1, 1, Rgb([0, 0, 255])).into())
        );
    }

    /// 40 x 20: black, with a gray band in the middle half.
    fn wide() -> DynamicImage {
        GrayImage::from_fn(40, 20, |x, _| Luma([if (10..30).contains(&x) { 100 } else { 0 }]))
            .into()
    }

    fn fitted(fit: Fit) -> Vec<u8> {
        let mut preprocessing = Preprocessing::new(10, 10, 1);
        preprocessing.fit = fit;
        preprocessing.filter = Filter::Box;
        preprocessing.apply(&wide()).unwrap()
    }

    #[test]
    fn crop_covers_and_cuts_off_the_sides() {
        assert_eq!(fitted(Fit::Crop), [100; 100]);
    }

    #[test]
    fn pad_shows_everything_between_white_bars() {
        let pixels = fitted(Fit::Pad);
        let row = |y: usize| &pixels[y * 10..y * 10 + 10];
        for y in [0, 1, 7, 8, 9] {
            assert_eq!(row(y), [255; 10], "row {y}");
        }
        for y in 2..7 {
            assert_eq!((row(y)[0], row(y)[5], row(y)[9]), (0, 100, 0), "row {y}");
        }
        // However thin the picture is, at least one row remains.
        let thin = GrayImage::from_pixel(1000, 1, Luma([0])).into();
        let mut preprocessing = Preprocessing::new(8, 8, 3);
        preprocessing.fit = Fit::Pad;
        assert_eq!(preprocessing.apply(&thin).unwrap().iter().filter(|&&v| v == 0).count(), 24);
    }

    #[test]
    fn stretch_shows_everything_everywhere() {
        let pixels = fitted(Fit::Stretch);
        assert!(pixels.chunks(10).all(|row| row[0] == 0 && row[4] == 100 && row[9] == 0));
    }

    #[test]
    fn names_and_json_agree() {
        for (name, filter) in Filter::ALL.map(|filter| (filter.name(), filter)) {
            assert_eq!(serde_json::to_value(filter).unwrap(), name);
            assert_eq!(name.parse::<Filter>().unwrap(), filter);
            assert_eq!(filter.to_string(), name);
        }
        for (name, fit) in Fit::ALL.map(|fit| (fit.name(), fit)) {
            assert_eq!(serde_json::to_value(fit).unwrap(), name);
            assert_eq!(name.parse::<Fit>().unwrap().to_string(), name);
        }
        let message = "cubic".parse::<Filter>().unwrap_err().to_string();
        assert!(
            message.contains("unknown filter `cubic`") && message.contains("lanczos3"),
            "{message}"
        );

        let preprocessing = Preprocessing::new(28, 30, 3);
        let json = serde_json::to_string(&preprocessing).unwrap();
        assert_eq!(serde_json::from_str::<Preprocessing>(&json).unwrap(), preprocessing);
    }

    #[test]
    fn parameters_are_checked() {
        let good = Preprocessing::new(8, 8, 3);
        assert!(good.check().is_ok());
        for bad in [
            Preprocessing::new(0, 8, 3),
            Preprocessing::new(8, 1 << 20, 3),
            Preprocessing::new(8, 8, 4),
            Preprocessing { mean: vec![0.0], ..good.clone() },
            Preprocessing { std: vec![0.0; 3], ..good.clone() },
            Preprocessing { std: vec![f32::NAN; 3], ..good.clone() },
        ] {
            assert!(bad.check().is_err());
            assert!(bad.apply(&wide()).is_err());
        }
    }
}
