//! Do two items show the same class? Judged on pairs, as LFW does.

use std::collections::{BTreeMap, HashSet};

use ndarray::ArrayView2;
use rand::rngs::ChaCha8Rng;
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use rayon::prelude::*;
use serde::Serialize;

use crate::distance::Points;
use crate::{Error, Labels, Metric};

/// The false accept rates at which the validation rate is judged, as they stand in the output.
pub const FAR_TARGETS: [(&str, f64); 3] = [("0.1", 0.1), ("0.01", 0.01), ("0.001", 0.001)];

/// Folds of [`balanced_pairs`] where there are classes enough, as in LFW.
const FOLDS: usize = 10;

/// Two items compared.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pair {
    /// How far apart they are; any unit, but one for all pairs.
    pub distance: f32,
    /// Whether they are of the same class.
    pub same: bool,
    /// The fold that this pair is tested in. Any numbers that tell folds apart.
    pub fold: u32,
}

/// What accepting pairs below a distance achieves (Huang et al., "Labeled Faces in the Wild",
/// 2007; VAL and FAR as in Schroff et al., "FaceNet", 2015).
///
/// A pair is accepted as *same* iff its distance is **strictly below** a threshold, as in
/// davidsandberg/facenet. FAR is the share of different pairs that are accepted, VAL the share of
/// same pairs.
///
/// Thresholds are chosen on all folds but one and applied to that one. Where there is only one
/// fold, or where the other folds hold no different pair to choose a FAR threshold by, the choice
/// is made on all pairs instead, and the figure is optimistic by that much.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Verification {
    /// Pairs judged.
    pub pairs: u64,
    /// Share of the pairs judged rightly, at thresholds chosen for it.
    ///
    /// Of the thresholds halfway between neighbouring distances (and the two beyond them), the
    /// lowest with the best accuracy on the other folds is taken.
    pub accuracy: Accuracy,
    /// The probability that a same pair is closer than a different pair, ties counted half: the
    /// area under the ROC curve over all pairs.
    pub auc: f64,
    /// The rate at which FAR equals the share of same pairs refused, over all pairs; interpolated
    /// linearly between neighbouring points of the ROC curve.
    pub eer: f64,
    /// The lowest threshold with the best accuracy over all pairs, for use on other data.
    pub threshold: f32,
    /// The validation rate at each of [`FAR_TARGETS`], by the target as text.
    pub val_at_far: BTreeMap<String, ValAtFar>,
}

/// Accuracy over folds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Accuracy {
    /// Mean of the folds' accuracies.
    pub mean: f64,
    /// Their population standard deviation; 0 with one fold.
    pub std: f64,
}

/// The validation rate where false accepts are limited.
///
/// For each fold the threshold is [`threshold_at_far`] of the other folds. It does not interpolate
/// between ties, grows with the target, and gives VAL 1 whenever some threshold separates all same
/// pairs from all different ones. Where there are too few different pairs to resolve the target it
/// accepts none of those it was chosen on.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct ValAtFar {
    /// Mean over the folds (those with same pairs) of the share of same pairs accepted.
    pub val: f64,
    /// Population standard deviation of that share.
    pub std: f64,
    /// Mean over the folds (those with different pairs) of the share of different pairs accepted:
    /// what became of the target on pairs that the threshold had not seen.
    pub far: f64,
}

