//! A gallery of a million vectors, measured: building, opening, searching alone and by 32 clients
//! at once, memory.
//!
//! ```text
//! cargo run --release -p tercet-gallery --features hnsw --example million
//! cargo run --release -p tercet-gallery --features hnsw --example million -- VECTORS.f32 QUERIES.f32 D
//! ```
//!
//! Vectors are drawn, or read from files of little-endian f32, row by row. The table goes to
//! stderr, the same as JSON to stdout; `benches/peers/gallery.py` puts its peers beside it.

use std::error::Error;
use std::time::{Duration, Instant};
use std::{env, fs, thread};

use ndarray::{Array2, s};
use serde_json::{Value, json};
use tercet_gallery::{
    Duplicates, Hnsw, Item, Quantization, ReadGallery, Reader, Search, Settings, Vectors,
    WriteGallery, Writer,
};

const MODEL: &str = "benchmark";
const K: usize = 10;
const CLIENTS: usize = 32;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let (vectors, queries) = match &arguments[..] {
        [] => (draw(1_000_000, 128, 1), draw(1024, 128, 0x7e57)),
        [vectors, queries, dimensions] => {
            let dimensions = dimensions.parse()?;
            (read(vectors, dimensions)?, read(queries, dimensions)?)
        }
        _ => return Err("expected nothing, or VECTORS.f32 QUERIES.f32 DIMENSIONS".into()),
    };
    let mut told = serde_json::Map::new();
    for quantization in [None, Some(Quantization::I8), Some(Quantization::B1)] {
        measure(&vectors, &queries, quantization, &mut told)?;
    }
    println!("{}", Value::Object(told));
    Ok(())
}

fn measure(
    vectors: &Array2<f32>,
    queries: &Array2<f32>,
    quantization: Option<Quantization>,
    told: &mut serde_json::Map<String, Value>,
) -> Result<(), Box<dyn Error>> {
    let name = quantization.map_or("exact", |kind| kind.name());
    let (rows, dimensions) = vectors.dim();
    let folder = env::temp_dir().join(format!("tercet-million-{}", std::process::id()));
    let settings =
        Settings { dimensions, metric: Default::default(), model: MODEL.into(), quantization };
    let before = memory().unwrap_or(f64::NAN);
    let mut writer = Writer::create(&folder, settings)?;
    let begun = Instant::now();
    for start in (0..rows).step_by(100_000) {
        let end = rows.min(start + 100_000);
        let items: Vec<Item> =
            (start..end).map(|of| Item::new(of.to_string()).labelled("one")).collect();
        let part = Vectors { model: MODEL, rows: vectors.slice(s![start..end, ..]) };
        writer.add(part, &items, Duplicates::Refuse)?;
    }
    let build = begun.elapsed().as_secs_f64();
    let begun = Instant::now();
    let reader = Reader::open(&folder)?;
    let open = begun.elapsed().as_secs_f64();

    let alone = search(&reader, queries, 1, 60)?;
    let together = search(&reader, queries, CLIENTS, 20)?;
    let recall = recall(&reader, queries)?;
    let memory = memory().unwrap_or(f64::NAN) - before;
    let figures = json!({
        "build": build, "open": open, "alone": alone, "together": together,
        "recall_at_10": recall, "mib": memory,
    });
    tell(name, &figures);
    told.insert(name.to_owned(), figures);
    if quantization.is_none() && cfg!(feature = "hnsw") {
        let index = writer.build_index(Hnsw::default())?;
        reader.refresh()?;
        let figures = json!({
            "build": index.seconds,
            "alone": search(&reader, queries, 1, 1000)?,
            "together": search(&reader, queries, CLIENTS, 200)?,
            "recall_at_10": self::recall(&reader, queries)?,
            "mib": self::memory().unwrap_or(f64::NAN) - before,
        });
        tell("hnsw", &figures);
        told.insert("hnsw".to_owned(), figures);
    }
    drop((reader, writer));
    fs::remove_dir_all(folder)?;
    Ok(())
}

