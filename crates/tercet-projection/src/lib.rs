//! Projections of embeddings onto a map of two dimensions: principal components, and t-SNE with the
//! feature `tsne` (default).
//!
//! t-SNE brings a dozen other crates, which training and evaluation do not need.

use ndarray::{Array2, ArrayView2};
use serde::{Deserialize, Serialize};

use tercet::plane::{compared_vectors, principal_plane};
use tercet::{Error, Metric, named};

/// The largest number of vectors for t-SNE, which take about twenty seconds on one core.
pub const PLACED_ITEMS: usize = 10_000;

/// The algorithm that computes the two dimensions of a map.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Projection {
    /// `pca`: the first two principal components. Distances on the map are never larger than those
    /// between the vectors.
    #[default]
    Pca,
    /// `t-sne` (van der Maaten & Hinton 2008; Barnes–Hut 2014, by the crate bhtsne): neighbours
    /// remain neighbours, but large distances, sizes and densities of groups have no meaning. For
    /// up to [`PLACED_ITEMS`] vectors, in builds with the feature `tsne`. The perplexity is 30, or
    /// a third of the number of other vectors if these are fewer than 90; 1,000 steps start from
    /// the first two principal components.
    TSne,
}

named!(Projection, "projection", [Pca = "pca", TSne = "t-sne"]);

impl Projection {
    /// The projection of this build that shows the most: t-SNE, or principal components in a build
    /// without the feature `tsne`.
    pub fn best() -> Self {
        if cfg!(feature = "tsne") { Self::TSne } else { Self::Pca }
    }

    /// Checks that this build has the projection. Call it before long work that ends in a map.
    ///
    /// # Errors
    /// t-SNE in a build without the feature `tsne`.
    pub fn check(self) -> Result<(), Error> {
        match self {
            Self::TSne if !cfg!(feature = "tsne") => Err(Error::NotBuilt { what: "t-SNE" }),
            Self::Pca | Self::TSne => Ok(()),
        }
    }

    /// Computes a point of the map for every row, from the vectors that the metric compares (unit
    /// vectors for cosine). There are no random draws: the same rows give the same map.
    ///
    /// # Shapes
    /// - embeddings: N×D; result: N×2 (the second column 0 for D = 1)
    ///
    /// # Errors
    /// Fewer than two rows, for t-SNE four; more than [`PLACED_ITEMS`] for t-SNE; t-SNE in a build
    /// without it; vectors that are not finite, too long, or without dimensions.
    pub fn map(self, embeddings: ArrayView2<f32>, metric: Metric) -> Result<Array2<f32>, Error> {
        self.check()?;
        let vectors = compared_vectors(embeddings, metric)?;
        let plane = principal_plane(vectors.view())?;
        match self {
            Self::Pca => Ok(plane),
            Self::TSne => t_sne(vectors.view(), plane),
        }
    }
}

#[cfg(not(feature = "tsne"))]
fn t_sne(_: ArrayView2<f32>, _: Array2<f32>) -> Result<Array2<f32>, Error> {
    Err(Error::NotBuilt { what: "t-SNE" })
}

/// θ of Barnes & Hut, the same as in scikit-learn: how near a cell may be before its parts are
/// used.
#[cfg(feature = "tsne")]
const THETA: f32 = 0.5;

