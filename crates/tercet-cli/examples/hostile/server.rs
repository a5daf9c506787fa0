//! The server that is attacked.

use std::io::Read;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};

pub(crate) struct Server {
    pub(crate) process: Child,
    pub(crate) address: SocketAddr,
}

impl Server {
    /// Starts `tercet serve` on a gallery, or on the embedded pictures.
    pub(crate) fn start(binary: &str, gallery: Option<&Path>) -> Self {
        let mut process = Command::new(binary)
            .args(["serve", "--port", "0", "--json", "--quiet"])
            .args(gallery)
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
    pub(crate) fn memory(&self, name: &str) -> u64 {
        let status = format!("/proc/{}/status", self.process.id());
        let status = std::fs::read_to_string(status).unwrap_or_default();
        let line = status.lines().find(|line| line.starts_with(name)).unwrap_or_default();
        line.split_whitespace().nth(1).and_then(|kib| kib.parse().ok()).unwrap_or(0)
    }

    /// Ends it by a signal; its status.
    pub(crate) fn stop(&mut self, signal: &str) -> Option<i32> {
        let id = self.process.id().to_string();
        let _ = Command::new("kill").args([signal, &id]).status();
        self.process.wait().unwrap().code()
    }
}
