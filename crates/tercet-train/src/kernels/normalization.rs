//! Batch norm with its activation and its pooling, in one pass over the map.

use std::sync::Arc;

use burn_flex::FlexTensor;
use pulp::Arch;
use rayon::prelude::*;

use super::map::{self, Map, Size};

/// The operations that follow the norm.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Finish {
    /// The slope of the activation for negative values: 0 is ReLU, 1 is none.
    pub(crate) slope: f32,
    /// The largest output of the activation: 6 in ReLU6, otherwise infinite. The gradient is 0 where
    /// it is reached.
    pub(crate) limit: f32,
    /// Whether 2×2 max-pooling follows; an odd last row or column is then ignored.
    pub(crate) pool: bool,
}

impl Finish {
    #[inline(always)]
    fn act(&self, x: f32) -> f32 {
        let y = if x > 0.0 { x } else { x * self.slope };
        // NaN stays NaN.
        if y > self.limit { self.limit } else { y }
    }

    /// The gradient of the activation's input `x`, from that of its output.
    #[inline(always)]
    fn gradient(&self, x: f32, gradient: f32) -> f32 {
        let bent = if x > 0.0 { gradient } else { gradient * self.slope };
        if x >= self.limit { 0.0 } else { bent }
    }

    fn size(&self, size: Size) -> Size {
        match self.pool {
            true => Size { height: size.height / 2, width: size.width / 2, ..size },
            false => size,
        }
    }
}

/// A norm with the statistics of the batch, with the values that its backward pass needs.
#[derive(Debug, Clone)]
pub(super) struct Normalization {
    map: Map,
    finish: Finish,
    channels: Arc<Channels>,
}

/// Values of each channel.
#[derive(Debug)]
struct Channels {
    mean: Vec<f32>,
    variance: Vec<f32>,
    inverse_deviation: Vec<f32>,
    /// The norm is a·x + b, with a = scale/√(variance + ε) and b = shift − a·mean.
    a: Vec<f32>,
    b: Vec<f32>,
}

/// The gradients of the inputs of a norm.
pub(super) struct NormalizationGradient {
    pub(super) map: FlexTensor,
    pub(super) scale: FlexTensor,
    pub(super) shift: FlexTensor,
}

impl Normalization {
    pub(super) fn new(
        map: FlexTensor,
        scale: &FlexTensor,
        shift: &FlexTensor,
        epsilon: f64,
        finish: Finish,
    ) -> Self {
        let map = Map::of(&map);
        let (mean, variance) = statistics(&map);
        let inverse_deviation: Vec<f64> =
            variance.iter().map(|variance| 1.0 / (variance + epsilon).sqrt()).collect();
        let a: Vec<f64> = map::values(scale)
            .iter()
            .zip(&inverse_deviation)
            .map(|(&scale, inverse)| f64::from(scale) * inverse)
            .collect();
        let b = map::values(shift)
            .iter()
            .zip(mean.iter().zip(&a))
            .map(|(&shift, (mean, a))| (f64::from(shift) - mean * a) as f32)
            .collect();
        let channels = Channels {
            mean: single(&mean),
            variance: single(&variance),
            inverse_deviation: single(&inverse_deviation),
            a: single(&a),
            b,
        };
        Self { map, finish, channels: Arc::new(channels) }
    }

    /// The output, N×C×H×W; pooling halves height and width.
    pub(super) fn forward(&self) -> FlexTensor {
        finished(&self.map, &self.channels.a, &self.channels.b, self.finish)
    }

    /// Mean and biased variance of each channel.
    pub(super) fn statistics(&self) -> (FlexTensor, FlexTensor) {
        let Channels { mean, variance, .. } = &*self.channels;
        let c = mean.len();
        (map::contiguous(mean.clone(), [c]), map::contiguous(variance.clone(), [c]))
    }

