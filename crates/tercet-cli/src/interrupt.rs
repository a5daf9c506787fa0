//! Handles Ctrl-C, SIGTERM and a closed terminal: the first signal stops at a safe point, the
//! second immediately.

use std::ops::ControlFlow;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::bail;

use crate::exit::INTERRUPTED;

static STOP: AtomicBool = AtomicBool::new(false);

/// The result of installing the handler; empty before the first attempt.
static INSTALLED: OnceLock<Result<(), String>> = OnceLock::new();

/// Installs the handler and returns the flag that these signals set. May be called any number of
/// times.
pub(crate) fn watch() -> anyhow::Result<&'static AtomicBool> {
    match INSTALLED.get_or_init(install) {
        Ok(()) => Ok(&STOP),
        Err(error) => bail!("cannot listen for Ctrl-C: {error}"),
    }
}

fn install() -> Result<(), String> {
    let hangups = Hangups::before();
    ctrlc::set_handler(|| {
        if STOP.swap(true, Ordering::Relaxed) {
            std::process::exit(i32::from(INTERRUPTED));
        }
    })
    .map_err(|error| error.to_string())?;
    hangups.restore();
    Ok(())
}

/// The reaction to a closed terminal (SIGHUP). `nohup` makes a program ignore that signal, and
/// installing the handler for Ctrl-C must not change this.
struct Hangups {
    #[cfg(unix)]
    ignored: bool,
}

#[cfg(unix)]
impl Hangups {
    fn before() -> Self {
        Self { ignored: matches!(ignore(), Some(nix::sys::signal::SigHandler::SigIgn)) }
    }

    fn restore(self) {
        if self.ignored {
            ignore();
        }
    }
}

/// Makes the process ignore SIGHUP; returns the handler that it had before.
#[cfg(unix)]
fn ignore() -> Option<nix::sys::signal::SigHandler> {
    use nix::sys::signal::{SigHandler, Signal, signal};
    // SAFETY: ignoring a signal runs no code in a handler, and the caller installs one afterwards
    // unless the signal was ignored before.
    #[allow(unsafe_code)]
    unsafe {
        signal(Signal::SIGHUP, SigHandler::SigIgn).ok()
    }
}

#[cfg(not(unix))]
impl Hangups {
    fn before() -> Self {
        Self {}
    }

    fn restore(self) {}
}

/// Whether work that is done in pieces should continue.
pub(crate) fn asked() -> ControlFlow<()> {
    match STOP.load(Ordering::Relaxed) {
        true => ControlFlow::Break(()),
        false => ControlFlow::Continue(()),
    }
}
