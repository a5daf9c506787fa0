//! The evaluation of an objective over a batch: inputs → engine → outcome.

mod prefix;

use ndarray::{Array2, ArrayView2, Axis, concatenate};
use rayon::prelude::*;

use super::engine::{self, Anchors, LARGEST_IN_MEMORY, Moving, Problem, Sums};
use super::kernel::{Rule, Term};
use super::rule::{
    Census, FalseNegatives, Lifted, MultiSimilarity, Objective, Reduction, SupervisedContrastive,
    TripletLoss,
};
use crate::distance::{Points, multiply};
use crate::labels::ClassOrder;
use crate::watch::{Steps, Watch};
use crate::{Error, Labels, Metric};

/// The result of an evaluation.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// The loss.
    pub value: f64,
    /// ∂value/∂embeddings, of the shape of the embeddings (B×D).
    pub gradient: Array2<f32>,
    /// ∂value/∂reference (M×D), if the evaluation has [reference vectors](Evaluation::reference).
    pub reference_gradient: Option<Array2<f32>>,
    /// Exact counts of triplets and anchors.
    pub census: Census,
}

/// An evaluation with its options. [`Objective::evaluation`] creates it and [`run`](Self::run)
/// computes it.
///
/// ```
/// use ndarray::array;
/// use tercet::{Labels, TripletLoss};
/// let embeddings = array![[0.1_f32], [2.0]];
/// let labels = Labels::from_iter(["ann", "bob"]);
/// let (old, old_labels) = (array![[0.0_f32], [1.0]], Labels::from_iter(["ann", "bob"]));
/// let outcome = TripletLoss::batch_all()
///     .evaluation(embeddings.view(), &labels)
///     .frozen(old.view(), &old_labels)
///     .run()?;
/// // Each embedding with the old vector of its class, and two negatives each.
/// assert_eq!(outcome.census.triplets, 4);
/// # Ok::<(), tercet::Error>(())
/// ```
#[must_use = "an evaluation computes nothing before `run`"]
#[derive(Clone, Copy)]
pub struct Evaluation<'a> {
    objective: Objective,
    embeddings: ArrayView2<'a, f32>,
    labels: &'a Labels,
    others: Others<'a>,
    frozen_anchors: bool,
    false_negatives: Option<FalseNegatives>,
    prefixes: &'a [usize],
    progress: Option<Watch<'a>>,
    in_memory: usize,
}

/// Vectors in addition to the embeddings.
#[derive(Clone, Copy)]
enum Others<'a> {
    None,
    Frozen(ArrayView2<'a, f32>, &'a Labels),
    Reference(ArrayView2<'a, f32>, &'a Labels),
}

impl<'a> Evaluation<'a> {
    fn new(objective: Objective, embeddings: ArrayView2<'a, f32>, labels: &'a Labels) -> Self {
        Self {
            objective,
            embeddings,
            labels,
            others: Others::None,
            frozen_anchors: false,
            false_negatives: None,
            prefixes: &[],
            progress: None,
            in_memory: LARGEST_IN_MEMORY,
        }
    }

    /// Adds frozen vectors (M×D) as further positives and negatives of the embeddings. They receive
    /// no gradient. Where ties go to the lowest index, row i of them has index B + i.
    ///
    /// They have two uses: a bank of past embeddings ([`Memory`](super::Memory)), and harmonic
    /// triplets (FaceNet, arXiv 1503.03832, section on harmonic embedding), where the frozen
    /// vectors come from an older model and the new model learns to embed into the same space.
    pub fn frozen(self, vectors: ArrayView2<'a, f32>, labels: &'a Labels) -> Self {
        Self { others: Others::Frozen(vectors, labels), ..self }
    }

    /// Makes the [frozen](Self::frozen) vectors anchors too, as harmonic triplets need: an old
    /// anchor attracts the new embeddings of its class. Value, census and mean include them.
    pub fn frozen_anchors(self) -> Self {
        Self { frozen_anchors: true, ..self }
    }

    /// Takes positives and negatives from reference vectors (M×D) only. The embeddings are the
    /// anchors, and both receive a gradient. This is `ref_emb` of pytorch-metric-learning.
    pub fn reference(self, vectors: ArrayView2<'a, f32>, labels: &'a Labels) -> Self {
        Self { others: Others::Reference(vectors, labels), ..self }
    }