impl Verification {
    /// Judges pairs that are already measured, in O(P log P + F·P) for P pairs in F folds.
    ///
    /// # Errors
    /// A distance that is not finite; no same pairs; no different pairs; no pairs, and hence no
    /// folds, at all.
    pub fn judge(pairs: &[Pair]) -> Result<Self, Error> {
        let sorted = sorted_by_distance(pairs)?;
        let same = sorted.iter().filter(|pair| pair.same).count();
        if same == 0 || same == sorted.len() {
            return Err(Error::NotEnough {
                what: "verification",
                expected: "same pairs and different pairs".to_owned(),
                got: format!("{same} same and {} different", sorted.len() - same),
            });
        }
        let folds = Fold::split(&sorted);
        let accuracies: Vec<f64> = folds
            .iter()
            .map(|fold| {
                let threshold = best_threshold(&fold.others);
                let right = fold.held_out.iter().filter(|p| (p.distance < threshold) == p.same);
                right.count() as f64 / fold.held_out.len() as f64
            })
            .collect();
        let (mean, std) = mean_and_std(&accuracies);
        let curve = roc(&sorted);
        Ok(Self {
            pairs: pairs.len() as u64,
            accuracy: Accuracy { mean, std },
            auc: area_under(&curve),
            eer: equal_error_rate(&curve),
            threshold: best_threshold(&sorted),
            val_at_far: FAR_TARGETS
                .iter()
                .map(|&(name, far)| (name.to_owned(), ValAtFar::judge(&sorted, &folds, far)))
                .collect(),
        })
    }
}

impl ValAtFar {
    fn judge(sorted: &[Pair], folds: &[Fold], target: f64) -> Self {
        let mut vals = Vec::new();
        let mut fars = Vec::new();
        for fold in folds {
            let threshold = limit_far(&fold.others, target).or_else(|| limit_far(sorted, target));
            let Some(threshold) = threshold else { continue };
            let (accepted_same, accepted_different) = accepted(&fold.held_out, threshold);
            vals.extend(accepted_same);
            fars.extend(accepted_different);
        }
        let (val, std) = mean_and_std(&vals);
        let (far, _) = mean_and_std(&fars);
        Self { val, std, far }
    }
}

/// The largest threshold at which the share of different pairs strictly below it is at most `far`.
///
/// It is the distance of a different pair (which it refuses), or with `far` = 1 a distance just
/// above all pairs. With `far` below one in the number of different pairs it is the least distance
/// of a different pair: none is accepted. Same pairs and folds play no part.
///
/// # Errors
/// A distance that is not finite; no different pairs; `far` outside 0…1.
///
/// ```
/// use tercet::verification::{Pair, threshold_at_far};
/// let pairs = [1.0_f32, 2.0, 3.0, 4.0].map(|distance| Pair { distance, same: false, fold: 0 });
/// assert_eq!(threshold_at_far(&pairs, 0.5)?, 3.0);
/// assert_eq!(threshold_at_far(&pairs, 0.1)?, 1.0);
/// # Ok::<(), tercet::Error>(())
/// ```
pub fn threshold_at_far(pairs: &[Pair], far: f64) -> Result<f32, Error> {
    if !(0.0..=1.0).contains(&far) {
        return Err(Error::Parameter {
            parameter: "far",
            got: far.to_string(),
            expected: "a share from 0 to 1",
        });
    }
    let sorted = sorted_by_distance(pairs)?;
    limit_far(&sorted, far).ok_or_else(|| Error::NotEnough {
        what: "a threshold at a false accept rate",
        expected: "different pairs".to_owned(),
        got: format!("{} same and 0 different", pairs.len()),
    })
}

