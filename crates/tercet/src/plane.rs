//! The plane of the first two principal components of embeddings.

use ndarray::{Array2, ArrayView2};

use crate::distance::Points;
use crate::whitening::Pca;
use crate::{Distance, Error, Metric};

/// The vectors that a metric compares: x, or x/‖x‖ under a metric of directions. Euclidean distances
/// between them are in the order of the metric.
///
/// # Shapes
/// - embeddings: N×D; result: N×D
///
/// # Errors
/// Vectors that are not finite, too long, or without dimensions.
pub fn compared_vectors(embeddings: ArrayView2<f32>, metric: Metric) -> Result<Array2<f32>, Error> {
    let euclidean = Metric { distance: Distance::Euclidean, normalize: metric.on_sphere() };
    let points = Points::new(embeddings, euclidean)?;
    Ok(Array2::from_shape_fn(embeddings.dim(), |(row, column)| points.row(row)[column]))
}

/// The first two principal components of every row; the second is 0 for D = 1.
///
/// # Shapes
/// - vectors: N×D; result: N×2
///
/// # Errors
/// Fewer than two rows; vectors that are not finite, or without dimensions.
pub fn principal_plane(vectors: ArrayView2<f32>) -> Result<Array2<f32>, Error> {
    let pca = Pca::fit(vectors, vectors.ncols().min(2))?;
    let components = pca.apply(vectors)?;
    Ok(Array2::from_shape_fn((vectors.nrows(), 2), |(row, axis)| {
        components.row(row).get(axis).copied().unwrap_or(0.0)
    }))
}
