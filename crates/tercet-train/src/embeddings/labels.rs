//! Labels in a separate file: `.npy` of integers or texts, or text with one label per line.

use std::path::{Path, PathBuf};

use super::npy::Npy;
use super::{EmbeddingsError, unreadable};
use crate::files::At;
use crate::reading;

/// The file of labels beside a file of vectors: `NAME.labels.txt` or `NAME.labels.npy`.
pub fn labels_beside(vectors: &Path) -> Option<PathBuf> {
    let candidates = ["labels.txt", "labels.npy"].map(|ending| vectors.with_extension(ending));
    candidates.into_iter().find(|path| path.is_file())
}

pub(super) fn load(path: &Path) -> Result<Vec<String>, EmbeddingsError> {
    let bytes = reading::read(path).at("read the labels", path)?;
    let labels = match path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("npy")) {
        true => from_npy(&bytes),
        false => from_text(&bytes),
    };
    labels.map_err(|reason| unreadable(path, reason))
}

pub(super) fn from_npy(bytes: &[u8]) -> Result<Vec<String>, String> {
    let npy = Npy::parse(bytes)?;
    if npy.shape.len() != 1 {
        return Err(format!("its shape is {:?}, expected one label for each row", npy.shape));
    }
    npy.texts()
}

/// A line without its line end is a label. An empty line is refused, because it is probably a
/// mistake, and all rows without a label would be in one class.
pub(super) fn from_text(bytes: &[u8]) -> Result<Vec<String>, String> {
    let lines = reading::text(bytes)?.lines();
    let label = |(index, line): (usize, &str)| match line.trim_end_matches('\r') {
        line if line.trim().is_empty() => {
            Err(format!("line {} is empty, expected a label on each line", index + 1))
        }
        label => Ok(label.to_owned()),
    };
    lines.enumerate().map(label).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_a_label_as_it_stands() {
        let labels = from_text("\u{feff}ann\r\n bob, 2 \nあ".as_bytes()).unwrap();
        assert_eq!(labels, ["ann", " bob, 2 ", "あ"]);
        assert_eq!(from_text(b"").unwrap(), [""; 0]);
    }

    #[test]
    fn what_is_no_label_is_named() {
        for (bytes, expected) in [
            (&b"a\n\nb\n"[..], "line 2 is empty"),
            (b"a\nb\n \r\n", "line 3 is empty"),
            (b"a\n\xff\n", "UTF-8"),
        ] {
            let error = from_text(bytes).unwrap_err();
            assert!(error.contains(expected), "{error}");
        }
    }
}