/// Pairs in folds that share no class, as in LFW, with as many different pairs as same ones.
///
/// The classes are shuffled and dealt into min(10, C/2) folds (at least one), two or more each. A
/// fold's same pairs are all there are, or `limit_per_fold` of them; its different pairs are as
/// many again, both of that fold's classes, or fewer if there are fewer. Both kinds are drawn
/// uniformly without replacement from a ChaCha8 stream started with `seed`. A fold whose classes
/// all have one item stays empty. Distances are measured by differences, for these pairs only.
///
/// # Shapes
/// - embeddings: N×D; labels: N
///
/// # Errors
/// Another count of labels than of rows; vectors that are not finite, too long, or without
/// dimensions; `limit_per_fold` = 0; fewer than two classes, or no class with two items.
pub fn balanced_pairs(
    embeddings: ArrayView2<f32>,
    labels: &Labels,
    metric: Metric,
    limit_per_fold: usize,
    seed: u64,
) -> Result<Vec<Pair>, Error> {
    let (rows, label_count) = (embeddings.nrows(), labels.len());
    if rows != label_count {
        return Err(Error::LabelCount { rows, labels: label_count });
    }
    if limit_per_fold == 0 {
        return Err(Error::Parameter {
            parameter: "limit_per_fold",
            got: limit_per_fold.to_string(),
            expected: "at least 1",
        });
    }
    let points = Points::new(embeddings, metric)?;
    let mut classes = labels.items_by_class();
    let largest = classes.iter().map(Vec::len).max().unwrap_or(0);
    if classes.len() < 2 || largest < 2 {
        return Err(Error::NotEnough {
            what: "verification",
            expected: "two classes, one of them with two items".to_owned(),
            got: format!("{} classes of at most {largest} items", classes.len()),
        });
    }
    let mut stream = ChaCha8Rng::seed_from_u64(seed);
    classes.shuffle(&mut stream);
    let folds = FOLDS.min(classes.len() / 2);
    let mut listed = Vec::new();
    for fold in 0..folds {
        let pairable = Pairable::new(classes.iter().skip(fold).step_by(folds));
        let same = draw(pairable.same_count(), limit_per_fold as u64, &mut stream);
        let different = draw(pairable.different_count(), same.len() as u64, &mut stream);
        listed.extend(same.into_iter().map(|n| (pairable.same(n), true, fold)));
        listed.extend(different.into_iter().map(|n| (pairable.different(n), false, fold)));
    }
    let measure = |&((left, right), same, fold): &((u32, u32), bool, usize)| Pair {
        distance: points.pair_distance(left as usize, right as usize),
        same,
        fold: fold as u32,
    };
    Ok(listed.par_iter().map(measure).collect())
}

/// The pairs of a fold, numbered without listing them.
struct Pairable<'a> {
    /// All items, class after class.
    items: Vec<u32>,
    classes: Vec<&'a [u32]>,
    /// Where each class starts among the items; one more entry for the end.
    starts: Vec<u64>,
    /// Same pairs in the classes before; one more entry for the total.
    same_before: Vec<u64>,
    /// Pairs of an item of the classes before with one of a later class than its own.
    different_before: Vec<u64>,
}

impl<'a> Pairable<'a> {
    fn new(classes: impl Iterator<Item = &'a Vec<u32>>) -> Self {
        let classes: Vec<&[u32]> = classes.map(Vec::as_slice).collect();
        let items = classes.concat();
        let (mut start, mut same, mut different) = (0, 0, 0);
        let (mut starts, mut same_before, mut different_before) = (vec![0], vec![0], vec![0]);
        for class in &classes {
            let size = class.len() as u64;
            start += size;
            same += size * size.saturating_sub(1) / 2;
            different += size * (items.len() as u64 - start);
            starts.push(start);
            same_before.push(same);
            different_before.push(different);
        }
        Self { items, classes, starts, same_before, different_before }
    }

    fn same_count(&self) -> u64 {
        self.same_before[self.classes.len()]
    }

    fn different_count(&self) -> u64 {
        self.different_before[self.classes.len()]
    }

    /// The `n`-th pair of one class. Within a class, pair (i, j) with i < j is number j(j−1)/2 + i.
    fn same(&self, n: u64) -> (u32, u32) {
        let class = self.same_before.partition_point(|&before| before <= n) - 1;
        let n = n - self.same_before[class];
        // j = ⌊(1 + √(8n + 1)) / 2⌋
        let j = (8 * n + 1).isqrt().div_ceil(2);
        let i = n - j * (j - 1) / 2;
        (self.classes[class][i as usize], self.classes[class][j as usize])
    }

