//! The orthogonal Procrustes problem.

use ndarray::ArrayView2;

use crate::svd::{dot, thin};

/// The D'×D matrix A = U·Vᵀ of Σ yᵢxᵢᵀ = U·Σ·Vᵀ, row by row; D' ≥ D.
///
/// Where the pairs do not determine it, because Σ yᵢxᵢᵀ has singular values of 0, any orthogonal
/// completion has the same error; the one that stays nearest to the unit vectors is taken.
pub(super) fn fit(old: ArrayView2<f32>, new: ArrayView2<f32>) -> Vec<f64> {
    let (old, new) = (old.mapv(f64::from), new.mapv(f64::from));
    let product = new.t().dot(&old);
    let (outputs, inputs) = product.dim();
    let mut svd = thin(product.columns().into_iter().map(|column| column.to_vec()).collect());
    for missing in 0..inputs {
        if svd.values[missing] == 0.0 {
            svd.left[missing] = completion(&svd.left, &svd.right[missing], outputs);
        }
    }
    let mut matrix = vec![0.0; outputs * inputs];
    for (left, right) in svd.left.iter().zip(&svd.right) {
        for (row, u) in matrix.chunks_exact_mut(inputs).zip(left) {
            row.iter_mut().zip(right).for_each(|(entry, v)| *entry += u * v);
        }
    }
    matrix
}

/// A unit vector that is orthogonal to all of `others`: what remains of the wanted one, or of the
/// unit vector of which most remains.
fn completion(others: &[Vec<f64>], wanted: &[f64], entries: usize) -> Vec<f64> {
    let orthogonal = |mut vector: Vec<f64>| {
        // Twice, since the first pass leaves rounding errors.
        for _ in 0..2 {
            for other in others {
                let along = dot(other, &vector);
                vector.iter_mut().zip(other).for_each(|(x, o)| *x -= along * o);
            }
        }
        let length = dot(&vector, &vector).sqrt();
        (length, vector)
    };
    let mut padded = wanted.to_vec();
    padded.resize(entries, 0.0);
    let units = (0..entries).map(|at| {
        let mut unit = vec![0.0; entries];
        unit[at] = 1.0;
        unit
    });
    // Of the unit vectors, at least one has a remainder of 1/√entries or more.
    let enough = 0.5 / (entries as f64).sqrt();
    let mut best = (0.0, vec![0.0; entries]);
    for candidate in std::iter::once(padded).chain(units) {
        let (length, vector) = orthogonal(candidate);
        if length > best.0 {
            best = (length, vector);
        }
        if best.0 >= enough {
            break;
        }
    }
    let (length, mut vector) = best;
    if length > 0.0 {
        vector.iter_mut().for_each(|x| *x /= length);
    }
    vector
}
