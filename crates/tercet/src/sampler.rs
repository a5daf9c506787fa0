//! P×K batches: P classes, K items of each.

use std::fmt;

use rand::rngs::ChaCha8Rng;
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};

use crate::{Error, Labels};

/// Draws P classes and K items of each ("In Defense", section 2), so that every anchor of a batch
/// has K−1 positives and (P−1)K negatives.
///
/// The batch is a function of seed and step alone: there is no state to save, a resumed run draws
/// what the unbroken one would have drawn, and several loader threads may ask out of order.
///
/// Classes are visited in epochs: each epoch is a fresh permutation of the classes, cut into
/// batches of P (a remainder of fewer than P classes sits out the epoch). Of each class K different
/// items are drawn; a class with fewer than K repeats items, and [`repeating`](Self::repeating)
/// counts such classes. A class with a single item has no positives: it is left out, and
/// [`left_out`](Self::left_out) counts these.
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
    /// Items of each class that can take part.
    classes: Vec<Vec<u32>>,
    left_out: usize,
    p: usize,
    k: usize,
    seed: u64,
}

impl PkSampler {
    /// A sampler of `p` classes with `k` items each.
    ///
    /// # Errors
    /// P or K below 2 (no triplet would be left), or fewer than P classes with two items.
    pub fn new(labels: &Labels, p: usize, k: usize, seed: u64) -> Result<Self, Error> {
        for (parameter, got) in [("P", p), ("K", k)] {
            if got < 2 {
                return Err(Error::Parameter {
                    parameter,
                    got: got.to_string(),
                    expected: "at least 2, since a triplet needs two classes and two items of one",
                });
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
        Ok(Self { left_out: all - classes.len(), classes, p, k, seed })
    }

    /// Items a batch: P·K.
    pub fn batch_size(&self) -> usize {
        self.p * self.k
    }

    /// Steps until every class was visited once (but for a remainder below P).
    pub fn steps_per_epoch(&self) -> u64 {
        (self.classes.len() / self.p) as u64
    }

    /// Classes left out because they have one item only.
    pub fn left_out(&self) -> usize {
        self.left_out
    }

    /// Classes with fewer than K items, which repeat items within a batch.
    pub fn repeating(&self) -> usize {
        self.classes.iter().filter(|items| items.len() < self.k).count()
    }

    /// The items of the batch of a step, class by class. Every step has its batch: epochs go on
    /// without end.
    pub fn batch(&self, step: u64) -> Vec<u32> {
        let (epoch, slot) = (step / self.steps_per_epoch(), step % self.steps_per_epoch());
        let mut order: Vec<u32> = (0..self.classes.len() as u32).collect();
        order.shuffle(&mut self.stream(0, epoch));

        let mut rng = self.stream(1, step);
        let mut batch = Vec::with_capacity(self.batch_size());
        for &class in &order[slot as usize * self.p..][..self.p] {
            let mut items = self.classes[class as usize].clone();
            let distinct = self.k.min(items.len());
            let (drawn, _) = items.partial_shuffle(&mut rng, distinct);
            batch.extend_from_slice(drawn);
            batch.extend((distinct..self.k).map(|_| drawn[rng.random_range(0..distinct)]));
        }
        batch
    }

    /// An independent stream of random numbers for each purpose and counter.
    fn stream(&self, purpose: u64, counter: u64) -> ChaCha8Rng {
        let mut key = [0; 32];
        key[..8].copy_from_slice(&self.seed.to_le_bytes());
        key[8..16].copy_from_slice(&purpose.to_le_bytes());
        key[16..24].copy_from_slice(&counter.to_le_bytes());
        ChaCha8Rng::from_seed(key)
    }
}

impl fmt::Display for PkSampler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} classes × {} items", self.p, self.k)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeSet, HashMap};

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
}
