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

/// The file names that writing a model under `name` uses.
pub(super) fn names_of(name: &str) -> [String; 2] {
    [name, UNFINISHED].map(str::to_owned)
}

/// The file name of a model beside that of another version.
pub(super) fn name_of(bytes: &[u8]) -> String {
    format!("model-{:08x}.safetensors", crc32c::crc32c(bytes))
}

/// Writes the file atomically.
pub(super) fn write(folder: &Path, name: &str, bytes: &[u8]) -> Result<ModelFile, Error> {
    let (path, unfinished) = (folder.join(name), folder.join(UNFINISHED));
    let mut file = File::create(&unfinished).at(&unfinished)?;
    file.write_all(bytes).and_then(|()| file.sync_all()).at(&unfinished)?;
    fs::rename(&unfinished, &path).at(&path)?;
    File::open(folder).and_then(|folder| folder.sync_all()).at(folder)?;
    let checksum = crc32c::crc32c(bytes);
    Ok(ModelFile { name: name.to_owned(), bytes: bytes.len() as u64, checksum })
}

/// Reads the file and compares it with its checksum.
pub(super) fn read(folder: &Path, expected: &ModelFile) -> Result<Vec<u8>, Error> {
    let path = folder.join(&expected.name);
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
