//! Thresholds between the distances that occur, and the numbers of pairs below each.

use super::Pair;

/// The numbers of same and different pairs at each distance that occurs, by increasing distance.
pub(super) fn groups(sorted: &[Pair]) -> impl Iterator<Item = (f32, u64, u64)> {
    sorted.chunk_by(|x, y| x.distance == y.distance).map(|tied| {
        let same = tied.iter().filter(|pair| pair.same).count();
        (tied[0].distance, same as u64, (tied.len() - same) as u64)
    })
}

/// The lowest of the candidate thresholds with the most pairs classified correctly.
pub(super) fn best_threshold(sorted: &[Pair]) -> f32 {
    let mut groups = groups(sorted).peekable();
    // At the smallest distance nothing is accepted: all different pairs are correct.
    let mut best = groups.peek().map_or(0.0, |&(least, ..)| least);
    let (mut right, mut most) = (0_i64, 0);
    while let Some((distance, same, different)) = groups.next() {
        right += same as i64 - different as i64;
        if right > most {
            most = right;
            best = match groups.peek() {
                Some(&(next, ..)) => above(distance, next),
                None => just_above(distance),
            };
        }
    }
    best
}

/// A threshold halfway between two distances, and above the first even if they are neighbours in
/// f32.
fn above(distance: f32, next: f32) -> f32 {
    let halfway = ((f64::from(distance) + f64::from(next)) / 2.0) as f32;
    if halfway > distance { halfway } else { next }
}

/// The next larger number, unless that is infinity, which files cannot hold.
pub(super) fn just_above(distance: f32) -> f32 {
    distance.next_up().min(f32::MAX)
}
