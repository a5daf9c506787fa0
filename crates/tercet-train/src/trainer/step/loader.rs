//! Batches that threads prepare ahead of time, in order.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::thread;
use std::time::Duration;

use tercet::PkSampler;

use crate::data::{Augmentation, DataError, Examples};

/// Number of prepared batches that each thread buffers.
const AHEAD: usize = 2;

/// Number of threads that prepare batches. Batches of cached examples cost next to nothing, while
/// augmenting or decoding is worth every core. The threads sleep once their batches are ready, so
/// that the encoder can use the cores.
fn threads(examples: &Examples, augmentation: &Augmentation) -> usize {
    let is_cheap = examples.is_cached() && augmentation.is_none();
    if is_cheap { 1 } else { rayon::current_num_threads() }
}

/// Number of batches that may be in memory besides the one of the step: those buffered and those
/// being prepared.
pub(in crate::trainer) fn batches_ahead(examples: &Examples, augmentation: &Augmentation) -> usize {
    threads(examples, augmentation) * (AHEAD + 1)
}

/// A batch of examples as numbers.
pub(in crate::trainer) struct Batch {
    /// Items of the source, in the order of the rows.
    pub(in crate::trainer) items: Vec<u32>,
    /// The input, N×C×H×W, standardised.
    pub(in crate::trainer) values: Vec<f32>,
}

/// What a loader needs to prepare batches. A batch is a function of the step alone.
pub(in crate::trainer) struct Recipe {
    pub(in crate::trainer) examples: Arc<Examples>,
    pub(in crate::trainer) sampler: Arc<PkSampler>,
    /// For each item of the sampler, the item of `examples`.
    pub(in crate::trainer) train: Vec<u32>,
    pub(in crate::trainer) augmentation: Augmentation,
    pub(in crate::trainer) seed: u64,
}

impl Recipe {
    fn batch(&self, step: u64) -> Result<Batch, DataError> {
        let items: Vec<u32> =
            self.sampler.batch(step).into_iter().map(|item| self.train[item as usize]).collect();
        let values = self.examples.augmented(&items, &self.augmentation, self.seed, step)?;
        Ok(Batch { items, values })
    }
}

/// The time between two checks for a stop request while waiting for a batch.
const INTERVAL: Duration = Duration::from_millis(100);

/// Yields the batches of the steps `start..end` in order; [`DataError::Interrupted`] if a stop is
/// requested while a batch is not ready. Thread i of n prepares the steps `start + i`,
/// `start + i + n` and so on, so that the result does not depend on timing. Where the system refuses
/// a thread, its batches are prepared when they are asked for.
pub(in crate::trainer) struct Loader<'a> {
    recipe: Arc<Recipe>,
    threads: Vec<Option<Receiver<Result<Batch, DataError>>>>,
    next: u64,
    start: u64,
    end: u64,
    stop: &'a AtomicBool,
}

impl<'a> Loader<'a> {
    pub(in crate::trainer) fn new(
        recipe: Recipe,
        start: u64,
        end: u64,
        stop: &'a AtomicBool,
    ) -> Self {
        let count = threads(&recipe.examples, &recipe.augmentation);
        Self::on(count, thread::Builder::new, recipe, start, end, stop)
    }

    /// Asks for `count` threads, each with a `builder` of its own.
    fn on(
        count: usize,
        builder: impl Fn() -> thread::Builder,
        recipe: Recipe,
        start: u64,
        end: u64,
        stop: &'a AtomicBool,
    ) -> Self {
        let recipe = Arc::new(recipe);
        let threads = (0..count as u64)
            .map(|thread| {
                let (send, receive) = sync_channel(AHEAD);
                let recipe = recipe.clone();
                let prepare = move || {
                    for step in (start + thread..end).step_by(count) {
                        let batch = recipe.batch(step);
                        let failed = batch.is_err();
                        // The receiver is dropped when training stops early.
                        if send.send(batch).is_err() || failed {
                            return;
                        }
                    }
                };
                builder().spawn(prepare).ok().map(|_| receive)
            })
            .collect();
        Self { recipe, threads, next: start, start, end, stop }
    }
}

impl Iterator for Loader<'_> {
    type Item = Result<Batch, DataError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.next == self.end {
            return None;
        }
        let step = self.next;
        self.next += 1;
        let thread = (step - self.start) as usize % self.threads.len();
        let Some(receive) = &self.threads[thread] else {
            return Some(self.recipe.batch(step));
        };
        loop {
            match receive.recv_timeout(INTERVAL) {
                Ok(batch) => return Some(batch),
                Err(RecvTimeoutError::Disconnected) => return None,
                Err(RecvTimeoutError::Timeout) if self.stop.load(Ordering::Relaxed) => {
                    return Some(Err(DataError::Interrupted));
                }
                Err(RecvTimeoutError::Timeout) => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use ndarray::Array2;
    use tercet::Labels;

    use super::*;
    use crate::data::{Source, Standardization, Vectors};
    use crate::embeddings::Embeddings;

    /// Eight vectors of two classes; the components of each are its index.
    fn recipe() -> Recipe {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("vectors.safetensors");
        let labels: Vec<String> = (0..8).map(|item| format!("class {}", item / 4)).collect();
        let vectors = Array2::from_shape_fn((8, 2), |(item, _)| item as f32);
        Embeddings { vectors, labels: Some(labels.clone()), ids: None, model: None }
            .save(&path)
            .unwrap();
        let catalogue = Source::Features { path, labels: None }.catalogue().unwrap();
        let (vectors, _) = Vectors::prepare(catalogue, &Standardization::none(2), false).unwrap();
        Recipe {
            examples: Arc::new(Examples::Vectors(vectors)),
            sampler: Arc::new(PkSampler::new(&Labels::from_iter(labels), 2, 2, 7).unwrap()),
            train: (0..8).collect(),
            augmentation: Augmentation::NONE,
            seed: 7,
        }
    }

    #[test]
    fn batches_are_the_same_where_the_system_refuses_threads() {
        let stop = AtomicBool::new(false);
        let items = |loader: Loader| -> Vec<Vec<u32>> {
            loader.map(|batch| batch.unwrap().items).collect()
        };
        let expected = items(Loader::on(1, thread::Builder::new, recipe(), 3, 10, &stop));
        assert_eq!(expected.len(), 7);
        for refused in [0b000, 0b010, 0b101, 0b111] {
            let asked = Cell::new(0);
            let builder = || {
                let thread = asked.replace(asked.get() + 1);
                match refused >> thread & 1 {
                    1 => thread::Builder::new().stack_size(1 << 60), // more than there is
                    _ => thread::Builder::new(),
                }
            };
            let loader = Loader::on(3, builder, recipe(), 3, 10, &stop);
            let started = loader.threads.iter().filter(|thread| thread.is_some()).count();
            assert_eq!(started as u32, 3 - i32::count_ones(refused));
            assert_eq!(items(loader), expected);
        }
    }
}