    /// The `n`-th pair of an item with one of a later class.
    fn different(&self, n: u64) -> (u32, u32) {
        let class = self.different_before.partition_point(|&before| before <= n) - 1;
        let n = n - self.different_before[class];
        let end = self.starts[class + 1];
        let later = self.items.len() as u64 - end;
        let left = self.classes[class][(n / later) as usize];
        (left, self.items[(end + n % later) as usize])
    }
}

/// min(amount, count) different numbers below `count`, in rising order, every set equally likely
/// (Floyd's algorithm: memory for the sample only).
fn draw(count: u64, amount: u64, stream: &mut ChaCha8Rng) -> Vec<u64> {
    if amount >= count {
        return (0..count).collect();
    }
    let mut taken = HashSet::new();
    for last in count - amount..count {
        let number = stream.random_range(0..=last);
        if !taken.insert(number) {
            taken.insert(last);
        }
    }
    let mut drawn: Vec<u64> = taken.into_iter().collect();
    drawn.sort_unstable();
    drawn
}

fn sorted_by_distance(pairs: &[Pair]) -> Result<Vec<Pair>, Error> {
    if let Some(n) = pairs.iter().position(|pair| !pair.distance.is_finite()) {
        return Err(Error::Parameter {
            parameter: "distance",
            got: format!("{} at pair {n}", pairs[n].distance),
            expected: "finite numbers",
        });
    }
    let mut sorted = pairs.to_vec();
    sorted.sort_by(|x, y| x.distance.total_cmp(&y.distance));
    Ok(sorted)
}

/// One fold and what its thresholds are chosen on, each by rising distance.
struct Fold {
    held_out: Vec<Pair>,
    others: Vec<Pair>,
}

impl Fold {
    fn split(sorted: &[Pair]) -> Vec<Self> {
        let mut numbers: Vec<u32> = sorted.iter().map(|pair| pair.fold).collect();
        numbers.sort_unstable();
        numbers.dedup();
        let fold = |&number: &u32| {
            let (held_out, others) = sorted.iter().partition(|pair| pair.fold == number);
            Self { held_out, others }
        };
        match numbers.as_slice() {
            [_] => vec![Self { held_out: sorted.to_vec(), others: sorted.to_vec() }],
            numbers => numbers.iter().map(fold).collect(),
        }
    }
}

/// Same and different pairs at each distance that occurs, by rising distance.
fn groups(sorted: &[Pair]) -> impl Iterator<Item = (f32, u64, u64)> {
    sorted.chunk_by(|x, y| x.distance == y.distance).map(|tied| {
        let same = tied.iter().filter(|pair| pair.same).count();
        (tied[0].distance, same as u64, (tied.len() - same) as u64)
    })
}

/// The lowest of the candidate thresholds with the most pairs judged rightly.
fn best_threshold(sorted: &[Pair]) -> f32 {
    let mut groups = groups(sorted).peekable();
    // At the least distance nothing is accepted: all different pairs are right.
    let mut best = groups.peek().map_or(0.0, |&(least, ..)| least);
    let (mut right, mut most) = (0_i64, 0);
    while let Some((distance, same, different)) = groups.next() {
        right += same as i64 - different as i64;
        if right > most {
            most = right;
            best = match groups.peek() {
                Some(&(next, ..)) => above(distance, next),
                None => just_above(distance),
            };
        }
    }
    best
}

/// Halfway between two distances, and above the first also where they are neighbours in f32.
fn above(distance: f32, next: f32) -> f32 {
    let halfway = ((f64::from(distance) + f64::from(next)) / 2.0) as f32;
    if halfway > distance { halfway } else { next }
}

/// The next number, unless that is infinity, which files cannot hold.
fn just_above(distance: f32) -> f32 {
    distance.next_up().min(f32::MAX)
}

