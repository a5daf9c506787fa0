//! Numbers in rising order, and the rank of each.

use super::bins::{Span, sum_down};
use crate::simd::{LANES, largest, smallest, vectorised};

/// Up to so many numbers, comparing each with each beats sorting them by bins.
const FEW: usize = 192;

/// Bins for each number: few then hold several.
const BINS_PER_NUMBER: usize = 2;

/// Registers of numbers that are compared at a time.
const GROUP: usize = 4;

#[derive(Debug, Default)]
pub(in crate::objective) struct Rising {
    /// The numbers in rising order.
    pub(in crate::objective) sorted: Vec<f32>,
    /// For each number in the order given, how many are smaller; equal ones may also be counted in
    /// their order.
    pub(in crate::objective) ranks: Vec<u32>,
    given: Vec<f32>,
    cells: Vec<u32>,
    table: Vec<u32>,
    ids: Vec<u32>,
}

impl Rising {
    /// Sorts the numbers of both slices (finite and not negative).
    pub(in crate::objective) fn sort(&mut self, numbers: [&[f32]; 2]) {
        self.given.clear();
        numbers.iter().for_each(|numbers| self.given.extend_from_slice(numbers));
        self.sorted.clear();
        self.ranks.clear();
        if self.given.len() <= FEW { self.compare() } else { self.sort_by_bins() }
    }

    fn compare(&mut self) {
        let count = self.given.len();
        let whole = count.next_multiple_of(GROUP * LANES);
        self.given.resize(whole, f32::INFINITY);
        self.ranks.resize(whole, 0);
        count_smaller(&self.given, count, &mut self.ranks);
        self.ranks.truncate(count);
        const NONE: f32 = -1.0;
        self.sorted.resize(count, NONE);
        for (&rank, &number) in self.ranks.iter().zip(&self.given) {
            self.sorted[rank as usize] = number;
        }
        // Equal numbers have met in one place, and have left those behind it free.
        if smallest(&self.sorted) == NONE {
            let mut last = NONE;
            for number in &mut self.sorted {
                last = last.max(*number);
                *number = last;
            }
        }
    }

    fn sort_by_bins(&mut self) {
        let count = self.given.len();
        let span = Span::new(smallest(&self.given), largest(&self.given), count * BINS_PER_NUMBER);
        self.cells.resize(count, 0);
        span.cells(&self.given, &mut self.cells);
        span.count(&self.cells, &mut self.table);
        sum_down(&mut self.table);
        self.sorted.resize(count, 0.0);
        self.ids.resize(count, 0);
        for ((&cell, &number), id) in self.cells.iter().zip(&self.given).zip(0..) {
            let next = &mut self.table[cell as usize];
            self.sorted[*next as usize] = number;
            self.ids[*next as usize] = id;
            *next += 1;
        }
        self.sort_within_bins();
        self.ranks.resize(count, 0);
        for (&id, rank) in self.ids.iter().zip(0..) {
            self.ranks[id as usize] = rank;
        }
    }

    fn sort_within_bins(&mut self) {
        for end in 1..self.sorted.len() {
            let (number, id) = (self.sorted[end], self.ids[end]);
            let mut at = end;
            while at > 0 && self.sorted[at - 1] > number {
                self.sorted[at] = self.sorted[at - 1];
                self.ids[at] = self.ids[at - 1];
                at -= 1;
            }
            self.sorted[at] = number;
            self.ids[at] = id;
        }
    }
}

vectorised! {
    /// For each value how many of the first `count` are smaller.
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
