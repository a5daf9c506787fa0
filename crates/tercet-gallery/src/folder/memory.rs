//! Memory for the rows of a segment, to which rows can be added while others read those before them.
//!
//! Rows are read into memory and not mapped from their file: where another program truncates a file
//! or copies over it, a mapping kills the process (SIGBUS) or changes under the reader's hands. The
//! price is that two processes that read one gallery hold two copies, and that opening takes longer:
//! 1.4 instead of 0.6 s a GiB, where the file is in the system's cache, for reading and a checksum.

use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use memmap2::{MmapMut, MmapRaw};

use crate::Error;
use crate::error::AtPath;

/// Room for values, of which the first ones are filled and never change again.
#[derive(Debug)]
pub(super) struct Memory {
    /// Anonymous memory, which takes up nothing before it is written to.
    room: MmapRaw,
    filled: AtomicUsize,
    filling: Mutex<()>,
}

impl Memory {
    /// Room for so many values; `path` is named if there is no memory.
    pub(super) fn new(values: usize, path: &Path) -> Result<Self, Error> {
        let room = MmapMut::map_anon((4 * values).max(1)).at(path)?.into();
        Ok(Self { room, filled: AtomicUsize::new(0), filling: Mutex::new(()) })
    }

    /// Lets `read` write `count` values behind the first `from`, as bytes. Returns false, and reads
    /// nothing, if there is something behind them already, or no room.
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
        // SAFETY: the bytes are within the mapping, which is initialised (with zeros) and lives as
        // long as `self`. Nothing else refers to them: slices that were lent end at `filled` or
        // before, only `extend` lends what is behind it, and the lock lets one call at a time do so.
        #[allow(unsafe_code)]
        let bytes = unsafe {
            std::slice::from_raw_parts_mut(self.room.as_mut_ptr().add(4 * from), 4 * count)
        };
        read(bytes)?;
        self.filled.store(end, Ordering::Release);
        Ok(true)
    }

    /// The first `count` values, or those that are filled if there are fewer.
    pub(super) fn values(&self, count: usize) -> &[f32] {
        let count = count.min(self.filled.load(Ordering::Acquire));
        // SAFETY: the values are within the mapping, which lives as long as `self` and begins at a
        // page, so that they are aligned; any bits are an f32. What is before `filled` was written
        // before `filled` was, and is never written again.
        #[allow(unsafe_code)]
        unsafe {
            std::slice::from_raw_parts(self.room.as_ptr().cast::<f32>(), count)
        }
    }
}

/// Reads until a buffer is full, at most `most` bytes at once, and shows each part.
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
        // Another continuation, and more than there is room for.
        assert!(!fill(2, &[4.0]).unwrap());
        assert!(!fill(3, &[4.0, 5.0]).unwrap());
        // What was not read does not count.
        assert!(memory.extend(3, 1, |_| Err(Error::damaged(Path::new("g"), "short"))).is_err());
        assert_eq!(memory.values(9).len(), 3);
    }
}
