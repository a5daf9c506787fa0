//! Segments: files of vectors, which are only appended to, and read into memory.
//!
//! A segment is a header of 64 bytes and then rows of little-endian f32. The catalogue contains the
//! number of valid rows and their checksum, and its commit makes rows valid: bytes after them were
//! left by a writer that was interrupted, and the next writer overwrites them.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tercet::scan::squared_norms;

use super::memory::{Memory, read_in_parts};
use crate::Error;
use crate::error::AtPath;

#[cfg(target_endian = "big")]
compile_error!("segments are read as little-endian numbers");

const MAGIC: &[u8; 8] = b"tercetV1";

/// Length of the header in bytes: rows are aligned to cache lines.
const HEADER: usize = 64;

/// Bytes of vectors in a segment before the next one is started. It is the unit in which damage is
/// reported, and limits what a refresh may have to read again and what compaction rewrites at least.
const CAPACITY: usize = 64 << 20;

/// Bytes of a chunk: its checksum and its norms are computed while it is in the cache.
const CHUNK: usize = 256 << 10;

/// The valid part of a segment's file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Extent {
    pub(super) number: u32,
    pub(super) rows: usize,
    /// CRC-32C of the rows.
    pub(super) checksum: u32,
}

/// The number of rows that a segment may contain.
pub(super) fn capacity(dimensions: usize) -> usize {
    (CAPACITY / (4 * dimensions)).max(1)
}

pub(super) fn name(number: u32) -> String {
    format!("vectors-{number:06}.f32")
}

pub(super) fn path(folder: &Path, number: u32) -> PathBuf {
    folder.join(name(number))
}

/// The length of the valid part of the file in bytes.
pub(super) fn length(dimensions: usize, rows: usize) -> u64 {
    (HEADER + 4 * dimensions * rows) as u64
}

fn header(number: u32, dimensions: usize) -> [u8; HEADER] {
    let mut header = [0; HEADER];
    header[..8].copy_from_slice(MAGIC);
    header[8..12].copy_from_slice(&number.to_le_bytes());
    header[12..16].copy_from_slice(&(dimensions as u32).to_le_bytes());
    header
}

fn check_header(file: &File, path: &Path, number: u32, dimensions: usize) -> Result<(), Error> {
    let mut found = [0; HEADER];
    match file.read_exact_at(&mut found, 0) {
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => {
            return Err(Error::damaged(path, "it is shorter than its header"));
        }
        other => other.at(path)?,
    }
    if found != header(number, dimensions) {
        let what = format!("expected the header of segment {number} of {dimensions} dimensions");
        return Err(Error::damaged(path, what));
    }
    Ok(())
}

fn check_length(file: &File, path: &Path, extent: Extent, dimensions: usize) -> Result<(), Error> {
    let (got, expected) = (file.metadata().at(path)?.len(), length(dimensions, extent.rows));
    if got < expected {
        let what = format!("expected at least {expected} bytes, got {got}");
        return Err(Error::damaged(path, what));
    }
    Ok(())
}

/// Starts a segment under a name that is registered as the gallery's own: a file that an
/// interrupted writer left under it is overwritten.
pub(super) fn begin(folder: &Path, number: u32, dimensions: usize) -> Result<Extent, Error> {
    let path = path(folder, number);
    let mut file = File::create(&path).at(&path)?;
    file.write_all(&header(number, dimensions)).at(&path)?;
    file.sync_all().at(&path)?;
    File::open(folder).and_then(|folder| folder.sync_all()).at(folder)?;
    Ok(Extent { number, rows: 0, checksum: 0 })
}

/// Writes rows after the valid ones, and waits until they are on disk. They become valid when the
/// returned extent is committed to the catalogue.
pub(super) fn append(
    folder: &Path,
    extent: Extent,
    dimensions: usize,
    rows: &[f32],
) -> Result<Extent, Error> {
    let path = path(folder, extent.number);
    let file = OpenOptions::new().read(true).write(true).open(&path).at(&path)?;
    check_header(&file, &path, extent.number, dimensions)?;
    check_length(&file, &path, extent, dimensions)?;
    let end = length(dimensions, extent.rows);
    file.set_len(end).at(&path)?;
    let bytes: &[u8] = bytemuck::cast_slice(rows);
    file.write_all_at(bytes, end).at(&path)?;
    file.sync_data().at(&path)?;
    Ok(Extent {
        rows: extent.rows + rows.len() / dimensions,
        checksum: crc32c::crc32c_append(extent.checksum, bytes),
        ..extent
    })
}

/// The valid part of a segment in memory, with the data that a search of it needs.
#[derive(Debug)]
pub(super) struct Segment {
    pub(super) extent: Extent,
    dimensions: usize,
    memory: Arc<Memory>,
    pub(super) squared_norms: Vec<f32>,
}

