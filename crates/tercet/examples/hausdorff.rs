//! The one-shot baseline that needs no training: Lake's 20 runs on Omniglot, told by the modified
//! Hausdorff distance between the ink of two drawings. Its error is 38.75 %.
//!
//! ```text
//! cargo run --release -p tercet --example hausdorff -- --data all_runs.zip
//! ```
//!
//! `all_runs.zip` comes from `python/one-shot-classification` of github.com/brendenlake/omniglot.

use std::collections::BTreeMap;
use std::error::Error;
use std::fs::File;
use std::io::{Cursor, Read};

use ndarray::Array2;
use rayon::prelude::*;
use tercet::OneShot;
use tercet::one_shot::{centred, hausdorff};
use zip::ZipArchive;

/// The coordinates of the ink of a drawing, around their mean.
type Ink = Vec<[f64; 2]>;

/// Distances of the test items to the training items, and the classes of both.
type Run = (Array2<f32>, Vec<u32>, Vec<u32>);

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let path = match (arguments.next().as_deref(), arguments.next()) {
        (Some("--data"), Some(path)) => path,
        _ => return Err("usage: hausdorff --data PATH of all_runs.zip".into()),
    };
    let file = File::open(&path).map_err(|error| format!("{path}: {error}"))?;
    let mut archive = ZipArchive::new(file)?;
    let names: Vec<String> = archive
        .file_names()
        .map(|name| Ok(name?.into_owned()))
        .collect::<Result<_, zip::result::ZipError>>()?;
    let runs = names.iter().filter(|name| name.ends_with("class_labels.txt"));
    let mut judged = Vec::new();
    for labels in runs {
        judged.push(run(&mut archive, labels)?);
    }
    let result = OneShot::from_distances(judged)?;
    println!(
        "error {:.2} % of {} trials in {} runs",
        100.0 * result.error,
        result.trials,
        result.runs.len()
    );
    Ok(())
}

/// Reads one run and measures its distances.
fn run(archive: &mut ZipArchive<File>, labels: &str) -> Result<Run, Box<dyn Error>> {
    let mut text = String::new();
    archive.by_name(labels)?.read_to_string(&mut text)?;
    // Each line: a test item and the training item of its class.
    let pairs: Vec<(&str, &str)> = text.lines().filter_map(|line| line.split_once(' ')).collect();
    let classes: BTreeMap<&str, u32> = pairs.iter().map(|&(_, class)| class).zip(0..).collect();
    let mut read = |name: &str| -> Result<Ink, Box<dyn Error>> {
        let mut bytes = Vec::new();
        archive.by_name(name)?.read_to_end(&mut bytes)?;
        ink(&bytes).map_err(|error| format!("{name}: {error}").into())
    };
    let training: Vec<Ink> = classes.keys().map(|name| read(name)).collect::<Result<_, _>>()?;
    let test: Vec<Ink> = pairs.iter().map(|(name, _)| read(name)).collect::<Result<_, _>>()?;
    let distances: Vec<f32> = test
        .par_iter()
        .flat_map_iter(|item| training.iter().map(move |other| hausdorff(item, other) as f32))
        .collect();
    let distances = Array2::from_shape_vec((test.len(), training.len()), distances)?;
    let truth = pairs.iter().map(|(_, class)| classes[class]).collect();
    Ok((distances, truth, classes.into_values().collect()))
}

/// Black pixels of a PNG.
fn ink(bytes: &[u8]) -> Result<Ink, Box<dyn Error>> {
    let mut decoder = png::Decoder::new(Cursor::new(bytes));
    decoder.set_transformations(png::Transformations::EXPAND);
    let mut reader = decoder.read_info()?;
    let mut pixels = vec![0; reader.output_buffer_size().ok_or("too large")?];
    let frame = reader.next_frame(&mut pixels)?;
    let (width, samples) = (frame.width as usize, frame.color_type.samples());
    let points: Ink = pixels[..frame.buffer_size()]
        .chunks_exact(samples)
        .enumerate()
        .filter(|(_, pixel)| pixel[0] < 128)
        .map(|(place, _)| [(place % width) as f64, (place / width) as f64])
        .collect();
    Ok(centred(&points))
}
