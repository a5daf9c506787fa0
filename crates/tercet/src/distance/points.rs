//! Vectors, prepared for the computation of tiles of distances.

use std::ops::Range;

use ndarray::{Array2, ArrayView1, ArrayView2};
use rayon::prelude::*;

use super::{Distance, Metric, SHORTEST};
use crate::Error;
use crate::buffer_pool::Buffer;
use crate::matrix::{Operand, Threads, product_apart, squared_difference};
use crate::simd::{dot, vectorised};

/// Where ‖x−y‖² from the Gram form is below this share of ‖x‖² + ‖y‖², it is computed again from
/// differences: its rounding error, about 1e-6 of ‖x‖² at 512 dimensions, would exceed 1e-3 of the
/// distance.
pub(super) const CANCELLATION: f32 = 1.0 / 256.0;

/// Vectors are centred for the Gram form if their spread around the mean is below this share of
/// their mean squared norm. They are not always centred, because that may lose exact ties.
const SPREAD: f64 = 1.0 / 16.0;

/// Vectors that are shorter than this, and not 0, are refused where vectors are compared: squared
/// distances down to 1e-3 of this length have three digits in f32; smaller ones tie at 0. A
/// training batch may contain shorter vectors, which then all count as equal.
const SHORTEST_APART: f64 = 1e-18;

/// The smallest number of vectors that one task reads, and the largest number of tasks.
const BLOCK: usize = 64;

/// A pair whose distance was computed from differences: its row in the set of the tile, and its
/// column in the gallery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Close {
    pub(crate) row: u32,
    pub(crate) column: u32,
}

/// Checked vectors, with the norms and the centred rows that the Gram form needs.
#[derive(Debug, Clone)]
pub(crate) struct Points {
    pub(super) metric: Metric,
    count: usize,
    dimensions: usize,
    /// The vectors between which the distance is computed: normalised if the metric requires it.
    rows: Buffer,
    /// `rows − offset`, if an offset makes the Gram form more precise.
    centred: Option<Buffer>,
    offset: Option<Vec<f32>>,
    /// ‖·‖² of the rows that the Gram form uses.
    pub(super) squared_norms: Vec<f32>,
    /// 1/‖x‖ of the vectors given, or 0 for a zero vector. Empty unless the metric is on the
    /// sphere.
    pub(super) inverse_norms: Vec<f32>,
    /// Vectors that are shorter than this, and not 0, are refused.
    shortest: f64,
}

impl Points {
    /// Points for comparisons. Vectors so short that their distances would tie are refused.
    pub(crate) fn new(vectors: ArrayView2<f32>, metric: Metric) -> Result<Self, Error> {
        Self::centred(vectors, metric, None, SHORTEST_APART)
    }

    /// Points of any length, for training, where collapsed vectors are not an error, and for means.
    pub(crate) fn of_any_length(vectors: ArrayView2<f32>, metric: Metric) -> Result<Self, Error> {
        Self::centred(vectors, metric, None, 0.0)
    }

    /// Points for one batch, in buffers of the [pool](crate::buffer_pool): point `r` is row
    /// `items[r]` of the vectors.
    pub(crate) fn of_batch(
        vectors: ArrayView2<f32>,
        metric: Metric,
        items: &[u32],
    ) -> Result<Self, Error> {
        Self::centred(vectors, metric, Some(items), 0.0)
    }

    /// The vectors between which the distance is computed, without the data of the Gram form.
    pub(crate) fn checked(vectors: ArrayView2<f32>, metric: Metric) -> Result<Array2<f32>, Error> {
        let rows = Self::read(vectors, metric, None, 0.0, |_| ())?.0.rows;
        // The rows have the shape of `vectors`, so the conversion does not fail.
        Ok(Array2::from_shape_vec(vectors.dim(), rows.into_vec()).unwrap_or_default())
    }

    /// Points of further vectors with the same metric and offset, so that both sets can be used in
    /// one tile.
    pub(crate) fn beside(&self, vectors: ArrayView2<f32>) -> Result<Self, Error> {
        if vectors.ncols() != self.dimensions {
            return Err(Error::DimensionMismatch {
                queries: vectors.ncols(),
                gallery: self.dimensions,
            });
        }
        let (mut points, _) = Self::read(vectors, self.metric, None, self.shortest, |_| ())?;
        points.prepare(self.offset.clone());
        Ok(points)
    }

