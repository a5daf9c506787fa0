//! Renews a reader's transaction so that the write-ahead log can be emptied.
//!
//! A view sees the catalogue in one state through a read transaction that lasts as long as the
//! view. While such a transaction needs the log, the log grows with every change. So a reader that
//! has just been refreshed locks out writers for a moment, has the log copied into the catalogue,
//! and starts its transaction again: it then sees the same state, and no longer needs the log.

use std::path::Path;

use super::catalogue::{Catalogue, Checkpoint};
use super::snapshot::Snapshot;
use crate::Error;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Settled {
    Yes,
    /// A process is writing, or the view of another reader is older: it may succeed later.
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
        // In SQLite, the transaction starts with the first statement that reads.
        own.state()?;
        copied?
    } else {
        false
    };
    guard.unfreeze()?;
    if !settled {
        return Ok(Settled::No);
    }
    // The file of the log still contains removed data.
    guard.checkpoint(Checkpoint::Truncate)?;
    Ok(Settled::Yes)
}
