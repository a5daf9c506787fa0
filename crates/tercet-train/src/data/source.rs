use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use super::{Catalogue, DataError, folder, glyphs};

/// Where data lies, written `kind` or `kind:PATH`, or as a bare path whose kind is recognised.
///
/// [`Display`](fmt::Display) always names the kind, and what it writes can be parsed again.
///
/// ```
/// use tercet_train::data::Source;
/// let source: Source = "folder:photos".parse()?;
/// assert_eq!(source, Source::Folder("photos".into()));
/// assert_eq!(source.to_string(), "folder:photos");
/// assert_eq!("quickstart".parse::<Source>()?, Source::Glyphs);
/// # Ok::<(), tercet_train::data::DataError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Source {
    /// The embedded glyphs: 500 Japanese characters in 21 typefaces.
    Glyphs,
    /// One folder per class, images in it at any depth.
    Folder(PathBuf),
}

/// One line of the table of kinds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kind {
    /// How a source of this kind is written.
    pub usage: &'static str,
    /// What lies there.
    pub what: &'static str,
}

impl Source {
    /// The kinds there are, in the order in which help and errors list them.
    pub const KINDS: &[Kind] = &[
        Kind {
            usage: "glyphs",
            what: "embedded: 500 Japanese characters in 21 typefaces (also `quickstart`)",
        },
        Kind { usage: "folder:DIR", what: "one folder per class, images in it at any depth" },
    ];

    /// Lists what is there, without decoding anything.
    ///
    /// # Errors
    /// A [`DataError`] that names the path if nothing can be read there, or nothing of this kind
    /// lies there.
    pub fn catalogue(&self) -> Result<Catalogue, DataError> {
        match self {
            Self::Glyphs => Ok(glyphs::catalogue(self.to_string())),
            Self::Folder(root) => folder::catalogue(self.to_string(), root),
        }
    }

    /// Side in pixels and channels of the images that an encoder gets from this source, if nothing
    /// else is asked for.
    pub fn default_input(&self) -> (u32, u32) {
        match self {
            Self::Glyphs => (28, 1),
            Self::Folder(_) => (64, 3),
        }
    }

    /// A source from the two sides of its colon; `None` if there is no such kind.
    fn of_kind(kind: &str, path: Option<&str>) -> Option<Result<Self, String>> {
        let embedded = |source| match path {
            None => Ok(source),
            Some(_) => Err(format!("`{kind}` is embedded and takes no path")),
        };
        let at_path = |source: fn(PathBuf) -> Self| match path {
            None | Some("") => Err(format!("expected `{kind}:` and a path")),
            Some(path) => Ok(source(PathBuf::from(path))),
        };
        match kind {
            "glyphs" | "quickstart" => Some(embedded(Self::Glyphs)),
            "folder" => Some(at_path(Self::Folder)),
            _ => None,
        }
    }

    /// Tells by what lies at a path which kind of source it is.
    fn recognise(path: &Path) -> Result<Self, DataError> {
        let unrecognised = |found| DataError::Unrecognised {
            path: path.display().to_string(),
            found,
            kinds: kinds(),
        };
        if !path.is_dir() {
            return Err(unrecognised("a file"));
        }
        let unreadable = |reason| DataError::Unreadable { path: path.to_owned(), reason };
        for entry in fs::read_dir(path).map_err(unreadable)? {
            let entry = entry.map_err(unreadable)?;
            if !folder::is_hidden(&entry.file_name()) && entry.path().is_dir() {
                return Ok(Self::Folder(path.to_owned()));
            }
        }
        Err(unrecognised("a folder without sub-folders"))
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Glyphs => f.write_str("glyphs"),
            Self::Folder(root) => write!(f, "folder:{}", root.display()),
        }
    }
}

impl FromStr for Source {
    type Err = DataError;

    /// Words that name a kind win over paths: write `./glyphs` for a folder of that name. An
    /// explicit path is looked at by [`Source::catalogue`] only.
    fn from_str(text: &str) -> Result<Self, DataError> {
        let (kind, path) = match text.split_once(':') {
            Some((kind, path)) => (kind, Some(path)),
            None => (text, None),
        };
        if let Some(source) = Self::of_kind(kind, path) {
            return source
                .map_err(|expected| DataError::Malformed { text: text.to_owned(), expected });
        }
        if !text.is_empty() && Path::new(text).exists() {
            return Self::recognise(Path::new(text));
        }
        let is_word = !kind.is_empty() && kind.chars().all(|c| c.is_ascii_alphanumeric());
        if path.is_some() && is_word {
            return Err(DataError::UnknownKind {
                text: text.to_owned(),
                kind: kind.to_owned(),
                kinds: kinds(),
            });
        }
        Err(DataError::MissingPath { text: text.to_owned(), kinds: kinds() })
    }
}

fn kinds() -> String {
    let usages: Vec<String> =
        Source::KINDS.iter().map(|kind| format!("`{}`", kind.usage)).collect();
    usages.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn explicit_kinds_are_written_back() {
        for text in ["glyphs", "folder:some/where", "folder:a:b"] {
            assert_eq!(text.parse::<Source>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn a_folder_of_folders_is_recognised() {
        let folder = tempfile::tempdir().unwrap();
        let text = folder.path().display().to_string();
        let message = text.parse::<Source>().unwrap_err().to_string();
        assert!(message.contains("without sub-folders"), "{message}");
        fs::create_dir(folder.path().join("class")).unwrap();
        let source: Source = text.parse().unwrap();
        assert_eq!(source.to_string(), format!("folder:{text}"));

        let file = folder.path().join("data.csv");
        fs::write(&file, "").unwrap();
        let message = file.display().to_string().parse::<Source>().unwrap_err().to_string();
        assert!(message.contains("data.csv") && message.contains("`folder:DIR`"), "{message}");
    }

    #[test]
    fn errors_say_what_is_accepted() {
        for (text, part) in [
            ("flower:x", "unknown kind of source `flower`"),
            ("no/such/path", "no such source or path `no/such/path`"),
            ("", "no such source or path"),
            ("folder", "expected `folder:` and a path"),
            ("folder:", "expected `folder:` and a path"),
            ("glyphs:x", "takes no path"),
        ] {
            let message = text.parse::<Source>().unwrap_err().to_string();
            assert!(message.contains(part), "{message}");
        }
        let message = "flower:x".parse::<Source>().unwrap_err().to_string();
        assert!(message.contains("`glyphs`, `folder:DIR`"), "{message}");
    }
}