    /// The same points in another order: row `r` of the result is row `items[r]` of this.
    pub(crate) fn reordered(&self, items: &[u32]) -> Self {
        let d = self.dimensions;
        let gather = |rows: &Buffer| {
            let mut gathered = Buffer::zeroed(items.len() * d);
            for (row, &item) in gathered.chunks_exact_mut(d).zip(items) {
                row.copy_from_slice(&rows[item as usize * d..][..d]);
            }
            gathered
        };
        let pick = |values: &[f32]| -> Vec<f32> {
            items.iter().filter_map(|&item| values.get(item as usize).copied()).collect()
        };
        Self {
            metric: self.metric,
            count: items.len(),
            dimensions: d,
            rows: gather(&self.rows),
            centred: self.centred.as_ref().map(gather),
            offset: self.offset.clone(),
            squared_norms: pick(&self.squared_norms),
            inverse_norms: pick(&self.inverse_norms),
            shortest: self.shortest,
        }
    }

    /// Points whose rows in the Gram form are relative to the mean, if that makes it more precise.
    fn centred(
        vectors: ArrayView2<f32>,
        metric: Metric,
        items: Option<&[u32]>,
        shortest: f64,
    ) -> Result<Self, Error> {
        let dimensions = vectors.ncols();
        let (mut points, sums) = Self::read(vectors, metric, items, shortest, |rows| {
            let mut sums = vec![0.0; dimensions];
            rows.chunks_exact(dimensions).for_each(|row| add_row(&mut sums, row));
            sums
        })?;
        let offset = points.helpful_offset(&sums);
        points.prepare(offset);
        Ok(points)
    }

    /// Reads and checks vectors, without centring. Also returns the result of `regard` for each
    /// block of them.
    fn read<T: Send>(
        vectors: ArrayView2<f32>,
        metric: Metric,
        items: Option<&[u32]>,
        shortest: f64,
        regard: impl Fn(&[f32]) -> T + Sync,
    ) -> Result<(Self, Vec<T>), Error> {
        let (count, dimensions) = vectors.dim();
        if dimensions == 0 {
            return Err(Error::NoDimensions);
        }
        let size = count * dimensions;
        let mut rows = if items.is_some() { Buffer::pooled(size) } else { Buffer::zeroed(size) };
        let mut norms = vec![Norms::default(); count];
        let height = BLOCK.max(count.div_ceil(BLOCK));
        let blocks: Vec<_> = rows
            .par_chunks_mut(height * dimensions)
            .zip(norms.par_chunks_mut(height))
            .enumerate()
            .map(|(block, (rows, norms))| {
                let lines = rows.chunks_exact_mut(dimensions);
                let take = |((place, row), norms): ((usize, &mut [f32]), &mut Norms)| {
                    let item = items.map_or(place, |items| items[place] as usize);
                    match take(vectors.row(item), item, metric, shortest, row) {
                        Ok(taken) => *norms = taken,
                        Err(error) => return Some((item, error)),
                    }
                    None
                };
                let refused = (block * height..).zip(lines).zip(norms).filter_map(take);
                match refused.min_by_key(|(item, _)| *item) {
                    Some(refused) => Err(refused),
                    None => Ok(regard(rows)),
                }
            })
            .collect();
        let refused = blocks.iter().filter_map(|block| block.as_ref().err());
        if let Some((_, error)) = refused.min_by_key(|(item, _)| *item) {
            return Err(error.clone());
        }
        let inverse = norms.iter().map(|norms| norms.inverse);
        let points = Self {
            metric,
            count,
            dimensions,
            rows,
            centred: None,
            offset: None,
            squared_norms: norms.iter().map(|norms| norms.squared).collect(),
            inverse_norms: if metric.on_sphere() { inverse.collect() } else { Vec::new() },
            shortest,
        };
        Ok((points, blocks.into_iter().flatten().collect()))
    }

