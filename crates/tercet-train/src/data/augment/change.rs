//! The change of one image: at most one resampling, one matrix on colours, one rectangle.

use rand::RngExt;
use rand::rngs::ChaCha8Rng;

use super::{Augmentation, Outside, signed};
use crate::data::Preprocessing;

/// The change of one image.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Change {
    /// The position from which the colour of a pixel is taken; `None`: its own position.
    place: Option<Place>,
    colour: Option<Colour>,
    erased: Option<Rectangle>,
}

/// Maps the centre of a pixel, relative to the centre of the image, to the point that it shows: (x,
/// y) ↦ A·(x, y) + t.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Place {
    matrix: [[f32; 2]; 2],
    offset: [f32; 2],
    outside: Outside,
}

/// Factors of brightness, contrast and saturation, the rotation of the hue in radians, and whether
/// light and dark are exchanged.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Colour {
    brightness: f32,
    contrast: f32,
    saturation: f32,
    hue: f32,
    invert: bool,
}

/// Rows `top..bottom`, columns `left..right`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Rectangle {
    left: usize,
    top: usize,
    right: usize,
    bottom: usize,
}

/// Shares of red, green and blue in the luminance (ITU-R BT.601).
const LUMINANCE: [f32; 3] = [0.299, 0.587, 0.114];

impl Change {
    pub(super) fn draw(from: &Augmentation, rng: &mut ChaCha8Rng, to: &Preprocessing) -> Self {
        let size = [to.width as f32, to.height as f32];
        // Every number is drawn whether it is used or not, so that changing one setting does not
        // change the others' random numbers.
        let flip = rng.random::<f32>() < from.flip;
        let scale = (1.0 + from.scale).powf(signed(rng));
        let turn = from.rotate.to_radians() * signed(rng);
        let shear = [0, 1].map(|_| (from.shear.to_radians() * signed(rng)).tan());
        let shift = [0, 1].map(|axis| from.shift * size[axis] * signed(rng));
        let zoom = if from.crop > 1.0 { 1.0 / from.crop } else { 1.0 };
        let window = [0, 1].map(|axis| size[axis] * (1.0 - zoom) / 2.0 * signed(rng));
        let place = Place {
            matrix: {
                let (sin, cos) = turn.sin_cos();
                let turned = [[cos, -sin], [sin, cos]];
                // Only the larger of the two shears is applied, so that the area stays about the
                // same.
                let slanted = match shear[0].abs() > shear[1].abs() {
                    true => product(turned, [[1.0, shear[0]], [0.0, 1.0]]),
                    false => product(turned, [[1.0, 0.0], [shear[1], 1.0]]),
                };
                let mirror = if flip { -1.0 } else { 1.0 };
                slanted.map(|[x, y]| [zoom * scale * mirror * x, zoom * scale * y])
            },
            offset: [0, 1].map(|axis| shift[axis] + window[axis]),
            outside: from.outside,
        };

        let mut factor = || 1.0 + from.colour * signed(rng);
        let (brightness, contrast, saturation) = (factor(), factor(), factor());
        let hue = std::f32::consts::TAU * 0.1 * from.colour * signed(rng);
        let gray = rng.random::<f32>() < from.gray;
        let invert = rng.random::<f32>() < from.invert;
        let colour = Colour {
            brightness,
            contrast,
            saturation: if gray { 0.0 } else { saturation },
            hue,
            invert,
        };

        let erase = rng.random::<f32>() < from.erase;
        let erased = Rectangle::draw(rng, to.width as usize, to.height as usize);
        Self {
            place: (place != Place::own(from.outside)).then_some(place),
            colour: (colour != Colour::OWN).then_some(colour),
            erased: erase.then_some(erased),
        }
    }

    /// Whether nothing is changed.
    pub(crate) fn is_none(&self) -> bool {
        *self == Self { place: None, colour: None, erased: None }
    }

