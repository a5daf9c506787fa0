//! Transposes blocks of matrices.

use super::LANES;
#[cfg(target_arch = "x86_64")]
use super::has_avx512;

/// A matrix at the beginning of a slice, whose rows begin `stride` values apart.
#[derive(Clone, Copy)]
pub(crate) struct Strided<'a> {
    pub(crate) values: &'a [f32],
    pub(crate) stride: usize,
}

impl<'a> Strided<'a> {
    fn from(self, row: usize, column: usize) -> Self {
        Self { values: &self.values[row * self.stride + column..], ..self }
    }

    fn row(self, row: usize) -> &'a [f32] {
        &self.values[row * self.stride..]
    }
}

/// Writes the transpose of the `rows`×`columns` block at the beginning of `source` to the beginning
/// of `out`, whose rows begin `out_stride` values apart, and adds `plus` (`columns`×`rows`) to it.
pub(crate) fn transpose(
    source: Strided,
    rows: usize,
    columns: usize,
    plus: Option<Strided>,
    out: &mut [f32],
    out_stride: usize,
) {
    let turn = block_transpose();
    for row in (0..rows).step_by(LANES) {
        for column in (0..columns).step_by(LANES) {
            let (height, width) = (LANES.min(rows - row), LANES.min(columns - column));
            let source = source.from(row, column);
            let plus = plus.map(|plus| plus.from(column, row));
            let out = &mut out[column * out_stride + row..];
            if height == LANES && width == LANES {
                turn(source, plus, out, out_stride);
                continue;
            }
            for r in 0..height {
                for c in 0..width {
                    let addend = plus.map_or(0.0, |plus| plus.row(c)[r]);
                    out[c * out_stride + r] = source.row(r)[c] + addend;
                }
            }
        }
    }
}

/// Transposes one [`LANES`]×[`LANES`] block and adds another one.
type BlockTranspose = fn(Strided, Option<Strided>, &mut [f32], usize);

fn block_transpose() -> BlockTranspose {
    #[cfg(target_arch = "x86_64")]
    if has_avx512() {
        return |source, plus, out, out_stride| {
            // SAFETY: the machine has the instructions, as just checked.
            #[allow(unsafe_code)]
            unsafe {
                avx512_block(source, plus, out, out_stride);
            }
        };
    }
    plain_block
}

fn plain_block(source: Strided, plus: Option<Strided>, out: &mut [f32], out_stride: usize) {
    for r in 0..LANES {
        for (c, &value) in source.row(r)[..LANES].iter().enumerate() {
            out[c * out_stride + r] = value + plus.map_or(0.0, |plus| plus.row(c)[r]);
        }
    }
}

