//! Passes over all rows of a matrix of distances, without holding the matrix.

use rayon::prelude::*;

use super::Points;
use crate::watch::Steps;

/// Rows per tile: enough that the matrix product is efficient.
const TILE_ROWS: usize = 64;

/// The largest number of distances in one tile (32 MiB per thread). For a large gallery a tile has
/// fewer rows.
const TILE_VALUES: usize = 1 << 23;

impl Points {
    /// Calls `judge` for every point, with its index and its distances to all points of `gallery`,
    /// and returns the results in the order of the points, for any number of threads.
    ///
    /// Tiles are computed in parallel, with the memory of one tile per thread. `judge` may change
    /// its row.
    pub(crate) fn sweep<T: Send>(
        &self,
        gallery: &Self,
        judge: impl Fn(usize, &mut [f32]) -> T + Sync,
    ) -> Vec<T> {
        let columns = gallery.len();
        let tile_rows = (TILE_VALUES / columns.max(1)).clamp(1, TILE_ROWS);
        let tiles: Vec<Vec<T>> = (0..self.len().div_ceil(tile_rows))
            .into_par_iter()
            .map_init(Vec::new, |buffer, tile| {
                let start = tile * tile_rows;
                let rows = start..(start + tile_rows).min(self.len());
                buffer.resize(rows.len() * columns, 0.0);
                self.tile(rows.clone(), gallery, buffer, None);
                rows.enumerate()
                    .map(|(line, row)| judge(row, &mut buffer[line * columns..][..columns]))
                    .collect()
            })
            .collect();
        tiles.into_iter().flatten().collect()
    }
}

impl Points {
    /// Calls `judge` for every point, with the state of the current thread, the point's index and
    /// its distances to all points of `gallery`. Returns the states, for sums whose order does not
    /// matter. Each point is a step of `steps`, which may stop the sweep.
    pub(crate) fn sweep_into<S: Send>(
        &self,
        gallery: &Self,
        steps: &Steps,
        new: impl Fn() -> S + Sync + Send,
        judge: impl Fn(&mut S, usize, &[f32]) + Sync + Send,
    ) -> Vec<S> {
        let columns = gallery.len();
        let tile_rows = (TILE_VALUES / columns.max(1)).clamp(1, TILE_ROWS);
        let tiles = self.len().div_ceil(tile_rows);
        let lanes = rayon::current_num_threads().min(tiles);
        (0..lanes)
            .into_par_iter()
            .map(|lane| {
                let (mut state, mut buffer) = (new(), Vec::new());
                for start in (lane..tiles).step_by(lanes).map(|tile| tile * tile_rows) {
                    let rows = start..(start + tile_rows).min(self.len());
                    buffer.resize(rows.len() * columns, 0.0);
                    self.tile(rows.clone(), gallery, &mut buffer, None);
                    for (row, line) in rows.clone().zip(buffer.chunks_exact(columns)) {
                        judge(&mut state, row, line);
                    }
                    if steps.done(rows.len()).is_break() {
                        break;
                    }
                }
                state
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use ndarray::Array2;

    use super::*;
    use crate::Metric;

    #[test]
    fn rows_arrive_in_order_and_complete() {
        let vectors = Array2::from_shape_fn((131, 3), |(i, j)| ((i * 7 + j * 3) % 11) as f32);
        let points = Points::new(vectors.view(), Metric::default()).unwrap();
        let rows = points.sweep(&points, |row, line| (row, line.to_vec()));
        let all = Metric::default().distances(vectors.view(), vectors.view()).unwrap();
        for (expected, (row, line)) in rows.iter().enumerate() {
            assert_eq!(*row, expected);
            let mut line = line.clone();
            line[expected] = all[[expected, expected]];
            assert_eq!(line, all.row(expected).to_vec());
        }
        assert_eq!(rows.len(), 131);
    }

    #[test]
    fn an_empty_gallery_still_sees_every_query() {
        let vectors = Array2::<f32>::ones((70, 2));
        let gallery = Points::new(Array2::zeros((0, 2)).view(), Metric::default()).unwrap();
        let queries = gallery.beside(vectors.view()).unwrap();
        assert_eq!(queries.sweep(&gallery, |_, line| line.len()), vec![0; 70]);
    }

    #[test]
    fn duplicates_tie_exactly_in_tiles_of_any_height() {
        let vectors = Array2::from_shape_fn((67, 37), |(i, j)| {
            let i = if i % 5 == 3 { 3 } else { i };
            ((i * 131 + j * 71) % 97) as f32 / 13.0
        });
        for queries in [1, 2, 3, 5, 65, 67] {
            let points = Points::new(vectors.view(), Metric::default()).unwrap();
            let some = points.reordered(&(0..queries).collect::<Vec<u32>>());
            let tied = some
                .sweep(&points, |_, row| (0..67).filter(|j| j % 5 == 3).all(|j| row[j] == row[3]));
            assert!(tied.into_iter().all(|tied| tied), "{queries} queries");
        }
    }
}
