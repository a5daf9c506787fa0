//! The order in which vectors are computed again: items that the old vectors place least certainly
//! come first.

use std::collections::HashMap;

use tercet_gallery::{Filter, ReadGallery, Search, Vectors};

use super::staging::Pending;

/// Beyond this number of items, ordering them would take longer than it is worth unless the gallery
/// has an index: every item is searched among all others.
const MOST: usize = 20_000;

/// Neighbours that are looked at.
const NEAREST: usize = 10;

/// Items that are searched at once.
const CHUNK: usize = 256;

/// Brings items into the order of their certainty, the least certain first. The certainty of an item
/// with a class is the distance of its nearest neighbour of another class minus that of its nearest
/// neighbour of the same class: below 0 it is nearer to another class. Of an item without a class it
/// is the distance between its first and its second neighbour. Large galleries without an index keep
/// their own order.
pub(super) fn most_uncertain_first(
    gallery: &dyn ReadGallery,
    mut pending: Vec<Pending>,
) -> anyhow::Result<Vec<Pending>> {
    let info = gallery.info()?;
    if info.items as usize > MOST && info.index.is_none() {
        return Ok(pending);
    }
    let model = gallery.settings().model.clone();
    let mut certainty: HashMap<String, f32> = HashMap::new();
    for chunk in pending.chunks(CHUNK) {
        let ids: Vec<&str> = chunk.iter().map(|item| item.id.as_str()).collect();
        let rows = gallery.vectors(&ids)?;
        // The item itself is among its neighbours.
        let search = Search { k: NEAREST + 1, filter: Filter::default(), exact: false };
        let found = gallery.search(Vectors { model: &model, rows: rows.view() }, &search)?;
        for (item, hits) in chunk.iter().zip(found.hits) {
            let neighbours: Vec<(f32, bool)> = hits
                .iter()
                .filter(|hit| hit.item.id != item.id)
                .map(|hit| (hit.distance, hit.item.label == item.label))
                .collect();
            certainty.insert(item.id.clone(), of_neighbours(&neighbours, item.label.is_some()));
        }
    }
    pending.sort_by(|x, y| certainty[&x.id].total_cmp(&certainty[&y.id]));
    Ok(pending)
}

/// The certainty by the distances of the neighbours, nearest first, and whether each is of the same
/// class.
fn of_neighbours(neighbours: &[(f32, bool)], has_class: bool) -> f32 {
    let at = |place: usize| neighbours.get(place).map(|&(distance, _)| distance);
    if !has_class {
        return at(1).unwrap_or(f32::INFINITY) - at(0).unwrap_or(0.0);
    }
    let nearest = |same: bool| neighbours.iter().find(|of| of.1 == same).map(|&(near, _)| near);
    match (nearest(false), nearest(true)) {
        (Some(other), Some(same)) => other - same,
        // Those of its class are farther away than all of these.
        (Some(_), None) => -at(neighbours.len() - 1).unwrap_or(0.0),
        (None, _) => f32::INFINITY,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn misplaced_items_are_the_least_certain() {
        let certain = of_neighbours(&[(0.1, true), (0.2, true), (0.9, false)], true);
        let close = of_neighbours(&[(0.3, true), (0.35, false)], true);
        let misplaced = of_neighbours(&[(0.2, false), (0.5, true)], true);
        let lost = of_neighbours(&[(0.2, false), (0.6, false)], true);
        assert!(lost < misplaced && misplaced < 0.0 && 0.0 < close && close < certain);
        assert_eq!(of_neighbours(&[(0.1, true)], true), f32::INFINITY);
        assert_eq!(of_neighbours(&[(0.25, false), (0.5, false)], false), 0.25);
        assert_eq!(of_neighbours(&[], false), f32::INFINITY);
    }
}
