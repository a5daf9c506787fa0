//! Eigenvalues and eigenvectors of a symmetric matrix.
//!
//! Householder reflections make the matrix tridiagonal, and implicit QL steps make it diagonal
//! (Golub & Van Loan, "Matrix Computations", section 8.3; EISPACK's tred2 and tql2). Rotations are
//! collected and applied to blocks of columns that fit into the cache of a core. Time is O(n³),
//! less than a minute for n = 2,048 on two busy cores. All values are f64.

use rayon::prelude::*;

/// Eigenvalues in falling order, each with its unit eigenvector.
pub(crate) struct Eigen {
    pub(crate) values: Vec<f64>,
    pub(crate) vectors: Vec<Vec<f64>>,
}

/// The eigenvalues and eigenvectors of `matrix`, which is symmetric, n×n, row-major and finite.
pub(crate) fn symmetric(matrix: Vec<f64>, n: usize) -> Eigen {
    assert_eq!(matrix.len(), n * n, "the matrix is square");
    let (mut tridiagonal, reflections) = Tridiagonal::of(matrix, n);
    let mut vectors = tridiagonal.diagonalise();
    vectors.par_chunks_mut(ROWS_AT_ONCE).for_each(|rows| {
        for reflection in reflections.iter().rev() {
            rows.iter_mut().for_each(|row| reflection.apply(row));
        }
    });
    let mut pairs: Vec<(f64, Vec<f64>)> = tridiagonal.diagonal.into_iter().zip(vectors).collect();
    pairs.sort_by(|x, y| y.0.total_cmp(&x.0));
    let (values, vectors) = pairs.into_iter().unzip();
    Eigen { values, vectors }
}

/// The number of vectors that share one pass over the reflections.
const ROWS_AT_ONCE: usize = 8;
/// Below this size a step is too short to be divided between threads.
const SHARED: usize = 256;
/// The number of columns of the eigenvectors to which rotations are applied together.
const BLOCK: usize = 64;
/// The number of rotations that are collected before they are applied, per row.
const GATHERED: usize = 32;
/// The largest number of QL steps per eigenvalue; two are usual.
const STEPS: usize = 64;

/// 1 − β·v·vᵀ, where v begins at an index after zeros.
struct Reflection {
    start: usize,
    v: Vec<f64>,
    beta: f64,
}

impl Reflection {
    fn apply(&self, x: &mut [f64]) {
        let x = &mut x[self.start..];
        let along = self.beta * dot(&self.v, x);
        for (x, v) in x.iter_mut().zip(&self.v) {
            *x -= along * v;
        }
    }
}

fn dot(x: &[f64], y: &[f64]) -> f64 {
    const LANES: usize = 8;
    let mut sums = [0.0; LANES];
    let ((xs, x_rest), (ys, y_rest)) = (x.as_chunks::<LANES>(), y.as_chunks::<LANES>());
    for (x, y) in xs.iter().zip(ys) {
        for lane in 0..LANES {
            sums[lane] += x[lane] * y[lane];
        }
    }
    let rest: f64 = x_rest.iter().zip(y_rest).map(|(x, y)| x * y).sum();
    sums.iter().sum::<f64>() + rest
}

struct Tridiagonal {
    diagonal: Vec<f64>,
    /// `beside[i]` joins i and i + 1; the last is 0.
    beside: Vec<f64>,
}

impl Tridiagonal {
    fn of(mut matrix: Vec<f64>, n: usize) -> (Self, Vec<Reflection>) {
        let mut beside = vec![0.0; n];
        let mut reflections = Vec::with_capacity(n.saturating_sub(2));
        for k in 0..n.saturating_sub(1) {
            let start = k + 1;
            let mut v = matrix[k * n + start..(k + 1) * n].to_vec();
            let norm = dot(&v, &v).sqrt();
            if v.len() == 1 || norm == v[0].abs() {
                beside[k] = v[0];
                continue;
            }
            let alpha = -norm.copysign(v[0]);
            beside[k] = alpha;
            v[0] -= alpha;
            let beta = 2.0 / dot(&v, &v);
            let rest = &mut matrix[start * n..];
            let mut w: Vec<f64> = vec![0.0; v.len()];
            let shared = if v.len() < SHARED { v.len() } else { 64 };
            w.par_iter_mut()
                .with_min_len(shared)
                .zip(rest.par_chunks_exact(n))
                .for_each(|(w, row)| *w = beta * dot(&row[start..], &v));
            let half = beta / 2.0 * dot(&w, &v);
            w.iter_mut().zip(&v).for_each(|(w, v)| *w -= half * v);
            rest.par_chunks_exact_mut(n).with_min_len(shared).enumerate().for_each(|(i, row)| {
                let (vi, wi) = (v[i], w[i]);
                for ((x, v), w) in row[start..].iter_mut().zip(&v).zip(&w) {
                    *x -= vi * w + wi * v;
                }
            });
            reflections.push(Reflection { start, v, beta });
        }
        let diagonal = (0..n).map(|i| matrix[i * n + i]).collect();
        (Self { diagonal, beside }, reflections)
    }

    /// Leaves the eigenvalues on the diagonal and returns the eigenvectors, as rows.
    fn diagonalise(&mut self) -> Vec<Vec<f64>> {
        let n = self.diagonal.len();
        let mut vectors = Rotated::identity(n);
        let (d, e) = (&mut self.diagonal, &mut self.beside);
        let scale =
            d.iter().zip(&*e).map(|(d, e)| d.abs() + e.abs()).fold(0.0, f64::max) * f64::EPSILON;
        for l in 0..n {
            for _ in 0..STEPS {
                let m = (l..n - 1).find(|&m| e[m].abs() <= scale).unwrap_or(n - 1);
                if m == l {
                    break;
                }
                ql_step(d, e, l, m, &mut vectors);
            }
        }
        vectors.rows()
    }
}

