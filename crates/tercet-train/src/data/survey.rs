//! A summary of a source and of its irregularities.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use image::DynamicImage;
use rayon::prelude::*;
use serde::Serialize;

use super::pixels::is_set;
use super::{BadItem, Catalogue, Content, DataError, Part};
use crate::fingerprint::Fingerprint;
use crate::printable::printable;

/// The largest number of cameras that a table lists individually.
const CAMERAS_SHOWN: usize = 12;

/// A summary of a source and of its irregularities. [`Display`](fmt::Display) writes a table.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Survey {
    /// The source, for example `folder:photos`.
    pub source: String,
    /// Its kind, for example `folder`.
    pub kind: String,
    /// Number of classes.
    pub classes: usize,
    /// Number of items, including those that cannot be decoded.
    pub items: usize,
    /// Number of items per class.
    pub items_per_class: Option<Spread>,
    /// The parts of the source, in the order of [`Part::ALL`]; an item can be in several.
    pub parts: Vec<PartSize>,
    /// The cameras of the source, sorted by name.
    pub cameras: Vec<CameraSize>,
    /// Number of components of the vectors; none for a source of images.
    pub dimensions: Option<usize>,
    /// Numbers of characters of the texts; none for a source of images or vectors.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub characters: Option<Spread>,
    /// Widths of the images in pixels; none if no image can be decoded.
    pub width: Option<Spread>,
    /// Heights of the images in pixels; none if no image can be decoded.
    pub height: Option<Spread>,
    /// Share of the decodable images in which every pixel is grey, 0 to 1.
    pub gray: f64,
    /// The five largest classes, largest first.
    pub largest_classes: Vec<ClassSize>,
    /// The five smallest classes, smallest first.
    pub smallest_classes: Vec<ClassSize>,
    /// Names of the classes with a single item, which has no positive.
    pub lone_classes: Vec<String>,
    /// What cannot be understood or decoded: the former first, each group in catalogue order.
    pub unreadable: Vec<BadItem>,
    /// Items that show exactly the same picture, or are the same vector or text.
    pub duplicates: Vec<Duplicates>,
    /// Other irregularities of the source, one line each.
    pub problems: Vec<String>,
}

/// Smallest, median and largest of some numbers.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Spread {
    /// The smallest.
    pub min: u64,
    /// The middle one, or the mean of the two middle ones.
    pub median: f64,
    /// The largest.
    pub max: u64,
}

/// A class and its number of items.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ClassSize {
    /// Name of the class.
    pub class: String,
    /// Its number of items.
    pub items: usize,
}

/// A part and its contents.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PartSize {
    /// Name of the part.
    pub part: &'static str,
    /// Its number of classes.
    pub classes: usize,
    /// Its number of items.
    pub items: usize,
}

/// A camera and its number of items.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CameraSize {
    /// Name of the camera.
    pub camera: String,
    /// Its number of items.
    pub items: usize,
}

/// Items that show exactly the same picture, or are the same vector or text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Duplicates {
    /// Their ids, in catalogue order.
    pub items: Vec<String>,
    /// Number of classes to which they belong; if there are several, a label is probably wrong.
    pub classes: usize,
}

/// What is recorded of one item.
struct Look {
    /// Width and height; none for a vector or text.
    size: Option<(u32, u32)>,
    /// Number of characters of a text.
    characters: Option<u64>,
    gray: bool,
    /// A hash of the content.
    content: u64,
}

