//! Reading files whose content has not been checked yet.
//!
//! Only regular files are read: a device has no end, and opening a pipe may block forever. Memory
//! for the content is requested before it is used, so that a file that is too large is an error.
//! Every reader recognises a Git LFS pointer, a few lines in place of a large file.

use std::fs::{self, File, FileType};
use std::io::{self, Read};
use std::path::Path;

/// First bytes of a Git LFS pointer.
const LFS: &[u8] = b"version https://git-lfs.github.com/spec/";

/// Files longer than this are not pointers, which have a few lines.
const LFS_LIMIT: usize = 1024;

/// The longest text file that is read: 1 GiB.
const TEXT_LIMIT: u64 = 1 << 30;

/// Opens a regular file and returns its length in bytes.
///
/// # Errors
/// The errors of the system; anything but a regular file, with its kind.
pub fn open(path: &Path) -> io::Result<(File, u64)> {
    // This is checked before opening, because opening a pipe waits for a writer.
    let metadata = fs::metadata(path)?;
    if !metadata.is_file() {
        let found = sort(metadata.file_type());
        return Err(io::Error::other(format!("it is {found}, expected a regular file")));
    }
    let file = File::open(path)?;
    let length = file.metadata()?.len();
    Ok((file, length))
}

/// Reads a whole regular file.
///
/// # Errors
/// The errors of [`open`]; a file that does not fit into memory; a Git LFS pointer, with the
/// remedy.
pub fn read(path: &Path) -> io::Result<Vec<u8>> {
    let (file, length) = open(path)?;
    read_opened(file, length)
}

/// Reads a whole file that [`open`] opened, from its current position.
///
/// # Errors
/// The errors of [`read`].
pub(crate) fn read_opened(mut file: File, length: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let too_large = || {
        let reason = format!("it has {length} bytes, more than this process has memory for");
        io::Error::new(io::ErrorKind::OutOfMemory, reason)
    };
    let capacity = usize::try_from(length).map_err(|_| too_large())?;
    bytes.try_reserve_exact(capacity).map_err(|_| too_large())?;
    // Virtual files of the system may be longer than they claim.
    file.by_ref().take(length.max(1 << 20)).read_to_end(&mut bytes)?;
    match lfs_pointer(&bytes) {
        Some(reason) => Err(io::Error::other(reason)),
        None => Ok(bytes),
    }
}

/// The first bytes of a file that [`open`] opened: `limit` of them, or all.
pub(crate) fn first_bytes(file: &mut File, limit: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.by_ref().take(limit).read_to_end(&mut bytes)?;
    match lfs_pointer(&bytes) {
        Some(reason) => Err(io::Error::other(reason)),
        None => Ok(bytes),
    }
}

/// Reads a text file in UTF-8. A byte order mark is not part of the text.
///
/// # Errors
/// The errors of [`read`]; text in UTF-16, or else the line that is not UTF-8.
pub fn read_text(path: &Path) -> io::Result<String> {
    let (file, length) = open(path)?;
    if length > TEXT_LIMIT {
        let reason = format!("it has {length} bytes, expected a text of at most {TEXT_LIMIT}");
        return Err(io::Error::other(reason));
    }
    let bytes = read_opened(file, length)?;
    text(&bytes).map(str::to_owned).map_err(io::Error::other)
}

/// The text in the content of a file, without a byte order mark. The error says what is wrong with
/// it.
pub(crate) fn text(bytes: &[u8]) -> Result<&str, String> {
    if let Some(reason) = utf_16(bytes) {
        return Err(reason);
    }
    let bytes = without_mark(bytes);
    std::str::from_utf8(bytes).map_err(|error| {
        let before = &bytes[..error.valid_up_to()];
        let line = before.iter().filter(|&&byte| byte == b'\n').count() + 1;
        let place = before.iter().rev().take_while(|&&byte| byte != b'\n').count() + 1;
        let byte = bytes.get(error.valid_up_to()).copied().unwrap_or_default();
        format!(
            "line {line} is no text in UTF-8 (its byte {place} is 0x{byte:02X}, as in Latin-1): save \
             the file as UTF-8, or convert it with `iconv -f LATIN1 -t UTF-8 IN > OUT`"
        )
    })
}

