//! DBSCAN: groups of dense regions (Ester, Kriegel, Sander & Xu 1996).

use super::Groups;
use super::graph::neighbors_within;
use crate::Error;
use crate::distance::Points;

/// In addition to the paper: an item that is not dense and could join several groups joins that of
/// its nearest dense neighbour (for ties, the one with the lowest index), so that the groups do not
/// depend on the order of the items in any other way.
pub(super) fn group(points: &Points, threshold: f32, min_items: usize) -> Result<Groups, Error> {
    let neighbors = neighbors_within(points, threshold)?;
    let dense: Vec<bool> = neighbors.iter().map(|near| near.len() + 1 >= min_items).collect();
    let mut group: Vec<Option<u32>> = vec![None; neighbors.len()];
    for start in 0..neighbors.len() {
        if !dense[start] || group[start].is_some() {
            continue;
        }
        group[start] = Some(start as u32);
        let mut reached = vec![start];
        while let Some(item) = reached.pop() {
            for &near in &neighbors[item] {
                let near = near as usize;
                if dense[near] && group[near].is_none() {
                    group[near] = Some(start as u32);
                    reached.push(near);
                }
            }
        }
    }
    let nearest_dense = |item: usize| {
        let near = neighbors[item].iter().map(|&near| near as usize).filter(|&near| dense[near]);
        near.min_by(|&x, &y| {
            points.pair_distance(item, x).total_cmp(&points.pair_distance(item, y))
        })
    };
    let joined = (0..neighbors.len()).map(|item| match dense[item] {
        true => group[item],
        false => nearest_dense(item).and_then(|near| group[near]),
    });
    Ok(joined.collect())
}