impl Survey {
    /// Examines every item of a catalogue, on all threads, and summarises them.
    ///
    /// `progress` is called from several threads with the number of items that are done and the
    /// number of all items. Items that cannot be decoded are listed and are not an error. Pictures
    /// are compared by a hash of their size and their 8-bit colours, so that the file format does
    /// not matter.
    ///
    /// # Errors
    /// [`DataError::Interrupted`] once `interrupted` is set.
    pub fn of(
        catalogue: &Catalogue,
        interrupted: Option<&AtomicBool>,
        progress: &(dyn Fn(usize, usize) + Sync),
    ) -> Result<Self, DataError> {
        let done = AtomicUsize::new(0);
        let looks = (0..catalogue.len())
            .into_par_iter()
            .map(|item| {
                if is_set(interrupted) {
                    return Err(DataError::Interrupted);
                }
                let look = Look::at_item(catalogue, item);
                progress(done.fetch_add(1, Ordering::Relaxed) + 1, catalogue.len());
                Ok(look.map_err(|error| BadItem::new(&catalogue.items[item].id, error)))
            })
            .collect::<Result<Vec<Result<Look, BadItem>>, DataError>>()?;

        let sizes = catalogue.labels.class_sizes();
        let mut by_size: Vec<ClassSize> = (0..)
            .zip(&sizes)
            .map(|(class, &items)| ClassSize {
                class: catalogue.labels.name(class).to_owned(),
                items,
            })
            .collect();
        by_size.sort_by(|a, b| (a.items, &a.class).cmp(&(b.items, &b.class)));
        let lone_classes = by_size
            .iter()
            .take_while(|class| class.items == 1)
            .map(|class| class.class.clone())
            .collect();
        let smallest_classes = by_size.iter().take(5).cloned().collect();
        by_size.sort_by(|a, b| (b.items, &a.class).cmp(&(a.items, &b.class)));
        by_size.truncate(5);

        let seen: Vec<&Look> = looks.iter().flatten().collect();
        let sizes_seen: Vec<(u32, u32)> = seen.iter().filter_map(|look| look.size).collect();
        let sides = |side: fn(&(u32, u32)) -> u32| {
            Spread::of(sizes_seen.iter().map(|size| u64::from(side(size))).collect())
        };
        let gray = seen.iter().filter(|look| look.gray).count();
        let mut unreadable = catalogue.bad.clone();
        unreadable.extend(looks.iter().filter_map(|look| look.as_ref().err().cloned()));
        Ok(Self {
            source: catalogue.source.clone(),
            kind: catalogue.source.split(':').next().unwrap_or_default().to_owned(),
            classes: sizes.len(),
            items: catalogue.len(),
            items_per_class: Spread::of(sizes.iter().map(|&size| size as u64).collect()),
            parts: parts(catalogue),
            cameras: cameras(catalogue),
            dimensions: catalogue.vectors().map(|vectors| vectors.ncols()),
            characters: Spread::of(seen.iter().filter_map(|look| look.characters).collect()),
            width: sides(|&(width, _)| width),
            height: sides(|&(_, height)| height),
            gray: gray as f64 / sizes_seen.len().max(1) as f64,
            largest_classes: by_size,
            smallest_classes,
            lone_classes,
            duplicates: duplicates(catalogue, &looks),
            unreadable,
            problems: catalogue.problems.clone(),
        })
    }
}

impl Look {
    fn at_item(catalogue: &Catalogue, item: usize) -> Result<Self, DataError> {
        match &catalogue.items[item].content {
            Content::Vector(vector) => {
                let mut hash = Fingerprint::new();
                for value in vector.values() {
                    hash.bytes(&value.to_le_bytes());
                }
                Ok(Self { size: None, characters: None, gray: false, content: hash.value() })
            }
            Content::Text(text) => {
                let mut hash = Fingerprint::new();
                hash.text(text.text());
                let characters = Some(text.text().chars().count() as u64);
                Ok(Self { size: None, characters, gray: false, content: hash.value() })
            }
            _ => catalogue.image(item).map(|image| Self::at(&image)),
        }
    }

    fn at(image: &DynamicImage) -> Self {
        let pixels = image.to_rgba8();
        let mut hash = Fingerprint::new();
        hash.number(u64::from(image.width()));
        hash.number(u64::from(image.height()));
        hash.bytes(pixels.as_raw());
        Self {
            size: Some((image.width(), image.height())),
            characters: None,
            gray: pixels.pixels().all(|pixel| pixel.0[0] == pixel.0[1] && pixel.0[1] == pixel.0[2]),
            content: hash.value(),
        }
    }
}

impl Spread {
    /// `None` if there are no numbers.
    fn of(mut numbers: Vec<u64>) -> Option<Self> {
        numbers.sort_unstable();
        let middle = numbers.len() / 2;
        let median = match numbers.len() % 2 {
            _ if numbers.is_empty() => return None,
            0 => (numbers[middle - 1] as f64 + numbers[middle] as f64) / 2.0,
            _ => numbers[middle] as f64,
        };
        Some(Self { min: *numbers.first()?, median, max: *numbers.last()? })
    }
}

