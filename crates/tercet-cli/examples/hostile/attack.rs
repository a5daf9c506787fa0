//! Single attacks, chosen at random.

use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use rand::rngs::ChaCha8Rng;
use rand::{Rng, RngExt};

use crate::client::{Samples, answer, ask, post};

/// One of many ways to be unpleasant.
pub(crate) fn attack(
    address: SocketAddr,
    samples: &Samples,
    random: &mut ChaCha8Rng,
) -> (&'static str, u16) {
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
