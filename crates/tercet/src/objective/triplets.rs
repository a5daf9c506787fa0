//! Lists of triplets: those that a selection takes, and a loss over given ones.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};

use ndarray::{Array2, ArrayView2};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::choose;
use super::evaluation::{Inputs, Outcome};
use super::kernel::Rule;
use super::row::TripletSums;
use super::rule::{Census, Penalty, Selection, TripletLoss};
use crate::distance::Points;
use crate::{Error, Labels, Metric};

/// Three items of a batch, by their rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Triplet {
    /// The item whose two distances are compared.
    pub anchor: u32,
    /// An item of the anchor's class, which should be near.
    pub positive: u32,
    /// An item of another class, which should be farther away.
    pub negative: u32,
}

impl From<[u32; 3]> for Triplet {
    fn from([anchor, positive, negative]: [u32; 3]) -> Self {
        Self { anchor, positive, negative }
    }
}

impl From<&[u32; 3]> for Triplet {
    fn from(&rows: &[u32; 3]) -> Self {
        rows.into()
    }
}

impl From<&Triplet> for Triplet {
    fn from(&triplet: &Triplet) -> Self {
        triplet
    }
}

/// The largest number of triplets that [`Selection::triplets`] returns: 2^28, which take 3 GiB.
pub const TRIPLET_LIMIT: u64 = 1 << 28;

impl Selection {
    /// The triplets that this selection takes of a batch, sorted by anchor, positive and negative.
    /// They are the triplets that a [`TripletLoss`] with this selection evaluates. `margin` is that
    /// of the penalty, which some selections depend on.
    ///
    /// # Shapes
    /// - `embeddings`: B×D, `labels`: B
    ///
    /// # Errors
    /// More than [`TRIPLET_LIMIT`] triplets ([`visit_triplets`](Self::visit_triplets) has no
    /// limit), and the errors of [`TripletLoss::evaluate`].
    ///
    /// ```
    /// use ndarray::array;
    /// use tercet::{Labels, Metric, Selection};
    /// let embeddings = array![[0.0_f32], [1.0], [1.5], [9.0]];
    /// let labels = Labels::from_iter(["ann", "ann", "bob", "bob"]);
    /// let metric = Metric::default();
    /// let triplets = Selection::Hard.triplets(embeddings.view(), &labels, metric, 0.2)?;
    /// assert_eq!(triplets[1], [1, 0, 2].into());
    /// # Ok::<(), tercet::Error>(())
    /// ```
    pub fn triplets(
        self,
        embeddings: ArrayView2<f32>,
        labels: &Labels,
        metric: Metric,
        margin: f32,
    ) -> Result<Vec<Triplet>, Error> {
        self.check(metric)?;
        let inputs = Inputs::of_batch(metric, embeddings, labels)?;
        let too_many = Err(Error::TooManyTriplets { limit: TRIPLET_LIMIT });
        if self == Self::All && inputs.all_triplets() > TRIPLET_LIMIT {
            return too_many;
        }
        let count = AtomicU64::new(0);
        let chosen = inputs.candidates.sweep(&inputs.candidates, |position, distances| {
            let mut triplets = Vec::new();
            if count.load(Ordering::Relaxed) <= TRIPLET_LIMIT {
                self.triplets_of(&inputs, position, distances, margin, &mut |triplet| {
                    triplets.push(triplet);
                });
                count.fetch_add(triplets.len() as u64, Ordering::Relaxed);
                triplets.sort_unstable();
            }
            triplets
        });
        if count.into_inner() > TRIPLET_LIMIT {
            return too_many;
        }
        // The sweep is in class order; the result is in the order of the input.
        let order = inputs.order.ranks.iter().map(|&rank| rank as usize);
        Ok(order.flat_map(|position| chosen[position].iter().copied()).collect())
    }