    /// Ignores negatives that are probably false, for any selection of triplets: the selection
    /// chooses among the others. Distances must be those of unit vectors.
    pub fn without_false_negatives(self, false_negatives: FalseNegatives) -> Self {
        Self { false_negatives: Some(false_negatives), ..self }
    }

    /// Evaluates the objective on the first d components of all vectors, for each d of `prefixes`,
    /// and adds the values and gradients: Matryoshka representation learning (arXiv 2205.13147, eq.
    /// 1 with weights of 1). A prefix is normalised by itself where the objective normalises. The
    /// census is that of the last prefix. No prefixes, the default: the whole vectors.
    pub fn prefixes(self, prefixes: &'a [usize]) -> Self {
        Self { prefixes, ..self }
    }

    /// Reports to `watch` how many of the anchors are done; `watch` can stop the evaluation. A
    /// batch that is computed in memory (up to 4096 rows, less than a second) is reported once, as
    /// a whole.
    pub fn progress(self, watch: Watch<'a>) -> Self {
        Self { progress: Some(watch), ..self }
    }

    /// The largest batch that is computed in memory, for tests.
    #[cfg(test)]
    pub(super) fn in_memory(self, largest: usize) -> Self {
        Self { in_memory: largest, ..self }
    }

    /// Computes value, gradient and census.
    ///
    /// Results do not depend on the number of threads beyond rounding, and are identical for the
    /// same number of threads.
    ///
    /// # Shapes
    /// - `embeddings`: B×D, `labels`: B; frozen or reference vectors: M×D (M may be 0), labels: M
    /// - gradient: B×D; reference gradient: M×D
    ///
    /// # Errors
    /// Unequal numbers of rows and labels; vectors with values that are not finite, or so long that
    /// their squared distances leave the range of f32; dimensions that differ from those of the
    /// embeddings; a margin or a parameter of the selection that is out of range; distance-weighted
    /// selection between vectors that are not normalised; frozen anchors without frozen vectors;
    /// false negatives of vectors that are not normalised, or of an objective without selection;
    /// prefixes of no component or of more than the vectors have;
    /// [`Error::Interrupted`] when `progress` stops the evaluation.
    pub fn run(self) -> Result<Outcome, Error> {
        let mut gradient = vec![0.0; self.embeddings.len()];
        let (value, reference_gradient, census) = self.compute(&mut gradient)?;
        // The gradient has one row for each embedding, so the shape fits.
        let shape = self.embeddings.dim();
        let gradient = Array2::from_shape_vec(shape, gradient).unwrap_or_default();
        Ok(Outcome { value, gradient, reference_gradient, census })
    }

    /// As [`run`](Self::run), but writes the gradient into a buffer of the caller: `gradient`
    /// receives B×D values, row by row. Returns value and census.
    ///
    /// # Errors
    /// The errors of [`run`](Self::run), and a buffer whose length is not B·D.
    pub fn run_into(self, gradient: &mut [f32]) -> Result<(f64, Census), Error> {
        let expected = self.embeddings.len();
        if gradient.len() != expected {
            return Err(Error::NotEnough {
                what: "a gradient",
                expected: format!("{expected} values, one for each of the embeddings"),
                got: gradient.len().to_string(),
            });
        }
        self.compute(gradient).map(|(value, _, census)| (value, census))
    }

    fn compute(self, gradient: &mut [f32]) -> Result<(f64, Option<Array2<f32>>, Census), Error> {
        match self.prefixes {
            [] => self.compute_whole(gradient),
            prefixes => prefix::compute(self, prefixes, gradient),
        }
    }

