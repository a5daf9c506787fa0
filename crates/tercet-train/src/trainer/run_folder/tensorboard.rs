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

use super::metric_lines::Line;
use crate::files::{At, FileError, write_atomically};

/// The version that the first record of an event file contains.
const VERSION: &str = "brain.Event:2";

/// The fields of TensorFlow's `event.proto` that scalars need.
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

/// The event file of a run, open for appending.
#[derive(Debug)]
pub(in crate::trainer) struct EventFile {
    path: PathBuf,
    file: File,
}

impl EventFile {
    /// Opens the event file in `folder` to continue. Events of steps for which `done` is false,
    /// which the run will do again, are removed.
    ///
    /// The file gets a new name, because a TensorBoard that is running remembers by name up to
    /// where it has read.
    pub(in crate::trainer) fn resume(
        folder: &Path,
        done: impl Fn(u64) -> bool,
    ) -> Result<Self, FileError> {
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

    pub(in crate::trainer) fn write(&mut self, line: &Line) -> Result<(), FileError> {
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

/// The records up to the first that is incomplete: a killed run may leave a part of one.
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trainer::run_folder::{JudgedLine, JudgedOn};

    fn line(step: u64) -> Line {
        let on = JudgedOn::Holdout;
        Line::Judged(JudgedLine { step, on, recall_at_1: 0.5, map_at_r: 0.25 })
    }

    fn content(folder: &Path) -> (PathBuf, Vec<Event>) {
        let [(_, path)] = &event_files(folder).unwrap()[..] else { panic!("not one file") };
        let bytes = fs::read(path).unwrap();
        let events = records(&bytes).map(|(_, event)| event).collect();
        (path.clone(), events)
    }

    /// Bytes as written by `tensorboard.summary.writer.record_writer.RecordWriter` (2.21) for the
    /// event `file_version: "brain.Event:2"` with the wall time 0.
    #[test]
    fn records_are_tensorboards() {
        let event = Event { file_version: Some(VERSION.to_owned()), ..Event::default() };
        let bytes = record(&event);
        assert_eq!(bytes[..8], 15_u64.to_le_bytes());
        assert_eq!(bytes[12..27], *b"\x1a\x0dbrain.Event:2");
        assert_eq!(bytes[8..12], [0x6d, 0x53, 0x2b, 0x09]);
        assert_eq!(bytes[27..], [0xfc, 0x98, 0x51, 0x29]);
    }

    #[test]
    fn going_on_leaves_no_step_twice_and_survives_a_torn_end() {
        let folder = tempfile::tempdir().unwrap();
        let mut file = EventFile::resume(folder.path(), |_| true).unwrap();
        for step in [10, 20, 30] {
            file.write(&line(step)).unwrap();
        }
        let (old, events) = content(folder.path());
        assert_eq!(events[0].file_version.as_deref(), Some(VERSION));
        let tags: Vec<_> = events[1].summary.iter().flat_map(|summary| &summary.value).collect();
        assert_eq!(tags[0].tag, "holdout/recall_at_1");
        assert_eq!((tags[1].tag.as_str(), tags[1].simple_value), ("holdout/map_at_r", Some(0.25)));

        // The process was killed while it wrote the last record.
        let bytes = fs::read(&old).unwrap();
        fs::write(&old, &bytes[..bytes.len() - 3]).unwrap();
        let mut file = EventFile::resume(folder.path(), |step| step <= 10).unwrap();
        file.write(&line(20)).unwrap();
        let (new, events) = content(folder.path());
        assert!(new > old, "{} after {}", new.display(), old.display());
        let steps: Vec<_> = events.iter().map(|event| event.step).collect();
        assert_eq!(steps, [0, 10, 20]);
    }
}
