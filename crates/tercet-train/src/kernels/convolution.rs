//! Convolution as matrix products that read the map in place.
//!
//! On a [`Grid`], the k pixels under one row of the kernel are k·C consecutive numbers, and those
//! of the next pixel start C numbers later. They form a matrix of N·H·W rows that overlap in
//! memory, so no copy is needed. Each of the k rows of the kernel is a matrix of k·C × D, so
//!
//! ```text
//! out(p) = Σᵢ map(p + i·row − k/2 …) · weightᵢ        k products
//! ```
//!
//! The gradient of the map is the same convolution of the output's gradient, with the kernel
//! rotated by 180° and its input and output channels exchanged. The gradient of the weight is the
//! product of the transposed rows with the gradient of the output. If a map has few channels, these
//! products would be thin and slow; then the k·k·C numbers under the kernel are copied into one row
//! per pixel.

use std::ops::Range;
use std::sync::Arc;

use burn::backend::TensorMetadata;
use burn_flex::FlexTensor;
use rayon::prelude::*;

use super::grid::Grid;
use super::map::{self, Map, Size};
use super::product::{Strided, product};

/// If a row of the kernel has fewer numbers than this, the numbers under the kernel are copied.
const THIN: usize = 16;

/// The number of partial sums of the weight's gradient. It is independent of the number of threads,
/// and so is the result.
const PARTS: usize = 16;

/// A convolution, with the values that its backward pass needs.
#[derive(Debug, Clone)]
pub(super) struct Convolution {
    size: Size,
    grid: Grid,
    /// D, the number of channels of the output.
    filters: usize,
    /// k, the side of the kernel.
    side: usize,
    source: Arc<Source>,
    /// The weight, D×C×k×k.
    weight: Arc<Vec<f32>>,
}

/// The left operand of the products.
#[derive(Debug)]
enum Source {
    /// The map on the grid.
    Grid(Vec<f32>),
    /// The k·k·C numbers under the kernel, for every pixel of the grid.
    Patches(Vec<f32>),
}

impl Convolution {
    pub(super) fn new(map: &FlexTensor, weight: &FlexTensor) -> Self {
        let map = Map::of(map);
        let size = map.size;
        let [filters, _, side, _] = weight.shape().dims();
        let grid = Grid::new(size, side / 2);
        let filled = grid.fill(&map);
        let source = if side * size.channels < THIN {
            Source::Patches(patches(&filled, size, &grid, side))
        } else {
            Source::Grid(filled)
        };
        let weight = Arc::new(map::values(weight));
        Self { size, grid, filters, side, source: Arc::new(source), weight }
    }

    /// The output, N×D×H×W.
    pub(super) fn forward(&self) -> FlexTensor {
        let (k, c, d) = (self.side, self.size.channels, self.filters);
        // The weight in the order kernel row, kernel column, channel, filter.
        let mut weight = vec![0.0_f32; self.weight.len()];
        for (place, &value) in self.weight.iter().enumerate() {
            let (filter, channel, tap) =
                (place / (c * k * k), place / (k * k) % c, place % (k * k));
            weight[(tap * c + channel) * d + filter] = value;
        }
        let output = Size { channels: d, ..self.size };
        let values = match &*self.source {
            Source::Grid(map) => slide(map, c, &weight, output, &self.grid),
            Source::Patches(patches) => {
                let depth = k * k * c;
                over_images(output, &self.grid, |pixels, values| {
                    let left = Strided::dense(&patches[pixels.start * depth..], depth);
                    product(
                        values,
                        pixels.len(),
                        depth,
                        d,
                        left,
                        Strided::dense(&weight, d),
                        false,
                    );
                })
            }
        };
        map::tensor(values, output, self.grid.image, self.grid.row)
    }

    /// Prepares the gradients of weight and map from the gradient of the output.
    pub(super) fn gradient(self, output: &FlexTensor) -> ConvolutionGradient {
        let output = self.grid.fill(&Map::of(output));
        ConvolutionGradient { convolution: self, output }
    }
}

/// The gradient of the output on the grid, and the convolution to which it belongs.
pub(super) struct ConvolutionGradient {
    convolution: Convolution,
    output: Vec<f32>,
}

