//! A reader's view that does not keep the write-ahead log from being emptied.
//!
//! A view sees the catalogue as it was, by a read transaction that lasts as long as the view. While
//! such a transaction needs the log, the log grows with every change. So a reader that has just been
//! refreshed keeps writers away for a moment, has the log copied into the catalogue, and begins its
//! transaction anew: it then sees the same state, and no longer needs the log.

use std::path::Path;

use super::catalogue::{Catalogue, Checkpoint};
use super::snapshot::Snapshot;
use crate::Error;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Settled {
    Yes,
    /// Somebody is writing, or another reader's view is older: later, perhaps.
    No,
}

pub(super) fn settle(folder: &Path, snapshot: &Snapshot) -> Result<Settled, Error> {
    let guard = Catalogue::open(folder, true)?;
    if !guard.keep_writers_away()? {
        return Ok(Settled::No);
    }
    let settled = if guard.state()? == snapshot.state {
        let own = snapshot.catalogue();
        own.unfreeze()?;
        let copied = own.checkpoint(Checkpoint::Passive);
        own.freeze()?;
        // The transaction begins with the first statement that reads.
        own.state()?;
        copied?
    } else {
        false
    };
    guard.unfreeze()?;
    if !settled {
        return Ok(Settled::No);
    }
    // What was removed is still in the file of the log.
    guard.checkpoint(Checkpoint::Truncate)?;
    Ok(Settled::Yes)
}
