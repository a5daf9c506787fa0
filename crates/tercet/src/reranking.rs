//! k-reciprocal re-ranking: distances are improved by the neighbours of both items.
//!
//! It follows Zhong, Zheng, Cao & Li, "Re-ranking Person Re-identification with k-reciprocal
//! Encoding" (CVPR 2017) and the authors' implementation, which differs from the paper in one
//! point: a distance is divided by the largest of its row before it becomes a weight.

use ndarray::{Array2, ArrayView2, Axis, concatenate};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::distance::Points;
use crate::{Distance, Error, Metric, neighbors};

/// The parameters of k-reciprocal re-ranking.
///
/// With d(i,j) the squared Euclidean distance between the vectors that the metric compares (unit
/// vectors for cosine), divided by the largest of row i, and N(i,k) item i and its k nearest:
///
/// 1. R(i) holds the j of N(i,k1) with i in N(j,k1). For each j in it, the same set with k1/2 is
///    added if more than two thirds of that set are already in R(i).
/// 2. Item i becomes the sparse vector V(i) with weights e^(−d(i,j)) over R(i), of sum 1, then the
///    mean of V over i and its k2 − 1 nearest (local query expansion).
/// 3. The Jaccard distance is J(i,j) = 1 − m / (2 − m), m = Σ min(V(i), V(j)).
///
/// The new distance is (1 − λ)·J + λ·d. It is not always symmetric.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct KReciprocal {
    /// The number of neighbours that may be reciprocal. Default: 20.
    pub k1: usize,
    /// The number of items of the local query expansion, including the item itself; 1 for no
    /// expansion. Default: 6.
    pub k2: usize,
    /// λ, the share of the original distance, from 0 to 1. Default: 0.3.
    pub lambda: f32,
}

impl Default for KReciprocal {
    fn default() -> Self {
        Self { k1: 20, k2: 6, lambda: 0.3 }
    }
}

impl KReciprocal {
    /// Re-ranks queries against a gallery. All of them can be each other's neighbours.
    ///
    /// Time is that of three sweeps over all pairs of the Q + G items, and about O((Q + G)·k1·k2)
    /// for the re-ranking itself. Memory is O((Q + G)·k1·k2) for the sparse vectors, some kB per
    /// item by default. There is no matrix of all pairs.
    ///
    /// # Shapes
    /// - queries: Q×D; gallery: G×D
    ///
    /// # Errors
    /// `k1` or `k2` of 0, `lambda` outside 0 to 1; vectors that are not finite, too long, without
    /// dimensions, or of different dimensions.
    pub fn query_gallery(
        &self,
        queries: ArrayView2<f32>,
        gallery: ArrayView2<f32>,
        metric: Metric,
    ) -> Result<Reranked, Error> {
        let all = concatenate(Axis(0), &[queries, gallery]).map_err(|_| {
            Error::DimensionMismatch { queries: queries.ncols(), gallery: gallery.ncols() }
        })?;
        let (first, end) = (queries.nrows() as u32, all.nrows() as u32);
        self.among(all.view(), (0..first).collect(), (first..end).collect(), metric)
    }

    /// Re-ranks some of the items as queries against some of them. An item may be in both, and is
    /// stored once. All of them can be each other's neighbours. Otherwise like
    /// [`query_gallery`](Self::query_gallery).
    ///
    /// # Shapes
    /// - embeddings: N×D; queries, gallery: rows below N
    ///
    /// # Errors
    /// The errors of [`query_gallery`](Self::query_gallery), and a row that is not below N.
    pub fn among(
        &self,
        embeddings: ArrayView2<f32>,
        queries: Vec<u32>,
        gallery: Vec<u32>,
        metric: Metric,
    ) -> Result<Reranked, Error> {
        let rows = embeddings.nrows();
        if let Some(row) = queries.iter().chain(&gallery).find(|&&row| row as usize >= rows) {
            return Err(Error::parameter(
                "row",
                format!("{row} of {rows} vectors"),
                "a row below the number of vectors",
            ));
        }
        Reranked::new(self, embeddings, metric, queries, gallery)
    }

