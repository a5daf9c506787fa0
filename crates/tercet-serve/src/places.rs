//! Limits the number of connections, in all and from one network.
//!
//! A connection is idle if it is between two requests, or has not sent the whole head of its first
//! one. When a limit is reached, the connection that has been idle for the longest time is closed
//! in favour of the new one. So a client that opens connections and sends only half of a head only
//! takes places from itself: every client that sends a whole request gets an answer.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::network::Network;

/// The state that all connections share.
#[derive(Debug, Clone)]
pub(crate) struct Places {
    all: usize,
    each: usize,
    open: Arc<Mutex<Open>>,
}

/// The limit that was reached by connections that all have a request in progress.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Full {
    /// The limit of all connections.
    All,
    /// The limit of one network.
    Network,
}

#[derive(Debug, Default)]
struct Open {
    /// The next number of a connection or of a moment at which one became idle; ascending.
    next: u64,
    connections: HashMap<u64, Connection>,
    of_network: HashMap<Network, usize>,
    /// The idle connections, by the moment at which they became idle.
    idle: BTreeMap<u64, u64>,
}

#[derive(Debug)]
struct Connection {
    network: Network,
    /// The moment at which it became idle; `None` while it has a request in progress.
    idle_since: Option<u64>,
    close: Arc<Notify>,
}

/// The place of one connection, returned when it is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    number: u64,
    close: Arc<Notify>,
    open: Arc<Mutex<Open>>,
}

/// Marks a request in progress; when it is dropped the connection is idle again.
#[derive(Debug)]
pub(crate) struct Busy {
    number: u64,
    open: Arc<Mutex<Open>>,
}

impl Places {
    /// Places for `all` connections, of which each network may use `each`.
    pub(crate) fn new(all: usize, each: usize) -> Self {
        Self { all, each, open: Arc::default() }
    }

    /// Takes a place for a new connection, which is idle at first. If there is no free place,
    /// closes an idle connection.
    pub(crate) fn take(&self, network: Network) -> Result<Place, Full> {
        let mut open = lock(&self.open);
        if open.of_network.get(&network).is_some_and(|&count| count >= self.each) {
            let number = open.longest_idle(network).ok_or(Full::Network)?;
            open.close(number);
        }
        if open.connections.len() >= self.all {
            let number = open.idle.values().next().copied().ok_or(Full::All)?;
            open.close(number);
        }
        let number = open.moment();
        let close = Arc::new(Notify::new());
        *open.of_network.entry(network).or_default() += 1;
        open.connections
            .insert(number, Connection { network, idle_since: None, close: close.clone() });
        open.rest(number);
        Ok(Place { number, close, open: self.open.clone() })
    }
}

impl Place {
    /// Marks that a request is in progress.
    pub(crate) fn busy(&self) -> Busy {
        lock(&self.open).work(self.number);
        Busy { number: self.number, open: self.open.clone() }
    }

    /// Waits until the place has been given to another connection.
    pub(crate) async fn lost(&self) {
        self.close.notified().await;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        lock(&self.open).remove(self.number);
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        lock(&self.open).rest(self.number);
    }
}

impl Open {
    fn moment(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    /// The connection of a network that has been idle for the longest time.
    fn longest_idle(&self, network: Network) -> Option<u64> {
        let is_of = |number: &u64| {
            self.connections.get(number).is_some_and(|connection| connection.network == network)
        };
        self.idle.values().copied().find(is_of)
    }

    fn rest(&mut self, number: u64) {
        let moment = self.moment();
        if let Some(connection) = self.connections.get_mut(&number)
            && connection.idle_since.is_none()
        {
            connection.idle_since = Some(moment);
            self.idle.insert(moment, number);
        }
    }

    fn work(&mut self, number: u64) {
        if let Some(since) =
            self.connections.get_mut(&number).and_then(|connection| connection.idle_since.take())
        {
            self.idle.remove(&since);
        }
    }

    fn close(&mut self, number: u64) {
        if let Some(connection) = self.remove(number) {
            connection.close.notify_one();
        }
    }

    fn remove(&mut self, number: u64) -> Option<Connection> {
        let connection = self.connections.remove(&number)?;
        if let Some(since) = connection.idle_since {
            self.idle.remove(&since);
        }
        if let Some(count) = self.of_network.get_mut(&connection.network) {
            *count -= 1;
            if *count == 0 {
                self.of_network.remove(&connection.network);
            }
        }
        Some(connection)
    }
}

fn lock(open: &Mutex<Open>) -> MutexGuard<'_, Open> {
    open.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;

    fn network(last: u8) -> Network {
        IpAddr::from([10, 0, 0, last]).into()
    }

    fn counts(places: &Places) -> (usize, usize, usize) {
        let open = lock(&places.open);
        (open.connections.len(), open.of_network.values().sum(), open.idle.len())
    }

    #[test]
    fn the_longest_idle_connection_makes_room() {
        let places = Places::new(3, 2);
        let first = places.take(network(1)).unwrap();
        let second = places.take(network(1)).unwrap();
        let working = first.busy();
        // The network is full: its idle connection is closed, not the one with a request.
        let third = places.take(network(1)).unwrap();
        assert_eq!(counts(&places), (2, 2, 1));
        drop(second);
        let also = third.busy();
        assert_eq!(places.take(network(1)).unwrap_err(), Full::Network);
        let other = places.take(network(2)).unwrap();
        let busy = other.busy();
        assert_eq!(places.take(network(3)).unwrap_err(), Full::All);
        drop(busy);
        let last = places.take(network(3)).unwrap();
        // A connection that has lost its place does not return when its request ends.
        drop((working, also, other, first, third));
        assert_eq!(counts(&places), (1, 1, 1));
        drop(last);
        assert_eq!(counts(&places), (0, 0, 0));
        assert!(lock(&places.open).of_network.is_empty());
    }

    #[test]
    fn half_sent_heads_take_places_from_each_other_only() {
        let places = Places::new(8, 8);
        let honest = places.take(network(1)).unwrap();
        let answering = honest.busy();
        let idle: Vec<Place> = (0..100).map(|_| places.take(network(1)).unwrap()).collect();
        assert_eq!(counts(&places), (8, 8, 7));
        assert!(lock(&places.open).connections.contains_key(&honest.number));
        drop((answering, idle));
        assert_eq!(counts(&places), (1, 1, 1));
    }
}