    /// An offset near the mean, given sums over blocks of points, if centring makes the Gram form
    /// more precise. It is a multiple of a power of two that is not above the spread of a
    /// coordinate, so that whole numbers keep their exact ties.
    fn helpful_offset(&self, blocks: &[Vec<f64>]) -> Option<Vec<f32>> {
        if self.count < 2 {
            return None;
        }
        let count = self.count as f64;
        // The sums are added in the order of the blocks, whichever thread computed them.
        let mean = |column: usize| blocks.iter().map(|sums| sums[column]).sum::<f64>() / count;
        let mean: Vec<f64> = (0..self.dimensions).map(mean).collect();
        let energy: f64 = self.squared_norms.iter().map(|&squared| f64::from(squared)).sum();
        let spread = energy - mean.iter().map(|mean| mean * mean).sum::<f64>() * count;
        if spread >= SPREAD * energy {
            return None;
        }
        let grid = (spread / (count * self.dimensions as f64)).sqrt().log2().floor().exp2();
        // Without a spread there is no grid to round to.
        let rounded = |mean: f64| if grid > 0.0 { (mean / grid).round() * grid } else { mean };
        Some(mean.into_iter().map(|mean| rounded(mean) as f32).collect())
    }

    /// Subtracts an offset from the rows that the Gram form uses, and recomputes their norms.
    fn prepare(&mut self, offset: Option<Vec<f32>>) {
        if let Some(offset) = &offset {
            let mut centred = self.rows.clone();
            centred
                .par_chunks_mut(self.dimensions)
                .with_min_len(BLOCK)
                .zip(&mut self.squared_norms)
                .for_each(|(row, squared_norm)| {
                    row.iter_mut().zip(offset).for_each(|(x, mean)| *x -= mean);
                    *squared_norm = dot(row, row) as f32;
                });
            self.centred = Some(centred);
        }
        self.offset = offset;
    }

    pub(crate) fn len(&self) -> usize {
        self.count
    }

    pub(crate) fn dimensions(&self) -> usize {
        self.dimensions
    }

    /// The vector of one point, normalised if the metric requires it.
    pub(crate) fn row(&self, row: usize) -> &[f32] {
        &self.rows[row * self.dimensions..][..self.dimensions]
    }

    /// The rows that the Gram form uses: the points, up to a common offset that cancels in
    /// differences.
    pub(crate) fn gram_rows(&self, rows: Range<usize>) -> &[f32] {
        let values = self.centred.as_ref().unwrap_or(&self.rows);
        &values[rows.start * self.dimensions..rows.end * self.dimensions]
    }

    /// Turns the gradient g with respect to a point x̂ = x/‖x‖ into that with respect to the vector
    /// x that was given: (g − (g·x̂)x̂)/‖x‖, or 0 for a zero vector. Without normalisation nothing
    /// changes.
    pub(crate) fn pull_back(&self, row: usize, gradient: &mut [f32]) {
        let Some(&inverse_norm) = self.inverse_norms.get(row) else { return };
        let unit = self.row(row);
        let along = dot(unit, gradient);
        flatten(gradient, unit, along, f64::from(inverse_norm));
    }

    /// The distance of two points of this set, computed from differences.
    pub(crate) fn pair_distance(&self, left: usize, right: usize) -> f32 {
        let squared = squared_difference(self.row(left), self.row(right));
        match self.metric.distance {
            Distance::Euclidean => squared.sqrt(),
            Distance::SquaredEuclidean => squared,
            Distance::Cosine if left == right => 0.0,
            Distance::Cosine => {
                let zero = self.inverse_norms[left] == 0.0 || self.inverse_norms[right] == 0.0;
                if zero { 1.0 } else { squared / 2.0 }
            }
        }
    }

    pub(crate) fn distance(&self) -> Distance {
        self.metric.distance
    }

    /// The coefficient c with w·∂d/∂x = c·(x − y), for the weight w of a distance d.
    pub(crate) fn coefficient(&self, weight: f32, distance: f32) -> f32 {
        match self.metric.distance {
            Distance::Euclidean if distance > 0.0 => weight / distance,
            Distance::Euclidean => 0.0,
            Distance::SquaredEuclidean => 2.0 * weight,
            Distance::Cosine => weight,
        }
    }

    /// Replaces the weights of many pairs by their [`coefficient`](Self::coefficient)s.
    pub(crate) fn to_coefficients(&self, weights: &mut [f32], distances: &[f32]) {
        match self.metric.distance {
            Distance::Euclidean => divide(weights, distances),
            Distance::SquaredEuclidean => weights.iter_mut().for_each(|weight| *weight *= 2.0),
            Distance::Cosine => {}
        }
    }