    fn compute_whole(
        self,
        gradient: &mut [f32],
    ) -> Result<(f64, Option<Array2<f32>>, Census), Error> {
        let rule = rule(self.objective, self.false_negatives)?;
        if self.frozen_anchors && !matches!(self.others, Others::Frozen(..)) {
            return Err(Error::parameter(
                "frozen_anchors",
                "true",
                "frozen vectors, which become the anchors",
            ));
        }
        // The thread pool is entered once, so that the parallel parts start without waking it each
        // time.
        rayon::scope(|_| {
            let inputs = Inputs::new(self.objective.metric(), &self)?;
            let problem = inputs.problem(rule);
            let steps = Steps::new(self.progress, problem.anchor_points().len());
            let sums = engine::evaluate(&problem, self.in_memory, &steps);
            steps.finish()?;
            let census = inputs.census(&sums);
            let terms = terms(self.objective, &census, &sums);
            let scale = if terms == 0 { 0.0 } else { 1.0 / terms as f64 };
            inputs.write_gradient(&sums, scale, gradient);
            let reference = inputs.reference_gradient(&sums, scale);
            Ok((sums.triplets.value * scale, reference, census))
        })
    }
}

/// Checks an objective and returns its rule.
fn rule(objective: Objective, false_negatives: Option<FalseNegatives>) -> Result<Rule, Error> {
    if let Some(false_negatives) = false_negatives {
        false_negatives.check(&objective)?;
    }
    let term = match objective {
        Objective::Triplet(loss) => {
            loss.check()?;
            let TripletLoss { selection, penalty, .. } = loss;
            return Ok(Rule::Triplets { selection, penalty, false_negatives });
        }
        Objective::Lifted(loss) => Term::Lifted { margin: loss.margin },
        Objective::MultiSimilarity(MultiSimilarity { alpha, beta, base, .. }) => {
            Term::MultiSimilarity { alpha, beta, base }
        }
        Objective::SupervisedContrastive(loss) => {
            Term::SupervisedContrastive { temperature: loss.temperature }
        }
    };
    objective.check_trainable()?;
    Ok(Rule::Term(term))
}

/// The number of terms by which the sum is divided.
fn terms(objective: Objective, census: &Census, sums: &Sums) -> u64 {
    let reduction = match objective {
        Objective::Triplet(loss) => return loss.reduction.divisor(loss.penalty, census),
        Objective::Lifted(loss) => loss.reduction,
        Objective::MultiSimilarity(loss) => loss.reduction,
        Objective::SupervisedContrastive(loss) => loss.reduction,
    };
    match reduction {
        Reduction::Mean | Reduction::MeanAnchors => census.anchors,
        Reduction::MeanActive => sums.triplets.active_anchors,
        Reduction::Sum => 1,
    }
}

/// Checked vectors, in the order in which the engines need them.
pub(super) struct Inputs {
    /// The number of embeddings.
    batch: usize,
    /// The anchors in the order of the input, unless they are exactly the candidates.
    anchors: Option<SeparateAnchors>,
    /// The candidates in class order.
    pub(super) candidates: Points,
    pub(super) order: ClassOrder,
}

struct SeparateAnchors {
    points: Points,
    classes: Vec<u32>,
    among_candidates: bool,
}

impl Inputs {
    fn new(metric: Metric, evaluation: &Evaluation) -> Result<Self, Error> {
        let Evaluation { embeddings, labels, .. } = *evaluation;
        let batch = embeddings.nrows();
        check_count(batch, labels)?;
        match evaluation.others {
            Others::Frozen(vectors, frozen_labels) => {
                check_count(vectors.nrows(), frozen_labels)
                    .map_err(|error| Error::Frozen(Box::new(error)))?;
                if vectors.nrows() == 0 {
                    return Self::of_batch(metric, embeddings, labels);
                }
                let all = joined(embeddings, vectors)?;
                let all = Points::of_any_length(all.view(), metric)
                    .map_err(|error| shifted(error, batch))?;
                let joint = labels.chain(frozen_labels);
                let order = ClassOrder::new(&joint);
                let candidates = all.reordered(&order.items);
                let anchors = if evaluation.frozen_anchors { all.len() } else { batch };
                let points = all.reordered(&(0..anchors as u32).collect::<Vec<_>>());
                let classes = joint.classes()[..anchors].to_vec();
                let anchors = Some(SeparateAnchors { points, classes, among_candidates: true });
                Ok(Self { batch, anchors, candidates, order })
            }
            Others::Reference(vectors, reference_labels) => {
                let refuse = |error| Error::Reference(Box::new(error));
                check_count(vectors.nrows(), reference_labels).map_err(refuse)?;
                if vectors.ncols() != embeddings.ncols() {
                    let (queries, gallery) = (embeddings.ncols(), vectors.ncols());
                    return Err(Error::DimensionMismatch { queries, gallery });
                }
                let points = Points::of_any_length(embeddings, metric)?;
                let (classes, reference_labels) = labels.joint_classes(reference_labels);
                let order = ClassOrder::new(&reference_labels);
                let candidates = points.beside(vectors).map_err(refuse)?.reordered(&order.items);
                let anchors = Some(SeparateAnchors { points, classes, among_candidates: false });
                Ok(Self { batch, anchors, candidates, order })
            }
            Others::None => Self::of_batch(metric, embeddings, labels),
        }
    }

