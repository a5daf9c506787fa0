//! The sampler of P×K batches: P classes, K items of each.

use std::collections::HashMap;
use std::fmt;

use rand::rngs::ChaCha8Rng;
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use serde::{Deserialize, Serialize};

use crate::named;
use crate::{Error, Labels};

/// Draws P classes and K items of each ("In Defense", section 2), so that every anchor of a batch
/// has K−1 positives and (P−1)K negatives.
///
/// The batch is a function of seed and step alone: there is no state to save, a resumed run draws
/// the same batches as an uninterrupted one, and several loader threads may request batches in any
/// order.
///
/// Classes are visited in epochs: each epoch is a new permutation of the classes, divided into
/// batches of P (a remainder of fewer than P classes is not used in the epoch). Of each class K
/// different items are drawn; a class with fewer than K items repeats some, and
/// [`repeating`](Self::repeating) counts such classes. A class with a single item has no positives:
/// it is left out, and [`left_out`](Self::left_out) counts these classes.
///
/// [`with_cameras`](Self::with_cameras) and [`with_categories`](Self::with_categories) change how
/// items and classes are combined.
///
/// ```
/// use tercet::{Labels, PkSampler};
/// let labels = Labels::from_iter((0..40).map(|item| item / 4));
/// let sampler = PkSampler::new(&labels, 5, 3, 42)?;
/// assert_eq!(sampler.batch(7).len(), 15);
/// assert_eq!(sampler.batch(7), PkSampler::new(&labels, 5, 3, 42)?.batch(7));
/// # Ok::<(), tercet::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct PkSampler {
    /// The items of each class that is used.
    classes: Vec<Vec<u32>>,
    /// The number of all items.
    items: usize,
    left_out: usize,
    p: usize,
    k: usize,
    seed: u64,
    /// The camera of each item, if the items of a class should come from several.
    cameras: Option<Vec<u32>>,
    /// The classes of each category, if a batch should be of one category.
    categories: Option<Vec<Vec<u32>>>,
}

/// How the classes and items of a batch are combined.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Sampling {
    /// Any classes, any of their items.
    #[default]
    Classes,
    /// Any classes; of each, items from as many cameras as possible.
    Cameras,
    /// Classes of one category, any of their items.
    Categories,
}

named!(Sampling, "sampling", [Classes = "classes", Cameras = "cameras", Categories = "categories"]);

impl PkSampler {
    /// A sampler of `p` classes with `k` items each.
    ///
    /// # Errors
    /// P or K below 2 (no triplet would be left), or fewer than P classes with two items.
    pub fn new(labels: &Labels, p: usize, k: usize, seed: u64) -> Result<Self, Error> {
        for (parameter, got) in [("P", p), ("K", k)] {
            if got < 2 {
                return Err(Error::parameter(
                    parameter,
                    got.to_string(),
                    "at least 2, since a triplet needs two classes and two items of one",
                ));
            }
        }
        let mut classes = labels.items_by_class();
        let all = classes.len();
        classes.retain(|items| items.len() >= 2);
        if classes.len() < p {
            return Err(Error::NotEnough {
                what: "a batch of P×K",
                expected: format!("at least P = {p} classes with two or more items"),
                got: format!("{} of {all}", classes.len()),
            });
        }
        let left_out = all - classes.len();
        let items = labels.len();
        Ok(Self { classes, items, left_out, p, k, seed, cameras: None, categories: None })
    }

    /// Draws the K items of a class from as many different cameras as it has: one from each camera,
    /// in random order, then a second one from each, and so on.
    ///
    /// A positive from another camera shows what the class looks like, while one from the same
    /// camera often shows only the same scene.
    ///
    /// # Errors
    /// A number of cameras that differs from that of items.
    pub fn with_cameras(mut self, cameras: &Labels) -> Result<Self, Error> {
        self.check_count("cameras", cameras)?;
        self.cameras = Some(cameras.classes().to_vec());
        Ok(self)
    }

    /// Draws the P classes of a batch from one category, so that the negatives are similar to the
    /// anchor.
    ///
    /// In an epoch the classes of each category are shuffled and divided into batches. The last
    /// batch of a category is filled up with the first of its classes again, and a category of
    /// fewer than P classes with any others. Batches are in random order.
    ///
    /// # Errors
    /// A number of categories that differs from that of items, or a class whose items are in two of
    /// them.
    pub fn with_categories(mut self, categories: &Labels) -> Result<Self, Error> {
        self.check_count("categories", categories)?;
        let of = categories.classes();
        let mut groups = vec![Vec::new(); categories.class_count()];
        for (class, items) in (0..).zip(&self.classes) {
            let category = of[items[0] as usize];
            if let Some(&other) = items.iter().find(|&&item| of[item as usize] != category) {
                return Err(Error::parameter(
                    "categories",
                    format!(
                        "a class in `{}` and `{}`",
                        categories.name(category),
                        categories.name(of[other as usize])
                    ),
                    "all items of a class in one category",
                ));
            }
            groups[category as usize].push(class);
        }
        groups.retain(|group| !group.is_empty());
        self.categories = Some(groups);
        Ok(self)
    }

