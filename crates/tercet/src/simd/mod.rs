//! One source for every instruction set: a loop is written once, compiled for AVX-512, for AVX2 and
//! for the baseline of the target, and the version is chosen at run time.

mod compress;
mod transpose;

pub(crate) use compress::values_below;
pub(crate) use transpose::{Strided, transpose};

/// Defines a function whose loops use the widest vectors of the machine on which it runs.
///
/// The body is also the scalar reference: the compiler vectorises it, and because Rust neither
/// contracts nor reorders floating-point operations, every version returns the same bits.
macro_rules! vectorised {
    ($(#[$meta:meta])* $vis:vis fn $name:ident $(<const $n:ident: usize>)? (
        $($argument:ident: $type:ty),* $(,)?
    ) $(-> $result:ty)? $body:block) => {
        $(#[$meta])*
        #[allow(clippy::too_many_arguments)]
        $vis fn $name $(<const $n: usize>)? ($($argument: $type),*) $(-> $result)? {
            #[inline(always)]
            fn plain $(<const $n: usize>)? ($($argument: $type),*) $(-> $result)? $body

            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,popcnt")]
                fn avx512 $(<const $n: usize>)? ($($argument: $type),*) $(-> $result)? {
                    plain $(::<$n>)? ($($argument),*)
                }
                #[target_feature(enable = "avx2,fma")]
                fn avx2 $(<const $n: usize>)? ($($argument: $type),*) $(-> $result)? {
                    plain $(::<$n>)? ($($argument),*)
                }
                if $crate::simd::has_avx512() {
                    // SAFETY: the machine has the instructions, as just checked.
                    #[allow(unsafe_code)]
                    return unsafe { avx512 $(::<$n>)? ($($argument),*) };
                }
                if $crate::simd::has_avx2() {
                    // SAFETY: the machine has the instructions, as just checked.
                    #[allow(unsafe_code)]
                    return unsafe { avx2 $(::<$n>)? ($($argument),*) };
                }
            }
            plain $(::<$n>)? ($($argument),*)
        }
    };
}

pub(crate) use vectorised;

/// Whether vectorised loops use AVX-512.
#[cfg(target_arch = "x86_64")]
#[inline]
pub(crate) fn has_avx512() -> bool {
    #[cfg(test)]
    if levels::below(levels::Level::Avx512) {
        return false;
    }
    is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("avx512dq")
        && is_x86_feature_detected!("avx512vl")
        && is_x86_feature_detected!("popcnt")
}

/// Whether vectorised loops use AVX-512 and the machine also has AVX-512 VBMI2, which shifts pairs
/// of numbers.
#[cfg(target_arch = "x86_64")]
#[inline]
pub(crate) fn has_avx512_vbmi2() -> bool {
    has_avx512() && is_x86_feature_detected!("avx512vbmi2")
}

/// Whether vectorised loops use at least AVX2.
#[cfg(target_arch = "x86_64")]
#[inline]
pub(crate) fn has_avx2() -> bool {
    #[cfg(test)]
    if levels::below(levels::Level::Avx2) {
        return false;
    }
    is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma")
}

/// The number of values that a vectorised loop processes at a time: one AVX-512 register of f32.
pub(crate) const LANES: usize = 16;

/// Folds lanes into one by halves, in the same order for every instruction set.
#[inline(always)]
pub(crate) fn fold<T: Copy, const N: usize>(mut lanes: [T; N], pick: impl Fn(T, T) -> T) -> T {
    let mut width = N;
    while width > 1 {
        width /= 2;
        for lane in 0..width {
            lanes[lane] = pick(lanes[lane], lanes[lane + width]);
        }
    }
    lanes[0]
}

/// Σ lanes, in the order of [`fold`].
#[inline(always)]
pub(crate) fn total<const N: usize>(lanes: &[f64; N]) -> f64 {
    let mut lanes = *lanes;
    let mut width = N;
    while width > HALF {
        width /= 2;
        for lane in 0..width {
            lanes[lane] += lanes[lane + width];
        }
    }
    lanes.first_chunk().map_or_else(|| fold(lanes, |x, y| x + y), total_of_register)
}

/// The number of lanes of one AVX-512 register of f64.
const HALF: usize = LANES / 2;

/// Not inlined, because the compiler would otherwise use registers that are only as wide as the
/// last half in the loops before it too.
#[inline(never)]
fn total_of_register(lanes: &[f64; HALF]) -> f64 {
    fold(*lanes, |x, y| x + y)
}

