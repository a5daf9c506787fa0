//! Memory that is kept from one batch to the next.
//!
//! Every batch needs the same buffers, and the system takes as long to hand out fresh pages as
//! matrix products take to fill them. So what a batch gives back stays in the process, up to
//! [`LIMIT`] values.

use std::ops::{Deref, DerefMut};
use std::sync::Mutex;

/// 160 MiB: a little more than the largest batch takes whose matrices are held as a whole.
const LIMIT: usize = 40 << 20;

/// What was given back, the oldest first.
static ROOM: Mutex<Vec<Vec<f32>>> = Mutex::new(Vec::new());

/// Bytes between the places where a buffer may begin: a vector that crosses them takes two loads.
const LINE: usize = 64;

/// Values that may have to be left out before a buffer begins.
const SLACK: usize = LINE / size_of::<f32>();

/// Numbers in memory that may have served before, and will serve again. They begin with a cache line.
#[derive(Debug, Default)]
pub(crate) struct Buffer {
    values: Vec<f32>,
    from: usize,
    len: usize,
    kept: bool,
}

impl Buffer {
    /// So many numbers, of any value.
    pub(crate) fn kept(len: usize) -> Self {
        // Without the room, as if it were empty.
        let used = ROOM.lock().ok().and_then(|mut room| take(&mut room, len + SLACK));
        let values = used.unwrap_or_else(|| vec![0.0; len + SLACK]);
        Self { from: first(&values), values, len, kept: true }
    }

    /// So many zeros, for what lives longer than a batch: its memory goes back to the system.
    pub(crate) fn own(len: usize) -> Self {
        let values = vec![0.0; len + SLACK];
        Self { from: first(&values), values, len, kept: false }
    }

    /// The numbers alone, in the same memory, which is not given back.
    pub(crate) fn into_vec(mut self) -> Vec<f32> {
        let mut values = std::mem::take(&mut self.values);
        values.drain(..self.from);
        values.truncate(self.len);
        self.kept = false;
        values
    }
}

/// The first value at the beginning of a cache line.
fn first(values: &[f32]) -> usize {
    // Where an implementation does not tell, anywhere will do.
    values.as_ptr().align_offset(LINE).min(SLACK)
}

/// The smallest of those that are large enough.
fn take(room: &mut Vec<Vec<f32>>, len: usize) -> Option<Vec<f32>> {
    let fitting = room.iter().enumerate().filter(|(_, values)| values.len() >= len);
    let (at, _) = fitting.min_by_key(|(_, values)| values.len())?;
    Some(room.remove(at))
}

fn give(room: &mut Vec<Vec<f32>>, values: Vec<f32>) {
    room.push(values);
    while room.iter().map(Vec::len).sum::<usize>() > LIMIT {
        room.remove(0);
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        if self.kept
            && !self.values.is_empty()
            && let Ok(mut room) = ROOM.lock()
        {
            give(&mut room, std::mem::take(&mut self.values));
        }
    }
}

impl Clone for Buffer {
    fn clone(&self) -> Self {
        let mut copy = if self.kept { Self::kept(self.len) } else { Self::own(self.len) };
        copy.copy_from_slice(self);
        copy
    }
}

impl Deref for Buffer {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        &self.values[self.from..][..self.len]
    }
}

impl DerefMut for Buffer {
    fn deref_mut(&mut self) -> &mut [f32] {
        &mut self.values[self.from..][..self.len]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_smallest_that_fits_is_taken_and_the_oldest_leaves() {
        let mut room = Vec::new();
        for len in [8, 2, 4] {
            give(&mut room, vec![0.0; len]);
        }
        assert_eq!(take(&mut room, 3).map(|values| values.len()), Some(4));
        assert_eq!(take(&mut room, 9), None);
        assert_eq!(take(&mut room, 0).map(|values| values.len()), Some(2));
        give(&mut room, vec![0.0; LIMIT]);
        assert_eq!(room.len(), 1, "eight and the limit are more than the limit");
        give(&mut room, vec![0.0; LIMIT + 1]);
        assert!(room.is_empty());
    }

    #[test]
    fn a_buffer_is_as_long_as_asked_for() {
        drop(Buffer::kept(100));
        let mut buffer = Buffer::kept(7);
        buffer.fill(1.0);
        assert_eq!(buffer.clone()[..], [1.0; 7]);
        assert_eq!(Buffer::own(3)[..], [0.0; 3]);
        assert_eq!(buffer.into_vec(), [1.0; 7]);
    }
}
