//! Times exact search and leave-one-out retrieval against the matrix product they need:
//! `cargo run --release -p tercet --example search -- [ITEMS] [REPETITIONS]` (60,000 and 3).

use tercet::bench::search::{Search, Searched};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let items = arguments.next().map_or(Ok(60_000), |items| items.parse())?;
    let repetitions = arguments.next().map_or(Ok(3), |repetitions| repetitions.parse())?;
    println!("| task | items | s | product, s | ratio | peak, MiB |");
    println!("|---|--:|--:|--:|--:|--:|");
    let many = Search { items, classes: (items / 5).max(1) };
    let few = Search { items, classes: 10 };
    show(&many.nearest(1, repetitions)?);
    show(&many.nearest(10, repetitions)?);
    show(&many.nearest(100, repetitions)?);
    show(&many.retrieval(repetitions)?);
    show(&few.retrieval(repetitions)?);
    Ok(())
}

fn show(done: &Searched) {
    let peak = done.peak_bytes.map_or("–".to_owned(), |bytes| (bytes >> 20).to_string());
    println!(
        "| {} | {} | {:.2} | {:.2} | {:.2} | {peak} |",
        done.task, done.items, done.seconds, done.floor_seconds, done.ratio
    );
}
