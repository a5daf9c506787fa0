//! Opens catalogues where nothing can be written: on read-only media, or in folders of other users.
//!
//! A reader of a write-ahead log writes too: its marks in the log's index. Where it cannot, and
//! there is no log, the catalogue is opened as a file that does not change. If there is a log,
//! catalogue and log are copied to the folder for temporary files; the copies are unlinked at once,
//! so that nothing of them remains when the process ends, however it ends.

use std::fs::{self, DirBuilder, Metadata};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use rusqlite::{ErrorCode, OpenFlags};

use super::{Catalogue, FILE};
use crate::Error;
use crate::error::AtPath;

/// How often a copy is started again because the files changed in the meantime.
const ATTEMPTS: usize = 5;

/// The identity of the files when they were read: while it is the same, so is their content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::folder) struct Stamp([Option<(u64, u64, i64, i64)>; 2]);

impl Stamp {
    pub(in crate::folder) fn of(folder: &Path) -> Self {
        let stamp = |file: Metadata| (file.ino(), file.len(), file.mtime(), file.mtime_nsec());
        Self([FILE.to_owned(), log_name()].map(|name| folder.join(name).metadata().ok().map(stamp)))
    }
}

/// Whether an error says that a file cannot be written that a reader writes.
pub(super) fn is_cause(error: &Error) -> bool {
    use ErrorCode::{CannotOpen, PermissionDenied, ReadOnly, SystemIoFailure};
    matches!(error, Error::Catalogue { source, .. } if matches!(
        source.sqlite_error_code(),
        Some(CannotOpen | PermissionDenied | ReadOnly | SystemIoFailure)
    ))
}

/// Opens a catalogue without writing next to it.
pub(super) fn open(folder: &Path) -> Result<Catalogue, Error> {
    let stamp = Stamp::of(folder);
    let log = folder.join(log_name());
    let mut catalogue = match log.metadata() {
        Ok(log) if log.len() > 0 => open_copy(folder)?,
        _ => {
            let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI;
            Catalogue::connect(&folder.join(FILE), &immutable(&folder.join(FILE)), flags)?
        }
    };
    catalogue.read_only = Some(stamp);
    catalogue.take_in(folder)?;
    Ok(catalogue)
}

fn log_name() -> String {
    format!("{FILE}-wal")
}

/// The path as a URI that tells SQLite that the file does not change.
fn immutable(path: &Path) -> PathBuf {
    let mut address = "file:".to_owned();
    for &byte in path.as_os_str().as_encoded_bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'.' | b'-' | b'_' => {
                address.push(char::from(byte));
            }
            _ => address += &format!("%{byte:02x}"),
        }
    }
    (address + "?immutable=1").into()
}

fn open_copy(folder: &Path) -> Result<Catalogue, Error> {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos());
    let mut attempt = 0;
    loop {
        let place =
            std::env::temp_dir().join(format!("tercet-{}-{since:x}-{attempt}", std::process::id()));
        DirBuilder::new().mode(0o700).create(&place).at(&place)?;
        let before = Stamp::of(folder);
        let opened = [FILE.to_owned(), log_name()]
            .iter()
            .try_for_each(|name| {
                let from = folder.join(name);
                fs::copy(&from, place.join(name)).map(|_| ()).at(&from)
            })
            .and_then(|()| {
                let path = place.join(FILE);
                // The copy of a file that cannot be written would be read-only too.
                for name in [FILE.to_owned(), log_name()] {
                    let copy = place.join(name);
                    let mut permissions = copy.metadata().at(&copy)?.permissions();
                    std::os::unix::fs::PermissionsExt::set_mode(&mut permissions, 0o600);
                    fs::set_permissions(&copy, permissions).at(&copy)?;
                }
                let flags = OpenFlags::SQLITE_OPEN_READ_WRITE;
                let catalogue = Catalogue::connect(&folder.join(FILE), &path, flags)?;
                // All its files are open once something was read.
                catalogue.check_format(folder)?;
                Ok(catalogue)
            });
        let removed = fs::remove_dir_all(&place).at(&place);
        attempt += 1;
        if Stamp::of(folder) != before && attempt < ATTEMPTS {
            continue;
        }
        removed?;
        return opened;
    }
}
