//! The size of images as a setting.

use std::fmt;
use std::str::FromStr;

use tercet::ParameterError;

use super::text::as_text;

/// Height and width of images in pixels, written `128x64` (H×W, as tensors have it), or `64` for a
/// square.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ImageSize {
    /// Rows of pixels.
    pub height: u32,
    /// Columns of pixels.
    pub width: u32,
}

impl fmt::Display for ImageSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.height == self.width {
            true => self.height.fmt(f),
            false => write!(f, "{}x{}", self.height, self.width),
        }
    }
}

impl FromStr for ImageSize {
    type Err = ParameterError;

    fn from_str(text: &str) -> Result<Self, ParameterError> {
        let (height, width) = text.split_once(['x', 'X', '×']).unwrap_or((text, text));
        let side = |text: &str| text.trim().parse().ok().filter(|side| (2..=1024).contains(side));
        match (side(height), side(width)) {
            (Some(height), Some(width)) => Ok(Self { height, width }),
            _ => Err(ParameterError {
                parameter: "size",
                got: format!("`{text}`"),
                expected: "HEIGHTxWIDTH such as 128x64, or one side of a square: 2 to 1024 pixels"
                    .to_owned(),
            }),
        }
    }
}

as_text!(ImageSize);
