//! The numbers below a limit, picked from others.

use super::CHUNK;
use crate::simd::LANES;
#[cfg(target_arch = "x86_64")]
use crate::simd::has_avx512;

/// Gathers the values below `limit`, up to [`CHUNK`] of them, at the beginning of `kept`, and returns
/// their number.
pub(super) fn sift(values: &[f32], limit: f32, kept: &mut [f32; CHUNK + LANES]) -> usize {
    #[cfg(target_arch = "x86_64")]
    if has_avx512() {
        // SAFETY: the machine has the instructions, as just asked.
        #[allow(unsafe_code)]
        return unsafe { avx512_sift(values, limit, kept) };
    }
    sift_one_by_one(values, limit, kept)
}

fn sift_one_by_one(values: &[f32], limit: f32, kept: &mut [f32]) -> usize {
    let mut count = 0;
    for &value in values {
        // Written in any case: whether it is below cannot be foretold.
        kept[count] = value;
        count += usize::from(value < limit);
    }
    count
}

/// [`sift_one_by_one`] for sixteen numbers at a time.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,popcnt")]
fn avx512_sift(values: &[f32], limit: f32, kept: &mut [f32; CHUNK + LANES]) -> usize {
    use std::arch::x86_64::{
        _CMP_LT_OQ, _mm512_cmp_ps_mask, _mm512_loadu_ps, _mm512_maskz_compress_ps, _mm512_set1_ps,
        _mm512_storeu_ps,
    };

    let mut count = 0;
    let (blocks, rest) = values.as_chunks::<LANES>();
    for values in blocks {
        let room = &mut kept[count..][..LANES];
        // SAFETY: the array holds the 16 numbers that are read, the slice has room for 16.
        #[allow(unsafe_code)]
        let below = unsafe {
            let values = _mm512_loadu_ps(values.as_ptr());
            let below = _mm512_cmp_ps_mask::<_CMP_LT_OQ>(values, _mm512_set1_ps(limit));
            _mm512_storeu_ps(room.as_mut_ptr(), _mm512_maskz_compress_ps(below, values));
            below
        };
        count += below.count_ones() as usize;
    }
    count + sift_one_by_one(rest, limit, &mut kept[count..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_below_stays_in_order() {
        let values: Vec<f32> = (0..CHUNK).map(|i| ((i * 37) % 101) as f32).collect();
        for (count, limit) in [(CHUNK, 50.0), (CHUNK, 200.0), (CHUNK, 0.0), (19, 50.0), (0, 1.0)] {
            let mut kept = [0.0; CHUNK + LANES];
            let below = sift(&values[..count], limit, &mut kept);
            let expected: Vec<f32> =
                values[..count].iter().copied().filter(|&value| value < limit).collect();
            assert_eq!(kept[..below], expected);
        }
    }
}
