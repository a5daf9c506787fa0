//! Forces between single pairs of points.

use rayon::prelude::*;

use crate::distance::Points;
use crate::simd::{LANES, vectorised};

/// Force c·(x − y) on its first point x, and the opposite one on its second.
pub(super) struct Pull {
    pub(super) first: u32,
    pub(super) second: u32,
    pub(super) coefficient: f32,
}

impl Pull {
    /// Takes from the second point what the first has got.
    pub(super) fn move_second(&self, points: &Points, sums: &mut [f32]) {
        let (first, second) = (self.first as usize, self.second as usize);
        add_force(sums, points.row(second), points.row(first), self.coefficient);
    }
}

/// Moves the second points of pulls. Each task owns some of the points and goes through all pulls in
/// order.
pub(super) fn move_seconds(points: &Points, pulls: &[Vec<Pull>], gradient: &mut [f32]) {
    let (batch, d) = (points.len(), points.dimensions());
    let share = batch.div_ceil(rayon::current_num_threads()).max(1);
    gradient.par_chunks_mut(share * d).enumerate().for_each(|(task, gradient)| {
        let own = task * share..(task + 1) * share;
        for pull in pulls.iter().flatten() {
            let second = pull.second as usize;
            if own.contains(&second) {
                pull.move_second(points, &mut gradient[(second - own.start) * d..][..d]);
            }
        }
    });
}

vectorised! {
    /// sums += c·(x − y).
    pub(super) fn add_force(sums: &mut [f32], x: &[f32], y: &[f32], coefficient: f32) {
        for ((sum, &x), &y) in sums.iter_mut().zip(x).zip(y) {
            *sum += coefficient * (x - y);
        }
    }
}

vectorised! {
    /// What many pulls add to the point that is the first of all of them.
    pub(super) fn add_forces(sums: &mut [f32], points: &Points, first: usize, pulls: &[Pull]) {
        /// Registers that keep sums and point through all pulls.
        const WIDE: usize = 4 * LANES;
        let (blocks, _) = sums.as_chunks_mut::<WIDE>();
        let (points_blocks, _) = points.row(first).as_chunks::<WIDE>();
        for ((sums, x), start) in blocks.iter_mut().zip(points_blocks).zip((0..).step_by(WIDE)) {
            let mut kept = *sums;
            for pull in pulls {
                if let Some(y) = points.row(pull.second as usize)[start..].first_chunk::<WIDE>() {
                    for lane in 0..WIDE {
                        kept[lane] += pull.coefficient * (x[lane] - y[lane]);
                    }
                }
            }
            *sums = kept;
        }
        let whole = sums.len() / WIDE * WIDE;
        for pull in pulls {
            let (x, y) = (points.row(first), points.row(pull.second as usize));
            for at in whole..sums.len() {
                sums[at] += pull.coefficient * (x[at] - y[at]);
            }
        }
    }
}
