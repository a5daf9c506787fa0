//! A hostile round: thousands of malformed requests and pictures, slow clients and liars, while
//! honest clients search; then attacks that need many requests of one kind: clients that leave in
//! the middle of a change, half-sent heads, invented methods, large pictures; and a gallery that is
//! replaced by another one under the server.
//!
//! ```sh
//! cargo build --release
//! cargo run --release --example hostile -- target/release/tercet 10000
//! ```
//!
//! It starts the server itself, on this machine's own address, asks nobody else, and ends by its
//! count. What it counts as a failure: the server ends, an answer of 5xx that is not 503 with
//! `Retry-After`, an honest client that gets anything but its answer or 503, memory that grows past
//! a bound, a status other than 0 after SIGTERM. Exit status 1 then.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod attack;
mod client;
mod replaced;
mod rounds;
mod server;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use rand::SeedableRng;
use rand::rngs::ChaCha8Rng;

use crate::attack::attack;
use crate::client::{Samples, ask};
use crate::server::Server;

const ATTACKERS: usize = 12;
const HONEST: usize = 3;

/// Resident memory that the server may reach: the bodies allowed at once (256 MiB), one picture of 50
/// megapixels with its copy (8 bytes a pixel at most), some small ones, and what it had before.
const MOST_MEMORY_KIB: u64 = 3 << 19;

fn main() {
    let mut arguments = std::env::args().skip(1);
    let binary = arguments.next().expect("expected the path of the tercet binary");
    let attacks: usize = arguments.next().map_or(10_000, |count| count.parse().unwrap());
    let mut server = Server::start(&binary, None);
    let samples = Samples::new();
    let address = server.address;
    for _ in 0..100 {
        assert_eq!(ask(address, &samples.honest(address)).unwrap().0, 200);
    }
    let before = server.memory("VmRSS");

    let told = Mutex::new(BTreeMap::<(&str, u16), u64>::new());
    let (next, done) = (AtomicUsize::new(0), AtomicBool::new(false));
    let (served, turned_away, worst) = (AtomicU64::new(0), AtomicU64::new(0), AtomicU64::new(0));
    let failures = Mutex::new(Vec::<String>::new());
    let start = Instant::now();
    std::thread::scope(|scope| {
        let attacking: Vec<_> = (0..ATTACKERS)
            .map(|_| {
                scope.spawn(|| {
                    loop {
                        let number = next.fetch_add(1, Ordering::Relaxed);
                        if number >= attacks {
                            break;
                        }
                        let mut random = ChaCha8Rng::seed_from_u64(number as u64);
                        let (kind, status) = attack(address, &samples, &mut random);
                        *told.lock().unwrap().entry((kind, status)).or_default() += 1;
                        if status >= 500 && status != 503 {
                            failures
                                .lock()
                                .unwrap()
                                .push(format!("{kind} (number {number}): {status}"));
                        }
                    }
                })
            })
            .collect();
        for _ in 0..HONEST {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    let start = Instant::now();
                    match ask(address, &samples.honest(address)) {
                        Ok((200, _)) => served.fetch_add(1, Ordering::Relaxed),
                        Ok((503, head)) if head.contains("retry-after") => {
                            std::thread::sleep(Duration::from_millis(50));
                            turned_away.fetch_add(1, Ordering::Relaxed)
                        }
                        other => {
                            failures.lock().unwrap().push(format!("an honest client: {other:?}"));
                            0
                        }
                    };
                    worst.fetch_max(start.elapsed().as_millis() as u64, Ordering::Relaxed);
                }
            });
        }
        for attacking in attacking {
            attacking.join().unwrap();
        }
        done.store(true, Ordering::Relaxed);
    });
    let took = start.elapsed();
    let peak = server.memory("VmHWM");
    // What clients left behind is cleared away by then.
    std::thread::sleep(Duration::from_secs(12));
    let after = server.memory("VmRSS");
    let still = ask(address, &samples.honest(address)).map(|(status, _)| status);

    let mut table: BTreeMap<&str, String> = BTreeMap::new();
    for ((kind, status), times) in told.into_inner().unwrap() {
        let status = if status == 0 { "closed".to_owned() } else { status.to_string() };
        let _ = write!(table.entry(kind).or_default(), "  {status} ×{times}");
    }
    for (kind, line) in table {
        println!("{kind:<28}{line}");
    }
    println!(
        "\n{attacks} attacks in {:.0} s; meanwhile {} honest answers, {} told to come back, the \
         slowest {} ms",
        took.as_secs_f64(),
        served.into_inner(),
        turned_away.into_inner(),
        worst.into_inner()
    );
    println!(
        "resident memory: {} MiB before, {} MiB peak, {} MiB after",
        before >> 10,
        peak >> 10,
        after >> 10
    );
    let mut failures = failures.into_inner().unwrap();
    failures.extend(rounds::all(&server, &samples, attacks));
    let peak = peak.max(server.memory("VmHWM"));
    if !matches!(still, Ok(200)) {
        failures.push(format!("afterwards: {still:?}"));
    }
    if peak > MOST_MEMORY_KIB {
        failures.push(format!("memory reached {peak} KiB, expected at most {MOST_MEMORY_KIB}"));
    }
    if let Some(status) = server.process.try_wait().unwrap() {
        failures.push(format!("the server ended: {status}"));
    }
    let code = server.stop("-TERM");
    if code != Some(0) {
        failures.push(format!("SIGTERM gave {code:?}, expected 0"));
    }
    failures.extend(replaced::gallery(&binary));
    for failure in failures.iter().take(20) {
        println!("FAILED {failure}");
    }
    std::process::exit(i32::from(!failures.is_empty()));
}
