//! A gallery of a million vectors, measured: building, opening, searching alone and by 32 clients
//! at once, memory.
//!
//! ```text
//! cargo run --release -p tercet-gallery --features hnsw --example million -- [ROWS] [DIMENSIONS]
//! ```

use std::error::Error;
use std::time::{Duration, Instant};
use std::{env, fs, thread};

use ndarray::{Array2, s};
use tercet_gallery::{
    Duplicates, Hnsw, Item, Quantization, ReadGallery, Reader, Search, Settings, Vectors,
    WriteGallery, Writer,
};

const MODEL: &str = "benchmark";
const K: usize = 10;
const CLIENTS: usize = 32;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = env::args().skip(1);
    let rows: usize = arguments.next().map_or(Ok(1_000_000), |rows| rows.parse())?;
    let dimensions: usize = arguments.next().map_or(Ok(128), |dimensions| dimensions.parse())?;
    for quantization in [None, Some(Quantization::I8), Some(Quantization::B1)] {
        measure(rows, dimensions, quantization)?;
    }
    Ok(())
}

fn measure(
    rows: usize,
    dimensions: usize,
    quantization: Option<Quantization>,
) -> Result<(), Box<dyn Error>> {
    let name = quantization.map_or("exact", |kind| kind.name());
    let folder = env::temp_dir().join(format!("tercet-million-{}", std::process::id()));
    let settings =
        Settings { dimensions, metric: Default::default(), model: MODEL.into(), quantization };
    let mut writer = Writer::create(&folder, settings)?;
    let begun = Instant::now();
    for start in (0..rows).step_by(100_000) {
        let count = 100_000.min(rows - start);
        let items: Vec<Item> =
            (start..start + count).map(|of| Item::new(of.to_string()).labelled("one")).collect();
        let part = vectors(count, dimensions, start as u64 + 1);
        writer.add(Vectors { model: MODEL, rows: part.view() }, &items, Duplicates::Refuse)?;
    }
    tell(name, "build", begun.elapsed());
    let begun = Instant::now();
    let reader = Reader::open(&folder)?;
    tell(name, "open", begun.elapsed());

    let queries = vectors(1024, dimensions, 0x7e57);
    search(name, &reader, &queries, 1, 60)?;
    search(name, &reader, &queries, CLIENTS, 20)?;
    if quantization.is_some() {
        println!("{name:8} recall@10 {:.4}", recall(&reader, &queries)?);
    }
    println!("{name:8} memory {:.0} MiB", memory().unwrap_or(f64::NAN));
    if quantization.is_none() && cfg!(feature = "hnsw") {
        let index = writer.build_index(Hnsw::default())?;
        println!("hnsw     build {:.1} s, recall@10 {:.4}", index.seconds, index.recall_at_10);
        reader.refresh()?;
        search("hnsw", &reader, &queries, 1, 1000)?;
        search("hnsw", &reader, &queries, CLIENTS, 200)?;
    }
    drop((reader, writer));
    fs::remove_dir_all(folder)?;
    Ok(())
}

/// Clients that ask for one query after another, each `rounds` times.
fn search(
    name: &str,
    reader: &Reader,
    queries: &Array2<f32>,
    clients: usize,
    rounds: usize,
) -> Result<(), Box<dyn Error>> {
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
    println!(
        "{name:8} {clients:2} clients: p50 {:8.2} ms  p99 {:8.2} ms  {rate:8.1} queries/s",
        at(0.5),
        at(0.99)
    );
    Ok(())
}

fn recall(reader: &Reader, queries: &Array2<f32>) -> Result<f64, Box<dyn Error>> {
    let queries = Vectors { model: MODEL, rows: queries.slice(s![..100, ..]) };
    let exact = reader.search(queries, &Search { exact: true, ..Search::nearest(K) })?;
    let found = reader.search(queries, &Search::nearest(K))?;
    let pairs = exact.hits.iter().zip(&found.hits);
    let shared = pairs.flat_map(|(exact, found)| exact.iter().filter(|hit| found.contains(hit)));
    Ok(shared.count() as f64 / (100 * K) as f64)
}

/// Points of a thousand clusters in a space of 16 dimensions, seen in all of them, as embeddings
/// lie: independent coordinates would have no near neighbours at all.
fn vectors(rows: usize, dimensions: usize, seed: u64) -> Array2<f32> {
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

fn tell(name: &str, what: &str, time: Duration) {
    println!("{name:8} {what} {:.2} s", time.as_secs_f64());
}

/// Memory of this process, with the mapped vectors that are in memory.
fn memory() -> Option<f64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    Some(line.trim().strip_suffix(" kB")?.parse::<f64>().ok()? / 1024.0)
}
