//! Limits on the resources that clients may use.

use std::time::Duration;

use tercet::ParameterError;

/// The largest value of a limit that counts connections or pictures.
pub const MOST: usize = 1_000_000;

/// Limits for one client, and for all clients together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The largest body of a request, in bytes. Default 16 MiB.
    pub body: usize,
    /// Bytes of all bodies that are in memory at once; clients beyond that get 503. Default 256
    /// MiB.
    pub bodies: usize,
    /// The largest number of pixels of a picture. Default 50 million.
    pub pixels: u64,
    /// Pictures that wait to be embedded; clients beyond that get 503. From 1 to [`MOST`]; a quarter
    /// of them may be larger than 4 megapixels. Default 64.
    pub queue: usize,
    /// Pictures in one forward pass. Default 32.
    pub batch: usize,
    /// Connections at once, from 1 to [`MOST`]. Beyond that the connection that has been idle for
    /// the longest time is closed; if none is idle, the new client gets 503. Default 512.
    pub connections: usize,
    /// The same for the connections from one address (IPv6: from one /64 prefix), from 1 to
    /// [`MOST`]. Default 128.
    pub connections_per_address: usize,
    /// Time from the start of a connection, or from the previous answer, to the end of a request's
    /// head. Default 10 s.
    pub head: Duration,
    /// Time from the end of a request's head to the end of its body. Default 20 s.
    pub upload: Duration,
    /// Time from the end of a request's head to its answer. Default 30 s.
    pub answer: Duration,
    /// How long a change waits while another process writes the gallery. Default 5 s.
    pub writer: Duration,
    /// How long a client may leave its answer unread. Default 20 s.
    pub unread: Duration,
    /// How long running requests may take after the server was stopped. Default 5 s.
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
            connections_per_address: 128,
            head: Duration::from_secs(10),
            upload: Duration::from_secs(20),
            answer: Duration::from_secs(30),
            writer: Duration::from_secs(5),
            unread: Duration::from_secs(20),
            farewell: Duration::from_secs(5),
        }
    }
}

impl Limits {
    /// Refuses limits that are out of their range.
    ///
    /// # Errors
    /// [`ParameterError`] names the first limit out of its range.
    pub fn check(&self) -> Result<(), ParameterError> {
        /// More bytes than any machine's memory.
        const BYTES: u64 = 1 << 50;
        for (parameter, got, most) in [
            ("body", self.body as u64, BYTES),
            ("bodies", self.bodies as u64, BYTES),
            ("pixels", self.pixels, BYTES),
            ("queue", self.queue as u64, MOST as u64),
            ("batch", self.batch as u64, MOST as u64),
            ("connections", self.connections as u64, MOST as u64),
            ("connections_per_address", self.connections_per_address as u64, MOST as u64),
        ] {
            if !(1..=most).contains(&got) {
                let expected = format!("a number from 1 to {most}");
                return Err(ParameterError { parameter, got: got.to_string(), expected });
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_out_of_their_range_are_named() {
        Limits::default().check().unwrap();
        let most = Limits { queue: MOST, connections: MOST, ..Limits::default() };
        most.check().unwrap();
        for got in [0, MOST + 1, usize::MAX] {
            let error = Limits { queue: got, ..Limits::default() }.check().unwrap_err();
            assert_eq!((error.parameter, error.got), ("queue", got.to_string()));
            let error = Limits { connections: got, ..Limits::default() }.check().unwrap_err();
            assert!(error.to_string().contains("connections is"), "{error}");
        }
    }
}
