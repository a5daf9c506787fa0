//! Agreement of groups with classes: mutual information, pairs, and BCubed.

use serde::Serialize;

use super::Groups;
use super::contingency::Contingency;
use super::expected::expected_mutual_information;
use crate::{Error, Labels};

/// How well groups and classes agree: 1 if they are the same partition.
///
/// With n(g,c) the items of group g and class c, n(g) and n(c) their sizes and N all items:
///
/// - mutual information I = Σ n(g,c)/N · ln(N·n(g,c) / (n(g)·n(c))), H the entropies of groups and
///   classes: NMI = I / mean(H) and AMI = (I − E\[I\]) / (mean(H) − E\[I\]), with the arithmetic
///   mean, and E over all ways to divide the items into groups and classes of these sizes (Vinh,
///   Epps & Bailey, JMLR 2010), as scikit-learn by default;
/// - over the N(N−1)/2 pairs of items: precision, the share of the pairs within a group that are of
///   one class; recall, the share of the pairs of one class that are within a group; F1 their
///   harmonic mean; ARI, the Rand index corrected for chance (Hubert & Arabie 1985);
/// - BCubed (Bagga & Baldwin 1998): precision and recall of each item, itself included, averaged
///   over items: Σ n(g,c)²/n(g) / N and Σ n(g,c)²/n(c) / N; F1 the harmonic mean of these two.
///
/// An item of noise counts as a group of its own, except in `clusters`. Without a pair within a
/// group, pairwise precision is 1, because no pair is wrong; without a pair of one class, recall is
/// 1.
///
/// Time is O(N log N), and at worst O(N·√N) for E\[I\]; memory is O(N).
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Agreement {
    /// The number of items.
    pub items: u64,
    /// The number of classes.
    pub classes: u64,
    /// The number of groups, without noise.
    pub clusters: u64,
    /// The number of items in no group.
    pub noise: u64,
    /// Normalised mutual information.
    pub nmi: f64,
    /// Adjusted mutual information: 0 is the expected value of a random grouping, and it may be
    /// negative.
    pub ami: f64,
    /// Adjusted Rand index: 0 is the expected value of a random grouping, and it may be negative.
    pub ari: f64,
    /// Share of the pairs within a group that are of one class.
    pub pairwise_precision: f64,
    /// Share of the pairs of one class that are within a group.
    pub pairwise_recall: f64,
    /// Harmonic mean of the two.
    pub pairwise_f1: f64,
    /// Of an item's group, the share that is of its class; mean over items.
    pub bcubed_precision: f64,
    /// Of an item's class, the share that is in its group; mean over items.
    pub bcubed_recall: f64,
    /// Harmonic mean of the two.
    pub bcubed_f1: f64,
}

impl Groups {
    /// How well these groups agree with the classes of the items.
    ///
    /// # Errors
    /// A number of labels that differs from that of items, or no items.
    pub fn judge(&self, labels: &Labels) -> Result<Agreement, Error> {
        Agreement::judge(self, labels)
    }
}

impl Agreement {
    /// Evaluates `groups` with the classes of the same items.
    ///
    /// # Errors
    /// A number of labels that differs from that of items, or no items.
    ///
    /// ```
    /// use tercet::Labels;
    /// use tercet::clustering::{Agreement, Groups};
    /// let groups = Groups::from_iter([0, 0, 1, 1].map(Some));
    /// let judged = Agreement::judge(&groups, &Labels::from_iter(["b", "b", "a", "a"]))?;
    /// assert_eq!((judged.nmi, judged.ari, judged.bcubed_f1), (1.0, 1.0, 1.0));
    /// # Ok::<(), tercet::Error>(())
    /// ```
    pub fn judge(groups: &Groups, labels: &Labels) -> Result<Self, Error> {
        if groups.len() != labels.len() {
            return Err(Error::LabelCount { rows: groups.len(), labels: labels.len() });
        }
        if groups.is_empty() {
            return Err(Error::NotEnough {
                what: "the judgement of a clustering",
                expected: "at least one item".to_owned(),
                got: "none".to_owned(),
            });
        }
        let table = Contingency::new(groups, labels);
        let pairs = Pairs::of(&table);
        let (bcubed_precision, bcubed_recall) = bcubed(&table);
        let (nmi, ami) = information(&table);
        Ok(Self {
            items: table.items,
            classes: table.class_sizes.len() as u64,
            clusters: groups.clusters() as u64,
            noise: groups.noise() as u64,
            nmi,
            ami,
            ari: pairs.adjusted_rand_index(),
            pairwise_precision: share(pairs.both, pairs.grouped),
            pairwise_recall: share(pairs.both, pairs.classed),
            pairwise_f1: share(2 * pairs.both, pairs.grouped + pairs.classed),
            bcubed_precision,
            bcubed_recall,
            bcubed_f1: 2.0 * bcubed_precision * bcubed_recall / (bcubed_precision + bcubed_recall),
        })
    }
}

/// part / whole, or 1 if the whole is 0.
fn share(part: u64, whole: u64) -> f64 {
    if whole == 0 { 1.0 } else { part as f64 / whole as f64 }
}

