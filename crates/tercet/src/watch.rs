//! Progress of long computations, which can be stopped.

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::Error;

/// A function that is called with the number of steps done and the number of all steps, and returns
/// whether the work continues.
///
/// It is called from any of the threads, in no particular order, and not for every step.
pub type Watch<'a> = &'a (dyn Fn(u64, u64) -> ControlFlow<()> + Sync);

/// The steps of one piece of work, counted over all its threads.
pub(crate) struct Steps<'a> {
    watch: Option<Watch<'a>>,
    total: u64,
    done: AtomicU64,
    stopped: AtomicBool,
}

impl<'a> Steps<'a> {
    pub(crate) fn new(watch: Option<Watch<'a>>, total: usize) -> Self {
        let (total, done) = (total as u64, AtomicU64::new(0));
        Self { watch, total, done, stopped: AtomicBool::new(false) }
    }

    /// Counts some steps as done, and returns whether to continue.
    pub(crate) fn done(&self, steps: usize) -> ControlFlow<()> {
        let Some(watch) = self.watch else { return ControlFlow::Continue(()) };
        let done = self.done.fetch_add(steps as u64, Ordering::Relaxed) + steps as u64;
        if watch(done, self.total).is_break() {
            self.stopped.store(true, Ordering::Relaxed);
        }
        match self.stopped.load(Ordering::Relaxed) {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        }
    }

    /// The results of the threads are complete only if none of them stopped early.
    pub(crate) fn finish(self) -> Result<(), Error> {
        if self.stopped.into_inner() { Err(Error::Interrupted) } else { Ok(()) }
    }
}
