//! Vectors laid flat, to be looked at.

use ndarray::{Array2, ArrayView2};
use tercet::whitening::Pca;

/// A place in the plane for every row.
pub(super) struct Flat {
    /// N×2.
    pub(super) points: Array2<f32>,
    /// How they were found.
    pub(super) method: String,
}

/// The first two principal components; vectors of one dimension lie on a line.
pub(super) fn flat(vectors: ArrayView2<f32>) -> anyhow::Result<Flat> {
    let components = vectors.ncols().min(2);
    let pca = Pca::fit(vectors, components)?;
    let projected = pca.apply(vectors)?;
    let points = Array2::from_shape_fn((vectors.nrows(), 2), |(row, axis)| {
        projected.get((row, axis)).copied().unwrap_or(0.0)
    });
    let shown: f64 = pca.explained().iter().sum();
    Ok(Flat { points, method: format!("PCA, {:.1} % of the variance", 100.0 * shown) })
}
