//! `tercet serve` as a process: how it starts, and how it ends.

#![allow(clippy::unwrap_used)]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;

fn tercet() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tercet"));
    command.arg("serve").env_remove("TERCET_TOKEN");
    command
}

fn refused(arguments: &[&str], status: i32) -> String {
    let Output { status: code, stdout, stderr } = tercet().args(arguments).output().unwrap();
    let text = String::from_utf8(stderr).unwrap();
    assert_eq!(code.code(), Some(status), "{text}");
    assert!(stdout.is_empty() && text.lines().count() <= 2, "{text}");
    text
}

fn send(signal: &str, process: &Child) {
    let id = process.id().to_string();
    assert!(Command::new("kill").args([signal, &id]).status().unwrap().success());
}

/// A server that has said where it is.
struct Started {
    process: Child,
    told: Value,
}

impl Started {
    fn new(command: &mut Command) -> Self {
        let command = command.args(["--port", "0", "--json"]);
        let process = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
        let mut process = process.unwrap();
        let mut text = String::new();
        let mut out = BufReader::new(process.stdout.take().unwrap());
        while !text.ends_with("}\n") && out.read_line(&mut text).unwrap() > 0 {}
        match serde_json::from_str(&text) {
            Ok(told) => Self { process, told },
            Err(_) => {
                let ended = process.wait_with_output().unwrap();
                panic!("{text}{}", String::from_utf8_lossy(&ended.stderr))
            }
        }
    }

    /// Ends it by a signal; its status, and what it has written to standard error.
    fn end(self, signal: &str) -> (Option<i32>, String) {
        send(signal, &self.process);
        let ended = self.process.wait_with_output().unwrap();
        (ended.status.code(), String::from_utf8(ended.stderr).unwrap())
    }
}

#[test]
fn it_says_where_it_is_and_ends_on_interrupt() {
    let started = Started::new(&mut tercet());
    let told = &started.told;
    assert_eq!((&told["gallery"], &told["items"]), (&"glyphs".into(), &2100.into()));
    assert_eq!(told["model"].as_str().unwrap().len(), 16);
    let address =
        told["page"].as_str().unwrap().trim_start_matches("http://").trim_end_matches('/');
    let mut stream = TcpStream::connect(address).unwrap();
    let ask = format!("GET / HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
    stream.write_all(ask.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("<title>Tercet"), "{answer}");
    let (status, said) = started.end("-INT");
    assert_eq!(status, Some(130), "{said}");
    assert!(said.ends_with("stopped\n"), "{said}");
}

/// A gallery that is opened quickly: two vectors of two numbers.
fn small_gallery(folder: &Path) -> PathBuf {
    let header =
        format!("{:<117}\n", "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 2), }");
    let mut npy = b"\x93NUMPY\x01\x00\x76\x00".to_vec();
    npy.extend_from_slice(header.as_bytes());
    npy.extend([0.0_f32, 1.0, 1.0, 0.0].iter().flat_map(|number| number.to_le_bytes()));
    let (file, gallery) = (folder.join("two.npy"), folder.join("two.gallery"));
    std::fs::write(&file, npy).unwrap();
    let mut create = Command::new(env!("CARGO_BIN_EXE_tercet"));
    let created = create.args(["gallery", "create"]).args([&gallery, &file]).output().unwrap();
    assert!(created.status.success(), "{}", String::from_utf8_lossy(&created.stderr));
    gallery
}

#[test]
fn sigterm_ends_it_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let gallery = small_gallery(folder.path());
    let (status, said) = Started::new(tercet().arg(gallery)).end("-TERM");
    assert_eq!(status, Some(0), "{said}");
    assert!(said.ends_with("stopped\n"), "{said}");
}

#[cfg(target_os = "linux")]
#[test]
fn the_page_is_opened_where_there_is_a_display() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let gallery = small_gallery(folder.path());
    // No display: it serves and says what to do.
    let mut headless = tercet();
    headless.arg(&gallery).arg("--open").env_remove("DISPLAY").env_remove("WAYLAND_DISPLAY");
    let started = Started::new(headless.env_remove("WSL_DISTRO_NAME"));
    let page = started.told["page"].as_str().unwrap().to_owned();
    let (status, said) = started.end("-TERM");
    assert_eq!(status, Some(0), "{said}");
    assert!(said.contains("no display") && said.contains(&format!("open {page}")), "{said}");

    let (launcher, opened) = (folder.path().join("xdg-open"), folder.path().join("opened"));
    let script = format!("#!/bin/sh\necho \"$1\" > '{}'\n", opened.display());
    std::fs::write(&launcher, script).unwrap();
    std::fs::set_permissions(&launcher, PermissionsExt::from_mode(0o755)).unwrap();
    let path = format!("{}:{}", folder.path().display(), std::env::var("PATH").unwrap());
    let started =
        Started::new(tercet().arg(&gallery).arg("--open").env("PATH", path).env("DISPLAY", ":9"));
    let page = started.told["page"].as_str().unwrap().to_owned();
    let began = std::time::Instant::now();
    while std::fs::read_to_string(&opened).unwrap_or_default().trim() != page {
        assert!(began.elapsed().as_secs() < 30, "the launcher was not started");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    assert_eq!(started.end("-TERM").0, Some(0));
}