/// [`threshold_at_far`] of sorted pairs; None without different pairs.
fn limit_far(sorted: &[Pair], far: f64) -> Option<f32> {
    let different: Vec<f32> =
        sorted.iter().filter(|pair| !pair.same).map(|pair| pair.distance).collect();
    let count = different.len();
    // The quotient decides, as it would in the reader's hands: 0.29 · 100 is below 29 in f64.
    let guess = (far * count as f64) as usize;
    let within = |accepted: usize| accepted as f64 / count as f64 <= far;
    let allowed = if within(guess + 1) { guess + 1 } else { guess };
    match different.get(allowed) {
        Some(&threshold) => Some(threshold),
        None if count == 0 => None,
        None => sorted.last().map(|pair| just_above(pair.distance)),
    }
}

/// The shares of the same and of the different pairs below the threshold, where there are any.
fn accepted(pairs: &[Pair], threshold: f32) -> (Option<f64>, Option<f64>) {
    let share = |same: bool| {
        let kind = pairs.iter().filter(|pair| pair.same == same);
        let below = kind.clone().filter(|pair| pair.distance < threshold).count();
        Some(kind.count()).filter(|&count| count > 0).map(|count| below as f64 / count as f64)
    };
    (share(true), share(false))
}

/// The points (FAR, VAL) of all thresholds, from (0, 0) to (1, 1).
fn roc(sorted: &[Pair]) -> Vec<(f64, f64)> {
    let same = sorted.iter().filter(|pair| pair.same).count() as f64;
    let different = sorted.len() as f64 - same;
    let (mut accepted_same, mut accepted_different) = (0, 0);
    let mut curve = vec![(0.0, 0.0)];
    for (_, tied_same, tied_different) in groups(sorted) {
        accepted_same += tied_same;
        accepted_different += tied_different;
        curve.push((accepted_different as f64 / different, accepted_same as f64 / same));
    }
    curve
}

/// By trapezoids, under which a tie counts half.
fn area_under(curve: &[(f64, f64)]) -> f64 {
    curve.windows(2).map(|ends| (ends[1].0 - ends[0].0) * (ends[1].1 + ends[0].1) / 2.0).sum()
}

/// Where FAR = 1 − VAL on the curve.
fn equal_error_rate(curve: &[(f64, f64)]) -> f64 {
    let excess = |(far, val): (f64, f64)| far - (1.0 - val);
    for ends in curve.windows(2) {
        let (before, after) = (excess(ends[0]), excess(ends[1]));
        if after >= 0.0 {
            // The excess rises strictly from −1 to 1, so the two differ.
            let share = -before / (after - before);
            return ends[0].0 + share * (ends[1].0 - ends[0].0);
        }
    }
    1.0
}

/// Mean and population standard deviation; NaN without values.
fn mean_and_std(values: &[f64]) -> (f64, f64) {
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count;
    let variance = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / count;
    (mean, variance.sqrt())
}

#[cfg(test)]
mod tests {
    use ndarray::{Array2, array};
    use proptest::prelude::*;

    use super::*;

    fn pairs(same: &[f32], different: &[f32]) -> Vec<Pair> {
        let of = |same: bool| {
            move |(n, &distance): (usize, &f32)| Pair { distance, same, fold: (n % 2) as u32 }
        };
        let same = same.iter().enumerate().map(of(true));
        same.chain(different.iter().enumerate().map(of(false))).collect()
    }

    fn one_fold(mut pairs: Vec<Pair>) -> Vec<Pair> {
        pairs.iter_mut().for_each(|pair| pair.fold = 7);
        pairs
    }

    fn close(got: f64, expected: f64) -> bool {
        (got - expected).abs() < 1e-12
    }

    #[test]
    fn a_perfect_separation_is_perfect_everywhere() {
        let judged = Verification::judge(&pairs(&[0.1, 0.2, 0.3, 0.4], &[0.7, 0.9, 1.1, 1.3]));
        let judged = judged.unwrap();
        assert_eq!(judged.accuracy, Accuracy { mean: 1.0, std: 0.0 });
        assert_eq!((judged.pairs, judged.auc, judged.eer), (8, 1.0, 0.0));
        assert!((judged.threshold - 0.55).abs() < 1e-6);
        for (target, at) in &judged.val_at_far {
            assert_eq!(at.val, 1.0, "at {target}");
        }
        // Fold 0 is cut at .9, the least different pair of fold 1: its own at .7 passes.
        assert_eq!(judged.val_at_far["0.001"].far, 0.25);
    }

