//! Writes a hard data set as a folder of pictures, one folder a class:
//! `cargo run --release -p tercet-train --example hard -- hard`.
//!
//! Its classes are embedded emoji, each in the styles of six vendors; every picture is rotated,
//! sheared, moved, scaled, recoloured and partly covered, three times at random. The set is made
//! from a fixed seed, so that measurements on it can be repeated.

use std::collections::BTreeMap;
use std::error::Error;
use std::fs;
use std::path::PathBuf;

use image::RgbImage;
use tercet_train::data::{Augmentation, Examples, Input, PrepareOptions, Preprocessing, Source};

/// Side of a picture in pixels.
const SIDE: u32 = 48;

/// Classes: every second of the first 400 embedded ones.
const CLASSES: usize = 200;

/// Changed copies of each picture.
const COPIES: u64 = 3;

const CHANGES: &str =
    "glyph:rotate=25,shear=15,shift=0.1,scale=0.25,colour=0.6,gray=0.3,invert=0.2,erase=0.5";

fn main() -> Result<(), Box<dyn Error>> {
    let folder = PathBuf::from(std::env::args().nth(1).unwrap_or_else(|| "hard".to_owned()));
    if folder.exists() {
        return Err(format!("{} exists already: name a new folder", folder.display()).into());
    }
    let input = Input::Images(Preprocessing::new(SIDE, SIDE, 3));
    let catalogue = Source::Emoji.catalogue()?;
    let (examples, _) =
        Examples::prepare(catalogue, &input, &PrepareOptions::default(), &|_, _| {})?;
    let pixels = examples.pixels().ok_or("the emoji are pictures")?;
    let labels = &pixels.catalogue().labels;
    let items: Vec<u32> = (0..)
        .zip(labels.classes())
        .filter(|&(_, class)| class % 2 == 0 && (*class as usize) < 2 * CLASSES)
        .map(|(item, _)| item)
        .collect();
    let changes: Augmentation = CHANGES.parse()?;
    let plane = (SIDE * SIDE) as usize;
    let mut written: BTreeMap<u32, usize> = BTreeMap::new();
    for copy in 0..COPIES {
        let values = pixels.augmented(&items, &changes, 0, copy)?;
        for (&item, planes) in items.iter().zip(values.chunks_exact(3 * plane)) {
            let class = labels.classes()[item as usize];
            let directory = folder.join(format!("class {class:04}"));
            fs::create_dir_all(&directory)?;
            let number = written.entry(class).or_default();
            let triples: Vec<u8> = (0..plane)
                .flat_map(|at| [planes[at], planes[plane + at], planes[2 * plane + at]])
                .map(|value| (255.0 * value).round().clamp(0.0, 255.0) as u8)
                .collect();
            let picture = RgbImage::from_raw(SIDE, SIDE, triples).ok_or("a picture of no size")?;
            picture.save(directory.join(format!("{number}.png")))?;
            *number += 1;
        }
    }
    println!("{}: {} classes, {} pictures", folder.display(), written.len(), items.len() * 3);
    Ok(())
}
