//! Accumulates the gradient pair by pair.
//!
//! The distance of a pair (x, y) with coefficient c adds c·(x − y) to the gradient of x and
//! c·(y − x) to that of y.

use rayon::prelude::*;

use crate::distance::Points;
use crate::simd::{LANES, vectorised};

/// The coefficient of one pair, which is still to be added to the gradient of the candidate.
#[derive(Debug, Clone, Copy)]
pub(super) struct PairGradient {
    pub(super) anchor: u32,
    /// Position of the candidate.
    pub(super) candidate: u32,
    /// The candidate's row in the gradient.
    pub(super) row: u32,
    pub(super) coefficient: f32,
}

impl PairGradient {
    /// Adds c·(y − x) to the gradient of the candidate y.
    pub(super) fn add_to_candidate(
        &self,
        anchors: &Points,
        candidates: &Points,
        gradient: &mut [f32],
    ) {
        let anchor = anchors.row(self.anchor as usize);
        add_pair(gradient, candidates.row(self.candidate as usize), anchor, self.coefficient);
    }
}

/// Adds pairs to the gradients of their candidates. Each task owns some rows of the gradient and
/// reads all pairs in order, so the result does not depend on the number of tasks.
pub(super) fn add_to_candidates(
    anchors: &Points,
    candidates: &Points,
    pairs: &[Vec<PairGradient>],
    gradient: &mut [f32],
) {
    let d = candidates.dimensions();
    let share = (gradient.len() / d).div_ceil(rayon::current_num_threads()).max(1);
    gradient.par_chunks_mut(share * d).enumerate().for_each(|(task, gradient)| {
        let own = task * share..(task + 1) * share;
        for pair in pairs.iter().flatten() {
            let row = pair.row as usize;
            if own.contains(&row) {
                let row = &mut gradient[(row - own.start) * d..][..d];
                pair.add_to_candidate(anchors, candidates, row);
            }
        }
    });
}

vectorised! {
    /// sums += c·(x − y).
    pub(super) fn add_pair(sums: &mut [f32], x: &[f32], y: &[f32], coefficient: f32) {
        for ((sum, &x), &y) in sums.iter_mut().zip(x).zip(y) {
            *sum += coefficient * (x - y);
        }
    }
}

vectorised! {
    /// sums += row · factor.
    pub(super) fn add_scaled(sums: &mut [f32], row: &[f32], factor: f32) {
        for (sum, &x) in sums.iter_mut().zip(row) {
            *sum += factor * x;
        }
    }
}

vectorised! {
    /// Adds all pairs of one anchor to its gradient.
    pub(super) fn add_to_anchor(
        sums: &mut [f32],
        anchor: &[f32],
        candidates: &Points,
        pairs: &[PairGradient],
    ) {
        /// Values that stay in registers while all pairs are added.
        const WIDE: usize = 4 * LANES;
        let (blocks, _) = sums.as_chunks_mut::<WIDE>();
        let (anchor_blocks, _) = anchor.as_chunks::<WIDE>();
        for ((sums, x), start) in blocks.iter_mut().zip(anchor_blocks).zip((0..).step_by(WIDE)) {
            let mut own = *sums;
            for pair in pairs {
                let y = candidates.row(pair.candidate as usize);
                if let Some(y) = y[start..].first_chunk::<WIDE>() {
                    for lane in 0..WIDE {
                        own[lane] += pair.coefficient * (x[lane] - y[lane]);
                    }
                }
            }
            *sums = own;
        }
        let whole = sums.len() / WIDE * WIDE;
        for pair in pairs {
            let y = candidates.row(pair.candidate as usize);
            for at in whole..sums.len() {
                sums[at] += pair.coefficient * (anchor[at] - y[at]);
            }
        }
    }
}
