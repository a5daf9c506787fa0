//! A hostile round: thousands of malformed requests and pictures, slow clients and liars, while
//! honest clients go on searching.
//!
//! ```sh
//! cargo build --release
//! cargo run --release --example hostile -- target/release/tercet 10000
//! ```
//!
//! It starts the server itself, on this machine's own address, asks nobody else, and ends by its
//! count. What it counts as a failure: the server ends, an answer of 5xx that is not 503 with
//! `Retry-After`, an honest client that gets anything but its answer or 503, memory that grows past
//! a bound. Exit status 1 then.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{Cursor, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use image::{DynamicImage, ImageFormat, Rgb, RgbImage};
use rand::rngs::ChaCha8Rng;
use rand::{Rng, RngExt, SeedableRng};

const ATTACKERS: usize = 12;
const HONEST: usize = 3;

/// Resident memory that the server may reach: the bodies allowed at once (256 MiB), and what two or
/// more decoders of 50 megapixels take (8 bytes a pixel at most), and what it had before.
const MOST_MEMORY_KIB: u64 = 2 << 20;

fn main() {
    let mut arguments = std::env::args().skip(1);
    let binary = arguments.next().expect("expected the path of the tercet binary");
    let attacks: usize = arguments.next().map_or(10_000, |count| count.parse().unwrap());
    let mut server = Server::start(&binary);
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
    if !matches!(still, Ok(200)) {
        failures.push(format!("afterwards: {still:?}"));
    }
    if peak > MOST_MEMORY_KIB {
        failures.push(format!("memory reached {peak} KiB, expected at most {MOST_MEMORY_KIB}"));
    }
    if let Some(status) = server.process.try_wait().unwrap() {
        failures.push(format!("the server ended: {status}"));
    }
    let code = server.stop();
    if code != Some(130) {
        failures.push(format!("stopping gave {code:?}, expected 130"));
    }
    for failure in failures.iter().take(20) {
        println!("FAILED {failure}");
    }
    std::process::exit(i32::from(!failures.is_empty()));
}

struct Server {
    process: Child,
    address: SocketAddr,
}

impl Server {
    fn start(binary: &str) -> Self {
        let mut process = Command::new(binary)
            .args(["serve", "--port", "0", "--json", "--quiet"])
            .stdout(Stdio::piped())
            .spawn()
            .expect("cannot start the server");
        let mut text = String::new();
        let mut out = process.stdout.take().unwrap();
        let mut byte = [0];
        while !text.trim_end().ends_with('}') && out.read(&mut byte).unwrap() == 1 {
            text.push(char::from(byte[0]));
        }
        let told: serde_json::Value = serde_json::from_str(&text).unwrap();
        let page = told["page"].as_str().unwrap();
        let address = page.trim_start_matches("http://").trim_end_matches('/').parse().unwrap();
        Self { process, address }
    }

    /// In KiB, as the kernel says.
    fn memory(&self, name: &str) -> u64 {
        let status = format!("/proc/{}/status", self.process.id());
        let status = std::fs::read_to_string(status).unwrap_or_default();
        let line = status.lines().find(|line| line.starts_with(name)).unwrap_or_default();
        line.split_whitespace().nth(1).and_then(|kib| kib.parse().ok()).unwrap_or(0)
    }

    fn stop(&mut self) -> Option<i32> {
        let id = self.process.id().to_string();
        let _ = Command::new("kill").args(["-INT", &id]).status();
        self.process.wait().unwrap().code()
    }
}

/// Sound pictures, to be spoilt.
struct Samples {
    pictures: Vec<Vec<u8>>,
    /// Tiny as files, large as pictures: below and above the limit.
    large: [Vec<u8>; 2],
}

impl Samples {
    fn new() -> Self {
        let noise = RgbImage::from_fn(64, 48, |x, y| {
            let n = (x * 7919 + y * 104_729).wrapping_mul(2_654_435_761);
            Rgb([n as u8, (n >> 8) as u8, (n >> 16) as u8])
        });
        let encoded = |picture: &RgbImage, format| {
            let mut bytes = Cursor::new(Vec::new());
            DynamicImage::from(picture.clone()).write_to(&mut bytes, format).unwrap();
            bytes.into_inner()
        };
        use ImageFormat::{Bmp, Gif, Jpeg, Png, Pnm, WebP};
        Self {
            pictures: [Png, Jpeg, WebP, Bmp, Gif, Pnm].map(|format| encoded(&noise, format)).into(),
            large: [(6000, 6000), (9000, 9000)]
                .map(|(width, height)| encoded(&RgbImage::new(width, height), Png)),
        }
    }

    fn honest(&self, address: SocketAddr) -> Vec<u8> {
        post(address, "/api/search?k=12", "image/png", &self.pictures[0])
    }
}

