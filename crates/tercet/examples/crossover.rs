//! From how many positives on ranking an anchor's negatives beats meeting each positive: what the
//! objectives choose their kernels by.
//!
//! ```sh
//! cargo run --release -p tercet --features reference --example crossover
//! ```

use tercet::objective::crossover::{NEGATIVES, measure};

fn main() {
    println!("ns a negative, {NEGATIVES} negatives, one thread");
    let mut last = "";
    for measured in measure(2000) {
        if measured.name != last {
            last = measured.name;
            println!("\n{last}");
        }
        let (each, ranked) = (measured.each, measured.ranked);
        println!("{:>5} positives {each:>8.2} {ranked:>8.2}", measured.positives);
    }
}
