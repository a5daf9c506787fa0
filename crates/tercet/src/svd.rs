//! The singular value decomposition of a small dense matrix.
//!
//! One-sided Jacobi (Hestenes, "Inversion of matrices by biorthogonalization", 1958): rotations from
//! the right make the columns of M orthogonal, M·V = U·Σ. Small singular values are as exact as large
//! ones, which a decomposition of MᵀM would lose. Time is O(m·n²) for each sweep, of which about ten
//! are needed: seconds for n = 512, minutes for n = 2,048. All values are f64.

/// M = Σⱼ σⱼ·uⱼ·vⱼᵀ, in falling order of σ.
pub(crate) struct Svd {
    /// The unit vectors u, each of m entries. That of a singular value of 0 is 0.
    pub(crate) left: Vec<Vec<f64>>,
    pub(crate) values: Vec<f64>,
    /// The unit vectors v, each of n entries.
    pub(crate) right: Vec<Vec<f64>>,
}

/// The largest number of sweeps; convergence is quadratic, so that about ten are enough.
const SWEEPS: usize = 60;

/// Columns whose cosine is below this count as orthogonal.
const ORTHOGONAL: f64 = 1e-15;

/// A column below this share of the longest holds only rounding errors.
const NOTHING: f64 = 1e-14;

/// Decomposes the m×n matrix with these n columns of m entries; n ≤ m. The entries are finite.
pub(crate) fn thin(mut columns: Vec<Vec<f64>>) -> Svd {
    let n = columns.len();
    let mut right: Vec<Vec<f64>> =
        (0..n).map(|i| (0..n).map(|j| f64::from(u8::from(i == j))).collect()).collect();
    let longest = columns.iter().map(|column| dot(column, column)).fold(0.0, f64::max);
    let least = longest * NOTHING * NOTHING;
    for _ in 0..SWEEPS {
        let mut has_turned = false;
        for i in 0..n {
            for j in i + 1..n {
                let (a, b) = (dot(&columns[i], &columns[i]), dot(&columns[j], &columns[j]));
                let c = dot(&columns[i], &columns[j]);
                if a <= least || b <= least || c.abs() <= ORTHOGONAL * (a * b).sqrt() {
                    continue;
                }
                has_turned = true;
                let zeta = (b - a) / (2.0 * c);
                let tangent = 1.0_f64.copysign(zeta) / (zeta.abs() + zeta.hypot(1.0));
                let cosine = 1.0 / tangent.hypot(1.0);
                turn(&mut columns, i, j, cosine, cosine * tangent);
                turn(&mut right, i, j, cosine, cosine * tangent);
            }
        }
        if !has_turned {
            break;
        }
    }
    let mut parts: Vec<(f64, Vec<f64>, Vec<f64>)> = columns
        .into_iter()
        .zip(right)
        .map(|(mut column, right)| {
            let length = dot(&column, &column).sqrt();
            let is_nothing = length * length <= least;
            column.iter_mut().for_each(|x| *x = if is_nothing { 0.0 } else { *x / length });
            (if is_nothing { 0.0 } else { length }, column, right)
        })
        .collect();
    parts.sort_by(|x, y| y.0.total_cmp(&x.0));
    let mut svd = Svd { left: Vec::new(), values: Vec::new(), right: Vec::new() };
    for (value, left, right) in parts {
        svd.values.push(value);
        svd.left.push(left);
        svd.right.push(right);
    }
    svd
}

pub(crate) fn dot(x: &[f64], y: &[f64]) -> f64 {
    x.iter().zip(y).map(|(x, y)| x * y).sum()
}

/// Turns the columns i < j: (xᵢ, xⱼ) becomes (c·xᵢ − s·xⱼ, s·xᵢ + c·xⱼ).
fn turn(columns: &mut [Vec<f64>], i: usize, j: usize, cosine: f64, sine: f64) {
    let (before, from_j) = columns.split_at_mut(j);
    for (x, y) in before[i].iter_mut().zip(&mut from_j[0]) {
        (*x, *y) = (cosine * *x - sine * *y, sine * *x + cosine * *y);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_product_of_its_parts_is_the_matrix() {
        let columns: Vec<Vec<f64>> = (0..5)
            .map(|j| (0..8).map(|i| f64::from(i * 7 + j * j * 3 + i * j).sin()).collect())
            .collect();
        let svd = thin(columns.clone());
        assert!(svd.values.is_sorted_by(|x, y| x >= y) && svd.values[4] > 0.0);
        for (j, column) in columns.iter().enumerate() {
            for (i, &expected) in column.iter().enumerate() {
                let got: f64 =
                    (0..5).map(|k| svd.values[k] * svd.left[k][i] * svd.right[k][j]).sum();
                assert!((got - expected).abs() < 1e-12, "{got} {expected}");
            }
        }
        for i in 0..5 {
            for j in 0..5 {
                let expected = f64::from(u8::from(i == j));
                assert!((dot(&svd.left[i], &svd.left[j]) - expected).abs() < 1e-12);
                assert!((dot(&svd.right[i], &svd.right[j]) - expected).abs() < 1e-12);
            }
        }
    }

    #[test]
    fn known_singular_values() {
        // M = [[3, 0], [4, 5]] has σ = √45 and √5.
        let svd = thin(vec![vec![3.0, 4.0], vec![0.0, 5.0]]);
        assert!((svd.values[0] - 45.0_f64.sqrt()).abs() < 1e-14);
        assert!((svd.values[1] - 5.0_f64.sqrt()).abs() < 1e-14);
        // A matrix of rank 1, and one of rank 0.
        let svd = thin(vec![vec![1.0, 2.0, 2.0], vec![2.0, 4.0, 4.0]]);
        assert!((svd.values[0] - 45.0_f64.sqrt()).abs() < 1e-14 && svd.values[1] == 0.0);
        assert_eq!(thin(vec![vec![0.0; 3]; 2]).values, [0.0, 0.0]);
    }
}
