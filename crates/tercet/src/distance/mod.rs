//! Distances between embeddings, computed for a tile of rows at a time.
//!
//! The fast path is the Gram form ‖x−y‖² = ‖x‖² + ‖y‖² − 2x·y, one matrix product per tile. Where
//! it would cancel (the two vectors are close compared with their length), the distance of the pair
//! is computed again from differences, so that near-duplicates keep their relative precision.

mod nearest;
mod points;
#[cfg(any(test, feature = "reference"))]
pub(crate) mod reference;
mod sweep;

pub(crate) use points::{Close, Points, multiply};

use std::fmt;

use ndarray::{Array2, ArrayView2};
use serde::{Deserialize, Serialize};

use crate::{Error, named};

/// The distance of two embeddings x and y.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Distance {
    /// ‖x − y‖₂. Its gradient at distance 0 is defined as 0.
    #[default]
    Euclidean,
    /// ‖x − y‖₂².
    SquaredEuclidean,
    /// 1 − x·y / (‖x‖‖y‖). A zero vector has distance 1 to every vector, and gradient 0.
    Cosine,
}

named!(
    Distance,
    "distance",
    [Euclidean = "euclidean", SquaredEuclidean = "squared-euclidean", Cosine = "cosine",]
);

/// Vectors shorter than this count as zero in metrics that depend only on their direction.
const SHORTEST: f64 = 1e-30;

/// A [`Distance`], optionally between L2-normalised vectors x/‖x‖.
///
/// A zero vector stays zero when it is normalised, and receives gradient 0. So does a vector
/// shorter than 1e-30, because its gradient, which is divided by its length, would leave the range
/// of f32.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Metric {
    /// The distance of two vectors.
    pub distance: Distance,
    /// Whether vectors are L2-normalised before the distance is computed. Default: no.
    pub normalize: bool,
}

impl From<Distance> for Metric {
    fn from(distance: Distance) -> Self {
        Self { distance, normalize: false }
    }
}

impl fmt::Display for Metric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.normalize {
            f.write_str("normalised ")?;
        }
        f.write_str(self.distance.name())
    }
}

impl Metric {
    /// The distance of every query to every gallery vector.
    ///
    /// # Shapes
    /// - queries: Q×D, gallery: G×D
    /// - result: Q×G, all of it in memory. It is meant for a few vectors; the evaluation protocols
    ///   of this crate never hold such a matrix.
    ///
    /// # Errors
    /// Vectors that are not finite, that are too long, that have no dimensions, or whose dimensions
    /// differ.
    pub fn distances(
        self,
        queries: ArrayView2<f32>,
        gallery: ArrayView2<f32>,
    ) -> Result<Array2<f32>, Error> {
        let gallery = Points::new(gallery, self)?;
        let queries = gallery.beside(queries)?;
        let mut distances = Array2::zeros((queries.len(), gallery.len()));
        if let Some(out) = distances.as_slice_mut() {
            queries.tile(0..queries.len(), &gallery, out, None);
        }
        Ok(distances)
    }

    /// Checks vectors and returns those between which the distance is computed: x/‖x‖ if the metric
    /// depends only on directions, where a zero vector stays zero, and x otherwise.
    ///
    /// # Shapes
    /// - vectors and result: N×D
    ///
    /// # Errors
    /// Vectors that are not finite, that are too long, or that have no dimensions.
    pub fn rows(self, vectors: ArrayView2<f32>) -> Result<Array2<f32>, Error> {
        Points::checked(vectors, self)
    }

    /// The distance of two [`rows`](Self::rows) x and y with ‖x − y‖² = `squared`.
    ///
    /// It increases with `squared`, so that the nearest rows are the same for every metric over the
    /// same rows.
    pub fn from_squared(self, squared: f32) -> f32 {
        match self.distance {
            Distance::Euclidean => squared.sqrt(),
            Distance::SquaredEuclidean => squared,
            Distance::Cosine => squared / 2.0,
        }
    }

    /// Whether distances are computed between unit vectors.
    pub fn on_sphere(self) -> bool {
        self.normalize || self.distance == Distance::Cosine
    }
}
