//! Hard triplets by rank, for data with wrong labels: the hardest of all are often mistakes of the
//! annotation, and the ones behind them teach.

use std::fmt;
use std::ops::Range;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::candidates::Candidates;

/// Ranks from the hardest (0) on, the end excluded; written `1..3`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Ranks {
    /// The first rank taken.
    pub from: u32,
    /// The first rank no longer taken.
    pub to: u32,
}

impl From<Range<u32>> for Ranks {
    fn from(range: Range<u32>) -> Self {
        Self { from: range.start, to: range.end }
    }
}

impl fmt::Display for Ranks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}..{}", self.from, self.to)
    }
}

impl FromStr for Ranks {
    type Err = crate::Error;

    fn from_str(text: &str) -> Result<Self, crate::Error> {
        text.split_once("..")
            .and_then(|(from, to)| Some(Self { from: from.parse().ok()?, to: to.parse().ok()? }))
            .ok_or_else(|| crate::Error::Parameter {
                parameter: "ranks",
                got: format!("`{text}`"),
                expected: "FROM..TO counted from 0, the end excluded, such as 1..3",
            })
    }
}

impl Ranks {
    /// The places of these ranks after sorting by `order`; ranks beyond the last are not there.
    fn of(
        self,
        mut places: Vec<usize>,
        order: impl Fn(&usize, &usize) -> std::cmp::Ordering,
    ) -> Vec<usize> {
        let (from, to) = (self.from as usize, self.to as usize);
        if to < places.len() {
            places.select_nth_unstable_by(to, &order);
            places.truncate(to);
        }
        places.sort_unstable_by(&order);
        places.split_off(from.min(places.len()))
    }
}

pub(super) fn choose(
    candidates: &Candidates,
    positives: Ranks,
    negatives: Ranks,
    take: &mut dyn FnMut(usize, usize),
) {
    let (d, items) = (candidates.distances, candidates.items);
    let nearer =
        |&x: &usize, &y: &usize| d[x].total_cmp(&d[y]).then_with(|| items[x].cmp(&items[y]));
    let farther =
        |&x: &usize, &y: &usize| d[y].total_cmp(&d[x]).then_with(|| items[x].cmp(&items[y]));
    let negatives = negatives.of(candidates.negatives().collect(), nearer);
    for positive in positives.of(candidates.positives().collect(), farther) {
        negatives.iter().for_each(|&negative| take(positive, negative));
    }
}