/// Folds values in any order and some of them twice, which does not change a minimum or a maximum.
#[inline(always)]
fn extreme(values: &[f32], worst: f32, pick: impl Fn(f32, f32) -> f32) -> f32 {
    /// Several registers, whose operations do not wait for each other.
    const WIDE: usize = 4 * LANES;

    let mut lanes = [worst; WIDE];
    let (wide, rest) = values.as_chunks::<WIDE>();
    for block in wide {
        for lane in 0..WIDE {
            lanes[lane] = pick(lanes[lane], block[lane]);
        }
    }
    let wide = lanes;
    let mut lanes = [worst; LANES];
    for lane in 0..LANES {
        let low = pick(wide[lane], wide[LANES + lane]);
        lanes[lane] = pick(low, pick(wide[2 * LANES + lane], wide[3 * LANES + lane]));
    }
    let (blocks, rest) = rest.as_chunks::<LANES>();
    for block in blocks {
        for lane in 0..LANES {
            lanes[lane] = pick(lanes[lane], block[lane]);
        }
    }
    match values.last_chunk::<LANES>() {
        Some(block) => {
            for lane in 0..LANES {
                lanes[lane] = pick(lanes[lane], block[lane]);
            }
        }
        None => {
            for &value in rest {
                lanes[0] = pick(lanes[0], value);
            }
        }
    }
    fold(lanes, pick)
}

vectorised! {
    /// Σ values, in f64.
    pub(crate) fn sum(values: &[f32]) -> f64 {
        let mut sums = [0.0_f64; 2 * LANES];
        let (chunks, rest) = values.as_chunks::<{ 2 * LANES }>();
        for chunk in chunks {
            for lane in 0..2 * LANES {
                sums[lane] += f64::from(chunk[lane]);
            }
        }
        let rest = rest.iter().map(|&x| f64::from(x)).sum::<f64>();
        if chunks.is_empty() { rest } else { total(&sums) + rest }
    }
}

vectorised! {
    /// Adds values to the sums of lanes, which [`total`] adds up.
    pub(crate) fn add_to_lanes(sums: &mut [f64; LANES], values: &[f32]) {
        let (blocks, rest) = values.as_chunks::<LANES>();
        for block in blocks {
            for lane in 0..LANES {
                sums[lane] += f64::from(block[lane]);
            }
        }
        for (sum, &value) in sums.iter_mut().zip(rest) {
            *sum += f64::from(value);
        }
    }
}

vectorised! {
    /// The largest value, or −infinity if there is none.
    pub(crate) fn largest(values: &[f32]) -> f32 {
        extreme(values, f32::NEG_INFINITY, |most, value| if value > most { value } else { most })
    }
}

vectorised! {
    /// The smallest value, or infinity if there is none.
    pub(crate) fn smallest(values: &[f32]) -> f32 {
        extreme(values, f32::INFINITY, |least, value| if value < least { value } else { least })
    }
}

vectorised! {
    /// The smallest and the largest value, or infinity and −infinity if there is none.
    pub(crate) fn extremes(values: &[f32]) -> [f32; 2] {
        const WIDE: usize = 2 * LANES;
        let (mut least, mut most) = ([f32::INFINITY; WIDE], [f32::NEG_INFINITY; WIDE]);
        let (blocks, rest) = values.as_chunks::<WIDE>();
        for block in blocks {
            for lane in 0..WIDE {
                let value = block[lane];
                least[lane] = if value < least[lane] { value } else { least[lane] };
                most[lane] = if value > most[lane] { value } else { most[lane] };
            }
        }
        for &value in rest {
            least[0] = if value < least[0] { value } else { least[0] };
            most[0] = if value > most[0] { value } else { most[0] };
        }
        [
            fold(least, |x, y| if y < x { y } else { x }),
            fold(most, |x, y| if y > x { y } else { x }),
        ]
    }
}

/// Calls `take` with the index of every value that equals `value`, in rising order.
pub(crate) fn each_equal(values: &[f32], value: f32, mut take: impl FnMut(usize)) {
    const BLOCK: usize = 4 * LANES;
    for (block, start) in values.chunks(BLOCK).zip((0..).step_by(BLOCK)) {
        if holds(block, value) {
            let places = block.iter().zip(start..).filter(|(other, _)| **other == value);
            places.for_each(|(_, place)| take(place));
        }
    }
}

vectorised! {
    fn holds(values: &[f32], value: f32) -> bool {
        values.iter().fold(0_u32, |found, &other| found | u32::from(other == value)) != 0
    }
}

vectorised! {
    /// sums += terms.
    pub(crate) fn add(sums: &mut [f32], terms: &[f32]) {
        for (sum, &term) in sums.iter_mut().zip(terms) {
            *sum += term;
        }
    }
}

