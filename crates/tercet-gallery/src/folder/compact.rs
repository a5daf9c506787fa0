//! Compaction: frees the space of removed items, and overwrites their data.

use ndarray::Array2;

use super::catalogue::at;
use super::segment::{self, Segment};
use super::writer::Writer;
use crate::{Compacted, Error, WriteGallery};

/// Copies the remaining rows of segments with removed rows to new segments, commits, and removes
/// the old files. Segments without removed rows stay as they are. A graph refers to places that no
/// longer exist, so it is dropped. Then the catalogue is rewritten, and its log emptied.
pub(super) fn compact(writer: &mut Writer) -> Result<Compacted, Error> {
    let folder = writer.folder.clone();
    let mut living = 0;
    for listed in writer.catalogue.segments()? {
        let rows = writer.catalogue.places(listed.extent.number)?.len();
        living += if rows < listed.extent.rows { rows } else { 0 };
    }
    let mut new = writer.new_segments(living, None)?.into_iter();
    let (done, moved) = writer.change(|catalogue| {
        let mut head = catalogue.head()?;
        head.generation += 1;
        let dimensions = head.settings.dimensions;
        let mut done = Compacted { rows: 0, bytes: 0 };
        // Write only to new segments: the old ones must remain readable until the commit.
        let mut last = None;
        let first_new = head.segments;
        for listed in catalogue.segments()? {
            let extent = listed.extent;
            let living = catalogue.places(extent.number)?;
            if living.len() == extent.rows {
                continue;
            }
            let old = Segment::open(&folder, extent, dimensions, None)?;
            let mut rows = Vec::with_capacity(living.len() * dimensions);
            for &(place, _) in &living {
                rows.extend_from_slice(old.row(at(place).1));
            }
            let rows = Array2::from_shape_vec((living.len(), dimensions), rows)
                .unwrap_or_else(|_| Array2::zeros((0, dimensions))); // cannot fail: the rows match the items
            let places =
                Writer::append(&folder, catalogue, &mut head, last, rows.view(), &mut new)?;
            for (&(from, key), &to) in living.iter().zip(&places) {
                catalogue.move_item(key, from, to)?;
            }
            catalogue.drop_segment(extent.number)?;
            if head.segments > first_new {
                last = catalogue.segments()?.last().map(|listed| listed.extent);
            }
            done.rows += (extent.rows - living.len()) as u64;
            done.bytes += segment::length(dimensions, extent.rows);
        }
        if done.rows > 0 {
            catalogue.set_graph(None)?;
            catalogue.set_head(&head)?;
        }
        let new = catalogue.segments()?.into_iter().filter(|new| new.extent.number >= first_new);
        let new: u64 = new.map(|new| segment::length(dimensions, new.extent.rows)).sum();
        done.bytes = done.bytes.saturating_sub(new);
        Ok((done, done.rows > 0))
    })?;
    if moved {
        writer.clear_leftovers()?;
    }
    writer.catalogue.vacuum(moved)?;
    writer.empty_log()?;
    Ok(done)
}
