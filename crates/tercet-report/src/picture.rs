//! Pictures inside the page as data URIs.

use base64::{Engine, engine::general_purpose::STANDARD};

/// A PNG ready for an `img` element.
#[derive(Debug, Clone)]
pub(crate) struct Inline {
    pub(crate) uri: String,
    /// Whether it is smaller than it is displayed, so that its pixels should stay sharp.
    pub(crate) small: bool,
}

const SIGNATURE: [u8; 8] = *b"\x89PNG\r\n\x1a\n";

/// Pictures up to this width and height are enlarged.
const SMALL: u32 = 96;

impl Inline {
    /// The picture in these bytes; `None` if they are not a PNG file.
    pub(crate) fn of(png: &[u8]) -> Option<Self> {
        if !png.starts_with(&SIGNATURE) {
            return None;
        }
        // The header chunk comes first: its length and name, then the width and the height.
        let width = number(png.get(16..20)?)?;
        let height = number(png.get(20..24)?)?;
        Some(Self { uri: data_uri(png)?, small: width.max(height) <= SMALL })
    }
}

/// A picture as a data URI; `None` unless its first bytes are those of a PNG, JPEG or WebP file.
pub(crate) fn data_uri(bytes: &[u8]) -> Option<String> {
    let kind = if bytes.starts_with(&SIGNATURE) {
        "png"
    } else if bytes.starts_with(&[0xff, 0xd8, 0xff]) {
        "jpeg"
    } else if bytes.starts_with(b"RIFF") && bytes.get(8..12) == Some(b"WEBP") {
        "webp"
    } else {
        return None;
    };
    Some(format!("data:image/{kind};base64,{}", STANDARD.encode(bytes)))
}

fn number(bytes: &[u8]) -> Option<u32> {
    bytes.try_into().ok().map(u32::from_be_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_png_is_shown() {
        assert!(Inline::of(b"").is_none());
        assert!(Inline::of(b"GIF89a").is_none());
        assert!(Inline::of(&SIGNATURE).is_none());
    }
}
