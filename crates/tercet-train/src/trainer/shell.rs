//! Quoting of command-line words for a shell, so that the commands in messages work when they are
//! copied.

use std::ffi::OsStr;

/// One word of a command, in single quotes if it contains anything that a POSIX shell would
/// interpret.
///
/// ```
/// use tercet_train::shell::word;
/// assert_eq!(word("runs/photos-1"), "runs/photos-1");
/// assert_eq!(word("my photos"), "'my photos'");
/// assert_eq!(word("it's"), r"'it'\''s'");
/// ```
pub fn word(text: impl AsRef<OsStr>) -> String {
    let text = text.as_ref().to_string_lossy();
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-./:,=+@%".contains(&byte);
    match !text.is_empty() && text.bytes().all(is_plain) {
        true => text.into_owned(),
        false => format!("'{}'", text.replace('\'', r"'\''")),
    }
}

/// A command with its words.
///
/// ```
/// use tercet_train::shell::command;
/// assert_eq!(command(["tercet", "train", "my photos"]), "tercet train 'my photos'");
/// ```
pub fn command<W: AsRef<OsStr>>(words: impl IntoIterator<Item = W>) -> String {
    words.into_iter().map(word).collect::<Vec<_>>().join(" ")
}