    /// Writes the changed image, C×H×W values standardised with the mean and deviation of `to`.
    ///
    /// # Panics
    /// If `pixels` or `values` do not have the length that `to` requires.
    pub(crate) fn write(&self, pixels: &[u8], to: &Preprocessing, values: &mut [f32]) {
        assert_eq!((pixels.len(), values.len()), (to.item_len(), to.item_len()));
        let (width, height) = (to.width as usize, to.height as usize);
        let area = width * height;
        match self.place {
            None => {
                for (value, &pixel) in values.iter_mut().zip(pixels) {
                    *value = f32::from(pixel);
                }
            }
            Some(place) => place.resample(pixels, width, height, values),
        }
        if let Some(colour) = self.colour {
            colour.apply(values, area);
        }
        for ((plane, mean), std) in values.chunks_exact_mut(area).zip(&to.mean).zip(&to.std) {
            let (scale, shift) = (1.0 / (255.0 * std), mean / std);
            for value in &mut *plane {
                *value = *value * scale - shift;
            }
            if let Some(Rectangle { left, top, right, bottom }) = self.erased {
                for row in plane.chunks_exact_mut(width).take(bottom).skip(top) {
                    row[left..right].fill(0.0);
                }
            }
        }
    }
}

fn product(a: [[f32; 2]; 2], b: [[f32; 2]; 2]) -> [[f32; 2]; 2] {
    [0, 1].map(|i| [0, 1].map(|j| a[i][0] * b[0][j] + a[i][1] * b[1][j]))
}

impl Place {
    fn own(outside: Outside) -> Self {
        Self { matrix: [[1.0, 0.0], [0.0, 1.0]], offset: [0.0, 0.0], outside }
    }

    /// Bilinear interpolation between the four nearest pixels.
    fn resample(self, pixels: &[u8], width: usize, height: usize, values: &mut [f32]) {
        let area = width * height;
        let paper: Vec<f32> = pixels.chunks_exact(area).map(|plane| paper(plane, width)).collect();
        let (centre_x, centre_y) = (width as f32 / 2.0, height as f32 / 2.0);
        let [[xx, xy], [yx, yy]] = self.matrix;
        for row in 0..height {
            let down = row as f32 + 0.5 - centre_y;
            for column in 0..width {
                let right = column as f32 + 0.5 - centre_x;
                // From here on, pixel centres are at whole numbers.
                let x = xx * right + xy * down + self.offset[0] + centre_x - 0.5;
                let y = yx * right + yy * down + self.offset[1] + centre_y - 0.5;
                let (left, top) = (x.floor(), y.floor());
                let (across, along) = (x - left, y - top);
                let weights = [
                    (1.0 - across) * (1.0 - along),
                    across * (1.0 - along),
                    (1.0 - across) * along,
                    across * along,
                ];
                let (left, top) = (left as isize, top as isize);
                let corners = [(0, 0), (1, 0), (0, 1), (1, 1)];
                let at = corners.map(|(x, y)| self.index(left + x, top + y, width, height));
                let place = row * width + column;
                for ((values, pixels), paper) in
                    values.chunks_exact_mut(area).zip(pixels.chunks_exact(area)).zip(&paper)
                {
                    values[place] = at
                        .iter()
                        .zip(weights)
                        .map(|(at, weight)| weight * at.map_or(*paper, |at| f32::from(pixels[at])))
                        .sum();
                }
            }
        }
    }

    /// The index of a pixel in its plane; `None` stands for the background.
    fn index(self, x: isize, y: isize, width: usize, height: usize) -> Option<usize> {
        let inside = |at: isize, side: usize| match self.outside {
            _ if (0..side as isize).contains(&at) => Some(at as usize),
            Outside::Paper => None,
            // … 2 1 0 | 0 1 2 … side−1 | side−1 …
            Outside::Mirror => {
                let at = at.rem_euclid(2 * side as isize) as usize;
                Some(at.min(2 * side - 1 - at))
            }
        };
        Some(inside(y, height)? * width + inside(x, width)?)
    }
}