    #[test]
    fn a_worked_example_with_one_fold() {
        // By distance: same 1, different 2, same 3 and different 3, same 4, different 5.
        let judged = Verification::judge(&one_fold(pairs(&[1.0, 3.0, 4.0], &[2.0, 3.0, 5.0])));
        let judged = judged.unwrap();
        // Below 1.5 one same and all different pairs are right; below 4.5 no more than that.
        assert_eq!(judged.threshold, 1.5);
        assert!(close(judged.accuracy.mean, 4.0 / 6.0));
        assert_eq!(judged.accuracy.std, 0.0);
        // Pairs of pairs in order: 3 with the 1, 1.5 with the 3, 1 with the 4, of 9.
        assert!(close(judged.auc, 5.5 / 9.0));
        // From (1/3, 1/3) to (2/3, 2/3) the curve meets FAR = 1 − VAL halfway.
        assert!(close(judged.eer, 0.5));
        let at = judged.val_at_far["0.1"];
        assert!(close(at.val, 1.0 / 3.0));
        assert_eq!((at.std, at.far), (0.0, 0.0));
    }

    #[test]
    fn each_fold_is_judged_at_the_others_threshold() {
        let pair = |distance, same, fold| Pair { distance, same, fold };
        let judged = Verification::judge(&[
            pair(1.0, true, 0),
            pair(2.0, false, 0),
            pair(3.0, true, 1),
            pair(5.0, false, 1),
        ])
        .unwrap();
        // Fold 0 is cut at 4, where its different pair passes; fold 1 at 1.5, where none does.
        assert_eq!(judged.accuracy, Accuracy { mean: 0.5, std: 0.0 });
        let at = judged.val_at_far["0.01"];
        assert_eq!(at, ValAtFar { val: 0.5, std: 0.5, far: 0.5 });
        assert_eq!(judged.threshold, 1.5);
    }

    #[test]
    fn all_ties_are_chance() {
        let judged = Verification::judge(&pairs(&[0.7; 4], &[0.7; 4])).unwrap();
        assert_eq!((judged.auc, judged.eer), (0.5, 0.5));
        assert_eq!(judged.accuracy.mean, 0.5);
        assert_eq!(judged.threshold, 0.7);
        assert_eq!(judged.val_at_far["0.1"], ValAtFar { val: 0.0, std: 0.0, far: 0.0 });
    }

    #[test]
    fn more_same_than_different_pairs_may_be_best_all_accepted() {
        let judged = Verification::judge(&one_fold(pairs(&[1.0, 2.0, 9.0], &[8.0]))).unwrap();
        assert_eq!(judged.threshold, 5.0);
        let judged = Verification::judge(&one_fold(pairs(&[5.0, 9.0, 9.0], &[1.0]))).unwrap();
        assert_eq!(judged.threshold, 9.0_f32.next_up());
    }

    #[test]
    fn one_sided_folds_are_still_judged() {
        let pair = |distance, same, fold| Pair { distance, same, fold };
        let judged = Verification::judge(&[pair(1.0, true, 0), pair(2.0, false, 1)]).unwrap();
        assert_eq!(judged.val_at_far["0.1"], ValAtFar { val: 1.0, std: 0.0, far: 0.0 });
    }

    #[test]
    fn thresholds_at_far_count_what_they_accept() {
        let hundred: Vec<f32> = (0..100).map(|n| n as f32).collect();
        let pairs = pairs(&[500.0], &hundred);
        assert_eq!(threshold_at_far(&pairs, 0.29), Ok(29.0));
        assert_eq!(threshold_at_far(&pairs, 0.299), Ok(29.0));
        assert_eq!(threshold_at_far(&pairs, 0.0), Ok(0.0));
        assert_eq!(threshold_at_far(&pairs, 1.0), Ok(500.0_f32.next_up()));
        assert!(threshold_at_far(&pairs, 1.5).is_err());
        assert!(threshold_at_far(&pairs, f64::NAN).is_err());
        assert!(threshold_at_far(&pairs[..1], 0.1).is_err());
    }

