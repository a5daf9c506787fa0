//! Limits how many pictures are decoded at once, by the memory that decoding takes.

use std::sync::Arc;
use std::thread;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::Limits;
use crate::refusal::Refusal;

/// Pixels of a picture from which it counts as large: 4 megapixels.
const LARGE: u64 = 4_000_000;

/// Pixels of small pictures that may be decoded at the same time.
const SMALL_PIXELS: u64 = 4 * LARGE;

/// Pixels per permit, so that the largest pictures fit into the count of a semaphore.
const UNIT: u64 = 1024;

/// Two queues, so that small pictures never wait behind large ones.
///
/// Each queue has a number of pixels that may be in memory at once, independent of the number of
/// cores. That number is, for large pictures, the size of the largest picture allowed: one such
/// picture, or several smaller ones, are decoded at a time. Large pictures use at most a quarter of
/// the places in the queue of the embedder.
#[derive(Debug)]
pub(crate) struct Decoders {
    small: Lane,
    large: Lane,
    /// Permits for the large pictures that wait or are being decoded.
    large_places: Arc<Semaphore>,
}

#[derive(Debug)]
struct Lane {
    units: u32,
    pixels: Arc<Semaphore>,
    threads: Arc<Semaphore>,
}

/// The right to decode one picture, returned when it is dropped.
#[derive(Debug)]
pub(crate) struct Turn {
    _permits: [OwnedSemaphorePermit; 2],
    _place: Option<OwnedSemaphorePermit>,
}

impl Decoders {
    pub(crate) fn new(limits: &Limits) -> Self {
        let cores = thread::available_parallelism().map_or(2, usize::from);
        Self {
            small: Lane::new(SMALL_PIXELS, cores),
            large: Lane::new(limits.pixels.max(LARGE), cores.div_ceil(2)),
            large_places: Arc::new(Semaphore::new((limits.queue / 4).max(1))),
        }
    }

    /// Waits until a picture of the given number of pixels may be decoded.
    pub(crate) async fn turn(&self, pixels: u64) -> Result<Turn, Refusal> {
        if pixels <= LARGE {
            return self.small.turn(pixels, None).await;
        }
        let place = self.large_places.clone().try_acquire_owned();
        let place = place.map_err(|_| Refusal::busy("too many large pictures are waiting"))?;
        self.large.turn(pixels, Some(place)).await
    }
}

impl Lane {
    fn new(pixels: u64, threads: usize) -> Self {
        let units = units(pixels);
        Self {
            units,
            pixels: Arc::new(Semaphore::new(units as usize)),
            threads: Arc::new(Semaphore::new(threads)),
        }
    }

    async fn turn(
        &self,
        pixels: u64,
        place: Option<OwnedSemaphorePermit>,
    ) -> Result<Turn, Refusal> {
        let units = units(pixels).min(self.units);
        let pixels = self.pixels.clone().acquire_many_owned(units);
        let pixels = pixels.await.map_err(Refusal::internal)?;
        let thread = self.threads.clone().acquire_owned().await.map_err(Refusal::internal)?;
        Ok(Turn { _permits: [pixels, thread], _place: place })
    }
}

fn units(pixels: u64) -> u32 {
    // The largest number of permits that a semaphore of tokio supports on every platform is larger
    // than this bound.
    u32::try_from(pixels.div_ceil(UNIT)).unwrap_or(u32::MAX).clamp(1, u32::MAX >> 3)
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    use super::*;

    #[test]
    fn large_pictures_wait_for_each_other_and_small_ones_do_not() {
        let limits = Limits { pixels: 50_000_000, queue: 8, ..Limits::default() };
        let decoders = Decoders::new(&limits);
        let mut context = Context::from_waker(Waker::noop());
        let mut first = pin!(decoders.turn(49_000_000));
        let Poll::Ready(Ok(first)) = first.as_mut().poll(&mut context) else {
            panic!("nobody is there")
        };
        let mut second = pin!(decoders.turn(49_000_000));
        assert!(second.as_mut().poll(&mut context).is_pending());
        let mut third = pin!(decoders.turn(5_000_000));
        let Poll::Ready(Err(full)) = third.as_mut().poll(&mut context) else {
            panic!("a quarter of 8 may wait")
        };
        assert!(format!("{full:?}").contains("large"));
        let mut small = pin!(decoders.turn(LARGE));
        assert!(small.as_mut().poll(&mut context).is_ready());
        drop(first);
        assert!(second.as_mut().poll(&mut context).is_ready());
    }
}
