//! Chinese whispers: each item takes over the group of most of its neighbours (Biemann, "Chinese
//! Whispers", TextGraphs 2006).

use std::collections::HashMap;

use rand::SeedableRng;
use rand::rngs::ChaCha8Rng;
use rand::seq::SliceRandom;

use super::Groups;
use super::graph::neighbors_within;
use crate::Error;
use crate::distance::Points;

/// The largest number of rounds, even if items still change groups; the paper needs about 20.
const ROUNDS: usize = 100;

/// Every neighbour has one vote. Of the groups with the most votes an item stays in its own if that
/// is one of them, and otherwise takes the one with the lowest number. An item without neighbours
/// remains alone.
pub(super) fn group(points: &Points, threshold: f32, seed: u64) -> Result<Groups, Error> {
    let neighbors = neighbors_within(points, threshold)?;
    let mut group: Vec<u32> = (0..neighbors.len() as u32).collect();
    let mut order = group.clone();
    let mut stream = ChaCha8Rng::seed_from_u64(seed);
    let mut votes: HashMap<u32, usize> = HashMap::new();
    for _ in 0..ROUNDS {
        order.shuffle(&mut stream);
        let mut changed = false;
        for &item in &order {
            votes.clear();
            for &near in &neighbors[item as usize] {
                *votes.entry(group[near as usize]).or_default() += 1;
            }
            let own = group[item as usize];
            let rank = |&group: &u32, votes: usize| (votes, group == own, std::cmp::Reverse(group));
            let best = votes.iter().max_by_key(|&(group, &votes)| rank(group, votes));
            if let Some((&best, _)) = best
                && best != own
            {
                group[item as usize] = best;
                changed = true;
            }
        }
        if !changed {
            break;
        }
    }
    Ok(group.into_iter().map(Some).collect())
}