    /// With x̂ the normalised map and g the gradient after the backward pass of pooling and
    /// activation, the gradient of the map is a·(g − mean(g) − x̂·mean(g·x̂)), that of scale Σ g·x̂
    /// and that of shift Σ g.
    pub(super) fn gradient(self, output: &FlexTensor) -> NormalizationGradient {
        let Self { map, finish, channels } = &self;
        let output = Map::of(output);
        let size = map.size;
        let c = size.channels;
        let at_once = size.images_at_once();

        let sums: Vec<[Vec<f64>; 2]> = (0..size.images)
            .into_par_iter()
            .step_by(at_once)
            .map(|first| {
                let mut sums = [vec![0.0; c], vec![0.0; c]];
                for image in first..size.images.min(first + at_once) {
                    let [mut of_g, mut of_gx] = [vec![0.0; c], vec![0.0; c]];
                    for_each_row(map, &output, *finish, image, |rows, gradients| {
                        sum_row(rows, gradients, channels, *finish, &mut of_g, &mut of_gx);
                    });
                    for (sums, image) in sums.iter_mut().zip([of_g, of_gx]) {
                        sums.iter_mut().zip(image).for_each(|(sum, x)| *sum += f64::from(x));
                    }
                }
                sums
            })
            .collect();
        let total = |which: usize| -> Vec<f64> {
            (0..c).map(|channel| sums.iter().map(|part| part[which][channel]).sum()).collect()
        };
        let [of_g, of_gx] = [total(0), total(1)];

        let count = (size.images * size.height * size.width) as f64;
        let mean = |sums: &[f64]| sums.iter().map(|sum| (sum / count) as f32).collect::<Vec<_>>();
        let (mean_g, mean_gx) = (mean(&of_g), mean(&of_gx));
        let mut values = vec![0.0_f32; size.images * size.image_len()];
        values.par_chunks_exact_mut(size.image_len()).enumerate().for_each(|(image, values)| {
            let row_len = size.width * c;
            let tall = 1 + usize::from(finish.pool);
            let mut out = values.chunks_mut(tall * row_len);
            for_each_row(map, &output, *finish, image, |rows, gradients| {
                if let Some(out) = out.next() {
                    spread_row(rows, gradients, channels, *finish, [&mean_g, &mean_gx], out);
                }
            });
        });
        NormalizationGradient {
            map: map::dense(values, size),
            scale: map::contiguous(single(&of_gx), [c]),
            shift: map::contiguous(single(&of_g), [c]),
        }
    }
}

/// a·x + b for each channel, then `finish`.
pub(super) fn affine(
    map: &FlexTensor,
    a: &FlexTensor,
    b: &FlexTensor,
    finish: Finish,
) -> FlexTensor {
    finished(&Map::of(map), &map::values(a), &map::values(b), finish)
}

fn single(values: &[f64]) -> Vec<f32> {
    values.iter().map(|&value| value as f32).collect()
}

/// Mean and biased variance of each channel. The moments of groups of images are merged in a fixed
/// order.
fn statistics(map: &Map) -> (Vec<f64>, Vec<f64>) {
    let Size { images, channels: c, height, width } = map.size;
    let at_once = map.size.images_at_once();
    let moments: Vec<Moments> = (0..images)
        .into_par_iter()
        .step_by(at_once)
        .map(|first| {
            let mut moments = Moments::new(c);
            for image in first..images.min(first + at_once) {
                // Differences from a value of the same image are summed, so that nothing cancels.
                let around = &map.row(image, 0)[..c];
                let [mut sum, mut squares] = [vec![0.0_f32; c], vec![0.0_f32; c]];
                for row in 0..height {
                    let row = map.row(image, row);
                    Arch::new().dispatch(
                        #[inline(always)]
                        || {
                            for pixel in row.chunks_exact(c) {
                                let sums = sum.iter_mut().zip(squares.iter_mut());
                                for ((sum, square), (x, y)) in sums.zip(pixel.iter().zip(around)) {
                                    let difference = x - y;
                                    *sum += difference;
                                    *square += difference * difference;
                                }
                            }
                        },
                    );
                }
                moments.merge((height * width) as f64, around, &sum, &squares);
            }
            moments
        })
        .collect();
    let mut all = Moments::new(c);
    for part in moments {
        all.add(part.count, &part.mean, &part.squares);
    }
    let variance = all.squares.iter().map(|squares| squares / all.count.max(1.0)).collect();
    (all.mean, variance)
}

/// Count, mean and sum of squared deviations of each channel, updated as by Chan et al. (1979).
struct Moments {
    count: f64,
    mean: Vec<f64>,
    squares: Vec<f64>,
}

impl Moments {
    fn new(channels: usize) -> Self {
        Self { count: 0.0, mean: vec![0.0; channels], squares: vec![0.0; channels] }
    }

    /// Merges a group of values, given by the sums of the differences from `around` and of their
    /// squares.
    fn merge(&mut self, count: f64, around: &[f32], sum: &[f32], squares: &[f32]) {
        let mean: Vec<f64> = around
            .iter()
            .zip(sum)
            .map(|(&y, &sum)| f64::from(y) + f64::from(sum) / count)
            .collect();
        let squares: Vec<f64> = sum
            .iter()
            .zip(squares)
            .map(|(&sum, &square)| {
                (f64::from(square) - f64::from(sum) * f64::from(sum) / count).max(0.0)
            })
            .collect();
        self.add(count, &mean, &squares);
    }