    /// Writes the distances of `rows` to every point of `gallery` into `out`, row by row.
    ///
    /// If `gallery` is this set itself, the distance of a point to itself is exactly 0. `close`
    /// receives the pairs that the Gram form could not resolve (without self-pairs), because their
    /// gradient would cancel in the same way.
    pub(crate) fn tile(
        &self,
        rows: Range<usize>,
        gallery: &Self,
        out: &mut [f32],
        close: Option<&mut Vec<Close>>,
    ) {
        let (count, d) = (gallery.count, self.dimensions);
        let turned = Operand::new(gallery.gram_rows(0..count), count, d).t();
        self.part(rows, gallery, turned, 0..count, out, count, close);
    }

    /// [`tile`](Self::tile) for the points `columns` of the gallery only, which `turned` holds as
    /// columns. The rows of `out` begin `stride` values apart.
    #[allow(clippy::too_many_arguments)]
    pub(crate) fn part(
        &self,
        rows: Range<usize>,
        gallery: &Self,
        turned: Operand,
        columns: Range<usize>,
        out: &mut [f32],
        stride: usize,
        mut close: Option<&mut Vec<Close>>,
    ) {
        let (d, width) = (self.dimensions, columns.len());
        let queries = Operand::new(self.gram_rows(rows.clone()), rows.len(), d);
        product_apart(Threads::One, out, stride, false, -2.0, queries, turned);

        let norms = &gallery.squared_norms[columns.clone()];
        let same = std::ptr::eq(self, gallery);
        for (row, line) in rows.zip(out.chunks_mut(stride.max(1))) {
            let line = &mut line[..width];
            let own = self.squared_norms[row];
            // The self-pair always cancels. It must not make every row take the slow path.
            let diagonal = (same && columns.contains(&row)).then(|| row - columns.start);
            if let Some(diagonal) = diagonal {
                line[diagonal] = own;
            }
            if from_gram(line, norms, own) {
                for (place, value) in line.iter_mut().enumerate() {
                    let column = columns.start + place;
                    if *value > CANCELLATION * (own + norms[place]) || diagonal == Some(place) {
                        continue;
                    }
                    *value = squared_difference(self.row(row), gallery.row(column));
                    if let Some(close) = close.as_deref_mut() {
                        close.push(Close { row: row as u32, column: column as u32 });
                    }
                }
            }
            match self.metric.distance {
                Distance::Euclidean => root(line),
                Distance::SquaredEuclidean => {}
                Distance::Cosine => {
                    let zero = self.inverse_norms[row] == 0.0;
                    for (value, &inverse) in
                        line.iter_mut().zip(&gallery.inverse_norms[columns.clone()])
                    {
                        *value = if zero || inverse == 0.0 { 1.0 } else { *value / 2.0 };
                    }
                }
            }
            if let Some(diagonal) = diagonal {
                line[diagonal] = 0.0;
            }
        }
    }
}

/// The norms of one vector x: ‖·‖² of the vector that the distance uses, and 1/‖x‖ (0 if x is too
/// short).
#[derive(Debug, Clone, Copy, Default)]
struct Norms {
    squared: f32,
    inverse: f32,
}

/// Checks a vector, and writes it to `row`, normalised if the metric requires it. A vector that is
/// shorter than `shortest`, and not 0, is refused.
fn take(
    vector: ArrayView1<f32>,
    item: usize,
    metric: Metric,
    shortest: f64,
    row: &mut [f32],
) -> Result<Norms, Error> {
    match vector.as_slice() {
        Some(vector) => row.copy_from_slice(vector),
        None => row.iter_mut().zip(vector).for_each(|(x, &value)| *x = value),
    }
    // The sum of squares of f32 values in f64 is finite if and only if all values are.
    let squared = dot(row, row);
    let norm = squared.sqrt();
    if !norm.is_finite()
        && let Some((column, &value)) = row.iter().enumerate().find(|(_, value)| !value.is_finite())
    {
        return Err(Error::NotFinite { row: item, column, value });
    }
    if metric.on_sphere() {
        let inverse = if norm >= SHORTEST { 1.0 / norm } else { 0.0 };
        multiply(row, inverse);
        return Ok(Norms { squared: dot(row, row) as f32, inverse: inverse as f32 });
    }
    // Four squared norms must fit into f32, because ‖x−y‖² ≤ 2‖x‖² + 2‖y‖².
    let limit = (f64::from(f32::MAX) / 8.0).sqrt();
    if norm > limit {
        return Err(Error::TooLong { row: item, norm, limit });
    }
    if norm > 0.0 && norm < shortest {
        return Err(Error::TooShort { row: item, norm, limit: shortest });
    }
    Ok(Norms { squared: squared as f32, inverse: 0.0 })
}

