//! Convolution of each channel with a kernel of its own, as in MobileNet (arXiv 1704.04861).
//!
//! ```text
//! out(c, y, x) = Σᵢⱼ map(c, s·y + i − top, s·x + j − left) · weight(c, i, j)
//! ```
//!
//! The channels of a pixel are consecutive numbers, so each term is a product of two vectors of C
//! numbers, which is added to the pixel of the output. The gradient of the map adds the same products
//! the other way round, and the gradient of the weight sums the products of map and gradient over all
//! pixels.

use std::ops::Range;
use std::sync::Arc;

use burn_flex::FlexTensor;
use pulp::Arch;
use rayon::prelude::*;

use super::map::{self, Map, Size};

/// The number of partial sums of the weight's gradient. It is independent of the number of threads,
/// and so is the result.
const PARTS: usize = 16;

/// Where the kernel stands on the map.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    /// The distance s of neighbouring places of the kernel.
    pub(crate) stride: usize,
    /// The number of zeros above the map.
    pub(crate) top: usize,
    /// The number of zeros to the left of the map.
    pub(crate) left: usize,
    /// The height of the output.
    pub(crate) height: usize,
    /// The width of the output.
    pub(crate) width: usize,
}

/// A depthwise convolution, with the values that its backward pass needs.
#[derive(Debug, Clone)]
pub(super) struct Depthwise {
    map: Map,
    place: Place,
    /// k, the side of the kernel.
    side: usize,
    /// The weight, C×1×k×k, in the order kernel row, kernel column, channel.
    weight: Arc<Vec<f32>>,
}

impl Depthwise {
    pub(super) fn new(map: &FlexTensor, weight: &FlexTensor, place: Place) -> Self {
        let map = Map::of(map);
        let channels = map.size.channels;
        let values = map::values(weight);
        let taps = values.len() / channels.max(1);
        let mut turned = vec![0.0_f32; values.len()];
        for (channel, kernel) in values.chunks_exact(taps.max(1)).enumerate() {
            for (tap, &value) in kernel.iter().enumerate() {
                turned[tap * channels + channel] = value;
            }
        }
        Self { map, place, side: taps.isqrt(), weight: Arc::new(turned) }
    }

    fn output(&self) -> Size {
        Size { height: self.place.height, width: self.place.width, ..self.map.size }
    }

    /// The output, N×C×H'×W'.
    pub(super) fn forward(&self) -> FlexTensor {
        let output = self.output();
        let mut values = vec![0.0_f32; output.images * output.image_len()];
        values.par_chunks_exact_mut(output.image_len().max(1)).enumerate().for_each(
            |(image, values)| {
                Arch::new().dispatch(
                    #[inline(always)]
                    || self.forward_image(image, values),
                );
            },
        );
        map::dense(values, output)
    }

    #[inline(always)]
    fn forward_image(&self, image: usize, values: &mut [f32]) {
        let c = self.map.size.channels;
        for (y, out) in values.chunks_exact_mut(self.place.width * c).enumerate() {
            for (i, row) in self.rows(y) {
                let source = self.map.row(image, row);
                let kernel = &self.weight[i * self.side * c..][..self.side * c];
                for (x, out) in out.chunks_exact_mut(c).enumerate() {
                    let (taps, from) = self.taps(x);
                    let pixels = source[from * c..].chunks_exact(c);
                    let weights = kernel[taps.start * c..taps.end * c].chunks_exact(c);
                    for (pixel, weight) in pixels.zip(weights) {
                        for ((out, &pixel), &weight) in out.iter_mut().zip(pixel).zip(weight) {
                            *out += pixel * weight;
                        }
                    }
                }
            }
        }
    }

    /// The rows of the kernel that are on the map for a row of the output, each with its row of the
    /// map.
    #[inline(always)]
    fn rows(&self, y: usize) -> impl Iterator<Item = (usize, usize)> {
        let (taps, from) =
            inside(y * self.place.stride, self.place.top, self.side, self.map.size.height);
        taps.zip(from..)
    }

    /// The columns of the kernel that are on the map for a column of the output, and the column of the
    /// map under the first of them.
    #[inline(always)]
    fn taps(&self, x: usize) -> (Range<usize>, usize) {
        inside(x * self.place.stride, self.place.left, self.side, self.map.size.width)
    }