fn parts(catalogue: &Catalogue) -> Vec<PartSize> {
    let size = |part: Part| {
        let items = catalogue.part(&[part]);
        let classes = catalogue.labels.select(&items).class_count();
        PartSize { part: part.name(), classes, items: items.len() }
    };
    Part::ALL.into_iter().map(size).filter(|part| part.items > 0).collect()
}

fn cameras(catalogue: &Catalogue) -> Vec<CameraSize> {
    let mut sizes: BTreeMap<&str, usize> = BTreeMap::new();
    for camera in catalogue.items.iter().filter_map(|item| item.attributes.camera.as_deref()) {
        *sizes.entry(camera).or_default() += 1;
    }
    let size = |(camera, items): (&str, usize)| CameraSize { camera: camera.to_owned(), items };
    sizes.into_iter().map(size).collect()
}

fn duplicates(catalogue: &Catalogue, looks: &[Result<Look, BadItem>]) -> Vec<Duplicates> {
    let mut same: HashMap<u64, Vec<usize>> = HashMap::new();
    for (item, look) in looks.iter().enumerate() {
        if let Ok(look) = look {
            same.entry(look.content).or_default().push(item);
        }
    }
    let mut groups: Vec<Vec<usize>> = same.into_values().filter(|items| items.len() > 1).collect();
    groups.sort();
    groups
        .into_iter()
        .map(|items| Duplicates {
            classes: items
                .iter()
                .map(|&item| catalogue.labels.classes()[item])
                .collect::<BTreeSet<u32>>()
                .len(),
            items: items.into_iter().map(|item| catalogue.items[item].id.clone()).collect(),
        })
        .collect()
}

impl fmt::Display for Spread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} / {} / {}", self.min, self.median, self.max)
    }
}

impl fmt::Display for ClassSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", printable(&self.class), self.items)
    }
}

impl fmt::Display for PartSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let items = if self.items == 1 { "item" } else { "items" };
        let classes = if self.classes == 1 { "class" } else { "classes" };
        write!(f, "{} ({} {items} of {} {classes})", self.part, self.items, self.classes)
    }
}

impl fmt::Display for CameraSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", printable(&self.camera), self.items)
    }
}

impl fmt::Display for Duplicates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&printable(&self.items.join(" = ")))?;
        match self.classes {
            1 => Ok(()),
            classes => write!(f, " (in {classes} classes)"),
        }
    }
}

impl fmt::Display for Survey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let line = |f: &mut fmt::Formatter<'_>, name: &str, value: &dyn fmt::Display| {
            writeln!(f, "{name:<18}{value}")
        };
        let spread = |spread: &Option<Spread>| match spread {
            Some(spread) => format!("{spread} (min / median / max)"),
            None => "-".to_owned(),
        };
        line(f, "source", &printable(&self.source))?;
        line(f, "classes", &self.classes)?;
        line(f, "items", &self.items)?;
        line(f, "items per class", &spread(&self.items_per_class))?;
        if !self.parts.is_empty() {
            line(f, "parts", &joined(&self.parts))?;
        }
        match self.cameras.len() {
            0 => {}
            1..=CAMERAS_SHOWN => line(f, "cameras", &joined(&self.cameras))?,
            count => line(f, "cameras", &count)?,
        }
        match (self.dimensions, &self.characters) {
            (Some(dimensions), _) => line(f, "dimensions", &dimensions)?,
            (None, Some(_)) => line(f, "characters", &spread(&self.characters))?,
            (None, None) => {
                line(f, "width", &spread(&self.width))?;
                line(f, "height", &spread(&self.height))?;
                line(f, "gray", &format!("{:.1} %", 100.0 * self.gray))?;
            }
        }
        line(f, "largest classes", &joined(&self.largest_classes))?;
        line(f, "smallest classes", &joined(&self.smallest_classes))?;
        let equal = match (self.dimensions, &self.characters) {
            (Some(_), _) => "groups of equal vectors",
            (None, Some(_)) => "groups of equal texts",
            (None, None) => "groups of equal pictures",
        };
        let problems = [
            ("classes with one item", few(&self.lone_classes)),
            ("unreadable items", few(&self.unreadable)),
            (equal, few(&self.duplicates)),
        ];
        for (what, (count, list)) in problems {
            if count > 0 {
                writeln!(f, "\n{what}: {count}\n{list}")?;
            }
        }
        if !self.problems.is_empty() {
            writeln!(f, "\nproblems\n{}", indented(&self.problems))?;
        }
        Ok(())
    }
}

