//! What a source records about an item besides its class.

use std::fmt;

use image::DynamicImage;

/// What a source records about an item besides its class. Most sources record nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Attributes {
    /// What the item is meant for; empty if the source does not say.
    pub parts: Parts,
    /// The camera that took it, or whatever else distinguishes views of one object.
    pub camera: Option<String>,
    /// The sequence (tracklet, film) to which it belongs.
    pub sequence: Option<String>,
    /// The box of the picture that shows it; by default the whole picture.
    pub crop: Option<Crop>,
}

/// What an item is meant for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Part {
    /// To train on.
    Train,
    /// To choose settings with.
    Validation,
    /// To evaluate on.
    Test,
    /// To evaluate on, as a query.
    Query,
    /// To evaluate on, as an item of the gallery.
    Gallery,
}

impl Part {
    /// All parts, in the order in which they are used.
    pub const ALL: [Self; 5] =
        [Self::Train, Self::Validation, Self::Test, Self::Query, Self::Gallery];

    /// The part with this name of a folder or a table cell, in any case; `None` for other names.
    pub fn named(text: &str) -> Option<Self> {
        match text.to_lowercase().as_str() {
            "train" | "training" => Some(Self::Train),
            "val" | "valid" | "validation" => Some(Self::Validation),
            "test" | "testing" => Some(Self::Test),
            "query" => Some(Self::Query),
            "gallery" => Some(Self::Gallery),
            _ => None,
        }
    }

    /// The name in files and tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Train => "train",
            Self::Validation => "validation",
            Self::Test => "test",
            Self::Query => "query",
            Self::Gallery => "gallery",
        }
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The parts to which one item belongs: an item of a test set may be both query and gallery.
///
/// ```
/// use tercet_train::data::{Part, Parts};
/// let parts = Parts::from_iter([Part::Query, Part::Gallery]);
/// assert!(parts.contains(Part::Query) && !parts.contains(Part::Train));
/// assert!(Parts::default().is_empty());
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Parts(u8);

impl Parts {
    /// Whether the source does not say what the item is meant for.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether the item belongs to a part.
    pub fn contains(self, part: Part) -> bool {
        self.0 & (1 << part as u8) != 0
    }

    /// Whether the item belongs to at least one of several parts.
    pub fn contains_any(self, parts: &[Part]) -> bool {
        parts.iter().any(|&part| self.contains(part))
    }

    /// The parts, in the order of [`Part::ALL`].
    pub fn iter(self) -> impl Iterator<Item = Part> {
        Part::ALL.into_iter().filter(move |&part| self.contains(part))
    }
}

/// The columns of a table that name parts of an item.
pub(crate) const PART_COLUMNS: [&str; 3] = ["split", "is_query", "is_gallery"];

impl Parts {
    /// The parts that the cells of [`PART_COLUMNS`] name; `None` is an empty cell. The error is a
    /// column and what is wrong with its cell.
    pub(crate) fn of_cells(
        [split, query, gallery]: [Option<&str>; 3],
    ) -> Result<Self, (&'static str, String)> {
        let [of_split, of_query, of_gallery] = PART_COLUMNS;
        let split = match split {
            None => None,
            Some(text) => Some(Part::named(text).ok_or_else(|| {
                let names = Part::ALL.map(Part::name).join(", ");
                (of_split, format!("`{text}` is none of {names}"))
            })?),
        };
        let is = |column: &'static str, cell: Option<&str>| match cell.map(flag) {
            None => Ok(false),
            Some(Ok(given)) => Ok(given.unwrap_or(false)),
            Some(Err(reason)) => Err((column, reason)),
        };
        let query = is(of_query, query)?.then_some(Part::Query);
        let gallery = is(of_gallery, gallery)?.then_some(Part::Gallery);
        Ok([split, query, gallery].into_iter().flatten().collect())
    }
}

/// The truth value of a cell; `None` for a gap. The error says what is expected.
pub(crate) fn flag(text: &str) -> Result<Option<bool>, String> {
    match text.to_ascii_lowercase().as_str() {
        "1" | "1.0" | "true" => Ok(Some(true)),
        "0" | "0.0" | "false" => Ok(Some(false)),
        "nan" => Ok(None), // a gap, as pandas may write it
        _ => Err(format!("`{text}` is neither true (1) nor false (0)")),
    }
}

impl FromIterator<Part> for Parts {
    fn from_iter<I: IntoIterator<Item = Part>>(parts: I) -> Self {
        Self(parts.into_iter().fold(0, |bits, part| bits | (1 << part as u8)))
    }
}

impl From<Part> for Parts {
    fn from(part: Part) -> Self {
        Self::from_iter([part])
    }
}

/// A box in a picture, in pixels from its upper left corner. `right` and `bottom` are the first
/// column and row outside of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Crop {
    /// First column.
    pub left: u32,
    /// First row.
    pub top: u32,
    /// Column after the last.
    pub right: u32,
    /// Row after the last.
    pub bottom: u32,
}

impl Crop {
    /// Cuts the box out of a picture. The error says why it does not fit.
    pub(crate) fn cut(self, image: &DynamicImage) -> Result<DynamicImage, String> {
        let (width, height) = (image.width(), image.height());
        let is_inside = self.left < self.right
            && self.top < self.bottom
            && self.right <= width
            && self.bottom <= height;
        if !is_inside {
            return Err(format!(
                "the box {self} does not lie inside its {width} x {height} pixels"
            ));
        }
        Ok(image.crop_imm(self.left, self.top, self.right - self.left, self.bottom - self.top))
    }
}

impl fmt::Display for Crop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{},{},{},{}", self.left, self.top, self.right, self.bottom)
    }
}

#[cfg(test)]
mod tests {
    use image::{GenericImageView, GrayImage, Luma};

    use super::*;

    #[test]
    fn an_item_can_belong_to_several_parts() {
        let parts = Parts::from_iter([Part::Gallery, Part::Query]);
        assert_eq!(parts.iter().collect::<Vec<_>>(), [Part::Query, Part::Gallery]);
        assert!(parts.contains_any(&[Part::Train, Part::Gallery]));
        assert!(!parts.contains_any(&[Part::Train, Part::Test]));
    }

    #[test]
    fn a_box_is_cut_out_or_refused() {
        let image = DynamicImage::from(GrayImage::from_fn(4, 3, |x, y| Luma([(10 * y + x) as u8])));
        let crop = |left, top, right, bottom| Crop { left, top, right, bottom };
        let cut = crop(1, 1, 4, 3).cut(&image).unwrap();
        assert_eq!(cut.dimensions(), (3, 2));
        assert_eq!(cut.get_pixel(0, 0).0[0], 11);
        for bad in [crop(1, 1, 5, 3), crop(0, 0, 4, 4), crop(2, 0, 2, 3), crop(3, 0, 1, 3)] {
            let reason = bad.cut(&image).unwrap_err();
            assert!(reason.contains("inside its 4 x 3 pixels"), "{reason}");
        }
    }
}