    /// The gradients of map and weight from the gradient of the output.
    pub(super) fn gradient(self, output: &FlexTensor) -> DepthwiseGradient {
        DepthwiseGradient { output: Map::of(output), convolution: self }
    }
}

/// The taps of a kernel, whose first one is `pad` in front of `at`, that are on a map of this length,
/// and the place of the first of them.
#[inline(always)]
fn inside(at: usize, pad: usize, side: usize, length: usize) -> (Range<usize>, usize) {
    let first = pad.saturating_sub(at);
    let end = (length + pad).saturating_sub(at).min(side);
    (first.min(end)..end, (at + first).saturating_sub(pad))
}

/// The gradient of the output, and the convolution to which it belongs.
pub(super) struct DepthwiseGradient {
    convolution: Depthwise,
    output: Map,
}

impl DepthwiseGradient {
    /// The gradient of the map, N×C×H×W.
    pub(super) fn of_map(&self) -> FlexTensor {
        let size = self.convolution.map.size;
        let mut values = vec![0.0_f32; size.images * size.image_len()];
        values.par_chunks_exact_mut(size.image_len().max(1)).enumerate().for_each(
            |(image, values)| {
                Arch::new().dispatch(
                    #[inline(always)]
                    || self.of_image(image, values),
                );
            },
        );
        map::dense(values, size)
    }

    #[inline(always)]
    fn of_image(&self, image: usize, values: &mut [f32]) {
        let Depthwise { map, place, side, weight, .. } = &self.convolution;
        let c = map.size.channels;
        let row_len = map.size.width * c;
        for y in 0..place.height {
            let gradients = self.output.row(image, y);
            for (i, row) in self.convolution.rows(y) {
                let target = &mut values[row * row_len..][..row_len];
                let kernel = &weight[i * side * c..][..side * c];
                for (x, gradient) in gradients.chunks_exact(c).enumerate() {
                    let (taps, from) = self.convolution.taps(x);
                    let weights = kernel[taps.start * c..taps.end * c].chunks_exact(c);
                    let pixels = target[from * c..].chunks_exact_mut(c);
                    for (pixel, weight) in pixels.zip(weights) {
                        for ((to, &gradient), &weight) in pixel.iter_mut().zip(gradient).zip(weight)
                        {
                            *to += gradient * weight;
                        }
                    }
                }
            }
        }
    }

    /// The gradient of the weight, C×1×k×k.
    pub(super) fn of_weight(&self) -> FlexTensor {
        let Depthwise { map, side, weight, .. } = &self.convolution;
        let (images, c) = (map.size.images, map.size.channels);
        let at_once = images.div_ceil(PARTS).max(1);
        let parts: Vec<Vec<f32>> = (0..images)
            .into_par_iter()
            .step_by(at_once)
            .map(|first| {
                let mut sum = vec![0.0_f32; weight.len()];
                for image in first..images.min(first + at_once) {
                    Arch::new().dispatch(
                        #[inline(always)]
                        || self.add_image(image, &mut sum),
                    );
                }
                sum
            })
            .collect();
        let taps = side * side;
        let mut gradient = vec![0.0_f32; weight.len()];
        for (place, value) in gradient.iter_mut().enumerate() {
            let (channel, tap) = (place / taps, place % taps);
            *value = parts.iter().map(|part| part[tap * c + channel]).sum();
        }
        map::contiguous(gradient, [c, 1, *side, *side])
    }

    #[inline(always)]
    fn add_image(&self, image: usize, sum: &mut [f32]) {
        let Depthwise { map, place, side, .. } = &self.convolution;
        let c = map.size.channels;
        for y in 0..place.height {
            let gradients = self.output.row(image, y);
            for (i, row) in self.convolution.rows(y) {
                let source = map.row(image, row);
                let kernel = &mut sum[i * side * c..][..side * c];
                for (x, gradient) in gradients.chunks_exact(c).enumerate() {
                    let (taps, from) = self.convolution.taps(x);
                    let sums = kernel[taps.start * c..taps.end * c].chunks_exact_mut(c);
                    let pixels = source[from * c..].chunks_exact(c);
                    for (sum, pixel) in sums.zip(pixels) {
                        for ((sum, &gradient), &pixel) in sum.iter_mut().zip(gradient).zip(pixel) {
                            *sum += gradient * pixel;
                        }
                    }
                }
            }
        }
    }
}
