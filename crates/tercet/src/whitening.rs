//! Principal components: fewer dimensions, or all with the same weight.

use ndarray::{Array1, Array2, ArrayView2, Axis, s};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::{Error, eigen};

/// The directions in which vectors vary most, fitted on one set and applied to any.
///
/// With mean μ and covariance C = Σ (x−μ)(x−μ)ᵀ / (N−1) of the vectors of the fit, a vector x
/// becomes W(x − μ), where row i of W is the unit eigenvector of C with the i-th largest eigenvalue
/// λ(i), with a sign that makes its entry of largest size positive. Whitened, row i is divided by
/// √λ(i), so that every component of the fitted set has variance 1 (Jégou & Chum, "Negative
/// evidences and co-occurrences in image retrieval", 2012). Evaluate whether that helps. All
/// arithmetic is f64.
///
/// ```
/// use ndarray::array;
/// use tercet::whitening::Pca;
/// let vectors = array![[0.0_f32, 0.0], [3.0, 4.0], [6.0, 8.0]];
/// let pca = Pca::fit(vectors.view(), 1)?;
/// assert_eq!(pca.apply(vectors.view())?, array![[-5.0_f32], [0.0], [5.0]]);
/// assert_eq!(pca.explained(), [1.0]);
/// # Ok::<(), tercet::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Stored")]
pub struct Pca {
    /// μ.
    mean: Vec<f64>,
    /// The unit eigenvectors, one after the other.
    directions: Vec<f64>,
    /// λ of each direction.
    variances: Vec<f64>,
    /// The variance of all directions, including those left out.
    total_variance: f64,
    whiten: bool,
}

/// [`Pca`] as it is in a file, before its shape is checked.
#[derive(Deserialize)]
struct Stored {
    mean: Vec<f64>,
    directions: Vec<f64>,
    variances: Vec<f64>,
    total_variance: f64,
    whiten: bool,
}

impl TryFrom<Stored> for Pca {
    type Error = String;

    fn try_from(stored: Stored) -> Result<Self, String> {
        let Stored { mean, directions, variances, total_variance, whiten } = stored;
        let (components, dimensions, got) = (variances.len(), mean.len(), directions.len());
        if got != components * dimensions {
            return Err(format!(
                "directions hold {got} numbers: expected {components} components of {dimensions} dimensions"
            ));
        }
        Ok(Self { mean, directions, variances, total_variance, whiten })
    }
}

/// Below this share of the largest variance, a direction holds only rounding errors: whitening sets
/// it to 0 instead of amplifying them.
const NO_VARIANCE: f64 = 1e-10;

/// The number of rows that are added to the covariance at once, and of its columns that a thread
/// computes.
const ROWS: usize = 1024;
const COLUMNS: usize = 64;

impl Pca {
    /// The first `components` principal components of the rows.
    ///
    /// Time is O(N·D² + D³); memory is a few times D² f64 values.
    ///
    /// # Shapes
    /// - embeddings: N×D
    ///
    /// # Errors
    /// Fewer than two rows; `components` of 0 or above D; vectors that are not finite or without
    /// dimensions.
    pub fn fit(embeddings: ArrayView2<f32>, components: usize) -> Result<Self, Error> {
        let (rows, dimensions) = embeddings.dim();
        check(embeddings)?;
        if rows < 2 {
            return Err(Error::NotEnough {
                what: "a principal component",
                expected: "at least two rows".to_owned(),
                got: rows.to_string(),
            });
        }
        if components == 0 || components > dimensions {
            return Err(Error::parameter(
                "components",
                format!("{components} of {dimensions} dimensions"),
                "at least 1 and at most one a dimension",
            ));
        }
        let mean: Array1<f64> =
            embeddings.outer_iter().fold(Array1::zeros(dimensions), |mut sum: Array1<f64>, row| {
                sum.zip_mut_with(&row, |sum, &x| *sum += f64::from(x));
                sum
            }) / rows as f64;
        let covariance = covariance(embeddings, &mean);
        let total_variance = (0..dimensions).map(|i| covariance[i * dimensions + i]).sum();
        let eigen = eigen::symmetric(covariance, dimensions);
        let mut directions = Vec::with_capacity(components * dimensions);
        for direction in &eigen.vectors[..components] {
            let largest = direction
                .iter()
                .fold(0.0_f64, |most, &x| if x.abs() > most.abs() { x } else { most });
            directions.extend(direction.iter().map(|x| x * 1.0_f64.copysign(largest)));
        }
        let variances = eigen.values[..components].iter().map(|value| value.max(0.0)).collect();
        Ok(Self { mean: mean.to_vec(), directions, variances, total_variance, whiten: false })
    }

