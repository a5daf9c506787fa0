//! The connections of a reader: as many as are asked for at once, up to a limit.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use postgres::Client;

use super::address::Address;
use super::connection::{self, Connection, READING};
use crate::Error;

/// The most connections that one reader opens; a server allows 100 by default, for everybody.
pub(super) const CONNECTIONS: usize = 8;

/// How long a question waits for a connection.
const WAITING: Duration = Duration::from_secs(30);

pub(super) struct Pool {
    address: Address,
    connections: Mutex<Connections>,
    given_back: Condvar,
}

#[derive(Default)]
struct Connections {
    idle: Vec<Client>,
    /// Idle or in use.
    open: usize,
}

/// The right to one connection, given back when it is dropped.
struct Place<'a> {
    pool: &'a Pool,
    client: Option<Client>,
}

impl Pool {
    pub(super) fn new(address: Address, first: Client) -> Self {
        let connections = Mutex::new(Connections { idle: vec![first], open: 1 });
        Self { address, connections, given_back: Condvar::new() }
    }

    pub(super) fn location(&self) -> &str {
        &self.address.shown
    }

    /// Asks over an idle connection, or another one. A question only reads: where an idle connection
    /// turns out to be lost, it is asked again over a new one.
    ///
    /// # Errors
    /// Those of the question; no connection within 30 seconds, or none at all.
    pub(super) fn ask<T>(
        &self,
        question: impl Fn(&mut Client) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let mut place = self.place()?;
        if let Some(client) = &mut place.client {
            match question(client) {
                Err(_) if client.is_closed() => place.client = None,
                answer => return answer,
            }
        }
        let Connection { client, .. } = connection::open(&self.address, READING)?;
        question(place.client.insert(client))
    }

    fn place(&self) -> Result<Place<'_>, Error> {
        let until = Instant::now() + WAITING;
        let mut connections = self.lock();
        loop {
            if let Some(client) = connections.idle.pop() {
                return Ok(Place { pool: self, client: Some(client) });
            }
            if connections.open < CONNECTIONS {
                connections.open += 1;
                return Ok(Place { pool: self, client: None });
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(Error::Connection {
                    location: self.address.shown.clone(),
                    reason: format!(
                        "all {CONNECTIONS} connections of this reader were busy for {} seconds",
                        WAITING.as_secs()
                    ),
                });
            }
            let waited = self.given_back.wait_timeout(connections, left);
            connections = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Connections> {
        self.connections.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut connections = self.pool.lock();
        match self.client.take().filter(|client| !client.is_closed()) {
            Some(client) => connections.idle.push(client),
            None => connections.open -= 1,
        }
        drop(connections);
        self.pool.given_back.notify_one();
    }
}
