//! Buffers that are reused from batch to batch.
//!
//! Every batch needs buffers of the same sizes, and the operating system needs as much time to
//! provide new pages as matrix products need to fill them. So the buffers of a batch return to a
//! pool of the process, which holds up to [`LIMIT`] values.

use std::ops::{Deref, DerefMut};
use std::sync::Mutex;

/// The largest number of values in the pool, 160 MiB: a little more than the largest batch that is
/// computed in memory needs.
const LIMIT: usize = 40 << 20;

/// Free buffers, the oldest first.
static POOL: Mutex<Vec<Vec<f32>>> = Mutex::new(Vec::new());

/// Bytes of a cache line. Buffers begin at one, because a vector that crosses two lines takes two
/// loads.
const LINE: usize = 64;

/// The largest number of unused values before the first cache line.
const SLACK: usize = LINE / size_of::<f32>();

/// Numbers that begin at a cache line, in memory that may come from the pool.
#[derive(Debug, Default)]
pub(crate) struct Buffer {
    values: Vec<f32>,
    from: usize,
    len: usize,
    pooled: bool,
}

impl Buffer {
    /// A buffer of `len` numbers of arbitrary value, whose memory returns to the pool.
    pub(crate) fn pooled(len: usize) -> Self {
        // If the pool is not available, fresh memory is used.
        let used = POOL.lock().ok().and_then(|mut pool| take(&mut pool, len + SLACK));
        let values = used.unwrap_or_else(|| vec![0.0; len + SLACK]);
        Self { from: first(&values), values, len, pooled: true }
    }

    /// A buffer of `len` zeros, for data that outlives a batch: its memory returns to the system.
    pub(crate) fn zeroed(len: usize) -> Self {
        let values = vec![0.0; len + SLACK];
        Self { from: first(&values), values, len, pooled: false }
    }

    /// The numbers without the pool, in the same memory, which does not return to the pool.
    pub(crate) fn into_vec(mut self) -> Vec<f32> {
        let mut values = std::mem::take(&mut self.values);
        values.drain(..self.from);
        values.truncate(self.len);
        self.pooled = false;
        values
    }
}

/// The index of the first value at the beginning of a cache line.
fn first(values: &[f32]) -> usize {
    // If the offset is unknown, any start is correct, only slower.
    values.as_ptr().align_offset(LINE).min(SLACK)
}

/// Takes the smallest buffer of the pool that is large enough.
fn take(pool: &mut Vec<Vec<f32>>, len: usize) -> Option<Vec<f32>> {
    let fitting = pool.iter().enumerate().filter(|(_, values)| values.len() >= len);
    let (at, _) = fitting.min_by_key(|(_, values)| values.len())?;
    Some(pool.remove(at))
}

fn give(pool: &mut Vec<Vec<f32>>, values: Vec<f32>) {
    pool.push(values);
    while pool.iter().map(Vec::len).sum::<usize>() > LIMIT {
        pool.remove(0);
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        if self.pooled
            && !self.values.is_empty()
            && let Ok(mut pool) = POOL.lock()
        {
            give(&mut pool, std::mem::take(&mut self.values));
        }
    }
}

impl Clone for Buffer {
    fn clone(&self) -> Self {
        let mut copy = if self.pooled { Self::pooled(self.len) } else { Self::zeroed(self.len) };
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
        let mut pool = Vec::new();
        for len in [8, 2, 4] {
            give(&mut pool, vec![0.0; len]);
        }
        assert_eq!(take(&mut pool, 3).map(|values| values.len()), Some(4));
        assert_eq!(take(&mut pool, 9), None);
        assert_eq!(take(&mut pool, 0).map(|values| values.len()), Some(2));
        give(&mut pool, vec![0.0; LIMIT]);
        assert_eq!(pool.len(), 1, "eight and the limit are more than the limit");
        give(&mut pool, vec![0.0; LIMIT + 1]);
        assert!(pool.is_empty());
    }

    #[test]
    fn a_buffer_is_as_long_as_asked_for() {
        drop(Buffer::pooled(100));
        let mut buffer = Buffer::pooled(7);
        buffer.fill(1.0);
        assert_eq!(buffer.clone()[..], [1.0; 7]);
        assert_eq!(Buffer::zeroed(3)[..], [0.0; 3]);
        assert_eq!(buffer.into_vec(), [1.0; 7]);
    }
}
