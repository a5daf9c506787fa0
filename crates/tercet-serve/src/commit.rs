//! The point after which the change of a request is completed, whether or not its client still
//! waits.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

const OPEN: u8 = 0;
const BEGUN: u8 = 1;
const GIVEN_UP: u8 = 2;

/// Records whether the change of a request has begun, or the request was abandoned before. Exactly
/// one of the two happens, so an answer that says "nothing was changed" is true.
#[derive(Debug, Clone, Default)]
pub(crate) struct Commit(Arc<AtomicU8>);

/// Abandons the request when it is dropped, because its client has disconnected or its time is
/// over.
#[derive(Debug)]
pub(crate) struct GivingUp(Commit);

impl Commit {
    /// Begins the change. Returns `false` if the request was abandoned: then nothing may be
    /// changed.
    pub(crate) fn begin(&self) -> bool {
        self.decide(BEGUN)
    }

    /// Abandons the request. Returns `false` if its change has begun: then it will be finished.
    pub(crate) fn give_up(&self) -> bool {
        self.decide(GIVEN_UP)
    }

    /// Whether the request was abandoned, so that its change must not begin.
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