    fn check_count(&self, parameter: &'static str, labels: &Labels) -> Result<(), Error> {
        match labels.len() == self.items {
            true => Ok(()),
            false => Err(Error::parameter(
                parameter,
                format!("{} for {} items", labels.len(), self.items),
                "one for each item",
            )),
        }
    }

    /// The number of items per batch, P·K.
    pub fn batch_size(&self) -> usize {
        self.p * self.k
    }

    /// The number of steps in which every class is visited once (except a remainder below P, or at
    /// least once [with categories](Self::with_categories)).
    pub fn steps_per_epoch(&self) -> u64 {
        match &self.categories {
            None => (self.classes.len() / self.p) as u64,
            Some(groups) => groups.iter().map(|group| group.len().div_ceil(self.p) as u64).sum(),
        }
    }

    /// The number of classes left out because they have only one item.
    pub fn left_out(&self) -> usize {
        self.left_out
    }

    /// The number of classes with fewer than K items, which repeat items within a batch.
    pub fn repeating(&self) -> usize {
        self.classes.iter().filter(|items| items.len() < self.k).count()
    }

    /// The items of the batch of a step, class by class. Every step has a batch: there is no last
    /// epoch.
    pub fn batch(&self, step: u64) -> Vec<u32> {
        let mut rng = self.stream(1, step);
        let mut batch = Vec::with_capacity(self.batch_size());
        for class in self.classes_of(step) {
            let items = &self.classes[class as usize];
            let distinct = self.k.min(items.len());
            let start = batch.len();
            match &self.cameras {
                None => {
                    let mut items = items.clone();
                    batch.extend_from_slice(items.partial_shuffle(&mut rng, distinct).0);
                }
                Some(cameras) => batch.extend(spread(items, cameras, distinct, &mut rng)),
            }
            for _ in distinct..self.k {
                batch.push(batch[start + rng.random_range(0..distinct)]);
            }
        }
        batch
    }

    /// The P classes of a step.
    fn classes_of(&self, step: u64) -> Vec<u32> {
        let (epoch, slot) = (step / self.steps_per_epoch(), step % self.steps_per_epoch());
        let slot = slot as usize;
        let mut rng = self.stream(0, epoch);
        let mut order: Vec<u32> = (0..self.classes.len() as u32).collect();
        order.shuffle(&mut rng);
        let Some(groups) = &self.categories else {
            return order[slot * self.p..][..self.p].to_vec();
        };
        let mut batches = Vec::new();
        for group in groups {
            let mut group = group.clone();
            group.shuffle(&mut rng);
            for first in (0..group.len()).step_by(self.p) {
                let mut batch: Vec<u32> = group
                    .iter()
                    .cycle()
                    .skip(first)
                    .take(self.p.min(group.len()))
                    .copied()
                    .collect();
                let others = order.iter().filter(|class| !group.contains(class));
                batch.extend(others.take(self.p - batch.len()));
                batches.push(batch);
            }
        }
        batches.shuffle(&mut rng);
        batches.swap_remove(slot)
    }

    /// An independent random stream for each purpose and counter.
    fn stream(&self, purpose: u64, counter: u64) -> ChaCha8Rng {
        let mut key = [0; 32];
        key[..8].copy_from_slice(&self.seed.to_le_bytes());
        key[8..16].copy_from_slice(&purpose.to_le_bytes());
        key[16..24].copy_from_slice(&counter.to_le_bytes());
        ChaCha8Rng::from_seed(key)
    }
}

/// The first `count` items in an order that takes one item of each camera in turn.
fn spread(items: &[u32], cameras: &[u32], count: usize, rng: &mut ChaCha8Rng) -> Vec<u32> {
    let mut items = items.to_vec();
    items.shuffle(rng);
    let mut seen: HashMap<u32, usize> = HashMap::new();
    // The shuffle determines which camera is first, and which of its items.
    let mut rounds: Vec<(usize, u32)> = items
        .into_iter()
        .map(|item| {
            let round = seen.entry(cameras[item as usize]).or_default();
            *round += 1;
            (*round, item)
        })
        .collect();
    rounds.sort_by_key(|(round, _)| *round);
    rounds.into_iter().take(count).map(|(_, item)| item).collect()
}