/// One implicit QL step on the part from `l` to `m`.
fn ql_step(d: &mut [f64], e: &mut [f64], l: usize, m: usize, vectors: &mut Rotated) {
    let guess = (d[l + 1] - d[l]) / (2.0 * e[l]);
    let mut g = d[m] - d[l] + e[l] / (guess + guess.hypot(1.0).copysign(guess));
    let (mut sine, mut cosine, mut p) = (1.0, 1.0, 0.0);
    for i in (l..m).rev() {
        let (f, b) = (sine * e[i], cosine * e[i]);
        let r = f.hypot(g);
        e[i + 1] = r;
        if r == 0.0 {
            // The part is already decomposed here.
            d[i + 1] -= p;
            e[m] = 0.0;
            return;
        }
        (sine, cosine) = (f / r, g / r);
        g = d[i + 1] - p;
        let turned = (d[i] - g) * sine + 2.0 * cosine * b;
        p = sine * turned;
        d[i + 1] = g + p;
        g = cosine * turned - b;
        vectors.rotate(i, sine, cosine);
    }
    d[l] -= p;
    e[l] = g;
    e[m] = 0.0;
}

/// A matrix to whose neighbouring rows rotations are applied, later and many at once.
struct Rotated {
    n: usize,
    /// Blocks of up to [`BLOCK`] columns, each row-major.
    blocks: Vec<Vec<f64>>,
    rotations: Vec<(u32, f64, f64)>,
}

impl Rotated {
    fn identity(n: usize) -> Self {
        let block = |start: usize| {
            let width = BLOCK.min(n - start);
            let mut block = vec![0.0; n * width];
            (0..width).for_each(|column| block[(start + column) * width + column] = 1.0);
            block
        };
        let blocks = (0..n).step_by(BLOCK).map(block).collect();
        Self { n, blocks, rotations: Vec::new() }
    }

    fn rotate(&mut self, i: usize, sine: f64, cosine: f64) {
        self.rotations.push((i as u32, sine, cosine));
        if self.rotations.len() >= GATHERED * self.n {
            self.apply();
        }
    }

    fn apply(&mut self) {
        let (n, rotations) = (self.n, &self.rotations);
        self.blocks.par_iter_mut().for_each(|block| {
            let width = block.len() / n;
            for &(i, sine, cosine) in rotations {
                let pair = &mut block[i as usize * width..][..2 * width];
                let (upper, lower) = pair.split_at_mut(width);
                for (x, y) in upper.iter_mut().zip(lower) {
                    let old = *y;
                    *y = sine * *x + cosine * old;
                    *x = cosine * *x - sine * old;
                }
            }
        });
        self.rotations.clear();
    }

    fn rows(mut self) -> Vec<Vec<f64>> {
        self.apply();
        let part = |block: &Vec<f64>, row: usize| {
            let width = block.len() / self.n;
            block[row * width..][..width].to_vec()
        };
        let row = |row| self.blocks.iter().flat_map(|block| part(block, row)).collect();
        (0..self.n).map(row).collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(matrix: &[f64], n: usize) {
        let Eigen { values, vectors } = symmetric(matrix.to_vec(), n);
        let scale = matrix.iter().fold(1e-300_f64, |most, x| most.max(x.abs())) * n as f64;
        assert!(values.windows(2).all(|pair| pair[0] >= pair[1]));
        for (i, vector) in vectors.iter().enumerate() {
            for row in 0..n {
                let image = dot(&matrix[row * n..][..n], vector);
                assert!((image - values[i] * vector[row]).abs() < 1e-12 * scale);
            }
            for (j, other) in vectors.iter().enumerate() {
                let expected = if i == j { 1.0 } else { 0.0 };
                assert!((dot(vector, other) - expected).abs() < 1e-12 * n as f64);
            }
        }
    }

    #[test]
    fn plain_matrices() {
        check(&[], 0);
        check(&[3.0], 1);
        check(&[0.0; 25], 5);
        let twos: Vec<f64> = (0..36).map(|i| if i % 7 == 0 { 2.0 } else { 0.0 }).collect();
        check(&twos, 6);
        check(&[1.0; 49], 7);
        let Eigen { values, .. } = symmetric(vec![2.0, 1.0, 1.0, 2.0], 2);
        assert!((values[0] - 3.0).abs() < 1e-15 && (values[1] - 1.0).abs() < 1e-15);
    }

    #[test]
    fn a_large_matrix_of_low_rank() {
        let n = 300;
        let x = |i: usize, k: usize| ((i * 37 + k * 101 + i * i * k) % 61) as f64 / 61.0 - 0.5;
        let entry = |i, j| (0..20).map(|k| x(i, k) * x(j, k)).sum::<f64>();
        let matrix: Vec<f64> = (0..n * n).map(|at| entry(at / n, at % n)).collect();
        check(&matrix, n);
    }

    proptest! {
        #[test]
        fn any_symmetric_matrix(
            n in 1_usize..14,
            values in prop::collection::vec(-9_i32..9, 196),
        ) {
            let entry = |i: usize, j: usize| f64::from(values[i.min(j) * 14 + i.max(j)]);
            let matrix: Vec<f64> = (0..n * n).map(|at| entry(at / n, at % n)).collect();
            check(&matrix, n);
        }
    }
}