    fn add(&mut self, count: f64, mean: &[f64], squares: &[f64]) {
        let total = self.count + count;
        for (channel, (&mean, &squares)) in mean.iter().zip(squares).enumerate() {
            let difference = mean - self.mean[channel];
            self.mean[channel] += difference * count / total;
            self.squares[channel] += squares + difference * difference * self.count * count / total;
        }
        self.count = total;
    }
}

/// Activation and pooling of a·x + b.
fn finished(map: &Map, a: &[f32], b: &[f32], finish: Finish) -> FlexTensor {
    let size = finish.size(map.size);
    let c = size.channels;
    let mut values = vec![0.0_f32; size.images * size.image_len()];
    let rows = values.par_chunks_exact_mut((size.width * c).max(1));
    rows.enumerate().for_each(|(row, out)| {
        let (image, row) = (row / size.height, row % size.height);
        if finish.pool {
            let [upper, lower] = [2 * row, 2 * row + 1].map(|row| map.row(image, row));
            let pairs = upper.chunks_exact(2 * c).zip(lower.chunks_exact(2 * c));
            Arch::new().dispatch(
                #[inline(always)]
                || {
                    for (out, (upper, lower)) in out.chunks_exact_mut(c).zip(pairs) {
                        let (w, x) = upper.split_at(c);
                        let (y, z) = lower.split_at(c);
                        let (w, x, y, z) = (&w[..c], &x[..c], &y[..c], &z[..c]);
                        let (a, b, out) = (&a[..c], &b[..c], &mut out[..c]);
                        for i in 0..c {
                            let [w, x, y, z] = [w[i], x[i], y[i], z[i]].map(|x| a[i] * x + b[i]);
                            out[i] = finish.act(larger(larger(w, x), larger(y, z)));
                        }
                    }
                },
            );
        } else {
            let row = map.row(image, row);
            Arch::new().dispatch(
                #[inline(always)]
                || {
                    for (out, pixel) in out.chunks_exact_mut(c).zip(row.chunks_exact(c)) {
                        let (a, b, pixel, out) = (&a[..c], &b[..c], &pixel[..c], &mut out[..c]);
                        for i in 0..c {
                            out[i] = finish.act(a[i] * pixel[i] + b[i]);
                        }
                    }
                },
            );
        }
    });
    map::dense(values, size)
}

#[inline(always)]
fn larger(x: f32, y: f32) -> f32 {
    if y > x { y } else { x }
}

/// Calls `work` for each row of the output, with its gradient and the row of the map, or the two
/// rows that are pooled; an odd last row of the map has no gradient.
fn for_each_row(
    map: &Map,
    output: &Map,
    finish: Finish,
    image: usize,
    mut work: impl FnMut([&[f32]; 2], &[f32]),
) {
    let height = map.size.height;
    if !finish.pool {
        (0..height).for_each(|row| work([map.row(image, row), &[]], output.row(image, row)));
        return;
    }
    for row in 0..height / 2 {
        work([2 * row, 2 * row + 1].map(|row| map.row(image, row)), output.row(image, row));
    }
    if height % 2 == 1 {
        work([map.row(image, height - 1), &[]], &[]);
    }
}

/// How a gradient is distributed to the four pixels of a pool: the first of the largest receives
/// all of it.
#[inline(always)]
fn share(values: [f32; 4], gradient: f32, finish: Finish) -> [f32; 4] {
    let [w, x, y, z] = values;
    let (first, second) = (larger(w, x), larger(y, z));
    let most = larger(first, second);
    let gradient = finish.gradient(most, gradient);
    let in_first = second <= first;
    [
        if in_first & (x <= w) { gradient } else { 0.0 },
        if in_first & (x > w) { gradient } else { 0.0 },
        if !in_first & (z <= y) { gradient } else { 0.0 },
        if !in_first & (z > y) { gradient } else { 0.0 },
    ]
}

