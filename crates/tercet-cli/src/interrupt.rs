//! Ctrl-C: the first stops at a safe point, the second at once.

use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Context;

/// Exit status of an interrupted command.
pub(crate) const EXIT: u8 = 130;

static STOP: AtomicBool = AtomicBool::new(false);

/// The command was interrupted; the message says how to go on.
#[derive(Debug)]
pub(crate) struct Interrupted(pub(crate) String);

impl std::fmt::Display for Interrupted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Interrupted {}

/// From now on Ctrl-C sets the flag that is returned.
pub(crate) fn watch() -> anyhow::Result<&'static AtomicBool> {
    ctrlc::set_handler(|| {
        if STOP.swap(true, Ordering::Relaxed) {
            std::process::exit(i32::from(EXIT));
        }
    })
    .context("cannot listen for Ctrl-C")?;
    Ok(&STOP)
}