    /// Re-ranks every item against all items, including itself. Otherwise like
    /// [`query_gallery`](Self::query_gallery).
    ///
    /// # Errors
    /// The errors of [`query_gallery`](Self::query_gallery).
    pub fn leave_one_out(
        &self,
        embeddings: ArrayView2<f32>,
        metric: Metric,
    ) -> Result<Reranked, Error> {
        let all: Vec<u32> = (0..embeddings.nrows() as u32).collect();
        self.among(embeddings, all.clone(), all, metric)
    }

    fn check(&self) -> Result<(), Error> {
        for (parameter, got) in [("k1", self.k1), ("k2", self.k2)] {
            if got == 0 {
                return Err(Error::parameter(parameter, got.to_string(), "at least 1"));
            }
        }
        if !(0.0..=1.0).contains(&self.lambda) {
            return Err(Error::parameter("lambda", self.lambda.to_string(), "a share from 0 to 1"));
        }
        Ok(())
    }
}

/// Re-ranked distances, which are computed query by query.
#[derive(Debug, Clone)]
pub struct Reranked {
    points: Points,
    lambda: f32,
    /// The items that are queries.
    queries: Vec<u32>,
    /// The items that are searched.
    gallery: Vec<u32>,
    /// The largest distance in the row of each item.
    farthest: Vec<f32>,
    /// V.
    vectors: Vec<Sparse>,
    /// For each item, the items whose V contains it, as positions in the gallery, with its weight
    /// there.
    inverted: Vec<Sparse>,
}

/// Positions and their weights, in increasing order of position.
type Sparse = Vec<(u32, f32)>;

impl Reranked {
    fn new(
        parameters: &KReciprocal,
        all: ArrayView2<f32>,
        metric: Metric,
        queries: Vec<u32>,
        gallery: Vec<u32>,
    ) -> Result<Self, Error> {
        parameters.check()?;
        let &KReciprocal { k1, k2, lambda } = parameters;
        let squared =
            Metric { distance: Distance::SquaredEuclidean, normalize: metric.on_sphere() };
        let points = Points::new(all, squared)?;
        let farthest = points.sweep(&points, |_, row| row.iter().copied().fold(0.0_f32, f32::max));
        let ranked = ranked(all, squared, k1.max(k2 - 1))?;
        let reciprocal = |k: usize| -> Vec<Vec<u32>> {
            (0..ranked.len() as u32).into_par_iter().map(|i| mutual(&ranked, i, k)).collect()
        };
        // Half of an odd k1 is rounded to even, as NumPy rounds.
        let (whole, half) = (reciprocal(k1), reciprocal(half_to_even(k1)));
        let weighted = |i: usize| -> Sparse {
            let members = expanded(&whole[i], &half);
            let weights: Vec<f64> = members
                .iter()
                .map(|&j| (-share(points.pair_distance(i, j as usize), farthest[i])).exp())
                .collect();
            let sum: f64 = weights.iter().sum();
            members.iter().zip(weights).map(|(&j, weight)| (j, (weight / sum) as f32)).collect()
        };
        let own: Vec<Sparse> = (0..ranked.len()).into_par_iter().map(weighted).collect();
        let vectors: Vec<Sparse> = ranked
            .par_iter()
            .map(|near| mean(near.iter().take(k2).map(|&near| &own[near as usize])))
            .collect();
        let mut inverted = vec![Vec::new(); vectors.len()];
        for (place, &row) in (0..).zip(&gallery) {
            for &(item, weight) in &vectors[row as usize] {
                inverted[item as usize].push((place, weight));
            }
        }
        Ok(Self { points, lambda, queries, gallery, farthest, vectors, inverted })
    }

    /// Number of queries.
    pub fn queries(&self) -> usize {
        self.queries.len()
    }

    /// Number of gallery items.
    pub fn gallery(&self) -> usize {
        self.gallery.len()
    }