/// [`plain_block`] in registers: pairs of rows and then groups of four are interleaved, then
/// quarters of registers are exchanged. It is six times as fast on Zen 5; the compiler does not
/// generate this form.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
fn avx512_block(source: Strided, plus: Option<Strided>, out: &mut [f32], out_stride: usize) {
    use std::arch::x86_64::*;

    /// How many rows of the source ahead are prefetched: those of the next block of these columns.
    /// From batches of 1024 on, the matrices do not fit into the second level of cache, and
    /// processors do not predict such strides.
    const AHEAD: usize = LANES;

    #[inline]
    #[target_feature(enable = "avx512f")]
    fn ask(matrix: Strided, at: usize) {
        if let Some(value) = matrix.values.get(at) {
            _mm_prefetch::<_MM_HINT_T0>(std::ptr::from_ref(value).cast());
        }
    }

    #[inline]
    #[target_feature(enable = "avx512f")]
    fn load(matrix: Strided, row: usize) -> __m512 {
        let line = &matrix.row(row)[..LANES];
        // SAFETY: the slice holds the 16 numbers that are read.
        #[allow(unsafe_code)]
        unsafe {
            _mm512_loadu_ps(line.as_ptr())
        }
    }

    let mut rows = [_mm512_setzero_ps(); LANES];
    for (r, row) in rows.iter_mut().enumerate() {
        *row = load(source, r);
        ask(source, (r + AHEAD) * source.stride);
        if let Some(plus) = plus {
            ask(plus, r * plus.stride + AHEAD);
        }
    }
    let pairs = rows;
    for r in (0..LANES).step_by(2) {
        rows[r] = _mm512_unpacklo_ps(pairs[r], pairs[r + 1]);
        rows[r + 1] = _mm512_unpackhi_ps(pairs[r], pairs[r + 1]);
    }
    let fours = rows;
    for r in (0..LANES).step_by(4) {
        for half in 0..2 {
            let x = _mm512_castps_pd(fours[r + half]);
            let y = _mm512_castps_pd(fours[r + 2 + half]);
            rows[r + 2 * half] = _mm512_castpd_ps(_mm512_unpacklo_pd(x, y));
            rows[r + 2 * half + 1] = _mm512_castpd_ps(_mm512_unpackhi_pd(x, y));
        }
    }
    // Quarter q of row 4·g + c now holds column 4·q + c of rows 4·g … 4·g + 3.
    for c in 0..4 {
        let (a, b, d, e) = (rows[c], rows[4 + c], rows[8 + c], rows[12 + c]);
        let (ab_even, ab_odd) =
            (_mm512_shuffle_f32x4::<0x88>(a, b), _mm512_shuffle_f32x4::<0xdd>(a, b));
        let (de_even, de_odd) =
            (_mm512_shuffle_f32x4::<0x88>(d, e), _mm512_shuffle_f32x4::<0xdd>(d, e));
        let columns = [
            _mm512_shuffle_f32x4::<0x88>(ab_even, de_even),
            _mm512_shuffle_f32x4::<0x88>(ab_odd, de_odd),
            _mm512_shuffle_f32x4::<0xdd>(ab_even, de_even),
            _mm512_shuffle_f32x4::<0xdd>(ab_odd, de_odd),
        ];
        for (q, &column) in columns.iter().enumerate() {
            let column = match plus {
                Some(plus) => _mm512_add_ps(column, load(plus, 4 * q + c)),
                None => column,
            };
            let line = &mut out[(4 * q + c) * out_stride..][..LANES];
            // SAFETY: the slice holds the 16 numbers that are written.
            #[allow(unsafe_code)]
            unsafe {
                _mm512_storeu_ps(line.as_mut_ptr(), column);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_transposed_alike_by_every_version() {
        let source: Vec<f32> = (0..16 * 19).map(|i| i as f32).collect();
        let other: Vec<f32> = (0..16 * 18).map(|i| (i * i) as f32).collect();
        let source = Strided { values: &source, stride: 19 };
        for plus in [None, Some(Strided { values: &other, stride: 18 })] {
            let (mut fast, mut plain) = (vec![0.0; 16 * 17], vec![0.0; 16 * 17]);
            block_transpose()(source, plus, &mut fast, 17);
            plain_block(source, plus, &mut plain, 17);
            assert_eq!(fast, plain);
        }
    }

    #[test]
    fn blocks_of_any_shape_are_transposed() {
        for (rows, columns) in [(1, 1), (16, 16), (32, 16), (17, 35), (5, 40), (33, 2)] {
            let (source_stride, out_stride) = (columns + 3, rows + 1);
            let source: Vec<f32> = (0..rows * source_stride).map(|i| i as f32).collect();
            let other: Vec<f32> = (0..columns * out_stride).map(|i| (i * 3) as f32).collect();
            for addend in [None, Some(&other)] {
                let plus = addend.map(|values| Strided { values, stride: out_stride });
                let mut out = vec![-1.0; columns * out_stride];
                let source = Strided { values: &source, stride: source_stride };
                transpose(source, rows, columns, plus, &mut out, out_stride);
                for (place, &value) in out.iter().enumerate() {
                    let (c, r) = (place / out_stride, place % out_stride);
                    let sum = || source.row(r)[c] + addend.map_or(0.0, |other| other[place]);
                    assert_eq!(value, if r < rows { sum() } else { -1.0 });
                }
            }
        }
    }
}
