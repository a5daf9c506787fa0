//! The write-ahead log: changes that were committed and are not yet copied into the catalogue's
//! file.
//!
//! SQLite reads a log up to its first frame with a wrong checksum and silently drops the rest. So a
//! damaged log is detected in two ways: here, by the checksums of the valid frames, and by the
//! [record of the last change](crate::folder::last_change), if changes that were acknowledged are
//! lost.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use super::Catalogue;
use crate::Error;
use crate::error::AtPath;

const HEADER: usize = 32;
const FRAME_HEADER: usize = 24;

/// How often a log is read before it is reported as damaged.
const ATTEMPTS: usize = 5;

/// Size in bytes beyond which a log is copied into the catalogue even though readers are active.
pub(in crate::folder) const LARGE: u64 = 1 << 20;

/// How a log is copied into the catalogue's file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::folder) enum Checkpoint {
    /// Copies as much as readers allow.
    Passive,
    /// Also empties the log's file, if no reader needs it.
    Truncate,
}

impl Catalogue {
    pub(super) fn log_path(&self) -> PathBuf {
        let mut path = self.path.clone().into_os_string();
        path.push("-wal");
        path.into()
    }

    pub(in crate::folder) fn log_bytes(&self) -> u64 {
        self.log_path().metadata().map_or(0, |file| file.len())
    }

    /// Copies the log; returns whether all of it was copied.
    pub(in crate::folder) fn checkpoint(&self, how: Checkpoint) -> Result<bool, Error> {
        let statement = match how {
            Checkpoint::Passive => "PRAGMA wal_checkpoint(PASSIVE)",
            Checkpoint::Truncate => "PRAGMA wal_checkpoint(TRUNCATE)",
        };
        // Do not wait for a lock here: callers wait themselves, between their attempts.
        self.sql.busy_timeout(Duration::ZERO).at(&self.path)?;
        let answer = self.sql.query_row(statement, [], |row| {
            Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?, row.get::<_, i64>(2)?))
        });
        self.sql.busy_timeout(super::PATIENCE).at(&self.path)?;
        match answer {
            Ok((busy, log, copied)) => Ok(busy == 0 && log == copied),
            Err(error)
                if error.sqlite_error_code() == Some(rusqlite::ErrorCode::DatabaseLocked) =>
            {
                Ok(false)
            }
            Err(error) => Err(error).at(&self.path),
        }
    }

    /// Compares every valid frame of the log with its checksum. Must not be called within a
    /// transaction.
    pub(in crate::folder) fn check_log(&self) -> Result<(), Error> {
        for attempt in 1.. {
            match self.check_log_once() {
                // A writer may have restarted the log while it was read.
                Err(_) if attempt < ATTEMPTS => std::thread::sleep(Duration::from_millis(20)),
                checked => return checked,
            }
        }
        Ok(())
    }

    fn check_log_once(&self) -> Result<(), Error> {
        let frames: i64 = self
            .sql
            .query_row("PRAGMA wal_checkpoint(NOOP)", [], |row| row.get(1))
            .at(&self.path)?;
        if frames <= 0 {
            return Ok(());
        }
        let path = self.log_path();
        let log = fs::read(&path).at(&path)?;
        let damaged = |what: String| Err(Error::damaged(&path, what));
        let Some(mut walk) = Frames::new(&log) else {
            return damaged("its header is not valid".to_owned());
        };
        for frame in 0..frames {
            if !walk.next_is_valid() {
                return damaged(format!("the checksum of frame {frame} does not match"));
            }
        }
        Ok(())
    }
}

/// The frames of a log, in order; see "WAL File Format" of SQLite.
struct Frames<'a> {
    rest: &'a [u8],
    page: usize,
    salts: &'a [u8],
    big_endian: bool,
    sums: (u32, u32),
}

impl<'a> Frames<'a> {
    fn new(log: &'a [u8]) -> Option<Self> {
        let (header, rest) = log.split_at_checked(HEADER)?;
        let number = |at: usize| header[at..at + 4].try_into().ok().map(u32::from_be_bytes);
        let big_endian = match number(0)? {
            0x377f_0682 => false,
            0x377f_0683 => true,
            _ => return None,
        };
        let page = number(8)? as usize;
        let sums = sums((0, 0), &header[..24], big_endian);
        let valid = sums == (number(24)?, number(28)?) && page.is_power_of_two() && page >= 512;
        valid.then_some(Self { rest, page, salts: &header[16..24], big_endian, sums })
    }

    fn next_is_valid(&mut self) -> bool {
        let Some((frame, rest)) = self.rest.split_at_checked(FRAME_HEADER + self.page) else {
            return false;
        };
        self.rest = rest;
        let (header, page) = frame.split_at(FRAME_HEADER);
        self.sums = sums(self.sums, &header[..8], self.big_endian);
        self.sums = sums(self.sums, page, self.big_endian);
        let written = [self.sums.0.to_be_bytes(), self.sums.1.to_be_bytes()].concat();
        header[8..16] == *self.salts && header[16..24] == written
    }
}

/// The cumulative checksum of the log, over pairs of 32-bit numbers.
fn sums((mut first, mut second): (u32, u32), bytes: &[u8], big_endian: bool) -> (u32, u32) {
    let (words, _) = bytes.as_chunks::<4>();
    let number = |&word: &[u8; 4]| match big_endian {
        true => u32::from_be_bytes(word),
        false => u32::from_le_bytes(word),
    };
    let (pairs, _) = words.as_chunks::<2>();
    for [one, other] in pairs {
        first = first.wrapping_add(number(one)).wrapping_add(second);
        second = second.wrapping_add(number(other)).wrapping_add(first);
    }
    (first, second)
}