/// The bytes after a byte order mark of UTF-8, which spreadsheets and Windows write.
pub(crate) fn without_mark(bytes: &[u8]) -> &[u8] {
    bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes)
}

/// The error message for UTF-16, which is recognised by its byte order mark, or by the zero bytes
/// that it has in Latin text.
pub(crate) fn utf_16(bytes: &[u8]) -> Option<String> {
    let marked = bytes.starts_with(b"\xff\xfe") || bytes.starts_with(b"\xfe\xff");
    let start = &bytes[..bytes.len().min(64) & !1];
    let zeros = |first: usize| start.iter().skip(first).step_by(2).all(|&byte| byte == 0);
    let unmarked = start.len() >= 4 && (zeros(0) != zeros(1));
    (marked || unmarked).then(|| {
        "it is text in UTF-16 (Excel writes that as \"Unicode text\"): save it as UTF-8 \
         (\"CSV UTF-8\"), or convert it with `iconv -f UTF-16 -t UTF-8 IN > OUT`"
            .to_owned()
    })
}

/// The error message for a Git LFS pointer; none for other content.
pub(crate) fn lfs_pointer(bytes: &[u8]) -> Option<String> {
    if bytes.len() > LFS_LIMIT || !bytes.starts_with(LFS) {
        return None;
    }
    let text = String::from_utf8_lossy(bytes);
    let size = text.lines().find_map(|line| line.strip_prefix("size "));
    let size = size.map(|size| format!(" of {} bytes", size.trim())).unwrap_or_default();
    Some(format!(
        "it is a Git LFS pointer, not the file{size} that it stands for: run `git lfs pull` in its \
         repository"
    ))
}

fn sort(kind: FileType) -> &'static str {
    #[cfg(unix)]
    {
        use std::os::unix::fs::FileTypeExt;
        if kind.is_fifo() {
            return "a pipe (FIFO)";
        }
        if kind.is_socket() {
            return "a socket";
        }
        if kind.is_char_device() || kind.is_block_device() {
            return "a device";
        }
    }
    if kind.is_dir() { "a folder" } else { "no regular file" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_utf_8_with_or_without_its_mark() {
        assert_eq!(text("\u{feff}ä\n".as_bytes()), Ok("ä\n"));
        assert_eq!(text(b""), Ok(""));
        assert_eq!(text(b"a\0b\0"), Err(utf_16(b"a\0b\0").unwrap()));
        for bytes in [&b"\xff\xfea\0,\0"[..], b"\xfe\xff\0a\0,", b"p\0a\0t\0h\0,\0", b"\0p\0a\0t"] {
            let reason = text(bytes).unwrap_err();
            assert!(reason.contains("UTF-16") && reason.contains("iconv"), "{reason}");
        }
        let reason = text(b"a\nb\n\xe9t\xe9\n").unwrap_err();
        assert!(reason.contains("line 3"), "{reason}");
    }

    #[test]
    fn a_pointer_of_git_lfs_is_recognised_with_the_remedy() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("v.npy");
        let pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n";
        fs::write(&path, pointer).unwrap();
        for reason in [read(&path).unwrap_err(), read_text(&path).unwrap_err()] {
            let reason = reason.to_string();
            assert!(reason.contains("`git lfs pull`") && reason.contains("12345"), "{reason}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn only_regular_files_are_read() {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("socket");
        let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        for (path, found) in [
            (folder.path(), "a folder"),
            (Path::new("/dev/zero"), "a device"),
            (socket.as_path(), "a socket"),
        ] {
            let reason = read(path).unwrap_err().to_string();
            assert!(reason.contains(found) && reason.contains("regular file"), "{reason}");
        }
    }
}
