//! Exact nearest-neighbour search.

use ndarray::ArrayView2;

use crate::distance::Points;
use crate::{Error, Metric, SameItems};

pub use crate::neighbor::Neighbor;

/// The `k` nearest gallery items of every query, nearest first, by brute force.
///
/// Ties go to the lowest index. If the gallery has fewer than `k` items, all of them are returned.
/// Time is O(Q·G·D), little more than the matrix product that the distances need; memory is a block
/// of at most 4 MiB per thread and O(Q·k) for the result.
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
    Ok(queries.nearest(&gallery, k, None))
}

/// The `k` nearest gallery items of every query, without the query's own item. Otherwise like
/// [`nearest`].
///
/// # Shapes
/// - queries: Q×D, gallery: G×D; same: of Q queries
/// - result: Q lists of at most k neighbours
///
/// # Errors
/// The errors of [`nearest`], and `same` of another number of queries or of a larger gallery.
pub fn nearest_excluding(
    queries: ArrayView2<f32>,
    gallery: ArrayView2<f32>,
    k: usize,
    metric: Metric,
    same: &SameItems,
) -> Result<Vec<Vec<Neighbor>>, Error> {
    at_least_one(k)?;
    same.check(queries.nrows(), gallery.nrows())?;
    let found = nearest(queries, gallery, k.saturating_add(same.most()), metric)?;
    let others = |(query, found): (usize, Vec<Neighbor>)| -> Vec<Neighbor> {
        let own = same.of(query);
        found.into_iter().filter(|near| !own.contains(&near.index)).take(k).collect()
    };
    Ok(found.into_iter().enumerate().map(others).collect())
}

/// The `k` nearest other items of each of the items `rows`, nearest first, by brute force.
///
/// An item is never its own neighbour, by identity and not by distance: duplicates of it may be.
/// Otherwise like [`nearest`].
///
/// # Shapes
/// - embeddings: N×D; rows: the rows of the querying items
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
        return Err(Error::parameter(
            "row",
            format!("{row} of {} vectors", gallery.len()),
            "a row below the number of vectors",
        ));
    }
    let queries = gallery.reordered(rows);
    Ok(queries.nearest(&gallery, k, Some(rows)))
}

fn at_least_one(k: usize) -> Result<(), Error> {
    if k > 0 {
        return Ok(());
    }
    Err(Error::parameter("k", k.to_string(), "at least 1"))
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
    fn the_own_item_is_left_out_of_another_array() {
        let items = array![[1.0_f32], [1.0], [4.0], [9.0]];
        let same = SameItems::by_key(["b", "d"], ["a", "b", "c", "b"]);
        let queries = array![[1.0_f32], [9.0]];
        let found =
            nearest_excluding(queries.view(), items.view(), 2, Metric::default(), &same).unwrap();
        let rows = |found: &[Neighbor]| found.iter().map(|near| near.index).collect::<Vec<_>>();
        assert_eq!(rows(&found[0]), [0, 2]);
        assert_eq!(rows(&found[1]), [3, 2]);
        let other = SameItems::by_key([1], [1]);
        assert!(
            nearest_excluding(queries.view(), items.view(), 2, Metric::default(), &other).is_err()
        );
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

    /// The definition: all distances, sorted.
    fn by_sorting(
        queries: &Array2<f32>,
        gallery: &Array2<f32>,
        k: usize,
        metric: Metric,
    ) -> Vec<Vec<(u32, f32)>> {
        let distances = metric.distances(queries.view(), gallery.view()).unwrap();
        let row = |row: ndarray::ArrayView1<f32>| {
            let mut items: Vec<(u32, f32)> = (0..).zip(row.iter().copied()).collect();
            items.sort_by(|x, y| x.1.total_cmp(&y.1));
            items.truncate(k);
            items
        };
        distances.outer_iter().map(row).collect()
    }

    fn found(
        queries: &Array2<f32>,
        gallery: &Array2<f32>,
        k: usize,
        metric: Metric,
    ) -> Vec<Vec<(u32, f32)>> {
        let neighbors = nearest(queries.view(), gallery.view(), k, metric).unwrap();
        let pair = |neighbor: Neighbor| (neighbor.index, neighbor.distance);
        neighbors.into_iter().map(|found| found.into_iter().map(pair).collect()).collect()
    }

    #[test]
    fn galleries_of_several_blocks_are_searched_whole() {
        for (items, queries) in [(1_023, 3), (2_049, 130), (5_000, 17)] {
            let at = |i: usize, j: usize| ((i * 131 + j * 71 + i * i % 89) % 97) as f32 / 7.0;
            // Every fifth vector is a copy of an earlier one, so that distances tie.
            let gallery = Array2::from_shape_fn((items, 24), |(i, j)| {
                at(if i % 5 == 0 { i / 2 } else { i }, j)
            });
            let queries = Array2::from_shape_fn((queries, 24), |(i, j)| at(i * 5, j) + 0.25);
            for distance in crate::Distance::ALL {
                let metric = Metric::from(distance);
                assert_eq!(
                    found(&queries, &gallery, 12, metric),
                    by_sorting(&queries, &gallery, 12, metric),
                    "{items} items, {metric}"
                );
            }
        }
    }

    proptest! {
        #[test]
        fn selection_agrees_with_sorting(
            items in prop::collection::vec((-3_i8..4, -3_i8..4), 1..60),
            asked in prop::collection::vec((-3_i8..4, -3_i8..4), 1..6),
            k in 1_usize..20,
            distance in 0_usize..3,
            normalize: bool,
        ) {
            let array = |of: &[(i8, i8)]| Array2::from_shape_fn((of.len(), 2), |(row, column)| {
                f32::from(if column == 0 { of[row].0 } else { of[row].1 })
            });
            let (gallery, queries) = (array(&items), array(&asked));
            let metric = Metric { distance: crate::Distance::ALL[distance], normalize };
            let got = found(&queries, &gallery, k, metric);
            prop_assert_eq!(got, by_sorting(&queries, &gallery, k, metric));
        }

        #[test]
        fn leaving_one_out_is_the_list_without_it(
            items in prop::collection::vec((-3_i8..4, -3_i8..4), 1..40),
            k in 1_usize..8,
        ) {
            let gallery = Array2::from_shape_fn((items.len(), 2), |(row, column)| {
                f32::from(if column == 0 { items[row].0 } else { items[row].1 })
            });
            let rows: Vec<u32> = (0..items.len() as u32).rev().collect();
            let all = found(&gallery, &gallery, items.len(), Metric::default());
            let others =
                nearest_leave_one_out(gallery.view(), &rows, k, Metric::default()).unwrap();
            for (&row, others) in rows.iter().zip(&others) {
                let without = all[row as usize].iter().filter(|item| item.0 != row);
                let expected: Vec<u32> = without.map(|item| item.0).take(k).collect();
                let got: Vec<u32> = others.iter().map(|neighbor| neighbor.index).collect();
                prop_assert_eq!(got, expected);
            }
        }
    }
}
