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
/// `start + i + n` and so on, so that the result does not depend on timing.
pub(in crate::trainer) struct Loader<'a> {
    threads: Vec<Receiver<Result<Batch, DataError>>>,
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
        let recipe = Arc::new(recipe);
        let threads = (0..count as u64)
            .map(|thread| {
                let (send, receive) = sync_channel(AHEAD);
                let recipe = recipe.clone();
                thread::spawn(move || {
                    for step in (start + thread..end).step_by(count) {
                        let batch = recipe.batch(step);
                        let failed = batch.is_err();
                        // The receiver is dropped when training stops early.
                        if send.send(batch).is_err() || failed {
                            return;
                        }
                    }
                });
                receive
            })
            .collect();
        Self { threads, next: start, start, end, stop }
    }
}

impl Iterator for Loader<'_> {
    type Item = Result<Batch, DataError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.next == self.end {
            return None;
        }
        let thread = (self.next - self.start) as usize % self.threads.len();
        self.next += 1;
        loop {
            match self.threads[thread].recv_timeout(INTERVAL) {
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