    #[test]
    fn neighbours_in_f32_still_have_a_threshold_between() {
        let (low, high) = (1.0_f32, 1.0_f32.next_up());
        let judged = Verification::judge(&one_fold(pairs(&[low], &[high]))).unwrap();
        assert_eq!(judged.threshold, high);
        assert_eq!(judged.accuracy.mean, 1.0);
    }

    #[test]
    fn unusable_pairs_are_refused() {
        let message = |pairs: &[Pair]| Verification::judge(pairs).unwrap_err().to_string();
        assert_eq!(
            message(&[]),
            "verification needs same pairs and different pairs, got 0 same and 0 different"
        );
        assert_eq!(
            message(&pairs(&[1.0, 2.0], &[])),
            "verification needs same pairs and different pairs, got 2 same and 0 different"
        );
        assert!(Verification::judge(&pairs(&[], &[1.0])).is_err());
        assert_eq!(
            message(&pairs(&[1.0], &[f32::NAN])),
            "distance is NaN at pair 1: expected finite numbers"
        );
    }

    #[test]
    fn keys_are_those_of_the_contract() {
        let judged = Verification::judge(&one_fold(pairs(&[1.0], &[2.0]))).unwrap();
        let at = r#"{"val":1.0,"std":0.0,"far":0.0}"#;
        assert_eq!(
            serde_json::to_string(&judged).unwrap(),
            r#"{"pairs":2,"accuracy":{"mean":1.0,"std":0.0},"auc":1.0,"eer":0.0,"#.to_owned()
                + &format!(
                    r#""threshold":1.5,"val_at_far":{{"0.001":{at},"0.01":{at},"0.1":{at}}}}}"#
                )
        );
    }

    /// One-dimensional points whose position tells who they are, and their labels.
    fn crowd(sizes: &[usize]) -> (Array2<f32>, Labels) {
        let count: usize = sizes.iter().sum();
        let classes = sizes.iter().enumerate().flat_map(|(c, &size)| vec![c; size]);
        // Powers of two: a distance names its pair.
        let positions = Array2::from_shape_fn((count, 1), |(i, _)| (i as f32).exp2());
        (positions, classes.collect())
    }

    #[test]
    fn all_same_pairs_are_listed_once_and_matched() {
        let (points, labels) = crowd(&[3, 4, 2, 1]);
        let found =
            balanced_pairs(points.view(), &labels, Metric::default(), usize::MAX, 3).unwrap();
        assert_eq!(found.iter().filter(|pair| pair.same).count(), 3 + 6 + 1);
        let mut distances: Vec<u32> = found.iter().map(|pair| pair.distance.to_bits()).collect();
        distances.sort_unstable();
        distances.dedup();
        assert_eq!(distances.len(), found.len(), "no pair twice");
        for fold in 0..2 {
            let of = |same| found.iter().filter(|p| p.fold == fold && p.same == same).count();
            assert!(of(false) <= of(true) && of(false) > 0);
        }
        assert!(Verification::judge(&found).is_ok());
    }

    #[test]
    fn every_pair_has_its_number() {
        let classes = [vec![0, 1, 2], vec![3], vec![4, 5]];
        let pairable = Pairable::new(classes.iter());
        let same: Vec<_> = (0..pairable.same_count()).map(|n| pairable.same(n)).collect();
        assert_eq!(same, [(0, 1), (0, 2), (1, 2), (4, 5)]);
        let different: Vec<_> =
            (0..pairable.different_count()).map(|n| pairable.different(n)).collect();
        let expected: Vec<(u32, u32)> = (0..4)
            .flat_map(|i| (3..6).map(move |j| (i, j)))
            .filter(|&(i, j)| i < 3 || j > 3)
            .collect();
        assert_eq!(different, expected);
    }