    pub(super) fn of_batch(
        metric: Metric,
        embeddings: ArrayView2<f32>,
        labels: &Labels,
    ) -> Result<Self, Error> {
        check_count(embeddings.nrows(), labels)?;
        let order = ClassOrder::new(labels);
        let candidates = Points::of_batch(embeddings, metric, &order.items)?;
        Ok(Self { batch: embeddings.nrows(), anchors: None, candidates, order })
    }

    pub(super) fn problem(&self, rule: Rule) -> Problem<'_> {
        let (anchors, moving) = match &self.anchors {
            None => (Anchors::Candidates, Moving::Anchors),
            Some(SeparateAnchors { points, classes, among_candidates }) => {
                let moving = match among_candidates {
                    true => Moving::FirstAnchors(self.batch),
                    false => Moving::Reference,
                };
                let among_candidates = *among_candidates;
                (Anchors::Others { points, classes, among_candidates }, moving)
            }
        };
        let (candidates, order) = (&self.candidates, &self.order);
        Problem { rule, candidates, order, anchors, moving }
    }

    fn census(&self, sums: &Sums) -> Census {
        let (classes, among): (&[u32], bool) = match &self.anchors {
            None => (&self.order.class, true),
            Some(anchors) => (&anchors.classes, anchors.among_candidates),
        };
        let total = self.order.items.len() as u64;
        let mut census = Census {
            selected: sums.triplets.selected,
            active: sums.triplets.active,
            violated: sums.triplets.violated,
            filtered: sums.triplets.filtered,
            ..Census::default()
        };
        let (mut positive_pairs, mut negative_pairs) = (0_u64, 0_u64);
        for &class in classes {
            let size = self.order.ranges[class as usize].len() as u64;
            let (positives, negatives) = (size - u64::from(among), total - size);
            positive_pairs += positives;
            negative_pairs += negatives;
            census.triplets += positives * negatives;
            census.anchors += u64::from(positives > 0 && negatives > 0);
            census.anchors_without_positive += u64::from(positives == 0);
            census.anchors_without_negative += u64::from(negatives == 0);
        }
        let mean = |sum: f64, count: u64| if count == 0 { 0.0 } else { sum / count as f64 };
        census.mean_positive_distance = mean(sums.triplets.positive_distances, positive_pairs);
        census.mean_negative_distance = mean(sums.triplets.negative_distances, negative_pairs);
        census
    }

    /// ∂value/∂embeddings, in the order of the input.
    fn write_gradient(&self, sums: &Sums, scale: f64, gradient: &mut [f32]) {
        match &self.anchors {
            None => {
                let position = |item: usize| self.order.ranks[item] as usize;
                write_rows(&self.candidates, &sums.anchors, position, position, scale, gradient);
            }
            Some(anchors) => {
                let own = |item: usize| item;
                write_rows(&anchors.points, &sums.anchors, own, own, scale, gradient);
            }
        }
    }

    /// ∂value/∂reference, in the order of the input.
    fn reference_gradient(&self, sums: &Sums, scale: f64) -> Option<Array2<f32>> {
        let own = sums.reference.as_ref()?;
        let shape = (self.candidates.len(), self.candidates.dimensions());
        let mut gradient = vec![0.0; own.len()];
        let position = |item: usize| self.order.ranks[item] as usize;
        write_rows(&self.candidates, own, |item| item, position, scale, &mut gradient);
        // The gradient has one row for each reference vector, so the shape fits.
        Some(Array2::from_shape_vec(shape, gradient).unwrap_or_default())
    }

    /// Σ over classes of n(n−1)(N−n).
    pub(super) fn all_triplets(&self) -> u64 {
        let total = self.order.items.len() as u64;
        let sizes = self.order.ranges.iter().map(|range| range.len() as u64);
        sizes.map(|size| size * size.saturating_sub(1) * (total - size)).sum()
    }
}

