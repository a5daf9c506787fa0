//! The command that continues one that was interrupted.

use std::fmt;
use std::path::Path;

use anyhow::Context;
use tercet_train::data::DataError;

use super::{Conflict, Filling};
use crate::exit::Interrupted;

/// `tercet gallery add` with all arguments of the command that it continues.
#[derive(Debug, Clone)]
pub(crate) struct Again {
    words: Vec<String>,
    skips_bad: bool,
}

impl Again {
    pub(crate) fn new(location: &str, filling: &Filling) -> Self {
        let start = ["tercet", "gallery", "add"].map(str::to_owned);
        let mut again = Self { words: start.into(), skips_bad: filling.skip_bad };
        // A password must not be shown: the user has to complete the address.
        again.words.push(tercet_gallery::shown(location));
        again.words.push(filling.source.clone());
        if let Some(labels) = &filling.labels {
            again.path("--labels", labels);
        }
        if let Some(label_from) = &filling.label_from {
            again.option("--label-from", label_from);
        }
        if !filling.prefix.is_empty() {
            again.option("--prefix", &filling.prefix);
        }
        if filling.thumbnails != super::THUMBNAILS {
            again.option("--thumbnails", filling.thumbnails);
        }
        if filling.threads != 0 {
            again.option("--threads", filling.threads);
        }
        again
    }

    pub(crate) fn option(&mut self, name: &str, value: impl fmt::Display) {
        self.words.extend([name.to_owned(), value.to_string()]);
    }

    pub(crate) fn path(&mut self, name: &str, path: &Path) {
        self.option(name, path.display());
    }

    pub(crate) fn flag(&mut self, name: &str) {
        self.words.push(name.to_owned());
    }

    /// Adds to an error in the middle of long work that the items added so far are saved, and how
    /// to continue.
    pub(crate) fn advise<T>(&self, done: anyhow::Result<T>) -> anyhow::Result<T> {
        let error = match done {
            Err(error) if !error.is::<Interrupted>() && !error.is::<Conflict>() => error,
            done => return done,
        };
        let is_bad = matches!(error.downcast_ref(), Some(DataError::BadItems { .. }));
        let again = Self { skips_bad: self.skips_bad || is_bad, ..self.clone() };
        let unless = match is_bad {
            true => " (without --skip-bad once the file is repaired)",
            false => "",
        };
        Err(error).with_context(|| {
            format!(
                "items that were added before are in the gallery; continue with `{again}`{unless}"
            )
        })
    }
}

impl fmt::Display for Again {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words: Vec<String> = self.words.iter().map(|word| quoted(word)).collect();
        write!(f, "{}", words.join(" "))?;
        if self.skips_bad { f.write_str(" --skip-bad") } else { Ok(()) }
    }
}

/// A word, quoted for a shell if necessary.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "/._-+:,=@%".contains(c);
    match !word.is_empty() && word.chars().all(plain) {
        true => word.to_owned(),
        false => format!("'{}'", word.replace('\'', r"'\''")),
    }
}

#[cfg(test)]
mod tests {
    use super::quoted;

    #[test]
    fn words_are_quoted_where_a_shell_would_take_them_apart() {
        assert_eq!(quoted("photos/a-1_b.npy"), "photos/a-1_b.npy");
        assert_eq!(quoted("my photos"), "'my photos'");
        assert_eq!(quoted("it's $1"), r"'it'\''s $1'");
        assert_eq!(quoted(""), "''");
    }
}
