//! A record of the last change, next to the catalogue, which shows whether a change that was
//! acknowledged has been lost.
//!
//! SQLite silently drops changes when its log is damaged or missing. The record says which change
//! was the last one; a catalogue that is older than the record has lost changes. The record is
//! written after the commit, without waiting for the disk: if the record itself is lost, it is
//! older than the catalogue, which proves nothing.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::path::Path;

use super::catalogue::State;
use crate::Error;
use crate::error::AtPath;

pub(super) const FILE: &str = "last-change";

const MAGIC: &[u8; 8] = b"tercetL1";

/// The content of a record: the gallery's id and the last change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct LastChange {
    id: String,
    generation: i64,
}

/// Writes the record. An error is ignored: the change itself is safe.
pub(super) fn write(folder: &Path, state: &State) {
    let Some(id) = &state.id else { return };
    let mut record = MAGIC.to_vec();
    record.extend(state.generation.to_le_bytes());
    record.extend((id.len() as u32).to_le_bytes());
    record.extend(id.as_bytes());
    record.extend(crc32c::crc32c(&record).to_le_bytes());
    // Write it in one call, over the older record of the same length.
    let file = OpenOptions::new().create(true).write(true).truncate(false).open(folder.join(FILE));
    let _ = file.and_then(|mut file| file.write_all(&record));
}

/// Reads the record; `None` if it is missing or cannot be read.
pub(super) fn read(folder: &Path) -> Option<LastChange> {
    parse(&content(folder).ok()?)
}

/// # Errors
/// The record is damaged. An empty one is no error: a loss of power may leave it.
pub(super) fn check_record(folder: &Path) -> Result<(), Error> {
    let record = content(folder)?;
    if record.iter().all(|&byte| byte == 0) || parse(&record).is_some() {
        return Ok(());
    }
    Err(Error::damaged(&folder.join(FILE), "its checksum does not match"))
}

fn content(folder: &Path) -> Result<Vec<u8>, Error> {
    let path = folder.join(FILE);
    let mut record = Vec::new();
    match File::open(&path).and_then(|file| file.take(1024).read_to_end(&mut record)) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(Vec::new()),
        read => read.map(|_| record).at(&path),
    }
}

fn parse(record: &[u8]) -> Option<LastChange> {
    let (content, checksum) = record.split_last_chunk()?;
    if u32::from_le_bytes(*checksum) != crc32c::crc32c(content) {
        return None;
    }
    let (generation, rest) = content.strip_prefix(MAGIC)?.split_first_chunk()?;
    let (length, id) = rest.split_first_chunk()?;
    let id = std::str::from_utf8(id)
        .ok()
        .filter(|_| u32::from_le_bytes(*length) as usize == id.len())?;
    Some(LastChange { id: id.to_owned(), generation: i64::from_le_bytes(*generation) })
}

/// Refuses a catalogue that is older than the record. The record must have been read before the
/// catalogue.
pub(super) fn check(folder: &Path, last: Option<&LastChange>, state: &State) -> Result<(), Error> {
    let Some(last) = last.filter(|last| Some(&last.id) == state.id.as_ref()) else {
        return Ok(());
    };
    if state.generation >= last.generation {
        return Ok(());
    }
    let what = format!(
        "change {} was acknowledged, but the catalogue with this log ends with change {} (delete {} \
         to continue without the changes between them)",
        last.generation,
        state.generation,
        folder.join(FILE).display()
    );
    Err(Error::damaged(&folder.join(format!("{}-wal", super::catalogue::FILE)), what))
}