/// Writes the gradient of each item: row `row(item)` of the sums times `scale`, propagated back
/// through the normalisation of point `point(item)`.
fn write_rows(
    points: &Points,
    sums: &[f32],
    row: impl Fn(usize) -> usize + Sync,
    point: impl Fn(usize) -> usize + Sync,
    scale: f64,
    gradient: &mut [f32],
) {
    /// Rows per task.
    const BLOCK: usize = 64;

    let d = points.dimensions();
    gradient.par_chunks_mut(BLOCK * d).enumerate().for_each(|(block, rows)| {
        for (item, out) in (block * BLOCK..).zip(rows.chunks_exact_mut(d)) {
            out.copy_from_slice(&sums[row(item) * d..][..d]);
            multiply(out, scale);
            points.pull_back(point(item), out);
        }
    });
}

fn check_count(rows: usize, labels: &Labels) -> Result<(), Error> {
    match rows == labels.len() {
        true => Ok(()),
        false => Err(Error::LabelCount { rows, labels: labels.len() }),
    }
}

fn joined(first: ArrayView2<f32>, second: ArrayView2<f32>) -> Result<Array2<f32>, Error> {
    concatenate(Axis(0), &[first, second])
        .map_err(|_| Error::DimensionMismatch { queries: first.ncols(), gallery: second.ncols() })
}

/// Assigns an error in a row after the first `batch` rows to the frozen vectors.
fn shifted(error: Error, batch: usize) -> Error {
    match error {
        Error::NotFinite { row, column, value } if row >= batch => {
            Error::Frozen(Box::new(Error::NotFinite { row: row - batch, column, value }))
        }
        Error::TooLong { row, norm, limit } if row >= batch => {
            Error::Frozen(Box::new(Error::TooLong { row: row - batch, norm, limit }))
        }
        error => error,
    }
}

impl Objective {
    /// An evaluation over a batch, to which options can be added.
    ///
    /// # Shapes
    /// - `embeddings`: B×D, `labels`: B
    pub fn evaluation<'a>(
        &self,
        embeddings: ArrayView2<'a, f32>,
        labels: &'a Labels,
    ) -> Evaluation<'a> {
        Evaluation::new(*self, embeddings, labels)
    }

    /// Value, gradient and census of a batch: an [evaluation](Self::evaluation) without options.
    ///
    /// # Shapes
    /// - `embeddings`: B×D, `labels`: B
    /// - gradient: B×D
    ///
    /// # Errors
    /// The errors of [`Evaluation::run`].
    pub fn evaluate(&self, embeddings: ArrayView2<f32>, labels: &Labels) -> Result<Outcome, Error> {
        self.evaluation(embeddings, labels).run()
    }

    /// Whether so many pairs have a weight that matrix products accumulate the gradient.
    pub(crate) fn is_dense(&self, labels: &Labels) -> bool {
        rule(*self, None).is_ok_and(|rule| rule.is_dense(&ClassOrder::new(labels)))
    }
}

macro_rules! evaluates {
    ($($loss:ident),*) => {$(
        impl $loss {
            /// An evaluation over a batch, to which options can be added; see
            /// [`Objective::evaluation`].
            pub fn evaluation<'a>(
                &self,
                embeddings: ArrayView2<'a, f32>,
                labels: &'a Labels,
            ) -> Evaluation<'a> {
                Evaluation::new((*self).into(), embeddings, labels)
            }

            /// Value, gradient and census of a batch.
            ///
            /// # Shapes
            /// - `embeddings`: B×D, `labels`: B
            /// - gradient: B×D
            ///
            /// # Errors
            /// The errors of [`Evaluation::run`].
            pub fn evaluate(
                &self,
                embeddings: ArrayView2<f32>,
                labels: &Labels,
            ) -> Result<Outcome, Error> {
                self.evaluation(embeddings, labels).run()
            }
        }
    )*};
}

evaluates!(TripletLoss, Lifted, MultiSimilarity, SupervisedContrastive);
