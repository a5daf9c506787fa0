//! Delays the answers to wrong tokens.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use crate::network::Network;

/// The time between the answers to two wrong tokens from one network.
const PAUSE: Duration = Duration::from_millis(500);

/// The longest delay of an answer.
const LONGEST: Duration = Duration::from_secs(10);

/// Networks that are remembered. When there are more, the others share one delay.
const NETWORKS: usize = 4096;

/// The time at which the next wrong token of a network may be answered.
///
/// Requests with the right token are never delayed, so that nobody can lock out other users of the
/// same address, for example behind a proxy. Wrong tokens of one network that arrive together are
/// answered one after the other, so that more connections do not make guessing faster.
#[derive(Debug, Default)]
pub(crate) struct Guesses {
    next: Mutex<HashMap<Option<Network>, Instant>>,
}

impl Guesses {
    /// Waits until a wrong token of this network may be answered.
    pub(crate) async fn pause(&self, network: Option<Network>) {
        sleep_until(self.turn(network, Instant::now())).await;
    }

    fn turn(&self, network: Option<Network>, now: Instant) -> Instant {
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        if next.len() >= NETWORKS && !next.contains_key(&network) {
            next.retain(|_, turn| *turn > now);
        }
        let known = next.len() < NETWORKS || next.contains_key(&network);
        let turn = next.entry(network.filter(|_| known)).or_insert(now);
        *turn = ((*turn).max(now) + PAUSE).min(now + LONGEST);
        *turn
    }
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use super::*;

    #[test]
    fn guesses_wait_for_each_other_and_memory_is_bounded() {
        let guesses = Guesses::default();
        let now = Instant::now();
        let network = |number: u32| Some(Network::from(IpAddr::from(Ipv4Addr::from_bits(number))));
        assert_eq!(guesses.turn(network(1), now), now + PAUSE);
        assert_eq!(guesses.turn(network(1), now), now + 2 * PAUSE);
        assert_eq!(guesses.turn(network(2), now), now + PAUSE);
        (0..100).for_each(|_| assert!(guesses.turn(network(1), now) > now));
        assert_eq!(guesses.turn(network(1), now), now + LONGEST);
        let later = now + LONGEST;
        assert_eq!(guesses.turn(network(1), later), later + PAUSE);
        for number in 0..3 * NETWORKS as u32 {
            guesses.turn(network(number), later);
        }
        let len = || guesses.next.lock().unwrap().len();
        assert!(len() <= NETWORKS + 1, "{}", len());
        guesses.turn(network(u32::MAX), later + LONGEST + LONGEST);
        assert!(len() <= 2, "{}", len());
    }
}
