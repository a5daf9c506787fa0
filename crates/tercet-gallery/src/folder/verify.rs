//! Verification: reads everything again and compares it with its checksums.

use std::path::Path;

use super::catalogue::Catalogue;
use super::newest::newest;
use super::segment::Segment;
use super::{last_change, model};
use crate::Error;
use crate::Verified;

/// Reads the newest state of a gallery from its files: every vector, item and thumbnail, the graph,
/// the model, those of the previous version, SQLite's own structure, and the write-ahead log.
pub(super) fn verify(folder: &Path) -> Result<Verified, Error> {
    last_change::check_record(folder)?;
    Catalogue::open(folder, false)?.check_log()?;
    // Without an earlier snapshot, this compares each segment and the graph with its checksum.
    let snapshot = newest(folder, None)?;
    let catalogue = snapshot.catalogue();
    catalogue.check_structure()?;
    for part in &snapshot.parts {
        for &key in part.live.keys.iter().filter(|&&key| key != 0) {
            catalogue.item(key)?;
            catalogue.thumbnail(key)?;
        }
    }
    if let Some(expected) = catalogue.model_file()? {
        model::read(folder, &expected)?;
    }
    if let Some(previous) = catalogue.previous()? {
        for &extent in &previous.segments {
            Segment::open(folder, extent, previous.dimensions, None)?;
        }
        if let Some(expected) = &previous.model_file {
            model::read(folder, expected)?;
        }
    }
    let rows = snapshot.rows() as u64;
    let bytes = rows * 4 * snapshot.head.settings.dimensions as u64;
    Ok(Verified { rows, items: snapshot.head.items as u64, bytes })
}
