//! The nearest points, block by block, at little more than the cost of the matrix product.

use rayon::prelude::*;

use super::points::CANCELLATION;
use super::{Distance, Points};
use crate::matrix::{Operand, product, squared_difference};
use crate::neighbor::Neighbor;
use crate::simd::vectorised;

/// Queries per block. With more of them, rearranging the gallery for the product costs less per
/// query.
const BLOCK_ROWS: usize = 512;

/// Gallery points per block. The block of products takes 2 to 4 MiB, little enough to stay in the
/// caches.
const BLOCK_COLUMNS: usize = 1_024;

/// Distances that are compared with the bound together.
const CHUNK: usize = 64;

impl Points {
    /// For every point, the `k` nearest points of `gallery`, in rising order of distance and then
    /// of index, without the point `excluded[row]`.
    ///
    /// A block holds −2x·y. Only for the points that may be among the nearest, the distance is
    /// computed from it as [`tile`](Self::tile) does.
    pub(crate) fn nearest(
        &self,
        gallery: &Self,
        k: usize,
        excluded: Option<&[u32]>,
    ) -> Vec<Vec<Neighbor>> {
        let k = k.min(gallery.len());
        if k == 0 {
            return vec![Vec::new(); self.len()];
        }
        let fair = self.len().div_ceil(rayon::current_num_threads());
        let block_rows = fair.clamp(1, BLOCK_ROWS);
        let found: Vec<Vec<Vec<Neighbor>>> = (0..self.len().div_ceil(block_rows))
            .into_par_iter()
            .map_init(Scratch::default, |scratch, block| {
                let first = block * block_rows;
                let rows = first..(first + block_rows).min(self.len());
                let mut nearest: Vec<Nearest> = rows
                    .clone()
                    .map(|row| Nearest::new(k, excluded.map(|excluded| excluded[row])))
                    .collect();
                let mut start = 0;
                while start < gallery.len() {
                    // The rest is part of the last block, so that no product is much narrower than
                    // the others.
                    let rest = gallery.len() - start;
                    let width = if rest < 2 * BLOCK_COLUMNS { rest } else { BLOCK_COLUMNS };
                    let columns = start..start + width;
                    scratch.products.resize(rows.len() * width, 0.0);
                    let queries =
                        Operand::new(self.gram_rows(rows.clone()), rows.len(), self.dimensions());
                    let others =
                        Operand::new(gallery.gram_rows(columns.clone()), width, self.dimensions());
                    product(&mut scratch.products, false, -2.0, queries, others.t());
                    let lines = scratch.products.chunks_exact(width);
                    for ((row, line), nearest) in rows.clone().zip(lines).zip(&mut nearest) {
                        scratch.hopeful.clear();
                        let norms = &gallery.squared_norms[columns.clone()];
                        let own = self.squared_norms[row];
                        hopeful(line, norms, own, nearest.squared_bound, &mut scratch.hopeful);
                        for &place in &scratch.hopeful {
                            let column = start + place as usize;
                            let distance = self.resolve(row, gallery, column, line[place as usize]);
                            nearest.offer(column as u32, distance, self.distance());
                        }
                    }
                    start += width;
                }
                nearest.into_iter().map(Nearest::sorted).collect()
            })
            .collect();
        found.into_iter().flatten().collect()
    }

    /// The distance of a pair, given −2x·y, equal to that of [`tile`](Self::tile).
    fn resolve(&self, row: usize, gallery: &Self, column: usize, product: f32) -> f32 {
        let sum = self.squared_norms[row] + gallery.squared_norms[column];
        let gram = product + sum;
        let squared = match gram > CANCELLATION * sum {
            true => gram,
            false => squared_difference(self.row(row), gallery.row(column)),
        };
        match self.metric.distance {
            Distance::Euclidean => squared.sqrt(),
            Distance::SquaredEuclidean => squared,
            Distance::Cosine => {
                let zero = self.inverse_norms[row] == 0.0 || gallery.inverse_norms[column] == 0.0;
                if zero { 1.0 } else { squared / 2.0 }
            }
        }
    }
}

/// Buffers of a thread.
#[derive(Default)]
struct Scratch {
    products: Vec<f32>,
    hopeful: Vec<u32>,
}

/// The nearest of the points offered so far, and up to `k` − 1 more.
struct Nearest {
    k: usize,
    excluded: Option<u32>,
    found: Vec<Neighbor>,
    /// The k-th smallest distance when `found` was last halved.
    bound: f32,
    /// A point with a squared distance above this has a distance of at least `bound`.
    squared_bound: f32,
}

impl Nearest {
    fn new(k: usize, excluded: Option<u32>) -> Self {
        let (bound, squared_bound) = (f32::INFINITY, f32::INFINITY);
        Self { k, excluded, found: Vec::with_capacity(2 * k), bound, squared_bound }
    }

    /// Offers a point. Points are offered by rising index. Whenever 2k points have been collected,
    /// a selection reduces them to k.
    fn offer(&mut self, index: u32, distance: f32, unit: Distance) {
        // k points with lower indices are at most at the bound, so a point at the bound itself
        // cannot enter.
        if distance >= self.bound || self.excluded == Some(index) {
            return;
        }
        self.found.push(Neighbor { index, distance });
        if self.found.len() == 2 * self.k {
            let (_, last, _) = self.found.select_nth_unstable_by(self.k - 1, by_distance);
            self.bound = last.distance;
            self.found.truncate(self.k);
            // Rounded up by more than the square root or the division by 2 was rounded down.
            self.squared_bound = match unit {
                Distance::Euclidean => self.bound * self.bound * (1.0 + 1e-6) + f32::MIN_POSITIVE,
                Distance::SquaredEuclidean => self.bound,
                Distance::Cosine => 2.0 * self.bound * (1.0 + 1e-6) + f32::MIN_POSITIVE,
            };
        }
    }

    fn sorted(mut self) -> Vec<Neighbor> {
        self.found.sort_unstable_by(by_distance);
        self.found.truncate(self.k);
        self.found.shrink_to_fit();
        self.found
    }
}

fn by_distance(x: &Neighbor, y: &Neighbor) -> std::cmp::Ordering {
    x.distance.total_cmp(&y.distance).then(x.index.cmp(&y.index))
}

vectorised! {
    /// Appends the indices of −2x·y whose squared distance is at most `bound`, or has cancelled.
    fn hopeful(products: &[f32], norms: &[f32], own: f32, bound: f32, places: &mut Vec<u32>) {
        for (chunk, (products, norms)) in products.chunks(CHUNK).zip(norms.chunks(CHUNK)).enumerate() {
            let passes = |product: f32, norm: f32| {
                let sum = own + norm;
                let cancelled = CANCELLATION * sum;
                product + sum <= if cancelled > bound { cancelled } else { bound }
            };
            let mut any = 0_u32;
            for (&product, &norm) in products.iter().zip(norms) {
                any |= u32::from(passes(product, norm));
            }
            if any != 0 {
                for (place, (&product, &norm)) in products.iter().zip(norms).enumerate() {
                    if passes(product, norm) {
                        places.push((chunk * CHUNK + place) as u32);
                    }
                }
            }
        }
    }
}