    /// Calls `visit` with each triplet that this selection takes, without a limit on their number:
    /// anchors in rising order, the triplets of an anchor in no particular order. It uses one
    /// thread and the memory of one tile of distances.
    ///
    /// # Errors
    /// The errors of [`TripletLoss::evaluate`].
    pub fn visit_triplets(
        self,
        embeddings: ArrayView2<f32>,
        labels: &Labels,
        metric: Metric,
        margin: f32,
        mut visit: impl FnMut(Triplet),
    ) -> Result<(), Error> {
        self.check(metric)?;
        let inputs = Inputs::of_batch(metric, embeddings, labels)?;
        /// Anchors whose distances are computed at a time.
        const ROWS: usize = 64;

        let (points, ranks) = (&inputs.candidates, &inputs.order.ranks);
        let (anchors, columns) = (points.reordered(ranks), points.len());
        let mut distances = vec![0.0; ROWS.min(columns) * columns];
        for start in (0..columns).step_by(ROWS) {
            let rows = start..(start + ROWS).min(columns);
            let distances = &mut distances[..rows.len() * columns];
            anchors.tile(rows.clone(), points, distances, None);
            for (anchor, line) in rows.zip(distances.chunks_exact(columns)) {
                self.triplets_of(&inputs, ranks[anchor] as usize, line, margin, &mut visit);
            }
        }
        Ok(())
    }

    fn triplets_of(
        self,
        inputs: &Inputs,
        position: usize,
        distances: &[f32],
        margin: f32,
        visit: &mut dyn FnMut(Triplet),
    ) {
        // A selection depends on the margin of the penalty, but not on its kind.
        let rule = Rule::Triplets {
            selection: self,
            penalty: Penalty::Hinge { margin },
            false_negatives: None,
        };
        let problem = inputs.problem(rule);
        let row = problem.row(position, distances);
        if row.has_triplets() {
            let items = &inputs.order.items;
            choose::triplets(self, &row, &mut |positive, negative| {
                visit([row.item, items[positive], items[negative]].into());
            });
        }
    }
}

impl TripletLoss {
    /// The value and gradient of this objective over given triplets, which replace its selection. A
    /// triplet that is given twice counts twice.
    ///
    /// In the [`Census`], `triplets` and `selected` are the number of triplets given, `anchors` is
    /// the number of different anchors among them, and the mean distances are over these triplets.
    ///
    /// # Shapes
    /// - `embeddings`: B×D
    /// - gradient: B×D
    ///
    /// # Errors
    /// The first triplet with a row that does not exist, or with the same row twice; vectors with
    /// values that are not finite, or so long that their squared distances leave the range of f32;
    /// a margin that is out of range.
    ///
    /// ```
    /// use ndarray::array;
    /// use tercet::TripletLoss;
    /// let embeddings = array![[0.0_f32], [1.0], [1.1]];
    /// let outcome = TripletLoss::batch_all().evaluate_triplets(embeddings.view(), [[0, 1, 2]])?;
    /// assert!((outcome.value - 0.1).abs() < 1e-6);
    /// # Ok::<(), tercet::Error>(())
    /// ```
    pub fn evaluate_triplets<T: Into<Triplet>>(
        &self,
        embeddings: ArrayView2<f32>,
        triplets: impl IntoIterator<Item = T>,
    ) -> Result<Outcome, Error> {
        /// Triplets that a task adds at a time.
        const SHARE: usize = 1 << 12;

        let (points, given) = self.checked_triplets(embeddings, triplets)?;
        let rows = points.len();
        let d = points.dimensions();
        let shares: Vec<&[Triplet]> = given.chunks(SHARE).collect();
        let tasks = rayon::current_num_threads().min(shares.len());
        let (sums, directions) = (0..tasks)
            .into_par_iter()
            .map(|task| {
                let mut sums = TripletSums::default();
                let mut gradient = vec![0.0_f32; rows * d];
                for share in shares.iter().skip(task).step_by(tasks) {
                    for triplet in *share {
                        self.add_triplet(&points, triplet, &mut sums, &mut gradient);
                    }
                }
                (sums, gradient)
            })
            .collect::<Vec<_>>()
            .into_iter()
            .reduce(|mut left, right| {
                left.0.add(&right.0);
                left.1.iter_mut().zip(&right.1).for_each(|(x, y)| *x += y);
                left
            })
            .unwrap_or_default();

        let anchors: BTreeSet<u32> = given.iter().map(|triplet| triplet.anchor).collect();
        let count = given.len() as u64;
        let mean = |sum: f64| if count == 0 { 0.0 } else { sum / count as f64 };
        let census = Census {
            triplets: count,
            selected: count,
            active: sums.active,
            violated: sums.violated,
            anchors: anchors.len() as u64,
            mean_positive_distance: mean(sums.positive_distances),
            mean_negative_distance: mean(sums.negative_distances),
            ..Census::default()
        };
        let divisor = self.reduction.divisor(self.penalty, &census);
        let scale = if divisor == 0 { 0.0 } else { 1.0 / divisor as f64 };
        let mut gradient = Array2::zeros(embeddings.dim());
        for (item, (mut row, sum)) in
            gradient.outer_iter_mut().zip(directions.chunks_exact(d)).enumerate()
        {
            for (g, &sum) in row.iter_mut().zip(sum) {
                *g = (f64::from(sum) * scale) as f32;
            }
            if let Some(row) = row.as_slice_mut() {
                points.pull_back(item, row);
            }
        }
        Ok(Outcome { value: sums.value * scale, gradient, reference_gradient: None, census })
    }

