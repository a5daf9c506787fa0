//! The catalogues of the embedded data sets: each cell of a sheet is a class, with one item in each
//! style.

use super::sheets::{Cell, Set};
use super::{Attributes, Catalogue, Content, Item};

impl Set {
    /// All cells in their order, and for each cell the styles that contain it. The slug of the
    /// style is the camera of an item.
    pub(crate) fn catalogue(self, source: String) -> Catalogue {
        let sheets = self.sheets();
        let missing: Vec<Vec<u32>> =
            (0..sheets.sheets.len()).map(|style| sheets.missing(style).collect()).collect();
        let mut items = Vec::new();
        let mut classes = Vec::new();
        for (cell, class) in (0..).zip(sheets.classes()) {
            for (style, (slug, _)) in sheets.sheets.iter().enumerate() {
                if missing[style].binary_search(&cell).is_ok() {
                    continue;
                }
                items.push(Item {
                    id: format!("{class}/{slug}"),
                    content: Content::Cell(Cell::new(self, style, cell)),
                    attributes: Attributes {
                        camera: Some((*slug).to_owned()),
                        ..Attributes::default()
                    },
                });
                classes.push(class);
            }
        }
        Catalogue::new(source, items, classes.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_glyphs_are_there_in_class_order() {
        let all = Set::Glyphs.catalogue("glyphs".to_owned());
        assert_eq!(all.len(), 10_500);
        assert_eq!(all.labels.class_count(), 500);
        assert!(all.labels.classes().is_sorted());
        assert!(all.labels.class_sizes().iter().all(|&size| size == 21));
        assert_eq!(all.items[0].id, "あ/aoyagi-soseki");
        assert_eq!(all.items[7].id, "あ/klee-one");
        assert_eq!(all.labels.name(0), "あ");
    }

    #[test]
    fn a_glyph_is_ink_on_an_empty_border() {
        let all = Set::Glyphs.catalogue("glyphs".to_owned());
        for item in [0, 7, 21 * 26 + 1, 10_499] {
            let cell = all.image(item).unwrap().into_luma8();
            assert_eq!(cell.dimensions(), (28, 28));
            assert!(cell.pixels().any(|pixel| pixel.0[0] == 255), "item {item}");
            assert_eq!(cell.get_pixel(0, 0).0[0], 0, "item {item}");
        }
    }

    #[test]
    fn every_emoji_is_drawn_in_four_styles_or_more() {
        let all = Set::Emoji.catalogue("emoji".to_owned());
        assert!((1_000..1_200).contains(&all.labels.class_count()));
        assert!((6_000..6_500).contains(&all.len()));
        assert!(all.labels.class_sizes().iter().all(|size| (4..=6).contains(size)));
        assert_eq!(all.cameras().unwrap().class_count(), 6);
        for item in 0..all.len() {
            let cell = all.image(item).unwrap().into_rgb8();
            assert_eq!(cell.dimensions(), (32, 32));
            let white = cell.pixels().filter(|pixel| pixel.0 == [255; 3]).count();
            assert!(white < 32 * 32, "{} is blank", all.items[item].id);
        }
    }
}
