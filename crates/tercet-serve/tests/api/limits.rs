//! Too much, too large, too slow, too many.

use std::io::{Cursor, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use image::{DynamicImage, ImageFormat, RgbImage};
use serde_json::json;

use crate::client::{Request, response};
use crate::world::{World, one};

fn png(width: u32, height: u32) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    let picture = DynamicImage::from(RgbImage::new(width, height));
    picture.write_to(&mut bytes, ImageFormat::Png).unwrap();
    bytes.into_inner()
}

/// A PNG that claims another size than it has.
fn claiming(width: u32, height: u32) -> Vec<u8> {
    let mut bytes = png(4, 4);
    bytes[16..20].copy_from_slice(&width.to_be_bytes());
    bytes[20..24].copy_from_slice(&height.to_be_bytes());
    let checksum = crc32(&bytes[12..29]).to_be_bytes();
    bytes[29..33].copy_from_slice(&checksum);
    bytes
}

fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0_u32, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| {
            (crc >> 1) ^ (0xEDB8_8320 & (crc & 1).wrapping_neg())
        })
    })
}

#[test]
fn what_is_no_sound_picture_is_refused_by_what_is_wrong_with_it() {
    let world = World::shared(|_| {});
    let search = |body: Vec<u8>| world.post("/api/search").body("image/png", body).send();
    search(Vec::new()).refused(400, "malformed");
    search(b"<html>".to_vec()).refused(415, "no-picture");
    let (_, picture) = one();
    search(picture[..picture.len() / 2].to_vec()).refused(422, "undecodable");
    search(picture[..12].to_vec()).refused(422, "undecodable");
    let mut flipped = picture.clone();
    let middle = flipped.len() / 2;
    flipped[middle] ^= 0xFF;
    search(flipped).refused(422, "undecodable");
}

#[test]
fn few_bytes_cannot_ask_for_much_memory() {
    let world = World::shared(|settings| settings.limits.pixels = 1_000_000);
    let search = |body: Vec<u8>| world.post("/api/search").body("image/png", body).send();
    let start = Instant::now();
    assert!(search(claiming(60_000, 60_000)).refused(413, "too-large").contains("60000"));
    search(claiming(1, 20_000)).refused(413, "too-large");
    search(claiming(u32::MAX / 2, u32::MAX / 2));
    // Honest, tiny as a file, and a million and a bit pixels large.
    search(png(1001, 1000)).refused(413, "too-large");
    assert_eq!(search(png(1000, 1000)).status, 200);
    assert!(start.elapsed() < Duration::from_secs(20));
}

