//! Vectors of a backbone on disk, each under a hash of the item from which it was computed.
//!
//! The file begins with [`MAGIC`] and the number of components D as a `u32`. Records follow: the key
//! (`u64`), D components (`f32`), and a checksum of these bytes (`u32`); all numbers are
//! little-endian. Records are only appended. A record that was cut off when the program was killed
//! is removed when the file is opened the next time.

use std::collections::HashMap;
use std::env;
use std::fs::{self, File, TryLockError};
use std::io::{self, BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use ndarray::ArrayView2;

use crate::fingerprint::Fingerprint;

const MAGIC: &[u8; 16] = b"tercet vectors 1";

/// Bytes in front of the records.
const HEADER: u64 = MAGIC.len() as u64 + 4;

/// The largest number of components of a vector.
const MOST_COMPONENTS: usize = 1 << 20;

/// The stored vectors of one backbone.
#[derive(Debug)]
pub(crate) struct VectorCache {
    file: File,
    /// D; 0 as long as there is no vector.
    dimensions: usize,
    /// Where the record of each key begins.
    positions: HashMap<u64, u64>,
    /// Where the next record begins.
    end: u64,
}

/// The folder of all caches: `TERCET_CACHE`, or else `tercet` in the user's folder for caches. None
/// if `TERCET_CACHE` is empty or the user has no such folder.
pub(crate) fn folder() -> Option<PathBuf> {
    if let Some(folder) = env::var_os("TERCET_CACHE") {
        return (!folder.is_empty()).then(|| folder.into());
    }
    let named = |name: &str| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let home = || named("HOME").map(|home| home.join(".cache"));
    let caches = named("XDG_CACHE_HOME").or_else(|| named("LOCALAPPDATA")).or_else(home)?;
    Some(caches.join("tercet"))
}

impl VectorCache {
    /// Opens the vectors of a backbone with this fingerprint; none if another process is using them.
    ///
    /// # Errors
    /// A folder or file that cannot be created or read.
    pub(crate) fn open(folder: &Path, fingerprint: &str) -> io::Result<Option<Self>> {
        fs::create_dir_all(folder)?;
        let path = folder.join(format!("{fingerprint}.vectors"));
        let file =
            File::options().read(true).write(true).create(true).truncate(false).open(path)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(error)) => return Err(error),
        }
        let mut cache = Self { file, dimensions: 0, positions: HashMap::new(), end: 0 };
        cache.index()?;
        cache.file.set_len(cache.end)?;
        Ok(Some(cache))
    }

    /// Finds the records; the file ends with the last whole one.
    fn index(&mut self) -> io::Result<()> {
        let mut reader = BufReader::new(&self.file);
        let mut header = [0; HEADER as usize];
        if !fills(&mut reader, &mut header)? || header[..MAGIC.len()] != *MAGIC {
            return Ok(());
        }
        let dimensions =
            header[MAGIC.len()..].iter().rev().fold(0, |all, &byte| all << 8 | usize::from(byte));
        if !(1..=MOST_COMPONENTS).contains(&dimensions) {
            return Ok(());
        }
        (self.dimensions, self.end) = (dimensions, HEADER);
        let mut record = vec![0; record_len(dimensions)];
        while fills(&mut reader, &mut record)? {
            let (content, check) = record.split_at(record.len() - 4);
            if checksum(content).to_le_bytes() != *check {
                break;
            }
            if let Some(key) = content.first_chunk() {
                self.positions.insert(u64::from_le_bytes(*key), self.end);
            }
            self.end += record.len() as u64;
        }
        Ok(())
    }

    /// The vector of a key.
    ///
    /// # Errors
    /// A file that can no longer be read.
    pub(crate) fn get(&mut self, key: u64) -> io::Result<Option<Vec<f32>>> {
        let Some(&position) = self.positions.get(&key) else { return Ok(None) };
        let mut bytes = vec![0; 4 * self.dimensions];
        self.file.seek(SeekFrom::Start(position + 8))?;
        self.file.read_exact(&mut bytes)?;
        let (values, _) = bytes.as_chunks();
        Ok(Some(values.iter().map(|&value| f32::from_le_bytes(value)).collect()))
    }

    /// Appends vectors, one row for each key. If their length differs from that of the stored
    /// vectors, they replace all of them.
    ///
    /// # Errors
    /// A disk that is full.
    pub(crate) fn insert(&mut self, keys: &[u64], rows: ArrayView2<f32>) -> io::Result<()> {
        let mut bytes = Vec::new();
        if rows.ncols() != self.dimensions {
            self.positions.clear();
            (self.dimensions, self.end) = (rows.ncols(), 0);
            bytes.extend(MAGIC);
            bytes.extend((self.dimensions as u32).to_le_bytes());
        }
        let mut positions = Vec::new();
        for (&key, row) in keys.iter().zip(rows.outer_iter()) {
            let begin = bytes.len();
            positions.push((key, self.end + begin as u64));
            bytes.extend(key.to_le_bytes());
            bytes.extend(row.iter().flat_map(|value| value.to_le_bytes()));
            bytes.extend(checksum(&bytes[begin..]).to_le_bytes());
        }
        self.file.seek(SeekFrom::Start(self.end))?;
        self.file.write_all(&bytes)?;
        self.end += bytes.len() as u64;
        self.positions.extend(positions);
        Ok(())
    }
}

fn record_len(dimensions: usize) -> usize {
    8 + 4 * dimensions + 4
}

fn checksum(bytes: &[u8]) -> u32 {
    let mut hash = Fingerprint::new();
    hash.bytes(bytes);
    let hash = hash.value();
    (hash ^ (hash >> 32)) as u32
}

/// Fills a buffer; false if the file ends before.
fn fills(reader: &mut impl Read, buffer: &mut [u8]) -> io::Result<bool> {
    match reader.read_exact(buffer) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    #[test]
    fn vectors_are_found_again_after_a_cut() {
        let folder = tempfile::tempdir().unwrap();
        let open = || VectorCache::open(folder.path(), "f").unwrap();
        let rows = array![[1.0, -2.5], [0.0, 3.0], [f32::MIN_POSITIVE, 9.0]];
        {
            let mut cache = open().unwrap();
            assert_eq!(cache.get(7).unwrap(), None);
            cache.insert(&[7, 8, 9], rows.view()).unwrap();
            assert!(open().is_none(), "another process is writing");
        }
        let path = folder.path().join("f.vectors");
        let whole = fs::read(&path).unwrap();
        fs::write(&path, &whole[..whole.len() - 3]).unwrap();
        let mut cache = open().unwrap();
        assert_eq!(cache.get(8).unwrap().unwrap(), [0.0, 3.0]);
        assert_eq!(cache.get(9).unwrap(), None);
        cache.insert(&[9], rows.slice(ndarray::s![2.., ..])).unwrap();
        drop(cache);
        assert_eq!(fs::read(&path).unwrap(), whole);

        let mut damaged = whole.clone();
        damaged[HEADER as usize + 9] ^= 1; // in the first vector
        fs::write(&path, damaged).unwrap();
        let mut cache = open().unwrap();
        assert_eq!(cache.get(7).unwrap(), None);
        cache.insert(&[1], array![[1.0, 2.0, 3.0]].view()).unwrap();
        assert_eq!(cache.get(1).unwrap().unwrap(), [1.0, 2.0, 3.0]);
    }
}
