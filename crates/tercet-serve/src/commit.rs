//! The point from which a request's change is carried out, whoever still waits for it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

const OPEN: u8 = 0;
const BEGUN: u8 = 1;
const GIVEN_UP: u8 = 2;

/// Whether the change of a request has begun, or was given up before it began. One of the two
/// happens, never both: an answer that says "nothing was changed" is true.
#[derive(Debug, Clone, Default)]
pub(crate) struct Commit(Arc<AtomicU8>);

/// Gives a request up when it is dropped, because its client has gone or its time is over.
#[derive(Debug)]
pub(crate) struct GivingUp(Commit);

impl Commit {
    /// Begins the change. `false` if the request was given up: nothing may be changed any more.
    pub(crate) fn begin(&self) -> bool {
        self.decide(BEGUN)
    }

    /// Gives the request up. `false` if its change has begun: it will be finished.
    pub(crate) fn give_up(&self) -> bool {
        self.decide(GIVEN_UP)
    }

    /// Whether nobody waits for the change any more and it must not begin.
    pub(crate) fn is_given_up(&self) -> bool {
        self.0.load(Ordering::SeqCst) == GIVEN_UP
    }

    pub(crate) fn give_up_when_dropped(&self) -> GivingUp {
        GivingUp(self.clone())
    }

    fn decide(&self, outcome: u8) -> bool {
        let decided = self.0.compare_exchange(OPEN, outcome, Ordering::SeqCst, Ordering::SeqCst);
        decided.is_ok()
    }
}

impl Drop for GivingUp {
    fn drop(&mut self) {
        self.0.give_up();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_begins_or_is_given_up_but_never_both() {
        let commit = Commit::default();
        assert!(commit.begin() && !commit.give_up() && !commit.is_given_up());
        let commit = Commit::default();
        drop(commit.give_up_when_dropped());
        assert!(commit.is_given_up() && !commit.begin());
    }
}
