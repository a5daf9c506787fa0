//! The nearest negative of an anchor beyond each of several limits, for all limits in one pass.

use std::ops::Range;

use crate::objective::row::AnchorRow;
#[cfg(target_arch = "x86_64")]
use crate::simd::has_avx512;
use crate::simd::{LANES, fold, vectorised};

/// The nearest negative beyond a limit.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Nearest {
    /// Its distance, infinite if there is none.
    pub(super) distance: f32,
    /// Its position, if it is known to be the only negative at this distance.
    position: Option<u32>,
}

/// For each limit, the nearest negative with a distance strictly above the limit.
pub(super) fn nearest_beyond<const N: usize>(row: &AnchorRow, limits: [f32; N]) -> [Nearest; N] {
    nearest_outside(row.distances, row.class.clone(), limits)
}

/// The position of the nearest negative. Of several, it is the one with the lowest index in the
/// input.
pub(super) fn position_of(row: &AnchorRow, nearest: Nearest) -> Option<usize> {
    match nearest.position {
        Some(position) => Some(position as usize),
        None if nearest.distance < f32::INFINITY => {
            row.lowest_at(row.negative_ranges(), nearest.distance)
        }
        None => None,
    }
}

/// For each limit, the smallest distance outside the class that is above the limit.
fn nearest_outside<const N: usize>(
    distances: &[f32],
    class: Range<usize>,
    limits: [f32; N],
) -> [Nearest; N] {
    #[cfg(target_arch = "x86_64")]
    if has_avx512() {
        // SAFETY: `has_avx512` returned true, so the machine has the instructions.
        #[allow(unsafe_code)]
        return unsafe { avx512_nearest_outside(distances, class, limits) };
    }
    let [before, after] = [&distances[..class.start], &distances[class.end..]]
        .map(|negatives| smallest_above_each(negatives, limits));
    std::array::from_fn(|n| Nearest { distance: before[n].min(after[n]), position: None })
}

vectorised! {
    /// The smallest value above each limit, or infinity if there is none.
    fn smallest_above_each<const N: usize>(values: &[f32], above: [f32; N]) -> [f32; N] {
        let mut least = [[f32::INFINITY; LANES]; N];
        let (blocks, rest) = values.as_chunks::<LANES>();
        for block in blocks {
            for lane in 0..LANES {
                let d = block[lane];
                for p in 0..N {
                    let value = if d > above[p] { d } else { f32::INFINITY };
                    least[p][lane] = if value < least[p][lane] { value } else { least[p][lane] };
                }
            }
        }
        // The last vector may contain values that were already read, which does not change a
        // minimum.
        let mut last = [f32::INFINITY; LANES];
        match values.last_chunk::<LANES>() {
            Some(block) => last = *block,
            None => last[..rest.len()].copy_from_slice(rest),
        }
        for lane in 0..LANES {
            for p in 0..N {
                let value = if last[lane] > above[p] { last[lane] } else { f32::INFINITY };
                least[p][lane] = if value < least[p][lane] { value } else { least[p][lane] };
            }
        }
        let mut nearest = [f32::INFINITY; N];
        for (nearest, least) in nearest.iter_mut().zip(&least) {
            *nearest = fold(*least, |x, y| if y < x { y } else { x });
        }
        nearest
    }
}

