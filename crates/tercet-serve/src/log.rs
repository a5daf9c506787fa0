//! Messages for the operator of the server, on standard error.

use std::fmt::Display;
use std::io::{Write, stderr};
use std::sync::atomic::{AtomicU64, Ordering};

/// Writes a line to standard error. If that fails, the line is lost and the server continues.
pub(crate) fn detail(what: &str, detail: &dyn Display) {
    let _ = writeln!(stderr().lock(), "tercet serve: {what}: {}", printable(&detail.to_string()));
}

/// Writes an error with a number, and returns the number: the client gets only that.
pub(crate) fn numbered(error: &dyn Display) -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    detail(&format!("error {number}"), error);
    number
}

/// The text without control characters: text of clients must not control a terminal.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{FFFD}' } else { c }).collect()
}
