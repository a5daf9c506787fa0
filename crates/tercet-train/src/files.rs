//! Files that are written completely or not at all, and their errors.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use sysinfo::{Pid, ProcessRefreshKind, ProcessStatus, ProcessesToUpdate, System};

use crate::printable::printable_path;

/// A file or folder that could not be read or written, with its path.
#[derive(Debug, thiserror::Error)]
#[error("cannot {action} {path}: {source}", path = printable_path(path))]
pub struct FileError {
    /// What was attempted: `read`, `write`, …
    pub action: &'static str,
    /// The path.
    pub path: PathBuf,
    /// The error of the system.
    pub source: io::Error,
}

/// Adds the path to an I/O error.
pub(crate) trait At<T> {
    fn at(self, action: &'static str, path: &Path) -> Result<T, FileError>;
}

impl<T> At<T> for io::Result<T> {
    fn at(self, action: &'static str, path: &Path) -> Result<T, FileError> {
        self.map_err(|source| FileError { action, path: path.to_owned(), source })
    }
}

/// Writes a temporary file beside `path` and renames it once it is on disk, so that a reader sees
/// the old content or the new, never a part, even if this process is killed. Creates the folder if
/// needed.
///
/// # Errors
/// A folder or file that cannot be written, with its path; no temporary file is left then.
pub fn write_atomically(path: &Path, content: &[u8]) -> Result<(), FileError> {
    let scratch = temporary(path);
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        fs::create_dir_all(folder).at("make the folder", folder)?;
    }
    let written = File::create(&scratch).and_then(|mut file| {
        file.write_all(content)?;
        file.sync_all()
    });
    if let Err(error) = written.and_then(|()| fs::rename(&scratch, path)) {
        // The temporary file is useless then; if it cannot be removed either, the first error is
        // reported.
        let _ = fs::remove_file(&scratch);
        return Err(error).at("write", path);
    }
    sync_folder(path);
    Ok(())
}

/// The temporary file of [`write_atomically`] for `path`: `NAME.PID.tmp`.
fn temporary(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.tmp", std::process::id()));
    path.with_file_name(name)
}

/// Removes the temporary files that killed processes left when they wrote `path` with
/// [`write_atomically`]: files `NAME.PID.tmp` beside it, where no process PID exists. Call it
/// before this process writes `path` itself. A file that cannot be removed is left.
pub fn remove_leftovers(path: &Path) {
    let Some(name) = path.file_name().and_then(|name| name.to_str()) else { return };
    remove_dead(path, |entry| entry.strip_prefix(name)?.strip_prefix('.')?.strip_suffix(".tmp"));
}

/// The file that [`check_writable`] writes and removes again: `.tercet-PID.tmp`.
fn probe(folder: &Path) -> PathBuf {
    folder.join(format!(".tercet-{}.tmp", std::process::id()))
}

/// Checks that a file can be written at `path`: creates its folder if needed, writes an empty file
/// there and removes it. Also removes the temporary files of killed processes that wrote `path`.
///
/// # Errors
/// A folder that cannot be created or written to, with its path.
pub fn check_writable(path: &Path) -> Result<(), FileError> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    fs::create_dir_all(folder).at("make the folder", folder)?;
    remove_leftovers(path);
    remove_dead(path, |entry| entry.strip_prefix(".tercet-")?.strip_suffix(".tmp"));
    let probe = probe(folder);
    fs::write(&probe, b"").and_then(|()| fs::remove_file(&probe)).at("write to", folder)
}

/// Removes the files beside `path` whose names contain, according to `process`, the number of a
/// process that does not exist. The number of this process counts as one of those, because this
/// process has not written there yet.
fn remove_dead(path: &Path, process: impl Fn(&str) -> Option<&str>) {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let number = name.to_str().and_then(&process).and_then(|number| number.parse().ok());
        let is_dead = |number| number == std::process::id() || !exists(number);
        if number.is_some_and(is_dead) {
            let _ = fs::remove_file(entry.path()); // another process may have removed it already
        }
    }
}

/// Whether a process with this number exists on this machine.
pub(crate) fn exists(process: u32) -> bool {
    let process = Pid::from_u32(process);
    let mut system = System::new();
    let only = ProcessesToUpdate::Some(std::slice::from_ref(&process));
    system.refresh_processes_specifics(only, true, ProcessRefreshKind::nothing());
    // A zombie process has ended and writes nothing more.
    system.process(process).is_some_and(|process| process.status() != ProcessStatus::Zombie)
}

/// Makes a rename in the folder of `path` durable, if the file system supports it.
pub(crate) fn sync_folder(path: &Path) {
    if let Some(folder) = path.parent() {
        // Not all systems can open folders; the rename is atomic in any case.
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
    fn leftovers_of_dead_processes_are_removed_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let alive = child.id();
        // A number above the largest that Linux assigns to a process.
        let (dead, own) = (u32::MAX / 2, std::process::id());
        let removed = [
            format!("model.{dead}.tmp"),
            format!("model.{own}.tmp"),
            format!(".tercet-{dead}.tmp"),
        ];
        let kept = [
            format!("model.{alive}.tmp"),
            format!(".tercet-{alive}.tmp"),
            format!("other.{dead}.tmp"),
            format!("model.{dead}.tmp.txt"),
            "model.tmp".to_owned(),
            "model.old.tmp".to_owned(),
            "model".to_owned(),
        ];
        for name in removed.iter().chain(&kept) {
            fs::write(at(name), "").unwrap();
        }
        check_writable(&at("model")).unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(removed.iter().all(|name| !at(name).exists()));
        assert!(kept.iter().all(|name| at(name).exists()));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), kept.len());
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