impl fmt::Display for PkSampler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} classes × {} items", self.p, self.k)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn labels() -> Labels {
        // Class c has c + 1 items, c = 0..12.
        Labels::from_iter((0..12).flat_map(|c| std::iter::repeat_n(c, c + 1)))
    }

    #[test]
    fn batches_hold_p_classes_with_k_items() {
        let labels = labels();
        let sampler = PkSampler::new(&labels, 4, 5, 3).unwrap();
        assert_eq!((sampler.left_out(), sampler.repeating()), (1, 3));
        for step in 0..50 {
            let batch = sampler.batch(step);
            let mut count = HashMap::new();
            for &item in &batch {
                *count.entry(labels.classes()[item as usize]).or_insert(0) += 1;
            }
            assert_eq!(count.len(), 4);
            assert!(count.values().all(|&items| items == 5));
            for (class, _) in count {
                let items = batch.iter().filter(|&&i| labels.classes()[i as usize] == class);
                let different: BTreeSet<_> = items.collect();
                assert_eq!(different.len(), 5.min(class as usize + 1));
            }
        }
    }

    #[test]
    fn an_epoch_visits_each_class_once() {
        let labels = Labels::from_iter((0..60).map(|i| i / 3));
        let sampler = PkSampler::new(&labels, 5, 2, 9).unwrap();
        assert_eq!(sampler.steps_per_epoch(), 4);
        for epoch in 0..3 {
            let classes: BTreeSet<u32> = (0..4)
                .flat_map(|slot| sampler.batch(epoch * 4 + slot))
                .map(|item| labels.classes()[item as usize])
                .collect();
            assert_eq!(classes.len(), 20);
        }
        assert_ne!(sampler.batch(0), sampler.batch(4));
    }

    #[test]
    fn seeds_differ_and_impossible_batches_are_refused() {
        let labels = labels();
        let one = PkSampler::new(&labels, 3, 2, 1).unwrap();
        let two = PkSampler::new(&labels, 3, 2, 2).unwrap();
        assert!((0..5).any(|step| one.batch(step) != two.batch(step)));
        assert!(PkSampler::new(&labels, 1, 2, 0).is_err());
        assert!(PkSampler::new(&labels, 2, 1, 0).is_err());
        let error = PkSampler::new(&labels, 12, 2, 0).unwrap_err();
        assert_eq!(
            error.to_string(),
            "a batch of P×K needs at least P = 12 classes with two or more items, got 11 of 12"
        );
    }

    #[test]
    fn the_batches_of_the_first_version_stay() {
        // Runs resume from checkpoints that depend on it.
        let sampler = PkSampler::new(&labels(), 4, 3, 5).unwrap();
        assert_eq!(sampler.batch(3), [8, 6, 9, 23, 22, 24, 39, 44, 37, 50, 47, 49]);
    }

    #[test]
    fn items_come_from_as_many_cameras_as_there_are() {
        // Class 0: cameras 0, 0, 0, 0, 1, 2; class 1: camera 0 alone; class 2: two items.
        let labels = Labels::from_iter([0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2]);
        let cameras = Labels::from_iter([0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 1, 1]);
        let sampler = PkSampler::new(&labels, 3, 4, 1).unwrap().with_cameras(&cameras).unwrap();
        let mut fourth: BTreeSet<u32> = BTreeSet::new();
        for step in 0..200 {
            let batch = sampler.batch(step);
            for (class, distinct, seen) in [(0, 4, 3), (1, 4, 1), (2, 2, 1)] {
                let items: BTreeSet<u32> = batch
                    .iter()
                    .copied()
                    .filter(|&i| labels.classes()[i as usize] == class)
                    .collect();
                let from: BTreeSet<u32> =
                    items.iter().map(|&item| cameras.classes()[item as usize]).collect();
                assert_eq!((items.len(), from.len()), (distinct, seen), "step {step}");
            }
            fourth.extend(batch.iter().filter(|&&item| item < 4));
        }
        assert_eq!(fourth.len(), 4);
        assert_eq!(sampler.batch(9), sampler.clone().batch(9));
        assert!(
            PkSampler::new(&labels, 3, 4, 1)
                .unwrap()
                .with_cameras(&Labels::from_iter([1]))
                .is_err()
        );
    }

    #[test]
    fn classes_of_a_batch_are_of_one_category() {
        // Categories of 7, 4 and 2 classes, of 2 items each.
        let labels = Labels::from_iter((0..26).map(|item| item / 2));
        let category = |class: u32| {
            if class < 7 {
                0
            } else if class < 11 {
                1
            } else {
                2
            }
        };
        let categories = Labels::from_iter((0..26).map(|item| category(item / 2)));
        let sampler =
            PkSampler::new(&labels, 4, 2, 3).unwrap().with_categories(&categories).unwrap();
        assert_eq!(sampler.steps_per_epoch(), 2 + 1 + 1);
        for epoch in 0..20 {
            let mut visited = BTreeSet::new();
            let mut mixed = 0;
            for slot in 0..4 {
                let batch = sampler.batch(4 * epoch + slot);
                let classes: BTreeSet<u32> =
                    batch.iter().map(|&item| labels.classes()[item as usize]).collect();
                assert_eq!(classes.len(), 4);
                let kinds: BTreeSet<u32> = classes.iter().map(|&class| category(class)).collect();
                mixed += usize::from(kinds.len() > 1);
                visited.extend(classes);
            }
            assert_eq!((visited.len(), mixed), (13, 1));
        }
        let crossing = Labels::from_iter((0..26).map(|item| item % 2));
        let message = PkSampler::new(&labels, 4, 2, 3).unwrap().with_categories(&crossing);
        assert!(message.unwrap_err().to_string().contains("`0` and `1`"));
    }

    #[test]
    fn samplings_have_names() {
        for sampling in Sampling::ALL {
            assert_eq!(sampling.name().parse::<Sampling>().unwrap(), sampling);
        }
        assert!("camera".parse::<Sampling>().is_err());
    }
}
