//! The lock of a run folder, so that only one process at a time uses it.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::path::Path;

use crate::files::{At, exists};
use crate::trainer::TrainError;

/// The name of the locked file.
pub(super) const NAME: &str = "run.lock";

/// The lock of a run folder. The operating system releases it when the process ends, in whatever
/// way, so a killed process never blocks its run.
#[derive(Debug)]
pub(super) struct RunLock {
    _file: File,
}

impl RunLock {
    /// Locks an existing folder.
    ///
    /// # Errors
    /// [`TrainError::RunInUse`], without waiting, if another process holds the lock; a lock file
    /// that cannot be made.
    pub(super) fn acquire(folder: &Path) -> Result<Self, TrainError> {
        let path = folder.join(NAME);
        loop {
            let mut options = OpenOptions::new();
            options.read(true).write(true).create(true).truncate(false);
            let mut file = options.open(&path).at("open the lock", &path)?;
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => {
                    let process = holder(&mut file);
                    return Err(TrainError::RunInUse { path: folder.to_owned(), process });
                }
                // The file system does not support locks: the run works without protection.
                Err(TryLockError::Error(error)) if error.kind() == io::ErrorKind::Unsupported => {}
                Err(TryLockError::Error(error)) => Err(error).at("lock", &path)?,
            }
            // A process that gave up the folder may have removed the file after it was opened here.
            if is_at(&file, &path) {
                // The number is only used in the message that another process prints.
                let _ = file
                    .set_len(0)
                    .and_then(|()| writeln!(file, "{}", std::process::id()))
                    .and_then(|()| file.flush());
                return Ok(Self { _file: file });
            }
        }
    }
}

/// The number of the process that holds the lock, if it can be read.
fn holder(file: &mut File) -> Option<u32> {
    let mut text = String::new();
    file.rewind().ok()?;
    file.take(20).read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

/// Whether `path` still refers to `file`.
#[cfg(unix)]
fn is_at(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let identity = |metadata: io::Result<std::fs::Metadata>| {
        metadata.map(|metadata| (metadata.dev(), metadata.ino())).ok()
    };
    identity(file.metadata()) == identity(path.metadata())
}

#[cfg(not(unix))]
fn is_at(_: &File, path: &Path) -> bool {
    path.exists()
}

/// Whether a running process holds the lock of a folder. The lock is tried only if the process
/// whose number is in the file exists, so that this check never prevents another process from
/// starting.
pub(super) fn is_held(folder: &Path) -> bool {
    let Ok(mut file) = File::open(folder.join(NAME)) else { return false };
    holder(&mut file).is_some_and(exists)
        && matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock))
}
