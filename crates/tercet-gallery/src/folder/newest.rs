//! Reads the newest state of a gallery while a writer may change it.

use std::io::ErrorKind;
use std::path::Path;

use super::catalogue::Catalogue;
use super::snapshot::Snapshot;
use crate::Error;

/// A snapshot of the newest state. If compaction removes a file after the catalogue was read and
/// before the file is opened, there is a newer state, which is read instead.
pub(super) fn newest(folder: &Path, before: Option<&Snapshot>) -> Result<Snapshot, Error> {
    let generation = || Catalogue::open(folder, false)?.head().map(|head| head.generation);
    let mut seen = generation()?;
    loop {
        match Snapshot::take(folder, before) {
            Err(Error::Io { source, path }) if source.kind() == ErrorKind::NotFound => {
                let now = generation()?;
                if now == seen {
                    return Err(Error::damaged(&path, "the file is not there"));
                }
                seen = now;
            }
            other => return other,
        }
    }
}
