//! The embedded glyphs: a class is a character, an item of it is a typeface.

use std::sync::OnceLock;

use image::{DynamicImage, GrayImage};
use tercet_data::GLYPHS;

use super::{Catalogue, Content, DataError, Item, decode_bytes};

/// A cell of an embedded sheet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Glyph {
    /// The typeface: an index into [`tercet_data::Glyphs::sheets`].
    typeface: usize,
    /// The character: the index of the cell.
    cell: u32,
}

/// Each sheet is decoded when the first of its cells is asked for.
static SHEETS: [OnceLock<Result<GrayImage, String>>; GLYPHS.sheets.len()] =
    [const { OnceLock::new() }; GLYPHS.sheets.len()];

impl Glyph {
    pub(crate) fn image(self) -> Result<DynamicImage, DataError> {
        let (slug, png) = GLYPHS.sheets[self.typeface];
        let sheet = SHEETS[self.typeface]
            .get_or_init(|| match decode_bytes(png, slug) {
                Ok(sheet) => Ok(sheet.into_luma8()),
                Err(error) => Err(error.to_string()),
            })
            .as_ref()
            .map_err(|reason| DataError::Undecodable {
                what: format!("the embedded sheet {slug}"),
                reason: reason.clone(),
            })?;
        let side = GLYPHS.cell;
        let left = self.cell % GLYPHS.columns * side;
        let top = self.cell / GLYPHS.columns * side;
        Ok(image::imageops::crop_imm(sheet, left, top, side, side).to_image().into())
    }
}

/// All characters in their order, and of each all typefaces that draw it, by slug.
pub(crate) fn catalogue(source: String) -> Catalogue {
    let missing: Vec<Vec<u32>> = GLYPHS
        .typefaces
        .lines()
        .skip(1)
        .map(|line| {
            let cells = line.rsplit(',').next().unwrap_or_default();
            cells.split(' ').flat_map(str::parse).collect()
        })
        .collect();
    let mut items = Vec::new();
    let mut classes = Vec::new();
    for (cell, character) in (0..).zip(GLYPHS.characters.lines()) {
        for (typeface, (slug, _)) in GLYPHS.sheets.iter().enumerate() {
            if missing.get(typeface).is_some_and(|cells| cells.contains(&cell)) {
                continue;
            }
            let content = Content::Glyph(Glyph { typeface, cell });
            items.push(Item::new(format!("{character}/{slug}"), content));
            classes.push(character);
        }
    }
    Catalogue::new(source, items, classes.into_iter().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_glyphs_are_there_in_class_order() {
        let all = catalogue("glyphs".to_owned());
        assert_eq!(all.len(), 10_500);
        assert_eq!(all.labels.class_count(), 500);
        assert!(all.labels.classes().is_sorted());
        assert!(all.labels.class_sizes().iter().all(|&size| size == 21));
        assert_eq!(all.items[0].id, "あ/aoyagi-soseki");
        assert_eq!(all.items[7].id, "あ/klee-one");
        assert_eq!(all.labels.name(0), "あ");
    }

    #[test]
    fn a_cell_is_ink_on_an_empty_border() {
        let all = catalogue("glyphs".to_owned());
        for item in [0, 7, 21 * 26 + 1, 10_499] {
            let cell = all.image(item).unwrap().into_luma8();
            assert_eq!(cell.dimensions(), (28, 28));
            assert!(cell.pixels().any(|pixel| pixel.0[0] == 255), "item {item}");
            assert_eq!(cell.get_pixel(0, 0).0[0], 0, "item {item}");
        }
    }
}
