//! Adapters: maps from the vectors of one model into the space of another.
//!
//! When a model is replaced, the vectors that the old one computed cannot be compared with those of
//! the new one. Where both vectors of some items are known, a map y = A·x + b from old to new can be
//! fitted to these pairs, and then applied to all old vectors, also to those of items whose pictures
//! no longer exist. How good it is must be measured on items to which it was not fitted.

mod procrustes;
mod ridge;

use ndarray::{Array1, Array2, ArrayView2};
use serde::{Deserialize, Serialize};

use crate::Error;

/// An affine map y = A·x + b, fitted to pairs of vectors.
///
/// ```
/// use ndarray::array;
/// use tercet::Adapter;
/// // The new model turns the plane by 90 degrees.
/// let old = array![[1.0_f32, 0.0], [0.0, 1.0], [0.6, 0.8]];
/// let new = array![[0.0_f32, 1.0], [-1.0, 0.0], [-0.8, 0.6]];
/// let adapter = Adapter::procrustes(old.view(), new.view())?;
/// let adapted = adapter.apply(array![[0.8_f32, 0.6]].view())?;
/// assert!((adapted[[0, 0]] + 0.6).abs() < 1e-6 && (adapted[[0, 1]] - 0.8).abs() < 1e-6);
/// # Ok::<(), tercet::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Stored")]
pub struct Adapter {
    kind: Kind,
    /// A, row by row: D' rows of D entries.
    matrix: Vec<f64>,
    /// b, of D' entries.
    offset: Vec<f64>,
}

/// How an adapter was fitted.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Kind {
    /// An orthogonal map, which keeps all distances between old vectors.
    Procrustes,
    /// Reduced-rank ridge regression.
    LowRank {
        /// The rank of A.
        rank: usize,
        /// The penalty on the squares of A.
        lambda: f64,
    },
    /// Ridge regression.
    Affine {
        /// The penalty on the squares of A.
        lambda: f64,
    },
}

impl Kind {
    /// Its name in documents.
    pub fn name(self) -> &'static str {
        match self {
            Self::Procrustes => "procrustes",
            Self::LowRank { .. } => "low-rank",
            Self::Affine { .. } => "affine",
        }
    }
}

/// [`Adapter`] as it is in a file, before its shape is checked.
#[derive(Deserialize)]
struct Stored {
    kind: Kind,
    matrix: Vec<f64>,
    offset: Vec<f64>,
}

impl TryFrom<Stored> for Adapter {
    type Error = String;

    fn try_from(Stored { kind, matrix, offset }: Stored) -> Result<Self, String> {
        let outputs = offset.len();
        if outputs == 0 || matrix.is_empty() || !matrix.len().is_multiple_of(outputs) {
            return Err(format!(
                "an adapter of {} entries: expected a multiple of its {outputs} outputs, and not 0",
                matrix.len()
            ));
        }
        if matrix.iter().chain(&offset).any(|x| !x.is_finite()) {
            return Err("an adapter holds entries that are not finite".to_owned());
        }
        Ok(Self { kind, matrix, offset })
    }
}

impl Adapter {
    /// The orthogonal map that brings the old vectors nearest to the new ones: of all A with
    /// AᵀA = 1, the one with the least Σ ‖A·xᵢ − yᵢ‖². With the singular value decomposition
    /// Σ yᵢxᵢᵀ = U·Σ·Vᵀ it is A = U·Vᵀ (Schönemann, "A generalized solution of the orthogonal
    /// Procrustes problem", 1966). All distances between old vectors are kept, and b = 0.
    ///
    /// # Shapes
    /// - old: N×D; new: N×D' with D' ≥ D, row i of the same item
    ///
    /// # Errors
    /// Different numbers of rows, no rows; new vectors with fewer dimensions than the old ones;
    /// vectors that are not finite or have no dimensions.
    pub fn procrustes(old: ArrayView2<f32>, new: ArrayView2<f32>) -> Result<Self, Error> {
        check_pairs(old, new, 1)?;
        if new.ncols() < old.ncols() {
            return Err(Error::parameter(
                "dimensions",
                format!("{} of the new vectors", new.ncols()),
                format!("at least the {} of the old vectors for an orthogonal map", old.ncols()),
            ));
        }
        let matrix = procrustes::fit(old, new);
        Ok(Self { kind: Kind::Procrustes, matrix, offset: vec![0.0; new.ncols()] })
    }

