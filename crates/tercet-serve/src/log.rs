//! What concerns whoever runs the server and nobody else.

use std::fmt::Display;
use std::io::{Write, stderr};
use std::sync::atomic::{AtomicU64, Ordering};

/// Writes a line to standard error. One that cannot be written is lost: the server goes on.
pub(crate) fn detail(what: &str, detail: &dyn Display) {
    let _ = writeln!(stderr().lock(), "tercet serve: {what}: {}", printable(&detail.to_string()));
}

/// Writes an error that a client is told by its number only; returns the number.
pub(crate) fn numbered(error: &dyn Display) -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    detail(&format!("error {number}"), error);
    number
}

/// Text of others must not control a terminal.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{FFFD}' } else { c }).collect()
}