impl Segment {
    /// Reads all valid rows, and computes the checksum and the norms. Rows that `before` has read
    /// from the same segment are not read again.
    pub(super) fn open(
        folder: &Path,
        extent: Extent,
        dimensions: usize,
        before: Option<&Self>,
    ) -> Result<Self, Error> {
        let path = path(folder, extent.number);
        let file = File::open(&path).at(&path)?;
        check_header(&file, &path, extent.number, dimensions)?;
        check_length(&file, &path, extent, dimensions)?;
        let before = before.filter(|before| before.extent.rows <= extent.rows);
        if let Some(before) = before
            && let Some(longer) = before.extended(&file, &path, extent)?
        {
            return Ok(longer);
        }
        let rows = capacity(dimensions).max(extent.rows);
        let nothing = Self {
            extent: Extent { rows: 0, checksum: 0, ..extent },
            dimensions,
            memory: Arc::new(Memory::new(rows * dimensions, &path)?),
            squared_norms: Vec::new(),
        };
        nothing
            .extended(&file, &path, extent)?
            .ok_or_else(|| Error::damaged(&path, "it has more rows than there is memory for"))
    }

    /// The segment extended by the rows that were appended to it; `None` if other rows were written
    /// in their place.
    fn extended(&self, file: &File, path: &Path, extent: Extent) -> Result<Option<Self>, Error> {
        let dimensions = self.dimensions;
        let (from, to) = (self.extent.rows, extent.rows);
        let mut checksum = self.extent.checksum;
        let mut norms = Vec::with_capacity(to);
        norms.extend(&self.squared_norms);
        let most = (CHUNK / 4 / dimensions).max(1) * dimensions * 4;
        let count = (to - from) * dimensions;
        let begin = length(dimensions, from);
        let extended = self.memory.extend(from * dimensions, count, |bytes| {
            let read = |part: &mut [u8], at: u64| file.read_exact_at(part, begin + at);
            let read = read_in_parts(bytes, most, read, |part| {
                checksum = crc32c::crc32c_append(checksum, part);
                norms.extend(squared_norms(bytemuck::cast_slice(part), dimensions));
            });
            match read {
                Err(error) if error.kind() == ErrorKind::UnexpectedEof => {
                    let expected = length(dimensions, to);
                    Err(Error::damaged(path, format!("expected at least {expected} bytes")))
                }
                read => read.at(path),
            }?;
            if checksum != extent.checksum {
                let what = format!(
                    "the checksum of its {to} vectors is {checksum:08x}, expected {:08x}",
                    extent.checksum
                );
                return Err(Error::damaged(path, what));
            }
            Ok(())
        })?;
        let memory = self.memory.clone();
        Ok(extended.then_some(Self { extent, dimensions, memory, squared_norms: norms }))
    }

    pub(super) fn rows(&self) -> &[f32] {
        self.memory.values(self.extent.rows * self.dimensions)
    }

    pub(super) fn row(&self, row: usize) -> &[f32] {
        &self.rows()[row * self.dimensions..][..self.dimensions]
    }

    /// Writes the valid part to a new file in another folder, and waits until it is on disk.
    pub(super) fn copy_to(&self, folder: &Path) -> Result<u64, Error> {
        let path = path(folder, self.extent.number);
        let mut file = File::create_new(&path).at(&path)?;
        let header = header(self.extent.number, self.dimensions);
        file.write_all(&header)
            .and_then(|()| file.write_all(bytemuck::cast_slice(self.rows())))
            .and_then(|()| file.sync_all())
            .at(&path)?;
        Ok(length(self.dimensions, self.extent.rows))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leftovers_behind_the_extent_do_not_count() {
        let folder = tempfile::tempdir().unwrap();
        let empty = begin(folder.path(), 7, 2).unwrap();
        let one = append(folder.path(), empty, 2, &[1.0, 2.0]).unwrap();
        // A second append that was never committed, followed by another one from the same extent.
        append(folder.path(), one, 2, &[9.0, 9.0, 9.0, 9.0]).unwrap();
        let two = append(folder.path(), one, 2, &[3.0, 4.0]).unwrap();
        let segment = Segment::open(folder.path(), two, 2, None).unwrap();
        assert_eq!(segment.rows(), [1.0, 2.0, 3.0, 4.0]);
        assert_eq!(segment.squared_norms, [5.0, 25.0]);
        let earlier = Segment::open(folder.path(), one, 2, None).unwrap();
        let again = Segment::open(folder.path(), two, 2, Some(&earlier)).unwrap();
        assert_eq!(again.squared_norms, [5.0, 25.0]);
        assert!(Arc::ptr_eq(&again.memory, &earlier.memory));
        // Another continuation of the same rows, such as after a restore, gets a buffer of its own.
        let other = append(folder.path(), one, 2, &[5.0, 12.0]).unwrap();
        let other = Segment::open(folder.path(), other, 2, Some(&earlier)).unwrap();
        assert_eq!((other.rows(), again.rows()), (&[1.0, 2.0, 5.0, 12.0][..], segment.rows()));
    }
}
