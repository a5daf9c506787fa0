//! A buffer for the rows of a segment, to which rows can be appended while other threads read the
//! earlier ones.
//!
//! Rows are read into memory, and the file is not mapped: where another program truncates a file or
//! copies over it, a mapping kills the process (SIGBUS) or changes while it is read. The cost is
//! that two processes that read one gallery hold two copies, and that opening takes longer: 1.4
//! instead of 0.6 s per GiB for reading and a checksum, where the file is in the system's cache.

use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use memmap2::{MmapMut, MmapRaw};

use crate::Error;
use crate::error::AtPath;

/// A buffer of fixed capacity; the first `filled` values are set and never change again.
#[derive(Debug)]
pub(super) struct Memory {
    /// Anonymous memory, of which the system allocates a page when it is first written.
    room: MmapRaw,
    filled: AtomicUsize,
    filling: Mutex<()>,
}

impl Memory {
    /// A buffer of the capacity `values`; an error names `path` if there is not enough memory.
    pub(super) fn new(values: usize, path: &Path) -> Result<Self, Error> {
        let room = MmapMut::map_anon((4 * values).max(1)).at(path)?.into();
        Ok(Self { room, filled: AtomicUsize::new(0), filling: Mutex::new(()) })
    }

    /// Calls `read` to write `count` values, as bytes, after the first `from`. Returns false, and
    /// reads nothing, if values are already filled after these, or if the capacity is too small.
    pub(super) fn extend(
        &self,
        from: usize,
        count: usize,
        read: impl FnOnce(&mut [u8]) -> Result<(), Error>,
    ) -> Result<bool, Error> {
        let _turn = self.filling.lock().unwrap_or_else(PoisonError::into_inner);
        let end = from.saturating_add(count);
        if self.filled.load(Ordering::Acquire) != from || end > self.room.len() / 4 {
            return Ok(false);
        }
        // SAFETY: the bytes are within the mapping, which is initialised (with zeros) and is valid
        // as long as `self`. Nothing else refers to them: slices that `values` has returned end at
        // or before `filled`, only `extend` borrows the part after it, and the lock admits one call
        // at a time.
        #[allow(unsafe_code)]
        let bytes = unsafe {
            std::slice::from_raw_parts_mut(self.room.as_mut_ptr().add(4 * from), 4 * count)
        };
        read(bytes)?;
        self.filled.store(end, Ordering::Release);
        Ok(true)
    }

    /// The first `count` values, or all that are filled if there are fewer.
    pub(super) fn values(&self, count: usize) -> &[f32] {
        let count = count.min(self.filled.load(Ordering::Acquire));
        // SAFETY: the values are within the mapping, which is valid as long as `self` and starts at
        // a page boundary, so that they are aligned; every bit pattern is a valid f32. The values
        // before `filled` were written before `filled` was set, and are never written again.
        #[allow(unsafe_code)]
        unsafe {
            std::slice::from_raw_parts(self.room.as_ptr().cast::<f32>(), count)
        }
    }
}

/// Fills a buffer from a reader in parts of at most `most` bytes, and calls a function with each
/// part.
pub(super) fn read_in_parts(
    bytes: &mut [u8],
    most: usize,
    mut read: impl FnMut(&mut [u8], u64) -> io::Result<()>,
    mut show: impl FnMut(&[u8]),
) -> io::Result<()> {
    let mut at = 0;
    for part in bytes.chunks_mut(most) {
        read(part, at)?;
        show(part);
        at += part.len() as u64;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_added_behind_those_that_are_lent() {
        let memory = Memory::new(4, Path::new("g")).unwrap();
        let fill = |from, values: &[f32]| {
            memory.extend(from, values.len(), |bytes| {
                bytes.copy_from_slice(bytemuck::cast_slice(values));
                Ok(())
            })
        };
        assert!(fill(0, &[1.0, 2.0]).unwrap());
        let lent = memory.values(2);
        assert!(fill(2, &[3.0]).unwrap());
        assert_eq!((lent, memory.values(9)), (&[1.0, 2.0][..], &[1.0, 2.0, 3.0][..]));
        // Another continuation of the same values, and one that exceeds the capacity.
        assert!(!fill(2, &[4.0]).unwrap());
        assert!(!fill(3, &[4.0, 5.0]).unwrap());
        // A failed read does not fill anything.
        assert!(memory.extend(3, 1, |_| Err(Error::damaged(Path::new("g"), "short"))).is_err());
        assert_eq!(memory.values(9).len(), 3);
    }
}
