//! The data sets that are embedded in Tercet, so that it trains without a download.
//!
//! This crate contains only bytes; `tercet-train` decodes them. The `README.md` in the folder of
//! each set describes how it was made, and from what; `LICENSE.md` and `licences/` next to it
//! contain its licences.

/// Pictures of the same things in several styles: a class is a thing, and its instances are the
/// styles.
///
/// Each style has one sheet: a PNG of square cells without gaps. Cell `i`, counted from 0, is in
/// row `i / columns`, column `i % columns` of every sheet.
#[derive(Debug)]
pub struct Sheets {
    /// One line per cell, in their order: either the class, or a code without blanks, a blank, and
    /// the class.
    pub cells: &'static str,
    /// The index of the sheets, sorted by slug: CSV with a header line. The first column is the
    /// `slug`, the last is `missing`: the indices of the cells without a picture, separated by
    /// blanks.
    pub index: &'static str,
    /// The slug of each style and the PNG file of its sheet, sorted by slug.
    pub sheets: &'static [(&'static str, &'static [u8])],
    /// Side of a cell, in pixels.
    pub cell: u32,
    /// Number of cells in a row.
    pub columns: u32,
}

impl Sheets {
    /// The class of each cell.
    pub fn classes(&self) -> impl Iterator<Item = &'static str> {
        self.cells.lines().map(|line| line.split_once(' ').map_or(line, |(_, class)| class))
    }

    /// The cells that a style leaves empty, in ascending order; `style` is an index into
    /// [`sheets`](Self::sheets).
    pub fn missing(&self, style: usize) -> impl Iterator<Item = u32> {
        let line = self.index.lines().nth(style + 1).and_then(|line| line.rsplit_once(','));
        line.map_or("", |(_, cells)| cells).split(' ').flat_map(str::parse)
    }
}

macro_rules! sheets {
    ($set:literal: $($slug:literal)*) => {
        &[$(($slug, include_bytes!(concat!("../", $set, "/sheets/", $slug, ".png")))),*]
    };
}

/// The `glyphs` set: 500 Japanese characters in 21 typefaces, 28 x 28 gray pixels each, ink 255 on
/// background 0.
///
/// The sheets are pictures of glyphs, and each typeface remains under its own licence (OFL-1.1,
/// MIT, BSD-3-Clause, Apache-2.0, M+, or in the public domain): `glyphs/LICENSE.md` lists them and
/// their makers, `glyphs/licences/` contains the texts.
pub static GLYPHS: Sheets = Sheets {
    cells: include_str!("../glyphs/characters.txt"),
    index: include_str!("../glyphs/typefaces.csv"),
    sheets: sheets!("glyphs":
        "aoyagi-soseki" "biz-ud-gothic" "biz-ud-mincho" "dejima-mincho" "dotgothic16"
        "hanazono-mincho" "kiloji" "klee-one" "konatu" "kouzan-gyosho" "motoya-cedar"
        "rampart-one" "reggae-one" "rocknroll-one" "sawarabi-mincho" "seto" "stick" "train-one"
        "vl-gothic" "yozfont" "yusei-magic"),
    cell: 28,
    columns: 25,
};

/// The `emoji` set: the same emoji as six vendors draw it, 32 x 32 pixels in colour on white.
///
/// Each style remains under its own licence (Apache-2.0, CC-BY-4.0, MIT): `emoji/LICENSE.md` lists
/// them and their makers, `emoji/licences/` contains the texts.
pub static EMOJI: Sheets = Sheets {
    cells: include_str!("../emoji/emoji.txt"),
    index: include_str!("../emoji/styles.csv"),
    sheets: sheets!("emoji": "emojione" "fluent-emoji-flat" "fxemoji" "noto" "noto-v1" "twemoji"),
    cell: 32,
    columns: 40,
};

/// The example of the README is compiled as a test.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

#[cfg(test)]
mod tests {
    use super::*;

    const SETS: [(&str, &Sheets); 2] = [("glyphs", &GLYPHS), ("emoji", &EMOJI)];

    #[test]
    fn the_sheets_are_those_of_the_index_and_of_the_folder() {
        for (name, set) in SETS {
            let listed: Vec<&str> = set.sheets.iter().map(|(slug, _)| *slug).collect();
            let index: Vec<&str> =
                set.index.lines().skip(1).map(|line| line.split(',').next().unwrap()).collect();
            let folder = format!("{}/{name}/sheets", env!("CARGO_MANIFEST_DIR"));
            let mut files: Vec<String> = std::fs::read_dir(folder)
                .unwrap()
                .map(|entry| entry.unwrap().file_name().into_string().unwrap())
                .collect();
            files.sort();
            assert_eq!(listed, index);
            assert!(listed.is_sorted());
            let mut expected: Vec<String> =
                listed.iter().map(|slug| format!("{slug}.png")).collect();
            expected.sort();
            assert_eq!(files, expected);
        }
    }

    #[test]
    fn the_sheets_have_a_cell_for_every_class() {
        for (_, set) in SETS {
            let cells = set.classes().count() as u32;
            for (style, (slug, png)) in set.sheets.iter().enumerate() {
                // A PNG file has its width and height, big-endian, at byte 16.
                let side = |at: usize| u32::from_be_bytes(png[at..at + 4].try_into().unwrap());
                assert_eq!(side(16), set.columns * set.cell, "{slug}");
                assert_eq!(side(20), cells.div_ceil(set.columns) * set.cell, "{slug}");
                assert!(set.missing(style).all(|cell| cell < cells), "{slug}");
            }
        }
    }

    #[test]
    fn classes_have_names_of_their_own() {
        for (_, set) in SETS {
            let mut names: Vec<&str> = set.classes().collect();
            let count = names.len();
            names.sort_unstable();
            names.dedup();
            assert_eq!(names.len(), count);
            assert!(names.iter().all(|name| !name.trim().is_empty()));
        }
        assert!(EMOJI.classes().any(|name| name == "grinning face"));
    }
}