    /// The penalty φ(d(a,p) − d(a,n)) of each of the given triplets, in their order.
    ///
    /// # Shapes
    /// - `embeddings`: B×D; result: a value for each triplet
    ///
    /// # Errors
    /// As [`evaluate_triplets`](Self::evaluate_triplets).
    ///
    /// ```
    /// use ndarray::array;
    /// use tercet::TripletLoss;
    /// let embeddings = array![[0.0_f32], [1.0], [1.5]];
    /// let loss = TripletLoss::batch_all().with_margin(1.0);
    /// assert_eq!(loss.triplet_penalties(embeddings.view(), [[0, 1, 2], [1, 2, 0]])?, [0.5, 0.5]);
    /// # Ok::<(), tercet::Error>(())
    /// ```
    pub fn triplet_penalties<T: Into<Triplet>>(
        &self,
        embeddings: ArrayView2<f32>,
        triplets: impl IntoIterator<Item = T>,
    ) -> Result<Vec<f32>, Error> {
        let (points, given) = self.checked_triplets(embeddings, triplets)?;
        let penalty = |triplet: &Triplet| {
            let [d_ap, d_an] = distances(&points, triplet);
            self.penalty.of(d_ap + self.penalty.margin() - d_an).0
        };
        Ok(given.par_iter().map(penalty).collect())
    }

    /// The vectors and the triplets, none of which names a row that does not exist, or one row twice.
    fn checked_triplets<T: Into<Triplet>>(
        &self,
        embeddings: ArrayView2<f32>,
        triplets: impl IntoIterator<Item = T>,
    ) -> Result<(Points, Vec<Triplet>), Error> {
        self.penalty.check()?;
        let points = Points::of_any_length(embeddings, self.metric)?;
        let rows = points.len();
        let mut given: Vec<Triplet> = Vec::new();
        for (place, triplet) in triplets.into_iter().map(Into::into).enumerate() {
            let Triplet { anchor, positive, negative } = triplet;
            let largest = anchor.max(positive).max(negative) as usize;
            if largest >= rows || anchor == positive || anchor == negative || positive == negative {
                let triplet = [anchor, positive, negative];
                return Err(Error::Triplet { place, triplet, rows });
            }
            given.push(triplet);
        }
        Ok((points, given))
    }

    fn add_triplet(
        &self,
        points: &Points,
        triplet: &Triplet,
        sums: &mut TripletSums,
        gradient: &mut [f32],
    ) {
        let [a, p, n] =
            [triplet.anchor, triplet.positive, triplet.negative].map(|item| item as usize);
        let [d_ap, d_an] = distances(points, triplet);
        let (value, slope) = self.penalty.of(d_ap + self.penalty.margin() - d_an);
        sums.value += f64::from(value);
        sums.active += u64::from(value > self.penalty.active_above());
        sums.violated += u64::from(d_an <= d_ap);
        sums.positive_distances += f64::from(d_ap);
        sums.negative_distances += f64::from(d_an);
        if slope == 0.0 {
            return;
        }
        let d = points.dimensions();
        let to_positive = points.coefficient(slope, d_ap);
        let to_negative = points.coefficient(slope, d_an);
        for k in 0..d {
            let (x, y, z) = (points.row(a)[k], points.row(p)[k], points.row(n)[k]);
            gradient[a * d + k] += to_positive * (x - y) - to_negative * (x - z);
            gradient[p * d + k] -= to_positive * (x - y);
            gradient[n * d + k] += to_negative * (x - z);
        }
    }
}

/// d(a,p) and d(a,n).
fn distances(points: &Points, triplet: &Triplet) -> [f32; 2] {
    let anchor = triplet.anchor as usize;
    [triplet.positive, triplet.negative].map(|other| points.pair_distance(anchor, other as usize))
}
