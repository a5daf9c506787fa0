//! Shortens the folders of this machine, which clients must not see.

use serde_json::Value;

/// Fields whose values are names of classes, and never paths.
const NAMES: &[&str] = &["held_out", "classes"];

/// Shortens every absolute path in a document to its last part: `folder:/home/ann/photos` becomes
/// `folder:photos`.
pub(crate) fn shorten_all(value: &mut Value) {
    match value {
        Value::String(text) => *text = shorten(text),
        Value::Array(values) => values.iter_mut().for_each(shorten_all),
        Value::Object(members) => {
            let others = members.iter_mut().filter(|(name, _)| !NAMES.contains(&&name[..]));
            others.for_each(|(_, value)| shorten_all(value));
        }
        _ => {}
    }
}

/// A text with each absolute path in it shortened to its last part.
fn shorten(text: &str) -> String {
    // A whole value may be one path, which may contain blanks: `features:/data/my vectors.npy`.
    let start = text.find(':').map_or(0, |colon| colon + 1);
    for start in [0, start] {
        let (kind, path) = text.split_at(start);
        if is_kind(kind) && is_absolute(path) {
            return format!("{kind}{}", last(path));
        }
    }
    // Otherwise a path is a word of a sentence, or of a command line.
    let words = text.split_inclusive(char::is_whitespace).map(|word| {
        let edge = |c: char| matches!(c, '=' | ':' | ',' | ';' | '(' | '[' | '"' | '\'' | '`');
        let starts = word.char_indices().filter(|&(_, c)| edge(c)).map(|(at, _)| at + 1);
        let found = std::iter::once(0).chain(starts).find(|&at| is_absolute(&word[at..]));
        let Some(at) = found else { return word.to_owned() };
        let end = word.trim_end().len();
        format!("{}{}{}", &word[..at], last(&word[at..end]), &word[end..])
    });
    words.collect()
}

fn is_kind(text: &str) -> bool {
    let word = text.strip_suffix(':').unwrap_or(text);
    // A single letter before a colon is a drive.
    word.is_empty() || word.len() > 1 && word.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
}

fn is_absolute(path: &str) -> bool {
    let bytes = path.as_bytes();
    let drive = matches!(bytes, [letter, b':', b'\\' | b'/', ..] if letter.is_ascii_alphabetic());
    let rooted = path.len() > 1 && !path.starts_with("//") && path.starts_with(['/', '~']);
    drive || path.starts_with("\\\\") || rooted && path.contains('/')
}

fn last(path: &str) -> &str {
    let path = path.trim_end_matches(['/', '\\']);
    path.rsplit(['/', '\\']).next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn absolute_paths_are_shortened_and_nothing_else() {
        for (text, expected) in [
            ("folder:/home/ann/my photos/cats", "folder:cats"),
            ("/srv/data/faces/", "faces"),
            ("C:\\Users\\Ann\\faces.npy", "faces.npy"),
            ("features:C:\\Users\\Ann\\faces.npy", "features:faces.npy"),
            ("\\\\server\\share\\faces", "faces"),
            ("~/photos/x", "x"),
            (
                "tercet train /home/ann/photos --out=/tmp/model.safetensors",
                "tercet train photos --out=model.safetensors",
            ),
            ("read \"/etc/hosts\" twice", "read \"hosts\" twice"),
            ("folder:photos", "folder:photos"),
            ("runs/photos-1", "runs/photos-1"),
            ("adam", "adam"),
            ("1/2 of all", "1/2 of all"),
            ("https://example.org/a", "https://example.org/a"),
            ("", ""),
            ("/", "/"),
        ] {
            assert_eq!(shorten(text), expected, "{text}");
        }
        let mut document = json!({
            "config": { "source": "folder:/a/b", "deep": ["/c/d", 1, null] },
            "held_out": ["/r/cats"],
        });
        shorten_all(&mut document);
        let expected = json!({
            "config": { "source": "folder:b", "deep": ["d", 1, null] },
            "held_out": ["/r/cats"],
        });
        assert_eq!(document, expected);
    }
}
