//! The sheets of the embedded data sets, and an item that is a cell of one.

use std::sync::OnceLock;

use image::DynamicImage;
use tercet_data::{EMOJI, GLYPHS, Sheets};

use super::{DataError, decode_bytes};

/// A cell of an embedded sheet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cell {
    set: Set,
    /// The index of the style's sheet.
    style: usize,
    /// The index of the cell in it.
    cell: u32,
}

/// An embedded data set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Set {
    Glyphs,
    Emoji,
}

/// A sheet, which is decoded when the first of its cells is needed.
type Decoded = OnceLock<Result<DynamicImage, String>>;

impl Set {
    pub(super) fn sheets(self) -> &'static Sheets {
        match self {
            Self::Glyphs => &GLYPHS,
            Self::Emoji => &EMOJI,
        }
    }

    fn decoded(self, style: usize) -> &'static Decoded {
        static GLYPH_SHEETS: [Decoded; 21] = [const { OnceLock::new() }; 21];
        static EMOJI_SHEETS: [Decoded; 6] = [const { OnceLock::new() }; 6];
        match self {
            Self::Glyphs => &GLYPH_SHEETS[style],
            Self::Emoji => &EMOJI_SHEETS[style],
        }
    }
}

impl Cell {
    pub(super) fn new(set: Set, style: usize, cell: u32) -> Self {
        Self { set, style, cell }
    }

    pub(crate) fn image(self) -> Result<DynamicImage, DataError> {
        let sheets = self.set.sheets();
        let (slug, png) = sheets.sheets[self.style];
        let sheet = self
            .set
            .decoded(self.style)
            .get_or_init(|| decode_bytes(png, slug).map_err(|error| error.to_string()))
            .as_ref()
            .map_err(|reason| DataError::Undecodable {
                what: format!("the embedded sheet {slug}"),
                reason: reason.clone(),
            })?;
        let side = sheets.cell;
        let left = self.cell % sheets.columns * side;
        let top = self.cell / sheets.columns * side;
        Ok(sheet.crop_imm(left, top, side, side))
    }
}