    /// Calls `judge` with the row of every query and its distances to the whole gallery, and
    /// returns the results in the order of the queries. Memory is one tile per thread.
    pub fn sweep<T: Send>(&self, judge: impl Fn(usize, &mut [f32]) -> T + Sync) -> Vec<T> {
        let queries = self.points.reordered(&self.queries);
        let gallery = self.points.reordered(&self.gallery);
        queries.sweep(&gallery, |query, distances| {
            self.mix(query, distances);
            judge(query, distances)
        })
    }

    /// The matrix of all distances.
    ///
    /// # Shapes
    /// - result: Q×G
    pub fn distances(&self) -> Array2<f32> {
        let rows = self.sweep(|_, distances| distances.to_vec());
        let mut all = Array2::zeros((rows.len(), self.gallery()));
        for (mut line, row) in all.outer_iter_mut().zip(rows) {
            line.iter_mut().zip(row).for_each(|(out, distance)| *out = distance);
        }
        all
    }

    /// Turns squared distances of a query into (1 − λ)·J + λ·d.
    fn mix(&self, query: usize, distances: &mut [f32]) {
        let item = self.queries[query] as usize;
        let mut shared = vec![0.0_f32; distances.len()];
        for &(item, weight) in &self.vectors[item] {
            for &(place, other) in &self.inverted[item as usize] {
                shared[place as usize] += weight.min(other);
            }
        }
        for (distance, shared) in distances.iter_mut().zip(shared) {
            let jaccard = 1.0 - shared / (2.0 - shared);
            let before = share(*distance, self.farthest[item]) as f32;
            *distance = (1.0 - self.lambda) * jaccard + self.lambda * before;
        }
    }
}

/// The share of the largest distance. If all items are at one point, distances remain 0.
fn share(distance: f32, farthest: f32) -> f64 {
    if farthest > 0.0 { f64::from(distance) / f64::from(farthest) } else { 0.0 }
}

fn half_to_even(k: usize) -> usize {
    (k as f64 / 2.0).round_ties_even() as usize
}

/// For each item: the item, then its nearest others.
fn ranked(all: ArrayView2<f32>, metric: Metric, others: usize) -> Result<Vec<Vec<u32>>, Error> {
    let rows: Vec<u32> = (0..all.nrows() as u32).collect();
    let found = neighbors::nearest_leave_one_out(all, &rows, others, metric)?;
    let with_itself = |(row, near): (u32, Vec<neighbors::Neighbor>)| {
        std::iter::once(row).chain(near.into_iter().map(|near| near.index)).collect()
    };
    Ok(rows.into_iter().zip(found).map(with_itself).collect())
}

/// The j of N(i,k) with i in N(j,k).
fn mutual(ranked: &[Vec<u32>], i: u32, k: usize) -> Vec<u32> {
    let near = |i: u32| &ranked[i as usize][..ranked[i as usize].len().min(k + 1)];
    near(i).iter().copied().filter(|&j| near(j).contains(&i)).collect()
}

/// R(i): `whole` with the sets that its members add, in increasing order.
fn expanded(whole: &[u32], half: &[Vec<u32>]) -> Vec<u32> {
    let mut members = whole.to_vec();
    for &candidate in whole {
        let brought = &half[candidate as usize];
        let known = brought.iter().filter(|member| whole.contains(member)).count();
        if 3 * known > 2 * brought.len() {
            members.extend(brought);
        }
    }
    members.sort_unstable();
    members.dedup();
    members
}

