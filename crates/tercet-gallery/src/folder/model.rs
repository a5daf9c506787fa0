//! The file of the model that computes the vectors, stored next to them.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;

use super::catalogue::ModelFile;
use crate::Error;
use crate::error::AtPath;

pub(super) const FILE: &str = ModelFile::NAME;

/// A temporary file that an interrupted writer may leave.
const UNFINISHED: &str = "model.unfinished";

/// The file names that this module writes.
pub(super) fn names() -> [String; 2] {
    [FILE, UNFINISHED].map(str::to_owned)
}

/// Writes the file atomically.
pub(super) fn write(folder: &Path, bytes: &[u8]) -> Result<ModelFile, Error> {
    let (path, unfinished) = (folder.join(FILE), folder.join(UNFINISHED));
    let mut file = File::create(&unfinished).at(&unfinished)?;
    file.write_all(bytes).and_then(|()| file.sync_all()).at(&unfinished)?;
    fs::rename(&unfinished, &path).at(&path)?;
    File::open(folder).and_then(|folder| folder.sync_all()).at(folder)?;
    Ok(ModelFile { bytes: bytes.len() as u64, checksum: crc32c::crc32c(bytes) })
}

/// Reads the file and compares it with its checksum.
pub(super) fn read(folder: &Path, expected: ModelFile) -> Result<Vec<u8>, Error> {
    let path = folder.join(FILE);
    let bytes = fs::read(&path).at(&path)?;
    let checksum = crc32c::crc32c(&bytes);
    if (bytes.len() as u64, checksum) != (expected.bytes, expected.checksum) {
        let what = format!(
            "it has {} bytes and checksum {checksum:08x}, expected {} and {:08x}",
            bytes.len(),
            expected.bytes,
            expected.checksum
        );
        return Err(Error::damaged(&path, what));
    }
    Ok(bytes)
}
