//! Queries that arrive at the same time are answered by one scan.
//!
//! One query costs a read of every vector; sixty-four queries cost little more, since they share
//! one matrix product. So while a scan is running, later callers wait, and the first of them to
//! continue answers the queries of all who wait.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

/// A query, and the buffer of its answer.
struct Slot<Q, A> {
    question: Q,
    answer: Mutex<Option<A>>,
}

pub(super) struct Combiner<Q, A> {
    state: Mutex<State<Q, A>>,
    changed: Condvar,
}

struct State<Q, A> {
    waiting: Vec<Arc<Slot<Q, A>>>,
    /// Whether a thread is answering queries.
    busy: bool,
}

impl<Q, A> Default for Combiner<Q, A> {
    fn default() -> Self {
        let state = State { waiting: Vec::new(), busy: false };
        Self { state: Mutex::new(state), changed: Condvar::new() }
    }
}

impl<Q, A> Combiner<Q, A> {
    /// Answers a query, together with those of other threads that wait at the same time.
    ///
    /// `all` returns one answer for each query of its argument. The result is `None` only if `all`
    /// has panicked in the thread that also answered this query.
    pub(super) fn ask(&self, question: Q, all: impl Fn(&[&Q]) -> Vec<A>) -> Option<A> {
        let own = Arc::new(Slot { question, answer: Mutex::new(None) });
        let mut state = lock(&self.state);
        state.waiting.push(own.clone());
        loop {
            if let Some(answer) = lock(&own.answer).take() {
                return Some(answer);
            }
            if !state.busy {
                break;
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        if !state.waiting.iter().any(|slot| Arc::ptr_eq(slot, &own)) {
            return None;
        }
        let batch = std::mem::take(&mut state.waiting);
        state.busy = true;
        drop(state);
        // Wakes the other threads also if `all` panics; their queries then have no answer.
        let turn = Turn(self);
        let questions: Vec<&Q> = batch.iter().map(|slot| &slot.question).collect();
        for (slot, answer) in batch.iter().zip(all(&questions)) {
            *lock(&slot.answer) = Some(answer);
        }
        drop(turn);
        lock(&own.answer).take()
    }
}

struct Turn<'a, Q, A>(&'a Combiner<Q, A>);

impl<Q, A> Drop for Turn<'_, Q, A> {
    fn drop(&mut self) {
        lock(&self.0.state).busy = false;
        self.0.changed.notify_all();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;
    use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
    use std::thread;

    use super::*;

    #[test]
    fn everybody_gets_their_own_answer_and_few_scans_are_made() {
        let combiner = Combiner::default();
        let (scans, start) = (AtomicUsize::new(0), Barrier::new(16));
        thread::scope(|scope| {
            for asker in 0..16_u64 {
                let (combiner, scans, start) = (&combiner, &scans, &start);
                scope.spawn(move || {
                    start.wait();
                    for round in 0..20 {
                        let answer = combiner.ask(asker * 100 + round, |questions: &[&u64]| {
                            scans.fetch_add(1, SeqCst);
                            thread::sleep(std::time::Duration::from_millis(1));
                            questions.iter().map(|&&question| question + 1).collect()
                        });
                        assert_eq!(answer, Some(asker * 100 + round + 1));
                    }
                });
            }
        });
        assert!(scans.into_inner() < 320 / 4);
    }

    #[test]
    fn a_panic_frees_the_others() {
        let combiner: Combiner<u8, u8> = Combiner::default();
        let failed = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            combiner.ask(1, |_| panic!("in the middle"))
        }));
        assert!(failed.is_err());
        assert_eq!(combiner.ask(2, |questions| questions.iter().map(|&&x| x).collect()), Some(2));
    }
}
