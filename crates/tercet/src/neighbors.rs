//! The nearest items, exactly.

use ndarray::ArrayView2;
use serde::Serialize;

use crate::distance::Points;
use crate::{Error, Metric};

/// An item of the gallery and how far it is from the query.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Neighbor {
    /// Row of the gallery.
    pub index: u32,
    /// Its distance, in the unit of the metric.
    pub distance: f32,
}

/// The `k` nearest gallery items of every query, nearest first, by brute force.
///
/// Ties go to the lowest index. With fewer than `k` items in the gallery all of them are returned.
/// Time is O(Q·G·D), memory O(G) a thread and O(Q·k) for the result.
///
/// # Shapes
/// - queries: Q×D, gallery: G×D
/// - result: Q lists of min(k, G) neighbours
///
/// # Errors
/// `k` = 0; vectors that are not finite, too long, without dimensions, or of different dimensions.
///
/// ```
/// use ndarray::array;
/// use tercet::{Metric, neighbors};
/// let gallery = array![[0.0_f32], [5.0], [2.0]];
/// let found = neighbors::nearest(array![[3.0_f32]].view(), gallery.view(), 2, Metric::default())?;
/// let indices: Vec<u32> = found[0].iter().map(|neighbor| neighbor.index).collect();
/// assert_eq!(indices, [2, 1]);
/// # Ok::<(), tercet::Error>(())
/// ```
pub fn nearest(
    queries: ArrayView2<f32>,
    gallery: ArrayView2<f32>,
    k: usize,
    metric: Metric,
) -> Result<Vec<Vec<Neighbor>>, Error> {
    at_least_one(k)?;
    let gallery = Points::new(gallery, metric)?;
    let queries = gallery.beside(queries)?;
    Ok(queries.sweep(&gallery, |_, distances| first(distances, k, None)))
}

/// The `k` nearest other items of each of the items `rows`, nearest first, by brute force.
///
/// An item is never its own neighbour, by identity: duplicates of it are. Otherwise as [`nearest`].
///
/// # Shapes
/// - embeddings: N×D; rows: which of the N items query
/// - result: a list of min(k, N − 1) neighbours for each of `rows`
///
/// # Errors
/// `k` = 0; a row not below N; vectors that are not finite, too long, or without dimensions.
pub fn nearest_leave_one_out(
    embeddings: ArrayView2<f32>,
    rows: &[u32],
    k: usize,
    metric: Metric,
) -> Result<Vec<Vec<Neighbor>>, Error> {
    at_least_one(k)?;
    let gallery = Points::new(embeddings, metric)?;
    if let Some(row) = rows.iter().find(|&&row| row as usize >= gallery.len()) {
        return Err(Error::Parameter {
            parameter: "row",
            got: format!("{row} of {} vectors", gallery.len()),
            expected: "a row below the number of vectors",
        });
    }
    let queries = gallery.reordered(rows);
    Ok(queries.sweep(&gallery, |query, distances| first(distances, k, Some(rows[query]))))
}

fn at_least_one(k: usize) -> Result<(), Error> {
    if k > 0 {
        return Ok(());
    }
    Err(Error::Parameter { parameter: "k", got: k.to_string(), expected: "at least 1" })
}

/// The `k` least distances in rising order, without column `excluded`.
///
/// Candidates gather in a buffer of 2k that is halved by selection whenever it is full; what is
/// then kept bounds what may still enter, so that most of the row is passed over.
fn first(distances: &[f32], k: usize, excluded: Option<u32>) -> Vec<Neighbor> {
    let by_distance =
        |x: &Neighbor, y: &Neighbor| x.distance.total_cmp(&y.distance).then(x.index.cmp(&y.index));
    let k = k.min(distances.len());
    let mut found: Vec<Neighbor> = Vec::with_capacity(2 * k);
    let mut bound = f32::INFINITY;
    for (index, &distance) in distances.iter().enumerate() {
        // An item at the bound itself comes after k items of lower index: ties cannot enter.
        if distance >= bound || excluded == Some(index as u32) {
            continue;
        }
        found.push(Neighbor { index: index as u32, distance });
        if found.len() == 2 * k {
            let (_, last, _) = found.select_nth_unstable_by(k - 1, by_distance);
            bound = last.distance;
            found.truncate(k);
        }
    }
    found.sort_unstable_by(by_distance);
    found.truncate(k);
    found
}

#[cfg(test)]
mod tests {
    use ndarray::{Array2, array};
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn nobody_is_their_own_neighbour() {
        let items = array![[1.0_f32, 1.0], [1.0, 1.0], [4.0, 5.0]];
        let found = nearest_leave_one_out(items.view(), &[1, 2], 5, Metric::default()).unwrap();
        let pairs = |neighbors: &[Neighbor]| -> Vec<(u32, f32)> {
            neighbors.iter().map(|n| (n.index, n.distance)).collect()
        };
        assert_eq!(pairs(&found[0]), [(0, 0.0), (2, 5.0)]);
        assert_eq!(pairs(&found[1]), [(0, 5.0), (1, 5.0)]);
    }

    #[test]
    fn wrong_questions_are_refused() {
        let items = array![[1.0_f32], [2.0]];
        let error = nearest(items.view(), items.view(), 0, Metric::default()).unwrap_err();
        assert_eq!(error.to_string(), "k is 0: expected at least 1");
        let error = nearest_leave_one_out(items.view(), &[2], 1, Metric::default()).unwrap_err();
        assert_eq!(
            error.to_string(),
            "row is 2 of 2 vectors: expected a row below the number of vectors"
        );
        let wide = array![[1.0_f32, 2.0]];
        assert!(nearest(wide.view(), items.view(), 1, Metric::default()).is_err());
    }

    #[test]
    fn an_empty_gallery_has_no_neighbours() {
        let queries = array![[1.0_f32], [2.0]];
        let found = nearest(queries.view(), Array2::zeros((0, 1)).view(), 3, Metric::default());
        assert_eq!(found, Ok(vec![vec![], vec![]]));
    }

    proptest! {
        #[test]
        fn selection_agrees_with_sorting(
            distances in prop::collection::vec(0_u8..12, 0..80),
            k in 1_usize..20,
            excluded in prop::option::of(0_u32..80),
        ) {
            let distances: Vec<f32> = distances.into_iter().map(f32::from).collect();
            let mut sorted: Vec<u32> =
                (0..distances.len() as u32).filter(|&index| Some(index) != excluded).collect();
            sorted.sort_by(|&x, &y| distances[x as usize].total_cmp(&distances[y as usize]));
            sorted.truncate(k);
            let found: Vec<u32> =
                first(&distances, k, excluded).iter().map(|neighbor| neighbor.index).collect();
            prop_assert_eq!(found, sorted);
        }
    }
}
