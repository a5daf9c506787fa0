//! Attacks that need many requests of one kind, one after the other.

use std::fmt::Write as _;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{scope, sleep};
use std::time::{Duration, Instant};

use crate::client::{Samples, answer, ask, get, post};
use crate::server::Server;

/// How long an honest client may wait for a small answer while others attack.
const PATIENCE: Duration = Duration::from_secs(10);

/// Connections that the server allows at once.
const CONNECTIONS: usize = 512;

/// Memory that the metrics may take for methods and addresses that do not exist.
const METRICS_KIB: u64 = 8 << 10;

/// All of them; what went wrong.
pub(crate) fn all(server: &Server, samples: &Samples, attacks: usize) -> Vec<String> {
    let mut failures = leaving(server.address, (attacks / 10).clamp(50, 500));
    failures.extend(half_sent_heads(server.address));
    failures.extend(invented_methods(server, 2 * attacks));
    failures.extend(large_pictures(server, samples));
    failures
}

/// Clients that leave in the middle of an addition. Honest clients add meanwhile, and each of their
/// additions must succeed and be there afterwards.
fn leaving(address: SocketAddr, additions: usize) -> Vec<String> {
    let vector = vec!["0.5"; dimensions(address)].join(",");
    let body = format!("{{\"vector\":[{vector}]}}");
    let add = |id: &str| {
        let target = format!("/api/items?id={id}");
        post(address, &target, "application/json", body.as_bytes())
    };
    let (done, left) = (AtomicBool::new(false), AtomicUsize::new(0));
    let mut failures = Vec::new();
    scope(|scope| {
        for leaver in 0..4 {
            let (done, left, add) = (&done, &left, &add);
            scope.spawn(move || {
                for number in 0_u64.. {
                    if done.load(Ordering::Relaxed) {
                        break;
                    }
                    let request = add(&format!("left-{leaver}-{number}"));
                    if let Ok(mut stream) = TcpStream::connect(address) {
                        let _ = stream.write_all(&request);
                        sleep(Duration::from_millis(number % 9));
                    }
                    left.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        let (mut refused, mut worst) = (0, Duration::ZERO);
        for number in 0..additions {
            let start = Instant::now();
            let status = ask(address, &add(&format!("honest-{number}"))).map(|(status, _)| status);
            worst = worst.max(start.elapsed());
            if !matches!(status, Ok(201)) {
                refused += 1;
                failures.push(format!("an honest addition while others leave: {status:?}"));
            }
        }
        done.store(true, Ordering::Relaxed);
        println!(
            "{} clients left in the middle of an addition; of {additions} honest ones {refused} were \
             refused, the slowest took {} ms",
            left.load(Ordering::Relaxed),
            worst.as_millis()
        );
    });
    for number in 0..additions {
        let found = get(address, &format!("/api/items/honest-{number}")).map(|(status, _)| status);
        if !matches!(found, Ok(200)) {
            failures.push(format!("an acknowledged item: {found:?}"));
        }
    }
    failures
}

/// More connections than there are places, each with half of a head, opened again when they are
/// closed. Whoever sends a whole request must get an answer.
fn half_sent_heads(address: SocketAddr) -> Vec<String> {
    let done = AtomicBool::new(false);
    let mut failures = Vec::new();
    scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let mut held: Vec<TcpStream> = Vec::new();
                while !done.load(Ordering::Relaxed) {
                    held.retain_mut(is_open);
                    for _ in held.len()..CONNECTIONS / 2 {
                        let Ok(mut stream) = TcpStream::connect(address) else { break };
                        let _ = stream.write_all(b"GET /api/gallery HTTP/1.1\r\nhost: loc");
                        let _ = stream.set_nonblocking(true);
                        held.push(stream);
                    }
                    sleep(Duration::from_millis(50));
                }
            });
        }
        sleep(Duration::from_millis(500));
        let (start, mut answered, mut worst) = (Instant::now(), 0, Duration::ZERO);
        while start.elapsed() < Duration::from_secs(6) {
            let asked = Instant::now();
            let status = get(address, "/api/gallery").map(|(status, _)| status);
            worst = worst.max(asked.elapsed());
            match status {
                Ok(200) => answered += 1,
                other => failures.push(format!("while heads are half sent: {other:?}")),
            }
            sleep(Duration::from_millis(20));
        }
        done.store(true, Ordering::Relaxed);
        println!(
            "{} connections with half a head held: {answered} honest answers, the slowest {} ms",
            2 * CONNECTIONS,
            worst.as_millis()
        );
        if worst > PATIENCE {
            failures.push(format!("half-sent heads: an answer took {} ms", worst.as_millis()));
        }
    });
    failures
}

