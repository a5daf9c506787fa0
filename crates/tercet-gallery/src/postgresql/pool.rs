//! The connection pool of a reader: it opens connections as they are needed, up to a limit.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use postgres::Client;
use postgres::error::SqlState;

use super::address::Address;
use super::connection::{self, Connection, READING};
use crate::Error;

/// The most connections that one reader opens; a server allows 100 in total by default.
pub(super) const CONNECTIONS: usize = 8;

/// How long a query waits for a connection.
const WAITING: Duration = Duration::from_secs(30);

pub(super) struct Pool {
    address: Address,
    connections: Mutex<Connections>,
    given_back: Condvar,
}

#[derive(Default)]
struct Connections {
    idle: Vec<Client>,
    /// The number of connections, idle or in use.
    open: usize,
}

/// The right to use one connection, returned to the pool when it is dropped.
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

    /// Runs a query over an idle connection, or a new one. A query only reads: if an idle
    /// connection turns out to be lost, the query is run again over a new one.
    ///
    /// # Errors
    /// Those of the query; no connection is free within 30 seconds, or none can be opened.
    pub(super) fn ask<T>(
        &self,
        question: impl Fn(&mut Client) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let mut place = self.place()?;
        if let Some(client) = &mut place.client {
            match question(client) {
                Err(error) if client.is_closed() || ends_connection(&error) => {
                    place.client = None;
                }
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

/// Whether the server says by this error that it closes the connection. The error can arrive a
/// moment before the end of the connection is noticed.
fn ends_connection(error: &Error) -> bool {
    let Error::Postgres(error) = error else { return false };
    let codes = [SqlState::ADMIN_SHUTDOWN, SqlState::CRASH_SHUTDOWN];
    error.is_closed() || error.code().is_some_and(|code| codes.contains(code))
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
