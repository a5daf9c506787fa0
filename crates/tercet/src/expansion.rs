//! Query expansion and database-side augmentation: vectors that are moved towards their neighbours.

use ndarray::{Array2, ArrayView2};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::distance::Points;
use crate::neighbors::{self, Neighbor};
use crate::{Error, Metric, SameItems};

/// A vector x becomes Σ w(y)·y / Σ w(y) over itself, with weight 1, and its k nearest vectors y,
/// with weight max(0, cos(x, y))^α.
///
/// α = 0 is the average expansion of Chum et al. ("Total Recall", 2007); α = 3 is usual for
/// weighted expansion (Radenović, Tolias & Chum 2018). If the metric compares unit vectors, unit
/// vectors are averaged and the result is normalised.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Expansion {
    /// The number of neighbours. Default: 5.
    pub k: usize,
    /// The exponent of the similarity in the weight of a neighbour. Default: 0, with which all
    /// weights are equal.
    pub alpha: f32,
}

impl Default for Expansion {
    fn default() -> Self {
        Self { k: 5, alpha: 0.0 }
    }
}

impl Expansion {
    /// Expands queries by their nearest vectors in the gallery.
    ///
    /// # Shapes
    /// - queries: Q×D; gallery: G×D; result: Q×D
    ///
    /// # Errors
    /// `k` of 0; `alpha` that is negative or not a number; vectors that are not finite, that are
    /// too long, that have no dimensions, or whose dimensions differ.
    pub fn queries(
        &self,
        queries: ArrayView2<f32>,
        gallery: ArrayView2<f32>,
        metric: Metric,
    ) -> Result<Array2<f32>, Error> {
        self.queries_excluding(queries, gallery, metric, &SameItems::none(queries.nrows()))
    }

    /// [`queries`](Self::queries), where a query's own item in the gallery is not among its
    /// neighbours.
    ///
    /// # Errors
    /// The errors of [`queries`](Self::queries), and `same` of another number of queries or of a
    /// larger gallery.
    pub fn queries_excluding(
        &self,
        queries: ArrayView2<f32>,
        gallery: ArrayView2<f32>,
        metric: Metric,
        same: &SameItems,
    ) -> Result<Array2<f32>, Error> {
        self.check()?;
        let near = neighbors::nearest_excluding(queries, gallery, self.k, metric, same)?;
        let gallery = Points::new(gallery, metric)?;
        let queries = gallery.beside(queries)?;
        Ok(self.expand(&queries, &gallery, &near, metric))
    }

    /// Replaces each item of a database by itself and its nearest others (Turcot & Lowe 2009;
    /// Arandjelović & Zisserman 2012).
    ///
    /// # Shapes
    /// - embeddings: N×D; result: N×D
    ///
    /// # Errors
    /// The errors of [`queries`](Self::queries).
    pub fn database(
        &self,
        embeddings: ArrayView2<f32>,
        metric: Metric,
    ) -> Result<Array2<f32>, Error> {
        self.check()?;
        let rows: Vec<u32> = (0..embeddings.nrows() as u32).collect();
        let near = neighbors::nearest_leave_one_out(embeddings, &rows, self.k, metric)?;
        let points = Points::new(embeddings, metric)?;
        Ok(self.expand(&points, &points, &near, metric))
    }

    fn check(&self) -> Result<(), Error> {
        if !(self.alpha >= 0.0 && self.alpha.is_finite()) {
            return Err(Error::parameter(
                "alpha",
                self.alpha.to_string(),
                "a finite power of at least 0",
            ));
        }
        Ok(())
    }

