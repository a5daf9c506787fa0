//! The data sets that are embedded in Tercet, so that it trains without a download.
//!
//! This crate holds bytes and nothing else; `tercet-train` decodes them. How each set was made, and
//! from what, stands in the `README.md` of its folder, its licences in `LICENSE.md` and `licences/`
//! beside it.

/// Japanese characters in different typefaces: a class is a character, an instance of it is a
/// typeface.
///
/// Each typeface has one sheet: a PNG of gray cells without gaps, ink 255 on background 0. Line `i`
/// of [`characters`](Self::characters), counted from 0, is the cell in row `i / columns`, column
/// `i % columns` of every sheet.
///
/// The sheets are pictures of glyphs, and each typeface stays under its own licence (OFL-1.1, MIT,
/// BSD-3-Clause, Apache-2.0, M+, or in the public domain): `glyphs/LICENSE.md` names them and their
/// makers, `glyphs/licences/` holds the texts.
#[derive(Debug)]
pub struct Glyphs {
    /// The characters in cell order, one a line.
    pub characters: &'static str,
    /// The index of the sheets, sorted by slug: CSV with a header line, columns `slug`, `name`,
    /// `package`, `version`, `licence`, `file` and `missing` (indices of the cells that hold no
    /// glyph, separated by spaces).
    pub typefaces: &'static str,
    /// The slug of each typeface and the PNG file of its sheet, sorted by slug.
    pub sheets: [(&'static str, &'static [u8]); 21],
    /// Side of a square cell, in pixels.
    pub cell: u32,
    /// Cells side by side in a row of a sheet.
    pub columns: u32,
    /// Rows of cells in a sheet.
    pub rows: u32,
}

macro_rules! sheet {
    ($slug:literal) => {
        ($slug, include_bytes!(concat!("../glyphs/sheets/", $slug, ".png")))
    };
}

/// The `glyphs` set: 500 characters in 21 typefaces, 28 x 28 pixels each.
pub static GLYPHS: Glyphs = Glyphs {
    characters: include_str!("../glyphs/characters.txt"),
    typefaces: include_str!("../glyphs/typefaces.csv"),
    sheets: [
        sheet!("aoyagi-soseki"),
        sheet!("biz-ud-gothic"),
        sheet!("biz-ud-mincho"),
        sheet!("dejima-mincho"),
        sheet!("dotgothic16"),
        sheet!("hanazono-mincho"),
        sheet!("kiloji"),
        sheet!("klee-one"),
        sheet!("konatu"),
        sheet!("kouzan-gyosho"),
        sheet!("motoya-cedar"),
        sheet!("rampart-one"),
        sheet!("reggae-one"),
        sheet!("rocknroll-one"),
        sheet!("sawarabi-mincho"),
        sheet!("seto"),
        sheet!("stick"),
        sheet!("train-one"),
        sheet!("vl-gothic"),
        sheet!("yozfont"),
        sheet!("yusei-magic"),
    ],
    cell: 28,
    columns: 25,
    rows: 20,
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sheets_are_those_of_the_index_and_of_the_folder() {
        let listed: Vec<&str> = GLYPHS.sheets.iter().map(|(slug, _)| *slug).collect();
        let index: Vec<&str> =
            GLYPHS.typefaces.lines().skip(1).map(|line| line.split(',').next().unwrap()).collect();
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/glyphs/sheets");
        let mut files: Vec<String> = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        files.sort();
        assert_eq!(listed, index);
        assert!(listed.is_sorted());
        let expected: Vec<String> = listed.iter().map(|slug| format!("{slug}.png")).collect();
        assert_eq!(files, expected);
    }

    #[test]
    fn the_sheets_have_a_cell_for_every_character() {
        assert_eq!(GLYPHS.characters.lines().count() as u32, GLYPHS.columns * GLYPHS.rows);
        for (slug, png) in GLYPHS.sheets {
            // Width and height stand big-endian at byte 16 of every PNG file.
            let side = |at: usize| u32::from_be_bytes(png[at..at + 4].try_into().unwrap());
            assert_eq!(side(16), GLYPHS.columns * GLYPHS.cell, "{slug}");
            assert_eq!(side(20), GLYPHS.rows * GLYPHS.cell, "{slug}");
        }
    }
}
