//! Cross-batch memory: Wang et al., "Cross-Batch Memory for Embedding Learning", CVPR 2020.

use std::collections::HashSet;

use ndarray::{Array2, ArrayView2};

use super::{Objective, Outcome};
use crate::{Error, Labels};

/// A bank of past embeddings, which are further positives and negatives for later batches.
///
/// Embeddings change slowly after the first part of training, so those of the last steps are almost
/// up to date, and a bank can hold far more of them than a batch. Only the current batch receives a
/// gradient. When the bank is full, new entries replace the oldest ones.
///
/// Each entry stores the number of its item. Entries of items that are in the current batch are
/// left out of an evaluation, because the batch holds newer embeddings of them. So an older
/// embedding of an item is never a positive of the item itself.
///
/// ```
/// use ndarray::array;
/// use tercet::{Labels, Memory, TripletLoss};
/// let mut memory = Memory::new(1024, 2);
/// let labels = Labels::from_iter(["ann", "bob"]);
/// for step in 0..3 {
///     let items = [2 * step, 2 * step + 1];
///     let embeddings = array![[0.0_f32, step as f32], [1.0, step as f32]];
///     let outcome = memory.evaluate(TripletLoss::batch_hard(), embeddings.view(), &labels, &items)?;
///     assert_eq!(outcome.census.anchors, if step == 0 { 0 } else { 2 });
///     memory.push(embeddings.view(), &labels, &items)?;
/// }
/// assert_eq!(memory.len(), 6);
/// # Ok::<(), tercet::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Memory {
    capacity: usize,
    dimensions: usize,
    /// The embeddings, one after the other.
    values: Vec<f32>,
    labels: Vec<String>,
    items: Vec<u64>,
    /// The slot of the oldest entry, which the next entry replaces once the bank is full.
    next: usize,
}

impl Memory {
    /// An empty bank for `capacity` embeddings of `dimensions` components.
    pub fn new(capacity: usize, dimensions: usize) -> Self {
        Self {
            capacity,
            dimensions,
            values: Vec::new(),
            labels: Vec::new(),
            items: Vec::new(),
            next: 0,
        }
    }

    /// Number of embeddings in the bank.
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// Whether the bank is empty.
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// The number of embeddings that the bank can hold.
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// Removes all entries, for example after a change of the learning rate by which embeddings
    /// change fast.
    pub fn clear(&mut self) {
        *self = Self::new(self.capacity, self.dimensions);
    }

    /// Adds a batch. If it has more rows than the capacity, only the last rows are stored.
    ///
    /// # Shapes
    /// - `embeddings`: B×D, `labels`: B, `items`: B numbers that identify the items
    ///
    /// # Errors
    /// Unequal numbers of rows, labels and items; dimensions that differ from those of the bank;
    /// values that are not finite.
    pub fn push(
        &mut self,
        embeddings: ArrayView2<f32>,
        labels: &Labels,
        items: &[u64],
    ) -> Result<(), Error> {
        self.check(embeddings, labels, items)?;
        for (row, vector) in embeddings.outer_iter().enumerate() {
            if let Some((column, &value)) =
                vector.iter().enumerate().find(|(_, value)| !value.is_finite())
            {
                return Err(Error::NotFinite { row, column, value });
            }
        }
        let skipped = embeddings.nrows().saturating_sub(self.capacity);
        for (row, vector) in embeddings.outer_iter().enumerate().skip(skipped) {
            let label = labels.name(labels.classes()[row]).to_owned();
            if self.len() < self.capacity {
                self.values.extend(vector.iter());
                self.labels.push(label);
                self.items.push(items[row]);
            } else {
                let slot = &mut self.values[self.next * self.dimensions..][..self.dimensions];
                slot.iter_mut().zip(vector).for_each(|(old, &new)| *old = new);
                self.labels[self.next] = label;
                self.items[self.next] = items[row];
                self.next = (self.next + 1) % self.capacity;
            }
        }
        Ok(())
    }

    /// The embeddings of the bank (M×D) with their labels, the oldest first, without the entries of
    /// the given items.
    pub fn without(&self, items: &[u64]) -> (Array2<f32>, Labels) {
        let current: HashSet<u64> = items.iter().copied().collect();
        let mut slots = self.slots();
        slots.retain(|&slot| !current.contains(&self.items[slot]));
        (self.vectors(&slots), slots.iter().map(|&slot| &self.labels[slot]).collect())
    }

    /// All entries of the bank, the oldest first: embeddings (M×D), labels and items.
    /// [Pushing](Self::push) them into an empty bank of the same capacity restores this bank.
    pub fn entries(&self) -> (Array2<f32>, Labels, Vec<u64>) {
        let slots = self.slots();
        let labels = slots.iter().map(|&slot| &self.labels[slot]).collect();
        (self.vectors(&slots), labels, slots.iter().map(|&slot| self.items[slot]).collect())
    }

    /// All slots, the oldest entry first.
    fn slots(&self) -> Vec<usize> {
        (self.next..self.len()).chain(0..self.next).collect()
    }

    fn vectors(&self, slots: &[usize]) -> Array2<f32> {
        Array2::from_shape_fn((slots.len(), self.dimensions), |(row, column)| {
            self.values[slots[row] * self.dimensions + column]
        })
    }

    /// Evaluates an objective over a batch with the bank as further candidates, by
    /// [`Evaluation::frozen`](super::Evaluation::frozen). The bank does not change:
    /// [`push`](Self::push) the batch afterwards.
    ///
    /// # Shapes
    /// - `embeddings`: B×D, `labels`: B, `items`: B
    /// - gradient: B×D
    ///
    /// # Errors
    /// The errors of [`push`](Self::push) and of [`Objective::evaluate`].
    pub fn evaluate(
        &self,
        objective: impl Into<Objective>,
        embeddings: ArrayView2<f32>,
        labels: &Labels,
        items: &[u64],
    ) -> Result<Outcome, Error> {
        self.check(embeddings, labels, items)?;
        let (frozen, frozen_labels) = self.without(items);
        let objective = objective.into();
        objective.evaluation(embeddings, labels).frozen(frozen.view(), &frozen_labels).run()
    }

    fn check(
        &self,
        embeddings: ArrayView2<f32>,
        labels: &Labels,
        items: &[u64],
    ) -> Result<(), Error> {
        let (rows, dimensions) = embeddings.dim();
        if rows != labels.len() {
            return Err(Error::LabelCount { rows, labels: labels.len() });
        }
        if rows != items.len() {
            return Err(Error::NotEnough {
                what: "a memory",
                expected: format!("one item for each of the {rows} rows"),
                got: items.len().to_string(),
            });
        }
        if dimensions != self.dimensions {
            return Err(Error::DimensionMismatch { queries: dimensions, gallery: self.dimensions });
        }
        Ok(())
    }
}