/// Counts of pairs of items.
struct Pairs {
    all: u64,
    /// Pairs within a group.
    grouped: u64,
    /// Pairs of one class.
    classed: u64,
    /// Pairs of one class within a group.
    both: u64,
}

impl Pairs {
    fn of(table: &Contingency) -> Self {
        let pairs = |count: u64| count * count.saturating_sub(1) / 2;
        Self {
            all: pairs(table.items),
            grouped: table.group_sizes.iter().map(|&size| pairs(size)).sum(),
            classed: table.class_sizes.iter().map(|&size| pairs(size)).sum(),
            both: table.cells.iter().map(|cell| pairs(cell.count)).sum(),
        }
    }

    fn adjusted_rand_index(&self) -> f64 {
        if self.both == self.grouped && self.both == self.classed {
            return 1.0;
        }
        let [all, grouped, classed, both] =
            [self.all, self.grouped, self.classed, self.both].map(|pairs| pairs as f64);
        let expected = grouped * classed / all;
        (both - expected) / ((grouped + classed) / 2.0 - expected)
    }
}

fn bcubed(table: &Contingency) -> (f64, f64) {
    let (mut precision, mut recall) = (0.0, 0.0);
    for cell in &table.cells {
        let squared = (cell.count as f64).powi(2);
        precision += squared / table.group_sizes[cell.group as usize] as f64;
        recall += squared / table.class_sizes[cell.class as usize] as f64;
    }
    let items = table.items as f64;
    (precision / items, recall / items)
}

