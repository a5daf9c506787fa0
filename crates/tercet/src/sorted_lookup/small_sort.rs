//! Sorts a few numbers by comparing each number with every other.

use crate::simd::{LANES, smallest, vectorised};

/// The number of registers of numbers that are compared at a time.
const GROUP: usize = 4;

/// Sorts numbers (finite and not negative), and writes for each how many are smaller.
pub(super) fn sort(given: &mut Vec<f32>, sorted: &mut Vec<f32>, ranks: &mut Vec<u32>) {
    const NONE: f32 = -1.0;
    let count = given.len();
    let whole = count.next_multiple_of(GROUP * LANES);
    given.resize(whole, f32::INFINITY);
    ranks.resize(whole, 0);
    count_smaller(given, count, ranks);
    ranks.truncate(count);
    sorted.clear();
    sorted.resize(count, NONE);
    for (&rank, &number) in ranks.iter().zip(&*given) {
        sorted[rank as usize] = number;
    }
    // Equal numbers have the same rank, so the entries after it are still empty.
    if smallest(sorted) == NONE {
        let mut last = NONE;
        for number in sorted {
            last = last.max(*number);
            *number = last;
        }
    }
}

vectorised! {
    /// For each value, how many of the first `count` values are smaller.
    fn count_smaller(values: &[f32], count: usize, smaller: &mut [u32]) {
        let (blocks, _) = values.as_chunks::<{ GROUP * LANES }>();
        let (smaller, _) = smaller.as_chunks_mut::<{ GROUP * LANES }>();
        for (block, smaller) in blocks.iter().zip(smaller) {
            let mut counts = [0_u32; GROUP * LANES];
            for &other in &values[..count] {
                for lane in 0..GROUP * LANES {
                    counts[lane] += u32::from(other < block[lane]);
                }
            }
            *smaller = counts;
        }
    }
}
