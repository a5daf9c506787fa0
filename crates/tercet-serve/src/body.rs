//! Reads the bodies of requests within limits of size and memory.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, header};
use http_body_util::BodyExt;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use crate::Limits;
use crate::refusal::Refusal;

/// How long the rest of a refused body is read, so that the client can read the reason.
const LINGER: Duration = Duration::from_secs(2);

/// The memory budget that all bodies share.
#[derive(Debug, Clone)]
pub(crate) struct Bodies {
    budget: Arc<Semaphore>,
    each: usize,
    within: Duration,
}

/// A whole body or a part of it, with its share of the memory budget.
#[derive(Debug, Clone)]
pub(crate) struct Upload {
    pub(crate) bytes: Bytes,
    share: Arc<Option<OwnedSemaphorePermit>>,
}

impl Upload {
    /// A part of this upload, which shares its memory budget.
    pub(crate) fn part(&self, bytes: Bytes) -> Self {
        Self { bytes, share: self.share.clone() }
    }
}

impl Bodies {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self {
            budget: Arc::new(Semaphore::new(limits.bodies.min(Semaphore::MAX_PERMITS))),
            each: limits.body,
            within: limits.upload,
        }
    }

    /// Reads a body to its end. Memory is reserved as bytes arrive, so that a client that announces
    /// much and sends little does not block others.
    pub(crate) async fn read(
        &self,
        headers: &HeaderMap,
        mut body: Body,
    ) -> Result<Upload, Refusal> {
        let claimed = headers
            .get(header::CONTENT_LENGTH)
            .and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
        let read = match claimed {
            Some(claimed) if claimed > self.each as u64 => Err(self.too_large()),
            _ => timeout(self.within, self.collect(&mut body)).await.unwrap_or_else(|_| {
                Err(Refusal::too_slow(format!(
                    "the body did not arrive within {} s",
                    self.within.as_secs()
                )))
            }),
        };
        if read.is_err() {
            // Without this, a client that is still sending might find the connection closed before
            // it reads the answer.
            let rest = self.each as u64;
            let _ = timeout(LINGER, discard(&mut body, rest)).await;
        }
        read
    }

    async fn collect(&self, body: &mut Body) -> Result<Upload, Refusal> {
        let mut bytes = Vec::new();
        let mut share: Option<OwnedSemaphorePermit> = None;
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|_| Refusal::malformed("the body broke off"))?;
            let Ok(data) = frame.into_data() else { continue };
            if data.is_empty() {
                continue;
            }
            if bytes.len() + data.len() > self.each {
                return Err(self.too_large());
            }
            let more = u32::try_from(data.len()).map_err(|_| self.too_large())?;
            let more = self.budget.clone().try_acquire_many_owned(more);
            let more = more.map_err(|_| Refusal::busy("too much is being uploaded"))?;
            match &mut share {
                Some(share) => share.merge(more),
                None => share = Some(more),
            }
            bytes.extend_from_slice(&data);
        }
        Ok(Upload { bytes: bytes.into(), share: Arc::new(share) })
    }

    fn too_large(&self) -> Refusal {
        Refusal::too_large(format!("the body is larger than the {} bytes allowed", self.each))
    }
}

/// Reads up to `most` further bytes and ignores them.
async fn discard(body: &mut Body, mut most: u64) {
    while let Some(Ok(frame)) = body.frame().await {
        let length = frame.data_ref().map_or(0, |data| data.len() as u64);
        most = most.saturating_sub(length);
        if most == 0 {
            return;
        }
    }
}