    fn expand(
        &self,
        queries: &Points,
        gallery: &Points,
        near: &[Vec<Neighbor>],
        metric: Metric,
    ) -> Array2<f32> {
        let mut out = Array2::zeros((queries.len(), queries.dimensions()));
        let width = queries.dimensions();
        let lines = out.as_slice_mut().unwrap_or_default().par_chunks_mut(width);
        lines.zip(near).enumerate().for_each(|(query, (line, near))| {
            let own = queries.row(query);
            let mut sum: Vec<f64> = own.iter().map(|&x| f64::from(x)).collect();
            let mut weights = 1.0;
            for neighbor in near {
                let other = gallery.row(neighbor.index as usize);
                let weight = cosine(own, other).max(0.0).powf(f64::from(self.alpha));
                weights += weight;
                sum.iter_mut().zip(other).for_each(|(sum, &x)| *sum += weight * f64::from(x));
            }
            let norm = sum.iter().map(|x| x * x).sum::<f64>().sqrt();
            let scale = match metric.on_sphere() {
                true if norm > 0.0 => 1.0 / norm,
                true => 0.0,
                false => 1.0 / weights,
            };
            line.iter_mut().zip(sum).for_each(|(out, x)| *out = (x * scale) as f32);
        });
        out
    }
}

/// x·y / (‖x‖‖y‖), and 0 for a zero vector.
fn cosine(x: &[f32], y: &[f32]) -> f64 {
    let dot = |x: &[f32], y: &[f32]| -> f64 {
        x.iter().zip(y).map(|(&x, &y)| f64::from(x) * f64::from(y)).sum()
    };
    let norms = (dot(x, x) * dot(y, y)).sqrt();
    if norms > 0.0 { dot(x, y) / norms } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;
    use crate::Distance;

    #[test]
    fn the_average_is_plain() {
        let gallery = array![[2.0_f32, 0.0], [4.0, 3.0], [90.0, 90.0]];
        let expansion = Expansion { k: 2, alpha: 0.0 };
        let got = expansion
            .queries(array![[0.0_f32, 0.0]].view(), gallery.view(), Metric::default())
            .unwrap();
        assert_eq!(got, array![[2.0_f32, 1.0]]);
    }

    #[test]
    fn similar_neighbours_weigh_more() {
        let gallery = array![[3.0_f32, 0.0], [0.0, 5.0], [-1.0, 0.0]];
        let metric = Metric::from(Distance::Cosine);
        let expansion = Expansion { k: 3, alpha: 1.0 };
        let got = expansion.queries(array![[2.0_f32, 2.0]].view(), gallery.view(), metric).unwrap();
        // Both are at 45 degrees, and the third is in the opposite direction: the direction does
        // not change.
        let half = 0.5_f32.sqrt();
        assert!((got[[0, 0]] - half).abs() < 1e-6 && (got[[0, 1]] - half).abs() < 1e-6);
        let sharp = Expansion { k: 3, alpha: 3.0 };
        let got = sharp.queries(array![[2.0_f32, 1.0]].view(), gallery.view(), metric).unwrap();
        assert!(got[[0, 0]] / got[[0, 1]] > 2.0);
    }

    #[test]
    fn an_item_of_a_database_counts_once() {
        let items = array![[0.0_f32], [2.0], [3.0]];
        let got = Expansion { k: 1, alpha: 0.0 }.database(items.view(), Metric::default()).unwrap();
        assert_eq!(got, array![[1.0_f32], [2.5], [2.5]]);
    }

    #[test]
    fn a_query_is_not_expanded_by_itself() {
        let items = array![[0.0_f32], [2.0], [3.0]];
        let expansion = Expansion { k: 1, alpha: 0.0 };
        let same = SameItems::by_key([0, 1, 2], [0, 1, 2]);
        let (x, metric) = (items.view(), Metric::default());
        let got = expansion.queries_excluding(x, x, metric, &same).unwrap();
        assert_eq!(got, expansion.database(x, metric).unwrap());
        assert_eq!(expansion.queries(x, x, metric).unwrap(), items);
    }

    #[test]
    fn wrong_parameters_are_refused() {
        let items = array![[0.0_f32], [2.0]];
        let error = |expansion: Expansion| {
            expansion.database(items.view(), Metric::default()).unwrap_err().to_string()
        };
        assert_eq!(error(Expansion { k: 0, alpha: 0.0 }), "k is 0: expected at least 1");
        assert_eq!(
            error(Expansion { k: 1, alpha: -1.0 }),
            "alpha is -1: expected a finite power of at least 0"
        );
    }
}