/// NMI and AMI.
fn information(table: &Contingency) -> (f64, f64) {
    if table.is_one_to_one() {
        return (1.0, 1.0);
    }
    if table.group_sizes.len() == 1 || table.class_sizes.len() == 1 {
        return (0.0, 0.0);
    }
    let mutual = table.mutual_information();
    let mean = (table.entropy(&table.group_sizes) + table.entropy(&table.class_sizes)) / 2.0;
    let expected = expected_mutual_information(&table.group_sizes, &table.class_sizes);
    // If all groups have one item each, they share all information with any classes. The expected
    // value is then the same, and the difference would be rounding only.
    let beyond_chance = mutual - expected;
    let ami =
        if beyond_chance.abs() <= 1e-12 * mean { 0.0 } else { beyond_chance / (mean - expected) };
    (mutual / mean, ami)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rand::SeedableRng;
    use rand::rngs::ChaCha8Rng;
    use rand::seq::SliceRandom;

    use super::*;

    fn judge(groups: &[Option<u32>], classes: &[u32]) -> Agreement {
        let groups = Groups::from_iter(groups.iter().copied());
        Agreement::judge(&groups, &Labels::from_iter(classes)).unwrap()
    }

    fn figures(judged: &Agreement) -> [f64; 9] {
        [
            judged.nmi,
            judged.ami,
            judged.ari,
            judged.pairwise_precision,
            judged.pairwise_recall,
            judged.pairwise_f1,
            judged.bcubed_precision,
            judged.bcubed_recall,
            judged.bcubed_f1,
        ]
    }

    fn assert_close(got: &[f64], expected: &[f64]) {
        for (got, expected) in got.iter().zip(expected) {
            assert!((got - expected).abs() < 1e-9, "{got} instead of {expected}");
        }
    }

    /// Precision, recall of pairs and BCubed, item by item.
    fn by_definition(groups: &[u32], classes: &[u32]) -> [f64; 4] {
        let items = groups.len();
        let (mut both, mut grouped, mut classed) = (0.0, 0.0, 0.0);
        let (mut precision, mut recall) = (0.0, 0.0);
        for i in 0..items {
            let near: Vec<usize> = (0..items).filter(|&j| groups[j] == groups[i]).collect();
            let same: Vec<usize> = (0..items).filter(|&j| classes[j] == classes[i]).collect();
            let hits = near.iter().filter(|j| same.contains(j)).count() as f64;
            precision += hits / near.len() as f64 / items as f64;
            recall += hits / same.len() as f64 / items as f64;
            both += hits - 1.0;
            grouped += near.len() as f64 - 1.0;
            classed += same.len() as f64 - 1.0;
        }
        let share = |part: f64, whole: f64| if whole == 0.0 { 1.0 } else { part / whole };
        [share(both, grouped), share(both, classed), precision, recall]
    }

    #[test]
    fn a_textbook_example() {
        // Manning, Raghavan & Schütze, "Introduction to Information Retrieval", figure 16.4.
        let groups = [0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 2, 2, 2, 2, 2].map(Some);
        let classes = [0, 0, 0, 0, 0, 1, 0, 1, 1, 1, 1, 2, 0, 0, 2, 2, 2];
        let judged = judge(&groups, &classes);
        assert_close(&[judged.pairwise_precision, judged.pairwise_recall], &[0.5, 20.0 / 44.0]);
        assert!((judged.pairwise_f1 - 0.48).abs() < 0.005);
        assert!((judged.nmi - 0.36).abs() < 0.005, "{}", judged.nmi);
    }

    #[test]
    fn the_ends_of_the_scale() {
        let one = judge(&[Some(0); 4], &[0, 0, 1, 1]);
        assert_eq!((one.nmi, one.ami, one.ari, one.clusters), (0.0, 0.0, 0.0, 1));
        assert_close(&[one.pairwise_precision, one.pairwise_recall], &[1.0 / 3.0, 1.0]);
        let singletons = judge(&[0, 1, 2, 3].map(Some), &[0, 0, 1, 1]);
        assert_close(&[singletons.ami, singletons.ari], &[0.0, 0.0]);
        assert_eq!((singletons.pairwise_precision, singletons.pairwise_recall), (1.0, 0.0));
        assert_eq!((singletons.pairwise_f1, singletons.bcubed_recall), (0.0, 0.5));
        assert_eq!(figures(&judge(&[Some(3); 4], &[9; 4])), [1.0; 9]);
        assert_eq!(figures(&judge(&[4, 3, 2, 1].map(Some), &[1, 2, 3, 4])), [1.0; 9]);
    }

    #[test]
    fn noise_is_alone_but_no_cluster() {
        let noisy = judge(&[Some(0), Some(0), None, None], &[0, 0, 1, 1]);
        let alone = judge(&[0, 0, 1, 2].map(Some), &[0, 0, 1, 1]);
        assert_eq!(figures(&noisy), figures(&alone));
        assert_eq!((noisy.clusters, noisy.noise), (1, 2));
        assert_eq!((alone.clusters, alone.noise), (3, 0));
    }

    #[test]
    fn what_cannot_be_judged_is_refused() {
        let groups = Groups::from_iter([Some(1)]);
        let two = Labels::from_iter([1, 2]);
        assert_eq!(groups.judge(&two), Err(Error::LabelCount { rows: 1, labels: 2 }));
        let nothing = Groups::default().judge(&Labels::default()).unwrap_err();
        assert_eq!(
            nothing.to_string(),
            "the judgement of a clustering needs at least one item, got none"
        );
    }

    #[test]
    fn sixty_thousand_items_take_no_time() {
        // Every size from 1 up, assigned at random: the worst case for the expectation.
        let mut of_items: Vec<u32> =
            (0..60_000).map(|item| (f64::from(item) * 2.0).sqrt() as u32).collect();
        let groups: Groups = of_items.iter().copied().map(Some).collect();
        of_items.shuffle(&mut ChaCha8Rng::seed_from_u64(1));
        let labels = Labels::from_iter(of_items);
        let judged = groups.judge(&labels).unwrap();
        assert!(judged.ami.abs() < 1e-3 && judged.nmi > 0.1, "{judged:?}");
    }

    proptest! {
        #[test]
        fn counts_agree_with_the_definition(
            items in prop::collection::vec((0_u32..6, 0_u32..5), 1..40),
        ) {
            let groups: Vec<u32> = items.iter().map(|item| item.0).collect();
            let classes: Vec<u32> = items.iter().map(|item| item.1).collect();
            let some: Vec<Option<u32>> = groups.iter().copied().map(Some).collect();
            let judged = judge(&some, &classes);
            let got = [
                judged.pairwise_precision,
                judged.pairwise_recall,
                judged.bcubed_precision,
                judged.bcubed_recall,
            ];
            assert_close(&got, &by_definition(&groups, &classes));
        }

        #[test]
        fn names_and_order_do_not_matter(
            items in prop::collection::vec((prop::option::of(0_u32..6), 0_u32..5), 1..60),
            turn in 0_usize..60,
        ) {
            let groups: Vec<Option<u32>> = items.iter().map(|item| item.0).collect();
            let classes: Vec<u32> = items.iter().map(|item| item.1).collect();
            let mut other = items.clone();
            other.rotate_left(turn % items.len());
            other.reverse();
            let renamed: Vec<Option<u32>> =
                other.iter().map(|item| item.0.map(|group| 100 - 7 * group)).collect();
            let reclassed: Vec<u32> = other.iter().map(|item| 50 - 3 * item.1).collect();
            let (judged, again) = (judge(&groups, &classes), judge(&renamed, &reclassed));
            assert_close(&figures(&again), &figures(&judged));
        }

        #[test]
        fn groups_and_classes_may_change_places(
            items in prop::collection::vec((0_u32..6, 0_u32..5), 1..60),
        ) {
            let groups: Vec<Option<u32>> = items.iter().map(|item| Some(item.0)).collect();
            let classes: Vec<u32> = items.iter().map(|item| item.1).collect();
            let one = judge(&groups, &classes);
            let swapped: Vec<u32> = items.iter().map(|item| item.0).collect();
            let other = judge(&classes.into_iter().map(Some).collect::<Vec<_>>(), &swapped);
            assert_close(&[one.nmi, one.ami, one.ari], &[other.nmi, other.ami, other.ari]);
            assert_close(&[one.bcubed_precision], &[other.bcubed_recall]);
        }
    }
}
