//! Names of files and classes in a form that is safe on a terminal.
//!
//! A name can contain any character, also one that moves the cursor, changes the window's title or
//! reverses the direction of the line. In text for people such characters are escaped as in Rust
//! (`\u{1b}`, `\n`); JSON and files contain the exact names.

use std::borrow::Cow;
use std::ffi::OsStr;
use std::fmt::Write;
use std::path::Path;

/// A name with control characters, line breaks and changes of direction escaped.
///
/// ```
/// use tercet_train::printable::printable;
/// assert_eq!(printable("Zoë 2"), "Zoë 2");
/// assert_eq!(printable("red\u{1b}[31m\n"), r"red\u{1b}[31m\n");
/// ```
pub fn printable(name: &str) -> Cow<'_, str> {
    escaped(name, |_| false)
}

/// Like [`printable`], for text of several lines: line breaks and tabs are not escaped.
pub fn printable_text(text: &str) -> Cow<'_, str> {
    escaped(text, |character| matches!(character, '\n' | '\t'))
}

/// A path like [`printable`]; bytes that are not UTF-8 are written as by [`exact_name`].
pub fn printable_path(path: &Path) -> String {
    printable(&exact_name(path.as_os_str())).into_owned()
}

/// The name of a file as text, with a different text for every name: bytes that are not UTF-8 are
/// written `\xNN`, and if a name contains four such characters itself, their `\` is written `\x5C`.
pub fn exact_name(name: &OsStr) -> String {
    let mut text = String::new();
    for chunk in name.as_encoded_bytes().utf8_chunks() {
        let mut rest = chunk.valid();
        while let Some(place) = rest.find(r"\x") {
            let (before, behind) = rest.split_at(place);
            text += before;
            let is_escape = behind.len() >= 4
                && behind.as_bytes()[2..4].iter().all(|digit| digit.is_ascii_hexdigit());
            text += if is_escape { r"\x5Cx" } else { r"\x" };
            rest = &behind[2..];
        }
        text += rest;
        for byte in chunk.invalid() {
            // Writing to a string cannot fail.
            let _ = write!(text, "\\x{byte:02X}");
        }
    }
    text
}

fn escaped(text: &str, stays: impl Fn(char) -> bool) -> Cow<'_, str> {
    let is_unsafe = |character: char| is_active(character) && !stays(character);
    if !text.contains(is_unsafe) {
        return Cow::Borrowed(text);
    }
    let mut safe = String::with_capacity(text.len() + 8);
    for character in text.chars() {
        match is_unsafe(character) {
            true => safe.extend(character.escape_default()),
            false => safe.push(character),
        }
    }
    Cow::Owned(safe)
}

/// Whether a terminal would act on a character instead of displaying it. Zero-width joiners are not
/// among these: they are part of emoji and of scripts.
fn is_active(character: char) -> bool {
    character.is_control()
        || matches!(character,
            '\u{061C}' | '\u{200E}' | '\u{200F}' // direction marks
            | '\u{2028}' | '\u{2029}' // line and paragraph separators
            | '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}' // embeddings, overrides, isolates
            | '\u{FEFF}' | '\u{E0000}'..='\u{E007F}') // byte order mark and invisible tags
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_acts_on_is_escaped_and_all_else_stays() {
        for name in ["Anna", "あ", "👩\u{200d}🔬", "a\\b", "naïve \u{301}"] {
            assert_eq!(printable(name), name);
        }
        assert_eq!(printable("a\u{1b}]0;x\u{7}\r\n\t"), r"a\u{1b}]0;x\u{7}\r\n\t");
        assert_eq!(printable("exe\u{202e}gpj\u{9b}"), r"exe\u{202e}gpj\u{9b}");
        assert_eq!(printable_text("a\n\tb\u{1b}[2J"), "a\n\tb\\u{1b}[2J");
    }

    #[cfg(unix)]
    #[test]
    fn every_name_has_a_text_of_its_own() {
        use std::os::unix::ffi::OsStrExt;
        let text = |bytes: &[u8]| exact_name(OsStr::from_bytes(bytes));
        assert_eq!(text("ärger \\x".as_bytes()), "ärger \\x");
        assert_eq!(text(b"caf\xe9"), r"caf\xE9");
        assert_eq!(text(b"caf\\xE9"), r"caf\x5CxE9");
        assert_eq!(text(b"\xd6\xd0\xce\xc4"), r"\xD6\xD0\xCE\xC4");
        assert_ne!(text(b"\xb9"), text(b"\xba"));
        assert_eq!(text(br"\\xE9"), r"\\x5CxE9");
    }
}