/// Adds Σ g and Σ g·x̂ of a row to the sums.
fn sum_row(
    [upper, lower]: [&[f32]; 2],
    gradients: &[f32],
    channels: &Channels,
    finish: Finish,
    of_g: &mut [f32],
    of_gx: &mut [f32],
) {
    let c = of_g.len();
    let Channels { mean, inverse_deviation, a, b, .. } = channels;
    let (mean, inverse, a, b) = (&mean[..c], &inverse_deviation[..c], &a[..c], &b[..c]);
    let (of_g, of_gx) = (&mut of_g[..c], &mut of_gx[..c]);
    Arch::new().dispatch(
        #[inline(always)]
        || {
            if lower.is_empty() {
                for (pixel, gradient) in upper.chunks_exact(c).zip(gradients.chunks_exact(c)) {
                    let (pixel, gradient) = (&pixel[..c], &gradient[..c]);
                    for i in 0..c {
                        let g = finish.gradient(a[i] * pixel[i] + b[i], gradient[i]);
                        of_g[i] += g;
                        of_gx[i] += g * ((pixel[i] - mean[i]) * inverse[i]);
                    }
                }
                return;
            }
            let pairs = upper.chunks_exact(2 * c).zip(lower.chunks_exact(2 * c));
            for ((upper, lower), gradient) in pairs.zip(gradients.chunks_exact(c)) {
                let (w, x) = upper.split_at(c);
                let (y, z) = lower.split_at(c);
                let (w, x, y, z) = (&w[..c], &x[..c], &y[..c], &z[..c]);
                let gradient = &gradient[..c];
                for i in 0..c {
                    let pixels = [w[i], x[i], y[i], z[i]];
                    let g = share(pixels.map(|x| a[i] * x + b[i]), gradient[i], finish);
                    let x = pixels.map(|x| (x - mean[i]) * inverse[i]);
                    of_g[i] += (g[0] + g[1]) + (g[2] + g[3]);
                    of_gx[i] += (g[0] * x[0] + g[1] * x[1]) + (g[2] * x[2] + g[3] * x[3]);
                }
            }
        },
    );
}

/// Writes the gradient of a row of the map.
fn spread_row(
    [upper, lower]: [&[f32]; 2],
    gradients: &[f32],
    channels: &Channels,
    finish: Finish,
    [mean_g, mean_gx]: [&[f32]; 2],
    out: &mut [f32],
) {
    let c = mean_g.len();
    let Channels { mean, inverse_deviation, a, b, .. } = channels;
    let (mean, inverse, a, b) = (&mean[..c], &inverse_deviation[..c], &a[..c], &b[..c]);
    let (mean_g, mean_gx) = (&mean_g[..c], &mean_gx[..c]);
    let spread =
        |i: usize, x: f32, g: f32| a[i] * (g - mean_g[i] - (x - mean[i]) * inverse[i] * mean_gx[i]);
    Arch::new().dispatch(
        #[inline(always)]
        || {
            if lower.is_empty() {
                // Without pooling each pixel has a gradient; an odd last row has none.
                let none = gradients.is_empty();
                for (place, (pixel, out)) in
                    upper.chunks_exact(c).zip(out.chunks_exact_mut(c)).enumerate()
                {
                    let (pixel, out) = (&pixel[..c], &mut out[..c]);
                    if none {
                        (0..c).for_each(|i| out[i] = spread(i, pixel[i], 0.0));
                        continue;
                    }
                    let gradient = &gradients[place * c..][..c];
                    for i in 0..c {
                        let g = finish.gradient(a[i] * pixel[i] + b[i], gradient[i]);
                        out[i] = spread(i, pixel[i], g);
                    }
                }
                return;
            }
            let row = upper.len();
            let (above, below) = out.split_at_mut(row);
            let whole = row / (2 * c) * (2 * c);
            let inputs = upper.chunks_exact(2 * c).zip(lower.chunks_exact(2 * c));
            let outputs = above.chunks_exact_mut(2 * c).zip(below.chunks_exact_mut(2 * c));
            for (((upper, lower), gradient), (above, below)) in
                inputs.zip(gradients.chunks_exact(c)).zip(outputs)
            {
                let (w, x) = upper.split_at(c);
                let (y, z) = lower.split_at(c);
                let (w, x, y, z) = (&w[..c], &x[..c], &y[..c], &z[..c]);
                let (out_w, out_x) = above.split_at_mut(c);
                let (out_y, out_z) = below.split_at_mut(c);
                let (out_w, out_x) = (&mut out_w[..c], &mut out_x[..c]);
                let (out_y, out_z) = (&mut out_y[..c], &mut out_z[..c]);
                let gradient = &gradient[..c];
                for i in 0..c {
                    let pixels = [w[i], x[i], y[i], z[i]];
                    let g = share(pixels.map(|x| a[i] * x + b[i]), gradient[i], finish);
                    out_w[i] = spread(i, w[i], g[0]);
                    out_x[i] = spread(i, x[i], g[1]);
                    out_y[i] = spread(i, y[i], g[2]);
                    out_z[i] = spread(i, z[i], g[3]);
                }
            }
            // The pixels of an odd last column have no gradient.
            for place in whole..row {
                above[place] = spread(place - whole, upper[place], 0.0);
                below[place] = spread(place - whole, lower[place], 0.0);
            }
        },
    );
}
