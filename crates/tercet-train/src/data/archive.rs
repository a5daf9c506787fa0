//! Images in a zip file, read without unpacking it.

use std::fmt;
use std::io::{Cursor, Read};
use std::path::Path;
use std::sync::Arc;

use image::DynamicImage;
use zip::ZipArchive;

use super::decode::{decode_bytes, read};
use super::{ALLOCATION_LIMIT, DataError};

/// A zip file (stored or deflated entries), in memory in its compressed form. Clones share the
/// bytes, so that threads can read at the same time.
#[derive(Clone)]
pub struct Archive {
    path: Arc<Path>,
    zip: ZipArchive<Cursor<Arc<[u8]>>>,
}

/// One file of an [`Archive`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    archive: Archive,
    /// Its index in the list of the archive.
    index: usize,
}

impl Archive {
    pub(crate) fn open(path: &Path) -> Result<Self, DataError> {
        let refuse = |reason| DataError::Refused { path: path.to_owned(), reason };
        let bytes = read(path).map_err(refuse)?;
        let zip = ZipArchive::new(Cursor::new(Arc::from(bytes)))
            .map_err(|error| refuse(format!("expected a zip file: {error}")))?;
        Ok(Self { path: path.into(), zip })
    }

    /// The files of the archive with their names, in the order of the archive; folders are left
    /// out.
    pub(crate) fn entries(&self) -> Result<Vec<(String, Entry)>, DataError> {
        let mut entries = Vec::with_capacity(self.zip.len());
        for index in 0..self.zip.len() {
            let name = match self.zip.name_for_index(index) {
                Some(Ok(name)) => name.replace('\\', "/"),
                _ => {
                    let reason = format!("the name of entry {index} is no text");
                    return Err(DataError::Refused { path: self.path.as_ref().into(), reason });
                }
            };
            if !name.ends_with('/') {
                entries.push((name, Entry { archive: self.clone(), index }));
            }
        }
        Ok(entries)
    }
}

impl Entry {
    /// The path of the zip file.
    pub(crate) fn path(&self) -> &Path {
        &self.archive.path
    }

    pub(crate) fn image(&self) -> Result<DynamicImage, DataError> {
        decode_bytes(&self.bytes()?, &self.to_string())
    }

    /// The uncompressed content of the entry.
    pub(crate) fn bytes(&self) -> Result<Vec<u8>, DataError> {
        let refuse = |reason| DataError::Undecodable { what: self.to_string(), reason };
        let mut zip = self.archive.zip.clone();
        let entry = zip.by_index(self.index).map_err(|error| refuse(error.to_string()))?;
        // The size in the header may be wrong, so the uncompressed bytes are counted.
        let mut bytes = Vec::with_capacity(entry.size().min(1 << 20) as usize);
        entry
            .take(ALLOCATION_LIMIT + 1)
            .read_to_end(&mut bytes)
            .map_err(|error| refuse(error.to_string()))?;
        if bytes.len() as u64 > ALLOCATION_LIMIT {
            return Err(refuse(format!("it unpacks to more than {ALLOCATION_LIMIT} bytes")));
        }
        Ok(bytes)
    }
}

impl PartialEq for Archive {
    fn eq(&self, other: &Self) -> bool {
        self.path == other.path
    }
}

impl Eq for Archive {}

impl fmt::Debug for Archive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Archive").field(&self.path).finish()
    }
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.archive.zip.name_for_index(self.index);
        let name = name.and_then(Result::ok).unwrap_or_default();
        write!(f, "{}/{name}", self.archive.path.display())
    }
}