vectorised! {
    /// Σ x·y, in f64.
    pub(crate) fn dot(left: &[f32], right: &[f32]) -> f64 {
        let mut sums = [0.0_f64; 2 * LANES];
        let (left, left_rest) = left.as_chunks::<{ 2 * LANES }>();
        let (right, right_rest) = right.as_chunks::<{ 2 * LANES }>();
        for (x, y) in left.iter().zip(right) {
            for lane in 0..2 * LANES {
                sums[lane] += f64::from(x[lane]) * f64::from(y[lane]);
            }
        }
        let rest = left_rest.iter().zip(right_rest).map(|(&x, &y)| f64::from(x) * f64::from(y));
        total(&sums) + rest.sum::<f64>()
    }
}

/// Lets tests run each instruction set that the machine has.
#[cfg(test)]
pub(crate) mod levels {
    use std::cell::Cell;

    /// The instruction sets, from the narrowest to the widest.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
    pub(crate) enum Level {
        Baseline,
        Avx2,
        Avx512,
    }

    thread_local! {
        static MOST: Cell<Level> = const { Cell::new(Level::Avx512) };
    }

    pub(super) fn below(level: Level) -> bool {
        MOST.get() < level
    }

    /// The result of `work` on each level of this machine, the baseline first. All of its parallel
    /// parts run on one thread, for which the level is set.
    pub(crate) fn on_each<T: Send>(work: impl Fn() -> T + Sync) -> Vec<(Level, T)> {
        let mut levels = vec![Level::Baseline];
        #[cfg(target_arch = "x86_64")]
        {
            levels.extend(super::has_avx2().then_some(Level::Avx2));
            levels.extend(super::has_avx512().then_some(Level::Avx512));
        }
        let at = |level| {
            let start = move |_| MOST.set(level);
            let pool = rayon::ThreadPoolBuilder::new().num_threads(1).start_handler(start);
            (level, pool.build().unwrap().install(&work))
        };
        levels.into_iter().map(at).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The definitions, one number at a time.
    mod scalar {
        pub(super) fn sum(values: &[f32]) -> f64 {
            values.iter().map(|&x| f64::from(x)).sum()
        }

        pub(super) fn dot(left: &[f32], right: &[f32]) -> f64 {
            left.iter().zip(right).map(|(&x, &y)| f64::from(x) * f64::from(y)).sum()
        }
    }

    #[test]
    fn every_instruction_set_gives_the_same_bits() {
        // Every length up to several registers, and values whose sums are not exact.
        let all: Vec<f32> = (0..200).map(|i| ((i * 37) % 101) as f32 / 7.0 - 6.0).collect();
        let other: Vec<f32> = all.iter().rev().map(|x| x * 0.3).collect();
        for count in 0..all.len() {
            let (x, y) = (&all[..count], &other[..count]);
            let results = levels::on_each(|| {
                let mut added = x.to_vec();
                add(&mut added, y);
                assert_eq!(extremes(x), [smallest(x), largest(x)]);
                let mut equal = Vec::new();
                each_equal(x, x.get(count / 2).copied().unwrap_or_default(), |at| equal.push(at));
                (sum(x), dot(x, y), smallest(x), largest(x), equal, added)
            });
            let (_, baseline) = &results[0];
            for (level, result) in &results {
                assert_eq!(result, baseline, "{level:?}, {count} values");
            }
            assert!((baseline.0 - scalar::sum(x)).abs() < 1e-9);
            assert!((baseline.1 - scalar::dot(x, y)).abs() < 1e-9);
            let added: Vec<f32> = x.iter().zip(y).map(|(x, y)| x + y).collect();
            assert_eq!(baseline.2, x.iter().copied().fold(f32::INFINITY, f32::min));
            assert_eq!(baseline.3, x.iter().copied().fold(f32::NEG_INFINITY, f32::max));
            let equal = (0..count).filter(|&at| x[at] == x[count / 2]);
            assert_eq!(baseline.4, equal.collect::<Vec<_>>());
            assert_eq!(baseline.5, added);
        }
    }

    #[test]
    fn sums_are_exact_in_f64() {
        for count in [0, 1, 15, 16, 17, 100] {
            let values: Vec<f32> = (0..count).map(|i| i as f32 * 0.5).collect();
            assert_eq!(sum(&values), (0..count).map(|i| i as f64 * 0.5).sum::<f64>());
            let squares: f64 = (0..count).map(|i| (i * i) as f64 * 0.25).sum();
            assert_eq!(dot(&values, &values), squares);
        }
    }

    #[test]
    fn extremes_are_found() {
        for count in [0, 1, 15, 16, 17, 200] {
            let values: Vec<f32> = (0..count).map(|i| ((i * 37) % 11) as f32).collect();
            let most = values.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            assert_eq!(largest(&values), most);
            let least = values.iter().copied().fold(f32::INFINITY, f32::min);
            assert_eq!(smallest(&values), least);
        }
    }
}