vectorised! {
    /// Adds ‖x‖² = `own` and ‖y‖² to −2x·y. Returns whether any result has cancelled.
    fn from_gram(line: &mut [f32], norms: &[f32], own: f32) -> bool {
        let mut close = 0_u32;
        for (value, &norm) in line.iter_mut().zip(norms) {
            let sum = own + norm;
            *value += sum;
            close |= u32::from(*value <= CANCELLATION * sum);
        }
        close != 0
    }
}

vectorised! {
    /// weight / distance, or 0 at distance 0.
    fn divide(weights: &mut [f32], distances: &[f32]) {
        for (weight, &distance) in weights.iter_mut().zip(distances) {
            let quotient = *weight / distance;
            *weight = if distance > 0.0 { quotient } else { 0.0 };
        }
    }
}

vectorised! {
    /// values · factor, rounded once.
    pub(crate) fn multiply(values: &mut [f32], factor: f64) {
        values.iter_mut().for_each(|value| *value = (f64::from(*value) * factor) as f32);
    }
}

vectorised! {
    fn add_row(sums: &mut [f64], row: &[f32]) {
        sums.iter_mut().zip(row).for_each(|(sum, &x)| *sum += f64::from(x));
    }
}

vectorised! {
    /// (g − along·unit)·factor.
    fn flatten(gradient: &mut [f32], unit: &[f32], along: f64, factor: f64) {
        for (g, &u) in gradient.iter_mut().zip(unit) {
            *g = ((f64::from(*g) - along * f64::from(u)) * factor) as f32;
        }
    }
}

vectorised! {
    fn root(line: &mut [f32]) {
        line.iter_mut().for_each(|value| *value = value.sqrt());
    }
}

#[cfg(test)]
mod tests {
    use ndarray::Array2;
    use proptest::prelude::*;

    use super::*;
    use crate::distance::reference;

    /// Checks that errors are within 1e-3 of the distance for distances down to 1e-3 of the
    /// vectors' length, and for smaller ones within the rounding of the coordinates.
    fn check(vectors: &Array2<f32>, metric: Metric) {
        let got = metric.distances(vectors.view(), vectors.view()).unwrap();
        let points = Points::new(vectors.view(), metric).unwrap();
        for ((i, j), &d) in got.indexed_iter() {
            let (x, y) = (vectors.row(i).to_vec(), vectors.row(j).to_vec());
            let expected = reference::distance(metric, &x, &y);
            let length = match metric.on_sphere() {
                true => 1.0,
                false => x.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>().sqrt(),
            };
            let least = match metric.distance {
                Distance::Euclidean => 1e-3 * length,
                Distance::SquaredEuclidean | Distance::Cosine => (1e-3 * length).powi(2),
            };
            assert!(
                (f64::from(d) - expected).abs() <= 1e-3 * expected.max(least) + 1e-12,
                "{metric}: ({i}, {j}) is {d}, expected {expected}"
            );
            if i != j {
                let pair = points.pair_distance(i, j);
                let allowed = 1e-3 * f64::from(pair).max(least) + 1e-12;
                assert!(
                    (f64::from(d) - f64::from(pair)).abs() <= allowed,
                    "{metric}: {d}, listed {pair}"
                );
            }
        }
    }

    #[test]
    fn near_duplicates_keep_their_precision() {
        for offset in [0.0, 1.0, 100.0] {
            for exponent in [-1, -2, -3] {
                let step = 10.0_f32.powi(exponent);
                let vectors = Array2::from_shape_fn((6, 128), |(i, j)| {
                    let base = ((j * 37 % 17) as f32 - 8.0) / 8.0 + offset;
                    base * (1.0 + if j % 6 == i { step } else { 0.0 })
                });
                for distance in [Distance::Euclidean, Distance::SquaredEuclidean] {
                    check(&vectors, distance.into());
                }
            }
        }
    }

    #[test]
    fn zero_vectors_are_at_cosine_distance_one() {
        let vectors = ndarray::array![[0.0_f32, 0.0], [3.0, 4.0], [0.0, 0.0]];
        let metric = Metric::from(Distance::Cosine);
        let d = metric.distances(vectors.view(), vectors.view()).unwrap();
        assert_eq!(d[[0, 1]], 1.0);
        assert_eq!(d[[0, 2]], 1.0);
        let points = Points::new(vectors.view(), metric).unwrap();
        assert_eq!(points.pair_distance(0, 2), 1.0);
        assert_eq!(points.pair_distance(0, 0), 0.0);
    }

