//! Recall: the share of the nearest neighbours that an approximate search finds.

use ndarray::Array2;
use tercet::scan::Found;

use super::snapshot::Snapshot;
use crate::{Error, Filter, Search};

/// The number of nearest neighbours that are compared.
pub(super) const NEAREST: usize = 10;

/// How the queries of a sample are chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Queries {
    /// Vectors of the gallery.
    InPlace,
    /// Vectors q = x + 0.1 (y − x) of two vectors x, y of the gallery: new, but similar to the
    /// gallery's.
    Moved,
}

/// Queries, with the results of an exact search for them.
pub(super) struct Sample {
    pub(super) queries: Array2<f32>,
    exact: Vec<Vec<Found>>,
}

impl Sample {
    /// At most `most` queries, spread over the gallery.
    pub(super) fn draw(snapshot: &Snapshot, most: usize, kind: Queries) -> Result<Self, Error> {
        let living = snapshot.living();
        let sample = living.len().min(most);
        let row = |of: usize| {
            let (part, row) = living[of];
            snapshot.parts[part].segment.row(row)
        };
        let step = living.len() / sample.max(1);
        let mut queries = Array2::zeros((sample, snapshot.head.settings.dimensions));
        for (query, mut out) in queries.outer_iter_mut().enumerate() {
            let own = row(query * step);
            let other = match kind {
                Queries::InPlace => own,
                Queries::Moved => row((query * step + living.len() / 2) % living.len()),
            };
            for ((out, own), other) in out.iter_mut().zip(own).zip(other) {
                // Where own = other, this gives exactly that value.
                *out = own + 0.1 * (other - own);
            }
        }
        let search = Search { k: NEAREST, filter: Filter::default(), exact: true };
        let (exact, _) = snapshot.nearest(queries.view(), &search)?;
        Ok(Self { queries, exact })
    }

    /// The share of the exact results that `found` contains. A row counts as found if it is no
    /// farther than the last of the exact results, so that ties do not matter.
    pub(super) fn recall(&self, found: &[Vec<Found>]) -> f64 {
        let (mut wanted, mut shared) = (0, 0);
        for (exact, found) in self.exact.iter().zip(found) {
            wanted += exact.len();
            let Some(farthest) = exact.last() else { continue };
            let near = found.iter().filter(|found| found.distance <= farthest.distance);
            shared += near.count().min(exact.len());
        }
        if wanted == 0 { 1.0 } else { shared as f64 / wanted as f64 }
    }
}