#[cfg(feature = "tsne")]
fn t_sne(vectors: ArrayView2<f32>, start: Array2<f32>) -> Result<Array2<f32>, Error> {
    let rows: Vec<u32> = (0..vectors.nrows() as u32).collect();
    if rows.len() > PLACED_ITEMS {
        return Err(Error::TooManyItems {
            what: "t-SNE",
            limit: PLACED_ITEMS,
            got: rows.len(),
            advice: "a map of more is too full to read; place a sample, or use pca",
        });
    }
    if rows.len() < 4 {
        return Err(Error::NotEnough {
            what: "t-SNE",
            expected: "at least four rows".to_owned(),
            got: rows.len().to_string(),
        });
    }
    let perplexity = ((rows.len() - 1) as f32 / 3.0).min(30.0);
    let near = tercet::neighbors::nearest_leave_one_out(
        vectors,
        &rows,
        (3.0 * perplexity) as usize,
        Metric::default(),
    )?;
    let near: Vec<Vec<bhtsne::Neighbor<f32>>> = near
        .into_iter()
        .map(|near| {
            let each = near.into_iter();
            each.map(|n| bhtsne::Neighbor { index: n.index as usize, distance: n.distance })
                .collect()
        })
        .collect();
    let width = start.column(0).iter().fold(0.0_f32, |most, x| most.max(x.abs()));
    if width == 0.0 {
        // All rows are at one point, so there is nothing to separate.
        return Ok(start);
    }
    // The width with which scikit-learn starts.
    let start: Vec<f32> = start.iter().map(|x| x * (1e-4 / width)).collect();
    // One thread, because the order of the sums over threads, and with it the map, would depend on
    // timing.
    let alone = rayon::ThreadPoolBuilder::new().num_threads(1).build().map_err(|error| {
        Error::NotEnough {
            what: "t-SNE",
            expected: "a thread of its own".to_owned(),
            got: error.to_string(),
        }
    })?;
    let placed = alone.install(|| {
        let mut map: bhtsne::tSNE<f32, u32> = bhtsne::tSNE::new(&rows);
        map.perplexity(perplexity).initial_embedding(start).barnes_hut_with_neighbors(THETA, &near);
        map.embedding()
    });
    Ok(Array2::from_shape_fn((rows.len(), 2), |(row, axis)| placed[2 * row + axis]))
}

#[cfg(test)]
mod tests {
    use tercet::Distance;
    #[cfg(feature = "tsne")]
    use tercet::{Labels, Retrieval};

    use super::*;

    /// Vectors of six groups; vector i belongs to group i mod 6.
    fn blobs(items: usize) -> Array2<f32> {
        Array2::from_shape_fn((items, 8), |(i, j)| {
            let noise = ((i * 131 + j * 71 + i * i * (j + 3)) % 97) as f32 / 97.0;
            noise + if i % 6 == j { 4.0 } else { 0.0 }
        })
    }

    #[cfg(feature = "tsne")]
    #[test]
    fn neighbours_stay_neighbours_on_the_map() {
        let (vectors, labels) = (blobs(240), Labels::from_iter((0..240).map(|i| i % 6)));
        let map = Projection::TSne.map(vectors.view(), Metric::default()).unwrap();
        let evaluated = Retrieval::leave_one_out(map.view(), &labels, Metric::default()).unwrap();
        assert!(evaluated.recall_at(1).unwrap() > 0.99, "{evaluated:?}");
        for _ in 0..3 {
            assert_eq!(Projection::TSne.map(vectors.view(), Metric::default()).unwrap(), map);
        }
    }

    #[test]
    fn few_vectors_and_one_dimension_have_a_map() {
        for projection in Projection::ALL.into_iter().filter(|choice| choice.check().is_ok()) {
            let line = Array2::from_shape_fn((5, 1), |(i, _)| i as f32);
            let map = projection.map(line.view(), Metric::default()).unwrap();
            assert_eq!(map.dim(), (5, 2));
            assert!(map.iter().all(|x| x.is_finite()), "{projection}: {map}");
            let same = projection.map(Array2::ones((7, 3)).view(), Metric::default()).unwrap();
            assert!(same.iter().all(|x| x.is_finite()), "{projection}: {same}");
        }
        let flat = Projection::Pca.map(blobs(9).view(), Distance::Cosine.into()).unwrap();
        assert_eq!(flat.dim(), (9, 2));
    }

    #[cfg(not(feature = "tsne"))]
    #[test]
    fn a_build_without_t_sne_says_how_to_get_it() {
        assert_eq!(Projection::best(), Projection::Pca);
        let refused = Projection::TSne.map(blobs(30).view(), Metric::default()).unwrap_err();
        assert_eq!(
            refused.to_string(),
            "this build has no t-SNE: cargo install --path crates/tercet-cli --features full"
        );
    }

    #[cfg(feature = "tsne")]
    #[test]
    fn what_cannot_be_placed_is_refused() {
        let place =
            |rows: usize| Projection::TSne.map(Array2::ones((rows, 2)).view(), Metric::default());
        assert_eq!(place(3).unwrap_err().to_string(), "t-SNE needs at least four rows, got 3");
        assert_eq!(
            place(PLACED_ITEMS + 1).unwrap_err().to_string(),
            "t-SNE takes up to 10000 items, got 10001: a map of more is too full to read; \
             place a sample, or use pca"
        );
    }
}

/// Compiles the example of the README as a test.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
