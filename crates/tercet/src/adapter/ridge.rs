//! Ridge regression and its reduced rank, by the eigenvalues of the covariance.

use ndarray::{Array1, Array2, ArrayView2, Axis};

use crate::eigen;

/// The penalties among which cross-validation chooses, as shares of the largest eigenvalue of XᵀX.
const SHARES: [f64; 9] = [1.0, 1e-1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6, 1e-7, 1e-8];

/// A fitted regression of the centred vectors.
pub(super) struct Ridge {
    pub(super) lambda: f64,
    /// A, D' rows of D entries.
    pub(super) weights: Vec<f64>,
    old_mean: Array1<f64>,
    new_mean: Array1<f64>,
    /// XᵀX of the centred old vectors.
    scatter: Array2<f64>,
}

/// Fits A = (XᵀX + λ)⁻¹XᵀY, transposed, on centred vectors.
pub(super) fn fit(old: ArrayView2<f32>, new: ArrayView2<f32>, lambda: Option<f64>) -> Ridge {
    let (old, new) = (old.mapv(f64::from), new.mapv(f64::from));
    let mean = |rows: &Array2<f64>| rows.sum_axis(Axis(0)) / rows.nrows() as f64;
    let (old_mean, new_mean) = (mean(&old), mean(&new));
    let (x, y) = (&old - &old_mean, &new - &new_mean);
    let scatter = x.t().dot(&x);
    let inputs = scatter.nrows();
    let eigen = eigen::symmetric(scatter.iter().copied().collect(), inputs);
    let values: Vec<f64> = eigen.values.iter().map(|value| value.max(0.0)).collect();
    let vectors = Array2::from_shape_fn((inputs, inputs), |(i, j)| eigen.vectors[i][j]);
    // Row i: the i-th eigenvector times XᵀY.
    let along = vectors.dot(&x.t().dot(&y));
    let lambda = lambda.unwrap_or_else(|| {
        let total = y.iter().map(|y| y * y).sum();
        cross_validated(&values, &along, total, y.nrows())
    });
    // A direction without variance has no weight, also without a penalty.
    let least = values.first().copied().unwrap_or(0.0) * 1e-12;
    let mut scaled = along;
    for (mut row, &value) in scaled.outer_iter_mut().zip(&values) {
        let factor = if value > least { 1.0 / (value + lambda) } else { 0.0 };
        row.mapv_inplace(|x| x * factor);
    }
    let weights = scaled.t().dot(&vectors);
    Ridge { lambda, weights: weights.iter().copied().collect(), old_mean, new_mean, scatter }
}

/// The λ with the least GCV(λ) = (‖Y − Ŷ‖²/N) / (1 − (df + 1)/N)², with df = Σ eᵢ/(eᵢ + λ) and
/// ‖Y − Ŷ‖² = ‖Y‖² − Σ (2/(eᵢ + λ) − eᵢ/(eᵢ + λ)²)·‖zᵢ‖², where zᵢ is the i-th row of `along`.
fn cross_validated(values: &[f64], along: &Array2<f64>, total: f64, rows: usize) -> f64 {
    let largest = values.first().copied().unwrap_or(0.0);
    if largest <= 0.0 {
        return 1.0; // the old vectors are all equal, so that nothing depends on it
    }
    let lengths: Vec<f64> =
        along.outer_iter().map(|row| row.iter().map(|x| x * x).sum::<f64>()).collect();
    let rows = rows as f64;
    let score = |lambda: f64| {
        let (mut freedom, mut error) = (1.0, total);
        for (&value, length) in values.iter().zip(&lengths) {
            freedom += value / (value + lambda);
            error -= (2.0 / (value + lambda) - value / (value + lambda).powi(2)) * length;
        }
        let rest = 1.0 - freedom / rows;
        if rest <= 0.0 { f64::INFINITY } else { error.max(0.0) / rows / (rest * rest) }
    };
    let candidates = SHARES.map(|share| share * largest);
    let best = candidates.into_iter().min_by(|&x, &y| score(x).total_cmp(&score(y)));
    best.unwrap_or(largest)
}

impl Ridge {
    /// b = mean of the new vectors − A · mean of the old ones.
    pub(super) fn offset(&self, matrix: &[f64]) -> Vec<f64> {
        let inputs = self.old_mean.len();
        let rows = matrix.chunks_exact(inputs).zip(&self.new_mean);
        rows.map(|(row, mean)| {
            mean - row.iter().zip(&self.old_mean).map(|(a, x)| a * x).sum::<f64>()
        })
        .collect()
    }

    /// W·Wᵀ·A, with as few eigenvectors W of A·XᵀX·Aᵀ as hold `share` of its trace; and their number.
    pub(super) fn reduced(&self, share: f64) -> (Vec<f64>, usize) {
        let (outputs, inputs) = (self.new_mean.len(), self.old_mean.len());
        let weights = Array2::from_shape_vec((outputs, inputs), self.weights.clone())
            .unwrap_or_else(|_| unreachable!("the weights have outputs × inputs entries"));
        let fitted = weights.dot(&self.scatter).dot(&weights.t());
        let eigen = eigen::symmetric(fitted.iter().copied().collect(), outputs);
        let total: f64 = eigen.values.iter().map(|value| value.max(0.0)).sum();
        let (mut held, mut rank) = (0.0, 0);
        while rank < outputs && (rank == 0 || held < share * total) {
            held += eigen.values[rank].max(0.0);
            rank += 1;
        }
        let kept = Array2::from_shape_fn((rank, outputs), |(i, j)| eigen.vectors[i][j]);
        let reduced = kept.t().dot(&kept.dot(&weights));
        (reduced.iter().copied().collect(), rank)
    }
}
