//! Long work while a stop may be asked for.
//!
//! Between two steps a stop is noticed at once. Work that cannot look for it (one step of a large
//! network, an evaluation, reading a large table) runs attended: a second thread looks for the
//! stop, and when the work goes on for too long after it, saves what can be saved and has the
//! process end.

use std::sync::atomic::Ordering;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use crate::trainer::events::{Left, Surroundings};

/// How long the work may go on after a stop was asked for. Ten seconds are promised from the
/// request to the checkpoint; the rest is for writing it.
const PATIENCE: Duration = Duration::from_secs(2);

/// Time between two looks.
const INTERVAL: Duration = Duration::from_millis(100);

/// Does `work` on this thread. If a stop is asked for and the work takes longer than [`PATIENCE`]
/// from then, calls `save` and then [`Surroundings::leave`] on another thread. If that returns, or
/// is not given, the work is done to its end.
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
        // Without a second thread the work is done all the same.
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