fn is_open(stream: &mut TcpStream) -> bool {
    match stream.read(&mut [0; 256]) {
        Ok(read) => read > 0,
        Err(error) => error.kind() == std::io::ErrorKind::WouldBlock,
    }
}

/// Methods and addresses that do not exist: metrics must not remember each of them.
fn invented_methods(server: &Server, requests: usize) -> Vec<String> {
    let address = server.address;
    let before = server.memory("VmRSS");
    let next = AtomicUsize::new(0);
    scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while next.load(Ordering::Relaxed) < requests {
                    let Ok(mut stream) = TcpStream::connect(address) else { continue };
                    // Some requests on one connection are faster than one each.
                    let mut text = String::new();
                    for last in (0..100).rev() {
                        let number = next.fetch_add(1, Ordering::Relaxed);
                        let connection = if last == 0 { "close" } else { "keep-alive" };
                        let _ = write!(
                            text,
                            "M{number:X} /{number} HTTP/1.1\r\nhost: {address}\r\n\
                             connection: {connection}\r\n\r\n"
                        );
                    }
                    let _ = stream.set_read_timeout(Some(Duration::from_secs(30)));
                    let _ = stream.write_all(text.as_bytes());
                    answer(&mut stream);
                }
            });
        }
    });
    let grown = server.memory("VmRSS").saturating_sub(before);
    let mut failures = Vec::new();
    let mut text = Vec::new();
    if let Ok(mut stream) = TcpStream::connect(address) {
        let request =
            format!("GET /metrics HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
        let _ = stream.write_all(request.as_bytes());
        let _ = stream.read_to_end(&mut text);
    }
    println!(
        "{} invented methods: memory grew by {} KiB, metrics have {} bytes",
        next.load(Ordering::Relaxed),
        grown,
        text.len()
    );
    if grown > METRICS_KIB {
        failures.push(format!("invented methods took {grown} KiB, expected at most {METRICS_KIB}"));
    }
    if text.len() > 64 << 10 || text.is_empty() {
        failures.push(format!("metrics have {} bytes", text.len()));
    }
    failures
}

/// Forty uploads of a small file of 49 megapixels. Small pictures must be answered meanwhile.
fn large_pictures(server: &Server, samples: &Samples) -> Vec<String> {
    let address = server.address;
    let request = post(address, "/api/search?k=1", "image/png", &samples.largest);
    let done = AtomicBool::new(false);
    let mut failures = Vec::new();
    let mut statuses = std::collections::BTreeMap::<u16, usize>::new();
    scope(|scope| {
        let uploads: Vec<_> = (0..40)
            .map(|_| scope.spawn(|| ask(address, &request).map_or(0, |(status, _)| status)))
            .collect();
        let small = scope.spawn(|| {
            let (mut served, mut busy, mut worst) = (0, 0, Duration::ZERO);
            let mut wrong = Vec::new();
            while !done.load(Ordering::Relaxed) {
                let start = Instant::now();
                match ask(address, &samples.honest(address)) {
                    Ok((200, _)) => {
                        served += 1;
                        worst = worst.max(start.elapsed());
                    }
                    Ok((503, _)) => busy += 1,
                    other => wrong.push(format!("among large pictures: {other:?}")),
                }
                sleep(Duration::from_millis(20));
            }
            (served, busy, worst, wrong)
        });
        for upload in uploads {
            *statuses.entry(upload.join().unwrap()).or_default() += 1;
        }
        done.store(true, Ordering::Relaxed);
        let (served, busy, worst, wrong) = small.join().unwrap();
        failures.extend(wrong);
        println!(
            "40 pictures of 49 megapixels: {statuses:?}; meanwhile {served} small ones, {busy} asked \
             to come back, the slowest {} ms; peak memory {} MiB",
            worst.as_millis(),
            server.memory("VmHWM") >> 10
        );
        if worst > PATIENCE || served == 0 {
            let took = worst.as_millis();
            failures.push(format!("{served} small pictures among large ones, in up to {took} ms"));
        }
    });
    if statuses.keys().any(|status| !matches!(status, 200 | 408 | 503)) {
        failures.push(format!("large pictures: {statuses:?}"));
    }
    failures
}

/// Components of the vectors of the gallery.
fn dimensions(address: SocketAddr) -> usize {
    let mut text = String::new();
    if let Ok(mut stream) = TcpStream::connect(address) {
        let request =
            format!("GET /api/gallery HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
        let _ = stream.write_all(request.as_bytes());
        let _ = stream.read_to_string(&mut text);
    }
    let body = text.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    let about: serde_json::Value = serde_json::from_str(body).unwrap_or_default();
    about["dimensions"].as_u64().unwrap_or(64) as usize
}
