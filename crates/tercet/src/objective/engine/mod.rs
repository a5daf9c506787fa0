//! From the distances of anchors and candidates to value, census and gradient.
//!
//! Two engines share one frame. [`in_memory`] computes each symmetric quantity once, for a batch
//! whose B×B matrices fit into memory. [`tiled`] computes rounds of anchors against all candidates,
//! any of which may be frozen; its memory has one bound for any number of threads. In both, a row
//! kernel turns the distances of an anchor into weights w = ∂(Σ φ)/∂d, the weights become
//! coefficients c with ∂d/∂x = (c/w)·(x − y), and the coefficients are accumulated into the
//! gradient: by matrix products where most pairs have a weight, and pair by pair where few have
//! one.

mod accumulate;
mod in_memory;
mod tiled;

use super::kernel::{Kernel, Rule};
use super::row::{AnchorRow, TripletSums};
use crate::buffer_pool::Buffer;
use crate::distance::Points;
use crate::labels::ClassOrder;
use crate::watch::Steps;

pub(super) use in_memory::LARGEST_BATCH as LARGEST_IN_MEMORY;

/// What is evaluated: anchors against candidates, and which candidates receive a gradient.
pub(super) struct Problem<'a> {
    pub(super) rule: Rule,
    /// The candidates' vectors in class order.
    pub(super) candidates: &'a Points,
    pub(super) order: &'a ClassOrder,
    pub(super) anchors: Anchors<'a>,
    pub(super) moving: Moving,
}

/// The anchors.
pub(super) enum Anchors<'a> {
    /// All candidates, in class order.
    Candidates,
    /// A separate set, in the order of the input.
    Others {
        points: &'a Points,
        /// The class of each anchor, in the numbering of the candidates' classes.
        classes: &'a [u32],
        /// Whether anchor i is also candidate i of the input.
        among_candidates: bool,
    },
}

/// The candidates that receive a gradient.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Moving {
    /// All candidates, in class order: they are the anchors.
    Anchors,
    /// The first candidates in the order of the input, as many as given: anchor i is candidate i.
    FirstAnchors(usize),
    /// All candidates, in the order of the input. Their gradient is separate from that of the
    /// anchors.
    Reference,
}

/// The sums over all selected triplets, with ∂(Σ φ)/∂vectors.
pub(super) struct Sums {
    pub(super) triplets: TripletSums,
    /// A row for each anchor, in the order of the anchors. It includes the gradient that the anchor
    /// receives as a candidate, unless the candidates are reference vectors.
    pub(super) anchors: Buffer,
    /// A row for each reference vector, in the order of the input.
    pub(super) reference: Option<Buffer>,
}

/// Evaluates a problem: in memory if the anchors are the candidates and there are at most
/// `in_memory` of them, otherwise in tiles.
pub(super) fn evaluate(problem: &Problem, in_memory: usize, steps: &Steps) -> Sums {
    let count = problem.candidates.len();
    if matches!(problem.anchors, Anchors::Candidates) && count <= in_memory {
        let sums = in_memory::evaluate(problem);
        // The result is complete, so a request to stop has nothing to interrupt.
        let _ = steps.done(count);
        return sums;
    }
    tiled::evaluate(problem, steps)
}

impl Problem<'_> {
    pub(super) fn anchor_points(&self) -> &Points {
        match &self.anchors {
            Anchors::Candidates => self.candidates,
            Anchors::Others { points, .. } => points,
        }
    }

    /// The input of the kernel for an anchor, given its distances to all candidates.
    pub(super) fn row<'a>(&'a self, anchor: usize, distances: &'a [f32]) -> AnchorRow<'a> {
        let own = self.own_position(anchor);
        let (item, class) = match &self.anchors {
            Anchors::Candidates => (self.order.items[anchor], self.order.class[anchor]),
            Anchors::Others { classes, .. } => (anchor as u32, classes[anchor]),
        };
        AnchorRow {
            item,
            own,
            distances,
            class: self.order.ranges[class as usize].clone(),
            order: self.order,
            points: self.candidates,
            penalty: self.rule.penalty(),
            false_negatives: self.rule.false_negatives(),
        }
    }

    /// The position of an anchor among the candidates, if it is one of them.
    pub(super) fn own_position(&self, anchor: usize) -> Option<usize> {
        match self.anchors {
            Anchors::Candidates => Some(anchor),
            Anchors::Others { among_candidates: true, .. } => {
                Some(self.order.ranks[anchor] as usize)
            }
            Anchors::Others { .. } => None,
        }
    }

    /// The kernel of each class.
    fn kernels(&self) -> Vec<Kernel> {
        let among = !matches!(self.anchors, Anchors::Others { among_candidates: false, .. });
        let positives = |size: usize| if among { size.saturating_sub(1) } else { size };
        let sizes = self.order.ranges.iter().map(|range| range.len());
        sizes.map(|size| Kernel::for_class(self.rule, positives(size))).collect()
    }

    fn class_of(&self, anchor: usize) -> usize {
        match &self.anchors {
            Anchors::Candidates => self.order.class[anchor] as usize,
            Anchors::Others { classes, .. } => classes[anchor] as usize,
        }
    }

    /// The row of the gradient that belongs to a candidate, if it has one.
    fn gradient_row(&self, position: usize) -> Option<usize> {
        match self.moving {
            Moving::Anchors => Some(position),
            Moving::FirstAnchors(count) => {
                Some(self.order.items[position] as usize).filter(|&item| item < count)
            }
            Moving::Reference => Some(self.order.items[position] as usize),
        }
    }
}
