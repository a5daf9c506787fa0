//! Distances between embeddings, computed a tile of rows at a time.
//!
//! The fast path is the Gram form ‖x−y‖² = ‖x‖² + ‖y‖² − 2x·y, one matrix product a tile. Where it
//! would cancel (the two vectors are close compared with their length) the pair is measured again
//! by differences, so that near-duplicates keep their relative precision.

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

/// How far apart two embeddings x and y are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Distance {
    /// ‖x − y‖₂. Its gradient at distance 0 is defined as 0.
    #[default]
    Euclidean,
    /// ‖x − y‖₂².
    SquaredEuclidean,
    /// 1 − x·y / (‖x‖‖y‖). A zero vector has distance 1 to everything, and gradient 0.
    Cosine,
}

named!(
    Distance,
    "distance",
    [Euclidean = "euclidean", SquaredEuclidean = "squared-euclidean", Cosine = "cosine",]
);

/// Vectors shorter than this count as zero where only their direction matters.
const SHORTEST: f64 = 1e-30;

/// A [`Distance`], optionally between L2-normalised vectors x/‖x‖.
///
/// A zero vector stays zero when normalised, and receives gradient 0; so does one shorter than
/// 1e-30, whose gradient, that of its direction over its length, would leave the range of f32.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Metric {
    /// How far apart two vectors are.
    pub distance: Distance,
    /// Whether vectors are L2-normalised first. Default: no.
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
    /// - result: Q×G. Meant for a handful of vectors; the protocols of this crate never hold such a
    ///   matrix.
    ///
    /// # Errors
    /// Vectors that are not finite, too long, without dimensions, or of different dimensions.
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

    /// The vectors that the distance is taken between: checked, and of unit length where the metric
    /// looks at directions only. There a zero vector stays zero.
    ///
    /// # Shapes
    /// - vectors and result: N×D
    ///
    /// # Errors
    /// Vectors that are not finite, too long, or without dimensions.
    pub fn rows(self, vectors: ArrayView2<f32>) -> Result<Array2<f32>, Error> {
        Points::checked(vectors, self)
    }

    /// The distance of two of those [`rows`](Self::rows) that lie ‖x − y‖² = `squared` apart.
    ///
    /// Rising in `squared`, so that the nearest are the same for every metric over the same rows.
    pub fn from_squared(self, squared: f32) -> f32 {
        match self.distance {
            Distance::Euclidean => squared.sqrt(),
            Distance::SquaredEuclidean => squared,
            Distance::Cosine => squared / 2.0,
        }
    }

    /// Whether distances are taken between unit vectors.
    pub fn on_sphere(self) -> bool {
        self.normalize || self.distance == Distance::Cosine
    }
}