#[test]
fn bodies_end_where_they_are_too_large() {
    let world = World::shared(|settings| settings.limits.body = 10_000);
    let search = |body: Vec<u8>| world.post("/api/search").body("image/png", body).send();
    assert!(search(vec![0; 10_001]).refused(413, "too-large").contains("10000"));
    search(vec![0; 10_000]).refused(415, "no-picture");
    // Without saying how much is to come.
    let mut stream = TcpStream::connect(world.address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let head = format!(
        "POST /api/search HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n\
         transfer-encoding: chunked\r\n\r\n",
        world.address
    );
    stream.write_all(head.as_bytes()).unwrap();
    for _ in 0..11 {
        let _ = stream.write_all(b"3e8\r\n");
        let _ = stream.write_all(&[0; 1000]);
        let _ = stream.write_all(b"\r\n");
    }
    response(&mut stream).unwrap().refused(413, "too-large");
}

#[test]
fn all_bodies_together_are_bounded() {
    let world = World::shared(|settings| {
        settings.limits.body = 100_000;
        settings.limits.bodies = 150_000;
    });
    let slow = world.post("/api/search").body("image/png", vec![0; 100_000]);
    let mut stream = TcpStream::connect(world.address).unwrap();
    slow.start(&mut stream).unwrap();
    stream.write_all(&[0; 90_000]).unwrap();
    std::thread::sleep(Duration::from_millis(300));
    let turned_away = world.post("/api/search").body("image/png", vec![0; 80_000]).send();
    assert_eq!(turned_away.header("retry-after"), Some("1"));
    turned_away.refused(503, "busy");
    // What was taken is given back.
    drop(stream);
    let start = Instant::now();
    loop {
        let answer = world.post("/api/search").body("image/png", vec![0; 80_000]).send();
        if answer.status == 415 {
            break;
        }
        assert!(start.elapsed() < Duration::from_secs(20), "{answer:?}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn slow_clients_are_let_go() {
    let world = World::shared(|settings| {
        settings.limits.head = Duration::from_millis(400);
        settings.limits.upload = Duration::from_millis(400);
    });
    let closes_within = |mut stream: TcpStream, seconds: u64| {
        let start = Instant::now();
        stream.set_read_timeout(Some(Duration::from_secs(seconds))).unwrap();
        let mut text = Vec::new();
        stream.read_to_end(&mut text).unwrap();
        assert!(start.elapsed() < Duration::from_secs(seconds));
        String::from_utf8_lossy(&text).into_owned()
    };
    // Says nothing; stops in the middle of the head.
    closes_within(TcpStream::connect(world.address).unwrap(), 20);
    let mut stream = TcpStream::connect(world.address).unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nhost: loc").unwrap();
    closes_within(stream, 20);
    // Stops in the middle of the body.
    let mut stream = TcpStream::connect(world.address).unwrap();
    world.post("/api/search").body("image/png", vec![0; 1000]).start(&mut stream).unwrap();
    stream.write_all(&[0; 10]).unwrap();
    let text = closes_within(stream, 20);
    assert!(text.starts_with("HTTP/1.1 408") && text.contains("too-slow"), "{text}");
}

#[test]
fn connections_beyond_the_last_are_turned_away() {
    let world = World::shared(|settings| settings.limits.connections = 2);
    // They have sent a head, and are about to send a body.
    let held: Vec<TcpStream> = (0..2)
        .map(|_| {
            let mut stream = TcpStream::connect(world.address).unwrap();
            world.post("/api/search").body("image/png", vec![0; 9]).start(&mut stream).unwrap();
            stream
        })
        .collect();
    std::thread::sleep(Duration::from_millis(200));
    let turned_away = world.get("/health").send();
    assert_eq!(turned_away.header("retry-after"), Some("1"));
    turned_away.refused(503, "busy");
    drop(held);
    let start = Instant::now();
    while world.get("/health").send().status != 200 {
        assert!(start.elapsed() < Duration::from_secs(20));
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn half_sent_heads_keep_nobody_out() {
    for connections in [4, 64] {
        let world = World::shared(|settings| {
            settings.limits.connections = connections;
            settings.limits.connections_per_address = connections;
        });
        let half = |head: &[u8]| {
            let mut stream = TcpStream::connect(world.address).unwrap();
            stream.write_all(head).unwrap();
            stream
        };
        let heads: [&[u8]; 3] = [b"", b"GET / HTTP/1.1\r\nhost: loc", b"POST /api/items HT"];
        let held: Vec<TcpStream> = (0..3 * connections).map(|at| half(heads[at % 3])).collect();
        std::thread::sleep(Duration::from_millis(200));
        let start = Instant::now();
        for _ in 0..20 {
            assert_eq!(world.get("/health").send().status, 200);
        }
        assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
        drop(held);
    }
}

#[test]
fn one_address_has_a_share_of_the_connections() {
    let world = World::shared(|settings| settings.limits.connections_per_address = 2);
    let held: Vec<TcpStream> = (0..2)
        .map(|_| {
            let mut stream = TcpStream::connect(world.address).unwrap();
            world.post("/api/search").body("image/png", vec![0; 9]).start(&mut stream).unwrap();
            stream
        })
        .collect();
    std::thread::sleep(Duration::from_millis(200));
    let refused = world.get("/health").send();
    assert_eq!(refused.header("retry-after"), Some("1"));
    assert!(refused.refused(503, "busy").contains("your address"));
    drop(held);
}

#[test]
fn large_pictures_do_not_block_small_ones() {
    let large = png(2400, 2400);
    let world = World::shared(|settings| {
        settings.limits.pixels = 2400 * 2400;
        settings.limits.queue = 40;
    });
    let ask = Request::clone(&world.post("/api/search?k=1").body("image/png", large));
    let (_, small) = one();
    let done = std::sync::atomic::AtomicUsize::new(0);
    std::thread::scope(|scope| {
        let asking: Vec<_> = (0..20)
            .map(|_| {
                scope.spawn(|| {
                    let status = ask.clone().send().status;
                    done.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
                    status
                })
            })
            .collect();
        std::thread::sleep(Duration::from_millis(100));
        let answer = world.post("/api/search?k=1").body("image/png", small).send();
        assert_eq!(answer.status, 200);
        let before = done.load(std::sync::atomic::Ordering::SeqCst);
        assert!(before < 20, "the small picture was answered after all large ones");
        let statuses: Vec<u16> = asking.into_iter().map(|asking| asking.join().unwrap()).collect();
        // A quarter of the queue is theirs.
        let served = statuses.iter().filter(|&&status| status == 200).count();
        assert!(served >= 10, "{statuses:?}");
        assert!(statuses.iter().all(|status| matches!(status, 200 | 503)), "{statuses:?}");
    });
}

#[test]
fn invented_methods_and_addresses_take_no_memory() {
    let world = World::shared(|_| {});
    for number in 0..200 {
        let mut stream = TcpStream::connect(world.address).unwrap();
        let head = format!(
            "M{number} /x{number} HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n\r\n",
            world.address
        );
        stream.write_all(head.as_bytes()).unwrap();
        assert!(response(&mut stream).unwrap().status >= 400);
    }
    let text = String::from_utf8(world.get("/metrics").send().body).unwrap();
    assert!(text.contains("method=\"other\"") && text.contains("route=\"other\""), "{text}");
    assert!(!text.contains("M1") && !text.contains("/x1"), "{text}");
    assert!(text.lines().count() < 100, "{text}");
}

#[test]
fn limits_that_cannot_be_kept_are_refused() {
    for change in [
        (|limits| limits.queue = usize::MAX) as fn(&mut tercet_serve::Limits),
        |limits| limits.connections = usize::MAX,
        |limits| limits.connections_per_address = 0,
        |limits| limits.batch = 0,
    ] {
        let mut settings = crate::world::settings(crate::world::glyphs());
        change(&mut settings.limits);
        let error = tercet_serve::Server::open(settings).err().unwrap().to_string();
        assert!(error.contains("expected a number from 1 to"), "{error}");
    }
}

#[test]
fn answers_that_nobody_reads_do_not_pile_up() {
    let world = World::shared(|settings| {
        settings.limits.unread = Duration::from_millis(300);
        settings.limits.connections = 1;
    });
    let mut deaf = TcpStream::connect(world.address).unwrap();
    let ask = format!("GET /api/items?limit=1000 HTTP/1.1\r\nhost: {}\r\n\r\n", world.address);
    deaf.set_write_timeout(Some(Duration::from_millis(200))).unwrap();
    let start = Instant::now();
    // Until the answers fill every buffer in between.
    while deaf.write_all(ask.as_bytes()).is_ok() && start.elapsed() < Duration::from_secs(10) {}
    let start = Instant::now();
    loop {
        let answer = world.get("/health").send();
        if answer.status == 200 {
            break;
        }
        assert!(start.elapsed() < Duration::from_secs(20), "{answer:?}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn a_full_queue_turns_away_and_empties() {
    let world = World::shared(|settings| settings.limits.queue = 1);
    let picture = png(2000, 2000);
    let ask = Request::clone(&world.post("/api/search?k=1").body("image/png", picture));
    let statuses: Vec<u16> = std::thread::scope(|scope| {
        let asking: Vec<_> = (0..16).map(|_| scope.spawn(|| ask.clone().send())).collect();
        let answers = asking.into_iter().map(|asking| asking.join().unwrap());
        answers
            .map(|answer| {
                if answer.status == 503 {
                    assert_eq!(answer.header("retry-after"), Some("1"));
                    answer.refused(503, "busy");
                }
                answer.status
            })
            .collect()
    });
    assert!(statuses.iter().all(|status| matches!(status, 200 | 503)), "{statuses:?}");
    assert!(statuses.contains(&200) && statuses.contains(&503), "{statuses:?}");
    assert_eq!(ask.send().status, 200);
}

#[test]
fn stopping_lets_answers_under_way_go_out() {
    let mut world = World::shared(|_| {});
    let (_, picture) = one();
    let mut stream = TcpStream::connect(world.address).unwrap();
    let request = world.post("/api/search?k=1").body("image/png", picture.clone());
    request.start(&mut stream).unwrap();
    stream.write_all(&picture[..10]).unwrap();
    std::thread::sleep(Duration::from_millis(200));
    world.ask_to_stop();
    std::thread::sleep(Duration::from_millis(300));
    assert!(TcpStream::connect(world.address).is_err(), "new connections are refused");
    stream.write_all(&picture[10..]).unwrap();
    let answer = response(&mut stream).unwrap();
    assert_eq!(answer.status, 200, "{answer:?}");
    world.stop();
}

#[test]
fn stopping_does_not_wait_for_ever() {
    let mut world = World::shared(|settings| settings.limits.farewell = Duration::from_millis(300));
    let mut stream = TcpStream::connect(world.address).unwrap();
    world.post("/api/search").body("image/png", vec![0; 100]).start(&mut stream).unwrap();
    std::thread::sleep(Duration::from_millis(200));
    let start = Instant::now();
    world.stop();
    assert!(start.elapsed() < Duration::from_secs(15));
}

#[test]
fn a_head_without_end_is_refused() {
    let world = World::shared(|_| {});
    let long = "x".repeat(64 << 10);
    let answer = world.get("/health").header("x-long", &long).send();
    assert!(matches!(answer.status, 431 | 400), "{answer:?}");
    let mut stream = TcpStream::connect(world.address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    stream
        .write_all(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 this is no HTTP\r\n\r\n")
        .unwrap();
    let mut text = Vec::new();
    let _ = stream.read_to_end(&mut text);
    let text = String::from_utf8_lossy(&text);
    assert!(text.is_empty() || text.starts_with("HTTP/1.1 400"), "{text}");
    let item = json!({ "id": one().0 });
    assert_eq!(world.post("/api/search").json(&item).send().status, 200);
}