    /// Ridge regression: A and b with the least Σ ‖A·xᵢ + b − yᵢ‖² + λ·‖A‖² (Hoerl & Kennard, "Ridge
    /// Regression: Biased Estimation for Nonorthogonal Problems", 1970). Without `lambda`, it is
    /// chosen by generalised cross-validation (Golub, Heath & Wahba, 1979) among powers of ten of the
    /// largest eigenvalue of the covariance of the old vectors.
    ///
    /// # Shapes
    /// - old: N×D; new: N×D', row i of the same item
    ///
    /// # Errors
    /// Different numbers of rows, fewer than two rows; a `lambda` below 0 or not finite; vectors that
    /// are not finite or have no dimensions.
    pub fn affine(
        old: ArrayView2<f32>,
        new: ArrayView2<f32>,
        lambda: Option<f64>,
    ) -> Result<Self, Error> {
        check_pairs(old, new, 2)?;
        check_lambda(lambda)?;
        let ridge = ridge::fit(old, new, lambda);
        Ok(Self {
            kind: Kind::Affine { lambda: ridge.lambda },
            offset: ridge.offset(&ridge.weights),
            matrix: ridge.weights,
        })
    }

    /// Reduced-rank regression: the [ridge regression](Self::affine), projected to the directions in
    /// which its fitted values vary most, A' = W·Wᵀ·A with the first eigenvectors W of the covariance
    /// of A·xᵢ (Izenman, "Reduced-rank regression for the multivariate linear model", 1975; Mukherjee
    /// & Zhu, "Reduced Rank Ridge Regression and Its Kernel Extensions", 2011). The rank is the least
    /// one that holds `share` of that variance.
    ///
    /// # Errors
    /// The errors of [`affine`](Self::affine); a `share` outside (0, 1].
    pub fn low_rank(
        old: ArrayView2<f32>,
        new: ArrayView2<f32>,
        lambda: Option<f64>,
        share: f64,
    ) -> Result<Self, Error> {
        check_pairs(old, new, 2)?;
        check_lambda(lambda)?;
        if !(share > 0.0 && share <= 1.0) {
            return Err(Error::parameter("share", share.to_string(), "above 0 and at most 1"));
        }
        let ridge = ridge::fit(old, new, lambda);
        let (matrix, rank) = ridge.reduced(share);
        Ok(Self {
            kind: Kind::LowRank { rank, lambda: ridge.lambda },
            offset: ridge.offset(&matrix),
            matrix,
        })
    }

    /// How it was fitted.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// D, the dimensions of the vectors that it takes.
    pub fn inputs(&self) -> usize {
        self.matrix.len() / self.offset.len()
    }

    /// D', the dimensions of its results.
    pub fn outputs(&self) -> usize {
        self.offset.len()
    }

    /// A, of D' rows and D columns.
    pub fn matrix(&self) -> ArrayView2<'_, f64> {
        let shape = (self.outputs(), self.inputs());
        ArrayView2::from_shape(shape, &self.matrix)
            .unwrap_or_else(|_| unreachable!("the matrix has outputs × inputs entries"))
    }

    /// Maps each row. Results are not normalised.
    ///
    /// # Shapes
    /// - rows: M×D; result: M×D'
    ///
    /// # Errors
    /// Vectors of another dimension, or not finite.
    pub fn apply(&self, rows: ArrayView2<f32>) -> Result<Array2<f32>, Error> {
        if rows.ncols() != self.inputs() {
            return Err(Error::DimensionMismatch { queries: rows.ncols(), gallery: self.inputs() });
        }
        check_finite(rows)?;
        let offset = Array1::from(self.offset.clone());
        let mapped = rows.mapv(f64::from).dot(&self.matrix().t()) + &offset;
        Ok(mapped.mapv(|x| x as f32))
    }
}

fn check_pairs(old: ArrayView2<f32>, new: ArrayView2<f32>, least: usize) -> Result<(), Error> {
    if old.ncols() == 0 || new.ncols() == 0 {
        return Err(Error::NoDimensions);
    }
    if old.nrows() != new.nrows() || old.nrows() < least {
        return Err(Error::NotEnough {
            what: "an adapter",
            expected: format!("an old and a new vector of each of at least {least} items"),
            got: format!("{} old and {} new vectors", old.nrows(), new.nrows()),
        });
    }
    check_finite(old)?;
    check_finite(new)
}

fn check_finite(rows: ArrayView2<f32>) -> Result<(), Error> {
    match rows.indexed_iter().find(|(_, x)| !x.is_finite()) {
        Some(((row, column), &value)) => Err(Error::NotFinite { row, column, value }),
        None => Ok(()),
    }
}

fn check_lambda(lambda: Option<f64>) -> Result<(), Error> {
    match lambda {
        Some(lambda) if !(lambda >= 0.0 && lambda.is_finite()) => {
            Err(Error::parameter("lambda", lambda.to_string(), "a number of at least 0"))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests;
