//! How much a client may ask for.

use std::time::Duration;

/// Bounds on what one client, and all of them together, can make the server do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a request's body. Default 16 MiB.
    pub body: usize,
    /// Bytes of all bodies that are in memory at once; whoever comes beyond is told to come back.
    /// Default 256 MiB.
    pub bodies: usize,
    /// Pixels of a picture. Default 50 million.
    pub pixels: u64,
    /// Pictures that wait to be embedded; whoever comes beyond is told to come back. Default 64.
    pub queue: usize,
    /// Pictures in one forward pass. Default 32.
    pub batch: usize,
    /// Connections at once; whoever comes beyond is told to come back. Default 512.
    pub connections: usize,
    /// From a connection, or the answer before, to the end of a request's head. Default 10 s.
    pub head: Duration,
    /// From a request's head to the end of its body. Default 20 s.
    pub upload: Duration,
    /// From a request's head to its answer. Default 30 s.
    pub answer: Duration,
    /// How long a client may leave its answer unread. Default 20 s.
    pub unread: Duration,
    /// How long requests may go on after the server was told to stop. Default 5 s.
    pub farewell: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            body: 16 << 20,
            bodies: 256 << 20,
            pixels: 50_000_000,
            queue: 64,
            batch: 32,
            connections: 512,
            head: Duration::from_secs(10),
            upload: Duration::from_secs(20),
            answer: Duration::from_secs(30),
            unread: Duration::from_secs(20),
            farewell: Duration::from_secs(5),
        }
    }
}
