//! Depthwise convolution: one kernel for each channel.
//!
//! With stride s and the padding (top, left),
//!
//! ```text
//! out(y, x, c) = Σᵢⱼ map(s·y + i − top, s·x + j − left, c) · weight(i, j, c)
//! ```
//!
//! The channels of a pixel are a vector, and so are those of a position of the kernel. The k pixels
//! under a row of the kernel follow each other in memory. All loops over channels are therefore
//! loops over consecutive numbers, which the compiler vectorises.

use std::sync::Arc;

use burn::backend::TensorMetadata;
use burn_flex::FlexTensor;
use pulp::Arch;
use rayon::prelude::*;

use super::map::{self, Map, Size};

/// How a kernel moves over a map.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Placement {
    /// Pixels from one position to the next, down and to the right.
    pub(crate) stride: usize,
    /// Rows of zeros above and below the map.
    pub(crate) rows: [usize; 2],
    /// Columns of zeros to the left and to the right of the map.
    pub(crate) columns: [usize; 2],
}

impl Placement {
    /// Padding as TensorFlow's `SAME` adds it: the output has ⌈side / stride⌉ pixels, and if the
    /// number of zeros is odd, the additional one is at the end.
    pub(crate) fn same(stride: usize, kernel: usize, height: usize, width: usize) -> Self {
        let pad = |side: usize| {
            let covered = side.div_ceil(stride).saturating_sub(1) * stride + kernel;
            let zeros = covered.saturating_sub(side);
            [zeros / 2, zeros - zeros / 2]
        };
        Self { stride, rows: pad(height), columns: pad(width) }
    }

    /// The size of the output for a kernel of `side`×`side`; none if the kernel is larger than the
    /// padded map.
    fn output(&self, size: Size, side: usize) -> Option<Size> {
        let along = |length: usize, [before, after]: [usize; 2]| {
            Some((length + before + after).checked_sub(side)? / self.stride + 1)
        };
        let height = along(size.height, self.rows)?;
        Some(Size { height, width: along(size.width, self.columns)?, ..size })
    }

    /// Whether the kernel fits into the padded map.
    pub(crate) fn fits(&self, side: usize, height: usize, width: usize) -> bool {
        let size = Size { images: 1, channels: 1, height, width };
        self.stride > 0 && side > 0 && self.output(size, side).is_some()
    }
}

/// A depthwise convolution, with the values that its backward pass needs.
#[derive(Debug, Clone)]
pub(super) struct Depthwise {
    map: Map,
    output: Size,
    placement: Placement,
    /// k, the side of the kernel.
    side: usize,
    /// The weight in the order kernel row, kernel column, channel.
    weight: Arc<Vec<f32>>,
}

/// The part of a kernel's row that lies on the map at one position of the output.
struct Overlap {
    /// The first column of the kernel that lies on the map.
    tap: usize,
    /// The pixel of the map's row under that column.
    pixel: usize,
    /// The number of columns that lie on the map.
    columns: usize,
}

impl Depthwise {
    /// `map` is N×C×H×W and `weight` C×1×k×k; the kernel must fit into the padded map.
    pub(super) fn new(map: &FlexTensor, weight: &FlexTensor, placement: Placement) -> Self {
        let map = Map::of(map);
        let [channels, _, side, _] = weight.shape().dims();
        let output = placement.output(map.size, side);
        let output = output.unwrap_or(Size { height: 0, width: 0, ..map.size });
        let values = map::values(weight);
        let taps = side * side;
        let mut weight = vec![0.0_f32; values.len()];
        for (channel, kernel) in values.chunks_exact(taps).enumerate() {
            for (tap, &value) in kernel.iter().enumerate() {
                weight[tap * channels + channel] = value;
            }
        }
        Self { map, output, placement, side, weight: Arc::new(weight) }
    }

    /// The output, N×C×H'×W'.
    pub(super) fn forward(&self) -> FlexTensor {
        let Self { map, output, .. } = self;
        let c = output.channels;
        let mut values = vec![0.0_f32; output.images * output.image_len()];
        values.par_chunks_exact_mut((output.width * c).max(1)).enumerate().for_each(
            |(row, out)| {
                let (image, y) = (row / output.height, row % output.height);
                for (i, source) in self.rows_under(y) {
                    let weight = self.row_of_weight(i);
                    let source = map.row(image, source);
                    Arch::new().dispatch(
                        #[inline(always)]
                        || {
                            for (x, out) in out.chunks_exact_mut(c).enumerate() {
                                let over = self.overlap(x);
                                let pixels = &source[over.pixel * c..][..over.columns * c];
                                let weight = &weight[over.tap * c..][..over.columns * c];
                                multiply_add(out, pixels, weight);
                            }
                        },
                    );
                }
            },
        );
        map::dense(values, *output)
    }

    /// Prepares the gradients of weight and map from the gradient of the output.
    pub(super) fn gradient(self, output: &FlexTensor) -> DepthwiseGradient {
        DepthwiseGradient { output: Map::of(output), depthwise: self }
    }

    /// The rows of the kernel that lie on the map at row y of the output, each with the row of the
    /// map under it.
    fn rows_under(&self, y: usize) -> impl Iterator<Item = (usize, usize)> + use<> {
        let (start, top, height) =
            (y * self.placement.stride, self.placement.rows[0], self.map.size.height);
        (0..self.side).filter_map(move |i| {
            let row = (start + i).checked_sub(top)?;
            (row < height).then_some((i, row))
        })
    }

