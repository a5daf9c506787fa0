//! Metrics as TensorBoard reads them: an event file of TFRecords, each a protocol buffer `Event`.
//!
//! A TFRecord is the length of its data (u64), the masked CRC-32C of these eight bytes (u32), the
//! data, and the masked CRC-32C of the data; numbers are little-endian. A mask of c is
//! (c rotated right by 15) + 0xa282ead8.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use prost::Message;

use super::monitor::Line;
use crate::files::{At, FileError, write_atomically};

/// What an event file starts with.
const VERSION: &str = "brain.Event:2";

/// The part of TensorFlow's `event.proto` that scalars need.
#[derive(Clone, PartialEq, Message)]
struct Event {
    /// Seconds since 1970.
    #[prost(double, tag = "1")]
    wall_time: f64,
    #[prost(int64, tag = "2")]
    step: i64,
    #[prost(string, optional, tag = "3")]
    file_version: Option<String>,
    #[prost(message, optional, tag = "5")]
    summary: Option<Summary>,
}

#[derive(Clone, PartialEq, Message)]
struct Summary {
    #[prost(message, repeated, tag = "1")]
    value: Vec<Scalar>,
}

#[derive(Clone, PartialEq, Message)]
struct Scalar {
    #[prost(string, tag = "1")]
    tag: String,
    #[prost(float, optional, tag = "2")]
    simple_value: Option<f32>,
}

/// The event file of a run, open for more.
#[derive(Debug)]
pub(super) struct EventFile {
    path: PathBuf,
    file: File,
}

impl EventFile {
    /// Opens the event file in `folder` to go on with the lines for which `done` is true: events of
    /// what the run will do again are dropped.
    ///
    /// The file gets a new name, since a TensorBoard that is looking on remembers by name how far
    /// it has read.
    pub(super) fn resume(folder: &Path, done: impl Fn(u64) -> bool) -> Result<Self, FileError> {
        let old = event_files(folder)?;
        let mut kept = record(&Event {
            wall_time: now(),
            file_version: Some(VERSION.to_owned()),
            ..Event::default()
        });
        let mut newest = 0;
        for (number, path) in &old {
            let bytes = fs::read(path).at("read", path)?;
            for (data, event) in records(&bytes) {
                if event.summary.is_some() && done(event.step as u64) {
                    kept.extend(data);
                }
            }
            newest = newest.max(*number);
        }
        let number = (now() as u64).max(newest + 1);
        let path = folder.join(format!("events.out.tfevents.{number}.tercet"));
        write_atomically(&path, &kept)?;
        for (_, path) in old {
            fs::remove_file(&path).at("remove", &path)?;
        }
        let file = OpenOptions::new().append(true).open(&path).at("write", &path)?;
        Ok(Self { path, file })
    }

    pub(super) fn write(&mut self, line: &Line) -> Result<(), FileError> {
        let scalars = line
            .scalars()
            .into_iter()
            .map(|(tag, value)| Scalar { tag: tag.to_owned(), simple_value: Some(value as f32) });
        let event = Event {
            wall_time: now(),
            step: line.step() as i64,
            summary: Some(Summary { value: scalars.collect() }),
            ..Event::default()
        };
        self.file.write_all(&record(&event)).at("write", &self.path)
    }
}

/// The event files of a folder with the numbers in their names, oldest first.
fn event_files(folder: &Path) -> Result<Vec<(u64, PathBuf)>, FileError> {
    if !folder.exists() {
        return Ok(Vec::new());
    }
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).at("read", folder)? {
        let entry = entry.at("read", folder)?;
        let name = entry.file_name();
        let number = name.to_str().and_then(|name| {
            name.strip_prefix("events.out.tfevents.")?.strip_suffix(".tercet")?.parse().ok()
        });
        found.extend(number.map(|number| (number, entry.path())));
    }
    found.sort();
    Ok(found)
}

fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}

fn masked(data: &[u8]) -> [u8; 4] {
    crc32c::crc32c(data).rotate_right(15).wrapping_add(0xa282_ead8).to_le_bytes()
}

fn record(event: &Event) -> Vec<u8> {
    let data = event.encode_to_vec();
    let length = (data.len() as u64).to_le_bytes();
    [&length[..], &masked(&length), &data, &masked(&data)].concat()
}

/// The records up to the first that is not whole: a killed run may leave a part of one.
fn records(mut bytes: &[u8]) -> impl Iterator<Item = (&[u8], Event)> {
    std::iter::from_fn(move || {
        let (length, rest) = bytes.split_first_chunk::<8>()?;
        let (sum, rest) = rest.split_first_chunk::<4>()?;
        let size = usize::try_from(u64::from_le_bytes(*length)).ok()?;
        let (data, rest) = rest.split_at_checked(size)?;
        let (data_sum, rest) = rest.split_first_chunk::<4>()?;
        if *sum != masked(length) || *data_sum != masked(data) {
            return None;
        }
        let event = Event::decode(data).ok()?;
        let whole = &bytes[..bytes.len() - rest.len()];
        bytes = rest;
        Some((whole, event))
    })
}