#[test]
fn pictures_are_served_from_a_gallery_that_follows_them() {
    use image::{Rgb, RgbImage};
    let here = tempfile::tempdir().unwrap();
    let model = concat!(env!("CARGO_MANIFEST_DIR"), "/../tercet-serve/demo/glyphs.safetensors");
    let photos = here.path().join("photos");
    let paint = |name: &str, shade: u8| {
        let path = photos.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        RgbImage::from_fn(20, 20, |x, y| Rgb([shade, (x * 9) as u8, (y * 9) as u8]))
            .save(path)
            .unwrap();
    };
    for (name, shade) in [("ann/1.png", 10), ("ann/2.png", 40), ("bob/1.png", 200)] {
        paint(name, shade);
    }
    let start = || {
        let mut command = tercet();
        Started::new(command.args(["photos", "--model", model]).current_dir(here.path()))
    };
    let first = start();
    assert_eq!((&first.told["gallery"], &first.told["items"]), (&"photos".into(), &3.into()));
    let location = first.told["location"].as_str().unwrap().to_owned();
    assert!(location.starts_with("galleries/photos-"), "{location}");
    let (status, said) = first.end("-TERM");
    assert_eq!(status, Some(0), "{said}");
    assert!(said.contains(&location) && said.contains("3 added"), "{said}");

    let again = start();
    assert_eq!(again.told["location"], location.as_str());
    let (_, said) = again.end("-TERM");
    assert!(said.contains("3 items, up to date"), "{said}");

    std::fs::remove_file(photos.join("ann/2.png")).unwrap();
    paint("bob/1.png", 90);
    paint("cid/1.png", 130);
    let changed = start();
    assert_eq!(
        (&changed.told["items"], &changed.told["location"]),
        (&3.into(), &location.as_str().into())
    );
    let (_, said) = changed.end("-TERM");
    assert!(said.contains("2 added or changed") && said.contains("1 removed"), "{said}");
    let (_, said) = start().end("-TERM");
    assert!(said.contains("3 items, up to date"), "{said}");

    // A picture that cannot be read fails with its name, or is left out and counted.
    std::fs::write(photos.join("ann/bad.png"), "no picture").unwrap();
    let mut failing = tercet();
    failing.args(["photos", "--model", model, "--port", "0"]).current_dir(here.path());
    let Output { status, stderr, .. } = failing.output().unwrap();
    let text = String::from_utf8(stderr).unwrap();
    assert!(status.code() == Some(1) && text.contains("bad.png"), "{text}");
    let mut skipping = tercet();
    skipping.args(["photos", "--model", model, "--skip-bad"]).current_dir(here.path());
    let (_, said) = Started::new(&mut skipping).end("-TERM");
    assert!(said.contains("3 items") && said.contains("1 left out"), "{said}");
}

#[test]
fn what_cannot_be_served_is_said_at_once() {
    let text = refused(&["--bind", "0.0.0.0"], 2);
    assert!(text.contains("--token") && text.contains("TERCET_TOKEN"), "{text}");
    assert!(refused(&["--token", "two words"], 2).contains("--token"));
    assert!(refused(&["--queue", "0"], 2).contains("--queue is 0"));
    let most = usize::MAX.to_string();
    for flag in ["--queue", "--max-connections", "--max-body", "--max-pixels", "--timeout"] {
        let text = refused(&[flag, &most], 2);
        assert!(text.contains(flag) && text.contains("from 1 to"), "{text}");
    }
    let text = refused(&["--bind", "0.0.0.0", "--token", "short"], 2);
    assert!(text.contains("5 characters") && text.contains("at least 16"), "{text}");
    assert!(refused(&["--model", "x.safetensors", "--port", "0"], 2).contains("GALLERY"));
    let folder = tempfile::tempdir().unwrap();
    let gone = folder.path().join("gone").display().to_string();
    let text = refused(&[&gone, "--port", "0"], 1);
    assert!(text.contains("is no gallery") && text.contains("gone"), "{text}");
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let text = refused(&["--port", &port], 1);
    assert!(text.contains(&port) && text.contains("--port"), "{text}");
}