    /// The same directions, each scaled to variance 1. A direction without variance becomes 0.
    pub fn whitened(self) -> Self {
        Self { whiten: true, ..self }
    }

    /// Whether components are scaled to variance 1.
    pub fn is_whitening(&self) -> bool {
        self.whiten
    }

    /// D, the dimensions of the vectors that it takes.
    pub fn dimensions(&self) -> usize {
        self.mean.len()
    }

    /// The number of components, which are the dimensions of the result.
    pub fn components(&self) -> usize {
        self.variances.len()
    }

    /// The directions: a unit vector of D entries for each component, orthogonal to the others.
    pub fn directions(&self) -> ArrayView2<'_, f64> {
        let shape = (self.components(), self.dimensions());
        let directions = ArrayView2::from_shape(shape, &self.directions);
        directions.unwrap_or_else(|_| unreachable!("a direction has an entry for each dimension"))
    }

    /// The share of the variance that each component holds, in falling order.
    pub fn explained(&self) -> Vec<f64> {
        let share = |variance: &f64| match self.total_variance > 0.0 {
            true => variance / self.total_variance,
            false => 0.0,
        };
        self.variances.iter().map(share).collect()
    }

    /// The components of each row.
    ///
    /// # Shapes
    /// - embeddings: M×D; result: M×components
    ///
    /// # Errors
    /// Vectors of another dimension than those it was fitted on, or not finite.
    pub fn apply(&self, embeddings: ArrayView2<f32>) -> Result<Array2<f32>, Error> {
        let dimensions = self.dimensions();
        if embeddings.ncols() != dimensions {
            return Err(Error::DimensionMismatch {
                queries: embeddings.ncols(),
                gallery: dimensions,
            });
        }
        check(embeddings)?;
        let most = self.variances.first().copied().unwrap_or(0.0);
        let scale = |component: usize| match (self.whiten, self.variances[component]) {
            (false, _) => 1.0,
            (true, variance) if variance > NO_VARIANCE * most => 1.0 / variance.sqrt(),
            (true, _) => 0.0,
        };
        // As the right operand of a product: D×components.
        let weights = Array2::from_shape_fn((dimensions, self.components()), |(d, component)| {
            self.directions[component * dimensions + d] * scale(component)
        });
        let mean = Array1::from(self.mean.clone());
        let mut out = Array2::<f32>::zeros((embeddings.nrows(), self.components()));
        let parts: Vec<_> = out
            .axis_chunks_iter_mut(Axis(0), ROWS)
            .zip(embeddings.axis_chunks_iter(Axis(0), ROWS))
            .collect();
        parts.into_par_iter().for_each(|(mut out, rows)| {
            let projected = (rows.mapv(f64::from) - &mean).dot(&weights);
            out.zip_mut_with(&projected, |out, &x| *out = x as f32);
        });
        Ok(out)
    }
}

fn check(embeddings: ArrayView2<f32>) -> Result<(), Error> {
    if embeddings.ncols() == 0 {
        return Err(Error::NoDimensions);
    }
    let bad = embeddings.indexed_iter().find(|(_, value)| !value.is_finite());
    match bad {
        Some(((row, column), &value)) => Err(Error::NotFinite { row, column, value }),
        None => Ok(()),
    }
}

