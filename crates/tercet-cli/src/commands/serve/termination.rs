//! SIGTERM, with which service managers and containers stop a server.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Context;

/// Records whether SIGTERM was received. It stops the server as Ctrl-C does, but is not an
/// interruption: the status is 0.
pub(super) struct Termination(Arc<AtomicBool>);

impl Termination {
    /// Registers a handler of SIGTERM in addition to the one that is installed already; both are
    /// called.
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
