//! SIGTERM, by which service managers and containers end a server.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Context;

/// Whether SIGTERM was sent. It stops the server as Ctrl-C does, but is no interruption: the status
/// is 0.
pub(super) struct Termination(Arc<AtomicBool>);

impl Termination {
    /// Notices SIGTERM from now on, beside the handler that is installed already and is called too.
    pub(super) fn watch() -> anyhow::Result<Self> {
        let asked = Arc::new(AtomicBool::new(false));
        #[cfg(unix)]
        signal_hook::flag::register(signal_hook::consts::SIGTERM, asked.clone())
            .context("cannot listen for SIGTERM")?;
        Ok(Self(asked))
    }

    pub(super) fn asked(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}
