//! Matrix products on row-major slices. This is the only module that calls the GEMM kernels.

/// A row-major matrix, or its transposed view.
#[derive(Clone, Copy)]
pub(crate) struct Operand<'a> {
    values: &'a [f32],
    rows: usize,
    columns: usize,
    row_stride: usize,
    column_stride: usize,
}

impl<'a> Operand<'a> {
    /// `values` holds `rows` rows of `columns` numbers.
    pub(crate) fn new(values: &'a [f32], rows: usize, columns: usize) -> Self {
        assert_eq!(values.len(), rows * columns, "a matrix has rows × columns values");
        Self { values, rows, columns, row_stride: columns, column_stride: 1 }
    }

    /// A matrix whose rows begin `stride` values apart.
    pub(crate) fn strided(values: &'a [f32], rows: usize, columns: usize, stride: usize) -> Self {
        assert!(fits(values, rows, columns, stride), "a matrix has rows a stride apart");
        Self { values, rows, columns, row_stride: stride, column_stride: 1 }
    }

    /// The transposed view.
    pub(crate) fn t(self) -> Self {
        Self {
            rows: self.columns,
            columns: self.rows,
            row_stride: self.column_stride,
            column_stride: self.row_stride,
            ..self
        }
    }
}

/// Whether `values` holds this number of rows and columns with this stride.
fn fits(values: &[f32], rows: usize, columns: usize, stride: usize) -> bool {
    columns <= stride && (rows == 0 || values.len() >= (rows - 1) * stride + columns)
}

/// How many threads one product may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Threads {
    /// One thread, for callers that already process tiles in parallel.
    One,
    /// All threads of the current rayon pool.
    All,
}

/// `out = add · out + factor · left · right`, where `add` is 0 (overwrite) or 1 (accumulate), on
/// one thread. `out` is row-major.
pub(crate) fn product(out: &mut [f32], add: bool, factor: f32, left: Operand, right: Operand) {
    product_by(Threads::One, out, add, factor, left, right);
}

/// [`product`] on one thread or on all threads of the pool.
pub(crate) fn product_by(
    threads: Threads,
    out: &mut [f32],
    add: bool,
    factor: f32,
    left: Operand,
    right: Operand,
) {
    let (m, n) = (left.rows, right.columns);
    assert_eq!(out.len(), m * n, "the product fits its destination");
    product_apart(threads, out, n, add, factor, left, right);
}

/// [`product_by`] with rows of `out` that begin `stride` values apart.
pub(crate) fn product_apart(
    threads: Threads,
    out: &mut [f32],
    stride: usize,
    add: bool,
    factor: f32,
    left: Operand,
    right: Operand,
) {
    let (m, k, n) = (left.rows, left.columns, right.columns);
    assert_eq!(k, right.rows, "inner dimensions of a product agree");
    assert!(fits(out, m, n, stride), "the product fits its destination");
    if m == 0 || n == 0 {
        return;
    }
    let parallelism = match threads {
        Threads::One => gemm::Parallelism::None,
        Threads::All => gemm::Parallelism::Rayon(0),
    };
    // SAFETY: the three slices hold m×n, m×k and k×n values at the given strides, as asserted here
    // and where operands are made. `out` is borrowed mutably, so it overlaps neither operand.
    #[allow(unsafe_code)]
    unsafe {
        gemm::gemm(
            m,
            n,
            k,
            out.as_mut_ptr(),
            1,
            stride as isize,
            add,
            left.values.as_ptr(),
            left.column_stride as isize,
            left.row_stride as isize,
            right.values.as_ptr(),
            right.column_stride as isize,
            right.row_stride as isize,
            1.0,
            factor,
            false,
            false,
            false,
            parallelism,
        );
    }
}

/// ‖left − right‖² from differences: exact up to rounding, however close the two vectors are.
pub(crate) fn squared_difference(left: &[f32], right: &[f32]) -> f32 {
    lanes(left, right, |x, y| (x - y) * (x - y))
}

fn lanes(left: &[f32], right: &[f32], term: impl Fn(f32, f32) -> f32) -> f32 {
    const LANES: usize = 16;
    let mut sums = [0.0_f32; LANES];
    let (left_chunks, left_rest) = left.as_chunks::<LANES>();
    let (right_chunks, right_rest) = right.as_chunks::<LANES>();
    for (x, y) in left_chunks.iter().zip(right_chunks) {
        for lane in 0..LANES {
            sums[lane] += term(x[lane], y[lane]);
        }
    }
    for (lane, (&x, &y)) in left_rest.iter().zip(right_rest).enumerate() {
        sums[lane] += term(x, y);
    }
    let mut width = LANES;
    while width > 1 {
        width /= 2;
        for lane in 0..width {
            sums[lane] += sums[lane + width];
        }
    }
    sums[0]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn products_with_transposes_and_sums() {
        let a = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]; // 2×3
        let b = [1.0, 0.0, 2.0, 0.0, 1.0, 3.0]; // 2×3
        let mut out = [10.0; 4];
        product(&mut out, false, 2.0, Operand::new(&a, 2, 3), Operand::new(&b, 2, 3).t());
        assert_eq!(out, [14.0, 22.0, 32.0, 46.0]);
        product(&mut out, true, -1.0, Operand::new(&a, 2, 3), Operand::new(&b, 2, 3).t());
        assert_eq!(out, [7.0, 11.0, 16.0, 23.0]);
    }

    #[test]
    fn differences_do_not_cancel() {
        let x = vec![1000.0_f32; 37];
        let mut y = x.clone();
        y[36] += 0.5;
        assert_eq!(squared_difference(&x, &y), 0.25);
    }
}
