//! Agglomerative clustering: groups that are merged, starting from single items (Müllner 2011, by
//! the crate kodama).

use kodama::{Dendrogram, Method};

use super::{Cut, Groups};
use crate::Error;
use crate::distance::Points;

/// The largest number of items that a linkage takes: their N(N−1)/2 distances of 4 bytes take 2
/// GiB.
pub const LINKED_ITEMS: usize = 1 << 15;

/// Groups the points. `cut` is either a threshold, up to and including which groups are merged, or
/// a number of groups.
pub(super) fn group(points: &Points, method: Method, cut: Cut) -> Result<Groups, Error> {
    let items = points.len();
    if items > LINKED_ITEMS {
        return Err(Error::TooManyItems {
            what: "a linkage",
            limit: LINKED_ITEMS,
            got: items,
            advice: "it holds the distances of all pairs; single-linkage and hdbscan do not",
        });
    }
    let mut merges = Merges::new(items);
    if items < 2 {
        return Ok(merges.groups());
    }
    let dendrogram = kodama::linkage(&mut condensed(points), items, method);
    let steps = match cut {
        Cut::Clusters(clusters) => items - clusters,
        Cut::Threshold(threshold) => steps_up_to(&dendrogram, threshold),
        Cut::None => 0,
    };
    for (place, step) in dendrogram.steps()[..steps].iter().enumerate() {
        merges.join(step.cluster1, step.cluster2, items + place);
    }
    Ok(merges.groups())
}

/// The distances of all pairs, row by row, each item with the items after it. The sweep writes them
/// in place, so that no distance is stored twice.
fn condensed(points: &Points) -> Vec<f32> {
    let items = points.len();
    let mut distances = vec![0.0; items * (items - 1) / 2];
    let mut lines = Vec::with_capacity(items);
    let mut rest = distances.as_mut_slice();
    for row in 0..items {
        let (line, behind) = rest.split_at_mut(items - 1 - row);
        lines.push(std::sync::Mutex::new(line));
        rest = behind;
    }
    points.sweep(points, |row, measured| {
        if let Ok(mut line) = lines[row].lock() {
            line.copy_from_slice(&measured[row + 1..]);
        }
    });
    distances
}

/// The number of steps up to a threshold. Apart from rounding, steps are in rising order of height.
fn steps_up_to(dendrogram: &Dendrogram<f32>, threshold: f32) -> usize {
    dendrogram.steps().partition_point(|step| step.dissimilarity <= threshold)
}

/// The tree so far: items, then the groups made by merges, each with the group into which it was
/// merged.
struct Merges {
    items: usize,
    into: Vec<u32>,
}

impl Merges {
    fn new(items: usize) -> Self {
        Self { items, into: (0..2 * items as u32).collect() }
    }

    fn join(&mut self, one: usize, other: usize, into: usize) {
        self.into[one] = into as u32;
        self.into[other] = into as u32;
    }

    /// Groups come after their parts, so one pass from the last to the first finds all roots.
    fn groups(mut self) -> Groups {
        for place in (0..self.into.len()).rev() {
            self.into[place] = self.into[self.into[place] as usize];
        }
        self.into[..self.items].iter().map(|&root| Some(root)).collect()
    }
}
