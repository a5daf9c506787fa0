//! A gallery that is deleted and made again, or replaced by a copy, under a running server.

use std::fs;
use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::client::{answer, ask, get, post};
use crate::server::Server;

/// How long the server may take to see another gallery.
const PATIENCE: Duration = Duration::from_secs(20);

/// Serves a gallery, replaces it by another of the same form and as many changes, and expects
/// the items, the map and additions to be those of the new one; what went wrong.
pub(crate) fn gallery(binary: &str) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("served");
    let other = folder.path().join("other");
    create(binary, &place, "first", 0.0);
    create(binary, &other, "second", 1.0);
    let mut server = Server::start(binary, Some(&place));
    let address = server.address;
    let mut failures = Vec::new();
    let mut expect = |what: &str, holds: bool| {
        if !holds {
            failures.push(format!("a replaced gallery: {what}"));
        }
    };
    let status = |target: &str| get(address, target).map_or(0, |(status, _)| status);
    expect("an item of the first gallery is there", status("/api/items/first-0") == 200);
    let tag = map_tag(address, None);

    fs::remove_dir_all(&place).unwrap();
    fs::rename(&other, &place).unwrap();
    let began = Instant::now();
    while status("/api/items/second-0") != 200 && began.elapsed() < PATIENCE {
        sleep(Duration::from_millis(100));
    }
    println!("a replaced gallery is seen after {} ms", began.elapsed().as_millis());
    expect("an item of the second gallery is found", status("/api/items/second-0") == 200);
    expect("an item of the first gallery is gone", status("/api/items/first-0") == 404);
    let body = br#"{"vector":[0.5,0.5,0.5,0.5]}"#;
    let add = post(address, "/api/items?id=added", "application/json", body);
    let added = ask(address, &add).map_or(0, |(status, _)| status);
    expect("an addition is acknowledged", added == 201);
    expect("an acknowledged item is there", status("/api/items/added") == 200);
    let mut reader = Server::start(binary, Some(&place));
    let found = get(reader.address, "/api/items/added").map_or(0, |(status, _)| status);
    expect("an acknowledged item is in the gallery on disk", found == 200);
    expect("the map is another one", map_tag(address, Some(&tag)) != tag);
    let ends = [server.stop("-TERM"), reader.stop("-TERM")];
    expect("both servers end in order", ends == [Some(0), Some(0)]);
    failures
}

/// The ETag of the map, once there is one that is not stale; of an answer 304 the one given.
fn map_tag(address: SocketAddr, given: Option<&str>) -> String {
    let began = Instant::now();
    while began.elapsed() < PATIENCE {
        let mut stream = TcpStream::connect(address).unwrap();
        let condition = given.map_or_else(String::new, |tag| format!("if-none-match: {tag}\r\n"));
        let request = format!(
            "GET /api/projection HTTP/1.1\r\nhost: {address}\r\n{condition}connection: close\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).unwrap();
        let (status, head) = answer(&mut stream);
        let tag = head.lines().find_map(|line| line.strip_prefix("etag: ")).unwrap_or_default();
        if matches!(status, 200 | 304) && !tag.contains("stale") {
            return tag.to_owned();
        }
        sleep(Duration::from_millis(100));
    }
    String::new()
}

/// A gallery of twelve vectors whose ids begin with a word.
fn create(binary: &str, place: &Path, word: &str, shift: f32) {
    let header = "{'descr': '<f4', 'fortran_order': False, 'shape': (12, 4), }";
    let header = format!("{header:<117}\n");
    let mut npy = b"\x93NUMPY\x01\x00".to_vec();
    npy.extend_from_slice(&(header.len() as u16).to_le_bytes());
    npy.extend_from_slice(header.as_bytes());
    let numbers = (0..48).map(|at| (at as f32 * 0.7).sin() + shift);
    npy.extend(numbers.flat_map(f32::to_le_bytes));
    let file = place.with_extension("npy");
    fs::write(&file, npy).unwrap();
    let prefix = format!("{word}-");
    let made = Command::new(binary)
        .args(["gallery", "create", "--quiet"])
        .args([place, &file])
        .args(["--prefix", &prefix])
        .stdout(Stdio::null())
        .status();
    assert!(made.unwrap().success(), "cannot create a gallery");
}