/// Clients that ask for one query after another, each `rounds` times: milliseconds and queries a
/// second.
fn search(
    reader: &Reader,
    queries: &Array2<f32>,
    clients: usize,
    rounds: usize,
) -> Result<Value, Box<dyn Error>> {
    let begun = Instant::now();
    let client = |own: usize| -> Result<Vec<Duration>, tercet_gallery::Error> {
        let ask = |round: usize| {
            let row = (own * rounds + round) % queries.nrows();
            let query = Vectors { model: MODEL, rows: queries.slice(s![row..=row, ..]) };
            let begun = Instant::now();
            reader.search(query, &Search::nearest(K))?;
            Ok(begun.elapsed())
        };
        (0..rounds).map(ask).collect()
    };
    let mut times = thread::scope(|scope| {
        let clients: Vec<_> = (0..clients).map(|own| scope.spawn(move || client(own))).collect();
        let all = clients.into_iter().map(|client| client.join().unwrap_or(Ok(Vec::new())));
        all.collect::<Result<Vec<_>, _>>()
    })?
    .concat();
    times.sort_unstable();
    let rate = times.len() as f64 / begun.elapsed().as_secs_f64();
    let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize].as_secs_f64() * 1e3;
    Ok(json!({ "p50": at(0.5), "p99": at(0.99), "rate": rate }))
}

/// Share of the ten nearest that are found.
fn recall(reader: &Reader, queries: &Array2<f32>) -> Result<f64, Box<dyn Error>> {
    let some = queries.nrows().min(100);
    let queries = Vectors { model: MODEL, rows: queries.slice(s![..some, ..]) };
    let exact = reader.search(queries, &Search { exact: true, ..Search::nearest(K) })?;
    let found = reader.search(queries, &Search::nearest(K))?;
    let pairs = exact.hits.iter().zip(&found.hits);
    let shared = pairs.flat_map(|(exact, found)| exact.iter().filter(|hit| found.contains(hit)));
    Ok(shared.count() as f64 / (some * K) as f64)
}

/// Rows of a file of little-endian numbers.
fn read(path: &str, dimensions: usize) -> Result<Array2<f32>, Box<dyn Error>> {
    let bytes = fs::read(path)?;
    let numbers: Vec<f32> = bytes
        .chunks_exact(4)
        .map(|four| f32::from_le_bytes([four[0], four[1], four[2], four[3]]))
        .collect();
    Ok(Array2::from_shape_vec((numbers.len() / dimensions, dimensions), numbers)?)
}

/// Points of a thousand clusters in a space of 16 dimensions, seen in all of them, as embeddings
/// lie: independent coordinates would have no near neighbours at all.
fn draw(rows: usize, dimensions: usize, seed: u64) -> Array2<f32> {
    let mut draws = Draws(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    let mut world = Draws(0x5eed);
    let centres: Vec<f32> = (0..16_000).map(|_| world.next()).collect();
    let seen: Vec<f32> = (0..16 * dimensions).map(|_| world.next() / 4.0).collect();
    let mut vectors = Array2::zeros((rows, dimensions));
    for mut row in vectors.outer_iter_mut() {
        let centre = ((draws.next() + 1.0) * 499.9) as usize;
        let hidden: [f32; 16] =
            std::array::from_fn(|at| centres[centre * 16 + at] + draws.next() / 4.0);
        for (at, value) in row.iter_mut().enumerate() {
            let seen = &seen[at * 16..][..16];
            *value = hidden.iter().zip(seen).map(|(x, y)| x * y).sum::<f32>() + draws.next() / 20.0;
        }
    }
    vectors
}

/// Numbers in −1…1.
struct Draws(u64);

impl Draws {
    fn next(&mut self) -> f32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 40) as f32 / (1 << 23) as f32 - 1.0
    }
}

fn tell(name: &str, figures: &Value) {
    let at = |group: &str, figure: &str| figures[group][figure].as_f64().unwrap_or(f64::NAN);
    let of = |figure: &str| figures[figure].as_f64().unwrap_or(f64::NAN);
    eprintln!(
        "{name:6} build {:7.2} s  open {:5.2} s  recall@10 {:.4}  memory {:6.0} MiB",
        of("build"),
        of("open"),
        of("recall_at_10"),
        of("mib")
    );
    for (group, clients) in [("alone", 1), ("together", CLIENTS)] {
        eprintln!(
            "{name:6} {clients:2} clients: p50 {:8.2} ms  p99 {:8.2} ms  {:8.1} queries/s",
            at(group, "p50"),
            at(group, "p99"),
            at(group, "rate")
        );
    }
}

/// Memory of this process, with the mapped vectors that are in memory.
fn memory() -> Option<f64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    Some(line.trim().strip_suffix(" kB")?.parse::<f64>().ok()? / 1024.0)
}
