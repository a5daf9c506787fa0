//! What remains on a terminal of 80 columns after Ctrl-C.
#![cfg(target_os = "linux")] // `script` of util-linux, which every Debian has, is the terminal
#![allow(clippy::unwrap_used)] // tests may panic

mod common;

use std::io::{Read, Write};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use common::{TINY, pictures};

/// The width of the terminal.
const COLUMNS: usize = 80;

/// The rows of a terminal that understands what progress bars write: line feeds, carriage returns,
/// moves of the cursor, and the removal of lines. A letter behind the last column is in the next row:
/// progress bars rely on it instead of line feeds.
fn screen(bytes: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(bytes);
    let mut rows: Vec<Vec<char>> = vec![Vec::new()];
    let (mut row, mut column) = (0_usize, 0_usize);
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '\n' => row += 1,
            '\r' => column = 0,
            '\u{1b}' => {
                if letters.next() != Some('[') {
                    continue;
                }
                let mut number = String::new();
                let command = loop {
                    match letters.next() {
                        Some(digit) if digit.is_ascii_digit() || "?;".contains(digit) => {
                            number.push(digit);
                        }
                        other => break other,
                    }
                };
                let count = number.parse().unwrap_or(1);
                match command {
                    Some('A') => row = row.saturating_sub(count),
                    Some('B') => row += count,
                    Some('C') => column += count,
                    Some('D') => column = column.saturating_sub(count),
                    Some('K') if number == "2" => rows[row].clear(),
                    Some('K') => rows[row].truncate(column),
                    Some('J') => {
                        rows[row].truncate(column);
                        rows.truncate(row + 1);
                    }
                    _ => {}
                }
            }
            letter => {
                if column == COLUMNS {
                    (row, column) = (row + 1, 0);
                    rows.resize(rows.len().max(row + 1), Vec::new());
                }
                let length = rows[row].len().max(column + 1);
                rows[row].resize(length, ' ');
                rows[row][column] = letter;
                column += 1;
            }
        }
        if row >= rows.len() {
            rows.resize(row + 1, Vec::new());
        }
    }
    rows.into_iter().map(|row| row.into_iter().collect::<String>().trim_end().to_owned()).collect()
}

#[test]
fn ctrl_c_leaves_no_live_line_behind() {
    let folder = tempfile::tempdir().unwrap();
    let photos = folder.path().join("photos");
    pictures(&photos);
    let arguments = ["train", photos.to_str().unwrap(), "--steps", "1000000"];
    let run = folder.path().join("run");
    let words = [&[env!("CARGO_BIN_EXE_tercet")], &arguments[..], &TINY[..]].concat();
    let words = [&words[..], &["--run", run.to_str().unwrap()]].concat();
    let command = format!("stty rows 24 cols {COLUMNS}; exec {}", words.join(" "));
    let mut child = Command::new("script")
        .args(["--quiet", "--return", "--command", &command, "/dev/null"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let (mut keyboard, mut terminal) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
    let (send, receive) = mpsc::channel();
    let reader = thread::spawn(move || {
        let mut buffer = [0; 4096];
        while let Ok(count) = terminal.read(&mut buffer) {
            if count == 0 || send.send(buffer[..count].to_vec()).is_err() {
                break;
            }
        }
    });
    let mut seen: Vec<u8> = Vec::new();
    let is_live = |seen: &[u8]| screen(seen).iter().any(|row| row.contains(" left"));
    while !is_live(&seen) {
        seen.extend(receive.recv_timeout(Duration::from_secs(120)).unwrap());
    }
    keyboard.write_all(b"\x03").unwrap();
    while let Ok(more) = receive.recv_timeout(Duration::from_secs(120)) {
        seen.extend(more);
    }
    let status = child.wait().unwrap();
    reader.join().unwrap();
    let rows = screen(&seen);
    let text = rows.join("\n");
    assert_eq!(status.code(), Some(130), "{text}");
    for live in [" left", "so far", "spread "] {
        assert!(!text.contains(live), "`{live}` remains:\n{text}");
    }
    assert!(rows.iter().all(|row| row.chars().count() <= COLUMNS), "{text}");
    assert!(text.contains("tercet train --resume"), "{text}");
}
