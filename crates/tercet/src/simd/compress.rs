//! Selects the values below a limit.

use super::LANES;
#[cfg(target_arch = "x86_64")]
use super::has_avx512;

/// Writes the values below `limit` to the beginning of `out`, in their order, and returns their
/// number.
///
/// # Panics
/// If `out` has fewer than [`LANES`] values more than `values`.
pub(crate) fn values_below(values: &[f32], limit: f32, out: &mut [f32]) -> usize {
    assert!(out.len() >= values.len() + LANES, "a whole vector fits behind the values");
    #[cfg(target_arch = "x86_64")]
    if has_avx512() {
        // SAFETY: the machine has the instructions, as just checked.
        #[allow(unsafe_code)]
        return unsafe { avx512_values_below(values, limit, out) };
    }
    one_by_one(values, limit, out)
}

fn one_by_one(values: &[f32], limit: f32, out: &mut [f32]) -> usize {
    let mut count = 0;
    for &value in values {
        // The store is unconditional, because a branch could not be predicted.
        out[count] = value;
        count += usize::from(value < limit);
    }
    count
}

/// [`one_by_one`] for sixteen values at a time.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,popcnt")]
fn avx512_values_below(values: &[f32], limit: f32, out: &mut [f32]) -> usize {
    use std::arch::x86_64::{
        _CMP_LT_OQ, _mm512_cmp_ps_mask, _mm512_loadu_ps, _mm512_maskz_compress_ps, _mm512_set1_ps,
        _mm512_storeu_ps,
    };

    let mut count = 0;
    let (blocks, rest) = values.as_chunks::<LANES>();
    for values in blocks {
        let next = &mut out[count..][..LANES];
        // SAFETY: the array holds the 16 numbers that are read, the slice has space for 16.
        #[allow(unsafe_code)]
        let below = unsafe {
            let values = _mm512_loadu_ps(values.as_ptr());
            let below = _mm512_cmp_ps_mask::<_CMP_LT_OQ>(values, _mm512_set1_ps(limit));
            _mm512_storeu_ps(next.as_mut_ptr(), _mm512_maskz_compress_ps(below, values));
            below
        };
        count += below.count_ones() as usize;
    }
    count + one_by_one(rest, limit, &mut out[count..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_below_a_limit_remain_in_order() {
        let values: Vec<f32> = (0..512).map(|i| ((i * 37) % 101) as f32).collect();
        for (count, limit) in [(512, 50.0), (512, 200.0), (512, 0.0), (19, 50.0), (0, 1.0)] {
            let mut out = [0.0; 512 + LANES];
            let below = values_below(&values[..count], limit, &mut out);
            let expected: Vec<f32> =
                values[..count].iter().copied().filter(|&value| value < limit).collect();
            assert_eq!(out[..below], expected);
        }
    }
}