/// The same with positions, in two passes: the first finds the smallest distance, the second its
/// position. Distances are not negative, so their bits as integers have the order of the distances.
/// Subtracting the bits of the limit plus one, with wrap-around, turns every distance that is not
/// beyond the limit into a very large integer, so one unsigned minimum per vector suffices. It is
/// written with intrinsics because the compiler does not generate this form.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
fn avx512_nearest_outside<const N: usize>(
    distances: &[f32],
    class: Range<usize>,
    limits: [f32; N],
) -> [Nearest; N] {
    use std::arch::x86_64::*;

    let excluded = _mm512_set1_epi32(f32::INFINITY.to_bits() as i32);
    let load = |values: &[f32; LANES]| {
        // SAFETY: the array holds the 16 numbers that are read.
        #[allow(unsafe_code)]
        unsafe {
            _mm512_loadu_si512(values.as_ptr().cast())
        }
    };
    let masked = |block: usize, values| {
        let lane = |position: usize| position.saturating_sub(block * LANES).min(LANES);
        let own = (1_u32 << lane(class.end)) - (1 << lane(class.start));
        _mm512_mask_mov_epi32(values, own as u16, excluded)
    };
    let (whole, rest) = distances.as_chunks::<LANES>();
    let before = (class.start / LANES).min(whole.len());
    let after = class.end.div_ceil(LANES).clamp(before, whole.len());
    let mut last = [f32::INFINITY; LANES];
    last[..rest.len()].copy_from_slice(rest);
    macro_rules! each {
        ($meet:ident) => {
            for (block, values) in whole[..before].iter().enumerate() {
                $meet!(block, load(values));
            }
            for (block, values) in whole[..after].iter().enumerate().skip(before) {
                $meet!(block, masked(block, load(values)));
            }
            for (block, values) in whole.iter().enumerate().skip(after) {
                $meet!(block, load(values));
            }
            if !rest.is_empty() {
                $meet!(whole.len(), masked(whole.len(), load(&last)));
            }
        };
    }

    let firsts = limits.map(|limit| if limit < 0.0 { 0 } else { (limit + 0.0).to_bits() + 1 });
    let offsets = firsts.map(|first| _mm512_set1_epi32(first as i32));
    let mut least = [_mm512_set1_epi32(-1); N];
    macro_rules! lessen {
        ($block:expr, $values:expr) => {{
            let (_, values) = ($block, $values);
            for n in 0..N {
                least[n] = _mm512_min_epu32(least[n], _mm512_sub_epi32(values, offsets[n]));
            }
        }};
    }
    each!(lessen);

    let mut found = [Nearest { distance: f32::INFINITY, position: None }; N];
    let mut wanted = [excluded; N];
    for n in 0..N {
        if let Some(bits) = _mm512_reduce_min_epu32(least[n]).checked_add(firsts[n])
            && bits < f32::INFINITY.to_bits()
        {
            found[n].distance = f32::from_bits(bits);
            wanted[n] = _mm512_set1_epi32(bits as i32);
        }
    }
    let one = _mm512_set1_epi32(1);
    let mut blocks = [_mm512_setzero_si512(); N];
    let mut counts = [_mm512_setzero_si512(); N];
    macro_rules! find {
        ($block:expr, $values:expr) => {{
            let (block, values) = (_mm512_set1_epi32($block as i32), $values);
            for n in 0..N {
                let here = _mm512_cmpeq_epi32_mask(values, wanted[n]);
                blocks[n] = _mm512_mask_mov_epi32(blocks[n], here, block);
                counts[n] = _mm512_mask_add_epi32(counts[n], here, counts[n], one);
            }
        }};
    }
    each!(find);
    for n in 0..N {
        let here = _mm512_test_epi32_mask(counts[n], counts[n]);
        if found[n].distance < f32::INFINITY && _mm512_reduce_add_epi32(counts[n]) == 1 {
            let block = _mm512_mask_reduce_add_epi32(here, blocks[n]) as u32;
            found[n].position = Some(block * LANES as u32 + here.trailing_zeros());
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::simd::levels;

    proptest! {
        #[test]
        fn the_nearest_are_found_by_every_instruction_set(
            distances in prop::collection::vec(0..40_u8, 1..120),
            class in prop::array::uniform2(0.0..1.0_f64),
            limits in prop::array::uniform3(-1..40_i8),
        ) {
            let distances: Vec<f32> = distances.into_iter().map(f32::from).collect();
            let [start, end] = class.map(|share| (share * distances.len() as f64) as usize);
            let class = start.min(end)..start.max(end);
            let negatives: Vec<usize> =
                (0..distances.len()).filter(|place| !class.contains(place)).collect();
            let found = levels::on_each(|| {
                nearest_outside(&distances, class.clone(), limits.map(f32::from))
            });
            for (level, found) in found {
                for (nearest, limit) in found.into_iter().zip(limits) {
                    let beyond = |place: &&usize| distances[**place] > f32::from(limit);
                    let least = negatives.iter().filter(beyond).map(|&place| distances[place]);
                    let least = least.fold(f32::INFINITY, f32::min);
                    let at = |place: &&usize| distances[**place] == least;
                    let places: Vec<&usize> = negatives.iter().filter(at).collect();
                    prop_assert_eq!(nearest.distance, least, "{:?}", level);
                    if let Some(place) = nearest.position {
                        prop_assert_eq!(&places, &[&(place as usize)], "{:?}", level);
                    } else if level == levels::Level::Avx512 && least < f32::INFINITY {
                        prop_assert!(places.len() > 1, "{:?}", level);
                    }
                }
            }
        }
    }
}