fn joined(values: &[impl fmt::Display]) -> String {
    let texts: Vec<String> = values.iter().map(ToString::to_string).collect();
    texts.join(", ")
}

fn indented(values: &[impl fmt::Display]) -> String {
    let lines: Vec<String> = values.iter().map(|value| format!("  {value}")).collect();
    lines.join("\n")
}

/// The number of values, and the first ten as lines.
fn few(values: &[impl fmt::Display]) -> (usize, String) {
    let shown = 10.min(values.len());
    let shown_values: Vec<String> =
        values[..shown].iter().map(|value| printable(&value.to_string()).into_owned()).collect();
    let mut text = indented(&shown_values);
    if shown < values.len() {
        text += &format!("\n  … and {} more", values.len() - shown);
    }
    (values.len(), text)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use image::{GrayImage, Luma, Rgb, RgbImage};

    use super::*;
    use crate::data::Source;

    #[test]
    fn a_folder_with_a_duplicate_a_lone_class_and_a_broken_file() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        for class in ["a", "b", "lone"] {
            fs::create_dir(root.join(class)).unwrap();
        }
        let gray = GrayImage::from_fn(10, 20, |x, y| Luma([(x + y) as u8]));
        gray.save(root.join("a/1.png")).unwrap();
        gray.save(root.join("b/2.bmp")).unwrap();
        RgbImage::from_pixel(30, 40, Rgb([1, 2, 3])).save(root.join("a/2.png")).unwrap();
        GrayImage::new(11, 20).save(root.join("lone/1.png")).unwrap();
        fs::write(root.join("b/broken.png"), "text").unwrap();

        let catalogue = Source::Folder(root.into()).catalogue().unwrap();
        let survey = Survey::of(&catalogue, None, &|_, _| {}).unwrap();
        assert_eq!((survey.kind.as_str(), survey.classes, survey.items), ("folder", 3, 5));
        let spread = |min, median, max| Some(Spread { min, median, max });
        assert_eq!(survey.items_per_class, spread(1, 2.0, 2));
        assert_eq!(survey.width, spread(10, 10.5, 30));
        assert_eq!(survey.height, spread(20, 20.0, 40));
        assert_eq!(survey.gray, 0.75);
        assert_eq!(survey.lone_classes, ["lone"]);
        assert_eq!(survey.largest_classes[0].class, "a");
        assert_eq!(survey.smallest_classes[0].class, "lone");
        assert_eq!(survey.unreadable.len(), 1);
        assert_eq!(survey.unreadable[0].id, "b/broken.png");
        let same =
            Duplicates { items: vec!["a/1.png".to_owned(), "b/2.bmp".to_owned()], classes: 2 };
        assert_eq!(survey.duplicates, [same]);

        let table = survey.to_string();
        for part in [
            "items per class   1 / 2 / 2 (min",
            "classes with one item: 1\n  lone\n",
            "  a/1.png = b/2.bmp (in 2 classes)\n",
            "broken.png",
        ] {
            assert!(table.contains(part), "{part}: {table}");
        }
        assert_eq!(serde_json::to_value(&survey).unwrap()["width"]["median"], 10.5);
    }

    #[test]
    fn an_interrupt_stops_and_long_lists_are_cut() {
        let catalogue = Source::Glyphs.catalogue().unwrap();
        let error = Survey::of(&catalogue, Some(&AtomicBool::new(true)), &|_, _| {}).unwrap_err();
        assert!(matches!(error, DataError::Interrupted));
        let (count, list) = few(&[0; 12]);
        assert_eq!(count, 12);
        assert!(list.ends_with("… and 2 more"));
    }
}