    #[test]
    fn duplicates_tie_exactly_wherever_they_stand() {
        let vectors = Array2::from_shape_fn((67, 19), |(i, j)| {
            let i = if i % 7 == 3 { 3 } else { i };
            ((i * 131 + j * 71) % 97) as f32 / 13.0
        });
        let d = Metric::default().distances(vectors.view(), vectors.view()).unwrap();
        for row in d.outer_iter() {
            assert!((0..67).filter(|j| j % 7 == 3).all(|j| row[j] == row[3]));
        }
    }

    #[test]
    fn whole_numbers_tie_exactly_around_an_offset() {
        let vectors = Array2::from_shape_fn((40, 3), |(i, j)| 50.0 + ((i * (j + 2)) % 5) as f32);
        let points = Points::new(vectors.view(), Metric::default()).unwrap();
        assert!(points.centred.is_some());
        let d = Metric::default().distances(vectors.view(), vectors.view()).unwrap();
        for ((i, j), &d) in d.indexed_iter() {
            let difference = &vectors.row(i) - &vectors.row(j);
            assert_eq!(d, difference.dot(&difference).sqrt());
        }
    }

    #[test]
    fn bad_vectors_are_named() {
        let mut vectors = Array2::<f32>::ones((4, 3));
        vectors[[2, 1]] = f32::NAN;
        let error = Points::new(vectors.view(), Metric::default()).unwrap_err();
        assert_eq!(error.to_string(), "row 2, column 1 holds NaN: expected finite numbers");
        vectors[[2, 1]] = 1e30;
        let error = Points::new(vectors.view(), Metric::default()).unwrap_err();
        assert!(matches!(error, Error::TooLong { row: 2, .. }), "{error}");
        let short = Array2::from_shape_fn((3, 2), |(i, j)| if i == 1 { 1e-25 } else { j as f32 });
        let error = Points::new(short.view(), Metric::default()).unwrap_err();
        assert!(matches!(error, Error::TooShort { row: 1, .. }), "{error}");
        // Directions are distinguished at any length above 1e-30, and zero vectors are not too
        // short.
        let cosine = Metric { distance: Distance::Cosine, normalize: false };
        assert!(Points::new(short.view(), cosine).is_ok());
        assert!(Points::new(Array2::zeros((3, 2)).view(), Metric::default()).is_ok());
        let fine = Array2::from_shape_fn((3, 2), |(i, j)| 1e-18 + 1e-21 * (2 * i + j) as f32);
        let distances = Metric::default().distances(fine.view(), fine.view()).unwrap();
        let expected = 2e-21 * 2.0_f32.sqrt();
        assert!((distances[[0, 1]] - expected).abs() < 2e-3 * expected, "{distances}");
        let nothing = Array2::<f32>::ones((4, 0));
        assert_eq!(
            Points::new(nothing.view(), Metric::default()).unwrap_err(),
            Error::NoDimensions
        );
    }

    #[test]
    fn a_vector_too_short_for_a_direction_counts_as_zero() {
        let metric = Metric { distance: Distance::Cosine, normalize: true };
        let vectors = ndarray::array![[1e-40_f32, 0.0], [0.0, 1e-20], [3.0, 0.0]];
        let points = Points::new(vectors.view(), metric).unwrap();
        assert_eq!(points.row(0), [0.0, 0.0]);
        assert_eq!(points.row(1), [0.0, 1.0]);
        for row in 0..3 {
            let mut gradient = [1.0, -1.0];
            points.pull_back(row, &mut gradient);
            assert!(gradient.iter().all(|g| g.is_finite()), "row {row}: {gradient:?}");
        }
    }

    proptest! {
        #[test]
        fn tiles_agree_with_the_reference(
            values in prop::collection::vec(-2.0_f32..2.0, 60),
            dimensions in 1_usize..6,
            normalize: bool,
        ) {
            let count = values.len() / dimensions;
            let values = values[..count * dimensions].to_vec();
            let vectors = Array2::from_shape_vec((count, dimensions), values).unwrap();
            for distance in Distance::ALL {
                check(&vectors, Metric { distance, normalize });
            }
        }
    }
}
