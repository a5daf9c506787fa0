//! Opens the page in the user's browser.

use std::env::var_os;
use std::process::{Command, Stdio};
use std::thread;

/// The programs that open a page on each kind of desktop, each with the arguments before the
/// address.
#[cfg(windows)]
const LAUNCHERS: &[&[&str]] = &[&["rundll32", "url.dll,FileProtocolHandler"]];
#[cfg(target_os = "macos")]
const LAUNCHERS: &[&[&str]] = &[&["/usr/bin/open"]];
#[cfg(all(not(windows), not(target_os = "macos")))]
const LAUNCHERS: &[&[&str]] = &[&["xdg-open"], &["wslview"], &["gio", "open"], &["gnome-open"]];

/// Opens a page in the browser.
///
/// # Errors
/// There is no display, or no program that opens pages; the text has no full stop.
pub(super) fn open(page: &str) -> Result<(), String> {
    if is_headless() {
        return Err("there is no display here to open a browser on".to_owned());
    }
    for launcher in LAUNCHERS {
        let Some((program, arguments)) = launcher.split_first() else { continue };
        let started = Command::new(program)
            .args(arguments)
            .arg(page)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        if let Ok(mut started) = started {
            // Wait for the process, so that no zombie remains.
            thread::spawn(move || started.wait());
            return Ok(());
        }
    }
    let names: Vec<&str> = LAUNCHERS.iter().filter_map(|names| names.first().copied()).collect();
    Err(format!("there is no program here that opens a browser ({})", names.join(", ")))
}

/// Whether programs with windows cannot run. On other systems only the launcher can find out.
fn is_headless() -> bool {
    let needs_display = cfg!(all(unix, not(target_os = "macos")));
    let displays = ["DISPLAY", "WAYLAND_DISPLAY", "WSL_DISTRO_NAME"];
    let is_set = |name: &str| var_os(name).is_some_and(|value| !value.is_empty());
    needs_display && !displays.into_iter().any(is_set)
}
