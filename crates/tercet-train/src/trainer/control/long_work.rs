//! Long work that a stop request can interrupt.
//!
//! Between two steps a stop request is noticed at once. Work that cannot check for it (one step of
//! a large network, an evaluation, reading a large table) runs through [`attend`]: a second thread
//! checks for the request and, if the work continues for too long after it, saves what can be saved
//! and ends the process.

use std::sync::atomic::Ordering;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use crate::trainer::events::{Left, Surroundings};

/// How long the work may continue after a stop was requested. Users are promised a checkpoint
/// within ten seconds of the request; the remaining time is for writing it.
const PATIENCE: Duration = Duration::from_secs(2);

/// The time between two checks for a stop request.
const INTERVAL: Duration = Duration::from_millis(100);

/// Runs `work` on this thread. If a stop is requested and the work takes longer than [`PATIENCE`]
/// after that, calls `save` and then [`Surroundings::leave`] on another thread. If `leave` returns
/// or is `None`, the work runs to its end.
pub(in crate::trainer) fn attend<T>(
    around: &Surroundings,
    save: impl FnOnce() -> Left + Send,
    work: impl FnOnce() -> T,
) -> T {
    let Some(leave) = around.leave else { return work() };
    let stop = around.stop;
    thread::scope(|scope| {
        let (working, finished) = channel::<()>();
        let attendant = move || {
            let mut asked: Option<Instant> = None;
            while finished.recv_timeout(INTERVAL) == Err(RecvTimeoutError::Timeout) {
                if stop.load(Ordering::Relaxed)
                    && asked.get_or_insert_with(Instant::now).elapsed() >= PATIENCE
                {
                    return leave(save());
                }
            }
        };
        // If no second thread can be started, the work runs without one.
        let _ = thread::Builder::new().spawn_scoped(scope, attendant);
        let result = work();
        drop(working);
        result
    })
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicBool;

    use super::*;

    #[test]
    fn long_work_is_left_after_a_stop_and_short_work_is_not() {
        let left = AtomicBool::new(false);
        let leave = |way: Left| {
            assert_eq!(way.step, Some(7));
            left.store(true, Ordering::Relaxed);
        };
        for (asked, work, expected) in
            [(false, 2500, false), (true, 100, false), (true, 2500, true)]
        {
            let stop = AtomicBool::new(asked);
            let around = Surroundings { watch: &|_| {}, stop: &stop, leave: Some(&leave) };
            let save = || Left { step: Some(7), saved: Ok(()) };
            let result = attend(&around, save, || {
                thread::sleep(Duration::from_millis(work));
                work
            });
            assert_eq!((result, left.load(Ordering::Relaxed)), (work, expected));
        }
    }
}