/// The mean of sparse vectors.
fn mean<'a>(vectors: impl ExactSizeIterator<Item = &'a Sparse>) -> Sparse {
    let count = vectors.len() as f32;
    let mut all: Sparse = vectors.flatten().copied().collect();
    all.sort_by_key(|&(place, _)| place);
    let sum = |same: &[(u32, f32)]| same.iter().map(|&(_, weight)| weight).sum::<f32>();
    all.chunk_by(|x, y| x.0 == y.0).map(|same| (same[0].0, sum(same) / count)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vectors(rows: usize) -> Array2<f32> {
        Array2::from_shape_fn((rows, 5), |(i, j)| {
            ((i * 131 + j * 71 + i * i * (j + 3)) % 97) as f32 / 13.0
        })
    }

    #[test]
    fn lambda_one_keeps_the_order() {
        let x = vectors(40);
        let (queries, gallery) = x.view().split_at(Axis(0), 10);
        let parameters = KReciprocal { lambda: 1.0, ..KReciprocal::default() };
        let got =
            parameters.query_gallery(queries, gallery, Metric::default()).unwrap().distances();
        let plain = Metric::from(Distance::SquaredEuclidean).distances(queries, gallery).unwrap();
        let order = |row: ndarray::ArrayView1<f32>| {
            let mut order: Vec<usize> = (0..30).collect();
            order.sort_by(|&x, &y| row[x].total_cmp(&row[y]).then(x.cmp(&y)));
            order
        };
        for (got, plain) in got.outer_iter().zip(plain.outer_iter()) {
            let ordered: Vec<f32> = order(got).iter().map(|&column| plain[column]).collect();
            assert!(ordered.windows(2).all(|pair| pair[0] <= pair[1] * 1.00001));
        }
    }

    #[test]
    fn items_that_do_not_share_neighbours_are_at_jaccard_distance_one() {
        // Two clusters that are far apart, each with more items than k1.
        let x = Array2::from_shape_fn((40, 2), |(i, j)| {
            (if i % 2 == 0 { 0.0 } else { 100.0 }) + ((i * 7 + j * 3) % 11) as f32
        });
        let parameters = KReciprocal { k1: 5, k2: 3, lambda: 0.0 };
        let all = parameters.leave_one_out(x.view(), Metric::default()).unwrap().distances();
        for ((i, j), &distance) in all.indexed_iter() {
            match (i == j, i % 2 == j % 2) {
                (true, _) => assert!(distance.abs() < 1e-6),
                (_, true) => assert!((0.0..=1.0).contains(&distance)),
                (_, false) => assert_eq!(distance, 1.0),
            }
        }
    }

    #[test]
    fn an_item_that_queries_and_is_searched_is_there_once() {
        let x = vectors(30);
        let (parameters, metric) = (KReciprocal::default(), Metric::default());
        let all = parameters.leave_one_out(x.view(), metric).unwrap().distances();
        let (queries, gallery) = (vec![7, 2, 20], (10..30).collect::<Vec<u32>>());
        let some = parameters.among(x.view(), queries.clone(), gallery.clone(), metric).unwrap();
        for ((query, item), &distance) in some.distances().indexed_iter() {
            let expected = all[[queries[query] as usize, gallery[item] as usize]];
            assert!((distance - expected).abs() < 1e-6, "{distance} {expected}");
        }
        assert!(parameters.among(x.view(), vec![30], vec![1], metric).is_err());
    }

    #[test]
    fn few_items_and_one_place_are_no_trouble() {
        let parameters = KReciprocal::default();
        let same = Array2::<f32>::ones((3, 2));
        let all = parameters.leave_one_out(same.view(), Metric::default()).unwrap().distances();
        assert!(all.iter().all(|distance| distance.abs() < 1e-6));
        let nothing = Array2::<f32>::zeros((0, 2));
        let none = parameters.query_gallery(same.view(), nothing.view(), Metric::default());
        assert_eq!(none.unwrap().distances().dim(), (3, 0));
    }

    #[test]
    fn wrong_parameters_are_refused() {
        let x = vectors(4);
        let error = |parameters: KReciprocal| {
            parameters.leave_one_out(x.view(), Metric::default()).unwrap_err().to_string()
        };
        let plain = KReciprocal::default();
        assert_eq!(error(KReciprocal { k2: 0, ..plain }), "k2 is 0: expected at least 1");
        assert_eq!(
            error(KReciprocal { lambda: 1.5, ..plain }),
            "lambda is 1.5: expected a share from 0 to 1"
        );
        let wide = Array2::<f32>::ones((2, 6));
        assert!(matches!(
            plain.query_gallery(x.view(), wide.view(), Metric::default()),
            Err(Error::DimensionMismatch { queries: 5, gallery: 6 })
        ));
    }
}