    #[test]
    fn limits_and_seeds_are_kept() {
        let sizes = [5; 24];
        let points = Array2::from_shape_fn((120, 2), |(i, j)| ((i * 7 + j * 13) % 31) as f32);
        let (_, labels) = crowd(&sizes);
        let drawn = |limit, seed| {
            balanced_pairs(points.view(), &labels, Metric::default(), limit, seed).unwrap()
        };
        let some = drawn(6, 1);
        assert_eq!(some.len(), 10 * 2 * 6);
        assert_eq!(some, drawn(6, 1));
        assert_ne!(some, drawn(6, 2));
        assert_eq!(drawn(usize::MAX, 1).iter().filter(|pair| pair.same).count(), 24 * 10);
    }

    #[test]
    fn distances_are_those_of_the_metric() {
        let points = array![[1.0_f32, 0.0], [0.0, 2.0], [0.0, 0.0]];
        let labels = Labels::from_iter([0, 0, 1]);
        let metric = Metric::from(crate::Distance::Cosine);
        let found = balanced_pairs(points.view(), &labels, metric, 10, 0).unwrap();
        assert_eq!(found.len(), 2);
        assert!(found.iter().all(|pair| (pair.distance - 1.0).abs() < 1e-6));
    }

    #[test]
    fn too_little_to_pair_is_an_error() {
        let refused = |sizes: &[usize], limit| {
            let (points, labels) = crowd(sizes);
            balanced_pairs(points.view(), &labels, Metric::default(), limit, 0).unwrap_err()
        };
        assert!(matches!(refused(&[3], 9), Error::NotEnough { .. }));
        assert!(matches!(refused(&[1, 1, 1], 9), Error::NotEnough { .. }));
        assert!(matches!(refused(&[2, 2], 0), Error::Parameter { .. }));
    }

    #[test]
    fn draws_are_uniform_sets() {
        let mut stream = ChaCha8Rng::seed_from_u64(0);
        let mut counts = [0; 6];
        for _ in 0..3_000 {
            let drawn = draw(6, 2, &mut stream);
            assert!(drawn.len() == 2 && drawn[0] < drawn[1] && drawn[1] < 6);
            drawn.iter().for_each(|&number| counts[number as usize] += 1);
        }
        assert!(counts.iter().all(|&count| (850..1_150).contains(&count)), "{counts:?}");
        assert_eq!(draw(3, 9, &mut stream), [0, 1, 2]);
    }

    proptest! {
        #[test]
        fn figures_agree_with_their_definitions(
            same in prop::collection::vec(0_u8..8, 1..20),
            different in prop::collection::vec(0_u8..8, 1..20),
        ) {
            let floats = |values: &[u8]| -> Vec<f32> { values.iter().map(|&v| v.into()).collect() };
            let all = one_fold(pairs(&floats(&same), &floats(&different)));
            let judged = Verification::judge(&all).unwrap();
            let mut wins = 0.0;
            for s in &same {
                for d in &different {
                    wins += if s < d { 1.0 } else if s == d { 0.5 } else { 0.0 };
                }
            }
            prop_assert!(close(judged.auc, wins / (same.len() * different.len()) as f64));
            let right = |threshold: f32| {
                all.iter().filter(|p| (p.distance < threshold) == p.same).count()
            };
            let most = (0..18).map(|half| right(half as f32 / 2.0)).max().unwrap();
            prop_assert_eq!(right(judged.threshold), most);
            prop_assert!((0.0..=1.0).contains(&judged.eer));
            let vals: Vec<f64> = judged.val_at_far.values().map(|at| at.val).collect();
            prop_assert!(vals.is_sorted());
            for at in judged.val_at_far.iter() {
                prop_assert!(at.1.far <= at.0.parse::<f64>().unwrap());
            }
        }
    }
}
