//! Files that are either whole or not there.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::printable::printable_path;

/// A file or folder that could not be read or written, by name.
#[derive(Debug, thiserror::Error)]
#[error("cannot {action} {path}: {source}", path = printable_path(path))]
pub struct FileError {
    /// What was tried: `read`, `write`, …
    pub action: &'static str,
    /// On which path.
    pub path: PathBuf,
    /// Why it failed.
    pub source: io::Error,
}

/// Names the path in an I/O error.
pub(crate) trait At<T> {
    fn at(self, action: &'static str, path: &Path) -> Result<T, FileError>;
}

impl<T> At<T> for io::Result<T> {
    fn at(self, action: &'static str, path: &Path) -> Result<T, FileError> {
        self.map_err(|source| FileError { action, path: path.to_owned(), source })
    }
}

/// Writes a file beside its place and moves it there once it is on disk, so that a reader (or a
/// run that is killed) sees the old content or the new, never a part. Makes the folder if needed.
///
/// # Errors
/// A folder or file that cannot be written, by name; nothing is left behind then.
pub fn write_atomically(path: &Path, content: &[u8]) -> Result<(), FileError> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.tmp", std::process::id()));
    let scratch = path.with_file_name(name);
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        fs::create_dir_all(folder).at("make the folder", folder)?;
    }
    let written = File::create(&scratch).and_then(|mut file| {
        file.write_all(content)?;
        file.sync_all()
    });
    if let Err(error) = written.and_then(|()| fs::rename(&scratch, path)) {
        // The scratch file is of no use to anyone; the first error is the one to tell.
        let _ = fs::remove_file(&scratch);
        return Err(error).at("write", path);
    }
    sync_folder(path);
    Ok(())
}

/// Makes a rename in the folder of `path` durable, where the file system can.
pub(crate) fn sync_folder(path: &Path) {
    if let Some(folder) = path.parent() {
        // Not all systems open folders; the rename itself is already atomic.
        let _ = File::open(folder).and_then(|folder| folder.sync_all());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replaces_whole_files_and_leaves_nothing_behind() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/model");
        write_atomically(&path, b"one").unwrap();
        write_atomically(&path, b"two").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two");
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
    }

    #[test]
    fn errors_name_the_path() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("taken")).unwrap();
        let error = write_atomically(&folder.path().join("taken"), b"x").unwrap_err();
        assert!(error.to_string().contains("taken"), "{error}");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