fn post(address: SocketAddr, target: &str, kind: &str, body: &[u8]) -> Vec<u8> {
    let mut request = format!(
        "POST {target} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\ncontent-type: {kind}\r\n\
         content-length: {}\r\n\r\n",
        body.len()
    )
    .into_bytes();
    request.extend_from_slice(body);
    request
}

/// Sends bytes and gives the status and head of the answer; 0 if the server closes without one.
fn ask(address: SocketAddr, request: &[u8]) -> std::io::Result<(u16, String)> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(90)))?;
    stream.set_write_timeout(Some(Duration::from_secs(90)))?;
    let _ = stream.write_all(request);
    Ok(answer(&mut stream))
}

fn answer(stream: &mut TcpStream) -> (u16, String) {
    let mut bytes = Vec::new();
    let _ = stream.read_to_end(&mut bytes);
    let text = String::from_utf8_lossy(&bytes);
    let head = text.split("\r\n\r\n").next().unwrap_or_default().to_ascii_lowercase();
    let status = head.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or(0);
    (status, head)
}

/// One of many ways to be unpleasant.
fn attack(address: SocketAddr, samples: &Samples, random: &mut ChaCha8Rng) -> (&'static str, u16) {
    let send = |request: &[u8]| ask(address, request).map_or(0, |(status, _)| status);
    let targets = ["/api/search", "/api/search?k=1000", "/api/items?id=x", "/api/items"];
    let target = targets[random.random_range(0..targets.len())];
    let mut picture = samples.pictures[random.random_range(0..samples.pictures.len())].clone();
    let kinds =
        ["image/png", "image/jpeg", "text/plain", "application/octet-stream", "a/b;c=\"", ""];
    let kind = kinds[random.random_range(0..kinds.len())];
    match random.random_range(0..24) {
        0..=3 => {
            picture.truncate(random.random_range(0..picture.len()));
            ("truncated picture", send(&post(address, target, kind, &picture)))
        }
        4..=6 => {
            for _ in 0..random.random_range(1..20) {
                let at = random.random_range(0..picture.len());
                picture[at] = random.random();
            }
            ("spoilt picture", send(&post(address, "/api/search", kind, &picture)))
        }
        7 => {
            let mut claiming = samples.pictures[0].clone();
            let side: [u8; 8] = random.random();
            claiming[16..24].copy_from_slice(&side);
            let checksum = crc32(&claiming[12..29]).to_be_bytes();
            claiming[29..33].copy_from_slice(&checksum);
            ("picture of huge dimensions", send(&post(address, target, kind, &claiming)))
        }
        8 if random.random_ratio(1, 4) => {
            let [below, above] = &samples.large;
            match random.random_ratio(1, 8) {
                true => ("bomb below the limit", send(&post(address, "/api/search", kind, below))),
                false => ("bomb above the limit", send(&post(address, target, kind, above))),
            }
        }
        8 | 9 => {
            let mut bytes = vec![0; random.random_range(0..50_000)];
            random.fill_bytes(&mut bytes);
            ("random bytes", send(&post(address, target, kind, &bytes)))
        }
        10 => {
            let bodies = [
                "{",
                "[]",
                "null",
                "{\"id\":1}",
                "{\"vector\":[1e999]}",
                "{\"vector\":[null]}",
                "{\"vector\":[]}",
                "{\"id\":\"\\u0000\"}",
                "{\"id\":\"\\ud800\"}",
                "\u{feff}{}",
            ];
            let body = bodies[random.random_range(0..bodies.len())];
            ("wrong JSON", send(&post(address, target, "application/json", body.as_bytes())))
        }
        11 => {
            let body = "[".repeat(random.random_range(1..200_000));
            (
                "JSON without an end",
                send(&post(address, target, "application/json", body.as_bytes())),
            )
        }
        12 => {
            let numbers = vec!["1e38"; random.random_range(1..5_000)].join(",");
            let body = format!("{{\"vector\":[{numbers}]}}");
            (
                "vector of another length",
                send(&post(address, target, "application/json", body.as_bytes())),
            )
        }
        13 => {
            let mut body = b"--x\r\ncontent-disposition: form-data; name=\"a\"\r\n\r\n".to_vec();
            body.extend_from_slice(&picture[..picture.len() / 2]);
            if random.random() {
                body.extend_from_slice(b"\r\n--x--\r\n");
            }
            let target = ["/api/compare", "/api/search"][random.random_range(0..2)];
            ("broken form", send(&post(address, target, "multipart/form-data; boundary=x", &body)))
        }
        14 => {
            let queries = [
                "k=-1",
                "k=99999999999999999999",
                "k=1&k=2",
                "%ff=%fe",
                "threshold=inf",
                "label=%00",
                "attribute=%",
                "without=%F0%9F%92%A9",
                "exact=maybe",
                "&&&==&",
                "k=1e3",
            ];
            let query = queries[random.random_range(0..queries.len())];
            (
                "wrong parameters",
                send(&post(address, &format!("/api/search?{query}"), kind, &picture)),
            )
        }
        15 => {
            let paths = [
                "/../../etc/passwd",
                "/api/items/%2e%2e%2f%2e%2e%2fetc%2fpasswd",
                "//",
                "/%",
                "/\u{7f}",
                "/api/items/%ff%fe",
                "/api/items/..%2fcatalogue.sqlite/thumbnail",
                "/%00",
                "*",
                "/api/items/a/b/c/d",
                "/API/SEARCH",
                "http://elsewhere.example/",
                "/?a#b",
            ];
            let path = paths[random.random_range(0..paths.len())];
            let request =
                format!("GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
            ("odd addresses", send(request.as_bytes()))
        }
        16 => {
            let heads = [
                "GET / HTTP/9.9\r\n\r\n",
                "GET\r\n\r\n",
                "\r\n\r\n\r\n",
                "GET / HTTP/1.1\r\n\r\n",
                "BREW /api/search HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n",
                "GET / HTTP/1.1\r\nhost: a\r\nhost: b\r\nconnection: close\r\n\r\n",
                "GET / HTTP/1.1\r\nhost: evil.example\r\nconnection: close\r\n\r\n",
                "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
                "GET / HTTP/1.0\r\n\r\n",
                "POST /api/search HTTP/1.1\r\nhost: localhost\r\ncontent-length: -1\r\n\r\n",
                "POST /api/search HTTP/1.1\r\nhost: localhost\r\ncontent-length: 99999999999999\r\n\
                 connection: close\r\n\r\n",
                "POST /api/search HTTP/1.1\r\nhost: localhost\r\ncontent-length: 5\r\n\
                 transfer-encoding: chunked\r\nconnection: close\r\n\r\nzz\r\n",
                "POST /api/search HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\
                 connection: close\r\n\r\nffffffffffffffff\r\n",
            ];
            ("wrong HTTP", send(heads[random.random_range(0..heads.len())].as_bytes()))
        }
        17 => {
            let name = "x".repeat(random.random_range(1..100_000));
            let request = format!(
                "GET /{name} HTTP/1.1\r\nhost: localhost\r\nx: {name}\r\nconnection: close\r\n\r\n"
            );
            ("head without an end", send(request.as_bytes()))
        }
        18 => {
            let mut bytes = vec![0; random.random_range(1..3_000)];
            random.fill_bytes(&mut bytes);
            bytes.extend_from_slice(b"\r\n\r\n");
            ("noise", send(&bytes))
        }
        19 | 20 => ("promises more than it sends", {
            let request = post(address, target, kind, &picture);
            let cut = request.len() - random.random_range(1..picture.len());
            let gone = TcpStream::connect(address).map(|mut stream| {
                let _ = stream.write_all(&request[..cut]);
                stream.shutdown(std::net::Shutdown::Write).ok();
                stream.set_read_timeout(Some(Duration::from_secs(60))).ok();
                answer(&mut stream).0
            });
            gone.unwrap_or(0)
        }),
        21 => ("leaves in the middle", {
            let request = post(address, target, kind, &picture);
            if let Ok(mut stream) = TcpStream::connect(address) {
                let _ = stream.write_all(&request[..random.random_range(0..request.len())]);
            }
            0
        }),
        22 if random.random_ratio(1, 8) => ("drips", {
            let request = post(address, target, kind, &picture);
            match TcpStream::connect(address) {
                Err(_) => 0,
                Ok(mut stream) => {
                    // A byte now and then, for as long as it is listened to.
                    let start = Instant::now();
                    for byte in &request {
                        if start.elapsed() > Duration::from_secs(15)
                            || stream.write_all(&[*byte]).is_err()
                        {
                            break;
                        }
                        std::thread::sleep(Duration::from_millis(random.random_range(50..400)));
                    }
                    stream.set_read_timeout(Some(Duration::from_secs(60))).ok();
                    answer(&mut stream).0
                }
            }
        }),
        22 => ("too large a body", {
            let body = vec![0; (16 << 20) + random.random_range(1..1000)];
            send(&post(address, target, kind, &body))
        }),
        _ => ("reads nothing", {
            if let Ok(mut stream) = TcpStream::connect(address) {
                let ask = format!("GET /api/items?limit=1000 HTTP/1.1\r\nhost: {address}\r\n\r\n");
                stream.set_write_timeout(Some(Duration::from_millis(100))).ok();
                for _ in 0..5 {
                    if stream.write_all(ask.as_bytes()).is_err() {
                        break;
                    }
                }
                std::thread::sleep(Duration::from_millis(random.random_range(0..300)));
            }
            0
        }),
    }
}

fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0_u32, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| {
            (crc >> 1) ^ (0xEDB8_8320 & (crc & 1).wrapping_neg())
        })
    })
}