/// The background: the mean of the two middle ones of the four corners' values.
fn paper(plane: &[u8], width: usize) -> f32 {
    let end = plane.len() - 1;
    let mut corners = [plane[0], plane[width - 1], plane[end + 1 - width], plane[end]];
    corners.sort_unstable();
    (f32::from(corners[1]) + f32::from(corners[2])) / 2.0
}

impl Colour {
    const OWN: Self =
        Self { brightness: 1.0, contrast: 1.0, saturation: 1.0, hue: 0.0, invert: false };

    /// Applies all changes of colour as one matrix and one offset. Brightness scales the values,
    /// contrast scales them about the mean luminance, saturation about each pixel's own luminance,
    /// and the hue is a rotation that does not change the luminance.
    fn apply(self, values: &mut [f32], area: usize) {
        let mut planes: Vec<&mut [f32]> = values.chunks_exact_mut(area).collect();
        let scale = self.brightness * self.contrast;
        match &mut planes[..] {
            [red, green, blue] => {
                let mean = luminance(mean(red), mean(green), mean(blue));
                let offset = self.brightness * mean * (1.0 - self.contrast);
                let matrix = self.chroma().map(|row| row.map(|part| scale * part));
                for ((red, green), blue) in red.iter_mut().zip(&mut **green).zip(&mut **blue) {
                    let old = [*red, *green, *blue];
                    let [r, g, b] = matrix.map(|[r, g, b]| {
                        self.finished(r * old[0] + g * old[1] + b * old[2] + offset)
                    });
                    (*red, *green, *blue) = (r, g, b);
                }
            }
            _ => {
                for plane in planes {
                    let offset = self.brightness * mean(plane) * (1.0 - self.contrast);
                    for value in plane {
                        *value = self.finished(scale * *value + offset);
                    }
                }
            }
        }
    }

    fn finished(self, value: f32) -> f32 {
        let value = value.clamp(0.0, 255.0);
        if self.invert { 255.0 - value } else { value }
    }

    /// The matrix of saturation and hue: in YIQ, the chroma (I, Q) is scaled and rotated.
    fn chroma(self) -> [[f32; 3]; 3] {
        const TO_YIQ: [[f32; 3]; 3] = [LUMINANCE, [0.596, -0.274, -0.322], [0.211, -0.523, 0.312]];
        let (sin, cos) = self.hue.sin_cos();
        let s = self.saturation;
        let [y, i, q] = TO_YIQ;
        let turned_i: [f32; 3] = std::array::from_fn(|c| s * (cos * i[c] - sin * q[c]));
        let turned_q: [f32; 3] = std::array::from_fn(|c| s * (sin * i[c] + cos * q[c]));
        [[0.956, 0.621], [-0.272, -0.647], [-1.106, 1.703]].map(|[from_i, from_q]| {
            std::array::from_fn(|c| y[c] + from_i * turned_i[c] + from_q * turned_q[c])
        })
    }
}

fn luminance(red: f32, green: f32, blue: f32) -> f32 {
    LUMINANCE[0] * red + LUMINANCE[1] * green + LUMINANCE[2] * blue
}

fn mean(values: &[f32]) -> f32 {
    values.iter().sum::<f32>() / values.len() as f32
}