impl ConvolutionGradient {
    /// The gradient of the weight, D×C×k×k.
    pub(super) fn of_weight(&self) -> FlexTensor {
        let Convolution { size, grid, filters: d, side: k, ref source, .. } = self.convolution;
        let c = size.channels;
        let len = k * k * c * d;
        let images = size.images.div_ceil(PARTS).max(1);
        let parts: Vec<Vec<f32>> = (0..size.images.div_ceil(images))
            .into_par_iter()
            .map(|part| {
                let first = part * images * grid.image;
                let pixels = grid.image * images.min(size.images - part * images);
                let output = Strided::dense(&self.output[(grid.lead + first) * d..], d);
                let mut sum = vec![0.0_f32; len];
                match &**source {
                    Source::Grid(map) => {
                        for (i, sum) in sum.chunks_exact_mut(k * c * d).enumerate() {
                            let rows = Strided::rows(&map[(first + i * grid.row) * c..], c).t();
                            product(sum, k * c, pixels, d, rows, output, false);
                        }
                    }
                    Source::Patches(patches) => {
                        let depth = k * k * c;
                        let rows = Strided::dense(&patches[first * depth..], depth).t();
                        product(&mut sum, depth, pixels, d, rows, output, false);
                    }
                }
                sum
            })
            .collect();

        let mut gradient = vec![0.0_f32; len];
        for (place, value) in gradient.iter_mut().enumerate() {
            let (filter, channel, tap) =
                (place / (c * k * k), place / (k * k) % c, place % (k * k));
            *value = parts.iter().map(|part| part[(tap * c + channel) * d + filter]).sum();
        }
        map::contiguous(gradient, [d, c, k, k])
    }

    /// The gradient of the map, N×C×H×W.
    pub(super) fn of_map(&self) -> FlexTensor {
        let Convolution { size, grid, filters: d, side: k, ref weight, .. } = self.convolution;
        let c = size.channels;
        let mut turned = vec![0.0_f32; weight.len()];
        for (place, &value) in weight.iter().enumerate() {
            let (filter, channel, tap) =
                (place / (c * k * k), place / (k * k) % c, place % (k * k));
            turned[((k * k - 1 - tap) * d + filter) * c + channel] = value;
        }
        map::tensor(slide(&self.output, d, &turned, size, &grid), size, grid.image, grid.row)
    }
}

/// Slides a kernel over a map on the grid. `weight` is k rows of k·C × D; `output` is the size of
/// the result.
fn slide(map: &[f32], channels: usize, weight: &[f32], output: Size, grid: &Grid) -> Vec<f32> {
    let (k, filters) = (2 * grid.pad + 1, output.channels);
    over_images(output, grid, |pixels, values| {
        for (i, weight) in weight.chunks_exact(k * channels * filters).enumerate() {
            let rows = Strided::rows(&map[(pixels.start + i * grid.row) * channels..], channels);
            let weight = Strided::dense(weight, filters);
            product(values, pixels.len(), k * channels, filters, rows, weight, i > 0);
        }
    })
}

/// Computes a map on the grid, without the zeros at its start and end. `work` fills the pixels of
/// some images.
fn over_images(
    output: Size,
    grid: &Grid,
    work: impl Fn(Range<usize>, &mut [f32]) + Sync,
) -> Vec<f32> {
    let pixels = output.images_at_once() * grid.image;
    let mut values = vec![0.0_f32; output.images * grid.image * output.channels];
    values.par_chunks_mut(pixels * output.channels).enumerate().for_each(|(chunk, values)| {
        let start = chunk * pixels;
        work(start..start + values.len() / output.channels, values);
    });
    values
}

/// Copies the numbers under the kernel for every pixel of the grid, in the order of the kernel's
/// rows.
fn patches(map: &[f32], size: Size, grid: &Grid, side: usize) -> Vec<f32> {
    let (c, depth) = (size.channels, side * side * size.channels);
    let mut patches = vec![0.0_f32; size.images * grid.image * depth];
    patches.par_chunks_exact_mut(grid.image * depth).enumerate().for_each(|(image, patches)| {
        for (pixel, patch) in patches.chunks_exact_mut(depth).enumerate() {
            for (i, taps) in patch.chunks_exact_mut(side * c).enumerate() {
                let start = (image * grid.image + pixel + i * grid.row) * c;
                taps.copy_from_slice(&map[start..][..side * c]);
            }
        }
    });
    patches
}
