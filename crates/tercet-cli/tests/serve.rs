//! `tercet serve` as a process: how it starts, and how it ends.

#![allow(clippy::unwrap_used)]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
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

fn interrupt(process: &Child) {
    let id = process.id().to_string();
    assert!(Command::new("kill").args(["-INT", &id]).status().unwrap().success());
}

#[test]
fn it_says_where_it_is_and_ends_on_interrupt() {
    let mut process = tercet()
        .args(["--port", "0", "--json"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut text = String::new();
    let mut out = BufReader::new(process.stdout.take().unwrap());
    while !text.ends_with("}\n") && out.read_line(&mut text).unwrap() > 0 {}
    let told: Value = serde_json::from_str(&text).unwrap();
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
    interrupt(&process);
    let ended = process.wait_with_output().unwrap();
    assert_eq!(ended.status.code(), Some(130));
    assert!(String::from_utf8(ended.stderr).unwrap().ends_with("stopped\n"));
}

#[test]
fn what_cannot_be_served_is_said_at_once() {
    let text = refused(&["--bind", "0.0.0.0"], 2);
    assert!(text.contains("--token") && text.contains("TERCET_TOKEN"), "{text}");
    assert!(refused(&["--token", "two words"], 2).contains("--token"));
    assert!(refused(&["--queue", "0"], 2).contains("--queue is 0"));
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
