//! Exact nearest neighbours of vectors in files of raw little-endian f32, timed, for
//! `benches/peers/nearest.py`: `nearest QUERIES GALLERY DIMENSIONS K REPETITIONS OUT`.
//!
//! Prints the median seconds; writes K indices (u32) a query to OUT.

use std::time::Instant;

use ndarray::Array2;
use tercet::{Distance, Metric, neighbors};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [queries, gallery, dimensions, k, repetitions, out] = arguments.as_slice() else {
        return Err("expected QUERIES GALLERY DIMENSIONS K REPETITIONS OUT".into());
    };
    let dimensions = dimensions.parse()?;
    let (queries, gallery) = (vectors(queries, dimensions)?, vectors(gallery, dimensions)?);
    let (k, repetitions): (usize, usize) = (k.parse()?, repetitions.parse()?);
    let metric = Metric::from(Distance::SquaredEuclidean);
    let mut seconds = Vec::new();
    for repetition in 0..repetitions.max(1) {
        let start = Instant::now();
        let found = neighbors::nearest(queries.view(), gallery.view(), k, metric)?;
        seconds.push(start.elapsed().as_secs_f64());
        if repetition == 0 {
            let indices = found.iter().flatten().flat_map(|neighbor| neighbor.index.to_le_bytes());
            std::fs::write(out, indices.collect::<Vec<u8>>())?;
        }
    }
    seconds.sort_by(f64::total_cmp);
    println!("{}", seconds[seconds.len() / 2]);
    Ok(())
}

fn vectors(path: &str, dimensions: usize) -> Result<Array2<f32>, Box<dyn std::error::Error>> {
    let bytes = std::fs::read(path).map_err(|error| format!("{path}: {error}"))?;
    let values: Vec<f32> =
        bytes.as_chunks().0.iter().map(|&four| f32::from_le_bytes(four)).collect();
    Ok(Array2::from_shape_vec((values.len() / dimensions, dimensions), values)?)
}