/// The covariance, D×D, row-major, symmetric to the last bit.
fn covariance(embeddings: ArrayView2<f32>, mean: &Array1<f64>) -> Vec<f64> {
    let (rows, dimensions) = embeddings.dim();
    let mut sums = vec![0.0; dimensions * dimensions];
    for chunk in embeddings.axis_chunks_iter(Axis(0), ROWS) {
        let centred = chunk.mapv(f64::from) - mean;
        let parts = sums.par_chunks_mut(COLUMNS * dimensions).enumerate();
        parts.for_each(|(part, sums)| {
            let start = part * COLUMNS;
            let end = dimensions.min(start + COLUMNS);
            // Rows start..end of the covariance, from the diagonal block on.
            let product =
                centred.slice(s![.., start..end]).t().dot(&centred.slice(s![.., start..]));
            for (sums, product) in sums.chunks_exact_mut(dimensions).zip(product.outer_iter()) {
                for (sum, x) in sums[start..].iter_mut().zip(product) {
                    *sum += x;
                }
            }
        });
    }
    for i in 0..dimensions {
        for j in i..dimensions {
            let value = sums[i * dimensions + j] / (rows - 1) as f64;
            sums[i * dimensions + j] = value;
            sums[j * dimensions + i] = value;
        }
    }
    sums
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn vectors(rows: usize, dimensions: usize) -> Array2<f32> {
        Array2::from_shape_fn((rows, dimensions), |(i, j)| {
            ((i * 131 + j * 71 + i * i * (j + 3)) % 97) as f32 / 13.0 * (1.0 + j as f32 / 7.0)
        })
    }

    fn variances(vectors: &Array2<f32>) -> Vec<f64> {
        vectors.mapv(f64::from).var_axis(Axis(0), 1.0).to_vec()
    }

    #[test]
    fn whitened_components_are_uncorrelated_with_variance_one() {
        let x = vectors(200, 12);
        let white = Pca::fit(x.view(), 12).unwrap().whitened();
        let y = white.apply(x.view()).unwrap().mapv(f64::from);
        let covariance = y.t().dot(&y) / 199.0;
        for ((i, j), &got) in covariance.indexed_iter() {
            let expected = if i == j { 1.0 } else { 0.0 };
            assert!((got - expected).abs() < 1e-5, "{got} at {i}, {j}");
        }
    }

    #[test]
    fn directions_without_variance_become_zero() {
        let mut x = vectors(50, 6);
        for mut row in x.outer_iter_mut() {
            row[4] = row[0] + row[1];
            row[5] = 7.0;
        }
        let white = Pca::fit(x.view(), 6).unwrap().whitened();
        let y = white.apply(x.view()).unwrap();
        assert!(variances(&y)[..4].iter().all(|variance| (variance - 1.0).abs() < 1e-4));
        assert!(y.slice(s![.., 4..]).iter().all(|&value| value == 0.0));
    }

    #[test]
    fn it_survives_a_file() {
        let x = vectors(40, 5);
        let pca = Pca::fit(x.view(), 3).unwrap().whitened();
        let text = serde_json::to_string(&pca).unwrap();
        let read: Pca = serde_json::from_str(&text).unwrap();
        let short = text.replacen("\"mean\":[", "\"mean\":[0.5,", 1);
        let error = serde_json::from_str::<Pca>(&short).unwrap_err().to_string();
        assert!(error.starts_with("directions hold "), "{error}");
        // Text may change the last bit of an f64.
        let (kept, again) = (pca.apply(x.view()).unwrap(), read.apply(x.view()).unwrap());
        assert!((kept - again).iter().all(|difference| difference.abs() < 1e-6));
    }

    #[test]
    fn wrong_questions_are_refused() {
        let x = vectors(9, 4);
        let error = Pca::fit(x.view(), 5).unwrap_err();
        assert_eq!(
            error.to_string(),
            "components is 5 of 4 dimensions: expected at least 1 and at most one a dimension"
        );
        assert!(Pca::fit(vectors(1, 4).view(), 1).is_err());
        let pca = Pca::fit(x.view(), 2).unwrap();
        assert!(matches!(
            pca.apply(vectors(2, 3).view()),
            Err(Error::DimensionMismatch { queries: 3, gallery: 4 })
        ));
        let mut nan = vectors(3, 4);
        nan[[1, 2]] = f32::NAN;
        assert!(matches!(pca.apply(nan.view()), Err(Error::NotFinite { row: 1, column: 2, .. })));
    }

    proptest! {
        #[test]
        fn all_components_together_keep_distances(rows in 2_usize..40, dimensions in 1_usize..9) {
            let x = vectors(rows, dimensions);
            let y = Pca::fit(x.view(), dimensions).unwrap().apply(x.view()).unwrap();
            for (a, b) in x.outer_iter().zip(y.outer_iter()) {
                for (c, d) in x.outer_iter().zip(y.outer_iter()) {
                    let before = (&a - &c).mapv(|x| x * x).sum().sqrt();
                    let after = (&b - &d).mapv(|x| x * x).sum().sqrt();
                    prop_assert!((before - after).abs() < 1e-4 * before.max(1.0));
                }
            }
            let spread = variances(&y);
            prop_assert!(spread.windows(2).all(|pair| pair[0] >= pair[1] - 1e-3));
        }
    }
}