impl Rectangle {
    /// A rectangle of 2 to 20 % of the area with an aspect ratio of at most 3.3; sides are at most
    /// those of the image.
    fn draw(rng: &mut ChaCha8Rng, width: usize, height: usize) -> Self {
        let area = rng.random_range(0.02..=0.2) * (width * height) as f32;
        let ratio = 3.3_f32.powf(signed(rng));
        let side = |wanted: f32, limit: usize| (wanted.round() as usize).clamp(1, limit);
        let wide = side((area * ratio).sqrt(), width);
        let tall = side((area / ratio).sqrt(), height);
        let left = rng.random_range(0..=width - wide);
        let top = rng.random_range(0..=height - tall);
        Self { left, top, right: left + wide, bottom: top + tall }
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    const PIXELS: [u8; 12] = [10, 20, 30, 40, 50, 60, 70, 80, 90, 100, 110, 120];

    fn to(width: u32, height: u32, channels: u32) -> Preprocessing {
        Preprocessing::new(width, height, channels)
    }

    fn own() -> Change {
        Change { place: None, colour: None, erased: None }
    }

    fn bytes(change: &Change, pixels: &[u8], to: &Preprocessing) -> Vec<u8> {
        let mut values = vec![0.0; pixels.len()];
        change.write(pixels, to, &mut values);
        values.iter().map(|value| (255.0 * value).round() as u8).collect()
    }

    fn placed(matrix: [[f32; 2]; 2], offset: [f32; 2], outside: Outside) -> Change {
        Change { place: Some(Place { matrix, offset, outside }), ..own() }
    }

    const STAY: [[f32; 2]; 2] = [[1.0, 0.0], [0.0, 1.0]];

    #[test]
    fn nothing_changes_nothing() {
        let mut rng = ChaCha8Rng::from_seed([7; 32]);
        let to = to(4, 3, 1);
        let change = Change::draw(&Augmentation::NONE, &mut rng, &to);
        assert!(change.is_none());
        assert_eq!(bytes(&change, &PIXELS, &to), PIXELS);
        let same = placed(STAY, [0.0; 2], Outside::Paper);
        assert_eq!(bytes(&same, &PIXELS, &to), PIXELS);
    }

    #[test]
    fn flips_quarter_turns_and_shifts_are_exact() {
        let to = to(4, 3, 1);
        let flip = placed([[-1.0, 0.0], [0.0, 1.0]], [0.0; 2], Outside::Mirror);
        let flipped = [40, 30, 20, 10, 80, 70, 60, 50, 120, 110, 100, 90];
        assert_eq!(bytes(&flip, &PIXELS, &to), flipped);

        // A pixel shows what was one pixel to its right.
        let shift = |outside| placed(STAY, [1.0, 0.0], outside);
        let mirrored = [20, 30, 40, 40, 60, 70, 80, 80, 100, 110, 120, 120];
        assert_eq!(bytes(&shift(Outside::Mirror), &PIXELS, &to), mirrored);
        // The mean of the middle two of the corners 10, 40, 90, 120 is 65.
        let paper = [20, 30, 40, 65, 60, 70, 80, 65, 100, 110, 120, 65];
        assert_eq!(bytes(&shift(Outside::Paper), &PIXELS, &to), paper);

        let square = Preprocessing::new(2, 2, 3);
        let turn = placed([[0.0, -1.0], [1.0, 0.0]], [0.0; 2], Outside::Mirror);
        let turned = bytes(&turn, &PIXELS, &square);
        assert_eq!(turned, [20, 40, 10, 30, 60, 80, 50, 70, 100, 120, 90, 110]);
    }

    #[test]
    fn half_a_pixel_is_the_mean_of_two() {
        let half = placed(STAY, [0.5, 0.0], Outside::Mirror);
        let means = [15, 25, 35, 40, 55, 65, 75, 80, 95, 105, 115, 120];
        assert_eq!(bytes(&half, &PIXELS, &to(4, 3, 1)), means);
    }

    #[test]
    fn a_crop_stays_inside_and_reaches_its_border() {
        let crop = Augmentation { crop: 1.25, ..Augmentation::NONE };
        let to = to(40, 20, 1);
        let mut rng = ChaCha8Rng::from_seed([1; 32]);
        let (mut least, mut most) = (f32::MAX, f32::MIN);
        for _ in 0..500 {
            let place = Change::draw(&crop, &mut rng, &to).place.unwrap();
            assert_eq!(place.matrix[0][0], 0.8);
            for (offset, side) in place.offset.into_iter().zip([40.0, 20.0]) {
                let first = (offset - 0.8 * side / 2.0) / side + 0.5;
                assert!((-1e-6..=0.2 + 1e-6).contains(&first), "{first}");
                (least, most) = (least.min(first), most.max(first));
            }
        }
        assert!(least < 0.01 && most > 0.19);
    }

    #[test]
    fn colours() {
        let to = Preprocessing::new(2, 1, 3);
        let pixels = [200, 0, 40, 100, 0, 50];
        let coloured = |colour| bytes(&Change { colour: Some(colour), ..own() }, &pixels, &to);
        assert_eq!(coloured(Colour { invert: true, ..Colour::OWN }), [55, 255, 215, 155, 255, 205]);
        assert_eq!(coloured(Colour { brightness: 0.5, ..Colour::OWN }), [100, 0, 20, 50, 0, 25]);
        // Luminance: .299·200 + .587·40 = 83.28; .587·100 + .114·50 = 64.4.
        let gray = coloured(Colour { saturation: 0.0, ..Colour::OWN });
        assert_eq!(gray, [83, 64, 83, 64, 83, 64]);
        // Their mean luminance is 73.84.
        assert_eq!(coloured(Colour { contrast: 0.0, ..Colour::OWN }), [74; 6]);
        // A rotation by the whole circle changes nothing; one by half of it does not change the
        // luminance.
        let turned = coloured(Colour { hue: std::f32::consts::TAU, ..Colour::OWN });
        for (a, b) in turned.iter().zip(pixels) {
            assert!(a.abs_diff(b) <= 1, "{turned:?}");
        }
        let turned = coloured(Colour { hue: 0.5, ..Colour::OWN });
        let light = luminance(turned[0].into(), turned[2].into(), turned[4].into());
        assert!((light - 83.28).abs() < 1.5, "{turned:?}");
    }

    #[test]
    fn an_erased_rectangle_is_the_mean() {
        let mut to = to(10, 10, 1);
        (to.mean, to.std) = (vec![0.25], vec![0.5]);
        let erase = Augmentation { erase: 1.0, ..Augmentation::NONE };
        let mut rng = ChaCha8Rng::from_seed([3; 32]);
        for _ in 0..50 {
            let change = Change::draw(&erase, &mut rng, &to);
            let mut values = vec![0.0; 100];
            change.write(&[255; 100], &to, &mut values);
            let erased = values.iter().filter(|&&value| value == 0.0).count();
            assert!((1..=27).contains(&erased), "{erased}");
            assert!(values.iter().all(|&value| value == 0.0 || (value - 1.5).abs() < 1e-6));
        }
    }

    #[test]
    fn probabilities_and_ranges_are_kept() {
        let all: Augmentation = "glyph:flip=0.3,gray=0.25,invert=0.5,erase=0.2".parse().unwrap();
        let to = to(20, 20, 3);
        let mut rng = ChaCha8Rng::from_seed([9; 32]);
        let mut counts = [0; 4];
        for _ in 0..4000 {
            let change = Change::draw(&all, &mut rng, &to);
            let Place { matrix: [[a, b], [c, d]], offset, .. } = change.place.unwrap();
            let area = a * d - b * c;
            assert!((1.0 / 1.33..1.33).contains(&area.abs()), "{area}");
            assert!(offset.iter().all(|offset| offset.abs() <= 0.06 * 20.0 + 1e-6));
            let colour = change.colour.unwrap_or(Colour::OWN);
            let happened =
                [area < 0.0, colour.saturation == 0.0, colour.invert, change.erased.is_some()];
            for (count, happened) in counts.iter_mut().zip(happened) {
                *count += i32::from(happened);
            }
        }
        for (count, expected) in counts.into_iter().zip([1200, 1000, 2000, 800]) {
            assert!((count - expected).abs() < 130, "{count}, expected about {expected}");
        }
    }
}
