//! Matrix products that read their operands in place.

/// A matrix over a slice: entry (i, j) is element i·row + j·column. Rows may overlap.
#[derive(Clone, Copy)]
pub(super) struct Strided<'a> {
    values: &'a [f32],
    row: usize,
    column: usize,
}

impl<'a> Strided<'a> {
    /// A matrix whose rows of `columns` numbers follow each other without gaps.
    pub(super) fn dense(values: &'a [f32], columns: usize) -> Self {
        Self { values, row: columns, column: 1 }
    }

    /// A matrix whose rows start `step` numbers after each other.
    pub(super) fn rows(values: &'a [f32], step: usize) -> Self {
        Self { values, row: step, column: 1 }
    }

    /// The transposed view.
    pub(super) fn t(self) -> Self {
        Self { row: self.column, column: self.row, ..self }
    }

    /// Whether a matrix of `rows` × `columns` is within the slice.
    fn holds(&self, rows: usize, columns: usize) -> bool {
        (rows - 1) * self.row + (columns - 1) * self.column < self.values.len()
    }
}

/// `out` = left · right, or `out` += left · right if `add`, on one thread. `out` is m×n and dense,
/// left is m×k, right is k×n.
pub(super) fn product(
    out: &mut [f32],
    m: usize,
    k: usize,
    n: usize,
    left: Strided,
    right: Strided,
    add: bool,
) {
    if m == 0 || n == 0 || k == 0 {
        return;
    }
    assert_eq!(out.len(), m * n, "the product fits its destination");
    assert!(left.holds(m, k) && right.holds(k, n), "the operands hold what is read");
    // SAFETY: the assertions above ensure that all entries that are read or written are within the
    // slices; `out` is borrowed mutably, so it overlaps neither operand.
    #[allow(unsafe_code)]
    unsafe {
        gemm::gemm(
            m,
            n,
            k,
            out.as_mut_ptr(),
            1,
            n as isize,
            add,
            left.values.as_ptr(),
            left.column as isize,
            left.row as isize,
            right.values.as_ptr(),
            right.column as isize,
            right.row as isize,
            1.0,
            1.0,
            false,
            false,
            false,
            gemm::Parallelism::None,
        );
    }
}
