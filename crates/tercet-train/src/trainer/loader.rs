//! Batches made ready ahead of time, in order, by threads.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread;

use tercet::PkSampler;

use crate::data::{DataError, Examples};

/// Batches that each thread may have ready.
const AHEAD: usize = 2;

/// A batch of examples as numbers.
pub(super) struct Batch {
    /// Items of the source, in the order of the rows.
    pub(super) items: Vec<u32>,
    /// N×C×H×W, standardised.
    pub(super) values: Vec<f32>,
}

/// Yields the batches of the steps `start..end` in order. Thread i of n makes the steps start + i,
/// start + i + n…, so that what is yielded does not depend on timing.
pub(super) struct Loader {
    threads: Vec<Receiver<Result<Batch, DataError>>>,
    next: u64,
    start: u64,
    end: u64,
}

impl Loader {
    /// `classes` are the sampler's items as items of `examples`.
    pub(super) fn new(
        examples: &Arc<Examples>,
        sampler: &Arc<PkSampler>,
        train: &Arc<[u32]>,
        start: u64,
        end: u64,
    ) -> Self {
        // Cached examples cost next to nothing; decoding on demand deserves every core.
        let count = if examples.is_cached() { 1 } else { rayon::current_num_threads() };
        let threads = (0..count as u64)
            .map(|thread| {
                let (send, receive) = sync_channel(AHEAD);
                let (examples, sampler, train) = (examples.clone(), sampler.clone(), train.clone());
                thread::spawn(move || {
                    for step in (start + thread..end).step_by(count) {
                        let items: Vec<u32> = sampler
                            .batch(step)
                            .into_iter()
                            .map(|item| train[item as usize])
                            .collect();
                        let batch = examples.batch(&items).map(|values| Batch { items, values });
                        let failed = batch.is_err();
                        // The receiver goes away when training stops early.
                        if send.send(batch).is_err() || failed {
                            return;
                        }
                    }
                });
                receive
            })
            .collect();
        Self { threads, next: start, start, end }
    }
}

impl Iterator for Loader {
    type Item = Result<Batch, DataError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.next == self.end {
            return None;
        }
        let thread = (self.next - self.start) as usize % self.threads.len();
        self.next += 1;
        self.threads[thread].recv().ok()
    }
}
