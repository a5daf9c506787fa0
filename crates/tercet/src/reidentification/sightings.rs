//! The sightings of cameras, and which gallery items may match a query.

use std::collections::HashMap;

use ndarray::{Array2, ArrayView2};

use crate::distance::Points;
use crate::{Error, Metric, SameItems};

/// The identity of gallery items that are left out: detections that show no person, or only a part
/// of one.
pub const JUNK: i64 = -1;

/// Vectors of people, with their identities and cameras.
#[derive(Debug, Clone, Copy)]
pub struct Sightings<'a> {
    /// N×D.
    pub embeddings: ArrayView2<'a, f32>,
    /// N identities.
    pub ids: &'a [i64],
    /// N cameras.
    pub cameras: &'a [i64],
    /// N numbers of items, if items may be both a query and in the gallery: a gallery item with the
    /// number of the query is the query itself and is left out, whatever its camera. `None` if
    /// queries and gallery share no item.
    pub items: Option<&'a [u32]>,
}

/// Sightings that own their vectors.
#[derive(Debug, Clone, PartialEq)]
pub struct Pooled {
    /// M×D, one row per group.
    pub embeddings: Array2<f32>,
    /// The identity of each group.
    pub ids: Vec<i64>,
    /// The camera of each group.
    pub cameras: Vec<i64>,
    /// The group of each of the original rows.
    pub groups: Vec<u32>,
}

impl Sightings<'_> {
    fn check(&self) -> Result<(), Error> {
        let rows = self.embeddings.nrows();
        for labels in [self.ids.len(), self.cameras.len()] {
            if labels != rows {
                return Err(Error::LabelCount { rows, labels });
            }
        }
        match self.items {
            Some(items) if items.len() != rows => {
                Err(Error::LabelCount { rows, labels: items.len() })
            }
            _ => Ok(()),
        }
    }

    /// One vector for each identity and camera, the mean of its vectors. As queries, these are the
    /// *multiple query* setting of Market-1501.
    ///
    /// If the metric compares unit vectors, vectors are normalised before they are averaged (and
    /// the metric normalises their mean). Groups are in the order of their first rows.
    ///
    /// # Errors
    /// A number of identities or cameras that differs from that of rows; vectors that are not
    /// finite, too long, or without dimensions.
    pub fn pooled(&self, metric: Metric) -> Result<Pooled, Error> {
        self.pool(&vec![0; self.ids.len()], metric)
    }

    /// One vector for each tracklet, as in MARS: like [`pooled`](Self::pooled), but sightings of
    /// different `tracklets` (N numbers) are in different groups.
    ///
    /// # Errors
    /// The errors of [`pooled`](Self::pooled), and a number of tracklets that differs from that of
    /// rows.
    pub fn pooled_by_tracklet(&self, tracklets: &[i64], metric: Metric) -> Result<Pooled, Error> {
        if tracklets.len() != self.ids.len() {
            return Err(Error::LabelCount { rows: self.ids.len(), labels: tracklets.len() });
        }
        self.pool(tracklets, metric)
    }

    fn pool(&self, tracklets: &[i64], metric: Metric) -> Result<Pooled, Error> {
        self.check()?;
        let points = Points::new(self.embeddings, metric)?;
        let mut numbers = HashMap::new();
        let (mut ids, mut cameras, mut groups) = (Vec::new(), Vec::new(), Vec::new());
        for (row, &tracklet) in tracklets.iter().enumerate() {
            let (id, camera) = (self.ids[row], self.cameras[row]);
            let group = *numbers.entry((id, camera, tracklet)).or_insert_with(|| {
                ids.push(id);
                cameras.push(camera);
                ids.len() - 1
            });
            groups.push(group as u32);
        }
        let mut sums = Array2::<f64>::zeros((ids.len(), points.dimensions()));
        let mut counts = vec![0.0; ids.len()];
        for (row, &group) in groups.iter().enumerate() {
            counts[group as usize] += 1.0;
            for (sum, &x) in sums.row_mut(group as usize).iter_mut().zip(points.row(row)) {
                *sum += f64::from(x);
            }
        }
        let embeddings = Array2::from_shape_fn(sums.dim(), |(group, k)| {
            (sums[[group, k]] / counts[group]) as f32
        });
        Ok(Pooled { embeddings, ids, cameras, groups })
    }
}

impl Pooled {
    /// The groups as sightings.
    pub fn view(&self) -> Sightings<'_> {
        let (ids, cameras) = (&self.ids, &self.cameras);
        Sightings { embeddings: self.embeddings.view(), ids, cameras, items: None }
    }
}

/// Which gallery items match a query, and which are left out.
pub(super) struct Search<'q, 'g> {
    query_ids: &'q [i64],
    query_cameras: &'q [i64],
    cameras: &'g [i64],
    junk: Vec<u32>,
    /// The gallery items of every identity except junk.
    items: HashMap<i64, Vec<u32>>,
    /// Gallery items that are the query itself.
    same: SameItems,
}

impl<'q, 'g> Search<'q, 'g> {
    pub(super) fn new(queries: Sightings<'q>, gallery: Sightings<'g>) -> Result<Self, Error> {
        queries.check()?;
        gallery.check()?;
        if let Some(row) = queries.ids.iter().position(|&id| id == JUNK) {
            return Err(Error::parameter(
                "query identity",
                format!("{JUNK} at row {row}"),
                "somebody to look for: -1 marks junk, which only a gallery may hold",
            ));
        }
        let mut items: HashMap<i64, Vec<u32>> = HashMap::new();
        for (item, &id) in gallery.ids.iter().enumerate() {
            items.entry(id).or_default().push(item as u32);
        }
        let junk = items.remove(&JUNK).unwrap_or_default();
        let (query_ids, query_cameras) = (queries.ids, queries.cameras);
        let same = match (queries.items, gallery.items) {
            (Some(queries), Some(gallery)) => SameItems::by_key(queries, gallery),
            _ => SameItems::default(),
        };
        Ok(Self { query_ids, query_cameras, cameras: gallery.cameras, junk, items, same })
    }

    /// The gallery items of each identity except junk, by increasing identity.
    pub(super) fn people(&self) -> Vec<(i64, &[u32])> {
        let mut people: Vec<(i64, &[u32])> =
            self.items.iter().map(|(&id, items)| (id, items.as_slice())).collect();
        people.sort_unstable_by_key(|&(id, _)| id);
        people
    }

    /// Sets the distances of items that are left out to infinity, and returns the matches.
    pub(super) fn admit(&self, query: usize, distances: &mut [f32]) -> Vec<usize> {
        let own = self.same.of(query);
        for &item in self.junk.iter().chain(own) {
            distances[item as usize] = f32::INFINITY;
        }
        let mut matches = Vec::new();
        for &item in self.items.get(&self.query_ids[query]).map_or(&[][..], Vec::as_slice) {
            if own.contains(&item) {
                continue;
            }
            let item = item as usize;
            if self.cameras[item] == self.query_cameras[query] {
                distances[item] = f32::INFINITY;
            } else {
                matches.push(item);
            }
        }
        matches
    }
}