    #[inline(always)]
    fn overlap(&self, x: usize) -> Overlap {
        let (start, left) = (x * self.placement.stride, self.placement.columns[0]);
        let tap = left.saturating_sub(start).min(self.side);
        let end = (self.map.size.width + left).saturating_sub(start).min(self.side);
        let columns = end.saturating_sub(tap);
        let pixel = if columns == 0 { 0 } else { start + tap - left };
        Overlap { tap, pixel, columns }
    }

    fn row_of_weight(&self, i: usize) -> &[f32] {
        let row = self.side * self.output.channels;
        &self.weight[i * row..][..row]
    }
}

/// The gradient of the output, and the convolution to which it belongs.
pub(super) struct DepthwiseGradient {
    depthwise: Depthwise,
    output: Map,
}

impl DepthwiseGradient {
    /// The gradient of the weight, C×1×k×k. The sums of groups of images are added in a fixed order,
    /// so that the result is independent of the number of threads.
    pub(super) fn of_weight(&self) -> FlexTensor {
        let Depthwise { ref map, output, side, .. } = self.depthwise;
        let (c, taps) = (output.channels, side * side);
        let at_once = map.size.images_at_once();
        let parts: Vec<Vec<f64>> = (0..output.images)
            .into_par_iter()
            .step_by(at_once)
            .map(|first| {
                let mut sums = vec![0.0_f64; taps * c];
                for image in first..output.images.min(first + at_once) {
                    let mut of_image = vec![0.0_f32; taps * c];
                    for y in 0..output.height {
                        self.add_row_to_weight(image, y, &mut of_image);
                    }
                    sums.iter_mut().zip(of_image).for_each(|(sum, x)| *sum += f64::from(x));
                }
                sums
            })
            .collect();
        let mut gradient = vec![0.0_f32; taps * c];
        for (place, value) in gradient.iter_mut().enumerate() {
            let (channel, tap) = (place / taps, place % taps);
            *value = parts.iter().map(|part| part[tap * c + channel]).sum::<f64>() as f32;
        }
        map::contiguous(gradient, [c, 1, side, side])
    }

    fn add_row_to_weight(&self, image: usize, y: usize, sums: &mut [f32]) {
        let Depthwise { ref map, output, side, .. } = self.depthwise;
        let c = output.channels;
        let gradients = self.output.row(image, y);
        for (i, source) in self.depthwise.rows_under(y) {
            let source = map.row(image, source);
            let sums = &mut sums[i * side * c..][..side * c];
            Arch::new().dispatch(
                #[inline(always)]
                || {
                    for (x, gradient) in gradients.chunks_exact(c).enumerate() {
                        let over = self.depthwise.overlap(x);
                        let pixels = &source[over.pixel * c..][..over.columns * c];
                        let sums = &mut sums[over.tap * c..][..over.columns * c];
                        spread(sums, pixels, gradient);
                    }
                },
            );
        }
    }

    /// The gradient of the map, N×C×H×W.
    pub(super) fn of_map(&self) -> FlexTensor {
        let Depthwise { ref map, output, .. } = self.depthwise;
        let (size, c) = (map.size, output.channels);
        let row_len = size.width * c;
        let mut values = vec![0.0_f32; size.images * size.image_len()];
        let images = values.par_chunks_exact_mut(size.image_len().max(1));
        images.enumerate().for_each(|(image, values)| {
            for y in 0..output.height {
                let gradients = self.output.row(image, y);
                for (i, row) in self.depthwise.rows_under(y) {
                    let weight = self.depthwise.row_of_weight(i);
                    let values = &mut values[row * row_len..][..row_len];
                    Arch::new().dispatch(
                        #[inline(always)]
                        || {
                            for (x, gradient) in gradients.chunks_exact(c).enumerate() {
                                let over = self.depthwise.overlap(x);
                                let weight = &weight[over.tap * c..][..over.columns * c];
                                let values = &mut values[over.pixel * c..][..over.columns * c];
                                spread(values, weight, gradient);
                            }
                        },
                    );
                }
            }
        });
        map::dense(values, size)
    }
}

/// out[c] += Σⱼ pixels[j, c] · weight[j, c].
#[inline(always)]
fn multiply_add(out: &mut [f32], pixels: &[f32], weight: &[f32]) {
    let c = out.len();
    if pixels.len() == 3 * c && weight.len() == 3 * c {
        // The common case in one pass over the output.
        let (p0, p1, p2) = (&pixels[..c], &pixels[c..2 * c], &pixels[2 * c..3 * c]);
        let (w0, w1, w2) = (&weight[..c], &weight[c..2 * c], &weight[2 * c..3 * c]);
        for i in 0..c {
            out[i] += p0[i] * w0[i] + p1[i] * w1[i] + p2[i] * w2[i];
        }
        return;
    }
    for (pixel, weight) in pixels.chunks_exact(c).zip(weight.chunks_exact(c)) {
        for (out, (pixel, weight)) in out.iter_mut().zip(pixel.iter().zip(weight)) {
            *out += pixel * weight;
        }
    }
}

/// sums[j, c] += factors[j, c] · gradient[c].
#[inline(always)]
fn spread(sums: &mut [f32], factors: &[f32], gradient: &[f32]) {
    let c = gradient.len();
    for (sums, factors) in sums.chunks_exact_mut(c).zip(factors.chunks_exact(c)) {
        for (sum, (factor, gradient)) in sums.iter_mut().zip(factors.iter().zip(gradient)) {
            *sum += factor * gradient;
        }
    }
}
